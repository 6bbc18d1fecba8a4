"""What a sweep runs: every combination of the values that are given for each setting, with every seed."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarl.config import apply_overrides, config_to_dict, fields_named
from metarl.errors import UserError

SEED = "trainer.seed"
DEFAULT = "default"
"""The name of the one setting of a sweep over seeds alone."""
_FOLDER = re.compile(r"\w[\w.,=+()\[\]-]{0,99}")
_NUMBER = r"[-+]?[\d.]+(?:e[-+]?\d+)?"
_RANGE = re.compile(f"{_NUMBER}:{_NUMBER}", re.IGNORECASE)
Swept = Mapping[str, Sequence[str]]
"""By dotted name of a field, the texts of its values."""


@dataclass(frozen=True)
class Setting:
    """One combination of values."""

    name: str
    """Of its folder, and in tables: `inner_lr=0.05,max_kl=0.01`."""
    values: tuple[tuple[str, str], ...]
    """Dotted name and text of each."""

    @property
    def flags(self) -> list[str]:
        """As `metarl train` takes them."""
        return [f"--{name}={text}" for name, text in self.values]


@dataclass(frozen=True)
class Run:
    """One training of a sweep."""

    setting: Setting
    seed: int

    @property
    def name(self) -> str:
        return f"{self.setting.name}/{self.folder}"

    @property
    def folder(self) -> str:
        """Below that of the setting; `metarl compare` takes such folders for the seeds of one experiment."""
        return f"seed{self.seed}"

    def place(self, sweep: Path) -> Path:
        return sweep / self.setting.name / self.folder


def parse_seeds(text: str) -> tuple[int, ...]:
    """'0:10' is 0 to 9, '3,5,8' are those, '3' is that one. Raises UserError."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?::(\d{1,9}))?\s*", part)
        if match is None:
            raise UserError(
                f"--seeds {text!r}: {part!r} is no seed from 0 to 999999999; write 0:10 for 0 to 9, or 3,5,8"
            )
        first = int(match[1])
        last = first + 1 if match[2] is None else int(match[2])
        if last <= first:
            raise UserError(f"--seeds {text!r}: {part} is an empty range; write FIRST:LAST+1, such as 0:10 for 0 to 9")
        if last - first > MOST_RUNS:
            raise UserError(f"--seeds {text!r}: {part} are {last - first:,} seeds; give at most {MOST_RUNS:,}")
        seeds += range(first, last)
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds {text!r} names a seed twice; name each once")
    return tuple(seeds)


MOST_RUNS = 10_000
"""Of a sweep: more are a slip of the pen."""


def parse_values(config: Any, given: Sequence[str]) -> dict[str, list[str]]:
    """'inner_lr=0.05,0.1' as {'agent.inner_lr': ['0.05', '0.1']}; a list among values stands in brackets.

    Raises UserError for an unknown field, one that is given twice, and values that are missing or the same.
    """
    swept: dict[str, list[str]] = {}
    for word in given:
        name, _, text = word.partition("=")
        values = _split(text)
        if not name or not all(values):
            raise UserError(f"--set {word!r} has no value or an empty one; write --set NAME=VALUE,VALUE")
        path = field_of(config, name)
        if path in swept:
            raise UserError(f"--set {word!r}: {path} is set twice; give all its values in one --set")
        if _RANGE.fullmatch(text):
            raise UserError(f"--set {word!r} is a range, and those are for a search; give values with commas")
        swept[path] = values
    return swept


def field_of(config: Any, name: str) -> str:
    """The dotted name of a field that a sweep may set. Raises UserError."""
    (path,) = fields_named(config, [(name.replace("-", "_"), "")])
    if path == SEED:
        raise UserError(f"--set {name} sets the seed; give --seeds, such as --seeds 0:10")
    return path


def _split(text: str) -> list[str]:
    """At the commas that stand in no brackets."""
    return [part.strip() for part in re.split(r",(?![^\[(]*[\])])", text)]


def grid_of(config: Any, swept: Swept) -> list[Setting]:
    """In the order of the values, the last field's fastest. Raises UserError for values that are not of their type, or
    two settings that are the same."""
    short = short_names(swept)
    settings, seen = [], {}
    for texts in itertools.product(*swept.values()):
        values = tuple(zip(swept, texts, strict=True))
        setting = Setting(_name([(short[name], text) for name, text in values]), values)
        plain = repr(config_to_dict(apply_overrides(config, values)))
        if plain in seen:
            raise UserError(f"{seen[plain]} and {setting.name} are the same setting; give each value once")
        seen[plain] = setting.name
        settings.append(setting)
    return settings


def short_names(swept: Swept) -> dict[str, str]:
    """The last part of each field's name, or all of it where two end alike."""
    ends = [name.rpartition(".")[2] for name in swept]
    return {name: end if ends.count(end) == 1 else name for name, end in zip(swept, ends, strict=True)}


def _name(values: Sequence[tuple[str, str]]) -> str:
    if not values:
        return DEFAULT
    name = ",".join(f"{end}={text}" for end, text in values)
    # a path or a long list makes no folder
    return name if _FOLDER.fullmatch(name) else f"setting-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def runs_of(settings: Sequence[Setting], seeds: Sequence[int]) -> list[Run]:
    """Seed by seed, so that all settings have been tried once before any is tried again. Raises UserError."""
    if (number := len(settings) * len(seeds)) > MOST_RUNS:
        raise UserError(f"{len(settings)} settings with {len(seeds)} seeds are {number:,} runs; at most {MOST_RUNS:,}")
    return [Run(setting, seed) for seed in seeds for setting in settings]
