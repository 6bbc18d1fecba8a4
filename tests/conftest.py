"""Settings of all tests."""

import os
import pkgutil
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import settings

# No deadline: a busy machine would fail it. The same examples each time: a new failure is a change of ours.
settings.register_profile("metarl", deadline=None, derandomize=True)
settings.load_profile("metarl")

# One thread: on a busy machine small products that wait for each other's threads take ten times as long.
torch.set_num_threads(1)

if "MUJOCO_GL" in os.environ:  # as mujoco does at the first picture, which a test would then seem to have changed
    os.environ.setdefault("PYOPENGL_PLATFORM", os.environ["MUJOCO_GL"])


@pytest.fixture(scope="session", autouse=True)
def metarl_cache(tmp_path_factory):
    """Meta-World's goal lists are built once a session, and never read from the user's own cache."""
    before = os.environ.get("METARL_CACHE")
    os.environ["METARL_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield process_state()
    if before is None:
        del os.environ["METARL_CACHE"]
    else:
        os.environ["METARL_CACHE"] = before


def process_state() -> dict[str, Any]:
    """What a test could leave behind for the next one on the same xdist worker, or for processes started later."""
    gl_and_ours = ("MUJOCO_GL", "PYOPENGL_PLATFORM", "METARL_")
    variables = {name: value for name, value in os.environ.items() if name.startswith(gl_and_ours)}
    others = {"torch threads": torch.get_num_threads(), "working directory": os.getcwd(), "sys.path": sys.path.copy()}
    return variables | others


@pytest.fixture(autouse=True)
def nothing_is_left_behind(metarl_cache: dict[str, Any]):
    """Fails a test that changes the process for those after it, and changes it back."""
    yield
    now, before = process_state(), metarl_cache
    changed = {
        name: (before.get(name), now.get(name))
        for name in now.keys() | before.keys()
        if before.get(name) != now.get(name)
    }
    if changed:
        restore(before)
        pytest.fail(f"the test left the process changed (before, after): {changed}; restore what it sets")


class Drawing:
    """Whether a training draws its pictures and its report: seconds, for each of some hundred."""

    is_on = True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture, so that it holds for a module's runs too."""
    Drawing.is_on = item.get_closest_marker("draws") is not None


@pytest.fixture(scope="session", autouse=True)
def only_marked_tests_draw():
    with pytest.MonkeyPatch.context() as patch:  # the fixture of this name would be undone behind all others
        for place, instead in {
            "metarl.cli.train.report_at_the_end": lambda *_, **__: (None, {}),
            "metarl.cli.train.plot_training": lambda path, *_, **__: path.write_bytes(b"\x89PNG"),
            "metarl.scores.report.plot_adaptation": lambda path, *_, **__: path.write_bytes(b"\x89PNG"),
        }.items():
            patch.setattr(place, if_drawing(pkgutil.resolve_name(place), instead))
        yield


def if_drawing(function: Callable[..., Any], instead: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **more: (function if Drawing.is_on else instead)(*arguments, **more)


def restore(state: dict[str, Any]) -> None:
    torch.set_num_threads(state["torch threads"])
    os.chdir(state["working directory"])
    sys.path[:] = state["sys.path"]
    for name in process_state().keys() - state.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in state.items() if name.isupper()})
