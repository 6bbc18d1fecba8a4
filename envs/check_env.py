"""What is wrong with an environment, in sentences: gymnasium's checker, Stable-Baselines3's, and our own.

An environment is named as in `GymTasks`, or it is a registered task distribution, or an experiment file's tasks.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from gymnasium.utils.env_checker import check_env as gymnasium_check
from numpy.typing import NDArray
from stable_baselines3.common.env_checker import check_env as sb3_check

from metarl.envs.any_gym import GymTasks
from metarl.envs.any_gym.effects import names_without_effect
from metarl.envs.any_gym.inspect_env import SameTasksWarning
from metarl.envs.any_gym.lane import GymLane
from metarl.envs.any_gym.make import made_env
from metarl.envs.any_gym.own_tasks import missing_methods
from metarl.envs.any_gym.suggest import suggestion
from metarl.envs.first_episodes import random_actions, roll, roll_elsewhere
from metarl.envs.mujoco_calls import make_data, mj_step
from metarl.envs.one_task import OneTask
from metarl.envs.registry import all_envs
from metarl.envs.single_task_env import env_of
from metarl.errors import UserError
from metarl.rollout.lanes import LoopedLanes
from metarl.runs.find import load_experiment
from metarl.tasks import TaskDistribution
from metarl.types import EnvSpec, Task

Status = Literal["ok", "note", "fix"]


class Finding(NamedTuple):
    """One line of `check-env`: what was looked at and how it is."""

    status: Status
    what: str
    sentence: str
    file: str | None = None
    """A whole experiment file to begin with."""


class Found(NamedTuple):
    """A check's own answer."""

    status: Status
    sentence: str


def find_tasks(name: str) -> Any:
    """The TaskDistribution: a registered one, that of an experiment file, or an env by itself."""
    if name.endswith(".py"):
        tasks = vars(load_experiment(name)).get("config", lambda: None)()
        if not hasattr(tasks, "tasks"):
            raise UserError(f"{name}: its config has no `tasks`; name the env itself, as in module:Env-v0")
        return tasks.tasks
    envs = all_envs()
    return envs[name].make() if name in envs else OneTask(name)


def check(name: str) -> Iterator[Finding]:
    """Findings one by one, since some take seconds. Nothing else is looked at where the rules are broken."""
    tasks = find_tasks(name)
    try:
        spec = _spec_of(tasks)
        drawn = tasks.sample(4, rng=np.random.default_rng(0))
    except UserError as error:
        yield Finding("fix", "gymnasium's rules", str(error))
        return
    actions = f"{spec.action_dim} {'discrete' if spec.discrete else 'continuous'} actions"
    yield Finding("ok", "spaces", f"{spec.obs_dim} observations, {actions}, at most {spec.horizon_steps} steps")
    yield from _outside_checkers(tasks, drawn[0])
    for what, function in _CHECKS.items():
        try:
            status, sentence = function(tasks, drawn)
        except UserError as error:
            status, sentence = "fix", str(error)
        except Exception as error:
            cause = error.__cause__ or error
            status, sentence = "fix", f"it raised {type(cause).__name__}: {cause} ({error}); fix the env"
        yield Finding(status, what, sentence)
    if isinstance(tasks, OneTask):
        if tasks.horizon.seen:
            yield Finding(
                "note",
                "horizon",
                f"no time limit that its episodes reach is registered; {tasks.horizon.seen}: to train, give "
                f"GymTasks(..., horizon_steps={tasks.horizon.steps}), or another",
            )
        yield Finding("note", "tasks", *suggestion(tasks.reference, tasks.horizon))


def _spec_of(tasks: Any) -> EnvSpec:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SameTasksWarning)  # here a finding of its own, on more tasks
        return tasks.spec


# ---- other people's checkers


_HARMLESS = ("infinity", "Casting input", "wrapped", "not within", "symmetric and normalized", "render", "spec")
"""Advice of the checkers that does not hold here: observations may be unbounded, and actions are scaled anyway."""


def _outside_checkers(tasks: TaskDistribution, task: Task) -> Iterator[Finding]:
    for what, checker in (
        ("gymnasium's checker", lambda env: gymnasium_check(env, skip_render_check=True)),
        ("Stable-Baselines3's checker", lambda env: sb3_check(env, warn=True, skip_render_check=True)),
    ):
        env = env_of(tasks, task)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                checker(env)
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            yield Finding("fix", what, f"it stops at: {text}")
            continue
        finally:
            env.close()
        said = [" ".join(str(w.message).split()) for w in caught]
        told = [text for text in dict.fromkeys(said) if not any(word in text for word in _HARMLESS)]
        yield Finding("note" if told else "ok", what, "it passes" + (f", and warns: {'; '.join(told)}" if told else ""))


