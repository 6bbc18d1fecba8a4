"""Stable-Baselines3's PPO, unchanged, on our Meta-World."""

from __future__ import annotations

import gymnasium
import tyro
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor

from metarl.envs.vector.sb3 import SB3VecEnv


def train(env: str = "metarl/MT1-reach-v3", num_envs: int = 10, env_steps: int = 200_000, seed: int = 0) -> PPO:
    envs = SB3VecEnv(gymnasium.make_vec(env, num_envs=num_envs, autoreset_mode="SameStep"))
    model = PPO("MlpPolicy", VecMonitor(envs), n_steps=500, batch_size=500, seed=seed, device="cpu", verbose=1)
    return model.learn(env_steps)


if __name__ == "__main__":
    tyro.cli(train)
