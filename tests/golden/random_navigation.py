"""The floor of every comparison, as an experiment: uniformly random actions on 2D navigation."""

from __future__ import annotations

from metarl.envs.navigation import Navigation
from metarl.experiments._plug_in import experiment_on

config, build = experiment_on(Navigation(), "random")
