"""A checkpoint is whole or absent; a damaged or hostile one is refused by name and runs no code."""

import errno
import json
import os
import pickle
import resource
import time
import warnings
from pathlib import Path

import pytest
import torch

from metarl.errors import UserError
from metarl.learn.params import check_tensors_match
from metarl.runs import checkpoint
from metarl.runs.checkpoint import (
    CheckpointError,
    list_checkpoints,
    load_checkpoint,
    load_latest,
    save_checkpoint,
)

FILES = ["weights.safetensors", "state.json", "manifest.json"]


def make_state(value=1.0):
    return {
        "theta": {
            "layers.0.weight": torch.full((2, 3), value),
            "log_std": torch.tensor(-0.5, dtype=torch.float64),
        },
        "optimizer": {"moments": [torch.zeros(2), torch.ones(2, dtype=torch.int64)], "step": 7, "empty": {}},
        "rng": {"state": 2**127 + 1, "name": "PCG64"},
        "finished": torch.tensor([True, False]),
    }


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def edit_manifest(path: Path, **changes):
    file = path / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def write_state_json(path: Path, data: bytes):
    """Replace state.json and make the manifest agree, as an attacker would."""
    (path / "state.json").write_bytes(data)
    files = json.loads((path / "manifest.json").read_text())["files"]
    files["state.json"] = {"bytes": len(data), "sha256": checkpoint._digest(data)}
    edit_manifest(path, files=files)


def test_round_trip(tmp_path):
    state = make_state()
    path = save_checkpoint(tmp_path / "new" / "ünïcode dir", 120, state)
    assert path.name == "iteration_000120"
    assert names(path) == sorted(FILES)
    loaded = load_checkpoint(path)
    assert list(loaded) == list(state)
    assert loaded["rng"] == state["rng"]
    assert loaded["optimizer"]["step"] == 7 and loaded["optimizer"]["empty"] == {}
    for one, other in [
        (loaded["theta"]["layers.0.weight"], state["theta"]["layers.0.weight"]),
        (loaded["theta"]["log_std"], state["theta"]["log_std"]),
        (loaded["optimizer"]["moments"][1], state["optimizer"]["moments"][1]),
        (loaded["finished"], state["finished"]),
    ]:
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_state_without_tensors(tmp_path):
    assert load_checkpoint(save_checkpoint(tmp_path, 0, {})) == {}


def test_keeps_the_newest_and_nothing_foreign_is_deleted(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "iteration_best").mkdir()
    (tmp_path / "iteration_000000").mkdir()
    (tmp_path / "iteration_000000" / "thesis.tex").write_text("mine")
    for iteration in [1, 2, 3, 4]:
        save_checkpoint(tmp_path, iteration, make_state(), keep=2)
    assert names(tmp_path) == [
        "iteration_000000",
        "iteration_000003",
        "iteration_000004",
        "iteration_best",
        "notes.txt",
    ]
    assert (tmp_path / "iteration_000000" / "thesis.tex").exists()


def test_order_is_numeric_beyond_six_digits(tmp_path):
    for iteration in [999_999, 1_000_000]:
        save_checkpoint(tmp_path, iteration, {"iteration": iteration})
    assert [path.name for path in list_checkpoints(tmp_path)] == ["iteration_999999", "iteration_1000000"]
    state, _ = load_latest(tmp_path)
    assert state["iteration"] == 1_000_000


def test_saving_an_iteration_again_replaces_it(tmp_path):
    save_checkpoint(tmp_path, 5, {"try": 1})
    save_checkpoint(tmp_path, 5, {"try": 2})
    assert names(tmp_path) == ["iteration_000005"]
    assert load_checkpoint(tmp_path / "iteration_000005") == {"try": 2}


def test_pruning_after_a_resume_spares_the_checkpoint_just_written(tmp_path):
    for iteration in [1, 9]:
        save_checkpoint(tmp_path, iteration, {"iteration": iteration})
    (tmp_path / "iteration_000009" / "manifest.json").unlink()
    save_checkpoint(tmp_path, 2, {"iteration": 2}, keep=1)
    with pytest.warns(UserWarning, match="iteration_000009 is incomplete"):
        state, _ = load_latest(tmp_path)
    assert state == {"iteration": 2}


