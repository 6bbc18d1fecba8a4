"""Where trained agents lie: `zoo:NAME` is one that comes with metarl, or one of your own folder of them.

An agent's folder is a run directory without what learning takes, so that all commands that read a run read it.
"""

from __future__ import annotations

import os
from pathlib import Path

from metarl.errors import UserError, nearest
from metarl.files import inside
from metarl.zoo.card import CARD, Card, check_files, read_card

SCHEME = "zoo:"
BUILT_IN = Path(__file__).parent / "entries"


def own_folder() -> Path:
    """Of agents that were added or pulled: METARL_ZOO, or a folder among your user data."""
    if given := os.environ.get("METARL_ZOO"):
        return Path(given)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "metarl" / "zoo"


def entries() -> dict[str, Path]:
    """Folder by name, sorted; a name of metarl's stays metarl's."""
    found: dict[str, Path] = {}
    for folder in (BUILT_IN, own_folder()):
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if (path / CARD).is_file():
                    found.setdefault(path.name, path)
    return dict(sorted(found.items()))


def cards() -> tuple[dict[str, Card], dict[str, UserError]]:
    """By name, the cards of all agents, and what is wrong with those that cannot be read."""
    found: dict[str, Card] = {}
    damaged: dict[str, UserError] = {}
    for name, folder in entries().items():
        try:
            found[name] = read_card(folder)
        except UserError as error:
            damaged[name] = error
    return found, damaged


def check_free(name: str) -> None:
    """Raises UserError for the name of one of metarl's own, which would stay hidden behind that."""
    if (BUILT_IN / name / CARD).is_file():
        raise UserError(f"{SCHEME}{name} is an agent that comes with metarl; give another --name")


def find_entry(name: str) -> tuple[Path, Card]:
    """The folder, all of whose files are as the card says. Raises UserError."""
    known, name = entries(), name.replace("/", "--")  # USER/NAME of the hub
    if name not in known:
        raise UserError(f"the zoo has no {name!r:.100}{nearest(name, known)}; `metarl zoo list` shows what it has")
    card = read_card(known[name])
    check_files(known[name], card)
    return known[name], card


def is_entry(run: Path | str) -> bool:
    """Whether this is `zoo:NAME`, rather than a run's directory."""
    return str(run).startswith(SCHEME)


def run_directory(run: Path | str) -> Path:
    """The directory of a run, given as it is or as `zoo:NAME`. Raises UserError."""
    return find_entry(str(run).removeprefix(SCHEME))[0] if is_entry(run) else Path(run)


def output_in(run: Path | str, *names: str) -> Path:
    """Where a command puts what it makes of a run: into it, or for one of the zoo into ./zoo_NAME. Raises UserError."""
    root = Path("zoo_" + str(run).removeprefix(SCHEME).replace("/", "--")) if is_entry(run) else Path(run)
    return inside(root, *names)
