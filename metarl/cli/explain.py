"""`metarl explain RUN_DIR`: a few-shot run's learner on one held-out task, as tables and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from metarl.cli.words import ExperimentFlag, TrustFlag
from metarl.config import parse_flags
from metarl.errors import UserError
from metarl.fewshot.data.source import class_names
from metarl.fewshot.evaluation import held_out_task
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.explain import Explanation, answers_by_class, draw, explain
from metarl.runs.load import open_run
from metarl.runs.log import say
from metarl.runs.trust import Trust
from metarl.scores.format import with_unit
from metarl.text import cell
from metarl.validate import check_counts
from metarl.zoo.entries import output_in, run_directory


@dataclass(frozen=True)
class ExplainArguments:
    """Adapt a few-shot run to one held-out task: its answers, what they went by, and what adaptation changed.

    The run's own settings may be given anew, as to `metarl train`.
    """

    run_dir: Positional[Path]
    """Or zoo:NAME."""
    trust: TrustFlag = False
    experiment: ExperimentFlag = None
    suite: str | None = None
    """Such as 5w1s; the first of the run's evaluation if not given."""
    task: int = 0
    """Number of the held-out task, from 0; they are those that the run is scored on."""
    queries: int = 10
    """In a picture at most."""
    out: Path | None = None
    """Folder of the pictures; RUN_DIR/explained/SUITE-TASK if not given."""


def main(rest: list[str]) -> int:
    arguments, flags = tyro.cli(ExplainArguments, args=rest, prog="metarl explain", return_unknown_args=True)
    check_counts(queries=arguments.queries)
    run = open_run(
        run_directory(arguments.run_dir), parse_flags(flags), trust=Trust(arguments.trust, arguments.experiment)
    )
    torch.set_num_threads(run.config.trainer.threads)
    try:
        if not isinstance(run.experiment, FewShotExperiment):
            raise UserError(
                f"{arguments.run_dir} is a run of {run.name}, reinforcement learning; give one of few-shot learning, "
                "or see what it does with `metarl play`"
            )
        _explain(run.experiment, arguments)
    finally:
        run.experiment.close()
    return 0


def _explain(experiment: FewShotExperiment, arguments: ExplainArguments) -> None:
    behaviour, source, evaluation = experiment.learner.behaviour(), experiment.source, experiment.evaluation
    suite = arguments.suite or evaluation.suites[0]
    experiment.check_suite(suite)
    data = held_out_task(source, evaluation, suite, arguments.task)
    explanation = explain(behaviour, data, mode=evaluation.modes[0])
    console = Console()
    title = f"{suite}, task {arguments.task}"
    if behaviour.has_statistics:
        title += f", {explanation.mode} answers to {len(data.query.y)} queries"
    console.print(_scores(explanation, "mse" if source.spec.regression else "accuracy", title))
    names = None
    if not source.spec.regression:
        names = class_names(source, data.task)
        console.print(_classes(explanation, names))
    if explanation.changes is not None:
        console.print(_layers(explanation))
    out = arguments.out or output_in(arguments.run_dir, "explained", f"{suite}-{arguments.task}")
    try:
        drawn = draw(explanation, behaviour, out, queries=arguments.queries, names=names)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}; give another --out") from error
    if drawn:
        say(f"{', '.join(path.name for path in drawn)} in {out}")


def _scores(explanation: Explanation, measure: str, title: str) -> Table:
    table = Table("inner steps", measure, title=cell(title), title_justify="left")
    for steps, score in explanation.scores.items():
        table.add_row(str(steps), with_unit(measure, score))
    return table


def _classes(explanation: Explanation, names: dict[int, str]) -> Table:
    table = Table("class", "right", "taken for", title="after the last step", title_justify="left")
    for row in answers_by_class(explanation, names):
        others = ", ".join(f"{name} ({count})" if count > 1 else name for name, count in row.taken_for)
        table.add_row(cell(row.name), f"{row.right} of {row.queries}", cell(others))
    return table


def _layers(explanation: Explanation) -> Table:
    assert explanation.changes is not None
    table = Table("layer", "moved by", title="weights, relative to their size", title_justify="left")
    for layer, change in explanation.changes.items():
        table.add_row(cell(layer), f"{change:.1%}" if change < float("inf") else "from 0")
    if explanation.features_cka is not None:
        table.add_section()
        table.add_row("features", f"CKA {explanation.features_cka:.3f}")
    return table
