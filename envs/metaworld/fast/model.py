"""One compiled Sawyer model, shared by many lanes."""

from __future__ import annotations

import difflib
import functools

import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS

from metarl.envs.metaworld.fast.placement import HandStates, Placement, Stage, staged_class
from metarl.envs.metaworld.fast.recent import Recent
from metarl.envs.metaworld.fast.tasks import TASKS
from metarl.envs.metaworld.fast.workspace import Workspace
from metarl.envs.mujoco_calls import make_data

KEPT_PLACEMENTS = 128
"""Episode starts kept per model, about 6 kB each; Meta-World's benchmarks use 50 goals a task."""


class SawyerModel:
    """A task's compiled MuJoCo model (20 MB, 0.15 s) and the starts of its episodes.

    Goals live partly in the model's fields (`body_pos`, `site_pos`), so the model shows one goal at a time:
    `show` writes them when a lane with another goal stepped last.
    """

    def __init__(self, env_name: str, *, reward_version: str = "v2", goal_visible: bool = False) -> None:
        if env_name not in TASKS:
            near = difflib.get_close_matches(env_name, TASKS, n=3, cutoff=0.4)
            raise ValueError(f"no fast task {env_name!r}; the nearest names are {near}")
        if reward_version not in ("v1", "v2"):
            raise ValueError(f"reward_version is {reward_version!r}; Meta-World has 'v1' and 'v2'")
        self.env_name = env_name
        self.reward_version = reward_version
        self.goal_visible = goal_visible
        self.task_class = TASKS[env_name]
        varies = self.task_class.HAND_RESET_VARIES
        env_class = staged_class(ALL_V3_ENVIRONMENTS[env_name], hand_reset_varies=varies)
        env = env_class(reward_function_version=reward_version)
        hand_states: HandStates = Recent(capacity=KEPT_PLACEMENTS)
        self.stage = Stage(env, self.task_class, hand_states, goal_visible=goal_visible)
        self.model = env.model
        self.frame_skip = env.frame_skip
        self.action_scale = np.float32(env.action_scale)
        self.move_limit = float(self.action_scale)
        """Farthest that one step moves the mocap along an axis, metres."""
        self.mocap_low = env.mocap_low.tolist()
        self.mocap_high = env.mocap_high.tolist()
        space = env._random_reset_space  # Meta-World has no public name for it
        assert space is not None, "every Meta-World env sets it"
        self.rand_vec_space = space
        self._shown: Placement | None = None
        self._placements: Recent[Placement] = Recent(capacity=KEPT_PLACEMENTS)

    @functools.cached_property
    def workspace(self) -> Workspace:
        """Where the lanes of this model are stepped."""
        return Workspace(self.model, make_data(self.model))

    def place(self, rand_vec: np.ndarray, *, stage: Stage | None = None) -> Placement:
        """The episode start of `rand_vec`; runs on `stage` where one is given, else is remembered."""
        rand_vec = np.array(rand_vec, dtype=np.float64)
        need = self.rand_vec_space.shape
        if rand_vec.shape != need:
            raise ValueError(f"rand_vec of {self.env_name} has shape {rand_vec.shape}, must be {need}")
        key = rand_vec.tobytes()
        known = self._placements.get(key)
        if known is not None and stage is None:
            return known
        self._shown = None  # placing writes the model's fields, even where it fails half-way
        self._shown = placement = (stage or self.stage).place(rand_vec)
        return self._placements.put(key, placement)

    def show(self, placement: Placement) -> None:
        """Make the model's fields those of `placement`."""
        if self._shown is not placement:
            self.model.body_pos[:] = placement.body_pos
            self.model.site_pos[:] = placement.site_pos
            self._shown = placement
