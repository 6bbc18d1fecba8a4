"""Classes to choose settings by: what is kept out of training, what is scored, and what is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.fewshot.data.arrays_file import ArraysConfig, arrays_file
from metarl.fewshot.data.class_episodes import ClassData, ClassEpisodes
from metarl.fewshot.data.image_folder import ImageFolderConfig, image_folder
from metarl.fewshot.data.intents import inverse_document_frequency, read_intents
from metarl.fewshot.data.ngrams import hash_texts
from metarl.fewshot.data.source import EpisodeConfig
from metarl.fewshot.data.splits import with_val
from metarl.fewshot.evaluation import unpack_episodes
from metarl.seeding import numpy_rng
from tests.fewshot.data.test_arrays_file import EACH, write, write_texts
from tests.fewshot.data.test_image_folder import make


@given(train=st.sets(st.integers(0, 50), min_size=8), share=st.floats(0.25, 0.75))
def test_a_share_of_the_training_classes_is_moved_and_test_stays(train, share):
    splits = {"train": sorted(train), "test": [60, 61]}
    moved = with_val(splits, share)
    assert moved["test"] == [60, 61] and sorted([*moved["train"], *moved["val"]]) == sorted(train)
    assert len(moved["val"]) == round(share * len(train)) and with_val(splits, share) == moved
    assert with_val(splits, 0) == splits


def test_splits_without_two_classes_are_refused():
    with pytest.raises(
        UserError, match=r"val_share=0.2 of 5 training classes leaves 4 to train on and 1 .*; give 0.4 or more"
    ):
        with_val({"train": range(5), "test": range(5, 8)}, 0.2)
    assert len(with_val({"train": range(5)}, 0.4)["val"]) == 2
    with pytest.raises(UserError, match=r"leaves 1 to train on and 4 .*; give less"):
        with_val({"train": range(5)}, 0.8)
    with pytest.raises(UserError, match="a val split of their own"):
        with_val({"train": range(5), "val": range(5, 7), "test": range(7, 9)}, 0.4)
    with pytest.raises(ValueError, match="val_share=1"):
        EpisodeConfig(val_share=1)


def test_tasks_of_each_split_are_of_its_classes():
    data = ClassData(np.zeros((40, 1), np.float32), np.arange(11) * 4, tuple("abcdefghij"))
    splits = {"train": range(7), "test": range(7, 10)}
    episodes = EpisodeConfig(ways=2, shots=1, queries=1, val_share=0.4)
    source = ClassEpisodes(data, splits, episodes, test_queries=1)
    drawn = {
        "train": source.sample_tasks(50, rng=numpy_rng((0,))),
        "val": source.val_tasks("2w1s", 50, rng=numpy_rng((0,))),
        "test": source.test_tasks("2w1s", 50, rng=numpy_rng((0,))),
    }
    classes = {split: {c // 4 for task in tasks for c in task.params["classes"]} for split, tasks in drawn.items()}
    assert classes["test"] == {7, 8, 9} and classes["train"] | classes["val"] == set(range(7))
    assert len(classes["val"]) == 3 and not classes["val"] & classes["train"] and source.spec.train_classes == 4
    with pytest.raises(
        UserError, match="a 4-way task needs 4 classes, but the val split has 3; give fewer ways by --s"
    ):
        source.val_tasks("4w1s", 1, rng=numpy_rng((0,)))


def test_nothing_of_them_goes_into_what_is_measured_over_the_training_classes(tmp_path):
    """Neither the mean and deviation of arrays, nor how many texts have an n-gram."""
    X, y = write(tmp_path / "a.npz", (5,))
    episodes = EpisodeConfig(ways=2, shots=1, queries=1, val_share=0.5)
    source = arrays_file(ArraysConfig(file=str(tmp_path / "a.npz"), test_queries=1), episodes)
    trained = np.isin(y, [int(name) for name in source.class_sizes("train")])
    assert trained.sum() == 2 * EACH and len(source.class_sizes("val")) == 2
    np.testing.assert_allclose(source.encoder.mean, X[trained].mean(0), rtol=1e-5)
    config = write_texts(tmp_path / "a.csv")
    data = read_intents(config, val_share=0.5)
    texts = [f"word{i} please {k}" for i in data.splits["train"] for k in range(5)]
    assert len(data.splits["train"]) == 2
    np.testing.assert_allclose(data.weights, inverse_document_frequency(hash_texts(texts, dimensions=64)))


def test_a_val_split_on_the_disk_is_scored_and_no_other_beside_it(tmp_path):
    config = ImageFolderConfig(root=str(make(tmp_path, "folder")), size=8, test_queries=1)
    source = image_folder(config, EpisodeConfig(ways=2, shots=1, queries=1))
    (task,) = source.val_tasks("2w1s", 1, rng=numpy_rng((0,)))
    assert {source.class_name(c) for c in task.params["classes"]} == {"dog", "eel"}
    with pytest.raises(UserError, match="a val split of their own; leave --val-share out"):
        image_folder(config, EpisodeConfig(ways=2, shots=1, queries=1, val_share=0.5))


def test_suites_of_the_test_classes_and_data_without_val_are_refused():
    data = ClassData(np.zeros((40, 1), np.float32), np.arange(11) * 4, tuple("abcdefghij"))
    splits, episodes = {"train": range(7), "test": range(7, 10)}, EpisodeConfig(ways=2, shots=1, queries=1)
    source = ClassEpisodes(data, splits, episodes, test_queries=1, own_suites={"lake": list})
    with pytest.raises(UserError, match="suite 'lake' is of test classes"):
        source.val_tasks("lake", 1, rng=numpy_rng((0,)))
    with pytest.raises(UserError, match="no val split; hold out training classes by --val-share"):
        source.val_tasks("2w1s", 1, rng=numpy_rng((0,)))


SMALL = ["--iterations", "2", "--num-episodes", "3", "--suites", "3w1s", "--filters", "4", "--ways", "3"]


def classes_scored(evaluation):
    """Their numbers, as in a run's evaluation.json."""
    episodes = evaluation["policies"]["meta-trained"]["episodes"]["3w1s"]
    return {c // 4 for episode in unpack_episodes(episodes) for c in episode["classes"]}


def test_a_run_is_scored_on_val_until_it_is_to_be_a_result(tmp_path, capsys):
    run, again = tmp_path / "run", tmp_path / "again.json"
    train = ["train", "digits_prototypical", "--out", str(run), *SMALL, "--val-share", "0.5"]
    assert main([*train, "--held-out", "val"]) == 0
    assert "(val classes)" in capsys.readouterr().out
    assert classes_scored(json.loads((run / "evaluation.json").read_text())) <= set(range(6))
    assert main(["results", str(run), "--into", str(tmp_path / "mine")]) == 2
    assert "was scored on val classes, by which settings are chosen" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--held-out", "test", "--json", str(again)]) == 0
    assert classes_scored(json.loads(again.read_text())) <= {6, 7, 8, 9}
    assert main(["evaluate", str(run), "--val-share", "0.4"]) == 2
    assert "not those that the run was trained on: its train split had 3 classes" in capsys.readouterr().err
    assert main([*train, "--resume", "--held-out", "test"]) == 0
    assert classes_scored(json.loads((run / "evaluation.json").read_text())) <= {6, 7, 8, 9}
    assert main(["results", str(run), "--into", str(tmp_path / "mine")]) == 0


def test_a_regression_has_no_classes_to_hold_out(tmp_path, capsys):
    assert main(["train", "sinusoid_maml", "--out", str(tmp_path / "run"), "--held-out", "val"]) == 2
    assert "these tasks have no classes to choose settings by" in capsys.readouterr().err
