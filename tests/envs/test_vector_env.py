"""Our lanes as gymnasium's vector env, as one env and as SB3's VecEnv: what gymnasium itself would give, and faster."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.types import Task as MetaworldTask
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from metarl.cli.process.machine import gl_works
from metarl.envs.metaworld.ml import ML
from metarl.envs.metaworld.ml1 import ML1
from metarl.envs.metaworld.mt import MT
from metarl.envs.mujoco_v5.names import FAMILY_NAMES
from metarl.envs.mujoco_v5.tasks import FAMILIES
from metarl.envs.navigation import Navigation
from metarl.envs.registry import ENVS
from metarl.envs.vector.ids import register_ids, settings_by_id
from metarl.envs.vector.one_env import OneEnv
from metarl.envs.vector.sb3 import SB3VecEnv
from metarl.envs.vector.vector_env import LaneVectorEnv
from metarl.errors import UserError, WorkerError
from metarl.experiments import interop
from metarl.experiments.interop import own_loop, sb3_ppo
from metarl.rollout.lanes import LaneStep, LoopedLanes
from metarl.seeding import SeedKey, numpy_rng
from metarl.types import EnvSpec, Task
from tests.rollout.envs import TakesAnyTask

NAVIGATION = "metarl.envs:metarl/navigation"
MODES = [mode.value for mode in AutoresetMode]
TWO = ML(benchmark="custom", train_names=("reach-v3", "drawer-open-v3"), test_names=("door-close-v3",))


class EndingLane:
    """obs = (task's number, luck of the seed, step). Ends after 1 to 4 steps or at the horizon, 5."""

    def reset(self, task: Task, seed: SeedKey) -> np.ndarray:
        rng = numpy_rng(seed)
        self.obs = np.array([task.params["number"], rng.random(), 0.0])
        self.length, self.ending = rng.integers(1, 7, 2)
        return self.obs

    def step(self, action: np.ndarray) -> LaneStep:
        self.obs[2] += 1
        over = self.obs[2] == self.length
        reward = float(action.sum() + self.obs.sum())
        return LaneStep(self.obs, reward, over and self.ending < 4, over and self.ending >= 3, self.obs[2] == 2)

    def close(self) -> None: ...


@dataclass(frozen=True)
class Endings:
    """Tasks are numbers; an episode ends in every way that there is, and at times in two at once."""

    name: str = "endings"
    spec: EnvSpec = EnvSpec(obs_dim=3, action_dim=2, horizon_steps=5)

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        return [Task(f"n{n}", {"number": n}) for n in rng.integers(100, size=num_tasks).tolist()]

    def meta_test(self) -> list[Task]:
        return [Task(f"test{n}", {"number": n}) for n in (1000, 1001, 1002)]

    def make_env(self, num_lanes: int) -> LoopedLanes:
        return LoopedLanes(EndingLane, num_lanes, self.spec)


def random_actions(envs: Any, num_steps: int, seed: int = 0) -> list[np.ndarray]:
    envs.action_space.seed(seed)
    return [envs.action_space.sample() for _ in range(num_steps)]


def assert_same(ours: Any, theirs: Any) -> None:
    assert data_equivalence(ours, theirs, exact=True), f"\n{ours}\n{theirs}"


# ---- gymnasium's semantics


@pytest.mark.parametrize("mode", MODES)
def test_every_answer_is_syncvectorenvs(mode: str) -> None:
    """Of the same envs, over ends of all kinds: obs, rewards, flags, final_obs, final_info, infos and their masks."""
    ours = LaneVectorEnv(Endings(), 4, autoreset_mode=mode)
    theirs = SyncVectorEnv([partial(OneEnv, Endings())] * 4, autoreset_mode=mode)
    assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"]
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
    assert_same(ours.reset(seed=3), theirs.reset(seed=3))
    ends = np.zeros((2, 4), int)
    for actions in random_actions(ours, 40):
        step = ours.step(actions)
        assert_same(step, theirs.step(actions))
        ends += np.array(step[2:4])
        over = step[2] | step[3]
        if mode == "Disabled" and over.any():
            assert_same(ours.reset(options={"reset_mask": over}), theirs.reset(options={"reset_mask": over.copy()}))
    assert (ends > 0).all()
    some = np.array([True, False, True, False])
    seeds: Any = [7, 8, None, 9]
    once_more = ours.reset(seed=seeds, options={"reset_mask": some})
    assert_same(once_more, theirs.reset(seed=seeds, options={"reset_mask": some}))
    assert_same(ours.np_random_seed, theirs.np_random_seed)


def test_gymnasiums_own_wrapper_counts_the_episodes() -> None:
    envs = RecordEpisodeStatistics(LaneVectorEnv(Endings(), 3, autoreset_mode="SameStep"))
    envs.reset(seed=0)
    lengths, seen = np.zeros(3), 0
    for actions in random_actions(envs, 30):
        _, _, terminated, truncated, infos = envs.step(actions)
        lengths += 1
        over = terminated | truncated
        for i in np.flatnonzero(over):
            assert infos["episode"]["l"][i] == lengths[i]
            seen += 1
        lengths[over] = 0
    assert seen > 10


@pytest.mark.parametrize("name", ["navigation", "bandits", "cheetah-vel-pearl-v0", "ML1-push-v3", "MT1-reach-v3"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # unbounded observations: as Meta-World's and MuJoCo's are
def test_gymnasiums_and_sb3s_checkers_accept_it(name: str) -> None:
    env = gym.make(f"metarl/{name}").unwrapped
    check_env(env, skip_render_check=name not in ("navigation", "bandits"))  # the others' pictures need a GL
    sb3_check_env(env)
    env.close()


@pytest.mark.parametrize("name", ["reacher-goal-v0", "ant-goal-maml-v0", "tabular-mdp"])
def test_robots_and_small_families_equal_their_single_envs(name: str) -> None:
    ours = gym.make_vec(f"metarl/{name}", num_envs=3, max_episode_steps=4)
    theirs = gym.make_vec(f"metarl/{name}", 3, vectorization_mode="sync", max_episode_steps=4)
    assert_same(ours.reset(seed=3), theirs.reset(seed=3))
    for actions in random_actions(ours, 7):
        ours_now, theirs_now = ours.step(actions), theirs.step(actions)
        # not to the bit: a sum over rows may round otherwise than over one
        assert data_equivalence(ours_now[:4], theirs_now[:4])
        assert ours_now[4].keys() == theirs_now[4].keys()


# ---- Meta-World


def metaworlds_own(task: Task, *, hidden: bool, actions: Sequence[np.ndarray]) -> list[tuple[np.ndarray, float, bool]]:
    """What metaworld's own env shows of the task under these actions."""
    cls = ALL_V3_ENVIRONMENTS[task.params["env_name"]]
    env = cls()
    content = {"env_cls": cls, "rand_vec": np.array(task.params["rand_vec"]), "partially_observable": hidden}
    env.set_task(MetaworldTask(env_name=task.params["env_name"], data=pickle.dumps(content)))
    seen = [(env.reset()[0], 0.0, False)]
    for action in actions:
        obs, reward, _, _, info = env.step(action)
        seen.append((obs.copy(), float(reward), info["success"] == 1))
    return seen


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_two_episodes_of_two_classes_are_metaworlds_own(mode: str) -> None:
    """Observations and rewards to 1e-12, and where a goal is hidden it is."""
    steps = 25
    envs = LaneVectorEnv(TWO, 4, autoreset_mode=mode, max_episode_steps=steps)
    obs, _ = envs.reset(seed=5)
    assert [task.params["env_name"] for task in envs.tasks if task] == ["reach-v3"] * 2 + ["drawer-open-v3"] * 2
    assert not obs[:, 36:].any()
    for _ in range(2):
        now, drawn = list(envs.tasks), random_actions(envs, steps, seed=1)
        ours = [(obs, np.zeros(4), np.zeros(4, bool))]
        for actions in drawn:
            obs, rewards, _, truncated, infos = envs.step(actions)
            final = mode == "SameStep" and truncated.all()
            last = np.stack(infos["final_obs"]) if final else obs
            ours.append((last, rewards, (infos["final_info"] if final else infos)["success"]))
        assert truncated.all()
        for i, task in enumerate(now):
            assert task is not None
            official = metaworlds_own(task, hidden=True, actions=[actions[i] for actions in drawn])
            for mine, theirs in zip(ours, official, strict=True):
                np.testing.assert_allclose(mine[0][i], theirs[0], rtol=0, atol=1e-12)
                assert mine[1][i] == pytest.approx(theirs[1], rel=0, abs=1e-12) and mine[2][i] == theirs[2]
        if mode == "NextStep":
            obs, rewards, _, truncated, infos = envs.step(drawn[0])
            assert not truncated.any() and not rewards.any() and "success" not in infos and infos["_task"].all()
        assert envs.tasks != now


def test_a_multi_task_env_shows_goal_and_id() -> None:
    envs = gym.make_vec("metarl/MT1-reach-v3", num_envs=2, max_episode_steps=3)
    obs, _ = envs.reset(seed=0)
    goals = [task.params["rand_vec"][3:] for task in envs.unwrapped.tasks]  # type: ignore[attr-defined]
    np.testing.assert_allclose(envs.step(envs.action_space.sample())[0][:, 36:39], goals, atol=1e-12)
    assert obs.shape == (2, 40) and (obs[:, 39] == 1).all()


@pytest.mark.slow
def test_mt10_and_ml10_have_an_env_for_each_class_in_metaworlds_order() -> None:
    from metaworld.env_dict import ML10_V3, MT10_V3

    envs = gym.make_vec("metarl/MT10", num_envs=20)
    obs, _ = envs.reset(seed=0)
    names = [task.params["env_name"] for task in envs.unwrapped.tasks]  # type: ignore[attr-defined]
    assert names[::2] == names[1::2] == list(MT10_V3)
    np.testing.assert_array_equal(obs[:, 39:], np.repeat(np.eye(10), 2, axis=0))
    for wrong in (10.0, "10", True):
        with pytest.raises(UserError, match=f"num_envs={wrong!r} must be a whole number"):
            gym.make_vec("metarl.envs:metarl/MT10", num_envs=wrong)
    with pytest.raises(UserError, match=r"num_envs=15 must be a multiple of the 10 classes of mt10.*give 10"):
        gym.make_vec("metarl/MT10", num_envs=15)
    held_out = gym.make_vec("metarl/ML10-test", num_envs=5)
    held_out.reset(seed=0)
    names = [task.params["env_name"] for task in held_out.unwrapped.tasks]  # type: ignore[attr-defined]
    assert names == list(ML10_V3["test"])


@pytest.mark.slow
def test_the_documentations_example_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "environments.md").read_text()
    _, _, section = page.partition("## Your own algorithm on these environments")
    example = section.partition("```python\n")[2].partition("```")[0]
    said: dict[str, Any] = {}
    exec(example, said)
    assert said["obs"].shape == (20, 49) and said["infos"]["success"].shape == (20,)


# ---- seeds and tasks


def rolled(envs: LaneVectorEnv, seed: int, num_steps: int = 20) -> list[Any]:
    first = envs.reset(seed=seed)
    return [first, *(envs.step(actions) for actions in random_actions(envs, num_steps))]


def test_a_seed_decides_tasks_and_episodes_whatever_was_before() -> None:
    envs = LaneVectorEnv(Endings(), 3)
    once = rolled(envs, 1)
    assert not data_equivalence(once, rolled(envs, 2))
    assert_same(rolled(envs, 1), once)
    assert_same(rolled(LaneVectorEnv(Endings(), 3), 1), once)
    held_out = LaneVectorEnv(Endings(), 3, split="test")
    assert_same(rolled(held_out, 1), rolled(held_out, 1))


def test_an_envs_episodes_do_not_depend_on_its_neighbours() -> None:
    """Env i of seed s is env 0 of seed s + i."""
    many, one = LaneVectorEnv(Endings(), 3), LaneVectorEnv(Endings(), 1)
    actions = random_actions(many, 20)
    many.reset(seed=10)
    one.reset(seed=12)
    for action in actions:
        for all_of_them, alone in zip(many.step(action)[:4], one.step(action[2:])[:4], strict=True):
            np.testing.assert_array_equal(all_of_them[2:], alone)


def test_held_out_tasks_come_in_turn_and_each_once() -> None:
    envs = LaneVectorEnv(ML1(), 2, split="test", max_episode_steps=1, autoreset_mode="SameStep")
    _, infos = envs.reset(seed=0)
    seen = list(infos["task"])
    for actions in random_actions(envs, 24):
        seen += list(envs.step(actions)[4]["task"])
    assert seen == [task.id for task in ML1().meta_test()]


def test_a_task_is_held_until_it_is_given_back() -> None:
    envs = LaneVectorEnv(Endings(), 2, autoreset_mode="SameStep", max_episode_steps=1)
    mine = Task("mine", {"number": 7})
    _, infos = envs.reset(seed=0, options={"task": mine})
    names = [*infos["task"], *envs.step(np.zeros((2, 2)))[4]["task"]]
    assert names == ["mine"] * 4
    envs.set_task([{"number": 8}, None])
    obs, infos = envs.reset()
    assert obs[0, 0] == 8 and infos["task"][1].startswith("n")
    drawn = envs.sample_task()
    for _ in range(3):
        assert list(envs.step(np.zeros((2, 2)))[4]["task"]) == [task.id for task in drawn]
    envs.set_task(None)
    assert len({envs.reset()[1]["task"][0] for _ in range(5)}) > 1
    one = OneEnv(Endings(), max_episode_steps=1)
    assert one.reset(seed=0, options={"task": mine})[1] == one.reset()[1] == {"task": "mine"}
    drawn_one = one.sample_task()
    assert one.reset()[1] == one.reset()[1] == {"task": drawn_one.id}


def test_a_task_of_metaworld_is_given_by_its_goal() -> None:
    envs = LaneVectorEnv(TWO, 2)
    reach = TWO.meta_train()[3]
    envs.reset(options={"task": dict(reach.params)})
    assert envs.tasks == [reach, reach]
    moved = {"env_name": "reach-v3", "rand_vec": [*reach.params["rand_vec"][:5], 0.123]}
    assert envs.reset(options={"task": moved})[0].shape == (2, 39)


@pytest.mark.parametrize(
    ("tasks", "given", "said"),
    [
        (TWO, {"env_name": "dial-turn-v3", "rand_vec": [0.0] * 3}, "'dial-turn-v3' is none of the 3 classes here"),
        (TWO, {"env_name": "reach-v3", "rand_vec": [0.0]}, "must be a list of 6"),
        (MT(benchmark="MT1"), {"env_name": "push-v3", "rand_vec": [0.0] * 6}, "none of the 1 classes"),
        (ML1(), {"rand_vec": [0.0] * 6}, "env_name=None is none of the 1 classes"),
        (Navigation(), {"goal": [0.1]}, "must be a list of 2"),
        (Endings(), {"nummer": 3}, "'number', 'nummer' missing or unknown"),
        (Endings(), [{"number": 3}], "a list of 2, one for each env, and not 1 of them"),
        (Endings(), "mine", "a list of 2, one for each env, and not 'mine'"),
    ],
)
def test_a_task_of_another_kind_is_refused(tasks: Any, given: Any, said: str) -> None:
    envs = LaneVectorEnv(tasks, 2)
    with pytest.raises(UserError, match=said):
        envs.set_task(given)
    with pytest.raises(UserError, match=said):
        envs.reset(options={"task": given})


def test_a_reset_that_is_refused_changes_nothing() -> None:
    seen = []
    for refused in (False, True):
        envs = LaneVectorEnv(Endings(), 2)
        envs.reset(seed=3)
        if refused:
            with pytest.raises(UserError, match="missing or unknown"):
                envs.reset(seed=8, options={"task": {"nummer": 3}})
        seen.append(envs.reset())
    assert_same(*seen)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.thorough)])
