"""A model card: what a trained agent is, what it scored and how, and the digests of its files.

It is data, whoever wrote it: `read_card` checks every field, and the files are checked against it before any is opened.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from metarl.errors import UserError
from metarl.files import inside, read_plain
from metarl.scores.stats import Interval
from metarl.scores.table import Evaluation
from metarl.whole import Count

CARD = "card.json"
MAX_CARD_BYTES = 2**20
MAX_FILE_BYTES = 2**28
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$"
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Line = Annotated[str, Meta(max_length=400, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
FileName = Annotated[
    str, Meta(pattern=r"^(config\.json|versions\.json|checkpoints/iteration_[0-9]{6,12}\.safetensors)$")
]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Score(Struct, frozen=True, kw_only=True):
    """The mean over tasks after so many steps of adaptation, with its 95 % interval."""

    policy: Line
    """meta-trained, or untrained: the same net before any meta-training."""
    suite: Line
    """A set of tasks, such as 5w1s; '' for those of meta-RL."""
    condition: Line
    measure: Line
    steps: Count
    mean: float
    low: float
    high: float


class Card(Struct, frozen=True, kw_only=True):
    """What an agent of the zoo is: its training, its scores, its files' digests."""

    name: Name
    about: Line
    experiment: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{1,100}$")]
    """One that metarl, or another installed package, brings along."""
    seed: Count
    iterations: Count
    training_env_steps: Count
    training_seconds: Annotated[float, Meta(ge=0)]
    tasks: dict[Line, Count]
    """How many each suite has."""
    scores: list[Score]
    notes: list[Line]
    licence: Line
    files: dict[FileName, Digest]
    """All that belongs to it besides the card, with the SHA-256 of each."""


def check_words(name: str, about: str, licence: str) -> None:
    """What its maker says of an agent. Raises UserError for what `read_card` would refuse."""
    for option, text, kind in (("name", name, Name), ("about", about, Line), ("licence", licence, Line)):
        try:
            msgspec.convert(text, kind)
        except msgspec.ValidationError as error:
            rule = (
                "letters, digits and any of _ . -, 80 at most" if kind is Name else "a line of 400 characters at most"
            )
            raise UserError(f"--{option} {text!r:.100} must be {rule}; give another one") from error


def write_card(card: Card) -> bytes:
    """The card as JSON that a person can read."""
    return msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n"


def read_card(directory: Path) -> Card:
    """Raises UserError for what is no card."""
    path = inside(directory, CARD)
    try:
        return msgspec.json.decode(read_plain(path, max_bytes=MAX_CARD_BYTES), type=Card)
    except OSError as error:
        raise UserError(f"{directory} holds no trained agent of a zoo ({CARD}: {error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}); get the agent anew") from error


def digests(directory: Path, names: list[str]) -> dict[str, str]:
    """The SHA-256 of files below a directory. Raises UserError."""
    found = {}
    for name in names:
        path = inside(directory, *name.split("/"))
        try:
            found[name] = hashlib.sha256(read_plain(path, max_bytes=MAX_FILE_BYTES)).hexdigest()
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}); get the agent anew") from error
    return found


def check_files(directory: Path, card: Card) -> None:
    """Raises UserError where a file is missing, is another one, or is not on the card."""
    there = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir()}
    if others := sorted(there - card.files.keys() - {CARD}):
        raise UserError(f"{directory} holds {others[0]!r:.100}, which its card does not name; remove it")
    for name, digest in digests(directory, list(card.files)).items():
        if digest != card.files[name]:
            raise UserError(
                f"{directory / name} has the SHA-256 {digest:.16}..., and its card says {card.files[name]:.16}...; get "
                "the agent anew"
            )


def scores_of(policy: str, evaluation: Evaluation) -> list[Score]:
    """Every mean of an evaluation."""
    return [
        Score(policy=policy, suite=suite, condition=condition, measure=measure, steps=steps, **_rounded(interval))
        for suite, scores in evaluation.suites.items()
        for measure in scores.measures
        for condition in scores.conditions
        for steps, interval in zip(scores.steps, scores.curve(condition, measure), strict=True)
    ]


def _rounded(interval: Interval) -> dict[str, Any]:
    return {name: float(f"{value:.6g}") for name, value in interval._asdict().items()}
