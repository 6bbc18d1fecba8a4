"""One experiment a file, or several of a kind. `experiment_on(tasks)` makes one of any task distribution.

Each of several is a module too: `import metarl.experiments.navigation_maml` gives `VARIANTS["maml"]` of navigation.py
as if it had a file of its own, which your own experiment files may build upon.
"""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from metarl.experiments._plug_in import experiment_on
from metarl.runs.find import experiment_names, load_experiment

__all__ = ["experiment_on"]


class _Variants(MetaPathFinder, Loader):
    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Asked after the files."""
        package, _, name = fullname.rpartition(".")
        return ModuleSpec(fullname, self) if package == __name__ and name in experiment_names() else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return load_experiment(spec.name.rpartition(".")[2])

    def exec_module(self, module: ModuleType) -> None:
        """It is complete."""


sys.meta_path.append(_Variants())
