"""`metarl classify RUN_DIR --examples MINE`: a few-shot run learns classes of your own and names what it is asked.

With --save what it learnt lies in a directory of its own, which takes the run's place and needs none of its data.
"""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median_low
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from metarl.cli.words import ExperimentFlag, TrustFlag
from metarl.config import parse_flags
from metarl.errors import UserError
from metarl.fewshot.classifier import FewShotClassifier
from metarl.fewshot.data.class_episodes import TooFew
from metarl.fewshot.data.own_examples import OwnExamples, read_own
from metarl.fewshot.out_of_scope import confidence
from metarl.files import replace_file
from metarl.runs.checkpoint import list_checkpoints
from metarl.runs.directory import CONFIG
from metarl.runs.log import say
from metarl.runs.trust import Trust
from metarl.text import cell, csv_cell
from metarl.zoo.entries import run_directory

UNKNOWN = "unknown"


@dataclass(frozen=True)
class ClassifyArguments:
    """Show a few-shot run some examples of each of your classes, and ask it about others.

    Examples are what the run's data are made of: texts in a .csv file with the columns text and label; images in
    FOLDER/CLASS/ (of Omniglot and the digits: dark ink on light paper); arrays in a .npz file with X and y.
    A run's own data are read as well; where they are yours, name them again (--data.file PATH, --data.root PATH) or add
    --trust.
    """

    run_dir: Positional[Path]
    """A run, zoo:NAME, or what --save wrote."""
    trust: TrustFlag = False
    experiment: ExperimentFlag = None
    examples: Path | None = None
    """Labelled examples, a few of each class; what --save wrote has some already."""
    asked: Positional[tuple[str, ...]] = ()
    """Texts, or image files, to be named."""
    queries: Path | None = None
    """More to be named, in a file or folder as the examples; with labels, the share that is named right is told."""
    unknown: bool = False
    """Answer `unknown` below a threshold that 95 % of the queries of the run's held-out classes pass."""
    accepted: float | None = None
    """That share, with --unknown; 0.95 if left out."""
    save: Path | None = None
    """Keep the classes in this directory, to be asked later: `metarl classify SAVE_DIR TEXT ...`"""
    out: Path | None = None
    """Also write all answers to this .csv file."""


def main(rest: list[str]) -> int:
    arguments, flags = tyro.cli(ClassifyArguments, args=rest, prog="metarl classify", return_unknown_args=True)
    settings = dict(parse_flags(flags))
    arguments = replace(arguments, run_dir=run_directory(arguments.run_dir))
    is_run = (arguments.run_dir / CONFIG).exists() or not list_checkpoints(arguments.run_dir)
    _check(arguments, settings, is_run=is_run)
    if is_run:
        classifier = FewShotClassifier.of_run(
            arguments.run_dir, settings, trust=Trust(arguments.trust, arguments.experiment)
        )
        if arguments.examples is None:  # after a run that has no classes has said so
            raise UserError(
                "--examples is missing; give a few labelled examples of each class (metarl classify --help)"
            )
    else:
        classifier = FewShotClassifier.load(arguments.run_dir)
    kind = classifier.encoder.kind if classifier.encoder else "arrays"
    if kind == "arrays" and arguments.asked:
        raise UserError(f"{arguments.asked[0]!r}: the run takes arrays; give them as --queries FILE.npz")
    asked = list(arguments.asked)
    parts = [OwnExamples(asked, asked, None)] if asked else []
    if arguments.queries is not None:
        parts.append(read_own(arguments.queries, kind, need_labels=False))
    if arguments.examples is not None:
        shown = read_own(arguments.examples, kind, need_labels=True)
        classifier.adapt(shown.raw, shown.labels or ())
        if arguments.unknown:
            _fit_threshold(classifier, shown.labels or [], 0.95 if arguments.accepted is None else arguments.accepted)
    elif arguments.unknown and classifier.threshold_ is None:
        raise UserError(f"{arguments.run_dir} was saved without a threshold; save it again from the run with --unknown")
    if arguments.save is not None:
        classifier.save(arguments.save)
        say(f"{len(classifier.classes_)} classes are in {arguments.save}")
    threshold = classifier.threshold_ if arguments.unknown else None
    answers = [row for part in parts for row in _answers(classifier, part, threshold)]
    _check_labels([a.label for a in answers if a.label is not None], classifier.classes_.tolist())
    if answers:
        _show(answers, classifier)
    if arguments.examples is not None and arguments.queries is not None:
        _tell_shown(parts[-1], read_own(arguments.examples, kind, need_labels=True))
    if arguments.out is not None:
        _write(arguments.out, answers)
    return 0


