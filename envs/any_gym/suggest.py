"""What of an env could vary between tasks: a first experiment file for somebody who has only the env."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium as gym

from metarl.envs.any_gym.horizon import Horizon
from metarl.envs.any_gym.inspect_env import SameTasksWarning
from metarl.envs.any_gym.make import keywords_of, made_env
from metarl.envs.any_gym.own_tasks import missing_methods
from metarl.envs.any_gym.ranges import LogUniform, Uniform
from metarl.envs.any_gym.tasks import GymTasks
from metarl.errors import UserError

_MOST = 10
"""Names that are tried, each in several whole episodes."""


class Suggestion(NamedTuple):
    """What `check-env` proposes for an env: a sentence, and an experiment file to begin with."""

    sentence: str
    file: str | None
    """A whole experiment file, of tasks that were seen to differ; None where there are no such."""


def suggestion(reference: str, horizon: Horizon) -> Suggestion:
    """The first of what the env has whose tasks differ."""
    with made_env(reference, {}) as env:
        candidates = list(_candidates(reference, env))
    limit = f", horizon_steps={horizon.steps}" if horizon.seen else ""
    for arguments, words in candidates[:_MOST]:
        if not _differ(GymTasks(reference, **arguments, horizon_steps=horizon.steps)):
            continue
        line = f'GymTasks("{reference}", {words}{limit})'
        others = ", ".join(name for more, _ in candidates[:_MOST] for name in more.get("vary", ()) if name not in words)
        return Suggestion(
            f"make tasks of it with {line}{'; it also has ' + others if others else ''}", _file(reference, line)
        )
    return Suggestion(
        "give its constructor a keyword that changes reward or dynamics, and name it in GymTasks(vary=...)", None
    )


def _candidates(reference: str, env: gym.Env) -> Iterator[tuple[dict[str, Any], str]]:
    """(arguments of GymTasks, the same as one would write them), the most likely first."""
    own: Any = env.unwrapped
    if not missing_methods(env):
        yield {"own_tasks": True}, "own_tasks=True"
    if type(vars(own).get("model")).__name__ == "MjModel":
        yield {"model": {"body_mass": LogUniform(0.5, 2)}}, 'model={"body_mass": LogUniform(0.5, 2)}'
    defaults = {name: parameter.default for name, parameter in keywords_of(reference).items()}
    attributes = {name: value for name, value in vars(own).items() if not name.startswith("_")}
    for name, value in {**defaults, **attributes}.items():
        if type(value) in (int, float) and value > 0:
            low, high = float(f"{value / 2:g}"), float(f"{value * 1.5:g}")
            yield {"vary": {name: Uniform(low, high)}}, f'vary={{"{name}": Uniform({low:g}, {high:g})}}'


def _differ(tasks: GymTasks) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error", SameTasksWarning)
        try:
            return tasks.spec.obs_dim > 0
        except (UserError, SameTasksWarning):  # such as a whole number that is none any more
            return False


def _file(reference: str, line: str) -> str:
    return f'''"""{reference.rpartition(":")[2]} in tasks that differ: what varies is a first guess, to be replaced."""

from metarl.envs.any_gym import Choice, GymTasks, LogUniform, Uniform
from metarl.experiments import experiment_on

tasks = {line}
config, build = experiment_on(tasks, "rl2")
'''
