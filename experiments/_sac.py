"""SAC on Meta-World's multi-task benchmarks, and presets by others' settings."""

from __future__ import annotations

from metarl.agents.sac import SACConfig
from metarl.envs.any_gym import GymTasks
from metarl.envs.any_gym.make import needed_horizon
from metarl.envs.metaworld.mt import MT
from metarl.experiment import RLSettings, TrainerConfig
from metarl.experiments._plug_in import Experiment, experiment_on
from metarl.rl.exploration_noise import ExplorationConfig
from metarl.rollout.pool import PoolConfig
from metarl.scores.rl import EvaluationConfig

METAWORLD = SACConfig(
    value_sign="positive",
    smallest_return_scale=0.2,
    replay_capacity=250_000,
    focus=0.5,
    first_temperature=0.05,
    early_entropy=-0.4,
    widest_noise=4.0,
)
"""Its rewards lie between 0 and 10. What the entropy, the first temperature, the focus and the wide noise gave is in
LOG.md."""
PLAIN = SACConfig(
    actor_hidden=(256, 256),
    critic_hidden=(256, 256),
    layer_norm=False,
    value="scalar",
    actor_value="least",
    return_scale=False,
    normalize_obs_steps=0,
    lr=3e-4,
    batch_size=256,
    replay_ratio=256,
    warmup_steps=100,
    n_step=1,
    target_step=0.005,
    actor_every=1,
    first_temperature=1.0,
    precision="float32",
    exploration=ExplorationConfig(),
)
"""Haarnoja et al.'s (2018), as stable-baselines3 has them."""


def sac_on_mt(tasks: MT, *, num_classes: int, iterations: int) -> Experiment:
    """An iteration is an episode of each class, 500 env steps; two threads, since the workers wait meanwhile."""
    return experiment_on(
        tasks,
        "sac",
        agent_config=METAWORLD,
        trainer=TrainerConfig(
            iterations=iterations, meta_batch_size=num_classes, threads=2, checkpoint_every_iterations=20
        ),
        rl=RLSettings(
            query_episodes=1,
            # nothing to adapt: the task is shown; one episode on each of the 50 goals of a class
            evaluation=EvaluationConfig(adaptation_rounds=0, test_episodes=1),
            pool=PoolConfig(lanes_per_group=max(1, min(50, num_classes // 2))),
        ),
    )


def sac_on_one_env(tasks: GymTasks, *, env_steps: int, warmup_steps: int = 5_000) -> Experiment:
    """An iteration is an episode; a gradient step every four env steps. Scored on 20 episodes."""
    horizon = needed_horizon(tasks.env)
    return experiment_on(
        tasks,
        "sac",
        agent_config=SACConfig(
            critic_hidden=(256, 256),
            actor_hidden=(256, 256),
            batch_size=256,
            replay_ratio=64,
            n_step=3,
            warmup_steps=warmup_steps,
        ),
        trainer=TrainerConfig(
            iterations=env_steps // horizon, meta_batch_size=1, checkpoint_every_iterations=10, log_every_iterations=5
        ),
        rl=RLSettings(query_episodes=1, evaluation=EvaluationConfig(adaptation_rounds=0, test_episodes=20)),
    )