def test_a_goal_that_metaworld_rejects_is_told_in_a_sentence(workers: int) -> None:
    envs = LaneVectorEnv(ML1(), 1, workers=workers)
    try:
        envs.set_task({"env_name": "reach-v3", "rand_vec": [0.0, 0.75, 0.02, 0.0, 0.8, 0.1]})
        with pytest.raises(UserError, match=r"rand_vec .* closer than .* allows; draw another$"):
            envs.reset()
    finally:
        envs.close()


# ---- worker processes


@pytest.mark.thorough
def test_the_processes_of_an_env_that_nobody_closes_end_with_it() -> None:
    before = multiprocessing.active_children()
    envs = LaneVectorEnv(Navigation(), 2, workers=2)
    assert len(multiprocessing.active_children()) == len(before) + 2
    del envs
    assert len(multiprocessing.active_children()) == len(before)


def test_a_fork_leaves_the_workers_alone() -> None:
    envs = LaneVectorEnv(Navigation(), 2, workers=1)
    envs.reset(seed=1)
    read, write = os.pipe()
    if os.fork() == 0:
        said = b"nothing"
        try:
            envs.step(envs.action_space.sample())
        except UserError as error:
            said = str(error).encode()
        del envs  # as at the end of a function
        os.write(write, said)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        assert "was made by the process that this one is a fork of" in answer.read()
    os.wait()
    envs.step(envs.action_space.sample())  # a worker that was ended would be warned of
    envs.close()


