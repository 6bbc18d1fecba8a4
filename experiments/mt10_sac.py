"""MT10 by one agent, from replay: ten Meta-World tasks with random goals that are shown."""

from __future__ import annotations

from metarl.agents.sac import SACConfig
from metarl.envs.metaworld.mt import MT
from metarl.experiment import RLSettings, TrainerConfig
from metarl.experiments._plug_in import experiment_on
from metarl.rollout.pool import PoolConfig
from metarl.scores.rl import EvaluationConfig

config, build = experiment_on(
    MT(benchmark="MT10"),
    "sac",
    agent_config=SACConfig(value_sign="positive", smallest_return_scale=0.2, replay_capacity=250_000),
    trainer=TrainerConfig(iterations=400, meta_batch_size=10, threads=2),
    rl=RLSettings(
        query_episodes=1,
        evaluation=EvaluationConfig(adaptation_rounds=0, test_episodes=1),
        pool=PoolConfig(lanes_per_group=5),
    ),
)
