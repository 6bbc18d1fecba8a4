"""Find an experiment by its name in experiments/, or by the path of a user's own file."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import metarl
from metarl.errors import UserError, nearest


def experiments_directory() -> Path:
    """The experiments/ that belongs to this metarl. Raises UserError if another package has taken the name."""
    ours = Path(metarl.__file__).parent.parent / "experiments"
    spec = importlib.util.find_spec("experiments")
    origin = Path(spec.origin).parent if spec and spec.origin else None
    if origin is None or origin.resolve() != ours.resolve():
        raise UserError(
            f"the package 'experiments' is found in {origin}, not in {ours}, so another package has taken its "
            "name; uninstall that one or install metarl in a fresh virtual environment"
        )
    return ours


def experiment_names() -> list[str]:
    return sorted(path.stem for path in experiments_directory().glob("*.py") if not path.stem.startswith("_"))


def first_line(name: str) -> str:
    """Of the experiment's docstring."""
    return first_line_of(experiments_directory() / f"{name}.py")


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
    names = experiment_names()
    if name not in names:
        raise UserError(
            f"unknown experiment {name!r}{nearest(name, names)}; `metarl list` shows them all, and a path to "
            "your own file ends in .py"
        )
    return importlib.import_module(f"experiments.{name}")


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
        raise UserError(f"{path}, line {error.lineno}: {error.msg}; mend the file") from error
    except ImportError as error:
        raise UserError(f"{path} cannot be imported: {error}; install what it needs, or mend the file") from error
    if Path(module.__file__ or "").resolve() != path:
        raise UserError(
            f"{path} cannot be imported as {path.stem!r}, a name that {module.__file__} has taken; rename it"
        )
    return module
