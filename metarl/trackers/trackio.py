"""Trackio: its own local store, which `trackio show` reads; a Space where TRACKIO_SPACE_ID names one."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metarl.trackers.tracker import About


class Trackio:
    """Tracks a run with Trackio; `TRACKIO_SPACE_ID` names a page to send it to."""

    def __init__(self, about: About) -> None:
        self._trackio: Any = importlib.import_module("trackio")
        self._run = self._trackio.init(
            project="metarl",
            name=about.name,
            config=dict(about.settings),
            space_id=os.environ.get("TRACKIO_SPACE_ID"),
            embed=False,
        )

    def scores(self, values: Mapping[str, float], *, step: int) -> None:
        self._run.log(dict(values), step=step)

    def picture(self, name: str, path: Path) -> None:
        self._run.log({name: self._trackio.Image(str(path))})

    def film(self, name: str, path: Path) -> None:
        self._run.log({name: self._trackio.Video(str(path), format="gif")})

    def close(self) -> None:
        self._run.finish()
