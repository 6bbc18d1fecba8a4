"""The task distribution of any gymnasium env: its parameters drawn from ranges, or its own tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from metarl.config import NAMES_CODE, check_plain
from metarl.envs.any_gym.effects import roll, same
from metarl.envs.any_gym.inspect_env import check_ends, inspect_env
from metarl.envs.any_gym.lane import GymLane, mujoco_model
from metarl.envs.any_gym.make import accepts_keyword, made_env, needed_horizon, reference_to
from metarl.envs.any_gym.model_fields import rows_of
from metarl.envs.any_gym.own_tasks import check_has_own_tasks, check_own_tasks_repeat, draw_own_tasks
from metarl.envs.any_gym.ranges import Range
from metarl.envs.any_gym.spaces import ToAction, ToVector
from metarl.envs.any_gym.task_params import check_attribute, check_values, id_of, placed
from metarl.envs.shown_task import ShownTaskLanes, task_values, with_shown_task
from metarl.errors import UserError, nearest
from metarl.rollout.lanes import LoopedLanes
from metarl.seeding import SeedKey, numpy_rng
from metarl.tasks import BatchEnv, is_shown, params_key
from metarl.types import EnvSpec, Task
from metarl.validate import Checked, Count, Natural

_FEW = 3
"""Tasks that are looked at before any worker starts."""
_LOOK_STEPS = 20
_MANY = 100
"""Tasks drawn at once where the first draw did not do: of few values, most have been drawn before or are held out."""
_NAMES_CODE = {NAMES_CODE: True}
"""Of what is imported and called, and of all that it is called with or set to."""


@dataclass(frozen=True)
class GymTasks(Checked):
    """Tasks that differ in what is drawn; everything is checked at the first use of `spec`, in the parent process.

    Raises UserError there for an env that does not keep to gymnasium's rules, and in `sample` where no task is left
    that is not a held-out one.
    """

    env: Any = field(metadata=_NAMES_CODE)
    """A registered id, 'module:Env-v0', 'module:factory', or a function at the top of a module that makes the env."""
    _: KW_ONLY
    vary: dict[str, Range] = field(default_factory=dict, metadata=_NAMES_CODE)
    """Constructor keywords, or else attributes of the unwrapped env. An attribute that others were computed from in
    the constructor (CartPole's length) leaves them as they were: write a factory that sets them all."""
    model: dict[str, Range] = field(default_factory=dict, metadata=_NAMES_CODE)
    """Factors for fields of the env's MuJoCo model: 'body_mass', or for one element 'body_mass[torso]'."""
    options: dict[str, Range] = field(default_factory=dict, metadata=_NAMES_CODE)
    """Given to reset(options=)."""
    own_tasks: bool = field(default=False, metadata=_NAMES_CODE)
    """The env's own sample_tasks(n) and set_task(task)."""
    one_task: bool = False
    """Nothing varies: the env as it is, trained on and tested on, for an agent that does not adapt, such as sac."""
    show_task: bool = False
    """What was drawn stands at the end of each observation: for an agent that is told the task, such as sac."""
    kwargs: dict[str, Any] = field(default_factory=dict, metadata=_NAMES_CODE)
    """Constructor keywords that are the same in all tasks."""
    horizon_steps: Count | None = None
    """Episodes are truncated here; None: the limit that the env is registered with."""
    num_test_tasks: Count = 20
    test_seed: Natural = 20171
    """Held-out tasks are drawn once, from this seed, and never handed out for training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "env", reference_to(self.env))
        for name in ("vary", "model", "options", "kwargs"):
            group = getattr(self, name)
            if not (isinstance(group, dict) and all(isinstance(key, str) for key in group)):
                raise UserError(
                    f"env {self.env!r}: {name}={group!r:.60} must be a dict by name; write e.g. {name}={{'g': ...}}"
                )
        check_plain(f"env {self.env!r}: kwargs", self.kwargs)
        varies = bool(self.vary or self.model or self.options or self.own_tasks)
        if not (varies or self.one_task):
            raise UserError(
                f"env {self.env!r}: nothing varies between tasks; give vary, model, options or own_tasks, or "
                "one_task=True to train an agent that does not adapt, such as sac"
            )
        if self.one_task and (varies or self.show_task):
            raise UserError(
                f"env {self.env!r}: one_task=True is an env of which nothing varies; leave out vary, model, options, "
                "own_tasks and show_task, or one_task"
            )
        for group in (self.vary, self.model, self.options):
            for name, values in group.items():
                if not isinstance(values, Range):
                    raise UserError(
                        f"env {self.env!r}: {name}={values!r} must be Uniform, LogUniform or Choice; write e.g. "
                        "Uniform(5, 15)"
                    )

    @property
    def name(self) -> str:
        base = self.env.rpartition(":")[2]
        if self.one_task:
            return base
        varied = "-".join([*self.vary, *self.model, *self.options]) or "own"
        return f"{base}-{varied}{'-shown' if self.show_task else ''}"

    @cached_property
    def spec(self) -> EnvSpec:
        horizon = self.horizon_steps or needed_horizon(self.env)
        few = self._draw(1 if self.one_task else _FEW, numpy_rng((self.test_seed, 1)))
        if self.horizon_steps is None:
            check_ends(self.env, self.kwargs, few[0], horizon)
        spec = inspect_env(self.env, self.kwargs, few, horizon)
        _ = self._first_look
        return with_shown_task(spec, few[0]) if self.show_task else spec

    @cached_property
    def _first_look(self) -> tuple[int, Task, NDArray[np.floating]]:
        """The process that looked, a task and what its episode showed: workers are sent it."""
        (task,) = self._draw(1, numpy_rng((self.test_seed, 1)))
        return os.getpid(), task, roll(self.env, self.kwargs, task.params, _LOOK_STEPS)

    def _check_process(self) -> None:
        """Raises UserError in a process in which the env is another than where it was looked at."""
        looked_in, task, seen = self._first_look
        if looked_in != os.getpid() and not same(seen, roll(self.env, self.kwargs, task.params, _LOOK_STEPS)):
            raise UserError(
                f"env {self.env!r}: another process gives another episode for the same seed, so that no run could be "
                "repeated; let nothing depend on the process, such as hash() of a text, the order of a set, or an id"
            )

    @cached_property
    def _as_keyword(self) -> dict[str, bool]:
        """Of each name in `vary`: whether the constructor takes it, or it is an attribute."""
        found = {name: accepts_keyword(self.env, name) for name in self.vary}
        if not all(found.values()) or self.model or self.own_tasks:
            self._check_names(found)
        return found

    def _check_names(self, as_keyword: Mapping[str, bool]) -> None:
        rng = numpy_rng((self.test_seed, 2))
        drawn = {name: values.draw(rng) for name, values in self.vary.items() if as_keyword[name]}
        with made_env(self.env, {**self.kwargs, **drawn}) as env:
            for name in self.vary:
                if not as_keyword[name]:
                    check_attribute(self.env, env, name, "fix the name in `vary`")
            for name in self.model:
                rows_of(mujoco_model(env, self.env), name, self.env)
            if self.own_tasks:
                check_has_own_tasks(env, self.env)
                check_own_tasks_repeat(self.env, self.kwargs)

    def meta_test(self) -> list[Task]:
        """`num_test_tasks` different tasks, always the same."""
        return list(self._held_out.values())

    @cached_property
    def _held_out(self) -> dict[str, Task]:
        if self.one_task:
            (task,) = self._draw(1, numpy_rng((self.test_seed, 0)))
            return {params_key(task): task}
        rng, found = numpy_rng((self.test_seed, 0)), {}
        for number in (self.num_test_tasks, *[_MANY] * 20):
            for task in self._draw(number, rng):
                if len(found) < self.num_test_tasks:
                    found[params_key(task)] = task
            if len(found) == self.num_test_tasks:
                return found
        raise UserError(
            f"env {self.env!r} has no more than {len(found)} different tasks, and num_test_tasks="
            f"{self.num_test_tasks}; lower it below that, or vary more"
        )

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        if self.one_task:
            return self.meta_test() * num_tasks
        tasks: list[Task] = []
        for number in (num_tasks, *[_MANY] * 100):
            tasks += [task for task in self._draw(number, rng) if params_key(task) not in self._held_out]
            if len(tasks) >= num_tasks:
                return tasks[:num_tasks]
        raise UserError(
            f"env {self.env!r}: all tasks that were drawn are among its {self.num_test_tasks} held-out ones; "
            "lower num_test_tasks, or vary more"
        )

    def task(self, params: Mapping[str, Any]) -> Task:
        """The task with these parameters, as `metarl adapt` and `play` take them. Raises UserError.

        Names that stand alone, {"g": 12}, are put where they belong; {"attributes": {...}} is taken as it is.
        """
        groups = placed(params, self._group_of)
        vary = {"kwargs": self.vary, "attributes": self.vary}
        check_values(self.env, groups, {**vary, "model": self.model, "options": self.options})
        return Task(self.name if self.one_task else f"{self.name}[{id_of(groups)}]", groups)

    def _group_of(self, name: str) -> str:
        known = [*self.vary, *self.model, *self.options]
        if name not in known:
            raise UserError(f"env {self.env!r}: no parameter {name!r}{nearest(name, known)}; it varies {known}")
        if name in self.vary:
            return "kwargs" if self._as_keyword[name] else "attributes"
        return "model" if name in self.model else "options"

    def make_env(self, num_lanes: int) -> BatchEnv:
        values = len(task_values(self.meta_test()[0])) if self.show_task else 0
        spec = replace(self.spec, obs_dim=self.spec.obs_dim - values)
        self._check_process()
        lanes = LoopedLanes(lambda: GymLane(self.env, self.kwargs), num_lanes, spec)
        return ShownTaskLanes(lanes, num_lanes, values) if self.show_task else lanes

    def shown(self, task: Task) -> list[float]:
        return task_values(task) if self.show_task else []

    def conversions(self) -> tuple[ToVector, ToAction]:
        """(the env's own observation -> a vector, an action of the policy -> the env's own)."""
        with GymLane(self.env, self.kwargs) as lane:
            lane.become(self.meta_test()[0].params)
            return lane.to_vector, lane.to_action

    def gym_env(self, task: Task, **kwargs: Any) -> gym.Env:
        """The task's env itself; `kwargs` go to its constructor, such as render_mode."""
        return GymLane(self.env, self.kwargs).become(task.params, **kwargs)

    def replay(
        self, task: Task, seed: SeedKey, actions: NDArray, *, size: int, every: int = 1
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames of an episode as the env itself renders them; about `size` pixels high, by leaving pixels out."""
        with GymLane(self.env, {**self.kwargs, "render_mode": "rgb_array"}) as lane:
            lane.reset(task, seed)
            yield lane.picture(size)
            for step, action in enumerate(actions, 1):
                lane.step(action)
                if is_shown(step, len(actions), every):
                    yield lane.picture(size)

    def _draw(self, num_tasks: int, rng: np.random.Generator) -> list[Task]:
        as_keyword = self._as_keyword
        if not self.own_tasks:
            return [self.task(self._draw_params(as_keyword, rng)) for _ in range(num_tasks)]
        with made_env(self.env, self.kwargs) as env:
            own = draw_own_tasks(env, num_tasks, rng, self.env)
        return [self.task({**self._draw_params(as_keyword, rng), "own": task}) for task in own]

    def _draw_params(self, as_keyword: Mapping[str, bool], rng: np.random.Generator) -> dict[str, Any]:
        drawn = {name: values.draw(rng) for name, values in self.vary.items()}
        groups = {
            "kwargs": {name: value for name, value in drawn.items() if as_keyword[name]},
            "attributes": {name: value for name, value in drawn.items() if not as_keyword[name]},
            "model": {name: values.draw(rng) for name, values in self.model.items()},
            "options": {name: values.draw(rng) for name, values in self.options.items()},
        }
        return {name: group for name, group in groups.items() if group}
