"""`metarl bench NAME`: the speed measurements in experiments/bench/."""

from __future__ import annotations

import importlib

from metarl.errors import UserError, nearest
from metarl.find_experiment import experiments_directory


def main(rest: list[str]) -> int:
    names = [path.stem for path in (experiments_directory() / "bench").glob("*.py") if not path.stem.startswith("_")]
    if not rest or rest[0] not in names:
        given = f"{rest[0]!r} is not one of them{nearest(rest[0], names)}" if rest else "none was named"
        raise UserError(f"metarl bench takes one of {', '.join(sorted(names))}; {given}")
    return importlib.import_module(f"experiments.bench.{rest[0]}").main(rest[1:])