def test_the_number_of_workers_changes_no_number() -> None:
    def seen(workers: int) -> list[Any]:
        envs = LaneVectorEnv(Navigation(), 5, max_episode_steps=3, workers=workers)
        try:
            steps: list[Any] = [envs.reset(seed=1)]
            for actions in random_actions(envs, 7):
                steps += [envs.reset(options={"reset_mask": np.arange(5) == 4})] * (len(steps) == 3)
                steps.append(envs.step(actions))
            return steps
        finally:
            envs.close()

    assert_same(seen(2), seen(0))


@pytest.mark.filterwarnings("ignore:a worker process of the vector env died")
def test_a_worker_that_dies_is_started_anew(tmp_path: Path) -> None:
    """At a reset, which is done again; in a step its episodes are truncated. The others know nothing of it."""

    def dies(at: int) -> dict[str, Any]:
        return {"fault": {"kind": "kill", "at": at, "marker": str(tmp_path / f"marker{at}")}}

    envs = LaneVectorEnv(TakesAnyTask(), 4, workers=2)
    try:
        obs, _ = envs.reset(seed=0, options={"task": [{}, {}, {}, dies(0)]})
        assert (tmp_path / "marker0").exists() and obs[:, 1].tolist() == [0, 0, 0, 0]
        envs.reset(seed=0, options={"task": [{}, {}, {}, dies(2)]})
        steps = [envs.step(np.zeros((4, 2))) for _ in range(3)]
        obs, rewards, terminated, truncated, infos = steps[1]
        assert truncated.tolist() == infos["worker_lost"].tolist() == [False, False, True, True]
        assert obs[:, 1].tolist() == [2, 2, 1, 1] and rewards[2:].tolist() == [0, 0] and not terminated.any()
        obs, *_, infos = steps[2]
        assert obs[:, 1].tolist() == [3, 3, 0, 0] and infos["_task"].tolist() == [False, False, True, True]
        assert not any("worker_lost" in steps[i][4] for i in (0, 2))
    finally:
        envs.close()


