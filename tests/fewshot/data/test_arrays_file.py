"""One's own arrays and texts as data to train on: what is read, held out, scaled and refused."""

import numpy as np
import pytest
import torch

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.fewshot.classifier import FewShotClassifier
from metarl.fewshot.data.arrays_file import ArraysConfig, arrays_file
from metarl.fewshot.data.intents import IntentsConfig, intents, read_intents
from metarl.fewshot.data.source import EpisodeConfig, HasOutOfScope
from metarl.fewshot.data.splits import hold_out
from metarl.seeding import numpy_rng

EPISODES = EpisodeConfig(ways=2, shots=1, queries=1)
CLASSES, EACH = 6, 4


def write(path, shape, labels=None):
    """CLASSES classes of EACH examples; number k of class c has entries 10 c + k and, in the first place, c."""
    y = np.repeat(np.arange(CLASSES), EACH)
    X = (10.0 * y + np.tile(np.arange(EACH), CLASSES)).reshape(-1, *[1] * len(shape)) * np.ones(shape)
    X.reshape(len(X), -1)[:, 0] = y
    np.savez(path, X=X, y=y if labels is None else labels)
    return X, y


def read(tmp_path, **settings):
    return arrays_file(ArraysConfig(file=str(tmp_path / "a.npz"), test_queries=1, **settings), EPISODES)


@pytest.mark.parametrize("shape, input_shape", [((5,), (5,)), ((3, 2), (6,)), ((1, 8, 8), (1, 8, 8))])
def test_what_a_net_sees_of_each_kind(tmp_path, shape, input_shape):
    X, _ = write(tmp_path / "a.npz", shape)
    source = read(tmp_path, standardise=False)
    assert source.spec.input_shape == input_shape and source.spec.train_classes == 4
    task = source.test_tasks("2w1s", 1, rng=numpy_rng((0,)))[0]
    support = source.task_data(task).supports[0]
    for row, class_id, examples in zip(support.x, task.params["classes"], task.params["support"], strict=True):
        expected = X[EACH * int(source.class_name(class_id)) + examples[0]]
        np.testing.assert_allclose(row.numpy(), expected.reshape(input_shape))


@pytest.mark.parametrize("shape, axes", [((5,), (0,)), ((3, 2), (0, 1)), ((2, 8, 8), (0, 2, 3))])
def test_inputs_are_standardised_by_the_training_classes_alone(tmp_path, shape, axes):
    X, y = write(tmp_path / "a.npz", shape)
    source = read(tmp_path)
    trained = np.isin(y, [int(name) for name in source.class_sizes("train")])
    mean, deviation = X[trained].mean(axes, keepdims=True), X[trained].std(axes, keepdims=True)
    expected = ((X - mean) / deviation).reshape(len(X), *source.spec.input_shape)
    np.testing.assert_allclose(source.data_set.rows, expected, atol=1e-5)
    np.testing.assert_allclose(source.encoder.encode(X), expected, atol=1e-5)  # the same for one's examples later
    assert not trained.all() and abs(source.data_set.rows[trained].mean()) < 1e-5


def test_tiny_units_are_scaled_too(tmp_path):
    X, y = write(tmp_path / "a.npz", (4,))
    rows = read(tmp_path).data_set.rows
    np.savez(tmp_path / "a.npz", X=1e-15 * X, y=y)
    np.testing.assert_allclose(read(tmp_path).data_set.rows, rows, atol=1e-5)


def test_what_never_varies_becomes_0(tmp_path):
    X, y = write(tmp_path / "a.npz", (4,))
    X[:, 2] = 1013.3  # whose deviation comes out as 1e-13 by rounding, not as 0
    np.savez(tmp_path / "a.npz", X=X, y=y)
    source = read(tmp_path)
    np.testing.assert_allclose(source.data_set.rows[:, 2], 0, atol=1e-9)
    X[0, 2] *= 1.001
    assert abs(source.encoder.encode(X[:1])[0, 2]) < 2


