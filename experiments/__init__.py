"""One experiment a file. `experiment_on(tasks)` makes one of any task distribution."""

from metarl.experiments._plug_in import experiment_on

__all__ = ["experiment_on"]
