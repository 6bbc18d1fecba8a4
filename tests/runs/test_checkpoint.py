"""A checkpoint is whole or absent; a damaged or hostile one is refused by name and runs no code."""

import errno
import hashlib
import json
import os
import pickle
import resource
import time
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as save_tensors

from metarl import files
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
from metarl.runs.state_codec import encode_state

FILES = ["weights.safetensors", "state.json", "manifest.json"]
"""Of a checkpoint until metarl 0.1, which was a directory."""
NAME = "iteration_000001.safetensors"


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


def sign(data: bytes) -> bytes:
    """With the digest made right, as an attacker would."""
    start, stop = checkpoint._DIGEST.start, checkpoint._DIGEST.stop
    return data[:start] + checkpoint._digest(data).encode() + data[stop:]


def with_json(text: bytes, tensors=None) -> bytes:
    """A signed file whose JSON is the attacker's."""
    data = save_tensors(tensors or {}, {"metarl-checkpoint": "0" * 64 + "TEXT"})
    escaped = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    data = data[8:].replace(b"TEXT", escaped)
    return sign(len(data).to_bytes(8, "little") + data)


def about(path: Path) -> dict:
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["metarl-checkpoint"][64:])


def save_directory(root: Path, iteration: int, state, *, text: bytes | None = None, weights: bytes | None = None):
    """As metarl 0.1 saved it, or an attacker."""
    path = root / f"iteration_{iteration:06d}"
    path.mkdir(parents=True)
    tree, tensors = encode_state(state)
    text = json.dumps(tree).encode() if text is None else text
    contents = {FILES[0]: save_tensors(tensors) if weights is None else weights, FILES[1]: text}
    entries = {name: {"sha256": hashlib.sha256(x).hexdigest(), "bytes": len(x)} for name, x in contents.items()}
    manifest = {"format": "metarl-checkpoint", "format_version": 1, "files": entries, "versions": {}}
    for name, x in {**contents, FILES[2]: json.dumps(manifest).encode()}.items():
        (path / name).write_bytes(x)
    return path


@pytest.mark.parametrize("save", [save_checkpoint, save_directory])
def test_round_trip(tmp_path, save):
    state = make_state()
    path = save(tmp_path / "new" / "ünïcode dir", 120, state)
    assert names(path.parent) == [path.name] == ["iteration_000120" + path.suffix]
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


def test_equal_states_give_equal_bytes(tmp_path):
    one, other = (save_checkpoint(tmp_path / name, 1, make_state()).read_bytes() for name in "ab")
    assert one == other


def test_a_tensor_may_be_called_as_the_metadata_are(tmp_path):
    loaded = load_checkpoint(save_checkpoint(tmp_path, 0, {"__metadata__": torch.ones(2)}))
    assert torch.equal(loaded["__metadata__"], torch.ones(2))


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
        "iteration_000003.safetensors",
        "iteration_000004.safetensors",
        "iteration_best",
        "notes.txt",
    ]
    assert (tmp_path / "iteration_000000" / "thesis.tex").exists()


def test_order_is_numeric_beyond_six_digits(tmp_path):
    for iteration in [999_999, 1_000_000]:
        save_checkpoint(tmp_path, iteration, {"iteration": iteration})
    assert [path.stem for path in list_checkpoints(tmp_path)] == ["iteration_999999", "iteration_1000000"]
    state, _ = load_latest(tmp_path)
    assert state["iteration"] == 1_000_000


def test_saving_an_iteration_again_replaces_it(tmp_path):
    save_checkpoint(tmp_path, 5, {"try": 1})
    save_checkpoint(tmp_path, 5, {"try": 2})
    assert names(tmp_path) == ["iteration_000005.safetensors"]
    assert load_checkpoint(tmp_path / "iteration_000005.safetensors") == {"try": 2}


def test_files_follow_directories_of_older_versions_and_take_their_place(tmp_path):
    for iteration in [1, 2]:
        save_directory(tmp_path, iteration, {"iteration": iteration})
    assert load_latest(tmp_path)[0] == {"iteration": 2}
    save_checkpoint(tmp_path, 2, {"again": 2}, keep=2)
    assert names(tmp_path) == ["iteration_000002", "iteration_000002.safetensors"]
    assert load_latest(tmp_path)[0] == {"again": 2}


def test_pruning_after_a_resume_spares_the_checkpoint_just_written(tmp_path):
    for iteration in [1, 9]:
        save_checkpoint(tmp_path, iteration, {"iteration": iteration})
    (tmp_path / "iteration_000009.safetensors").write_bytes(b"")
    save_checkpoint(tmp_path, 2, {"iteration": 2}, keep=1)
    with pytest.warns(UserWarning, match=r"iteration_000009.safetensors is no checkpoint"):
        state, _ = load_latest(tmp_path)
    assert state == {"iteration": 2}


