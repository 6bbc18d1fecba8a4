"""MAML on a pendulum whose gravity and length are drawn: an env of gymnasium's plugged in, in a few lines."""

from envs.any_gym import GymTasks, Uniform
from experiments import experiment_on

config, build = experiment_on(GymTasks("Pendulum-v1", vary={"g": Uniform(5, 15), "l": Uniform(0.5, 1.5)}))
