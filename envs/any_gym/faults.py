"""What a user's env raises, as one sentence that names the env, the call and the line of code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metarl.errors import UserError, place_of, sentence_of

_HERE = Path(__file__).parent


@contextmanager
def faults_of(reference: str, call: str) -> Iterator[None]:
    """Raises UserError in place of whatever else the env's code raises in `call`."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise fault_of(reference, call, error) from error


def fault_of(reference: str, call: str, error: BaseException) -> UserError:
    """A worker hands on the sentence alone, without the traceback: so it has the place, too."""
    return UserError(
        f"env {reference!r}: {call} raised {sentence_of(error)}{place_of(error, beside=_HERE)}; fix the env"
    )
