"""`metarl adapt` and `metarl play` on a run of each kind: a point, a robot, an env of gymnasium's."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metarl.cli import play
from metarl.cli.main import main
from metarl.cli.pictures import rendering
from metarl.cli.pictures.rendering import band_height, offscreen_gl, side_by_side, write_video
from metarl.envs.any_gym.tasks import GymTasks
from metarl.envs.mujoco_v5.tasks import RobotTasks
from metarl.envs.navigation import Navigation
from metarl.errors import UserError
from metarl.runs.adapted import load_adapted

SMALL = [
    *("--iterations", "1", "--meta-batch-size", "2", "--support-episodes", "2", "--query-episodes", "2"),
    *("--test-episodes", "1", "--adaptation-episodes", "1", "--max-tasks", "1", "--workers", "0"),
]


LINE = band_height(480)


@pytest.fixture(scope="module")
def point(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "point"
    assert main(["train", "navigation_maml", "--out", str(out), *SMALL]) == 0
    return out


def test_adapt_saves_the_policy_with_its_returns(point: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "adapted"
    task = '{"goal": [30, -20]}'  # out of reach, so that no episode ends early
    assert main(["adapt", str(point), "--task", task, "--rounds", "2", "--episodes", "3", "--out", str(out)]) == 0
    record = json.loads((out / "adapted.json").read_text())
    assert record["task"]["params"] == {"goal": [30, -20]}
    assert len(record["return_after_rounds"]) == 3 and all(r < 0 for r in record["return_after_rounds"])
    assert record["env_steps"] == (3 * 10 + 2 * 3) * 100
    assert not [f for f in out.rglob("*") if f.suffix in (".pkl", ".pt", ".pickle")]
    phi, again = load_adapted(out)
    assert again == record and all(torch.isfinite(w).all() for w in phi.values())
    assert "2 rounds" in capsys.readouterr().out


def test_explain_is_for_few_shot_runs(point: Path, capsys) -> None:
    assert main(["explain", str(point)]) == 2
    assert "is a run of navigation_maml, reinforcement learning; give one of few-shot" in capsys.readouterr().err


def test_adapt_is_a_function_of_its_seed(point: Path, tmp_path: Path) -> None:
    returns = []
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        assert main(["adapt", str(point), "--task", "3", "--seed", seed, "--out", str(tmp_path / name)]) == 0
        returns.append(json.loads((tmp_path / name / "adapted.json").read_text())["return_after_rounds"])
    assert returns[0] == returns[1] != returns[2]


def test_adapt_to_an_env_of_ones_own(point: Path, tmp_path: Path) -> None:
    command = ["adapt", str(point), "--env", "tests.envs.gym_envs:Walk", "--rounds", "1", "--out", str(tmp_path / "a")]
    assert main(command) == 0
    assert json.loads((tmp_path / "a" / "adapted.json").read_text())["env"] == "tests.envs.gym_envs:Walk"


def test_adapt_to_a_task_of_an_env_of_ones_own(point: Path, tmp_path: Path) -> None:
    records = {}
    for task in ('{"speed": 0.01}', '{"speed": 0.5}', '{"goal": [1, 1]}'):  # keyword, keyword, attribute
        out = tmp_path / str(len(records))
        command = ["adapt", str(point), "--env", "tests.envs.gym_envs:Walk", "--task", task, "--out", str(out)]
        assert main([*command, "--rounds", "1"]) == 0
        records[task] = json.loads((out / "adapted.json").read_text())
    params = [record["task"]["params"] for record in records.values()]
    assert params == [{"kwargs": {"speed": 0.01}}, {"kwargs": {"speed": 0.5}}, {"attributes": {"goal": [1, 1]}}]
    assert len({tuple(record["return_after_rounds"]) for record in records.values()}) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--task", "200"], "has 200 held-out tasks; give 0 to 199"),
        (["--task", "navigation[+9"], "no held-out task of navigation"),
        (["--task", '{"goal": [1'], "is no JSON"),
        (
            ["--task", '{"gaol": [1, 1]}'],
            "is no task of navigation ('gaol', 'goal' missing or unknown); its params are",
        ),
        (["--task", '{"goal": [1]}'], "is no task of navigation"),
        (["--rounds", "-1"], "--rounds -1 must be >= 1"),
        (["--env", "Pendulum-v1"], "with 2 observations and 2 continuous actions, and Pendulum-v1 has 3 and 1"),
        (["--env", "no-such-env"], "not registered"),
        (
            ["--env", "tests.envs.gym_envs:Walk", "--task", '{"sped": 1}'],
            "neither a constructor keyword nor an attribute 'sped' (did you mean 'speed'?); fix the name in the task",
        ),
        (["--env", "tests.envs.gym_envs:Walk", "--task", '{"attributes": {"gaol": 1}}'], "did you mean 'goal'?"),
        (["--env", "tests.envs.gym_envs:Walk", "--task", '{"speed": "fast"}'], "step raised "),
        (["--env", "tests.envs.gym_envs:Attributes", "--task", '{"fixed": 0.1}'], "reset overwrites the attribute"),
    ],
)
def test_bad_tasks_are_one_line(point: Path, arguments: list[str], said: str, capsys) -> None:
    assert main(["adapt", str(point), *arguments]) == 2
    errors = capsys.readouterr().err
    assert said in errors and len(errors.strip().splitlines()) == 1


def test_play_draws_both_sides(point: Path, tmp_path: Path) -> None:
    out = tmp_path / "play.gif"
    assert main(["play", str(point), "--task", "1", "--rounds", "1", "--every", "10", "--out", str(out)]) == 0
    with Image.open(out) as video:
        assert video.size == (960, 480 + 2 * LINE) and 2 <= video.n_frames <= 11  # what does not move is one frame
        first, last = (
            np.asarray(frame.convert("RGB"), int) for frame in (seek(video, 0), seek(video, video.n_frames - 1))
        )
    assert np.abs(first[2 * LINE :, :480] - last[2 * LINE :, :480]).max() > 100  # the path has grown
    assert np.abs(first[2 * LINE :, 480:] - last[2 * LINE :, 480:]).max() > 100


def seek(video: Image.Image, index: int) -> Image.Image:
    video.seek(index)
    return video.copy()


@pytest.mark.parametrize(
    ("experiment", "kind"),
    [("cheetah_vel_maml", RobotTasks), ("pendulum_maml", GymTasks), ("navigation_maml", Navigation)],
)
def test_the_episodes_that_play_shows_have_the_returns_it_tells(
    experiment: str, kind: type, tmp_path: Path, monkeypatch, capsys
) -> None:
    run, shown, captions = tmp_path / "run", [], []
    assert main(["train", experiment, "--out", str(run), *SMALL]) == 0

    def replay(self, task, seed, actions, *, size, every):
        env, lane = self.make_env(1), np.array([0])
        env.reset(lane, [task], [seed])
        shown.append((task.id, seed, sum(float(env.step(lane, action[None]).rewards[0]) for action in actions)))
        env.close()
        return iter([np.zeros((size, size, 3), np.uint8)])

    def beside(left, right, texts, title):
        captions.extend((*texts, title))
        return left

    monkeypatch.setattr(kind, "replay", replay)
    monkeypatch.setattr(play, "offscreen_gl", nullcontext)
    monkeypatch.setattr(play, "side_by_side", beside)
    assert main(["play", str(run), "--rounds", "1", "--episodes", "2", "--task", "1", "--seed", "5"]) == 0
    (task, seed, before), (same_task, same_seed, after) = shown
    assert (task, seed) == (same_task, same_seed) and captions[2] == task
    assert captions[0].startswith(f"before: return {before:.1f}")
    assert captions[1].startswith(f"after round 1: return {after:.1f}") and before != after
    assert ("success" in captions[0]) is (experiment == "navigation_maml")
    assert task in capsys.readouterr().out


def test_play_says_what_it_cannot_write(point: Path, tmp_path: Path, capsys) -> None:
    assert main(["play", str(point), "--out", str(tmp_path / "play.avi")]) == 2
    assert "must end in .gif or .mp4" in capsys.readouterr().err


def test_a_shorter_side_keeps_its_last_frame(tmp_path: Path) -> None:
    def frame(v):
        return np.full((10, 20, 3), v, np.uint8)

    both = side_by_side([frame(10), frame(90), frame(170)], [frame(250)], ("a", "b"), "title")
    assert len(both) == 3 and both[2].shape == (42, 40, 3)
    assert (both[2][32:, :20] == 170).all() and (both[2][32:, 20:] == 250).all()
    write_video(tmp_path / "v" / "a.gif", both, frames_per_second=10)
    with Image.open(tmp_path / "v" / "a.gif") as video:
        assert video.n_frames == 3


def test_a_gif_keeps_the_colour_of_what_is_small(tmp_path: Path) -> None:
    frames = [np.random.default_rng(i).integers(60, 120, (80, 80, 3), np.uint8) for i in range(6)]
    for i, frame in enumerate(frames):
        frame[10 * i : 10 * i + 3, 5:8] = (240, 190, 30)  # a goal, of 9 pixels
    write_video(tmp_path / "a.gif", frames, frames_per_second=10)
    with Image.open(tmp_path / "a.gif") as video:
        last = np.asarray(seek(video, 5).convert("RGB"), int)
    assert np.abs(last[51, 6] - (240, 190, 30)).max() < 40


@pytest.mark.parametrize("text", ["short", "a caption that is much longer than its picture is wide"])
def test_a_caption_fits_above_its_picture(text: str) -> None:
    frame = np.full((120, 160, 3), 255, np.uint8)
    (both,) = side_by_side([frame], [frame], (text, ""), "")
    line = band_height(120)
    drawn = np.argwhere(both[line : 2 * line].min(-1) < 128)
    assert len(drawn) and drawn[:, 1].max() < 160


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # imageio_ffmpeg's reader leaves pipes open
def test_an_mp4_keeps_every_frame_and_odd_sides(tmp_path: Path) -> None:
    import imageio_ffmpeg

    frames = [np.full((21, 35, 3), (0, 40 * i, 200), np.uint8) for i in range(5)]
    write_video(tmp_path / "a.mp4", frames, frames_per_second=10)
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "a.mp4"))
    about = next(reader)
    assert about["size"] == (36, 22) and about["fps"] == 10
    shown = [np.frombuffer(frame, np.uint8).reshape(22, 36, 3) for frame in reader]
    assert len(shown) == 5
    for frame, written in zip(shown, frames, strict=True):
        assert np.abs(frame[5, 5].astype(int) - written[5, 5]).max() < 12  # lossy, and nothing more


def test_an_mp4_without_its_encoder_is_refused_before_anything_is_rendered(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(rendering.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install imageio-ffmpeg, or write a .gif"):
        rendering.check_can_write(tmp_path / "a.mp4")


@pytest.mark.parametrize("experiment", ["pendulum_maml", "cartpole_maml"])
def test_a_plugged_in_env_is_rendered(experiment: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(["train", experiment, "--out", str(run), *SMALL]) == 0
    assert main(["play", str(run), "--rounds", "1", "--episodes", "2", "--every", "5"]) == 0
    with Image.open(run / "play.gif") as video:
        assert np.asarray(seek(video, 1).convert("RGB"), int)[2 * LINE :].std() > 10  # thin lines on white


def test_only_frames_that_are_shown_are_rendered() -> None:
    tasks = Navigation()
    task, actions = tasks.meta_test()[0], np.full((10, 2), 0.5, np.float32)
    every = list(tasks.replay(task, (1,), actions, size=40))
    some = list(tasks.replay(task, (1,), actions, size=40, every=4))
    assert len(every) == 11 and len(some) == 4  # steps 0, 4, 8, and the end
    for frame, step in zip(some, (0, 4, 8, 10), strict=True):
        np.testing.assert_array_equal(frame, every[step])


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["cheetah_dir_maml", "skill_open_door"])
def test_play_renders_robots_without_a_screen(experiment: str, tmp_path: Path) -> None:
    with offscreen_gl() as backend:
        if backend is None:
            pytest.skip("neither EGL nor OSMesa here")
    run, out = tmp_path / "run", tmp_path / "play.gif"
    assert main(["train", experiment, "--out", str(run), *SMALL]) == 0
    assert main(["play", str(run), "--rounds", "1", "--episodes", "2", "--every", "40", "--out", str(out)]) == 0
    with Image.open(out) as video:
        frame = np.asarray(seek(video, video.n_frames - 1).convert("RGB"), int)
    assert frame[2 * LINE :].std() > 20  # a picture, not one colour
    yellow = (frame[..., 0] > 180) & (frame[..., 1] > 120) & (frame[..., 2] < 90)
    assert bool(yellow.sum() > 100) is (experiment == "skill_open_door")  # the goal


def test_gl_falls_back_to_osmesa_and_then_to_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the process is as before afterwards: a child started later would import mujoco for that GL."""
    for name in rendering.GL_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(rendering, "gl_works", lambda backend, _: backend == "osmesa")
    with offscreen_gl() as backend:
        assert backend == "osmesa" == os.environ["MUJOCO_GL"] == os.environ["PYOPENGL_PLATFORM"]
    assert not os.environ.keys() & set(rendering.GL_VARIABLES)
    monkeypatch.setattr(rendering, "gl_works", lambda backend, _: False)
    with offscreen_gl() as backend:
        assert backend is None and "MUJOCO_GL" not in os.environ


def test_a_gl_the_user_has_set_stays_after_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setattr(rendering, "gl_works", lambda backend, _: True)
    with pytest.raises(ZeroDivisionError), offscreen_gl() as backend:
        assert backend == "egl"
        raise ZeroDivisionError
    assert os.environ["MUJOCO_GL"] == "egl"


def test_what_cannot_be_rendered_is_said_with_the_remedy(point: Path, monkeypatch, capsys) -> None:
    def replay(self, task, seed, actions, *, size, every):
        raise RuntimeError("no display")

    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(play, "offscreen_gl", nullcontext)
    monkeypatch.setattr(Navigation, "replay", replay)
    assert main(["play", str(point)]) == 2
    said = capsys.readouterr().err
    assert "neither EGL nor OSMesa" in said and "install libegl1" in said and "no display" in said
    monkeypatch.setenv("MUJOCO_GL", "disabled")
    assert main(["play", str(point)]) == 2
    assert "nothing is drawn by MUJOCO_GL=disabled here" in (said := capsys.readouterr().err) and "unset it" in said
