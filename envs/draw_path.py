"""Pictures of a point in the plane: its path so far, and where it should go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from metarl.tasks import is_shown

_BACKGROUND, _PATH, _POINT, _GOAL = (250, 250, 250), (70, 110, 180), (20, 40, 90), (200, 70, 60)


def draw_path(
    path: NDArray, goal: Sequence[float], *, radius: float, half_width: float, size: int, every: int
) -> Iterator[NDArray[np.uint8]]:
    """Frames (size, size, 3) of the positions of `path` (T, 2) that `is_shown`; the square is +-half_width wide.

    A point beyond it is a ring at its edge.
    """
    from PIL import Image, ImageDraw  # workers never draw

    def pixel(xy: Sequence[float]) -> tuple[float, float]:
        return (xy[0] / half_width + 1) * size / 2, (1 - xy[1] / half_width) * size / 2

    def disc(draw: ImageDraw.ImageDraw, xy: Sequence[float], r: float, color: tuple[int, int, int], fill: bool) -> None:
        x, y = pixel(xy)
        draw.ellipse((x - r, y - r, x + r, y + r), outline=color, fill=color if fill else None)

    dot = size / 60
    for t in range(len(path)):
        if not is_shown(t, len(path) - 1, every):
            continue
        image = Image.new("RGB", (size, size), _BACKGROUND)
        draw = ImageDraw.Draw(image)
        disc(draw, goal, radius / half_width * size / 2, _GOAL, fill=False)
        disc(draw, goal, dot, _GOAL, fill=True)
        if t:
            draw.line([pixel(xy) for xy in path[: t + 1]], fill=_PATH, width=max(1, size // 120))
        seen = np.clip(path[t], -half_width, half_width)
        disc(draw, seen, 1.3 * dot, _POINT, fill=bool((seen == path[t]).all()))
        yield np.asarray(image)
