"""Omniglot (Lake et al. 2015): 1,623 characters of 50 alphabets, each drawn by 20 people.

Its file is made by `metarl data omniglot` (omniglot_build.py) and holds packed bits, ink = 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from metarl.config import OF_TRAINING
from metarl.errors import SettingError
from metarl.fewshot.data.class_episodes import ROTATIONS, ClassData, ClassEpisodes
from metarl.fewshot.data.data_files import find_file, read_arrays
from metarl.fewshot.data.distort import distort
from metarl.fewshot.data.drawings import mean_pixels, nearest_pixels, read_ink
from metarl.fewshot.data.source import EpisodeConfig, RawKind
from metarl.fewshot.data.splits import ClassSplits
from metarl.types import Task
from metarl.validate import Checked, Count

Shrink = Literal["nearest", "average"]

DRAWERS = 20
SIDE = 105
"""Pixels of an original image."""
CHARACTERS = 1623
REMEDY = "`metarl data omniglot` builds it from the two official zips"
SHA256 = {
    28: "8746af6fe1391ee082bbeb38a00f848f4a806baa36ecd49b82b4096d21cea12a",
    105: "75a36f7ce605ee617d0c45021613841aec979e079f71594e885aba52a7c003ce",
}
"""Of the packed images, by their size."""
SHA256_BESIDE = {
    "alphabets": "bd398110ba38ddd2e07e03fb34a21b625683342ae1fc328c9ad650250e649130",
    "alphabet_id": "bb47a08eadd9d2daca6931c48fcd53fe07dac55a1c2db23f58dd42b583675dd5",
    "character": "a272c35ee6495154b3759a58b2fc2b44441a1422eaa372b717c29990757accc6",
    "is_background": "344072b49ce54d792a604f97d8410dfe7a5e2c6c8f1a2c32e5f0974a0fdbe814",
    "vinyals_split": "debb16441ee33d459921aa1c0d8490c82c3b433e860ff159436fb3e04c1926d5",
    "oneshot_train": "47cf20e8548cb2d5423a93d3309c59112991f4c6e29d9b1dd3cb0e551af4a8dc",
    "oneshot_test": "e7d802022bece09ad86e1e21759e96b69f5d59b6719b8f08612070359dcc7bfe",
}
"""Of the arrays that both files hold beside the images: other splits or runs would be another benchmark."""


@dataclass(frozen=True, kw_only=True)
class OmniglotConfig(Checked):
    """Settings of few-shot tasks from Omniglot's characters."""

    size: Literal[28, 105] = 28
    """Pixels of a side: 28 as in most papers, or the original 105 of Siamese networks."""
    shrink: Shrink = "nearest"
    """How 105 pixels became 28: the nearest one of each 3.75, what the MAML and ProtoNet code trains on, or their mean,
    grey levels as in libraries that read the images with torchvision; held-out images too. Scores of the two are not of
    the same images. `average` needs the file of 105 pixels."""
    split: Literal["vinyals", "lake"] = "vinyals"
    """vinyals: 1,200 and 423 characters (Vinyals et al. 2016, in the version of Snell et al. 2017). The paper calls
    them random; in that version they go by alphabets, 37 and 12, and one alphabet is in both. lake: the background and
    evaluation alphabets of the data set's authors, 30 and 20, which share none."""
    rotations: bool = True
    """Characters turned by 90, 180 and 270 degrees are classes of their own (Santoro et al. 2016)."""
    distort: bool = field(default=False, metadata={OF_TRAINING: True})
    """Distort each training image a little, anew in every task (Koch et al. 2015, section 3.3)."""
    test_queries: Count = 5
    """Query examples a class in held-out tasks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size == SIDE and self.shrink == "average":
            raise SettingError(f"shrink='average' has no effect on images of {SIDE} pixels; leave it out or size=28")


def omniglot(config: OmniglotConfig, episodes: EpisodeConfig) -> ClassEpisodes:
    """Reads METARL_DATA. Raises UserError if the file is missing, damaged or not the one expected.

    With the split "lake" there is a suite of that name: Lake's 20 runs of 20-way one-shot within an alphabet.
    """
    stored_size = SIDE if config.shrink == "average" else config.size
    arrays = read_omniglot(stored_size)
    unpack = Unpack(stored_size)
    if config.split == "lake":
        own_suites: dict[str, Callable[[], list[Task]]] = {"lake": lambda: lake_tasks(arrays)}
    else:  # its characters would be in both splits
        own_suites = {}
    return ClassEpisodes(
        class_data(arrays, Average(unpack, config.size) if config.shrink == "average" else unpack),
        class_splits(arrays, config.split),
        episodes,
        rotations=config.rotations,
        test_queries=config.test_queries,
        own_suites=own_suites,
        augment=(distort if config.shrink == "average" else distort_ink) if config.distort else None,
        encoder=OmniglotEncoder(config.size, config.shrink),
    )


@dataclass(frozen=True)
class OmniglotEncoder:
    """Drawings in image files as the data set has them: implements `Encoder`."""

    size: int
    shrink: Shrink

    kind: ClassVar[RawKind] = "images"

    def encode(self, raw: Sequence[str | Path]) -> NDArray[np.float32]:
        """(n, 1, size, size), ink = 1; of an original image of 105 pixels the data set's own values."""
        return np.stack([self._shrunk(read_ink(Path(path))) for path in raw])[:, None]

    def _shrunk(self, ink: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.shrink == "average":
            return mean_pixels(ink, self.size)
        return (nearest_pixels(ink, self.size) > 0.5).astype(np.float32)  # stored as bits: no grey


def distort_ink(images: Tensor, rng: np.random.Generator) -> Tensor:
    """`distort`, ink or none again as in held-out images: grey edges would be a mark of training."""
    return (distort(images, rng) > 0.5).to(images.dtype)


def read_omniglot(size: int) -> dict[str, NDArray]:
    """Arrays of the file with images of so many pixels a side. Raises UserError where it is missing or another one."""
    path = find_file(file_name(size), remedy=REMEDY)
    return read_arrays(path, sha256={"images": SHA256[size], **SHA256_BESIDE}, remedy=REMEDY)


def file_name(size: int) -> str:
    """Of the images of so many pixels a side."""
    return f"omniglot_{size}x{size}_bits.npz"


def class_data(arrays: dict[str, NDArray], to_input: Callable[[NDArray], NDArray[np.float32]]) -> ClassData:
    """Characters as classes, named ALPHABET/NUMBER."""
    images = arrays["images"]
    alphabets = arrays["alphabets"][arrays["alphabet_id"]]
    return ClassData(
        rows=images.reshape(-1, images.shape[-1]),
        starts=np.arange(len(images) + 1, dtype=np.int64) * images.shape[1],
        names=tuple(f"{a}/{c:02}" for a, c in zip(alphabets, arrays["character"], strict=True)),
        to_input=to_input,
    )


@dataclass(frozen=True)
class Unpack:
    """Packed bits (n, bytes) -> (n, 1, size, size) float32, ink = 1."""

    size: int

    def __call__(self, rows: NDArray) -> NDArray[np.float32]:
        bits = np.unpackbits(rows, axis=-1, count=self.size**2)
        return bits.reshape(-1, 1, self.size, self.size).astype(np.float32)


@dataclass(frozen=True)
class Average:
    """Packed bits (n, bytes) -> (n, 1, size, size) float32: the share of ink in each pixel's part of the original."""

    unpack: Unpack
    size: int

    def __call__(self, rows: NDArray) -> NDArray[np.float32]:
        return mean_pixels(self.unpack(rows), self.size)


def class_splits(arrays: dict[str, NDArray], split: str) -> ClassSplits:
    """Vinyals: 0 and 1 train (MAML's and Matching networks' 1,200), 2 test."""
    is_train = arrays["is_background"] if split == "lake" else arrays["vinyals_split"] < 2
    return {"train": np.flatnonzero(is_train).tolist(), "test": np.flatnonzero(~is_train).tolist()}


def lake_tasks(arrays: dict[str, NDArray]) -> list[Task]:
    """The 20 runs of Lake et al. (2015): one drawing of each of 20 characters, then one more of each to name."""
    tasks = []
    for run, (train, test) in enumerate(zip(arrays["oneshot_train"], arrays["oneshot_test"], strict=True)):
        test_of = {int(c): int(drawer) for c, drawer in test}
        params = {
            "classes": [ROTATIONS * int(c) for c, _ in train],
            "support": [[int(drawer)] for _, drawer in train],
            "query": [[test_of[int(c)]] for c, _ in train],
        }
        tasks.append(Task(f"lake run {run + 1:02}", params))
    return tasks