def test_half_written_ones_of_dead_writers_are_removed_and_others_left(tmp_path):
    dead, ours, alive = (tmp_path / f".{NAME}.tmp-{pid}" for pid in (999999999, os.getpid(), os.getppid()))
    for path in (dead, ours, alive):
        path.write_text("{")
    save_checkpoint(tmp_path, 2, {})
    assert names(tmp_path) == sorted([alive.name, "iteration_000002.safetensors"])


def test_truncated(tmp_path):
    path = save_checkpoint(tmp_path, 1, make_state())
    data = path.read_bytes()
    for length in (0, 7, 8, 50, 100, 200, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=NAME):
            load_checkpoint(path)


def test_any_flipped_bit(tmp_path):
    path = save_checkpoint(tmp_path, 1, make_state())
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(CheckpointError, match=f"{NAME} (does not match its SHA-256|is no checkpoint)"):
            load_checkpoint(path)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_directory(tmp_path, name):
    path = save_directory(tmp_path, 1, make_state())
    data = (path / name).read_bytes()
    flipped = [data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :] for i in range(0, len(data), 7)]
    for bad in [data[:-1], b"null", b"{}", *(flipped if name != "manifest.json" else [])]:
        (path / name).write_bytes(bad)
        with pytest.raises(CheckpointError, match=name):
            load_checkpoint(path)
    (path / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(path)


def test_missing_directory(tmp_path):
    for name in ("nowhere", NAME):
        with pytest.raises(CheckpointError, match=rf"{name}.* cannot be read: No such file"):
            load_checkpoint(tmp_path / name)
    assert load_latest(tmp_path / "nowhere") is None
    assert load_latest(tmp_path) is None


def test_newer_format_names_both_versions(tmp_path):
    path = tmp_path / NAME
    path.write_bytes(with_json(b'{"format_version": 17}'))
    with pytest.raises(CheckpointError, match="format version 17, newer than 2; update metarl"):
        load_checkpoint(path)


def link(path: Path, to: Path) -> None:
    path.symlink_to(to)


def pipe(path: Path, to: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("put, said", [(link, "a link"), (pipe, "no plain file")])
@pytest.mark.parametrize("name", [NAME, *(f"iteration_000001/{name}" for name in FILES)])
def test_links_and_pipes_are_refused_without_waiting(tmp_path, name, put, said):
    save = save_checkpoint if name == NAME else save_directory
    path = save(tmp_path, 1, make_state())
    (tmp_path / name).rename(tmp_path / "moved")
    put(tmp_path / name, tmp_path / "moved")
    with pytest.raises(CheckpointError, match=f"{name} cannot be read: it is {said}"):
        load_checkpoint(path)


def test_a_link_to_a_directory_is_refused(tmp_path):
    (tmp_path / "iteration_000001").symlink_to(save_directory(tmp_path / "elsewhere", 1, make_state()))
    with pytest.raises(CheckpointError, match="iteration_000001 is a link"):
        load_checkpoint(tmp_path / "iteration_000001")


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
@pytest.mark.parametrize("is_file", [True, False])
def test_hostile_json(tmp_path, data, message, is_file):
    path = tmp_path / NAME
    if is_file:
        path.write_bytes(with_json(b'{"format_version": 2, "state": ' + data + b"}"))
    else:
        path = save_directory(tmp_path, 1, {}, text=data)
    started = time.perf_counter()
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)
    assert time.perf_counter() - started < 1.0


@pytest.mark.parametrize(
    "header",
    [
        b',"__metadata__":3}',
        b',"__metadata__":{}}',
        b',"__metadata__":{"metarl-checkpoint":3}}',
        b"",
        b"\xff}",
        b',"":',
    ],
)
def test_hostile_metadata(tmp_path, header):
    """Python's reader takes the last of two equal keys."""
    data = b'{"__metadata__":{"metarl-checkpoint":"' + b"0" * 64 + b'{}"}' + header
    path = tmp_path / NAME
    path.write_bytes(sign(len(data).to_bytes(8, "little") + data))
    with pytest.raises(CheckpointError, match=r"no metadata of metarl|not valid JSON"):
        load_checkpoint(path)


@pytest.mark.parametrize("text", [b"{}", b"[]", b'"\\ud800"', b'{"format_version": "1"}', b'{"format_version": true}'])
def test_json_without_a_format(tmp_path, text):
    (tmp_path / NAME).write_bytes(with_json(text))
    with pytest.raises(CheckpointError, match="no format version"):
        load_checkpoint(tmp_path / NAME)


def test_json_beyond_the_limit_is_neither_written_nor_read(tmp_path, monkeypatch):
    path = save_checkpoint(tmp_path, 1, {"x": "long" * 100})
    directory = save_directory(tmp_path / "old", 1, {"x": "long" * 100})
    monkeypatch.setattr(checkpoint, "MAX_HEADER_BYTES", 300)
    with pytest.raises(CheckpointError, match=r"has a header of \d+ bytes, more than the 300"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match=r".json cannot be read: it has \d+ bytes, more than the 300"):
        load_checkpoint(directory)
    with pytest.raises(ValueError, match="at most 300"):
        save_checkpoint(tmp_path, 2, {"x": "long" * 100})
    assert names(tmp_path) == [path.name, "old"]


class Bomb:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


def test_a_pickle_is_refused_and_not_run(tmp_path):
    marker = tmp_path / "boom"
    data = pickle.dumps(Bomb(marker))
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(CheckpointError, match="is no checkpoint of metarl"):
        load_checkpoint(tmp_path / NAME)
    with pytest.raises(CheckpointError, match="does not hold a state"):
        load_checkpoint(save_directory(tmp_path, 1, {}, weights=data))
    assert not marker.exists()


def test_a_safetensors_header_of_2_to_63_bytes(tmp_path):
    path = save_checkpoint(tmp_path, 1, {})
    huge = (2**63).to_bytes(8, "little")
    path.write_bytes(sign(huge + path.read_bytes()[8:]))
    with pytest.raises(CheckpointError, match="has a header of 9223372036854775808 bytes"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match="does not hold a state"):
        load_checkpoint(save_directory(tmp_path, 1, {}, weights=huge + b"{}"))


def test_latest_falls_back_with_a_warning_for_each_bad_one(tmp_path):
    for iteration in [1, 2, 3]:
        save_checkpoint(tmp_path, iteration, {"iteration": iteration})
    (tmp_path / "iteration_000003.safetensors").write_bytes(b"")
    with (tmp_path / "iteration_000002.safetensors").open("ab") as file:
        file.write(b"\0")
    with pytest.warns(UserWarning) as caught:
        state, path = load_latest(tmp_path)
    assert (state, path.name) == ({"iteration": 1}, NAME)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 2
    assert "iteration_000003" in messages[0] and "iteration_000002" in messages[1]


def test_latest_raises_if_all_are_bad(tmp_path):
    save_checkpoint(tmp_path, 1, {}).write_bytes(b"")
    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match=r"no checkpoint in .* is valid"):
        load_latest(tmp_path)


