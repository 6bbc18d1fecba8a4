"""What a user's env raises, as one sentence that names the env, the call and the line of code."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metarl.errors import UserError


@contextmanager
def faults_of(reference: str, call: str) -> Iterator[None]:
    """Raises UserError in place of whatever else the env's code raises in `call`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise fault_of(reference, call, error) from error


def fault_of(reference: str, call: str, error: Exception) -> UserError:
    """A worker hands on the sentence alone, without the traceback: so it has the place, too."""
    return UserError(f"env {reference!r}: {call} raised {sentence_of(error)}{_place_of(error)}; fix the env")


def _place_of(error: Exception) -> str:
    """' (my_env.py, line 12)': where it was raised, or the last line before it went into an installed package."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent != Path(__file__).parent]
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def sentence_of(error: Exception) -> str:
    """'KeyError: 'goal'', on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