def test_a_workers_errors_are_told_and_the_next_reset_works() -> None:
    envs = LaneVectorEnv(TakesAnyTask(), 2, workers=1)
    try:
        for kind, error, said in (("user error", UserError, "gripper is at 3 mm"), ("raise", WorkerError, "scripted")):
            envs.reset(options={"task": [{}, {"fault": {"kind": kind, "at": 1, "marker": None}}]})
            with pytest.raises(error, match=said):
                envs.step(np.zeros((2, 2)))
        envs.reset(options={"task": {}})
        assert envs.step(np.zeros((2, 2)))[0][:, 1].tolist() == [1, 1]
    finally:
        envs.close()
    with pytest.raises(UserError, match="workers=-1 must be a whole number >= 0"):
        LaneVectorEnv(TakesAnyTask(), 2, workers=-1)


# ---- what is refused


def test_what_is_no_action_is_told_with_env_step_and_task() -> None:
    envs = LaneVectorEnv(Navigation(), 3)
    envs.reset(options={"task": {"goal": [0.5, 0.5]}})
    envs.step(np.zeros((3, 2)))
    bad = np.zeros((3, 2))
    bad[1, 0] = np.nan
    with pytest.raises(UserError, match=r"\[nan, 0.0\] of env 1 at step 2 of navigation\[.* must be finite"):
        envs.step(bad)
    for wrong in (
        np.zeros((3, 3)),
        np.zeros(2),
        [["a", "b"]] * 3,
        [[0, 0], [0], [0, 0]],
        torch.zeros(3, 2, requires_grad=True),
    ):
        with pytest.raises(UserError, match=r"must be float32 \(3, 2\), a row for each of 3 envs"):
            envs.step(wrong)
    bandits = gym.make_vec("metarl/bandits", num_envs=2)
    bandits.reset()
    with pytest.raises(UserError, match=r"action 10 of env 1 at step 1 .* must be 0 to 9"):
        bandits.step(np.array([0, 10]))
    with pytest.raises(UserError, match=r"actions are float64 \(2,\) and must be int64"):
        bandits.step(np.array([0.5, 1.0]))


