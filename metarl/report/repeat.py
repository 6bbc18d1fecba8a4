"""How a run is repeated: its command, its settings beside the experiment's own, and the versions behind its numbers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from metarl.config import config_to_dict
from metarl.records.compact import Seed
from metarl.records.compare import Group
from metarl.report.page import Section, Table
from metarl.runs.same_config import flatten, own_config
from metarl.text import printable

MOST_ROWS = 400


def repeat_section(groups: Sequence[Group]) -> Section:
    """The commands that train the same again, and of what code they were."""
    commands = [train_command(seed.stored) for group in groups for seed in group.seeds]
    text = []
    if any(seed.stored.get("source") for group in groups for seed in group.seeds):
        text.append("The experiment file is yours: a run keeps a copy of it in RUN/experiment, with its SHA-256.")
    commits = sorted({str(_environment(seed)["git_commit"]) for seed in _seeds(groups) if _commit(seed)})
    if commits:
        text.append(f"The code was that of commit {', '.join(commits[:5])}.")
    if any(_environment(seed).get("git_dirty") for seed in _seeds(groups)):
        text.append("Some of it was changed and not committed, so that the commit alone does not repeat the numbers.")
    return Section(title="How to repeat it", text=text, code=["\n".join(commands[:MOST_ROWS])])


def settings_section(groups: Sequence[Group]) -> Section:
    """Of the first group; of others what differs from it."""
    stored = groups[0].seeds[0].stored
    own = _own_settings(stored)
    settings = flatten(stored["config"])
    others = [flatten(group.seeds[0].stored["config"]) for group in groups[1:]]
    headings = (
        "setting",
        groups[0].label,
        *(group.label for group in groups[1:]),
        *(["experiment's own"] if own else []),
    )
    names = list(dict.fromkeys(name for flat in (settings, *others) for name in flat))
    rows = []
    for name in sorted(names, key=lambda name: not _differs(name, settings, own, others)):
        values = [_text(flat.get(name, "")) for flat in (settings, *others)]
        usual = own.get(name, "")
        shown = _text(usual) if own and usual != settings.get(name) else ""
        rows.append((name, *values, *([shown] if own else [])))
    return Section(
        title="Settings",
        table=Table(
            headings, rows[:MOST_ROWS], "What differs comes first. `metarl train EXPERIMENT --help` tells what each is."
        ),
        folded=True,
    )


def versions_section(groups: Sequence[Group]) -> Section:
    """Versions and machine, a column for each that differs."""
    found: list[Mapping[str, Any]] = []
    for seed in _seeds(groups):
        if _environment(seed) not in found:
            found.append(_environment(seed))
    names = list(dict.fromkeys(name for environment in found[:10] for name in environment))
    rows = [(name, *(_text(environment.get(name, "")) for environment in found[:10])) for name in names[:MOST_ROWS]]
    return Section(title="Versions and machine", table=Table(("", *("" for _ in found[:10])), rows), folded=True)


def train_command(stored: Mapping[str, Any]) -> str:
    """What a person would type, with the settings that are not the experiment's own."""
    own = _own_settings(stored)
    flags = []
    for name, value in flatten(stored["config"]).items():
        if name == "trainer.seed" or (own and own.get(name) != value):
            flags.append(f"--{name.removeprefix('trainer.').replace('_', '-')}={_flag_text(value)}")
    source = stored.get("source")
    experiment = source["path"] if source else stored["experiment"]
    note = "" if own else "  # and the settings below"
    return " ".join(["metarl train", *(shlex.quote(printable(word)) for word in (experiment, *flags))]) + note


def _own_settings(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Empty for a file of your own, which is not run for this."""
    own = own_config(str(stored["experiment"]))
    return {} if own is None else flatten(config_to_dict(own))


def _differs(
    name: str, settings: Mapping[str, Any], own: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> bool:
    value = settings.get(name)
    return (bool(own) and own.get(name) != value) or any(flat.get(name) != value for flat in others)


def _flag_text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_flag_text, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _seeds(groups: Sequence[Group]) -> list[Seed]:
    return [seed for group in groups for seed in group.seeds]


def _environment(seed: Seed) -> Mapping[str, Any]:
    return seed.evaluation["environment"]


def _commit(seed: Seed) -> bool:
    return bool(_environment(seed).get("git_commit"))
