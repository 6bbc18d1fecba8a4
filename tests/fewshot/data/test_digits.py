"""scikit-learn's digits on a canvas."""

from __future__ import annotations

import numpy as np

from metarl.fewshot.data.digits import DigitsConfig, digits, place
from metarl.fewshot.data.source import EpisodeConfig
from metarl.seeding import numpy_rng


def test_on_a_canvas_each_digit_lies_somewhere_whole_and_always_there() -> None:
    images = np.arange(1, 3 * 64 + 1, dtype=np.uint8).reshape(3, 8, 8) % 16 + 1
    placed, again = (place(images, canvas=12, rng=numpy_rng((0,))) for _ in range(2))
    np.testing.assert_array_equal(placed, again)
    for image, canvas in zip(images, placed, strict=True):
        rows, columns = canvas.any(1).nonzero()[0], canvas.any(0).nonzero()[0]
        np.testing.assert_array_equal(canvas[rows[0] : rows[0] + 8, columns[0] : columns[0] + 8], image)
        assert canvas.sum() == image.sum()
    assert len({tuple(canvas.any(1).nonzero()[0]) for canvas in place(images, canvas=30, rng=numpy_rng((1,)))}) > 1
    np.testing.assert_array_equal(place(images, canvas=8, rng=numpy_rng((0,))), images)
    assert digits(DigitsConfig(canvas=12), EpisodeConfig(ways=5, shots=1, queries=1)).spec.input_shape == (1, 12, 12)
