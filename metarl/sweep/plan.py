"""What a sweep is and what its runs cost so far: SWEEP/sweep.json, beside a folder for each setting.

SWEEP/  sweep.json  SETTING/seedN/ (a run directory)  SETTING/log_seedN.txt  runs.csv  comparison.csv .tex .png
        optuna.log (of a search)  sweep.lock (while in use)

The file is data: a sweep that goes on is what the command line says, and is only compared with what is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from metarl.errors import UserError
from metarl.files import inside, read_plain, replace_file
from metarl.runs.same_config import differences, flatten
from metarl.whole import Count

FILE, LOCK = "sweep.json", "sweep.lock"
MAX_BYTES = 16 * 2**20


class Plan(msgspec.Struct, frozen=True):
    """What a sweep runs; it may not change while its directory exists."""

    experiment: str
    """A name of `metarl list`, or that of a .py file."""
    sha256: str | None
    """Of a .py file and the modules beside it."""
    config: dict[str, Any]
    """That all runs have in common."""
    swept: dict[str, list[str]]
    """By dotted name, the values or the range of each field."""
    seeds: list[int]
    search: dict[str, str] | None = None
    """By what settings are chosen; None: all are run."""


class Cost(msgspec.Struct, frozen=True):
    """Of a run that ended well."""

    seconds: Annotated[float, msgspec.Meta(ge=0)]
    peak_bytes: Count


class Stored(msgspec.Struct, frozen=True):
    """The file sweep.json: the plan, and what its finished runs cost."""

    plan: Plan
    costs: dict[str, Cost] = {}
    """By the name of the run."""


def read_stored(sweep: Path) -> Stored | None:
    """None where the directory holds no sweep. Raises UserError."""
    path = inside(sweep, FILE)
    try:
        return msgspec.json.decode(read_plain(path, max_bytes=MAX_BYTES), type=Stored)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); restore it, or choose another --out") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged ({error}); remove it, and --resume goes on with the runs beside it, or choose another "
            "--out"
        ) from error


def write_stored(sweep: Path, stored: Stored) -> None:
    """Write sweep.json whole."""
    replace_file(inside(sweep, FILE), msgspec.json.format(msgspec.json.encode(stored), indent=1))


def check_same(sweep: Path, old: Plan, new: Plan) -> None:
    """Raises UserError where a directory holds another sweep: seeds and values may be added, and nothing else."""
    found = differences(_fixed(old), _fixed(new))
    values = {f"the values of {name}": texts for name, texts in old.swept.items()}
    for what, before in {**values, "the seeds": old.seeds}.items():
        now = new.seeds if what == "the seeds" else new.swept.get(what.removeprefix("the values of "), [])
        if lost := [text for text in before if text not in now]:
            found.append(f"{what} no longer have {', '.join(map(str, lost))}")
    if found:
        raise UserError(
            f"{sweep} holds another sweep: {'; '.join(found)}; give the same settings, to which seeds and values may "
            "be added, or another --out"
        )


def _fixed(plan: Plan) -> Mapping[str, Any]:
    return {
        "experiment": plan.experiment,
        "experiment's SHA-256": plan.sha256,
        "the set of swept fields": sorted(plan.swept),
        **{f"search {name}": value for name, value in (plan.search or {}).items()},
        **flatten(plan.config),
    }
