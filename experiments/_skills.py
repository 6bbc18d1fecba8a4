"""What the robot skills on Meta-World share: MAML as in ml1_reach_maml, on another of the 50 tasks."""

from __future__ import annotations

from metarl.agents.maml import MAMLConfig
from metarl.envs.metaworld.ml1 import ML1
from metarl.experiment import RLSettings, TrainerConfig
from metarl.experiments._plug_in import ConfigAndBuild, experiment_on
from metarl.rollout.pool import PoolConfig
from metarl.scores.rl import EvaluationConfig


def skill(env_name: str, *, iterations: int = 50, max_kl: float = 0.01) -> ConfigAndBuild:
    """Ten adaptation episodes in two inner steps, 100k env steps an iteration; a larger max_kl goes further in each.

    What the skills' files say they reached was measured with `--max-tasks 20 --test-episodes 5` (turn_dial with 3).
    """
    return experiment_on(
        ML1(env_name=env_name),
        "maml",
        agent_config=MAMLConfig(inner_steps=2, max_kl=max_kl),
        trainer=TrainerConfig(iterations=iterations, meta_batch_size=10),
        rl=RLSettings(
            support_episodes=5,
            query_episodes=10,
            evaluation=EvaluationConfig(adaptation_rounds=2, adaptation_episodes=5),
            pool=PoolConfig(lanes_per_group=25),
        ),
    )
