"""The start of an episode: Meta-World's own placement code, run on a saved state of the settled hand.

Meta-World's `reset` calls `reset_model` twice, and each call first simulates the hand's way to its start (250
substeps), which takes nearly all of the time. Here that simulation runs once and its state is restored; the
placement that follows is Meta-World's code itself, so that 50 of them need not be written again.

The oracle is the first episode of a fresh env, and every placement starts from what the constructor left.
Meta-World's later episodes are the same to the last bit (measured, all 50 tasks, both reward versions): the
first `reset_model` still sees the last goal's bodies, the second no longer.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from metaworld.sawyer_xyz_env import SawyerXYZEnv

from metarl.envs.metaworld.fast.physics import get_state, set_state
from metarl.envs.metaworld.fast.recent import Recent
from metarl.envs.metaworld.fast.task import Facts, Task
from metarl.envs.metaworld.official import begin
from metarl.envs.mujoco_calls import make_data, mj_forward, mj_step
from metarl.errors import SettingError

HAND_RESET_STEPS = 50

HandStates = Recent[np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """An episode's start for one rand_vec; lanes share it, so nothing in it is written to."""

    rand_vec: np.ndarray
    state: np.ndarray
    body_pos: np.ndarray
    """Model field (nbody, 3); Meta-World moves doors, boxes and baskets by writing into the model."""
    site_pos: np.ndarray
    """Model field (nsite, 3)."""
    first_obs: np.ndarray
    """The reset's observation (39,), not clipped to the observation space."""
    goal: np.ndarray
    """The goal as later steps show it (3,): clipped to the goal space, or zeros where it is hidden."""
    facts: Facts


@functools.cache
def staged_class(env_class: type[SawyerXYZEnv], *, hand_reset_varies: bool) -> type[SawyerXYZEnv]:
    """`env_class` whose hand reset restores a saved state instead of simulating it."""

    class Staged(env_class):
        hand_states: HandStates
        hand_resets: int
        draws: int

        def _reset_hand(self, steps: int = HAND_RESET_STEPS) -> None:
            # a fresh env's first hand reset starts from another warm start than its second: both are kept
            bodies = self.model.body_pos.tobytes() if hand_reset_varies else b""
            key = (self.hand_resets, bodies)
            self.hand_resets += 1
            state = self.hand_states.get(key)
            if state is None:
                super()._reset_hand(steps - 1)
                mj_step(self.model, self.data, nstep=self.frame_skip - 1)
                self.hand_states.put(key, get_state(self.model, self.data))
            else:
                set_state(self.model, self.data, state)
            # the last substep always runs: the placement reads positions that MuJoCo computes before it
            # integrates, a substep behind the state
            mj_step(self.model, self.data)
            super()._reset_hand(0)  # keeps what the tasks add to the hand reset

        def _get_state_rand_vec(self) -> np.ndarray:
            """Refuse a rand_vec that Meta-World rejects: it would draw the same frozen one for ever."""
            self.draws += 1
            if self.draws > self.hand_resets:
                raise SettingError(  # of a task that somebody set: no fault of the env
                    f"rand_vec {self._last_rand_vec} puts object and goal closer than {env_class.__name__} "
                    "allows; draw another"
                )
            return super()._get_state_rand_vec()

    return Staged


class Stage:
    """One Meta-World env on a shared model, for its placement code (and for the v1 rewards)."""

    def __init__(
        self, env: SawyerXYZEnv, task_class: type[Task], hand_states: HandStates, *, goal_visible: bool
    ) -> None:
        self.env = env
        self._task_class = task_class
        self._goal_visible = goal_visible
        self._attributes = dict(env.__dict__, hand_states=hand_states)
        self._state = get_state(env.model, env.data)
        self._body_pos = env.model.body_pos.copy()
        self._site_pos = env.model.site_pos.copy()

    def beside(self) -> Stage:
        """Another stage on the same model with its own MjData."""
        env = object.__new__(type(self.env))  # not copy.copy: Meta-World's __setstate__ compiles anew
        env.__dict__.update(self._attributes)
        env.data = make_data(env.model)
        # live views, not copies, in Meta-World: its "initial" pads follow the fingers of this data
        env.init_left_pad = env.get_body_com("leftpad")
        env.init_right_pad = env.get_body_com("rightpad")
        stage = object.__new__(Stage)
        stage.__dict__.update(self.__dict__)
        stage.env = env
        stage._attributes = dict(env.__dict__)
        return stage

    def place(self, rand_vec: np.ndarray) -> Placement:
        """Run Meta-World's reset; leaves env, its data and the model's fields at the episode's start."""
        env = self.env
        model, data = env.model, env.data
        env.__dict__.clear()
        env.__dict__.update(self._attributes, hand_resets=0, draws=0)
        model.body_pos[:] = self._body_pos
        model.site_pos[:] = self._site_pos
        set_state(model, data, self._state)
        first_obs = begin(env, rand_vec, goal_visible=self._goal_visible)
        state = get_state(model, data)
        # some "initial" values are live views: take them as the steps will see them
        mj_forward(model, data)
        names = (*Task.COMMON_FACTS, *self._task_class.FACTS)
        facts = {name: np.asarray(env.__dict__[name], dtype=np.float64).ravel().tolist() for name in names}
        set_state(model, data, state)
        goal = np.zeros(3)
        if self._goal_visible:
            assert env.goal_space is not None, "every Meta-World env sets it"
            goal = np.clip(facts["_target_pos"], env.goal_space.low, env.goal_space.high)
        return Placement(
            rand_vec=rand_vec,
            state=state,
            body_pos=model.body_pos.copy(),
            site_pos=model.site_pos.copy(),
            first_obs=first_obs,
            goal=goal,
            facts=facts,
        )
