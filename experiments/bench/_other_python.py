"""A virtual environment of its own for a library that does not install beside metaworld, and programs run in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metarl.errors import UserError
from metarl.text import short

INSTALL_SECONDS = 1800
_VERSIONS = "import importlib.metadata, sys; print(*(importlib.metadata.version(n) for n in sys.argv[1:]), sep='\\n')"


def python_with(pins: Sequence[str], folder: Path) -> Path:
    """The interpreter in `folder` that has these (`name==version`); the folder is made where it is missing.

    Raises UserError where they cannot be installed, and where the folder holds something else.
    """
    python = folder / "bin" / "python"
    if python.exists():
        names, versions = zip(*(pin.split("==") for pin in pins), strict=True)
        found = _ran([str(python), "-I", "-c", _VERSIONS, *names])
        if found.returncode or found.stdout.split() != list(versions):
            raise UserError(f"{folder} is a virtual environment without {' and '.join(pins)}; name another folder")
        return python
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} holds something else than a virtual environment; name a new or an empty folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as temporary:
            # made beside and then renamed: what bears the name is whole
            made = Path(temporary) / "venv"
            install = [str(made / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            for command in ([sys.executable, "-m", "venv", str(made)], [*install, *pins]):
                if (done := _ran(command)).returncode:
                    raise UserError(_not_installed(pins, done.stderr or done.stdout))
            os.replace(made, folder)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(_not_installed(pins, str(error))) from error
    return python


def answered(python: Path, script: Path, request: Any) -> Any:
    """What the script prints as JSON for that request, which it reads as JSON. Raises UserError where it fails."""
    done = subprocess.run(
        [str(python), "-I", str(script)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env=os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),  # the cores are the envs'
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise UserError(f"{script.name} failed under {python} ({short(said[-1], 300)}); remove that folder to renew it")
    return json.loads(done.stdout.splitlines()[-1])  # libraries may say something before


def _ran(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)


def _not_installed(pins: Sequence[str], said: str) -> str:
    lines = [line for line in said.splitlines() if "ERROR" in line] or said.splitlines() or ["nothing was said"]
    version = ".".join(map(str, sys.version_info[:2]))
    return (
        f"{' and '.join(pins)} cannot be installed for Python {version} ({short(lines[-1].strip(), 300)}); take "
        "another Python or a machine with the network, or measure without --against"
    )
