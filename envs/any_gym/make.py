"""From what a user names an environment by, to the environment.

A name is a registered id (`Pendulum-v1`), an id of a module that registers it (`my_package:MyEnv-v0`), or a factory
in a module (`my_package.my_module:make`), which is how a function is written down that workers must find as well.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import gymnasium as gym
from gymnasium import Space
from gymnasium.envs.registration import load_env_creator

from metarl.envs.any_gym.faults import faults_of
from metarl.errors import UserError, nearest, sentence_of
from metarl.runs.find import experiment_names

MOST_STEPS = 20_000
"""A registered limit above it stands for none."""

Factory = Callable[..., gym.Env]


def reference_to(env: Any) -> str:
    """The name that finds `env` again in another process. Raises UserError for what has none."""
    if isinstance(env, str):
        return env
    if not callable(env):
        raise UserError(f"env={env!r} must be a gymnasium id or a function that makes an env, not a live {type(env)}")
    name, module = getattr(env, "__qualname__", ""), getattr(env, "__module__", "")
    if not name or "<" in name:
        raise UserError(
            f"the env factory {name or env!r} of {module or 'no module'} cannot be pickled, so no worker could make "
            "its envs; write it as a `def` at the top of a module (and give what it closed over in `kwargs`)"
        )
    return f"{module}:{name}"


def factory_of(reference: str) -> Factory:
    """The function that makes envs of that name from keywords. Raises UserError."""
    module_name, _, name = reference.rpartition(":")
    if not module_name:
        _check_id(reference)
        return _from_registry(reference)
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # the module's own faults as well
        raise UserError(
            f"env {reference!r}: module {module_name!r} cannot be imported ({sentence_of(error)}); fix its name or "
            "the module"
        ) from error
    module = found
    for part in name.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    if callable(found):
        factory: Any = found
        return factory
    if name in gym.registry:
        return _from_registry(name)
    if module_name == "__main__":
        raise UserError(
            f"env {reference!r}: {name!r} is not known here; worker processes do not see what a notebook or a prompt "
            f"holds: write it into a file, such as my_env.py, and name it 'my_env:{name}'"
        )
    known = [*gym.registry, *(n for n, value in vars(module).items() if callable(value) and not n.startswith("_"))]
    raise UserError(
        f"env {reference!r}: {module_name} neither registers {name!r} nor has a function of that name"
        f"{nearest(name, known)}; call gymnasium.register in it, or name a factory"
    )


def _check_id(name: str) -> None:
    if name in experiment_names():
        raise UserError(f"{name!r} is an experiment, not an environment; give its file, or an env such as Pendulum-v1")
    if name not in gym.registry:
        raise UserError(
            f"env {name!r} is not registered in gymnasium{nearest(name, gym.registry)}; write 'module:{name}' if a "
            "module of yours registers it"
        )
    module = _home_of(name)
    if module.partition(".")[0] not in _KNOWN_EVERYWHERE and not (module == "__main__" and _main_is_a_file()):
        prefix = "my_module" if module == "__main__" else module
        raise UserError(
            f"env {name!r} is known to this process only, for workers do not import what registered it; write "
            f"'{prefix}:{name}', with the module that does"
        )


_KNOWN_EVERYWHERE = ("gymnasium", "shimmy")
"""What registers with gymnasium itself."""


def _main_is_a_file() -> bool:
    """A worker runs the script that started it, too; it has nothing of a notebook or a prompt."""
    return hasattr(sys.modules["__main__"], "__file__")


def _home_of(name: str) -> str:
    """The module that a registered env's entry point is in."""
    entry_point = gym.registry[name].entry_point
    return entry_point.partition(":")[0] if isinstance(entry_point, str) else getattr(entry_point, "__module__", "")


def _from_registry(name: str) -> Factory:
    def make(**kwargs: Any) -> gym.Env:
        # the time limit is the rollout's (the spec's horizon): one wrapper less in every step
        return gym.make(name, max_episode_steps=-1, disable_env_checker=True, **kwargs)

    return make


def registered_horizon(reference: str) -> int | None:
    """The time limit that the env is registered with, None if it has none or one that no episode is meant to reach.

    Raises UserError for an env that cannot be found.
    """
    limit = _registered_limit(reference)
    return None if limit is None or limit > MOST_STEPS else limit


def needed_horizon(reference: str) -> int:
    """The time limit that the env is registered with, however far. Raises UserError where there is none."""
    limit = _registered_limit(reference)
    if limit is None:
        is_registered = reference.rpartition(":")[2] in gym.registry
        what = "is registered without a time limit" if is_registered else "is a class or function, without a time limit"
        raise UserError(f"env {reference!r} {what}; give horizon_steps")
    return limit


def _registered_limit(reference: str) -> int | None:
    factory_of(reference)  # imports the module that registers it
    name = reference.rpartition(":")[2]
    return gym.registry[name].max_episode_steps if name in gym.registry else None


def constructor_of(reference: str) -> Factory:
    """The class or function whose signature tells the keywords: of a registered id, its entry point."""
    factory, name = factory_of(reference), reference.rpartition(":")[2]
    entry_point = gym.registry[name].entry_point if name in gym.registry else None
    if entry_point is None:
        return factory
    try:
        creator: Any = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    except Exception as error:
        raise UserError(
            f"env {reference!r}: its entry point {entry_point!r} cannot be loaded ({sentence_of(error)}); fix the "
            "entry point or its module"
        ) from error
    return creator


def keywords_of(reference: str) -> dict[str, inspect.Parameter]:
    """What the constructor names; nothing for one whose signature Python cannot tell."""
    try:
        return dict(inspect.signature(constructor_of(reference)).parameters)
    except (TypeError, ValueError):
        return {}


def accepts_keyword(reference: str, keyword: str) -> bool:
    """Whether the constructor names this keyword (`**kwargs` does not count: it may drop what it is given)."""
    return keyword in keywords_of(reference)


def make_env(reference: str, kwargs: Mapping[str, Any]) -> gym.Env:
    """Raises UserError, naming env and keywords, where the constructor fails or gives no env with its spaces."""
    try:
        env = factory_of(reference)(**kwargs)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in kwargs.items()) or "no keywords"
        raise UserError(f"env {reference!r} cannot be made with {given}: {sentence_of(error)}") from error
    if not isinstance(env, gym.Env):
        raise UserError(f"env {reference!r} made a {type(env).__name__}, not a gymnasium.Env; return one")
    for what in ("observation_space", "action_space"):
        space = getattr(env, what, None)
        if not isinstance(space, Space):
            raise UserError(
                f"env {reference!r}: its {what} is {space!r}, not a gymnasium Space; set it in the class or in __init__"
            )
    return env


@contextmanager
def made_env(reference: str, kwargs: Mapping[str, Any]) -> Iterator[gym.Env]:
    """An env that is closed at the end. Raises UserError as `make_env` and `close_env` do."""
    env = make_env(reference, kwargs)
    try:
        yield env
    except BaseException:
        with suppress(Exception):  # what went wrong before is what is to be told
            env.close()
        raise
    close_env(reference, env)


def close_env(reference: str, env: gym.Env) -> None:
    """Raises UserError where its close raises."""
    with faults_of(reference, "close"):
        env.close()
