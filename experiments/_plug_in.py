"""An experiment in a line: any registered agent, or one of another package, on any task distribution."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from metarl.agents.registry import AgentEntry, all_agents
from metarl.errors import UserError, nearest
from metarl.experiment import RLExperiment, RLSettings, TrainerConfig
from metarl.experiments._build import build_with
from metarl.rollout.pool import PoolConfig
from metarl.scores.rl import EvaluationConfig
from metarl.tasks import TaskDistribution

ConfigAndBuild = tuple[Callable[[], Any], Callable[[Any], RLExperiment]]
"""The `config` and `build` of an experiment file."""

_TRAINER = TrainerConfig(iterations=100, meta_batch_size=20)
_TRIALS = RLSettings(
    query_episodes=10,
    # episode by episode up to the tenth, which is as far as a trial goes in training
    evaluation=EvaluationConfig(adaptation_episodes=1, adaptation_rounds=9),
    # a trial is one lane: two groups of ten keep both workers busy
    pool=PoolConfig(lanes_per_group=10),
)
"""Of RL², as on Meta-World; trials of two, with as many env steps, were no faster on a pendulum of one's own."""
_BELIEFS = RLSettings(
    support_episodes=2,
    query_episodes=2,
    evaluation=EvaluationConfig(adaptation_episodes=1, adaptation_rounds=3),
)
"""Of PEARL: few episodes of a task, since each is learned from many times."""
_RL = {"rl2": _TRIALS, "pearl": _BELIEFS}


def experiment_on(
    tasks: TaskDistribution,
    agent: str | AgentEntry = "maml",
    *,
    agent_config: Any = None,
    trainer: TrainerConfig = _TRAINER,
    rl: RLSettings | None = None,
) -> ConfigAndBuild:
    """`config, build = experiment_on(tasks)`, at the top of an experiment file, is all that `metarl train` needs.

    `agent` is a name of `metarl list`, or an agent of your own. `agent_config` is its own dataclass, with its defaults
    if not given; `rl` is, for RL², trials of ten episodes, and for PEARL two episodes a set. Each setting is a flag of
    the command line as well. Raises UserError for an unknown agent.
    """
    entry = agent if isinstance(agent, AgentEntry) else _entry(agent)
    own = entry.config
    if agent_config is not None and not isinstance(agent_config, type(own)):
        raise UserError(
            f"{agent if entry is not agent else entry.description} takes a {type(own).__name__}, not a "
            f"{type(agent_config).__name__}; give one that is"
        )
    parts = {
        "trainer": trainer,
        "agent": own if agent_config is None else agent_config,
        "tasks": tasks,
        "rl": rl or _RL.get(str(agent), RLSettings()),
    }
    Config = dataclasses.make_dataclass(
        "Config", [(name, type(part)) for name, part in parts.items()], frozen=True, kw_only=True
    )
    return lambda: Config(**parts), lambda config: build_with(entry.build, config)


def _entry(name: str) -> AgentEntry:
    agents = all_agents()
    if name not in agents:
        raise UserError(f"unknown agent {name!r:.100}{nearest(str(name), agents)}; `metarl list` names them all")
    return agents[name]
