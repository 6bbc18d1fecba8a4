"""MAML on a cart-pole whose pole length is drawn: a factory plugged in, for CartPole computes with the length at once."""

import gymnasium as gym

from envs.any_gym import GymTasks, Uniform
from experiments import experiment_on


def cartpole(length: float) -> gym.Env:
    env = gym.make("CartPole-v1", disable_env_checker=True, max_episode_steps=-1)
    env.unwrapped.length, env.unwrapped.polemass_length = length, env.unwrapped.masspole * length
    return env


config, build = experiment_on(GymTasks(cartpole, vary={"length": Uniform(0.1, 3.0)}, horizon_steps=200))