def test_half_written_ones_of_dead_writers_are_removed_and_others_left(tmp_path):
    dead, alive = (
        tmp_path / ".iteration_000001.tmp-999999999",
        tmp_path / f".iteration_000001.tmp-{os.getppid()}",
    )
    for path in (dead, alive):
        path.mkdir()
        (path / "state.json").write_text("{")
    save_checkpoint(tmp_path, 2, {})
    assert names(tmp_path) == sorted([alive.name, "iteration_000002"])


@pytest.mark.parametrize("name", FILES)
def test_truncated(tmp_path, name):
    path = save_checkpoint(tmp_path, 1, make_state())
    data = (path / name).read_bytes()
    (path / name).write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(path)


@pytest.mark.parametrize("name", ["weights.safetensors", "state.json"])
def test_any_flipped_bit(tmp_path, name):
    path = save_checkpoint(tmp_path, 1, make_state())
    data = (path / name).read_bytes()
    for position in range(0, len(data), 7):
        (path / name).write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(CheckpointError, match=f"{name} does not match its SHA-256"):
            load_checkpoint(path)


@pytest.mark.parametrize("name", FILES)
def test_missing_file(tmp_path, name):
    path = save_checkpoint(tmp_path, 1, make_state())
    (path / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(path)


def test_missing_directory(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere does not exist"):
        load_checkpoint(tmp_path / "nowhere")
    assert load_latest(tmp_path / "nowhere") is None
    assert load_latest(tmp_path) is None


def test_newer_format_names_both_versions(tmp_path):
    path = save_checkpoint(tmp_path, 1, {})
    edit_manifest(path, format_version=17)
    with pytest.raises(CheckpointError, match="format version 17, newer than 1; update metarl"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", ["../secret.json", "/etc/passwd", "a/../../b", "extra.bin"])
def test_manifest_may_not_name_other_files(tmp_path, name):
    path = save_checkpoint(tmp_path, 1, {})
    files = json.loads((path / "manifest.json").read_text())["files"]
    edit_manifest(path, files={**files, name: {"bytes": 0, "sha256": "0"}})
    with pytest.raises(CheckpointError, match="and nothing else"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_links_and_pipes_are_refused_without_waiting(tmp_path, name, kind):
    path = save_checkpoint(tmp_path, 1, make_state())
    (path / name).rename(tmp_path / name)
    if kind == "link":
        (path / name).symlink_to(tmp_path / name)
    else:
        os.mkfifo(path / name)
    with pytest.raises(
        CheckpointError, match=f"{name} cannot be read: it is {'a link' if kind == 'link' else 'no plain file'}"
    ):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "data, message",
    [
        (b'{"x": NaN}', "NaN is not a finite number"),
        (b'{"x": 1e999}', "1e999 is not a finite number"),
        (b'{"x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "deeper than the 100 levels"),
        (b'{"x": ' + b"[" * 150 + b"]" * 150 + b"}", "deeper than the 100 levels"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[1, 2]", "not a list"),
        (b'{"w": {"$tensor": "w"}}', "no tensor 'w'"),
        (b'{"x": ' + b"1" * 5_000 + b"}", "not valid JSON"),
    ],
)
def test_hostile_json(tmp_path, data, message):
    path = save_checkpoint(tmp_path, 1, {})
    write_state_json(path, data)
    started = time.perf_counter()
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)
    assert time.perf_counter() - started < 1.0


def test_json_beyond_the_limit_is_neither_written_nor_read(tmp_path, monkeypatch):
    path = save_checkpoint(tmp_path, 1, {"x": "long" * 100})
    monkeypatch.setattr(checkpoint, "MAX_JSON_BYTES", 100)
    with pytest.raises(CheckpointError, match=r"state.json cannot be read: it has \d+ bytes, more than the 100"):
        load_checkpoint(path)
    with pytest.raises(ValueError, match="at most 100"):
        save_checkpoint(tmp_path, 2, {"x": "long" * 100})
    assert names(tmp_path) == [path.name]


class Bomb:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


def test_a_pickle_is_refused_and_not_run(tmp_path):
    marker = tmp_path / "boom"
    path = save_checkpoint(tmp_path / "root", 1, {})
    data = pickle.dumps(Bomb(marker))
    (path / "weights.safetensors").write_bytes(data)
    files = json.loads((path / "manifest.json").read_text())["files"]
    files["weights.safetensors"] = {"bytes": len(data), "sha256": checkpoint._digest(data)}
    edit_manifest(path, files=files)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_checkpoint(path)
    assert not marker.exists()


def test_a_safetensors_header_of_2_to_63_bytes(tmp_path):
    path = save_checkpoint(tmp_path, 1, {})
    data = (2**63).to_bytes(8, "little") + b"{}"
    (path / "weights.safetensors").write_bytes(data)
    files = json.loads((path / "manifest.json").read_text())["files"]
    files["weights.safetensors"] = {"bytes": len(data), "sha256": checkpoint._digest(data)}
    edit_manifest(path, files=files)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_checkpoint(path)


def test_latest_falls_back_with_a_warning_for_each_bad_one(tmp_path):
    for iteration in [1, 2, 3]:
        save_checkpoint(tmp_path, iteration, {"iteration": iteration})
    (tmp_path / "iteration_000003" / "manifest.json").unlink()
    (tmp_path / "iteration_000002" / "state.json").write_text("{}")
    with pytest.warns(UserWarning) as caught:
        state, path = load_latest(tmp_path)
    assert (state, path.name) == ({"iteration": 1}, "iteration_000001")
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 2
    assert "iteration_000003" in messages[0] and "iteration_000002" in messages[1]


def test_latest_raises_if_all_are_bad(tmp_path):
    path = save_checkpoint(tmp_path, 1, {})
    (path / "manifest.json").unlink()
    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match=r"no checkpoint in .* is valid"):
        load_latest(tmp_path)


def test_other_library_versions_warn(tmp_path):
    path = save_checkpoint(tmp_path, 1, {})
    versions = json.loads((path / "manifest.json").read_text())["versions"]
    edit_manifest(path, versions={**versions, "mujoco": "2.0.0", "metarl": "9"})
    with pytest.warns(UserWarning, match=r"numbers may differ: mujoco 2.0.0 -> 3"):
        load_checkpoint(path)


def test_full_disk_leaves_the_older_one_and_nothing_else(tmp_path):
    save_checkpoint(tmp_path, 1, {"iteration": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"cannot save .*iteration_000002: .*; free space"):
            save_checkpoint(tmp_path, 2, {"w": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == ["iteration_000001"]
    assert load_latest(tmp_path)[0] == {"iteration": 1}


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("fail_at_call", range(8))
def test_a_failure_at_any_step_leaves_a_valid_latest(tmp_path, monkeypatch, error, fail_at_call):
    """The calls that touch the disk, one after the other: 3 writes, sync, 2 renames, sync, then none."""
    save_checkpoint(tmp_path, 1, {"try": 1})
    calls = iter(range(100))

    def failing(function):
        def call(*arguments):
            if next(calls) == fail_at_call:
                raise error
            return function(*arguments)

        return call

    for module, name in [(checkpoint, "write_synced"), (checkpoint, "sync_directory"), (os, "replace")]:
        monkeypatch.setattr(module, name, failing(getattr(module, name)))
    try:
        save_checkpoint(tmp_path, 1, {"try": 2})
    except (CheckpointError, KeyboardInterrupt):
        assert fail_at_call < 7
    monkeypatch.undo()
    assert names(tmp_path) == ["iteration_000001"]
    with warnings.catch_warnings(action="error"):
        assert load_latest(tmp_path)[0] == {"try": 1 if fail_at_call < 6 else 2}


def test_tensors_that_differ_are_all_listed():
    expected = {"a": torch.zeros(2), "b": torch.zeros(2, 3), "c": torch.zeros(1), "same": torch.zeros(4)}
    found = {
        "b": torch.zeros(3, 2),
        "c": torch.zeros(1, dtype=torch.float64),
        "d": torch.zeros(1),
        "same": torch.ones(4),
    }
    with pytest.raises(UserError) as raised:
        check_tensors_match(expected, found, what="checkpoint")
    message = str(raised.value)
    assert "a is missing" in message
    assert "d is not expected" in message
    assert "b is float32[3, 2], expected float32[2, 3]" in message
    assert "c is float64[1], expected float32[1]" in message
    assert "same" not in message
    check_tensors_match(expected, {name: tensor + 1 for name, tensor in expected.items()}, what="checkpoint")