# ---- our own


def _works_elsewhere(tasks: TaskDistribution, drawn: Sequence[Task]) -> Found:
    try:
        ForkingPickler.dumps(tasks)  # as starting a worker does
    except Exception as error:
        return Found("fix", f"it cannot be pickled ({error}), so no worker can have it; name a factory")
    there = roll_elsewhere(tasks, drawn[0])
    if isinstance(there, str):
        return Found("fix", f"it does not work in a worker process: {there}")
    if not _same(there, roll(tasks.make_env(1), tasks.spec, drawn[0])):
        return Found(
            "fix",
            "another process gives another episode for the same seed; let nothing depend on the process, such as "
            "hash() of a text, the order of a set, or an id",
        )
    return Found("ok", "it can be sent to workers, and gives the same episode there")


def _same(one: NDArray, other: NDArray) -> bool:
    return np.array_equal(one, other, equal_nan=True)  # a NaN is another check's finding


def _repeats_itself(tasks: TaskDistribution, drawn: Sequence[Task]) -> Found:
    one, spec = tasks.make_env(1), tasks.spec
    first = roll(one, spec, drawn[0])
    roll(one, spec, drawn[-1], first_seed=5)
    again, fresh = roll(one, spec, drawn[0]), roll(tasks.make_env(1), spec, drawn[0])
    if not _same(first, fresh):
        return Found("fix", "two new envs with one seed give different episodes; draw from self.np_random alone")
    if not _same(first, again):
        return Found("fix", "an episode depends on the one before it; set every field of the env's state in reset")
    other = roll(one, spec, drawn[0], first_seed=1)
    luck = "another seed gives another episode" if not _same(first, other) else "it has no luck of its own"
    return Found("ok", f"the same seed gives the same bits, in a new env and after another episode; {luck}")


def _tasks_differ(tasks: TaskDistribution, drawn: Sequence[Task]) -> Found:
    if isinstance(tasks, OneTask):
        with made_env(tasks.reference, {}) as env:
            has_own_tasks = not missing_methods(env)
        if has_own_tasks:  # raises for tasks that do not repeat, or that set_task does not take
            _spec_of(GymTasks(tasks.reference, own_tasks=True, horizon_steps=tasks.spec.horizon_steps))
        return Found("note", "nothing varies yet, so there is no task to compare with")
    without: list[str] = []
    if isinstance(tasks, GymTasks):
        without, _ = names_without_effect(tasks.env, tasks.kwargs, drawn, tasks.spec.horizon_steps)
    # each from the start of an env of its own, with the same seed and actions
    for num_steps in (30, tasks.spec.first_steps):
        rolls = [roll(tasks.make_env(1), tasks.spec, task, num_steps=num_steps) for task in drawn]
        if any(not _same(rolls[0], other) for other in rolls[1:]):
            break
    else:
        return Found(
            "fix", f"{len(drawn)} tasks gave the same episode, so there is nothing to adapt to; vary what is used"
        )
    if without:
        return Found(
            "fix",
            f"{', '.join(without)} had no effect: another value alone gave the same episode; look whether reset draws "
            "over it or nothing reads it, or leave it out",
        )
    return Found("ok", "they differ in reward or dynamics under the same actions")


def _shares_no_buffer(tasks: TaskDistribution, drawn: Sequence[Task]) -> Found:
    env = env_of(tasks, drawn[0])
    try:
        kept = [env.reset(seed=0, options=drawn[0].params.get("options"))[0]]
        env.action_space.seed(0)
        copies = [_leaves(kept[0])]
        for _ in range(3):
            obs, *_ = env.step(env.action_space.sample())
            kept.append(obs)
            copies.append(_leaves(obs))
        changed = any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(map(_leaves, kept), copies, strict=True))
    finally:
        env.close()
    if changed:
        return Found("fix", "a step overwrites the observation handed out before it; return a copy of the array")
    return Found("ok", "observations are arrays of their own")


def _leaves(obs: Any) -> NDArray[np.float64]:
    parts = [_leaves(value) for value in obs.values()] if isinstance(obs, dict) else [np.array(obs, np.float64).ravel()]
    return np.concatenate(parts)


