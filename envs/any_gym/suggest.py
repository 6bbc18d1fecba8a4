"""What of an env could vary between tasks: a first `GymTasks` line for somebody who has only the env."""

from __future__ import annotations

from typing import Any

from metarl.envs.any_gym.make import keywords_of, make_env
from metarl.envs.any_gym.own_tasks import missing_methods


def suggestion(reference: str) -> str:
    """One sentence with a line to paste."""
    keywords = {
        name: float(parameter.default)
        for name, parameter in keywords_of(reference).items()
        if isinstance(parameter.default, (int, float)) and not isinstance(parameter.default, bool)
    }
    env = make_env(reference, {})
    try:
        own: Any = env.unwrapped
        if not missing_methods(env):
            return f"make tasks of it with GymTasks({reference!r}, own_tasks=True)"
        if type(vars(own).get("model")).__name__ == "MjModel":
            return f'make tasks of it with GymTasks({reference!r}, model={{"body_mass": LogUniform(0.5, 2)}})'
        numbers = {n: float(v) for n, v in vars(own).items() if type(v) in (int, float) and not n.startswith("_")}
    finally:
        env.close()
    varied = {name: value for name, value in {**keywords, **numbers}.items() if value > 0}
    if not varied:
        return "give its constructor a keyword that changes reward or dynamics, and name it in GymTasks(vary=...)"
    name, value = next(iter(varied.items()))
    others = ", ".join(list(varied)[1:6])
    return (
        f'make tasks of it with GymTasks({reference!r}, vary={{"{name}": Uniform({value / 2:g}, {value * 1.5:g})}})'
        f"{'; it also has ' + others if others else ''}"
    )
