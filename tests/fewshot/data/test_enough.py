"""One look at data of one's own says all that they lack, and flags that do."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from metarl.cli.main import main
from metarl.errors import UserError
from metarl.fewshot.data.enough import Wanted, check_enough
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
