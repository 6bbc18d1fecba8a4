"""stable-baselines3 on one task alone: what a learner that is told nothing of the others needs, and where it ends.

The oracle of a comparison: a meta-learner's few episodes stand beside the env steps that PPO or SAC take from scratch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np

from metarl.envs.single_task_env import SingleTaskEnv
from metarl.errors import UserError
from metarl.tasks import TaskDistribution
from metarl.types import Task
from metarl.validate import Bounds, Checked, Count, Natural, Share

Algorithm = Literal["ppo", "sac", "plain", "ours"]


@dataclass(frozen=True, kw_only=True)
class OracleConfig(Checked):
    """Settings of a training on one task alone, whose score says what is possible there."""

    algorithm: Algorithm = "ppo"
    env_steps: Count = 100_000
    eval_every_env_steps: Count = 10_000
    eval_episodes: Count = 5
    """With the mean action; their steps are not counted."""
    hidden: tuple[Count, ...] = (128, 128)
    gamma: Share = 0.99
    seed: Natural = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.algorithm == "ppo":  # SB3's PPO learns from two steps or more
            Bounds(least=2).check("eval_every_env_steps", self.eval_every_env_steps)


@dataclass(frozen=True)
class OraclePoint:
    """What such a training has reached after so many env steps."""

    env_steps: int
    mean_return: float
    success_any: float
    """Share of the episodes that succeed at any step."""


def train_oracle(tasks: TaskDistribution, task: Task, config: OracleConfig) -> Iterator[tuple[OraclePoint, Any]]:
    """Yields each evaluation, from the untrained policy on, with the SB3 model as it is then.

    SB3 seeds the global generators of torch and NumPy: run it in a process of its own where that matters.
    """
    model = _make_model(SingleTaskEnv(tasks, task), config)
    env = SingleTaskEnv(tasks, task)
    try:
        yield _evaluate(model, env, config), model
        while model.num_timesteps < config.env_steps:
            steps = min(config.eval_every_env_steps, config.env_steps - model.num_timesteps)
            model.learn(steps, reset_num_timesteps=False)
            yield _evaluate(model, env, config), model
    finally:
        env.close()
        model.get_env().close()


def _make_model(env: gym.Env, config: OracleConfig) -> Any:
    import stable_baselines3 as sb3

    settings = {
        "policy": "MlpPolicy",
        "env": env,
        "seed": config.seed,
        "gamma": config.gamma,
        "device": "cpu",
        "policy_kwargs": {"net_arch": list(config.hidden)},
    }
    if config.algorithm == "ppo":
        # a rollout no longer than the time to the next evaluation
        return sb3.PPO(**settings, n_steps=min(2048, config.eval_every_env_steps), batch_size=64)
    if not isinstance(env.action_space, gym.spaces.Box):
        raise UserError("SAC needs continuous actions, and this task has discrete ones; take --algorithm ppo")
    return sb3.SAC(**settings)


def _evaluate(model: Any, env: SingleTaskEnv, config: OracleConfig) -> OraclePoint:
    outcomes = [_episode(lambda obs: model.predict(obs, deterministic=True)[0], env, seed=i)
                for i in range(config.eval_episodes)]  # fmt: skip
    returns, successes = zip(*outcomes, strict=True)
    return OraclePoint(model.num_timesteps, float(np.mean(returns)), float(np.mean(successes)))


def _episode(act: Callable[[Any], Any], env: SingleTaskEnv, *, seed: int) -> tuple[float, bool]:
    obs, _ = env.reset(seed=seed)
    total, succeeded, ended = 0.0, False, False
    while not ended:
        obs, reward, terminated, truncated, info = env.step(act(obs))
        total, succeeded, ended = total + reward, succeeded or info["success"], terminated or truncated
    return total, succeeded
