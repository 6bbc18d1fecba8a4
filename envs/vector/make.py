"""What `gymnasium.make` and `gymnasium.make_vec` call for an id of ours."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from metarl.envs.registry import ENVS
from metarl.envs.vector.one_env import OneEnv
from metarl.envs.vector.vector_env import LaneVectorEnv
from metarl.errors import UserError, nearest
from metarl.tasks import TaskDistribution

OF_ENV = ("split", "render_mode", "render_size", "max_episode_steps")
OF_VECTOR = (*OF_ENV, "autoreset_mode", "workers")


def make_one(name: str, **settings: Any) -> OneEnv:
    """An env of the distribution `name`; see `OneEnv`. Other settings are the distribution's, as reward_version."""
    of_env, of_tasks = _sorted_out(settings, OF_ENV)
    return OneEnv(tasks_named(name, of_tasks, also=OF_ENV), **of_env)


def make_vector(name: str, num_envs: int, **settings: Any) -> LaneVectorEnv:
    """Envs of the distribution `name`; see `LaneVectorEnv`. Other settings are the distribution's."""
    of_env, of_tasks = _sorted_out(settings, OF_VECTOR)
    return LaneVectorEnv(tasks_named(name, of_tasks, also=OF_VECTOR), num_envs, **of_env)


def tasks_named(name: str, settings: dict[str, Any], *, also: tuple[str, ...] = ()) -> TaskDistribution:
    """The registry's distribution with these settings. Raises UserError for one that it has not."""
    tasks: Any = ENVS[name].make()
    known = [field.name for field in fields(tasks) if field.name != "name"]
    for setting in settings:
        if setting not in known:
            valid = [*also, *known]
            raise UserError(f"{name} has no setting {setting!r}{nearest(setting, valid)}; it has {', '.join(valid)}")
    return replace(tasks, **settings)


def _sorted_out(settings: dict[str, Any], names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those of these names, and the others."""
    chosen = {name: value for name, value in settings.items() if name in names}
    return chosen, {name: value for name, value in settings.items() if name not in names}
