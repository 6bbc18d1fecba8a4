"""What RL² on a single task of Meta-World shares: trials of ten episodes, ten at a time on each of two workers."""

from __future__ import annotations

from dataclasses import replace

from metarl.agents.rl2 import RL2Config
from metarl.envs.metaworld.ml1 import ML1
from metarl.experiment import RLSettings, TrainerConfig
from metarl.experiments._plug_in import ConfigAndBuild, experiment_on
from metarl.rollout.pool import PoolConfig
from metarl.scores.rl import EvaluationConfig

# Normalised inputs, the large lr and the changes each save a third of the env steps or more on reach (LOG.md).
# Adam moves the noise's log_std by at most lr a step: at 5e-4 it takes 40 updates to halve it.
AGENT = RL2Config(hidden_dim=128, normalize_inputs=True, input_changes=True, lr=1.5e-3, epochs=8, entropy_coef=1e-3)


def rl2_on_ml1(
    env_name: str, *, iterations: int, object_jitter: float, anneal_updates: int | None = None
) -> ConfigAndBuild:
    """100k env steps an iteration. Without the jitter (metres) a memory learns which object lies where.

    `anneal_updates`: those of lr and bonus, if not `iterations`.
    """
    return experiment_on(
        ML1(env_name=env_name, object_jitter=object_jitter),
        "rl2",
        agent_config=replace(AGENT, anneal_updates=anneal_updates or iterations),
        trainer=TrainerConfig(iterations=iterations, meta_batch_size=20),
        rl=RLSettings(
            query_episodes=10,
            # episode by episode up to the tenth, which is as far as a trial goes in training
            evaluation=EvaluationConfig(adaptation_episodes=1, test_episodes=1, adaptation_rounds=9),
            # a trial is one lane: two groups of ten keep both workers busy
            pool=PoolConfig(lanes_per_group=10),
        ),
    )