def test_an_env_out_of_an_episode_is_not_stepped() -> None:
    envs = LaneVectorEnv(Endings(), 2, autoreset_mode="Disabled", max_episode_steps=1)
    with pytest.raises(UserError, match="before each has had its first reset"):
        envs.step(np.zeros((2, 2)))
    envs.reset()
    envs.step(np.zeros((2, 2)))
    with pytest.raises(UserError, match="env 0 is stepped after the end of its episode"):
        envs.step(np.zeros((2, 2)))
    envs.close()
    with pytest.raises(UserError, match="is closed; make it anew"):
        envs.reset()
    one = OneEnv(Endings(), max_episode_steps=1)
    with pytest.raises(UserError, match="call reset first"):
        one.step(np.zeros(2, np.float32))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"autoreset_mode": "Same"}, "'NextStep', 'SameStep', 'Disabled'"),
        ({"split": "held-out"}, "neither 'train' nor 'test'"),
        ({"max_episode_steps": 501}, "from 1 to 500, the horizon of ml1-reach-v3"),
        ({"max_episode_steps": "100"}, "max_episode_steps='100' must be a whole number"),
        ({"max_episode_steps": 2.5}, "max_episode_steps=2.5 must be a whole number"),
        ({"workers": "2"}, "workers='2' must be a whole number >= 0"),
        ({"workers": None}, "workers=None must be a whole number >= 0"),
        ({"render_mode": "rgb_array", "render_size": -3}, "render_size=-3 must be a whole number >= 1"),
        ({"env_name": 3}, "env_name=3 is not one of Meta-World's 50 tasks"),
        ({"render_mode": "human"}, "ml1-reach-v3 has rgb_array"),
        ({"reward_verison": "v1"}, "no setting 'reward_verison' .did you mean 'reward_version'"),
        ({"reward_version": "v3"}, "reward_version"),
        ({"env_name": "reech-v3"}, "did you mean 'reach-v3'"),
        ({"num_envs": 0}, "num_envs=0"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        gym.make_vec("metarl/ML1", **{"num_envs": 2, **settings})


def test_wrong_arguments_of_reset_are_refused() -> None:
    envs = LaneVectorEnv(Endings(), 2)
    with pytest.raises(UserError, match=r"no option 'tusk' \(did you mean 'task'"):
        envs.reset(options={"tusk": None})
    with pytest.raises(UserError, match="seed has 3 numbers for 2 envs"):
        envs.reset(seed=[1, 2, 3])
    for options in (3, ["task"]):
        with pytest.raises(UserError, match="of reset must be a dict; it may have reset_mask, task"):
            envs.reset(options=options)
    for seed in (1.5, -1, "1", [1, "2"], [1, -2]):
        with pytest.raises(UserError, match=r"seed=.* must be a whole number >= 0"):
            envs.reset(seed=seed)
    assert_same(envs.reset(seed=np.array([4, 5])), envs.reset(seed=4))
    for mask in (np.ones(3, bool), np.ones(2), np.zeros(2, bool), [True, False]):
        with pytest.raises(UserError, match="must be a NumPy array of 2 truth values"):
            envs.reset(options={"reset_mask": mask})


# ---- names


def test_every_registered_family_has_an_id_and_every_id_a_family() -> None:
    assert set(FAMILY_NAMES) == set(FAMILIES)
    names = {settings["name"] for settings in settings_by_id().values()}
    assert names == set(ENVS)
    assert settings_by_id().keys() <= gym.registry.keys()
    before = dict(gym.registry)
    register_ids()  # a second time warns of nothing
    assert gym.registry == before


def test_an_unknown_id_is_told_the_nearest() -> None:
    with pytest.raises(gym.error.NameNotFound, match="Did you mean: `ML1-reach`"):
        gym.make_vec("metarl/ML1-reech-v3", num_envs=2)


def test_the_id_with_its_module_needs_no_import_and_naming_it_loads_no_simulator() -> None:
    code = (
        "import sys, gymnasium, metarl.envs; "
        "assert not {'torch', 'mujoco', 'metaworld'} & set(sys.modules), 'registration imports a simulator'; "
        "del sys.modules['metarl.envs']; gymnasium.registry.clear(); "
        "print(gymnasium.make_vec('metarl.envs:metarl/navigation', num_envs=3))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "LaneVectorEnv(metarl/navigation, num_envs=3)" in done.stdout, done.stderr


# ---- pictures


@pytest.mark.parametrize("every", [1, 3])
def test_a_picture_is_the_replays_of_the_episode_so_far(every: int) -> None:
    """Navigation's replay takes its actions when it begins; the robots' and Meta-World's walks on with the episode."""
    tasks = Navigation()
    one = OneEnv(tasks, render_mode="rgb_array", render_size=40)
    with pytest.raises(UserError, match="drawn before its first reset"):
        one.render()
    one.reset(seed=0)
    task, actions = one.task, []
    assert task is not None
    for step in range(1, 8):
        actions.append(np.full(2, 0.1 * step, np.float32))
        one.step(actions[-1])
        if step % every == 0:
            *_, last = tasks.replay(task, (0,), np.array(actions), size=40)
            np.testing.assert_array_equal(one.render(), last)
    one.reset()
    first, *_ = tasks.replay(one.task or task, (0,), np.array(actions), size=40)
    np.testing.assert_array_equal(one.render(), first)


SAME_PICTURES = """
import numpy as np
from metarl.envs.metaworld.ml import ML
from metarl.envs.mujoco_v5.tasks import RobotTasks
from metarl.envs.vector.vector_env import LaneVectorEnv

TWO = ML(benchmark="custom", train_names=("reach-v3", "drawer-open-v3"), test_names=("door-close-v3",))
for tasks in (TWO, RobotTasks(family="reacher-goal-v0")):
    envs = LaneVectorEnv(tasks, 2, render_mode="rgb_array", render_size=64)
    envs.reset(seed=0)
    actions = np.full((9, *envs.action_space.shape), 0.7, np.float32)
    for step, action in enumerate(actions, 1):
        envs.step(action)
        if step in (2, 3, 9):
            frames = envs.render()
    for i, frame in enumerate(frames):
        rng = np.random.default_rng(i)
        tasks.sample(1, rng=rng) if tasks is not TWO else None
        seed = (int(rng.integers(2**31)), 0, 0)
        *_, last = tasks.replay(envs.tasks[i], seed, actions[:, i], size=64)
        assert np.array_equal(frame, last) and frame.std() > 20, (tasks.name, i)
    envs.close()
"""


@pytest.mark.slow
def test_several_envs_pictures_are_those_of_replays() -> None:
    """Drawn in turn, with other models: in a process of its own, since mujoco reads MUJOCO_GL when it is imported."""
    if not gl_works("egl", 30.0):
        pytest.skip("no EGL here")
    environment = {**os.environ, "MUJOCO_GL": "egl"}
    command = [sys.executable, "-c", SAME_PICTURES]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---- SB3


def test_sb3s_vec_env_says_how_an_episode_ended() -> None:
    """The same as gymnasium's SAME_STEP envs say, in SB3's words."""
    envs = SB3VecEnv(LaneVectorEnv(Endings(), 3, autoreset_mode="SameStep"))
    theirs = LaneVectorEnv(Endings(), 3, autoreset_mode="SameStep")
    envs.seed(4)
    np.testing.assert_array_equal(envs.reset(), theirs.reset(seed=4)[0])
    assert [info["task"] for info in envs.reset_infos] == [task.id for task in theirs.tasks if task]
    succeeded, ends = np.zeros(3, bool), set()
    for actions in random_actions(theirs, 40):
        obs, rewards, dones, infos = envs.step(actions)
        their_obs, their_rewards, terminated, truncated, their_infos = theirs.step(actions)
        np.testing.assert_array_equal(obs, their_obs)
        np.testing.assert_array_equal(rewards, their_rewards.astype(np.float32))
        np.testing.assert_array_equal(dones, terminated | truncated)
        for i, info in enumerate(infos):
            succeeded[i] |= info["success"]
            assert info["TimeLimit.truncated"] == (truncated[i] and not terminated[i])
            assert ("terminal_observation" in info) == ("is_success" in info) == dones[i]
            if dones[i]:
                ends.add((terminated[i], truncated[i], info["is_success"]))
                np.testing.assert_array_equal(info["terminal_observation"], their_infos["final_obs"][i])
                assert info["is_success"] == succeeded[i]
                succeeded[i] = False
    assert len(ends) == 4
    with pytest.raises(UserError, match="autoreset_mode='SameStep'"):
        SB3VecEnv(LaneVectorEnv(Endings(), 3))


def test_sb3s_ppo_learns_on_it_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    """The example that the documentation names: two updates, and what SB3 logs of the episodes."""
    model = sb3_ppo.train(env="metarl/navigation", num_envs=2, env_steps=2000)
    assert model.num_timesteps == 2000
    said = capsys.readouterr().out
    assert "ep_len_mean" in said and "success_rate" in said


def test_a_loop_of_ones_own_repeats_to_the_bit() -> None:
    """The other example; a third update of other rewards tells that the first two changed the policy."""
    once = own_loop.train(NAVIGATION, num_envs=4, updates=3)
    assert once == own_loop.train(NAVIGATION, num_envs=4, updates=3) and len(set(once)) == 3


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")  # TorchRL's of itself, when it is imported
def test_torchrls_a2c_repeats_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())  # it imports ray, which puts itself there
    pytest.importorskip("torchrl", reason="TorchRL is not installed; pip install torchrl")
    from metarl.experiments.interop import torchrl_a2c

    once = list(torchrl_a2c.train(NAVIGATION, num_envs=2, updates=3))
    assert once == list(torchrl_a2c.train(NAVIGATION, num_envs=2, updates=3)) and len(set(once)) == 3


@pytest.mark.filterwarnings("ignore")  # skrl's of TensorBoard
def test_skrls_ppo_learns_on_it_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It learns once in 510 steps, as often as in its rollout of 500, and not in one."""
    pytest.importorskip("skrl", reason="skrl is not installed; pip install skrl")
    from metarl.experiments.interop import skrl_ppo

    monkeypatch.chdir(tmp_path)  # where it leaves its logs
    first, once, again = (skrl_ppo.train(NAVIGATION, num_envs=2, steps=n).policy.state_dict() for n in (1, 510, 510))
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert not any(torch.equal(once[name], first[name]) for name in once)


def test_each_example_is_short() -> None:
    examples = list(Path(interop.__file__).parent.glob("*.py"))
    assert len(examples) == 5 and all(len(path.read_text().splitlines()) <= 25 for path in examples)
