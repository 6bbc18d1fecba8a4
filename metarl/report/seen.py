"""What came of looking at an agent itself: films, pictures of tasks, its memory, an episode of few-shot learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from metarl.report.page import Picture, Section


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a report shows of the tasks themselves."""

    sections: Sequence[Section] = ()
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    """Of tasks, by their id."""
    films: Mapping[str, Sequence[NDArray[np.uint8]]] = field(default_factory=dict)
    """Frames (H, W, 3) of the best, the median and the worst task."""
