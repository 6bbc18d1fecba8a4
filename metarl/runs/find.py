"""Find an experiment by its name in the installed packages of experiments, or by the path of a user's own file."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from metarl.errors import UserError, nearest

GROUP = "metarl.experiments"
"""Of entry points: a package whose modules are experiments, such as our own."""


def _packages() -> dict[str, Path]:
    """Packages of experiment files and their folders, named by entry points. Raises UserError where there is none."""
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name != "metarl")  # a name of ours stays ours
    specs = {point.value: importlib.util.find_spec(point.value) for point in points}
    found = {package: Path(spec.origin).parent for package, spec in specs.items() if spec and spec.origin}
    if not found:
        raise UserError("no package of experiments is installed; install metarl with `pip install -e .` in its folder")
    return found


def experiments_directory() -> Path:
    """The experiments/ that belongs to this metarl."""
    return next(iter(_packages().values()))


def _files() -> dict[str, tuple[str, Path]]:
    """(package, file) of each experiment by its name."""
    found: dict[str, tuple[str, Path]] = {}
    for package, folder in _packages().items():
        for path in sorted(folder.glob("*.py")):
            if not path.stem.startswith("_"):
                found.setdefault(path.stem, (package, path))
    return found


def experiment_names() -> list[str]:
    return sorted(_files())


def first_line(name: str) -> str:
    """Of the experiment's docstring."""
    return first_line_of(_files()[name][1])


def first_line_of(path: Path) -> str:
    """Of a module's docstring, read without importing it."""
    tree = ast.parse(path.read_text())
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def load_experiment(name: str) -> ModuleType:
    """The module of an experiment: it has `config()` and `build(config)`.

    `name` is one of `experiment_names()`, or the path of a .py file. Raises UserError.
    """
    module = _load_file(Path(name)) if name.endswith(".py") else _load_named(name)
    missing = [function for function in ("config", "build") if not callable(vars(module).get(function))]
    if missing:
        raise UserError(
            f"experiment {name} has no function {' and no '.join(missing)}; an experiment file defines config(), "
            "which returns a frozen dataclass, and build(config)"
        )
    return module


def _load_named(name: str) -> ModuleType:
    files = _files()
    if name not in files:
        raise UserError(
            f"unknown experiment {name!r}{nearest(name, files)}; `metarl list` shows them all, and a path to "
            "your own file ends in .py"
        )
    package, _ = files[name]
    return importlib.import_module(f"{package}.{name}")


def _load_file(path: Path) -> ModuleType:
    """Imported under its own stem with its folder on sys.path, so that workers can import its classes too."""
    path = path.resolve()
    if not path.is_file():
        raise UserError(f"no experiment file at {path}; give an existing .py file or a name from `metarl list`")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    try:
        module = importlib.import_module(path.stem)
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno}: {error.msg}; fix the file") from error
    except ImportError as error:
        raise UserError(f"{path} cannot be imported: {error}; install what it needs, or fix the file") from error
    if Path(module.__file__ or "").resolve() != path:
        raise UserError(
            f"{path} cannot be imported as {path.stem!r}, a name that {module.__file__} has taken; rename it"
        )
    return module
