"""Every task distribution by name: a new one is a file and a line here, or an entry point of another package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from metarl.envs.bandits import Bandits
from metarl.envs.metaworld.continual import ContinualWorld
from metarl.envs.metaworld.ml import ML
from metarl.envs.metaworld.ml1 import ML1
from metarl.envs.metaworld.mt import MT
from metarl.envs.mujoco_v5.tasks import FAMILIES, RobotTasks
from metarl.envs.navigation import Navigation
from metarl.envs.point_robot import PointRobot
from metarl.envs.tabular_mdp import TabularMDPs
from metarl.plug_ins import load_plug_ins
from metarl.tasks import TaskDistribution


@dataclass(frozen=True)
class EnvEntry:
    """A task distribution in the table that `metarl list` shows and commands choose from."""

    description: str
    """One line, for `metarl list`."""
    make: Callable[[], TaskDistribution]
    """The distribution with its default settings; cheap, since goal lists are read when first asked for."""
    parameters: str = ""
    """What a task's parameters are and from which range they come; this and what follows for `list --verbose`."""
    split: str = ""
    """What is trained on, and what is held out."""
    source: str = ""
    """Paper, and the code that the definition was read from."""
    same_tasks: bool = False
    """There are so few tasks that they are trained on and tested on."""


_MW = "Yu et al. 2019; package metaworld 3.1.1"
_MT: dict[int, Literal["MT1", "MT10", "MT25", "MT50"]] = {1: "MT1", 10: "MT10", 25: "MT25", 50: "MT50"}
_CW: dict[Literal["CW10", "CW20"], str] = {"CW10": "ten", "CW20": "twice ten"}
_DRAWS = "train new draws, test {} fixed others"

ENVS: dict[str, EnvEntry] = {
    "navigation": EnvEntry(
        "a point walks to a hidden goal",
        Navigation,
        "goal U[-0.5, 0.5]^2",
        _DRAWS.format(200),
        "Finn et al. 2017, section 5.3; code cbfinn/maml_rl",
    ),
    "navigation-sparse": EnvEntry(
        "the same, with a reward near the goal only",
        lambda: Navigation(name="navigation-sparse", variant="sparse"),
        "goal U[-0.5, 0.5]^2; reward within 0.1",
        _DRAWS.format(200),
        "ours, after Finn et al. 2017",
    ),
    "navigation-wind": EnvEntry(
        "the same, blown by a hidden wind",
        lambda: Navigation(name="navigation-wind", variant="wind"),
        "goal U[-0.5, 0.5]^2, wind U[-0.05, 0.05]^2 a step",
        _DRAWS.format(200),
        "ours, after Finn et al. 2017",
    ),
    "point-robot": EnvEntry(
        "a point finds a goal on a half-circle",
        PointRobot,
        "angle U[0, pi], radius 1",
        _DRAWS.format(20),
        "Rakelly et al. 2019; code katerakelly/oyster, point_robot.py (its sparse-point-robot)",
    ),
    "point-robot-sparse": EnvEntry(
        "the same, with a reward within 0.2 of the goal only",
        lambda: PointRobot(sparse=True),
        "angle U[0, pi], radius 1",
        _DRAWS.format(20),
        "Rakelly et al. 2019; code katerakelly/oyster, point_robot.py (its sparse-point-robot)",
    ),
    "bandits": EnvEntry(
        "10-armed Bernoulli bandits",
        Bandits,
        "means U[0, 1]",
        _DRAWS.format(200),
        "Duan et al. 2016, section 3.1",
    ),
    "bandits-gaussian": EnvEntry(
        "10-armed Gaussian bandits",
        lambda: Bandits(name="bandits-gaussian", kind="gaussian"),
        "means N(0, 1), rewards N(mean, 1)",
        _DRAWS.format(200),
        "ours, after Duan et al. 2016",
    ),
    "tabular-mdp": EnvEntry(
        "Markov decision processes of 10 states and 5 actions",
        TabularMDPs,
        "transitions Dirichlet(1, ..., 1), mean rewards N(1, 1)",
        _DRAWS.format(100),
        "Duan et al. 2016, section 3.2",
    ),
    "ml1": EnvEntry(
        "one Meta-World task, any of 50",
        ML1,
        "hidden goal; where objects are",
        "50 goals to train on, 50 others to test on",
        _MW,
    ),
    "ml10": EnvEntry(
        "Meta-World: 10 kinds of task, then 5 others",
        lambda: ML(benchmark="ML10"),
        "task, and hidden goal",
        "10 x 50 train, 5 other classes x 40 test",
        _MW,
    ),
    "ml25": EnvEntry(
        "Meta-World: 25 and 5, basketball in both",
        lambda: ML(benchmark="ML25"),
        "task, and hidden goal",
        "25 x 50 train, 5 classes x 40 test",
        "McLean et al. 2025; package metaworld 3.1.1",
    ),
    "ml45": EnvEntry(
        "Meta-World: 45 kinds of task, then 5 others",
        lambda: ML(benchmark="ML45"),
        "task, and hidden goal",
        "45 x 50 train, 5 other classes x 40 test",
        _MW,
    ),
    **{
        f"mt{n}": EnvEntry(
            "one Meta-World task, goal shown: multi-task learning"
            if n == 1
            else f"{n} Meta-World tasks, goal and task id shown",
            partial(MT, benchmark=benchmark),
            "task, and goal shown",
            "multi-task: trained and tested on the same classes",
            _MW,
        )
        for n, benchmark in _MT.items()
    },
    **{
        sequence.lower(): EnvEntry(
            f"Continual World: {tasks} Meta-World tasks one after another, goal and place in the sequence shown",
            partial(ContinualWorld, sequence=sequence),
            "task, and goal shown",
            "trained on one task at a time, tested on all",
            "Wołczyk et al. 2021; code awarelab/continual_world",
        )
        for sequence, tasks in _CW.items()
    },
    **{
        name: EnvEntry(
            family.summary,
            partial(RobotTasks, family=name),
            family.parameters,
            family.split,
            family.source,
            same_tasks=bool(family.all_params),
        )
        for name, family in FAMILIES.items()
    },
}


def all_envs() -> dict[str, EnvEntry]:
    """`ENVS`, and what other packages add under the entry-point group `metarl.envs`.

    Such an entry point is an EnvEntry, or a callable without arguments that makes the TaskDistribution.
    """

    def entry(name: str, found: Any) -> EnvEntry:
        if isinstance(found, EnvEntry):
            return found
        if not callable(found):
            raise TypeError(f"{found!r} is neither an EnvEntry nor a callable that makes a task distribution")
        make: Any = found
        return EnvEntry((make.__doc__ or "").strip().partition("\n")[0], make)

    return {**ENVS, **load_plug_ins("metarl.envs", entry, taken=ENVS)}
