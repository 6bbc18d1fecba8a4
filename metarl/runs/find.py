"""Find an experiment by its name in the installed packages of experiments, or by the path of a user's own file.

A file holds one experiment, `config()` and `build(config)`, or several that have much in common, its `VARIANTS`.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

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


class _Place(NamedTuple):
    package: str
    path: Path
    variant: str = ""
    """Of a file of several experiments."""


def _places() -> dict[str, _Place]:
    """By name: the file's, or FILE_VARIANT."""
    found: dict[str, _Place] = {}
    for package, folder in _packages().items():
        for path in sorted(folder.glob("*.py")):
            if path.stem.startswith("_"):
                continue
            variants = _variants(path)
            for variant in variants:
                found.setdefault(f"{path.stem}_{variant}", _Place(package, path, variant))
            if not variants:
                found.setdefault(path.stem, _Place(package, path))
    return found


@functools.cache
def _variants(path: Path) -> tuple[str, ...]:
    """The keys of `VARIANTS = {...}` in a file of several experiments, read without importing it."""
    for statement in ast.parse(path.read_bytes()).body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name("VARIANTS")], value=ast.Dict(keys=keys))
                | ast.AnnAssign(target=ast.Name("VARIANTS"), value=ast.Dict(keys=keys))
            ):
                return tuple(key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
    return ()


def experiment_names() -> list[str]:
    """Of all installed experiments, sorted; an experiment of a file of several is FILE_VARIANT."""
    return sorted(_places())


def stored_name(name: str) -> str:
    """The name that runs, records and their directories bear: `navigation_maml` for `navigation:maml`."""
    return name if name.endswith(".py") else name.replace(":", "_")


def listed() -> dict[str, str]:
    """Name and first line of each experiment file; of several experiments, `FILE:VARIANT` and which there are."""
    found = {}
    for name, place in sorted(_places().items()):
        if place.variant:
            variants = ", ".join(_variants(place.path))
            found[f"{place.path.stem}:VARIANT"] = f"{first_line_of(place.path)} VARIANT: {variants}"
        else:
            found[name] = first_line_of(place.path)
    return found


def about(name: str) -> str:
    """What an experiment is, by its own words; of one of several in a file, the file's and its own.

    Empty for a file of your own, which is not imported for this, and for an experiment that is no more.
    """
    place = _places().get(stored_name(name))
    if place is None:
        return ""
    line = first_line_of(place.path)
    if not place.variant:
        return line
    return f"{line} {(load_experiment(name).__doc__ or '').partition(chr(10))[0]}"


def first_line_of(path: Path) -> str:
    """Of a module's docstring, read without importing it."""
    tree = ast.parse(path.read_bytes())
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def load_experiment(name: str) -> ModuleType:
    """The module of an experiment: it has `config()` and `build(config)`.

    `name` is one of `experiment_names()`, FILE:VARIANT, or the path of a .py file. Raises UserError.
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
    places = _places()
    place = places.get(stored_name(name))
    if place is None:
        variants = [f"{p.path.stem}:{p.variant}" for p in places.values() if p.variant and p.path.stem == name]
        if variants:
            raise UserError(f"{name!r} is a file of several experiments; give one of {', '.join(variants)}")
        raise UserError(
            f"unknown experiment {name!r}{nearest(stored_name(name), places)}; `metarl list` shows them all, and a "
            "path to your own file ends in .py"
        )
    module = importlib.import_module(f"{place.package}.{place.path.stem}")
    return _as_module(module, place.variant) if place.variant else module


@functools.cache
def _as_module(family: ModuleType, variant: str) -> ModuleType:
    """One of its experiments, as a file of its own would be: config, build and Config."""
    found = family.VARIANTS[variant]
    module = ModuleType(f"{family.__name__}_{variant}", found.about)
    vars(module).update(config=found.config, build=found.build, Config=found.Config)
    return module


def _load_file(path: Path) -> ModuleType:
    """Imported under its own stem with its folder on sys.path, so that workers can import its classes too."""
    if not path.is_file():  # before it is resolved, which a loop of links is not
        raise UserError(f"no experiment file at {path}; give an existing .py file or a name from `metarl list`")
    path = path.resolve()
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
