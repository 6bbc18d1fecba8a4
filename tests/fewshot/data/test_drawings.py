"""Drawings in image files, read as the data sets of drawings have them, and named as theirs are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.fewshot.classifier import FewShotClassifier
from metarl.fewshot.data.digits import DigitsConfig, DigitsEncoder, digits
from metarl.fewshot.data.drawings import read_ink
from metarl.fewshot.data.omniglot import OmniglotConfig, OmniglotEncoder, omniglot
from metarl.fewshot.data.own_examples import read_own
from metarl.fewshot.data.source import EpisodeConfig
from metarl.seeding import numpy_rng

needs_data = pytest.mark.skipif(not os.environ.get("METARL_DATA"), reason="METARL_DATA is not set")
EPISODES = EpisodeConfig(ways=2, shots=1, queries=1)
OMNIGLOTS = [OmniglotConfig(), OmniglotConfig(shrink="average"), OmniglotConfig(size=105)]


def save_ink(path: Path, ink: NDArray) -> Path:
    """1 is black, 0 white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(255 - 255 * ink.astype(np.float64)).astype(np.uint8)).save(path)
    return path


def save_all(folder: Path, images: Iterable[NDArray]) -> list[Path]:
    return [save_ink(folder / f"{i:03}.png", image) for i, image in enumerate(images)]


def drawn(config: OmniglotConfig, rows: slice) -> NDArray[np.float32]:
    """(n, size, size) of the data set."""
    data = omniglot(config, EPISODES).data_set
    return data.to_input(data.rows[rows])[:, 0]


ROWS = slice(0, 32460, 1623)


@needs_data
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("config", OMNIGLOTS)
def test_an_original_of_omniglot_or_a_larger_one_is_the_data_sets_own(tmp_path, config, times):
    large = np.kron(drawn(OmniglotConfig(size=105), ROWS), np.ones((times, times)))
    read = OmniglotEncoder(config.size, config.shrink).encode(save_all(tmp_path, large))
    assert read.shape == (20, 1, config.size, config.size) and read.dtype == np.float32
    np.testing.assert_allclose(read[:, 0], drawn(config, ROWS), atol=0 if times == 1 else 1e-6)


@needs_data
@pytest.mark.parametrize("config", OMNIGLOTS)
def test_an_image_of_the_runs_size_is_left_as_it_is(tmp_path, config):
    small = drawn(config, ROWS)
    encoder = omniglot(config, EPISODES).encoder
    read = encoder.encode(save_all(tmp_path, small))
    np.testing.assert_allclose(read[:, 0], small, atol=0.5 / 255 + 1e-6 if config.shrink == "average" else 0)


@pytest.mark.parametrize("canvas", [8, 12])
@pytest.mark.parametrize("times", [1, 5])
def test_a_digit_is_the_data_sets_own(tmp_path, canvas, times):
    source = digits(DigitsConfig(canvas=canvas), EPISODES)
    rows = source.data_set.to_input(source.data_set.rows[::18])
    read = source.encoder.encode(save_all(tmp_path, np.kron(rows[:, 0], np.ones((times, times)))))
    np.testing.assert_array_equal(read, rows)


def test_a_digit_smaller_than_the_canvas_lies_in_its_middle(tmp_path):
    ink = np.zeros((8, 8))
    ink[1:7, 4] = 1
    (read,) = DigitsEncoder(12).encode([save_ink(tmp_path / "1.png", ink)])
    np.testing.assert_array_equal(read[0, 2:10, 2:10], ink)
    assert read.sum() == 6


def test_paper_is_padded_to_a_square_and_the_grey_of_a_photo_is_no_ink(tmp_path):
    ink = np.zeros((20, 11))
    ink[3:17, 5] = 1
    square = read_ink(save_ink(tmp_path / "tall.png", ink))
    assert square.shape == (20, 20) and square.sum() == 14 and (square[3:17, 9] == 1).all()
    np.testing.assert_array_equal(read_ink(save_ink(tmp_path / "wide.png", ink.T)), square.T)
    photo = read_ink(save_ink(tmp_path / "photo.png", 0.2 + 0.8 * ink))
    np.testing.assert_array_equal(photo, square)


def test_light_on_dark_is_refused_with_the_remedy(tmp_path):
    path = save_ink(tmp_path / "chalk.png", 1 - np.eye(20))
    with pytest.raises(
        UserError, match=r"chalk\.png is dark on the whole \(mean 13 of 255\), .*; invert or brighten it"
    ):
        OmniglotEncoder(28, "nearest").encode([path])


@pytest.fixture
def digits_run(tmp_path) -> Path:
    out = tmp_path / "run"
    arguments = ["train", "digits_prototypical", "--out", str(out), "--iterations", "1", "--filters", "4"]
    assert main([*arguments, "--suites", "5w1s", "--num-episodes", "2"]) == 0
    return out


def test_a_run_names_drawings_in_files_as_it_names_those_of_the_data_set(digits_run, tmp_path):
    source = digits(DigitsConfig(canvas=12), EPISODES)
    (task,) = source.test_tasks("4w3s5q", 1, rng=numpy_rng((0,)))
    data = source.task_data(task)
    folders = {}
    for part, examples in {"examples": data.supports[0], "queries": data.query}.items():
        folders[part] = tmp_path / part
        np.savez(tmp_path / f"{part}.npz", X=examples.x.numpy(), y=np.array([f"c{y}" for y in examples.y.tolist()]))
        for i, (x, y) in enumerate(zip(examples.x.numpy(), examples.y.tolist(), strict=True)):
            save_ink(folders[part] / f"c{y}" / f"{i:03}.png", x[0])
    answers = {}
    for suffix in ("", ".npz"):
        out = tmp_path / f"answers{suffix}.csv"
        examples, queries = (f"{folder}{suffix}" for folder in folders.values())
        arguments = ["classify", str(digits_run), "--examples", examples, "--queries", queries, "--out", str(out)]
        assert main(arguments) == 0
        answers[suffix] = [row.partition(",")[2] for row in out.read_text().splitlines()]  # less the query's name
    assert len(answers[""]) == 21 and answers[""] == answers[".npz"]
    file = folders["queries"] / "c0" / "000.png"
    saved = str(tmp_path / "saved")
    examples = str(folders["examples"])
    assert main(["classify", str(digits_run), str(file), "--examples", examples, "--save", saved]) == 0
    loaded = FewShotClassifier.load(saved)
    np.testing.assert_array_equal(np.asarray(loaded.encode([file]))[0], data.query.x[0].numpy())


@needs_data
def test_a_classifier_of_omniglot_names_files_as_it_names_arrays(tmp_path):
    out = tmp_path / "run"
    small = ["--iterations", "1", "--filters", "4", "--ways", "5", "--suites", "5w1s", "--num-episodes", "2"]
    assert main(["train", "omniglot_prototypical", "--out", str(out), *small]) == 0
    originals, shrunk = (drawn(config, slice(0, 100, 5)) for config in (OmniglotConfig(size=105), OmniglotConfig()))
    for i, image in enumerate(originals):  # five characters, four drawings of each
        save_ink(tmp_path / "mine" / f"c{i // 4}" / f"{i:03}.png", image)
    own = read_own(tmp_path / "mine", "images", need_labels=True)
    classifier = FewShotClassifier.of_run(out)
    of_files = classifier.adapt(list(own.raw[::4]), own.labels[::4]).scores(list(own.raw))
    of_arrays = classifier.adapt(shrunk[::4, None], own.labels[::4]).scores(shrunk[:, None])
    np.testing.assert_array_equal(of_files, of_arrays)
