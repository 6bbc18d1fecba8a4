"""What a person sees: a table for each set of measures, classes apart, and what the intervals are of."""

from __future__ import annotations

import numpy as np
import pytest

from metarl.scores import format
from metarl.scores.report import Report
from metarl.scores.stats import Interval
from metarl.scores.table import Evaluation, Scores

REPORT = Report(columns=(), condition="actions")


def evaluation_of(success: list[list[float]], strata: tuple[str, ...], **more: object) -> Evaluation:
    """Success of each task's episodes before any adaptation and after it, the same."""
    values = np.array([[success, success]])
    scores = Scores(
        values={"return": 10 * values, "success_any": values, "success_last": values},
        conditions=("stochastic",),
        steps=(0, 1),
        tasks=tuple(map(str, range(len(success)))),
        strata=strata,
    )
    return Evaluation(suites={"": scores}, **more)


def test_a_return_of_an_env_that_blew_up_takes_no_more_room_than_others() -> None:
    assert format.cell("return", Interval(1e30, -1e300, 12.0)) == "1e+30 [-1e+300, 12]"
    assert format.number("return", -1e308) == "-1e+308" and format.number("return", -123.4) == "-123"


def test_classes_are_told_apart_and_what_the_intervals_are_of(capsys) -> None:
    evaluation = evaluation_of(
        [[1.0, 1.0], [0.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]], ("door-close-v3", *["lever-pull-v3"] * 4)
    )
    REPORT.print_table({"meta-trained": evaluation}, title="t")
    said = " ".join(capsys.readouterr().out.split())
    assert "meta-trained, sampled actions, success at any step: door-close-v3 100%, lever-pull-v3 25%" in said
    assert "intervals are of other goals of these 2 classes under this theta, not of other ones" in said


def test_classes_of_one_goal_each_have_intervals_of_their_episodes(capsys) -> None:
    evaluation = evaluation_of([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]], ("door-close-v3", "lever-pull-v3"))
    REPORT.print_table({"meta-trained": evaluation}, title="t")
    said = " ".join(capsys.readouterr().out.split())
    assert "intervals are of other episodes of these 2 tasks under this theta" in said
    three = evaluation_of([[1.0, 0.0, 1.0, 0.0]] * 3, ("a", "b", "c")).suites[""]
    returns = three.curve("stochastic", "return")[0]
    assert returns.high > returns.low  # one goal a class cannot be resampled, and would leave no width
    assert three.condensed() is three


def test_one_class_is_not_told_apart_and_no_success_has_no_column(capsys) -> None:
    evaluation = evaluation_of([[0.0, 0.0]] * 3, ("all",) * 3, notes=("a [bold]note[/]",))
    REPORT.print_table({"meta-trained": evaluation}, title="a [red]title[/]")
    said = capsys.readouterr().out
    assert "success" not in said and "classes" not in said
    assert "meta-trained: a [bold]note[/]" in said and "a [red]title[/]" in said


@pytest.mark.parametrize(("measured", "success", "shown"), [(True, 0.0, True), (False, 0.0, False), (None, 1.0, True)])
def test_a_measured_zero_is_shown_and_what_nobody_measures_is_not(
    measured: bool | None, success: float, shown: bool, capsys
) -> None:
    evaluation = evaluation_of([[success, success]] * 3, ("all",) * 3, record={"measures_success": measured})
    REPORT.print_table({"meta-trained": evaluation}, title="t")
    assert ("success" in capsys.readouterr().out) == shown


def test_suites_of_other_measures_have_a_table_of_their_own(capsys) -> None:
    accuracy = Scores(
        values={"accuracy": np.full((1, 1, 4, 1), 0.5)},
        conditions=("inductive",),
        steps=(1,),
        tasks=tuple("abcd"),
        interval="normal",
    )
    told = Scores(
        values={"auroc": np.full((1, 1, 4, 1), 0.9)}, conditions=("inductive",), steps=(1,), tasks=tuple("abcd")
    )
    evaluation = Evaluation(suites={"5w1s": accuracy, "5w1s out of scope": told})
    Report(columns=(), condition="queries").print_table({"meta-trained": evaluation}, title="t")
    rows = capsys.readouterr().out.splitlines()
    (one,) = [row for row in rows if "50.00 ± 0.00 %" in row]
    (other,) = [row for row in rows if "90.00 ± 0.00 %" in row]
    assert "5w1s out of scope" in other and "out of scope" not in one
