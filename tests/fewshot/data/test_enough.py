"""One look at data of one's own says all that they lack, and flags that do."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.fewshot.data.enough import Wanted, check_enough
from metarl.fewshot.data.image_folder import ImageFolderConfig, image_folder
from metarl.fewshot.data.intents import IntentsConfig, intents
from metarl.fewshot.data.source import EpisodeConfig

WANTED = Wanted(EpisodeConfig(ways=3, shots=1, max_shots=5, queries=5), ("3w1s", "3w5s"), 5, 0.3, 0)


def texts(path: Path, classes: int, examples: int) -> str:
    rows = [f"say {name} {number},{name}" for name in "abcdefghijkl"[:classes] for number in range(examples)]
    path.write_text("\n".join(["text,label", *rows]))
    return str(path)


def arrays(path: Path, classes: int, examples: int) -> str:
    X = np.random.default_rng(0).normal(size=(classes * examples, 3))
    np.savez(path, X=X, y=np.repeat(np.arange(classes), examples))
    return str(path)


@pytest.mark.parametrize(("classes", "examples"), [(6, 10), (4, 2), (9, 30)])
def test_the_flags_that_are_told_fit_texts(classes: int, examples: int, tmp_path: Path, capsys) -> None:
    command = ["train", "intents", "--method", "ridge", "--file", texts(tmp_path / "t.csv", classes, examples)]
    fits(command, f"{classes} classes of {examples} examples in ", tmp_path, capsys)


@pytest.mark.parametrize(("classes", "examples"), [(5, 3), (4, 2), (8, 7)])
def test_the_flags_that_are_told_fit_arrays(classes: int, examples: int, tmp_path: Path, capsys) -> None:
    command = ["train", "arrays", "--file", arrays(tmp_path / "a.npz", classes, examples)]
    fits(command, f"{classes} classes of {examples} examples in ", tmp_path, capsys)


@pytest.mark.parametrize(
    ("folders", "more"),
    [
        ([f"{split}/{name}" for split, names in (("train", "abc"), ("test", "de")) for name in names], []),
        (list("abcde"), ["--test-share", "0.3"]),
    ],
)
def test_the_flags_that_are_told_fit_pictures(folders: list[str], more: list[str], tmp_path: Path, capsys) -> None:
    for number, folder in enumerate(folders):
        (tmp_path / "pictures" / folder).mkdir(parents=True)
        for shade in range(3):
            Image.new("L", (8, 8), 40 * number + shade).save(tmp_path / "pictures" / folder / f"{shade}.png")
    command = ["train", "images", "--root", str(tmp_path / "pictures"), "--size", "16", "--channels", "1", *more]
    fits(command, "5 classes of 3 examples in ", tmp_path, capsys)


def test_repeated_pictures_are_no_more_examples(tmp_path: Path) -> None:
    for number, folder in enumerate(("train/a", "train/b", "test/c", "test/d")):
        (tmp_path / folder).mkdir(parents=True)
        for copy in range(4):
            Image.new("L", (8, 8), 40 * number).save(tmp_path / folder / f"{copy}.png")
    config = ImageFolderConfig(root=str(tmp_path), size=8, channels=1, test_queries=1)
    lack = pytest.raises(UserError, match=r"4 classes of 1 examples in .* are too few: .* no flags fit them")
    with lack, pytest.warns(UserWarning, match="12 of 16 examples in .* repeat one of their class; each counts once"):
        image_folder(config, EpisodeConfig(ways=2, shots=1, queries=1), suites=("2w1s",))


@pytest.mark.parametrize(("more", "told"), [("", "10 classes of 22"), ("\nsay z,z", r"11 classes of 1 \('z'\) to 22")])
def test_texts_that_lack_a_smaller_min_examples_alone_are_told_so(more: str, told: str, tmp_path: Path) -> None:
    path = Path(texts(tmp_path / "t.csv", 10, 22))
    path.write_text(path.read_text() + more)
    wanted = EpisodeConfig(ways=3, shots=1, queries=5)
    with pytest.raises(UserError, match=rf"{told} examples in .* are too few: .*; give --min-examples 22 for tasks th"):
        intents(IntentsConfig(file=str(path), dimensions=64), wanted, suites=("2w1s",))
    intents(IntentsConfig(file=str(path), dimensions=64, min_examples=22), wanted, suites=("2w1s",))


def fits(command: list[str], said: str, tmp_path: Path, capsys) -> None:
    command += ["--iterations", "1", "--num-episodes", "2", "--out", str(tmp_path / "run")]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert said in error and "`metarl classify` yours" in error
    flags = re.search("; give (--.*) for tasks that fit", error)
    assert main([*command, *flags[1].split()]) == 0


def test_all_that_is_missing_is_said_at_once() -> None:
    with pytest.raises(UserError) as caught:
        check_enough({name: 3 for name in "abcde"}, WANTED, where="here")
    for part in ("takes 10 examples of 3 classes", "suite 3w1s takes 6 of 3", "suite 3w5s takes 10 of 3"):
        assert part in str(caught.value)


@pytest.mark.parametrize("sizes", [{}, {"a": 9, "b": 9, "c": 9}, {name: 1 for name in "abcdefgh"}])
def test_where_no_flags_fit_another_way_is_told(sizes: dict[str, int]) -> None:
    with pytest.raises(UserError, match="no flags fit them: train on a published set"):
        check_enough(sizes, WANTED, where="here")


def test_enough_is_enough() -> None:
    check_enough({f"c{i}": 10 for i in range(10)}, WANTED, where="here")


def test_the_help_of_a_method_shows_that_method(capsys) -> None:
    assert main(["train", "arrays", "--method", "maml", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "methods.maml.inner_lr" in shown and "methods.ridge" not in shown and "--method NAME --help" in shown