def _stays_finite(tasks: TaskDistribution, drawn: Sequence[Task], num_steps: int = 1000) -> Found:
    spec, env, lane, seed = tasks.spec, tasks.make_env(1), np.array([0]), 0
    env.reset(lane, drawn[:1], [(1, seed)])
    for t, move in enumerate(random_actions(spec, num_steps, 1)):
        step = env.step(lane, move)
        if not (np.isfinite(step.obs).all() and np.isfinite(step.rewards).all()):
            return Found(
                "fix", f"NaN or infinity in obs or reward after {t + 1} random steps of an episode; fix the env"
            )
        if step.terminated[0] or step.truncated[0] or (t + 1) % spec.horizon_steps == 0:
            seed += 1
            env.reset(lane, [drawn[seed % len(drawn)]], [(1, seed)])
    return Found("ok", f"{num_steps} random steps without a NaN or an infinity")


def _resident_bytes() -> int:
    """0 where /proc does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def _keeps_its_size(tasks: TaskDistribution, drawn: Sequence[Task], num_resets: int = 100) -> Found:
    env, spec = tasks.make_env(1), tasks.spec
    for i in range(num_resets):
        roll(env, spec, drawn[i % len(drawn)], num_steps=3)
    before = _resident_bytes()
    for i in range(num_resets):
        roll(env, spec, drawn[i % len(drawn)], num_steps=3)
    grown = _resident_bytes() - before
    if grown > 10e6:
        return Found(
            "fix",
            f"{grown / 1e6:.0f} MB more after {num_resets} resets; something is kept: look at reset and close",
        )
    return Found("ok", f"the resident size stays within {max(0, grown) / 1e6:.1f} MB over {num_resets} resets")


def _speed(tasks: TaskDistribution, drawn: Sequence[Task], num_steps: int = 500) -> Found:
    spec, lanes = tasks.spec, np.arange(4)
    env, seed = tasks.make_env(4), 0
    env.reset(lanes, drawn, [(2, i) for i in range(4)])
    seconds, moves = 0.0, random_actions(spec, num_steps, 4)
    for t, move in enumerate(moves):
        begin = time.perf_counter()
        step = env.step(lanes, move)
        seconds += time.perf_counter() - begin
        ended = lanes[step.terminated | step.truncated | ((t + 1) % spec.horizon_steps == 0)]
        if len(ended):
            seed += 1
            env.reset(ended, [drawn[lane] for lane in ended.tolist()], [(2, seed, lane) for lane in ended.tolist()])
    rate = 4 * num_steps / seconds
    physics = _physics_seconds(env, num_steps)
    env.close()
    if physics is None:
        return Found("ok", f"{rate:,.0f} env steps/s in one process; no MuJoCo physics was found to time beside it")
    share = max(0.0, 1 - physics * 4 * num_steps / seconds)
    advice = "; most of it is Python: look for work that can be done once" if share > 0.5 else ""
    return Found("ok", f"{rate:,.0f} env steps/s in one process, {share:.0%} of the time outside the physics{advice}")


def _physics_seconds(env: Any, num_steps: int) -> float | None:
    """Seconds of a step's physics alone, from the state that the lanes are in, under random controls."""
    if isinstance(env, LoopedLanes):
        lane = env.lanes()[0]
        own: Any = lane.env.unwrapped if isinstance(lane, GymLane) and lane.env is not None else None
        if own is None or type(vars(own).get("model")).__name__ != "MjModel":
            return None
        model, data, frame_skip = own.model, own.data, getattr(own, "frame_skip", 1)
    elif hasattr(env, "simulations"):
        (model, data), frame_skip = env.simulations()[0], env.frame_skip
    else:
        return None
    scratch, rng = make_data(model), np.random.default_rng(0)
    scratch.qpos[:], scratch.qvel[:] = data.qpos, data.qvel
    low, high = model.actuator_ctrlrange.T
    controls = rng.uniform(low, high, (num_steps, model.nu))
    begin = time.perf_counter()
    for control in controls:
        scratch.ctrl[:] = control
        mj_step(model, scratch, frame_skip)
    return (time.perf_counter() - begin) / num_steps


_CHECKS: dict[str, Callable[[TaskDistribution, Sequence[Task]], Found]] = {
    "workers": _works_elsewhere,
    "seed": _repeats_itself,
    "tasks": _tasks_differ,
    "buffers": _shares_no_buffer,
    "numbers": _stays_finite,
    "memory": _keeps_its_size,
    "speed": _speed,
}