def test_other_library_versions_warn(tmp_path):
    path = save_checkpoint(tmp_path, 1, {})
    found = about(path)
    found["versions"] |= {"mujoco": "2.0.0", "metarl": "9"}
    path.write_bytes(with_json(json.dumps(found).encode()))
    with pytest.warns(UserWarning, match=r"numbers may differ: mujoco 2.0.0 -> 3"):
        load_checkpoint(path)


def test_full_disk_leaves_the_older_one_and_nothing_else(tmp_path):
    save_checkpoint(tmp_path, 1, {"iteration": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"cannot save .*iteration_000002.safetensors: .*; free space"):
            save_checkpoint(tmp_path, 2, {"w": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == [NAME]
    assert load_latest(tmp_path)[0] == {"iteration": 1}


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("fail_at_call", range(4))
def test_a_failure_at_any_step_leaves_a_valid_latest(tmp_path, monkeypatch, error, fail_at_call):
    """The calls that touch the disk, one after the other: a write, a rename, a sync, then none."""
    save_checkpoint(tmp_path, 1, {"try": 1})
    calls = iter(range(100))

    def failing(function):
        def call(*arguments):
            if next(calls) == fail_at_call:
                raise error
            return function(*arguments)

        return call

    for module, name in [(files, "write_synced"), (files, "sync_directory"), (os, "replace")]:
        monkeypatch.setattr(module, name, failing(getattr(module, name)))
    try:
        save_checkpoint(tmp_path, 1, {"try": 2})
    except (CheckpointError, KeyboardInterrupt):
        assert fail_at_call < 3
    monkeypatch.undo()
    assert names(tmp_path) == [NAME]
    with warnings.catch_warnings(action="error"):
        assert load_latest(tmp_path)[0] == {"try": 1 if fail_at_call < 2 else 2}


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
