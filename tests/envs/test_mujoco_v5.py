"""Robots in lockstep against gymnasium's own v5 env stepped beside, with the papers' rewards written out by hand."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

from metarl.envs.mujoco_v5.physics import load_model, refresh_constants
from metarl.envs.mujoco_v5.tasks import FAMILIES, RobotTasks
from metarl.errors import UserError
from metarl.rollout.lanes import EnvFault
from metarl.seeding import numpy_rng
from metarl.types import Task

TOLERANCE = 1e-9


class Beside:
    """Gymnasium's env of a family, made to be the task's, with its reward from what gymnasium shows."""

    def __init__(self, name: str, task: Task) -> None:
        self.family, self.params = FAMILIES[name], task.params
        robot = self.family.robot
        self.env = gym.make(robot.gym_id, disable_env_checker=True, max_episode_steps=-1, **robot.gym_kwargs)
        self.own = self.env.unwrapped
        self.reward = REWARDS[name]
        for field, scale in self.family.scales(task.params).items():
            getattr(self.own.model, field)[...] *= np.array(scale)
            refresh_constants(self.own.model)

    def reset(self, seed) -> np.ndarray:
        self.env.reset(seed=0)
        self.own.np_random = numpy_rng(seed)
        obs, _ = self.env.reset()
        if self.family.robot.own_start:
            self.own.set_state(*self.family.robot.start(self.own.model, numpy_rng(seed), self.params))
            obs = self.own._get_obs()
        return self.visible(obs)

    def visible(self, obs: np.ndarray) -> np.ndarray:
        """Gymnasium's observation without what gives a goal away."""
        if self.family.robot.gym_id == "Reacher-v5":
            return np.concatenate([obs[:4], obs[6:8], self.own.get_body_com("fingertip")[:2]])
        return obs[:20] if self.family.robot.gym_id == "Pusher-v5" else obs

    def step(self, action: np.ndarray):
        low, high = self.own.model.actuator_ctrlrange.T
        control = low + (np.clip(action, -1, 1).astype(np.float64) + 1) * (high - low) / 2
        data = self.own.data
        before = {
            "x": data.qpos[0],
            "com": data.subtree_com[1].copy(),
            "torso": data.xpos[1].copy(),
            "mass_center": mass_center(self.own),
        }
        obs, _, terminated, _, _ = self.env.step(control)
        return self.visible(obs), self.reward(self.own, before, control, self.params), terminated


def mass_center(env) -> np.ndarray:
    return (env.model.body_mass[:, None] * env.data.xipos).sum(0) / env.model.body_mass.sum()


def cheetah(score, *, com: bool):
    def reward(env, before, a, params):
        moved = env.data.subtree_com[1, 0] - before["com"][0] if com else env.data.qpos[0] - before["x"]
        return score(moved / 0.05, params) - 0.05 * (a**2).sum()

    return reward


def ant_contacts(env) -> float:
    return 0.5e-3 * (np.clip(env.data.cfrc_ext, -1, 1) ** 2).sum()


def ant_maml(score):
    def reward(env, before, a, params):
        vx = (env.data.subtree_com[1, 0] - before["com"][0]) / 0.05
        return score(env, vx, params) - 0.5e-2 * (a**2).sum() - ant_contacts(env) + 0.05

    return reward


def ant_dir_pearl(env, before, a, params):
    v = (env.data.xpos[1, :2] - before["torso"][:2]) / 0.05
    along = v @ (np.cos(params["angle"]), np.sin(params["angle"]))
    return along - 0.5 * (a**2).sum() - ant_contacts(env) + 1.0


def ant_goal_pearl(env, before, a, params):
    return -abs(env.data.xpos[1, :2] - params["goal"]).sum() - 0.1 * (a**2).sum() - ant_contacts(env)


def humanoid_pearl(env, before, u, params):
    moved = (mass_center(env) - before["mass_center"])[:2]
    along = 0.25 * moved @ (np.cos(params["angle"]), np.sin(params["angle"])) / env.model.opt.timestep
    return along - 0.1 * (u**2).sum() - min(0.5e-6 * (env.data.cfrc_ext**2).sum(), 10) + 5.0


def walk(env, before, a, params):
    return (env.data.qpos[0] - before["x"]) / env.dt + 1.0 - 1e-3 * (a**2).sum()


def body(env, name):
    return env.data.body(name).xpos


def reach(env, before, a, params):
    return -np.linalg.norm(body(env, "fingertip") - body(env, "target")) - (a**2).sum()


