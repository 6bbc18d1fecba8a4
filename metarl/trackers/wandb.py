"""Weights & Biases: offline in RUN/wandb, for `wandb sync`, unless WANDB_MODE says otherwise."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metarl.trackers.tracker import About

STEP = "step"


class WandB:
    """Tracks a run with Weights & Biases; offline unless `WANDB_MODE` says otherwise."""

    def __init__(self, about: About) -> None:
        self._wandb: Any = importlib.import_module("wandb")
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "metarl"),
            name=about.name,
            dir=str(about.directory),
            config=dict(about.settings),
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=self._wandb.Settings(console="off", silent=True, disable_git=True, save_code=False),
        )
        # scores of an earlier theta come with a row of a later one, and wandb's own steps only grow
        self._run.define_metric(STEP, hidden=True)
        self._run.define_metric("*", step_metric=STEP)

    def scores(self, values: Mapping[str, float], *, step: int) -> None:
        self._run.log({**values, STEP: step})

    def picture(self, name: str, path: Path) -> None:
        self._run.log({name: self._wandb.Image(str(path))})

    def film(self, name: str, path: Path) -> None:
        self._run.log({name: self._wandb.Video(str(path), format="gif")})

    def close(self) -> None:
        self._run.finish()
