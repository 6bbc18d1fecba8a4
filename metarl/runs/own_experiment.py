"""An experiment file of your own and the modules beside it that it imports, as a run keeps them: RUN/experiment/."""

from __future__ import annotations

import ast
import atexit
import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from metarl.errors import UserError

DIRECTORY = "experiment"
"""Below the run's."""
MAX_FILES, MAX_BYTES = 500, 2**22
_NAMED = re.compile(r"(\w+)(?:\.\w+)*:\S")
"""A module in a text: 'my_env:Point'."""
_OURS = "metarl"
"""Not copied where an experiment file lies in a checkout: versions.json has its commit."""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of config.json."""

    path: str
    """Where the file lay, for people: nothing is read from there."""
    sha256: str
    """Of all files (`digest`)."""
    files: tuple[str, ...]
    """Below RUN/experiment, the experiment's own first."""


@dataclass(frozen=True)
class OwnExperiment:
    """A user's experiment file and the modules beside it, as they were when the run started."""

    path: Path
    """Of the file, resolved."""
    files: Mapping[str, bytes]
    """By its place beside the experiment file, which comes first."""

    @property
    def sha256(self) -> str:
        return digest(self.files)

    @property
    def source(self) -> Source:
        return Source(str(self.path), self.sha256, tuple(self.files))


def read_experiment(path: Path) -> OwnExperiment:
    """The file with all modules beside it that it imports, those that they import, and so on. Raises UserError."""
    path = path.resolve()
    files: dict[str, bytes] = {}
    to_read = [path]
    while to_read:
        file = to_read.pop(0)
        name = file.relative_to(path.parent).as_posix()
        if name in files:
            continue
        files[name] = _read(file)
        if len(files) > MAX_FILES:
            raise UserError(
                f"{path} imports more than {MAX_FILES} files beside it, which a run would keep; move it into a folder "
                "of its own"
            )
        to_read += [module for top in _imported(files[name]) for module in _modules(path.parent, top)]
    return OwnExperiment(path, files)


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over the names and contents of files."""
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def place_of(files: Mapping[str, bytes]) -> Path:
    """The path of an experiment file to import: files as a run keeps them, written to a folder of this process.

    They are not run where they lie, since other modules may lie there as well.
    """
    name = next(iter(files))
    loaded = sys.modules.get(PurePosixPath(name).stem)
    if loaded is not None and loaded.__file__ is not None:  # a name can be imported once in a process
        path = Path(loaded.__file__)
        if path.name == name and read_experiment(path).sha256 == digest(files):
            return path
    folder = Path(tempfile.mkdtemp(prefix="metarl-experiment-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for place, data in files.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(data)
    return folder / name


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise UserError(f"no experiment file at {path}; give an existing .py file or a name from `metarl list`")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise UserError(f"{path} has {size} bytes, more than the {MAX_BYTES} of a module that a run keeps; shorten it")
    return path.read_bytes()


def _imported(code: bytes) -> Iterator[str]:
    """First names of what a module imports anywhere; of a package that it lies in, all is read anyway.

    An env that is named by a text, such as GymTasks("my_env:Point"), is imported as well.
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):  # importing it says so
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (named := _NAMED.match(node.value)):
            yield named[1]


def _modules(folder: Path, name: str) -> Iterator[Path]:
    if name == _OURS:
        return
    if (folder / f"{name}.py").is_file():
        yield folder / f"{name}.py"
    yield from sorted((folder / name).rglob("*.py"))