def _tell_shown(queries: OwnExamples, examples: OwnExamples) -> None:
    if repeated := queries.found_among(examples):
        say(
            f"{repeated} of the {len(queries.raw)} --queries stand among --examples, and tell nothing of what the "
            "run makes of others; leave them out",
            sys.stderr,
        )


def _check(arguments: ClassifyArguments, settings: Mapping[str, str], *, is_run: bool) -> None:
    """Raises UserError for arguments that do not go together."""
    if settings and not is_run:
        raise UserError(
            f"--{next(iter(settings))} is no option, and {arguments.run_dir} no run that could have such a setting; "
            "leave it out (metarl classify --help)"
        )
    if not arguments.asked and arguments.queries is None and arguments.save is None:
        raise UserError("nothing is asked; give texts or image files behind the run, or --queries")
    if arguments.accepted is not None and not arguments.unknown:
        raise UserError(f"--accepted {arguments.accepted} has no effect without --unknown; give both or neither")
    if arguments.save is not None and (arguments.save / CONFIG).exists():
        raise UserError(f"--save {arguments.save} is a run; give a directory of its own")
    if not is_run and arguments.examples is not None and arguments.unknown:
        raise UserError(
            f"--unknown takes held-out tasks for new examples, and {arguments.run_dir} has none; give the run that it "
            "was saved from"
        )


def _fit_threshold(classifier: FewShotClassifier, labels: list[Any], accepted: float) -> None:
    """On tasks of as many ways as the user's, and as many shots as most of the classes have."""
    if UNKNOWN in labels:
        raise UserError(f"a class is called {UNKNOWN!r}, which is the answer for no class; rename it")
    counts = Counter(labels)
    ways, shots = len(counts), median_low(counts.values())
    try:
        tasks = classifier.held_out_tasks(ways=ways, shots=shots)
    except TooFew as error:
        raise UserError(
            f"--unknown has no threshold for {ways} classes with {shots} examples each, since it is fitted on as large "
            f"tasks of the run's held-out classes: {error.lack}; show fewer in --examples, or leave --unknown out"
        ) from error
    classifier.fit_threshold(tasks, accepted=accepted)


def _check_labels(asked: list[Any], known: list[Any]) -> None:
    """Raises UserError for labels of queries that are all strange: a share of 0 % right would not be the method's."""
    if asked and set(asked).isdisjoint([*known, UNKNOWN]):
        raise UserError(
            f"the queries are labelled {asked[0]!r}, which is no class of the examples, nor is any other of their "
            f"labels; give labels like {known[0]!r}, or none"
        )


@dataclass(frozen=True)
class Answer:
    query: str
    answer: Any
    probability: float
    """Of the likeliest class, as the method sees it; not calibrated."""
    label: Any
    """What it is, or None."""


def _answers(classifier: FewShotClassifier, queries: OwnExamples, threshold: float | None) -> list[Answer]:
    """With a threshold, `unknown` below it. All follows from the scores, so that the net runs once."""
    scores = torch.from_numpy(classifier.scores(queries.raw))
    answers = classifier.classes_[scores.argmax(1).numpy()].tolist()
    if threshold is not None:
        passed = (confidence(scores) >= threshold).tolist()
        answers = [answer if known else UNKNOWN for answer, known in zip(answers, passed, strict=True)]
    probabilities = scores.double().softmax(-1).max(-1).values.tolist()
    labels = queries.labels or [None] * len(answers)
    rows = zip(queries.names, answers, probabilities, labels, strict=True)
    return [Answer(*row) for row in rows]


def _show(answers: list[Answer], classifier: FewShotClassifier) -> None:
    labelled = any(answer.label is not None for answer in answers)
    title = f"{len(classifier.classes_)} classes, {classifier.method}"
    table = Table("query", "answer", title=cell(title), title_justify="left")
    table.add_column("probability", justify="right")
    if labelled:
        table.add_column("is")
    for a in answers:
        last = [cell(a.label)] if a.label is not None else [cell("")] if labelled else []
        table.add_row(cell(a.query), cell(a.answer), f"{a.probability:.2f}", *last)
    console = Console()
    console.print(table)
    if labelled:
        known = [a for a in answers if a.label is not None]
        right = sum(a.answer == a.label for a in known)
        console.print(f"{right} of {len(known)} right, {right / len(known):.1%}")


def _write(path: Path, answers: list[Answer]) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["query", "answer", "probability", "label"])
    for a in answers:
        row = [a.query, a.answer, f"{a.probability:.4f}", "" if a.label is None else a.label]
        writer.writerow([csv_cell(value) for value in row])
    try:
        replace_file(path, text.getvalue().encode())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give another --out") from error
