"""Every task distribution by name: a new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envs.bandits import Bandits
from envs.metaworld.ml import ML
from envs.metaworld.ml1 import ML1
from envs.metaworld.mt import MT
from envs.navigation import Navigation
from metarl.tasks import TaskDistribution


@dataclass(frozen=True)
class EnvEntry:
    description: str
    """One line, for `metarl list`."""
    make: Callable[[], TaskDistribution]
    """The distribution with its default settings; cheap, since goal lists are read when first asked for."""


ENVS: dict[str, EnvEntry] = {
    "navigation": EnvEntry("a point walks to a hidden goal (Finn et al. 2017); 100 steps", Navigation),
    "bandits": EnvEntry("10-armed Bernoulli bandits (Duan et al. 2016); 100 pulls", Bandits),
    "ml1": EnvEntry("one Meta-World task, any of 50: 50 goals to train on, 50 to test on", ML1),
    "ml10": EnvEntry("Meta-World: 10 kinds of task to train on, 5 others to test on", lambda: ML(benchmark="ML10")),
    "ml25": EnvEntry("Meta-World: 25 and 5, basketball in both", lambda: ML(benchmark="ML25")),
    "ml45": EnvEntry("Meta-World: 45 and 5", lambda: ML(benchmark="ML45")),
    "mt1": EnvEntry("one Meta-World task, goal shown: multi-task learning", lambda: MT(benchmark="MT1")),
    "mt10": EnvEntry("10 Meta-World tasks, goal and task id shown", lambda: MT(benchmark="MT10")),
    "mt25": EnvEntry("25 Meta-World tasks, goal and task id shown", lambda: MT(benchmark="MT25")),
    "mt50": EnvEntry("50 Meta-World tasks, goal and task id shown", lambda: MT(benchmark="MT50")),
}
