"""Trackers by name. Each imports its library when it is opened, in its own thread."""

from __future__ import annotations

from metarl.errors import UserError, nearest
from metarl.trackers.mlflow import MLflow
from metarl.trackers.tensorboard import TensorBoard
from metarl.trackers.tracker import Open
from metarl.trackers.trackio import Trackio
from metarl.trackers.wandb import WandB

TRACKERS: dict[str, Open] = {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow, "trackio": Trackio}


def find_trackers(names: str) -> dict[str, Open]:
    """Of names with commas between them; '' is none. Raises UserError with the nearest name."""
    found = {}
    for name in filter(None, (part.strip() for part in names.split(","))):
        if name not in TRACKERS:
            raise UserError(f"--track {name!r:.60}{nearest(name, TRACKERS)} is none of {', '.join(TRACKERS)}; give one")
        found[name] = TRACKERS[name]
    return found
