"""Tasks drawn from labelled data: what is in them, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metarl.errors import UserError
from metarl.fewshot.data.class_episodes import ClassData, ClassEpisodes, by_class
from metarl.fewshot.data.digits import DigitsConfig
from metarl.fewshot.data.image_folder import ImageFolderConfig
from metarl.fewshot.data.intents import IntentsConfig
from metarl.fewshot.data.omniglot import OmniglotConfig
from metarl.fewshot.data.source import EpisodeConfig
from metarl.fewshot.data.suites import parse_suite
from metarl.seeding import numpy_rng
from tests.fewshot.problems import image_classes, image_source

SIZE = 6


def numbered(num_classes=8, size=SIZE) -> ClassData:
    """Example e of class c is the number 100 c + e."""
    rows = np.array([[100 * c + e] for c in range(num_classes) for e in range(size)], np.float32)
    return ClassData(rows, np.arange(num_classes + 1) * size, tuple("abcdefgh"[:num_classes]))


def source(episodes=None, **options):
    return ClassEpisodes(
        numbered(),
        {"train": range(5), "test": range(5, 8)},
        episodes or EpisodeConfig(ways=3, shots=2, queries=3),
        test_queries=2,
        **options,
    )


@given(seed=st.integers(0, 10_000), split=st.sampled_from(["train", "test"]))
def test_a_task_has_k_and_q_different_examples_of_n_classes_of_its_split(seed, split):
    drawn = source()
    (task,) = (
        drawn.sample_tasks(1, split="train", rng=numpy_rng((seed,)))
        if split == "train"
        else drawn.test_tasks("3w2s", 1, rng=numpy_rng((seed,)))
    )
    data = drawn.task_data(task)
    support, query = data.supports[0], data.query
    classes = {int(v) // 100 for v in support.x.flatten()}
    assert len(classes) == 3 and classes <= set(range(5) if split == "train" else range(5, 8))
    for label in range(3):
        own = {int(v) for v in support.x[support.y == label].flatten()}
        asked = {int(v) for v in query.x[query.y == label].flatten()}
        assert len(own) == 2 and len(asked) == (3 if split == "train" else 2) and not own & asked
        assert len({v // 100 for v in own | asked}) == 1


def test_tasks_follow_from_the_generator():
    tasks = [source().sample_tasks(4, rng=numpy_rng((1, i))) for i in (0, 0, 1)]
    assert tasks[0] == tasks[1] != tasks[2]


def test_every_class_and_example_is_drawn():
    drawn = source()
    tasks = drawn.sample_tasks(200, rng=numpy_rng((0,)))
    seen = {int(v) for task in tasks for v in drawn.task_data(task).query.x.flatten()}
    assert seen == {100 * c + e for c in range(5) for e in range(SIZE)}


def test_ways_and_shots_may_vary_from_batch_to_batch():
    drawn = source(EpisodeConfig(ways=2, shots=1, queries=2, max_ways=5, max_shots=3))
    sizes = set()
    for i in range(60):
        batch = drawn.data(drawn.sample_tasks(2, rng=numpy_rng((0, i))), rng=numpy_rng((1,)))
        first, second = (d.supports[0] for d in batch)
        assert first.x.shape == second.x.shape
        sizes.add((int(first.y.max()) + 1, len(first.y) // (int(first.y.max()) + 1)))
    assert sizes == {(w, k) for w in range(2, 6) for k in range(1, 4)}
    assert drawn.spec.outputs == 5


def test_turned_classes_are_classes_of_their_own():
    data = image_classes()
    drawn = ClassEpisodes(data, {"train": [3]}, EpisodeConfig(ways=4, shots=1, queries=1), rotations=True)
    assert drawn.spec.train_classes == 4
    (task,) = drawn.sample_tasks(1, rng=numpy_rng((0,)))
    assert sorted(task.params["classes"]) == [12, 13, 14, 15]
    support = drawn.task_data(task).supports[0]
    for position, class_id in enumerate(task.params["classes"]):
        (example,) = task.params["support"][position]
        upright = data.rows[data.starts[3] + example]
        turned = np.rot90(upright, class_id % 4, axes=(-2, -1))
        np.testing.assert_array_equal(support.x[position].numpy(), turned)
    assert drawn.class_name(13) == "class3, turned 90°" and drawn.class_name(12) == "class3"


def test_train_class_numbers_are_those_of_the_training_split():
    drawn = ClassEpisodes(numbered(), {"train": [6, 2, 4]}, EpisodeConfig(ways=2, shots=1, queries=1))
    for task in drawn.sample_tasks(10, rng=numpy_rng((0,))):
        for class_id, place in zip(task.params["classes"], task.params["train_classes"], strict=True):
            assert [6, 2, 4][place] == class_id // 4


def test_a_class_in_both_splits_is_named():
    with pytest.raises(UserError, match="class 'c' is in both train and test; splits must be disjoint"):
        ClassEpisodes(numbered(), {"train": [0, 1, 2], "test": [2, 3]}, EpisodeConfig(ways=2, queries=2))


def test_a_class_in_a_split_twice_or_of_no_name_is_refused():
    config = EpisodeConfig(ways=2, shots=1, queries=1)
    with pytest.raises(UserError, match="class 'b' is in train twice, and would be two classes"):
        ClassEpisodes(numbered(), {"train": [0, 1, 1]}, config)
    with pytest.raises(UserError, match=r"the test split has class 99, but classes are 0 to \d+; take it out"):
        ClassEpisodes(numbered(), {"train": [0, 1], "test": [99]}, config)


def test_only_square_images_are_turned():
    with pytest.raises(UserError, match=r"rotations=True turns square images .* and inputs are "):
        ClassEpisodes(numbered(), {"train": [0, 1, 2]}, EpisodeConfig(ways=2, shots=1, queries=1), rotations=True)


@pytest.mark.parametrize(
    "episodes, message",
    [
        (
            EpisodeConfig(ways=6, queries=2),
            "a 6-way task needs 6 classes, but the train split has 5; give fewer ways by --ways",
        ),
        (EpisodeConfig(ways=2, max_ways=7, queries=2), "a 7-way task needs 7 classes"),
        (EpisodeConfig(ways=2, shots=4, queries=3), "make 7 examples a class, but class 'a' of the train split has 6"),
    ],
)
def test_a_task_larger_than_the_data_is_refused(episodes, message):
    with pytest.raises(UserError, match=message):
        source(episodes)


def test_a_held_out_task_larger_than_the_data_is_refused():
    with pytest.raises(UserError, match="a 4-way task needs 4 classes, but the test split has 3"):
        source().test_tasks("4w1s", 1, rng=numpy_rng((0,)))
    with pytest.raises(UserError, match="make 7 examples a class, but class 'f' of the test split has 6"):
        source().test_tasks("3w5s", 1, rng=numpy_rng((0,)))
    with pytest.raises(UserError, match="names no ways"):
        source().test_tasks("10s", 1, rng=numpy_rng((0,)))


@pytest.mark.parametrize(
    "field, value, message", [("ways", 1, "ways=1 must be >= 2"), ("shots", 0, "shots=0"), ("queries", 0, "queries=0")]
)
def test_ways_below_2_and_no_examples_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        EpisodeConfig(**{field: value})


@pytest.mark.parametrize("config", [DigitsConfig, ImageFolderConfig, IntentsConfig, OmniglotConfig])
@pytest.mark.parametrize("number", [0, -1])
def test_held_out_tasks_without_queries_are_refused(config, number):
    with pytest.raises(ValueError, match=rf"test_queries={number} must be >= 1; raise it"):
        config(test_queries=number)


def test_by_class_sorts_and_counts():
    data = by_class(np.array([[1.0], [2.0], [3.0]]), ["b", "a", "b"])
    assert data.names == ("a", "b") and data.rows.ravel().tolist() == [2, 1, 3] and data.starts.tolist() == [0, 1, 3]
    with pytest.raises(UserError, match="3 examples and 2 labels"):
        by_class(np.zeros((3, 1)), ["a", "b"])


@pytest.mark.parametrize(
    "suite, expected",
    [
        ("5w1s", (5, 1, None)),
        ("20w5s", (20, 5, None)),
        ("10s", (None, 10, None)),
        ("5w1s1q", (5, 1, 1)),
        ("10s50q", (None, 10, 50)),
    ],
)
def test_suites(suite, expected):
    assert parse_suite(suite) == expected


def test_a_suite_may_say_how_many_queries():
    tasks = {suite: source().test_tasks(suite, 1, rng=numpy_rng((0,)))[0] for suite in ("3w2s", "3w2s1q", "3w2s4q")}
    assert [len(task.params["query"][0]) for task in tasks.values()] == [2, 1, 4]
    with pytest.raises(UserError, match="make 7 examples a class, but class 'f' of the test split has 6"):
        source().test_tasks("3w2s5q", 1, rng=numpy_rng((0,)))


@pytest.mark.parametrize("suite", ["5w", "w1s", "1w1s", "0w1s", "5w0s", "5w1s0q", "5w1q", "lake", "5W1S", ""])
def test_unknown_suites_are_named(suite):
    with pytest.raises(UserError, match="unknown suite"):
        parse_suite(suite)


def test_inputs_are_float_tensors():
    drawn = image_source()
    (task,) = drawn.sample_tasks(1, rng=numpy_rng((0,)))
    assert drawn.task_data(task).query.x.dtype == torch.float32
