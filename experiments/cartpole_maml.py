"""MAML on a cart-pole whose pole length is drawn, and which way its motor is wired: a factory plugged in.

The return counts the steps that the pole stays up, of 200. With the length alone one policy balances all poles, and
there is nothing to adapt to.

Record: none yet.
"""

from typing import Any

import gymnasium as gym

from metarl.agents.maml import MAMLConfig
from metarl.envs.any_gym import Choice, GymTasks, Uniform
from metarl.experiment import RLSettings, TrainerConfig
from metarl.experiments import experiment_on
from metarl.scores.rl import EvaluationConfig


def cartpole(length: float, wiring: float, **kwargs: Any) -> gym.Env:
    env = gym.make("CartPole-v1", disable_env_checker=True, max_episode_steps=-1, **kwargs)
    own: Any = env.unwrapped
    # CartPole keeps a product of the length
    own.length, own.polemass_length, own.force_mag = length, own.masspole * length, 10.0 * wiring
    return env


tasks = GymTasks(cartpole, vary={"length": Uniform(0.1, 3.0), "wiring": Choice(-1.0, 1.0)}, horizon_steps=200)
config, build = experiment_on(
    tasks,
    agent_config=MAMLConfig(inner_lr=0.5, inner_steps=2, gae_lambda=0.95),
    trainer=TrainerConfig(iterations=20, meta_batch_size=20),
    rl=RLSettings(evaluation=EvaluationConfig(adaptation_rounds=2)),
)
