"""The robot failures' data file from UCI's lp1.data to lp5.data.

Each has readings one below the other: a line with the kind of outcome, then 15 lines of 6 whole numbers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.fewshot.data.data_files import check_digests, write_arrays
from metarl.fewshot.data.download import Progress, download
from metarl.fewshot.data.robot_failures import FILE, SERIES, SHA256

URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/robotfailure-mld"
FILES = tuple(f"lp{problem}.data" for problem in range(1, 6))


def build_robot_failures(source: Path | None, target: Path, progress: Callable[[str], Progress]) -> Path:
    """Writes the file into `target` from those in `source`, or from the network.

    Raises UserError for missing or unreadable files, and for other contents than results were measured on.
    """
    if source is None:
        remedy = (
            f"on a machine with network fetch {', '.join(FILES)} from {URL}/, put them into one directory, and run "
            "`metarl data robot_failures --from DIRECTORY`"
        )
        with tempfile.TemporaryDirectory() as folder:
            for name in FILES:
                download(f"{URL}/{name}", Path(folder) / name, progress(f"downloading {name}"), remedy=remedy)
            return build_robot_failures(Path(folder), target, progress)
    if missing := [name for name in FILES if not (source / name).is_file()]:
        raise UserError(f"{source} lacks {' and '.join(missing)}; put {', '.join(FILES)} there")
    arrays = read_problems([source / name for name in FILES])
    check_digests(arrays, SHA256, what=f"the files in {source}", remedy=f"fetch {', '.join(FILES)} again")
    return write_arrays(target / FILE, arrays)


def read_problems(paths: list[Path]) -> dict[str, NDArray]:
    """Readings x (n, 15, 6), their kinds y (n,) as places in label_names ('lp1/normal'), and their problems (n,)."""
    series, kinds, problems = [], [], []
    for problem, path in enumerate(paths, start=1):
        for kind, readings in _readings(path):
            series.append(readings)
            kinds.append(f"lp{problem}/{kind}")
            problems.append(problem)
    names = list(dict.fromkeys(kinds))
    return {
        "x": np.array(series, np.int16),
        "y": np.array([names.index(kind) for kind in kinds], np.uint8),
        "problem": np.array(problems, np.uint8),
        "label_names": np.array(names),
    }


def _readings(path: Path) -> list[tuple[str, list[list[int]]]]:
    try:
        lines = [line.split() for line in path.read_text("ascii").splitlines() if line.strip()]
        found = []
        for start in range(0, len(lines), SERIES[0] + 1):
            (kind,), *rows = lines[start : start + SERIES[0] + 1]
            readings = [[int(number) for number in row] for row in rows]
            if np.shape(readings) != SERIES:
                raise ValueError(f"{kind} has readings of another shape than {SERIES}")
            found.append((kind, readings))
    except ValueError as error:
        raise UserError(f"{path} is truncated or another file ({error}); fetch it again") from error
    return found