@pytest.mark.parametrize(
    "arrays, match",
    [
        ({"X": np.zeros((6, 3))}, "has no labels"),
        ({"X": np.full((6, 3), "a"), "y": np.arange(6)}, "is of type <U1, which must be numbers"),
        ({"X": np.zeros((6, 1, 2, 2, 2)), "y": np.arange(6)}, r"\(6, 1, 2, 2, 2\), which must be \(n, D\)"),
        ({"X": np.where(np.eye(6, 3) * [0, 1, 0], np.nan, 1), "y": np.arange(6)}, "example 1 of .* NaN .*1 of 6 have"),
        (
            {"X": np.arange(18.0).reshape(6, 3), "y": np.arange(6) // 2},
            "0.3 of the 3 classes in .* leaves 2 to train on and 1 to",
        ),
        ({"X": np.arange(72.0).reshape(24, 3), "y": np.arange(24) // 2}, None),
        ({"X": np.zeros((6, 0)), "y": np.arange(6)}, r"\(6, 0\), in which an example has no number"),
        ({"X": np.zeros((3, 2)), "y": np.array([1, np.nan, 2])}, "label 1 of .* is NaN"),
        ({"X": np.zeros((3, 2)), "y": np.array(["a", "", "b"])}, "example 1 of .* has an empty label"),
        ({"X": 1e300 * np.eye(24, 3), "y": np.arange(24) // 2}, "too large for 32 bits"),
    ],
)
def test_a_file_that_cannot_be_learnt_from_is_refused(tmp_path, arrays, match):
    np.savez(tmp_path / "a.npz", **arrays)
    if match is None:
        assert read(tmp_path).spec.train_classes == 8
        return
    with pytest.raises(UserError, match=match):
        read(tmp_path)


def test_without_a_file_the_option_is_named():
    with pytest.raises(UserError, match="--file is missing"):
        arrays_file(ArraysConfig(), EPISODES)


def test_examples_of_another_shape_are_refused_later(tmp_path):
    write(tmp_path / "a.npz", (3, 2))
    with pytest.raises(UserError, match=r"\(2, 3\) are not like those trained on, \(3, 2\)"):
        read(tmp_path).encoder.encode(np.zeros((1, 2, 3)))


def test_a_run_on_a_file_names_examples_of_new_classes(tmp_path, capsys):
    write(tmp_path / "a.npz", (3, 2))
    arguments = ["--file", str(tmp_path / "a.npz"), "--ways", "2", "--max-shots", "2", "--queries", "1"]
    small = ["--suites", "2w1s", "--test-queries", "1", "--num-episodes", "4", "--iterations", "2"]
    assert main(["train", "arrays", "--out", str(tmp_path / "run"), *arguments, *small]) == 0
    series = np.stack([np.full((3, 2), v) for v in (-500.0, 500.0)])
    np.savez(tmp_path / "mine.npz", X=series, y=["low", "high"])
    np.savez(tmp_path / "asked.npz", X=series + 3)
    capsys.readouterr()
    run, mine, asked = (str(tmp_path / name) for name in ("run", "mine.npz", "asked.npz"))
    saved, moved = str(tmp_path / "saved"), str(tmp_path / "moved.npz")
    for arguments in (["classify", run, "--trust", "--examples", mine, "--save", saved], ["classify", saved]):
        assert main([*arguments, "--queries", asked]) == 0
        answers = [line.split("│")[2].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
        assert answers == ["low", "high"]
    (tmp_path / "a.npz").rename(moved)
    assert main(["classify", run, "--trust", "--examples", mine, "--queries", asked]) == 2
    assert "a.npz is not there" in capsys.readouterr().err
    assert main(["classify", run, "--examples", mine, "--queries", asked, "--data.file", moved]) == 0
    assert main(["classify", saved, "--queries", asked, "--data.file", moved]) == 2
    assert "no run that could have such a setting" in capsys.readouterr().err


@pytest.mark.parametrize("standardise", [True, False])
def test_images_with_channels_last_are_told_from_series_of_channels(tmp_path, standardise):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(CLASSES), EACH)
    images = rng.normal(size=(len(y), 12, 10, 3))
    np.savez(tmp_path / "a.npz", X=images, y=y)
    with pytest.raises(UserError, match=r"\(\d+, 12, 10, 3\), which are images with their channels last"):
        read(tmp_path, standardise=standardise)
    with pytest.raises(UserError, match=r"X_support of task 0 has the shape \(4, 12, 10, 3\)"):
        FewShotClassifier().fit([(images[:4], y[:4], images[:4], y[:4])])
    np.savez(tmp_path / "a.npz", X=images.transpose(0, 3, 1, 2), y=y)
    assert read(tmp_path, standardise=standardise).spec.input_shape == (3, 12, 10)


def test_in_python_a_run_takes_the_arrays_that_its_file_has(tmp_path):
    X, y = write(tmp_path / "a.npz", (5,))
    arguments = ["--file", str(tmp_path / "a.npz"), "--ways", "2", "--max-shots", "2", "--queries", "1"]
    small = ["--suites", "2w1s", "--test-queries", "1", "--num-episodes", "4", "--iterations", "2"]
    assert main(["train", "arrays", "--out", str(tmp_path / "run"), *arguments, *small]) == 0
    classifier = FewShotClassifier.of_run(tmp_path / "run", {"data.file": str(tmp_path / "a.npz")})
    classifier.adapt(X[::EACH], y[::EACH])
    support = classifier.phi_["support_x"]  # what the net has seen
    np.testing.assert_allclose(support.numpy(), classifier.encoder.encode(X[::EACH]), atol=1e-6)
    assert abs(support.numpy() - X[::EACH]).max() > 1
    assert classifier.predict(torch.from_numpy(X[::EACH])).tolist() == list(range(CLASSES))
    with pytest.raises(UserError, match=r"\(4,\) are not like those trained on, \(5,\)"):
        classifier.predict(X[:, :4])


def test_a_run_does_not_take_other_data_for_its_own(tmp_path, capsys):
    """Another class moves the seeded split: what was trained on would be held out."""
    file, run = tmp_path / "a.npz", str(tmp_path / "run")
    X, y = write(file, (5,))
    arguments = ["--file", str(file), "--ways", "2", "--max-shots", "2", "--queries", "1", "--suites", "2w1s"]
    small = ["--test-queries", "1", "--num-episodes", "4"]
    train = ["train", "arrays", "--out", run, *arguments, *small]
    assert main([*train, "--iterations", "2"]) == 0
    file.rename(tmp_path / "moved.npz")
    assert main(["evaluate", run, "--trust"]) != 0 and "is not there" in capsys.readouterr().err
    assert main(["evaluate", run, "--file", str(tmp_path / "moved.npz")]) == 0
    np.savez(file, X=np.concatenate([X, 90 + X[:EACH]]), y=np.concatenate([y, np.full(EACH, 9)]))
    for command in (
        ["evaluate", run, "--trust"],
        ["evaluate", run, "--file", str(file), "--suites", "2w2s"],
        [*train, "--iterations", "3", "--resume"],
    ):
        assert main(command) != 0
        assert "the data are not those that the run was trained on" in capsys.readouterr().err
    (tmp_path / "a.npz").rename(tmp_path / "more.npz")
    assert main(["evaluate", run, "--file", str(tmp_path / "more.npz")]) != 0
    assert "would be tested on" in capsys.readouterr().err


def write_texts(path, intents=6, texts=5, strangers=0):
    rows = [f"word{i} please {k},kind{i}" for i in range(intents) for k in range(texts)]
    rows += [f'"what about {k}, then",oos' for k in range(strangers)]
    path.write_text("\n".join(["text,label", *rows]))
    return IntentsConfig(file=str(path), dimensions=64, min_examples=3, test_queries=1)


def test_ones_own_texts_take_the_place_of_a_named_set(tmp_path):
    config = write_texts(tmp_path / "mine.csv")
    data = read_intents(config)
    assert data.data_set.names == tuple(f"kind{i}" for i in range(6)) and len(data.splits["test"]) == 2
    source = intents(config, EPISODES)
    assert source.spec.train_classes == 4 and not isinstance(source, HasOutOfScope)
    strange = intents(write_texts(tmp_path / "more.csv", strangers=3), EPISODES)
    assert isinstance(strange, HasOutOfScope) and strange.out_of_scope(np.array([2, 0, 1])).shape == (3, 64)
    assert "oos" not in strange.class_sizes("train") | strange.class_sizes("test")
    with (tmp_path / "mine.csv").open("a") as file:
        file.write("\nword0 please 1,kind0\nword0 please 1,kind1")
    shared = pytest.warns(UserWarning, match="1 examples in .* stand in several classes")
    with shared, pytest.warns(UserWarning, match="1 of 32 examples in .*mine.csv repeat one of their class"):
        twice = read_intents(config).data_set
    assert (np.diff(twice.starts) - np.diff(data.data_set.starts)).tolist() == [0, 1, 0, 0, 0, 0]
    with pytest.raises(UserError, match=r"either the set hwu64 or those of --file .*mine.csv; give one"):
        IntentsConfig(file=config.file, name="hwu64")


def test_texts_too_few_to_train_on_are_refused(tmp_path):
    with pytest.raises(UserError, match="none of the 6 intents has min_examples=3 texts, the most frequent has 2"):
        read_intents(write_texts(tmp_path / "mine.csv", texts=2))
    with pytest.raises(UserError, match=r"0.3 of the 3 classes in .*mine.csv leaves 2 to train on and 1 to test on"):
        read_intents(write_texts(tmp_path / "mine.csv", intents=3))


def test_the_split_follows_from_its_seed_and_holds_out_the_share():
    names = [f"c{i}" for i in range(20)]
    drawn = [hold_out(names, test_share=0.25, split_seed=seed, where="here") for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    for splits in drawn:
        assert len(splits["test"]) == 5 and sorted([*splits["train"], *splits["test"]]) == list(range(20))
