"""The replay's files: the same batches back, what is pruned, and what is missing or damaged."""

import dataclasses
import shutil

import pytest
import torch

from metarl.errors import UserError
from metarl.rl.off_policy.replay import Replay
from metarl.runs.stored_batches import StoredBatches
from tests.rl.off_policy.test_replay import SPEC, data, episode


def batch(number):
    return [data(10 * number + 1, "a", length=12), data(10 * number + 2, "b", length=9, terminated=True)]


def stored(root, count, *, capacity=1_000):
    batches = StoredBatches(root, capacity=capacity)
    for i in range(count):
        batches.save(i, batch(i), iterations=count)
    return batches


def names(root):
    return sorted(path.name for path in root.iterdir())


def test_batches_come_back_as_they_were(tmp_path):
    stored(tmp_path, 3)
    loaded = list(StoredBatches(tmp_path, capacity=1_000).load(2))  # the third one is newer than the checkpoint
    assert len(loaded) == 2
    for number, found in enumerate(loaded):
        for one, other in zip(batch(number), found, strict=True):
            assert one.task.stratum == other.task.stratum and one.task.id == other.task.id
            for name, x in vars(one.query).items():
                y = getattr(other.query, name)
                steps = y.shape[1] if x.dim() > 1 and name != "last_obs" else None  # padding is left out
                assert torch.equal(x[:, :steps] if steps else x, y) and x.dtype == y.dtype


def test_support_sets_come_back_in_their_order(tmp_path):
    tasks = [
        dataclasses.replace(
            data(10 * i, length=9), supports=(episode(10 * i + 1, length=3), episode(10 * i + 2, length=12))
        )
        for i in range(2)
    ]
    StoredBatches(tmp_path, capacity=1_000).save(0, tasks, iterations=1)
    (found,) = StoredBatches(tmp_path, capacity=1_000).load(1)
    for i, task in enumerate(found):
        sets = [*task.supports, task.query]
        assert [float(episodes.obs[0, 0, 0]) for episodes in sets] == [10 * i + 1, 10 * i + 2, 10 * i]
        assert [episodes.num_steps for episodes in sets] == [3, 12, 9]


@pytest.mark.parametrize("checkpoint", [0, 3, 6])
def test_pruning_leaves_what_any_kept_checkpoint_needs(tmp_path, checkpoint):
    """30 rows a group, and 13 and 10 a batch: at most the last three batches have a row left."""
    batches = stored(tmp_path, 6, capacity=30)
    batches.prune(checkpoint)
    whole = Replay(SPEC, capacity=30, n_step=3, gammas=(0.9,), device=torch.device("cpu"))
    for number in range(checkpoint):
        whole.add(batch(number))
    again = Replay(SPEC, capacity=30, n_step=3, gammas=(0.9,), device=torch.device("cpu"))
    again.restore(whole.state_dict(), list(StoredBatches(tmp_path, capacity=30).load(checkpoint)))
    assert len(names(tmp_path)) == {0: 6, 3: 6, 6: 3}[checkpoint]


def test_a_missing_file_is_named(tmp_path):
    stored(tmp_path, 4)
    (tmp_path / "batch_000002.safetensors").unlink()
    with pytest.raises(UserError, match=r"batch_000002\.safetensors is missing"):
        list(StoredBatches(tmp_path, capacity=1_000).load(4))


@pytest.mark.parametrize("damage", ["short", "noise", "empty", "link"])
def test_a_damaged_file_is_a_sentence(tmp_path, damage):
    stored(tmp_path, 2)
    path = tmp_path / "batch_000001.safetensors"
    content = path.read_bytes()
    if damage == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_bytes({"short": content[:-9], "noise": b"\xff" * 200, "empty": b""}[damage])
    with pytest.raises(UserError, match=r"batch_000001\.safetensors"):
        list(StoredBatches(tmp_path, capacity=1_000).load(2))


def test_a_disk_too_small_is_said_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 50_000))
    with pytest.raises(UserError, match=r"about [\d,]+ bytes .* and 50,000 are free"):
        StoredBatches(tmp_path, capacity=1_000).save(0, batch(0), iterations=1_000)
    StoredBatches(tmp_path, capacity=30).save(0, batch(0), iterations=1_000)  # what is overwritten is removed again


def test_too_little_memory_is_said_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr("metarl.runs.stored_batches.available", lambda: 50_000)
    with pytest.raises(UserError, match=r"about [\d,]+ bytes of memory, and 50,000 are available; .*replay_capacity"):
        StoredBatches(tmp_path, capacity=1_000).save(0, batch(0), iterations=1_000)
    assert names(tmp_path) == []
    StoredBatches(tmp_path, capacity=30).save(0, batch(0), iterations=1_000)
    monkeypatch.setattr("metarl.runs.stored_batches.available", lambda: 0)  # a system that does not tell
    StoredBatches(tmp_path / "other", capacity=1_000).save(0, batch(0), iterations=1_000)


def test_a_replay_on_the_disk_wants_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("metarl.runs.stored_batches.available", lambda: 50_000)
    StoredBatches(tmp_path, capacity=1_000, takes_memory=False).save(0, batch(0), iterations=1_000)


def test_room_is_looked_at_again_when_a_sequence_of_tasks_comes_to_a_new_class(tmp_path, monkeypatch):
    batches = StoredBatches(tmp_path, capacity=30)
    batches.save(0, batch(0), iterations=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1_000))
    batches.save(1, batch(1), iterations=1_000)  # of the same two classes
    with pytest.raises(UserError, match="1,000 are free"):
        batches.save(2, [data(21, "c", length=12)], iterations=1_000)
    assert names(tmp_path) == ["batch_000000.safetensors", "batch_000001.safetensors"]
