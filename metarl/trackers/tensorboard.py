"""TensorBoard's event files in RUN/tensorboard: `tensorboard --logdir RUN`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from metarl.files import inside
from metarl.runs.directory import TENSORBOARD
from metarl.trackers.tracker import About


class TensorBoard:
    """Tracks a run as TensorBoard's event files in the run's folder."""

    def __init__(self, about: About) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(inside(about.directory, TENSORBOARD)))
        self._writer.add_text("settings", f"    {json.dumps(dict(about.settings))}")
        self._step = 0

    def scores(self, values: Mapping[str, float], *, step: int) -> None:
        self._step = max(self._step, step)
        for name, value in values.items():
            self._writer.add_scalar(name, value, global_step=step)

    def picture(self, name: str, path: Path) -> None:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._writer.add_image(name, pixels, global_step=self._step, dataformats="HWC")

    def film(self, name: str, path: Path) -> None:
        """As a picture that moves, which the images tab shows: torch's add_video wants moviepy for the same."""
        messages: Any = importlib.import_module("tensorboard.compat.proto.summary_pb2")
        with Image.open(path) as film:
            width, height = film.size
        image = messages.Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=path.read_bytes())
        writer = self._writer._get_file_writer()
        value = messages.Summary.Value(tag=name, image=image)
        writer.add_summary(messages.Summary(value=[value]), self._step)

    def close(self) -> None:
        self._writer.close()
