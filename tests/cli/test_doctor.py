"""The doctor finds what is wrong, and survives it."""

import importlib.util
import shutil
import subprocess
from collections import namedtuple
from pathlib import Path

import pytest

from metarl.cli.main import main
from metarl.cli.process import machine as doctor

ROOT = Path(__file__).parents[2]

STATUSES = {"ok", "warn", "fail"}


@pytest.fixture
def rows(monkeypatch):
    """Report without the slow GL check, as {name: (value, status)}."""
    monkeypatch.setattr(doctor, "gl_works", lambda backend, _: backend == "osmesa")
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    return lambda: {name: (value, status) for name, value, status in doctor.report()}


def test_report_covers_what_runs_need(rows):
    found = rows()
    wanted = {
        "python",
        "torch",
        "mujoco",
        "metaworld",
        "metarl.envs",
        "metarl.agents",
        "CPUs",
        "start methods",
        "/dev/shm",
    }
    assert wanted | {"GL backend", "METARL_DATA"} <= set(found)
    assert {status for _, status in found.values()} <= STATUSES
    assert found["mujoco"] == ("3.3.0", "ok")
    assert found["metarl.envs"] == (str(ROOT / "envs"), "ok") and found["metarl.agents"][1] == "ok"
    assert found["GL backend"] == ("osmesa works; export MUJOCO_GL=osmesa", "ok")


@pytest.mark.parametrize(
    "installed, value, status",
    [
        ("3.4.0", "3.4.0, results were made with 3.3.0; pip install mujoco==3.3.0", "warn"),
        (None, "missing", "fail"),
    ],
)
def test_mujoco_other_than_pinned(rows, monkeypatch, installed, value, status):
    version = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: installed if name == "mujoco" else version(name))
    assert rows()["mujoco"][0].startswith(value)
    assert rows()["mujoco"][1] == status


def test_a_checkout_without_its_links_is_told_and_fails(rows, monkeypatch, capsys):
    find_spec = importlib.util.find_spec
    specs = {"metarl.envs": None}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: specs[name] if name in specs else find_spec(name))
    found = rows()
    assert found["metarl.envs"][1] == "fail" and "install metarl-suite again" in found["metarl.envs"][0]
    assert found["metarl.agents"][1] == "ok"
    assert main(["doctor"]) == 1


def test_small_shared_memory(rows, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**26, 0, 2**26))
    monkeypatch.setattr(doctor, "HAS_ANONYMOUS", False)
    assert rows()["/dev/shm"] == ("64 MiB free, 256 are advised; docker run --shm-size 1g", "warn")
    monkeypatch.setattr(doctor, "HAS_ANONYMOUS", True)  # episodes do not go through it
    assert rows()["/dev/shm"] == ("64 MiB free; not needed, shared memory has no name here", "ok")


def test_data_directory(rows, monkeypatch, tmp_path):
    monkeypatch.delenv("METARL_DATA", raising=False)
    assert rows()["METARL_DATA"][1] == "ok"
    monkeypatch.setenv("METARL_DATA", str(tmp_path))
    assert rows()["METARL_DATA"] == (str(tmp_path), "ok")
    monkeypatch.setenv("METARL_DATA", str(tmp_path / "gone"))
    assert rows()["METARL_DATA"][1] == "warn"


def test_gl_set_by_the_user_is_the_only_one_tried(rows, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    assert rows()["GL backend"][1] == "warn"
    assert "MUJOCO_GL=glfw does not work" in rows()["GL backend"][0]


@pytest.mark.parametrize(
    "code, works", [("pass", True), ("import os; os.abort()", False), ("import time; time.sleep(9)", False)]
)
def test_gl_check_survives_crashes_and_hangs(monkeypatch, code, works):
    monkeypatch.setattr(doctor, "_GL_CHECK", code)
    assert doctor.gl_works("egl", timeout_seconds=1.0) is works


def test_a_check_that_raises_is_a_row(rows, monkeypatch):
    monkeypatch.setattr(doctor.multiprocessing, "get_all_start_methods", lambda: 1 / 0)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("not needed"))
    value, status = rows()["start methods"]
    assert "ZeroDivisionError" in value and status == "fail"
    assert "METARL_DATA" in rows()  # the checks after it ran
