"""Things that other installed packages add, by entry points: task distributions and agents."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from importlib.metadata import entry_points
from typing import Any, TypeVar

Entry = TypeVar("Entry")


def load_plug_ins(
    group: str, to_entry: Callable[[str, Any], Entry], *, taken: Collection[str] = ()
) -> dict[str, Entry]:
    """Entries by name of an entry-point group, such as `metarl.envs`.

    One that cannot be used is left out with a warning that names package, fact and remedy: somebody else's broken
    package must not stop a run that has nothing to do with it.
    """
    found: dict[str, Entry] = {}
    for point in entry_points(group=group):
        where = f"{point.dist.name if point.dist else 'a package'}'s entry point {point.name!r} in group {group!r}"
        if point.name in taken or point.name in found:
            warnings.warn(f"{where} is left out: the name is taken; rename it", RuntimeWarning, stacklevel=2)
            continue
        try:
            found[point.name] = to_entry(point.name, point.load())
        except Exception as error:  # whatever importing a stranger's module raises
            warnings.warn(
                f"{where} is left out: {type(error).__name__}: {error}; fix or uninstall the package",
                RuntimeWarning,
                stacklevel=2,
            )
    return found
