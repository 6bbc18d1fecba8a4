"""What a user's env raises, as one sentence that names the env and the call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from metarl.errors import UserError


@contextmanager
def faults_of(reference: str, call: str) -> Iterator[None]:
    """Raises UserError in place of whatever else the env's code raises in `call`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"env {reference!r}: {call} raised {sentence_of(error)}; fix the env") from error


def sentence_of(error: Exception) -> str:
    """'KeyError: 'goal'', on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