def push(env, before, u, params):
    near = np.linalg.norm(body(env, "object") - body(env, "tips_arm"))
    return -np.linalg.norm(body(env, "object") - body(env, "goal")) - 0.5 * near - 0.1 * (u**2).sum()


def direction(v, p):
    return p["direction"] * v


def velocity(v, p):
    return -abs(v - p["velocity"])


REWARDS = {
    "cheetah-dir-maml-v0": cheetah(direction, com=True),
    "cheetah-dir-promp-v0": cheetah(direction, com=False),
    "cheetah-dir-pearl-v0": cheetah(direction, com=False),
    "cheetah-vel-maml-v0": cheetah(velocity, com=True),
    "cheetah-vel-promp-v0": cheetah(velocity, com=False),
    "cheetah-vel-pearl-v0": cheetah(velocity, com=False),
    "ant-dir-maml-v0": ant_maml(lambda env, vx, p: p["direction"] * vx),
    "ant-dir-pearl-v0": ant_dir_pearl,
    "ant-vel-maml-v0": ant_maml(lambda env, vx, p: 1.0 - abs(vx - p["velocity"])),
    "ant-goal-maml-v0": ant_maml(lambda env, vx, p: 4.0 - abs(env.data.subtree_com[1, :2] - p["goal"]).sum()),
    "ant-goal-pearl-v0": ant_goal_pearl,
    "humanoid-dir-pearl-v0": humanoid_pearl,
    "walker-params-v0": walk,
    "hopper-params-v0": walk,
    "reacher-goal-v0": reach,
    "pusher-goal-v0": push,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_lockstep_equals_gymnasium(name: str) -> None:
    """Two lanes with a task each, two episodes in turn, up to the fall or 60 steps of random actions."""
    tasks = RobotTasks(family=name)
    drawn = tasks.sample(2, rng=np.random.default_rng(3))
    envs, lockstep, rng = [Beside(name, task) for task in drawn], tasks.make_env(2), np.random.default_rng(4)
    lanes, num_steps = np.arange(2), 0
    for episode in range(2):
        seeds = [(0, episode, lane) for lane in lanes.tolist()]
        obs = lockstep.reset(lanes, drawn, seeds)
        for lane, env in enumerate(envs):
            np.testing.assert_allclose(obs[lane], env.reset(seeds[lane]), rtol=0, atol=TOLERANCE)
        for _ in range(min(60, tasks.spec.horizon_steps)):
            actions = rng.normal(0, 0.8, (2, tasks.spec.action_dim)).astype(np.float32)
            step, num_steps = lockstep.step(lanes, actions), num_steps + 1
            for lane, env in enumerate(envs):
                expected_obs, reward, terminated = env.step(actions[lane])
                np.testing.assert_allclose(step.obs[lane], expected_obs, rtol=0, atol=TOLERANCE)
                assert step.rewards[lane] == pytest.approx(reward, rel=0, abs=TOLERANCE)
                assert step.terminated[lane] == terminated
            if step.terminated.any():
                break
    assert num_steps > 10


@pytest.mark.parametrize("name", ["cheetah-dir-maml-v0", "ant-goal-maml-v0", "walker-params-v0", "pusher-goal-v0"])
def test_a_task_as_a_gymnasium_env_has_the_episodes_of_the_lanes(name: str) -> None:
    """Bit for bit, after another episode in the same env: what `metarl play` shows is what was scored."""
    tasks, lane, rng = RobotTasks(family=name), np.array([0]), np.random.default_rng(2)
    (task,) = tasks.sample(1, rng=rng)
    env, lanes = tasks.gym_env(task), tasks.make_env(1)
    for seed in ((0, 1), (0, 2)):
        np.testing.assert_array_equal(env.begin(seed), lanes.reset(lane, [task], [seed])[0])
        for _ in range(20):
            action = rng.normal(size=tasks.spec.action_dim).astype(np.float32)
            step, (obs, reward, terminated, _, _) = lanes.step(lane, action[None]), env.step(action)
            np.testing.assert_array_equal(obs, step.obs[0])
            assert (reward, terminated) == (step.rewards[0], step.terminated[0])
            if terminated:
                break


@pytest.mark.parametrize("name", FAMILIES)
def test_families_pass_gymnasiums_and_sb3s_checkers(name: str) -> None:
    tasks = RobotTasks(family=name)
    env = tasks.gym_env(tasks.meta_test()[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on unbounded observations
        gymnasium_check(env, skip_render_check=True)
        sb3_check(env, skip_render_check=True)
    env.close()


def test_robots_that_fall_are_terminated() -> None:
    """Random torques fell them all; the ant that may lie down stays in its episode."""
    for name, falls in (("hopper-params-v0", True), ("humanoid-dir-pearl-v0", True), ("ant-goal-pearl-v0", False)):
        tasks, rng = RobotTasks(family=name), np.random.default_rng(0)
        env, lane = tasks.make_env(1), np.array([0])
        env.reset(lane, tasks.sample(1, rng=rng), [(0, 0)])
        ends = [env.step(lane, rng.uniform(-1, 1, (1, tasks.spec.action_dim))).terminated[0] for _ in range(200)]
        assert any(ends) == falls


def test_bodies_differ_and_the_shared_model_stays_as_it_was() -> None:
    tasks = RobotTasks(family="walker-params-v0")
    before = load_model("walker2d_v5.xml").body_mass.copy()
    one, other = tasks.meta_train()[:2]
    env = tasks.make_env(2)
    obs = env.reset(np.arange(2), [one, other], [(0, 0), (0, 0)])
    np.testing.assert_array_equal(obs[0], obs[1])  # the same start, for the seeds are equal
    step = env.step(np.arange(2), np.ones((2, 6), np.float32))
    assert not np.array_equal(step.obs[0], step.obs[1])
    np.testing.assert_array_equal(load_model("walker2d_v5.xml").body_mass, before)


def test_factors_of_the_body_are_in_the_papers_range() -> None:
    params = RobotTasks(family="walker-params-v0").meta_train()[0].params
    assert set(params) == {"body_mass", "body_inertia", "dof_damping", "geom_friction"}
    for field, base in (("body_mass", 1.5), ("dof_damping", 1.3)):
        values = np.array(params[field])
        assert (values >= base**-3).all() and (values <= base**3).all() and len(set(values.tolist())) == len(values)


def test_actions_are_clipped_and_scaled_to_the_motors() -> None:
    """A far too large action is the largest one, and it costs as much as that, not more."""
    for name in ("humanoid-dir-pearl-v0", "cheetah-dir-promp-v0"):
        tasks, rewards = RobotTasks(family=name), []
        for size in (1.0, 50.0):
            env, lane = tasks.make_env(1), np.array([0])
            env.reset(lane, tasks.meta_test()[:1], [(0, 0)])
            rewards.append(env.step(lane, np.full((1, tasks.spec.action_dim), size, np.float32)).rewards[0])
        assert rewards[0] == rewards[1]


def test_fixed_training_tasks_are_drawn_without_repeats() -> None:
    tasks = RobotTasks(family="cheetah-vel-pearl-v0")
    assert len(tasks.meta_train()) == 100 and len(tasks.meta_test()) == 30
    drawn = tasks.sample(100, rng=np.random.default_rng(0))
    assert {task.id for task in drawn} == {task.id for task in tasks.meta_train()}
    both = RobotTasks(family="cheetah-dir-maml-v0").sample(10, rng=np.random.default_rng(0))
    assert sorted(task.params["direction"] for task in both) == [-1.0] * 5 + [1.0] * 5


def test_bad_names_and_params_are_sentences() -> None:
    with pytest.raises(UserError, match="did you mean 'cheetah-vel-pearl-v0'"):
        RobotTasks(family="cheetah-vel-pearl")
    with pytest.raises(UserError, match=r"'velocity'.*such are \{'velocity': "):
        RobotTasks(family="cheetah-vel-maml-v0").task({"speed": 1.0})


def test_a_fault_names_task_and_seed() -> None:
    tasks = RobotTasks(family="cheetah-vel-maml-v0")
    with pytest.raises(EnvFault, match=r"task 'broken', seed \(0, 7\), step 0"):
        tasks.make_env(1).reset(np.array([0]), [Task("broken", {})], [(0, 7)])


def test_an_unstable_simulation_shows_as_nan_not_as_a_silent_reset(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes MUJOCO_LOG.TXT where one stands
    tasks = RobotTasks(family="cheetah-vel-maml-v0")
    env, lane = tasks.make_env(1), np.array([0])
    env.reset(lane, tasks.meta_test()[:1], [(0, 0)])
    data = env._data[0]
    data.qvel[:] = 1e12
    obs = [env.step(lane, np.zeros((1, 6), np.float32)).obs for _ in range(5)][-1]
    assert not np.isfinite(obs).all() or np.abs(obs).max() > 1e6


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_view_or_a_camera_that_follows_its_robot(family):
    cameras = [FAMILIES[family].robot.model.camera(i).name for i in range(FAMILIES[family].robot.model.ncam)]
    assert FAMILIES[family].view is not None or "track" in cameras
