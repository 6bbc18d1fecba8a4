"""`metarl zoo`: trained agents that you can play, evaluate and adapt at once, each as `zoo:NAME`."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich import box
from rich.console import Console as RichConsole
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional, subcommand

from metarl.cli.evaluate import evaluate_both
from metarl.errors import UserError
from metarl.files import new_directory
from metarl.records.overview import judged_by
from metarl.report.repeat import train_command
from metarl.runs.directory import read_run_config
from metarl.runs.log import say
from metarl.scores.format import HEADINGS
from metarl.text import cell, printable, sentence
from metarl.zoo.add import add_entry
from metarl.zoo.card import CARD, Card
from metarl.zoo.entries import SCHEME, cards, check_free, find_entry, own_folder
from metarl.zoo.hub import pull, push
from metarl.zoo.model_card import last_scores, number, row

ALL = "all"
MODE = "deterministic"


@dataclass(frozen=True)
class ListArguments:
    """What the zoo has: metarl's own agents, and those that you added."""


@dataclass(frozen=True)
class ShowArguments:
    """The model card of one agent: what it is, what it scored, and how to repeat it."""

    name: Positional[str]
    scores: Literal["after", "all"] = "after"
    """After adaptation alone, or after every number of steps."""


@dataclass(frozen=True)
class GetArguments:
    """Copy one agent's folder, which is a run directory without what learning takes."""

    name: Positional[str]
    out: Path | None = None
    """./NAME if not given."""


@dataclass(frozen=True)
class AddArguments:
    """Make an agent of the zoo from a finished run: its weights are rounded to 16 bits, and scored again as such."""

    run_dir: Positional[Path]
    name: str = ""
    """The experiment's if not given."""
    about: str = ""
    """One sentence; the experiment's own if not given."""
    licence: str = "MIT"
    into: Path | None = None
    """A folder of agents; METARL_ZOO, or one among your user data, if not given."""


@dataclass(frozen=True)
class PushArguments:
    """Upload an agent of the zoo to the Hugging Face Hub (`pip install 'metarl-suite[hub]'`, `hf auth login`)."""

    name: Positional[str]
    repository: Positional[str]
    """USER/NAME."""
    private: bool = False


@dataclass(frozen=True)
class PullArguments:
    """Get an agent from the Hugging Face Hub; it is then zoo:USER/NAME. Nothing that it brings is run."""

    repository: Positional[str]
    """USER/NAME."""
    revision: str | None = None
    """A commit, tag or branch; the newest if not given."""
    digest: str | None = None
    """SHA-256 that its card has to have."""
    into: Path | None = None
    """A folder of agents; METARL_ZOO, or one among your user data, if not given."""


Command = (
    Annotated[ListArguments, subcommand("list")]
    | Annotated[ShowArguments, subcommand("show")]
    | Annotated[GetArguments, subcommand("get")]
    | Annotated[AddArguments, subcommand("add")]
    | Annotated[PushArguments, subcommand("push")]
    | Annotated[PullArguments, subcommand("pull")]
)


def main(rest: list[str]) -> int:
    match tyro.cli(Command, args=rest or ["list"], prog="metarl zoo", description=__doc__):
        case ListArguments():
            return _list()
        case ShowArguments(name, scores):
            _show(*find_entry(name.removeprefix(SCHEME)), scores)
        case GetArguments(name, out):
            _get(name.removeprefix(SCHEME), out)
        case AddArguments() as arguments:
            _add(arguments)
        case PushArguments(name, repository, private):
            folder, card = find_entry(name.removeprefix(SCHEME))
            say(f"pushed to {push(folder, card, repository, private=private)}")
        case PullArguments() as arguments:
            _pull(arguments)
    return 0


def _list() -> int:
    """2 where a card cannot be read; the others are told all the same."""
    console = RichConsole(highlight=False)
    found, damaged = cards()
    for name, card in found.items():
        console.print(Text.assemble((printable(name), "bold"), f"  {printable(headline(card))}"), soft_wrap=True)
        console.print(Padding(cell(card.about), (0, 0, 0, 4), expand=False))
    say(f"metarl zoo show NAME; metarl play {SCHEME}NAME; metarl evaluate {SCHEME}NAME; metarl adapt {SCHEME}NAME")
    for error in damaged.values():
        say(f"error: {sentence(error)}", sys.stderr)
    return 2 if damaged else 0


def headline(card: Card) -> str:
    """One score in words, after adaptation: what the experiment is judged by, in the first suite.

    With the mean action, as `metarl play` shows it, where the agent acts.
    """
    trained = [score for score in last_scores(card) if score.policy == "meta-trained"]
    if not trained:
        return "no scores"
    conditions = [score.condition for score in trained]
    chosen = (trained[0].suite, MODE if MODE in conditions else conditions[0])
    by_measure = {score.measure: score for score in trained if (score.suite, score.condition) == chosen}
    score = by_measure[judged_by(card.experiment, list(by_measure))]
    words = " ".join(filter(None, (score.suite, HEADINGS.get(score.measure, score.measure).replace("\n", ", "))))
    return f"{words}: {number(score, score.mean)}"


def _show(folder: Path, card: Card, which: str) -> None:
    console = RichConsole(highlight=False)
    stored = read_run_config(folder)
    command = train_command({"experiment": stored.experiment, "config": stored.config})
    lines = [
        f"{SCHEME}{card.name}: {card.about}",
        f"trained in {card.training_seconds / 60:.0f} minutes ({card.iterations} meta-updates, "
        f"{card.training_env_steps:,} env steps) by: {command}",
        f"scored by: metarl evaluate {SCHEME}{card.name}; weights are in 16 bits; {card.licence} licence",
    ]
    for line in (*lines, *card.notes):
        console.print(printable(line), markup=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("policy", "tasks", "condition", "measure", "steps", "mean", "95 % interval"):
        table.add_column(title)
    for score in card.scores if which == ALL else last_scores(card):
        table.add_row(*map(cell, row(score, card)))
    console.print(table)


def _get(name: str, out: Path | None) -> None:
    folder, card = find_entry(name)
    target = out or Path(name)
    if target.exists():
        raise UserError(f"{target} is there already; give another --out, or remove it")
    try:
        with new_directory(target):
            for file in (CARD, *card.files):
                place = target / file
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / file, place)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}; give another --out") from error
    say(f"{target} is a run directory: metarl play {target}, metarl evaluate {target}")


def _add(arguments: AddArguments) -> None:
    folder = arguments.into or own_folder()
    if arguments.into is None:
        check_free(arguments.name or read_run_config(arguments.run_dir).experiment)
    card = add_entry(
        arguments.run_dir,
        folder,
        name=arguments.name,
        about=arguments.about,
        licence=arguments.licence,
        evaluate=evaluate_both,
    )
    _show(folder / card.name, card, "after")
    say(f"added {SCHEME}{card.name}")


def _pull(arguments: PullArguments) -> None:
    folder = arguments.into or own_folder()
    pulled = pull(arguments.repository, folder, revision=arguments.revision, digest=arguments.digest)
    _show(pulled.folder, pulled.card, "after")
    say(f"pulled into {pulled.folder}; the same again: --revision {pulled.revision} --digest {pulled.digest}")
