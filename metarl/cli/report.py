"""`metarl report RUN ...`: what runs learnt, how it was found out and how to repeat it, as one HTML file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from tyro.conf import Positional

from metarl.cli.pictures.rendering import offscreen_gl
from metarl.cli.words import ExperimentFlag, TrustFlag, check_target
from metarl.errors import UserError
from metarl.files import inside, replace_file
from metarl.runs.directory import CONFIG, REPORT
from metarl.runs.log import say

MOST_FILMED = 3
"""Experiments of which the agent is looked at, where several are given."""


@dataclass(frozen=True)
class ReportArguments:
    """Make a report of runs as one HTML file, which needs no network: curves with intervals, the tasks, videos before
    and after adaptation, where the time went, and how to repeat it.

    Runs that differ in nothing but their seed are taken together; others stand side by side.
    """

    runs: Positional[tuple[Path, ...]]
    """Run directories, or records such as experiments/results/NAME.json, on the same held-out tasks."""
    trust: TrustFlag = False
    experiment: ExperimentFlag = None
    out: Path | None = None
    """RUN_DIR/report.html if not given; of several runs, report.html here."""
    videos: bool = True
    """Load the agents and film them on the best, the median and the worst held-out task."""


def main(rest: list[str]) -> int:
    arguments = tyro.cli(ReportArguments, args=rest, prog="metarl report")
    if not arguments.runs:
        raise UserError("metarl report was given no run; give a run directory or more")
    check_target(arguments.out, flag="--out")
    with offscreen_gl() as backend:  # before anything imports mujoco
        out = _report(arguments, backend)
    say(f"the report is {out}")
    return 0


def _report(arguments: ReportArguments, backend: str | None) -> Path:
    # imported here because mujoco reads at its import which GL to use
    from metarl.records.compare import read_groups
    from metarl.report.results import rank
    from metarl.report.words import headline
    from metarl.runs.trust import Trust

    out = arguments.out or _place(arguments.runs)
    groups = read_groups(arguments.runs)
    seen: list[Any] = []
    if arguments.videos:
        ranked = rank(groups[0], headline(groups))
        for group in groups[:MOST_FILMED]:
            label = group.label if len(groups) > 1 else ""
            trust = Trust(arguments.trust, arguments.experiment)
            seen.append(_look(group.paths[0], ranked, group.seeds[0], trust, backend, label))
    write_report(out, groups, seen)
    return out


def _place(runs: Sequence[Path]) -> Path:
    return inside(runs[0], REPORT) if len(runs) == 1 and runs[0].is_dir() else Path(REPORT)


def _look(run: Path, ranked: Any, seed: Any, trust: Any, backend: str | None, label: str) -> Any:
    """What cannot be looked at is said in the report, which is made all the same."""
    from metarl.cli.pictures.look import look_at
    from metarl.report.page import Section
    from metarl.report.seen import Seen
    from metarl.runs.load import open_run

    try:
        if not inside(run, CONFIG).is_file():
            raise UserError("a record keeps no weights; give the run directory")
        opened = open_run(run, trust=trust)
        torch.set_num_threads(opened.config.trainer.threads)
        try:
            return look_at(opened.experiment, ranked, seed=seed.number, films=True, backend=backend, label=label)
        finally:
            opened.experiment.close()
    except UserError as error:
        from metarl.fewshot.results import is_few_shot

        title, missing = ("Before and after", "videos")
        if is_few_shot(seed.evaluation):
            title, missing = ("One episode of few-shot learning", "episode with its answers")
        say(f"no {missing} of {run}: {error}", sys.stderr)
        return Seen(sections=[Section(title=title, text=[f"No {missing}: {error}."])])


def write_report(out: Path, groups: Sequence[Any], seen: Sequence[Any]) -> None:
    """Raises UserError where it cannot be written."""
    from metarl.report.contents import page_of
    from metarl.report.page import render
    from metarl.report.seen import Seen

    sections = [section for one in seen for section in one.sections]
    pictures = {name: picture for one in reversed(seen) for name, picture in one.pictures.items()}
    page = render(page_of(groups, Seen(sections=sections, pictures=pictures)))
    try:
        replace_file(out, page)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}; give another --out") from error


def report_at_the_end(run: Path, experiment: Any, *, seed: int) -> tuple[Path | None, dict[str, Any]]:
    """RUN/report.html of a run that has just ended, in seconds, and the films in it; None, with a warning, where it
    fails.

    Films only where nothing of MuJoCo is loaded: it reads at its import which GL to draw with, and draws slowly without
    a GPU. `metarl report RUN` makes all of them.
    """
    from metarl.cli.pictures.look import look_at
    from metarl.records.compare import read_groups
    from metarl.report.results import rank
    from metarl.report.words import headline

    try:
        groups = read_groups([run])
        films = "mujoco" not in sys.modules
        seen = look_at(experiment, rank(groups[0], headline(groups)), seed=seed, films=films)
        write_report(out := inside(run, REPORT), groups, [seen])
        return out, dict(seen.films)
    except UserError as error:
        say(f"no report was made: {error}", sys.stderr)
        return None, {}
