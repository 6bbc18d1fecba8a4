"""`metarl bench NAME`: the speed measurements in experiments/bench/."""

from __future__ import annotations

import importlib

from metarl.cli.words import is_help
from metarl.errors import UserError, nearest
from metarl.runs.find import experiments_directory, first_line_of


def main(rest: list[str]) -> int:
    files = sorted((experiments_directory() / "bench").glob("*.py"))
    names = {path.stem: first_line_of(path) for path in files if not path.stem.startswith("_")}
    if is_help(rest[:1]):
        print("usage: metarl bench NAME ...\n\nspeeds and numbers, side by side:")
        for name, line in names.items():
            print(f"  {name:<12} {line}")
        print("\n`metarl bench NAME --help` tells more.")
        return 0
    if not rest or rest[0] not in names:
        given = f"{rest[0]!r} is not one of them{nearest(rest[0], names)}" if rest else "none was named"
        raise UserError(f"metarl bench takes one of {', '.join(sorted(names))}; {given}")
    return importlib.import_module(f"metarl.experiments.bench.{rest[0]}").main(rest[1:])
