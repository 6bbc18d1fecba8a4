"""How far a long piece of work is: whoever does it tells, and whoever shows it listens. Numbers never depend on it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[float], None]
"""Takes the share that is done, in [0, 1]."""
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def tell_progress(share: float) -> None:
    """Goes nowhere where nobody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(share)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """What is told inside the `with` goes to the listener, and to none around it."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def one_part(index: int, *, of: int) -> Iterator[None]:
    """What is told inside the `with` is of part `index` of so many equal ones."""
    with heard_by(functools.partial(_tell_part, _listener.get(), index, of)):
        yield


def _tell_part(listener: Listener | None, index: int, parts: int, share: float) -> None:
    if listener is not None:
        listener((index + share) / parts)
