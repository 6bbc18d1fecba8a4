"""The streams of the process: a letter that a terminal lacks, a closed pipe, a full disk behind `>` end no run."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
import unicodedata
from typing import Any

_PLAIN = {"±": "+-", "→": "->", "√": "sqrt", "×": "x", "°": " deg", "θ": "theta", "φ": "phi", "…": "...", "•": "-"}
_HANDLER = "metarl.plain"


class _Lasting(io.FileIO):
    """A descriptor whose output goes nowhere once it cannot be written."""

    lost = ""
    """Why, unless its reader has simply read enough."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                raise
            if error.errno != errno.EPIPE:
                self.lost = os.strerror(error.errno or errno.EIO)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(data).nbytes


def ready_streams() -> None:
    """To be called first. Streams that somebody has put in the place of the process's own (a test) stay."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened would have its number, and all that is printed in it
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    codecs.register_error(_HANDLER, _plain)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _lasting(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _lasting(2, sys.stderr)


def lost_output() -> str:
    """Why the output of this process is not whole, or ''."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.lost if isinstance(raw, _Lasting) else ""


def _lasting(number: int, stream: Any) -> io.TextIOWrapper:
    """`stream` is None where the descriptor was closed."""
    return io.TextIOWrapper(
        io.BufferedWriter(_Lasting(number, "w", closefd=False)),
        encoding=stream.encoding if stream else "utf-8",
        errors=_HANDLER,
        line_buffering=stream.line_buffering if stream else True,
    )


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """An error handler of `codecs`: '+-' for '±', 'e' for 'é', and '?' for what has no such likeness."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = "".join(map(_likeness, error.object[error.start : error.end]))
    return text, error.end


def _likeness(character: str) -> str:
    if character in _PLAIN:
        return _PLAIN[character]
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"
