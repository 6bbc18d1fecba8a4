"""One file from the network, whole or not at all."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from metarl.errors import UserError
from metarl.files import remove_stale

Progress = Callable[[int, int], None]
"""(done, total), in bytes or images; a total of 0 is not known."""


def download(url: str, path: Path, progress: Progress, *, remedy: str) -> None:
    """Raises UserError with the remedy for a machine without network."""
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(path.parent, path.name)
        with urllib.request.urlopen(url, timeout=30) as response, temporary.open("wb") as file:
            total = int(response.headers.get("Content-Length", 0))
            while chunk := response.read(2**16):
                file.write(chunk)
                progress(file.tell(), total)
        os.replace(temporary, path)
    except (OSError, urllib.error.URLError) as error:
        raise UserError(f"{url} cannot be fetched ({error}); {remedy}") from error
    finally:
        temporary.unlink(missing_ok=True)
