"""Robot execution failures (Lopes and Camarinha-Matos 1999, UCI): 15 readings of force and torque over 315 ms.

21 kinds of outcome in five problems (approach to grasp, transfer of a part, ...): from a few examples, name the fault.
The held-out tasks are of problems never trained on.

UCI's problems share readings: LP2 and LP3 are the same ones under other names, and LP5 is those of LP2 and LP4 under
yet others. Only LP1 shares none. A reading of a test problem is left out of training, whatever it is called there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.fewshot.data.class_episodes import ClassData, ClassEpisodes, by_class
from metarl.fewshot.data.data_files import find_file, read_arrays
from metarl.fewshot.data.source import EpisodeConfig, RawKind
from metarl.fewshot.data.splits import ClassSplits
from metarl.validate import Bounds, Checked, Count

SERIES = (15, 6)
FILE = "robot_execution_failures.npz"
SHA256 = {
    "x": "8dc5e98e78c4fab8e5b749b604cad51bdbe80259fb9cded306af90afd6a3d724",
    "y": "bf3d6d8f6087995a2f4e35470e93da0b32adc428a8751576019cf7f6f6d7802c",
    "label_names": "0c7ad513cd35739d71cfb25507a75b6fcaa049cef2241cc489a9f8ba710bdd4e",
}
REMEDY = "`metarl data robot_failures` builds it from UCI's files"


@dataclass(frozen=True, kw_only=True)
class RobotFailuresConfig(Checked):
    """Settings of few-shot tasks from a robot's force and torque readings."""

    test_problems: tuple[Annotated[int, Bounds(least=1, most=5)], ...] = (1,)
    """LP1: failures in approach to grasp."""
    test_queries: Count = 5
    min_examples: Annotated[int, Bounds(least=2)] = 6
    """Classes with fewer are left out."""


def robot_failures(config: RobotFailuresConfig, episodes: EpisodeConfig) -> ClassEpisodes:
    """Inputs (90,): each reading as sign(v) log(1 + |v|), because a collision's forces are a hundred times a motion's.

    Raises UserError for a missing file or a wrong checksum.
    """
    arrays = read_arrays(find_file(FILE, remedy=REMEDY), sha256=SHA256, remedy=REMEDY)
    x, names = arrays["x"].reshape(len(arrays["x"]), -1), arrays["label_names"][arrays["y"]]
    alone = ~_in_training_too(x, _is_test(names, config))
    x, names = x[alone], names[alone]
    kinds, counts = np.unique(names, return_counts=True)
    frequent = np.isin(names, kinds[counts >= config.min_examples])
    data_set = by_class(x[frequent], names[frequent], to_input=compress)
    return ClassEpisodes(
        data_set,
        splits(data_set, config),
        episodes,
        test_queries=config.test_queries,
        encoder=ForceEncoder(),
    )


@dataclass(frozen=True)
class ForceEncoder:
    """Series of forces and torques as a robot gives them: implements `Encoder`."""

    kind: ClassVar[RawKind] = "arrays"

    def encode(self, raw: Sequence[Any] | NDArray) -> NDArray[np.float32]:
        """(n, 15, 6), 15 readings of 6 numbers, as inputs (n, 90)."""
        series = np.asarray(raw)
        if series.shape[1:] != SERIES:
            raise UserError(
                f"series of the shape {series.shape[1:]} are no force series of {SERIES[0]} readings of {SERIES[1]} "
                "forces and torques; cut or resample them"
            )
        return compress(series.reshape(len(series), -1))


def _is_test(names: Sequence[str] | NDArray, config: RobotFailuresConfig) -> NDArray[np.bool_]:
    held_out = {f"lp{problem}" for problem in config.test_problems}
    return np.array([str(name).partition("/")[0] in held_out for name in names])


def _in_training_too(x: NDArray, is_test: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows to train on that stand among those to test on."""
    tested = {row.tobytes() for row in x[is_test]}
    return np.array([row.tobytes() in tested for row in x]) & ~is_test


def splits(data_set: ClassData, config: RobotFailuresConfig) -> ClassSplits:
    """Class indices of `train` and `test`: those of the held-out problems are tested on."""
    is_test = _is_test(data_set.names, config)
    return {"train": np.flatnonzero(~is_test).tolist(), "test": np.flatnonzero(is_test).tolist()}


def compress(rows: NDArray) -> NDArray[np.float32]:
    """Readings of any size to a few units: sign(x) log(1 + |x|) / 3."""
    values = rows.astype(np.float32)
    return (np.sign(values) * np.log1p(np.abs(values)) / 3).astype(np.float32)
