"""Any gymnasium environment as a task distribution: `GymTasks("Pendulum-v1", vary={"g": Uniform(5, 15)})`."""

from metarl.envs.any_gym.ranges import Choice, LogUniform, Range, Uniform
from metarl.envs.any_gym.tasks import GymTasks

__all__ = ["Choice", "GymTasks", "LogUniform", "Range", "Uniform"]
