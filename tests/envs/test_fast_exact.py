"""The fast path gives Meta-World's observations, rewards, success and info, step by step.

The oracle is a freshly built Meta-World env with set_task and reset.
"""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.policies import ENV_POLICY_MAP
from metaworld.sawyer_xyz_env import SawyerXYZEnv
from metaworld.types import Task

from metarl.envs.metaworld.fast import FAST_TASKS, SawyerLane, SawyerModel
from metarl.envs.metaworld.fast.task import INFO_FIELDS

TOLERANCE = 1e-9
DRIVERS = ("random", "expert", "mixed")

pytestmark = pytest.mark.filterwarnings("ignore:Constant")  # Meta-World's experts ask for more than they get


def accepted_reset(lane: SawyerLane, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Reset `lane` to a random rand_vec that Meta-World accepts; (rand_vec, observation)."""
    space = lane.shared.rand_vec_space
    while True:
        rand_vec = rng.uniform(space.low, space.high)
        try:
            return rand_vec, lane.reset(rand_vec)
        except ValueError as rejected:
            assert "closer than" in str(rejected)


def fresh_metaworld(
    shared: SawyerModel, rand_vec: np.ndarray, *, goal_visible: bool = False
) -> tuple[SawyerXYZEnv, np.ndarray]:
    """(a new Meta-World env at `rand_vec`, its reset observation)."""
    env = ALL_V3_ENVIRONMENTS[shared.env_name](reward_function_version=shared.reward_version)
    hidden = not goal_visible
    data = pickle.dumps({"env_cls": type(env), "rand_vec": rand_vec.copy(), "partially_observable": hidden})
    env.set_task(Task(env_name=shared.env_name, data=data))
    obs, _ = env.reset()
    return env, obs


class Driver:
    """Actions of one kind: random, the scripted expert, or 20 steps of each in turn."""

    def __init__(self, kind: str, env_name: str, rng: np.random.Generator) -> None:
        self.kind, self.rng, self.steps = kind, rng, 0
        self.expert = ENV_POLICY_MAP[env_name]()

    def __call__(self, env: SawyerXYZEnv, obs: np.ndarray) -> np.ndarray:
        self.steps += 1
        if self.kind == "random" or (self.kind == "mixed" and self.steps // 20 % 2):
            action = self.rng.uniform(-1.2, 1.2, 4)  # beyond the bounds, as the envs clip
        else:
            visible = obs.copy()
            visible[-3:] = env._target_pos  # the experts need the goal
            action = self.expert.get_action(visible) + self.rng.normal(0, 0.02, 4)  # else it repeats itself
        return action.astype(np.float32)


def largest_difference(metaworld_step, lane_step, fast_info: dict[str, float]) -> float:
    """Of anything that a step returns; the successes must be equal."""
    obs, reward, _, _, info = metaworld_step
    fast_obs, fast_reward, success = lane_step
    assert isinstance(fast_reward, float) and isinstance(success, bool)
    assert set(info) == set(fast_info)
    assert success == bool(info["success"])
    values = [float(reward) - fast_reward, *(float(info[name]) - fast_info[name] for name in info)]
    return float(np.abs([*(obs - fast_obs), *values]).max())


def compare(shared: SawyerModel, kind: str, *, seed: int, steps: int, goal_visible: bool = False) -> float:
    """Largest difference over one episode, the reset included."""
    rng = np.random.default_rng(seed)
    lane = SawyerLane(shared)
    rand_vec, fast_obs = accepted_reset(lane, rng)
    env, obs = fresh_metaworld(shared, rand_vec, goal_visible=goal_visible)
    differences = [float(np.abs(fast_obs - obs).max())]
    driver = Driver(kind, shared.env_name, rng)
    for _ in range(steps):
        action = driver(env, obs)
        step = env.step(action)
        obs = step[0]
        lane_step = lane.step(action)
        differences.append(largest_difference(step, lane_step, lane.info()))
    assert all(math.isfinite(difference) for difference in differences)
    return max(differences)


@pytest.mark.parametrize("env_name", ["reach-v3", "push-v3", "peg-insert-side-v3", "basketball-v3", "stick-push-v3"])
def test_steps_equal_metaworld(env_name):
    shared = SawyerModel(env_name)
    assert compare(shared, "mixed", seed=0, steps=100) < TOLERANCE


@pytest.mark.parametrize("env_name", ["door-unlock-v3", "dial-turn-v3", "soccer-v3", "shelf-place-v3"])
def test_expert_steps_equal_metaworld(env_name):
    shared = SawyerModel(env_name)
    assert compare(shared, "expert", seed=1, steps=100) < TOLERANCE


@pytest.mark.parametrize("env_name", ["pick-place-v3", "drawer-open-v3"])
def test_v1_rewards_equal_metaworld(env_name):
    shared = SawyerModel(env_name, reward_version="v1")
    assert compare(shared, "mixed", seed=2, steps=60) < TOLERANCE


@pytest.mark.parametrize("env_name", ["push-v3", "basketball-v3"])
def test_a_visible_goal_is_observed_as_in_metaworld(env_name):
    shared = SawyerModel(env_name, goal_visible=True)
    assert compare(shared, "random", seed=3, steps=30, goal_visible=True) < TOLERANCE


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("reward_version", ["v2", "v1"])
@pytest.mark.parametrize("env_name", FAST_TASKS)
def test_whole_episodes_equal_metaworld(env_name, reward_version):
    shared = SawyerModel(env_name, reward_version=reward_version)
    for kind in DRIVERS:
        for seed in range(3):
            assert compare(shared, kind, seed=seed, steps=500) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("env_name", FAST_TASKS)
def test_visible_goals_of_all_tasks(env_name):
    shared = SawyerModel(env_name, goal_visible=True)
    assert compare(shared, "mixed", seed=4, steps=100, goal_visible=True) < TOLERANCE


READS_THE_DATA_INSTEAD = ("dial-turn-v3", "handle-press", "window-")
"""Tasks whose Meta-World reward takes the object from MuJoCo's data: made-up observations have no effect."""


def made_up_frame(frame: np.ndarray, lane: SawyerLane, rng: np.random.Generator) -> np.ndarray:
    """`frame` (18,) with another opening of the gripper and the object(s) near the fingers, the goal, ..."""
    made_up = frame.copy()
    made_up[3] = rng.choice([0.0, 0.3, 0.5, 1.0])
    task = lane.task
    for start in range(4, 4 + len(task.objects()), 7):
        around = [lane.scene.tcp(), task.target, task.obj_init, made_up[start : start + 3]][rng.integers(4)]
        spread = rng.choice([0.003, 0.02, 0.1])
        made_up[start : start + 3] = np.asarray(around) + rng.normal(0, spread, 3)
        if rng.random() < 0.5:
            quat = np.asarray(rng.choice([[1, 0, 0, 0], [0.707, 0, 0, 0.707]])) + rng.normal(0, 0.05, 4)
            made_up[start + 3 : start + 7] = quat
    return made_up


def largest_difference_on_made_up_frames(shared: SawyerModel, *, seed: int, steps: int) -> float:
    """Of Meta-World's `evaluate_state` and the task's `evaluate`, for places no episode may have reached."""
    rng = np.random.default_rng(seed)
    lane = SawyerLane(shared)
    rand_vec, _ = accepted_reset(lane, rng)
    env, _ = fresh_metaworld(shared, rand_vec)
    differences = []
    for _ in range(steps):
        to_goal = 10 * (np.asarray(lane.task.target) - lane.scene.tcp()) + rng.normal(0, 0.5, 3)
        action = np.clip([*to_goal, rng.uniform(-1, 1)], -1, 1).astype(np.float32)
        obs = env.step(action)[0]
        lane.step(action)
        for _ in range(5):
            frame = made_up_frame(obs[:18], lane, rng)
            effort = np.float32(rng.choice([-1.0, 0.0, 0.3, 0.9, 1.2]))
            action[3] = effort
            reward, info = env.evaluate_state(np.concatenate([frame, obs[18:]]), action)
            outcome = lane.task.evaluate(frame.tolist()[: 4 + len(lane.task.objects())], effort)
            found = dict(zip(INFO_FIELDS, outcome, strict=True))
            assert float(reward) == float(info["unscaled_reward"])
            if lane.task.pressing is not None and found["grasp_success"]:
                found["grasp_success"] = lane.task.pressing()
            differences += [float(info[name]) - float(found[name]) for name in INFO_FIELDS]
    return float(np.abs(differences).max())


@pytest.mark.parametrize("env_name", ["shelf-place-v3", "peg-insert-side-v3", "assembly-v3", "stick-pull-v3"])
def test_rewards_of_made_up_places_equal_metaworld(env_name):
    assert largest_difference_on_made_up_frames(SawyerModel(env_name), seed=0, steps=150) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("env_name", [name for name in FAST_TASKS if not name.startswith(READS_THE_DATA_INSTEAD)])
def test_rewards_of_made_up_places_equal_metaworld_in_all_tasks(env_name):
    shared = SawyerModel(env_name)
    for seed in range(3):
        assert largest_difference_on_made_up_frames(shared, seed=seed, steps=300) < TOLERANCE


def test_all_of_metaworlds_tasks_are_here():
    assert set(FAST_TASKS) == set(ALL_V3_ENVIRONMENTS)


@pytest.mark.parametrize("env_name", ["drawer-open-v3", "basketball-v3"])
@pytest.mark.parametrize("reward_version", ["v2", "v1"])
def test_interleaved_lanes_do_not_disturb_each_other(env_name, reward_version):
    """Three goals on one model, stepped in a random order, against three Meta-World envs of their own."""
    rng = np.random.default_rng(5)
    shared = SawyerModel(env_name, reward_version=reward_version)
    lanes = [SawyerLane(shared) for _ in range(3)]
    starts = [accepted_reset(lane, rng) for lane in lanes]
    envs = [fresh_metaworld(shared, rand_vec)[0] for rand_vec, _ in starts]
    for _ in range(90):
        i = int(rng.integers(3))
        action = rng.uniform(-1, 1, 4).astype(np.float32)
        step = lanes[i].step(action)
        assert largest_difference(envs[i].step(action), step, lanes[i].info()) < TOLERANCE


@pytest.mark.parametrize("env_name", ["reach-v3", "basketball-v3", "handle-press-v3", "window-close-v3"])
def test_any_reset_equals_a_fresh_metaworld_env(env_name):
    """First and later resets, new and known goals, whatever the lane did before."""
    rng = np.random.default_rng(6)
    shared = SawyerModel(env_name)
    lane = SawyerLane(shared)
    goals = [accepted_reset(lane, rng)[0] for _ in range(3)]
    expected = [fresh_metaworld(shared, goal) for goal in goals]
    for i in (0, 2, 2, 1, 0):
        assert np.abs(lane.reset(goals[i]) - expected[i][1]).max() < TOLERANCE
        for _ in range(5):
            lane.step(rng.uniform(-1, 1, 4).astype(np.float32))
    lane.reset(goals[1])
    for _ in range(20):
        action = rng.uniform(-1, 1, 4).astype(np.float32)
        step = lane.step(action)
        assert largest_difference(expected[1][0].step(action), step, lane.info()) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("env_name", FAST_TASKS)
def test_the_saved_hand_state_holds_for_every_goal(env_name):
    """A reset from the state that another goal's hand reset left equals a fresh env's, bit for bit."""
    rng = np.random.default_rng(7)
    shared = SawyerModel(env_name)
    lane = SawyerLane(shared)
    for _ in range(6):
        rand_vec, obs = accepted_reset(lane, rng)
        assert np.array_equal(obs, fresh_metaworld(shared, rand_vec)[1])


def test_bad_actions_are_refused():
    lane = SawyerLane(SawyerModel("reach-v3"))
    action = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="reach-v3 is not in an episode"):
        lane.step(action)
    rand_vec, _ = accepted_reset(lane, np.random.default_rng(8))
    with pytest.raises(ValueError, match="no info before the first step"):
        lane.info()
    lane.step(action)
    for bad in (np.full(4, np.nan, np.float32), np.float32([0, 0, 0, np.inf]), np.float32([0, np.nan, 0, 0])):
        with pytest.raises(ValueError, match=r"reach-v3 at step 1 is .* not finite"):
            lane.step(bad)
    for bad in (np.zeros(3, np.float32), np.zeros((1, 4), np.float32), np.zeros(4)):
        with pytest.raises(ValueError, match=r"reach-v3 at step 1 .* must be float32 \(4,\)"):
            lane.step(bad)
    assert lane.num_steps == 1
    for _ in range(lane.HORIZON - 1):
        lane.step(action)
    with pytest.raises(ValueError, match=r"500 steps at most.* call reset"):
        lane.step(action)
    lane.reset(rand_vec)
    assert lane.num_steps == 0


def test_bad_names_and_goals_are_refused():
    with pytest.raises(ValueError, match=r"nearest names are .*'pick-place-v3'"):
        SawyerModel("pickplace-v3")
    with pytest.raises(ValueError, match="Meta-World has 'v1' and 'v2'"):
        SawyerModel("reach-v3", reward_version="v3")
    lane = SawyerLane(SawyerModel("reach-v3"))
    with pytest.raises(ValueError, match=r"shape \(3,\), must be \(6,\)"):
        lane.reset(np.zeros(3))
    with pytest.raises(ValueError, match="closer than"):  # Meta-World itself would search for ever
        lane.reset(np.array([0.0, 0.75, 0.02, 0.0, 0.8, 0.1]))
    accepted_reset(lane, np.random.default_rng(9))
    lane.step(np.zeros(4, np.float32))
