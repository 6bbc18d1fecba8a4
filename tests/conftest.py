"""Settings of all tests."""

import os
import sys
from typing import Any

import pytest
import torch
from hypothesis import settings

# No deadline: a busy machine would fail it. The same examples each time: a new failure is a change of ours.
settings.register_profile("metarl", deadline=None, derandomize=True)
settings.load_profile("metarl")

# One thread: on a busy machine small products that wait for each other's threads take ten times as long.
torch.set_num_threads(1)


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


@pytest.fixture(autouse=True)
def no_report_at_the_end(request: pytest.FixtureRequest):
    """A second of drawing for each of some hundred trainings; the tests of reports have it."""
    with pytest.MonkeyPatch.context() as patch:  # the fixture of this name would be undone behind all others
        if not request.path.name.startswith("test_report"):
            patch.setattr("metarl.cli.train.report_at_the_end", lambda *_, **__: (None, {}))
        yield


def restore(state: dict[str, Any]) -> None:
    torch.set_num_threads(state["torch threads"])
    os.chdir(state["working directory"])
    sys.path[:] = state["sys.path"]
    for name in process_state().keys() - state.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in state.items() if name.isupper()})
