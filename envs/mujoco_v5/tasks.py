"""Every robot family by its versioned name, as a task distribution."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.envs.mujoco_v5.ant import ANT_FAMILIES
from metarl.envs.mujoco_v5.arm import ARM_FAMILIES
from metarl.envs.mujoco_v5.changed_body import CHANGED_BODY_FAMILIES
from metarl.envs.mujoco_v5.cheetah import CHEETAH_FAMILIES
from metarl.envs.mujoco_v5.family import Family, Params
from metarl.envs.mujoco_v5.gym_env import RobotGymEnv
from metarl.envs.mujoco_v5.humanoid import HUMANOID_FAMILIES
from metarl.envs.mujoco_v5.lanes import RobotLanes
from metarl.envs.shown_task import ShownTaskLanes, task_values, with_shown_task
from metarl.errors import UserError, nearest
from metarl.seeding import SeedKey, numpy_rng
from metarl.tasks import BatchEnv, check_like, is_shown
from metarl.types import EnvSpec, Task
from metarl.validate import Checked, Natural

FAMILIES: dict[str, Family] = {
    **CHEETAH_FAMILIES,
    **ANT_FAMILIES,
    **HUMANOID_FAMILIES,
    **CHANGED_BODY_FAMILIES,
    **ARM_FAMILIES,
}


@functools.cache
def _example(family: str) -> Params:
    """What a draw of a family looks like."""
    return FAMILIES[family].draw(FAMILIES[family].robot, numpy_rng((0,)))


@functools.cache
def _fixed_tasks(tasks: RobotTasks) -> tuple[Task, ...]:
    """Those of `meta_train`, kept: drawing 100 takes milliseconds, and a vector env samples at each episode's start."""
    family = FAMILIES[tasks.family]
    if family.all_params:
        return tuple(tasks.task(params) for params in family.all_params)
    return tuple(tasks.draw(family.num_train_tasks or 0, rng=numpy_rng((tasks.tasks_seed, 0))))


@dataclass(frozen=True, kw_only=True)
class RobotTasks(Checked):
    """Tasks of one of `FAMILIES`, on gymnasium's v5 robots; `metarl list --verbose` tells what each is."""

    family: str = "cheetah-dir-maml-v0"
    tasks_seed: Natural = 20190319
    """Fixed training tasks and held-out ones are drawn once, from this seed: the benchmark, not the run."""
    show_task: bool = False
    """The task's parameters stand at the end of each observation: for an agent that is told, such as sac."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.family not in FAMILIES:
            raise UserError(
                f"family={self.family!r} is unknown{nearest(self.family, FAMILIES)}; `metarl list` names them all"
            )

    @property
    def _family(self) -> Family:
        return FAMILIES[self.family]

    @property
    def name(self) -> str:
        return f"{self.family}-shown" if self.show_task else self.family

    @property
    def spec(self) -> EnvSpec:
        robot = self._family.robot
        spec = EnvSpec(
            obs_dim=robot.obs_dim,
            action_dim=robot.model.nu,
            horizon_steps=self._family.horizon_steps,
            measures_success=self._family.succeeded is not None,
        )
        return with_shown_task(spec, self._example_task) if self.show_task else spec

    @property
    def _example_task(self) -> Task:
        return self.task(_example(self.family))

    def meta_train(self) -> list[Task]:
        """The fixed training tasks; empty where each training task is a new draw."""
        return list(_fixed_tasks(self))

    def meta_test(self) -> list[Task]:
        if self._family.all_params:
            return self.meta_train()
        return self.draw(self._family.num_test_tasks, rng=numpy_rng((self.tasks_seed, 1)))

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        """Fixed training tasks are drawn without repeats, as far as there are enough of them."""
        fixed = self.meta_train()
        if not fixed:
            return self.draw(num_tasks, rng=rng)
        rounds = [rng.permutation(len(fixed)) for _ in range(-(-num_tasks // len(fixed)))]
        return [fixed[i] for i in np.concatenate(rounds)[:num_tasks]] if rounds else []

    def task(self, params: Params) -> Task:
        """The task with these parameters, for `metarl adapt` and `play`. Raises UserError."""
        try:
            check_like(params, _example(self.family))
            _ = self._family.goal(params), self._family.scales(params)
            return Task(f"{self.family}[{self._family.name_of(params)}]", dict(params))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise UserError(
                f"params {dict(params)} are none of {self.family}: {error}; such are "
                f"{str(dict(_example(self.family)))[:200]}"
            ) from error

    def make_env(self, num_lanes: int) -> BatchEnv:
        lanes = RobotLanes(self._family, num_lanes)
        if not self.show_task:
            return lanes
        return ShownTaskLanes(lanes, num_lanes, len(task_values(self._example_task)))

    def shown(self, task: Task) -> list[float]:
        return task_values(task) if self.show_task else []

    def gym_env(self, task: Task, **kwargs: Any) -> RobotGymEnv:
        """The task on gymnasium's own env; `kwargs` go to gymnasium.make, such as render_mode."""
        return RobotGymEnv(self._family, task, **kwargs)

    def replay(
        self, task: Task, seed: SeedKey, actions: NDArray, *, size: int, every: int = 1
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames of an episode, (size, size, 3), from the family's view, or the camera that follows a robot."""
        from metarl.envs.scene_picture import ScenePicture  # workers never draw

        family, env = self._family, self.gym_env(task)
        goal = (*family.goal(task.params), family.ball_radius) if family.ball_radius else None
        # gymnasium's own camera stands still, and a robot that learns to run leaves its picture
        picture = ScenePicture(env.model, env.data, size, family.view or "track")
        try:
            env.begin(seed)
            yield picture.take(goal, family.ball_radius)
            for step, action in enumerate(actions, 1):
                env.step(action)
                if is_shown(step, len(actions), every):
                    yield picture.take(goal, family.ball_radius)
        finally:
            picture.close()
            env.close()

    def draw(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        """New tasks, whether training has fixed ones or not."""
        return [self.task(self._family.draw(self._family.robot, rng)) for _ in range(num_tasks)]
