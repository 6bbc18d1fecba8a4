"""Files that may be a stranger's: no link followed, no pipe waited for, nothing read beyond a limit."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from metarl.errors import UserError
from metarl.files import inside, open_plain, read_plain, replace_file
from metarl.runs.directory import WRITTEN, RunDirectory, read_run_config
from metarl.runs.log import MetricsLog

DEAD = 999999999
"""No process has this id."""


def link(path: Path) -> None:
    path.symlink_to(path.parent / "outside")


def dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "link": (link, "is a link, and none is followed"),
    "dangling": (dangling, "is a link, and none is followed"),
    "pipe": (os.mkfifo, "is no plain file"),
}


@pytest.fixture(params=KINDS)
def hostile(request, tmp_path: Path) -> Callable[[Path], str]:
    """Puts something at a path; what is said of it."""
    (tmp_path / "outside").write_text("mine")

    def put(path: Path) -> str:
        make, said = KINDS[request.param]
        make(path)
        return said

    yield put
    assert (tmp_path / "outside").read_text() == "mine" and not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("resume", [False, True])
def test_a_run_directory_with_a_link_or_pipe_is_left_alone(name: str, resume: bool, hostile, tmp_path: Path) -> None:
    run = tmp_path / "run"
    if resume:
        RunDirectory.create(run, resume=False, experiment="x", config={}).lock.release()
        (run / name).unlink(missing_ok=True)
    else:
        run.mkdir()
    said = hostile(run / name)
    with pytest.raises(UserError, match=f"{name} {said}"):
        RunDirectory.create(run, resume=resume, experiment="x", config={})
    assert os.path.lexists(run / name)


def test_a_place_in_a_run_has_no_link_above_it(hostile, tmp_path: Path) -> None:
    said = hostile(tmp_path / "adapted")
    with pytest.raises(UserError, match=said):
        inside(tmp_path, "adapted", "task", "adapted.json")
    assert inside(tmp_path, "other", "task") == tmp_path / "other" / "task"  # need not be there


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc/passwd", "a\0b", "x" * 300])
def test_a_place_in_a_run_is_named_plainly(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        inside(tmp_path, name)


def test_the_run_itself_may_be_named_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "run")
    with RunDirectory.create(tmp_path / "latest", resume=False, experiment="x", config={}):
        assert read_run_config(tmp_path / "latest").experiment == "x"


def test_plain_files_alone_are_opened(hostile, tmp_path: Path) -> None:
    hostile(tmp_path / "x")
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY | os.O_APPEND | os.O_CREAT):
        with pytest.raises(OSError) as raised:
            open_plain(tmp_path / "x", flags)
        assert raised.value.strerror.startswith("it is ")
    with pytest.raises((OSError, UserError)):
        MetricsLog(tmp_path / "x")
    with pytest.raises(OSError, match="it is no plain file"):
        read_plain(Path("/dev/zero"), max_bytes=10)


def test_a_file_that_lies_elsewhere_too_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "x").hardlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="hard link"):
        open_plain(tmp_path / "x", os.O_WRONLY)
    assert read_plain(tmp_path / "x", max_bytes=4) == b"mine"
    replace_file(tmp_path / "x", b"new")
    assert (tmp_path / "outside").read_text() == "mine"


def test_sizes_are_limited_before_reading(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.truncate(10**13)  # more than any memory
    with pytest.raises(OSError, match="more than the 100 allowed"):
        read_plain(tmp_path / "x", max_bytes=100)


def test_a_replaced_link_gives_way_and_its_target_stays(hostile, tmp_path: Path) -> None:
    for name in ("x", f".x.tmp-{os.getpid()}"):
        hostile(tmp_path / name)
    replace_file(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new" and not (tmp_path / "x").is_symlink()


def test_what_dead_writers_left_is_swept_by_the_next_of_that_file(tmp_path: Path) -> None:
    dead, alive, other = (tmp_path / name for name in (f".x.tmp-{DEAD}", f".x.tmp-{os.getppid()}", f".y.tmp-{DEAD}"))
    for path in (dead, alive, other):
        path.write_text("half")
    replace_file(tmp_path / "x", b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"x", alive.name, other.name}


def test_a_run_directory_is_swept_of_all_that_dead_writers_left(tmp_path: Path) -> None:
    (tmp_path / f".evaluation.json.tmp-{DEAD}").write_text("half")
    (tmp_path / ".of_mine.tmp-file").write_text("mine")
    RunDirectory.create(tmp_path, resume=False, experiment="x", config={}).lock.release()
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "versions.json", ".of_mine.tmp-file"}


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path: Path, monkeypatch) -> None:
    replace_file(tmp_path / "x", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        replace_file(tmp_path / "x", b"new")
    assert caught.value.filename == str(tmp_path / "x")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
