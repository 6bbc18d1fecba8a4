"""Affine distortions: their ranges, a slow reference for the sampling, and that held-out tasks are never touched."""

import math
import os

import numpy as np
import pytest
import torch

from metarl.fewshot.data import distort as D
from metarl.fewshot.data.class_episodes import ClassEpisodes, by_class
from metarl.fewshot.data.distort import distort, draw_transforms
from metarl.fewshot.data.omniglot import OmniglotConfig, omniglot
from metarl.fewshot.data.source import EpisodeConfig
from metarl.seeding import numpy_rng

needs_data = pytest.mark.skipif(not os.environ.get("METARL_DATA"), reason="METARL_DATA is not set")


def sampled_by_hand(image, transform):
    """Bilinear interpolation of image (H, W) at the place that each pixel's middle comes from; 0 outside."""
    height, width = image.shape
    out = np.zeros_like(image)
    for i in range(height):
        for j in range(width):
            middle = np.array([(2 * j + 1) / width - 1, (2 * i + 1) / height - 1, 1.0])
            x, y = transform @ middle
            column, row = ((x + 1) * width - 1) / 2, ((y + 1) * height - 1) / 2
            for r in (math.floor(row), math.floor(row) + 1):
                for c in (math.floor(column), math.floor(column) + 1):
                    if 0 <= r < height and 0 <= c < width:
                        out[i, j] += image[r, c] * (1 - abs(row - r)) * (1 - abs(column - c))
    return out


def test_images_are_sampled_where_the_transforms_say():
    images = torch.rand(6, 1, 9, 7, generator=torch.Generator().manual_seed(0))
    distorted = distort(images, numpy_rng((3,)))
    transforms = draw_transforms(6, numpy_rng((3,)))
    for image, result, transform in zip(images, distorted, transforms, strict=True):
        torch.testing.assert_close(result[0].numpy(), sampled_by_hand(image[0].numpy(), transform), atol=1e-5, rtol=0)


def test_transforms_are_kochs():
    transforms = draw_transforms(20_000, numpy_rng((0,)))
    shifts = transforms[:, :, 2]
    assert np.abs(shifts).max() <= 4 / 105
    np.testing.assert_allclose((shifts != 0).mean(0), 0.5, atol=0.02)
    # rotation, two shears and two scales all left out: one in 2^5
    identity = (transforms[:, :, :2] == np.eye(2)).all((1, 2))
    np.testing.assert_allclose(identity.mean(), 1 / 32, atol=0.006)
    area = np.linalg.det(transforms[:, :, :2])
    assert 0.8**2 * (1 - 0.3**2) - 1e-9 <= area.min() and area.max() <= 1.2**2 * (1 + 0.3**2) + 1e-9


def test_a_rotation_alone_turns_by_at_most_ten_degrees(monkeypatch):
    low, high = -math.radians(10), math.radians(10)
    monkeypatch.setattr(D, "SHEAR", 0.0)
    monkeypatch.setattr(D, "SCALE", (1.0, 1.0))
    transforms = draw_transforms(2000, numpy_rng((0,)))
    angles = np.arctan2(transforms[:, 1, 0], transforms[:, 0, 0])
    assert low <= angles.min() < 0.9 * low and 0.9 * high < angles.max() <= high
    np.testing.assert_allclose(np.linalg.det(transforms[:, :, :2]), 1.0)


def test_only_training_tasks_are_changed():
    images = np.random.default_rng(0).random((40, 1, 8, 8), np.float32)
    data = by_class(images, np.repeat(list("abcdefgh"), 5))
    splits = {"train": range(4), "test": range(4, 8)}
    config = EpisodeConfig(ways=2, shots=1, queries=2)
    plain, changed = (ClassEpisodes(data, splits, config, test_queries=2, augment=a) for a in (None, distort))
    training, held_out = (
        plain.sample_tasks(3, rng=numpy_rng((0,))),
        plain.test_tasks("2w1s", 3, rng=numpy_rng((0,))),
    )
    for tasks, same in ((training, False), (held_out, True)):
        for a, b in zip(plain.data(tasks, rng=numpy_rng((1,))), changed.data(tasks, rng=numpy_rng((1,))), strict=True):
            for x, y in ((a.supports[0].x, b.supports[0].x), (a.query.x, b.query.x)):
                assert x.shape == y.shape and torch.equal(x, y) == same
            assert torch.equal(a.query.y, b.query.y)


def test_a_class_is_distorted_anew_in_every_task_and_the_same_for_the_same_seed():
    images = torch.rand(4, 1, 8, 8)
    rng = numpy_rng((0,))
    first, second = distort(images, rng), distort(images, rng)
    assert not torch.equal(first, second)
    assert torch.equal(first, distort(images, numpy_rng((0,))))


@needs_data
def test_omniglots_characters_keep_their_ink_in_the_picture():
    """Mean ink changes with the scale, by up to 1 / 0.8^2, and hardly any is cut off; a pixel is ink or none."""
    episodes = EpisodeConfig(ways=20, shots=1, queries=5)
    plain, distorted = (omniglot(OmniglotConfig(distort=d), episodes) for d in (False, True))
    tasks = plain.sample_tasks(10, rng=numpy_rng((0,)))
    before, after = (torch.cat([d.query.x for d in s.data(tasks, rng=numpy_rng((1,)))]) for s in (plain, distorted))
    assert 0.9 < float(after.mean() / before.mean()) < 1.15
    assert set(after.unique().tolist()) == {0.0, 1.0} and 0.02 < float((before != after).float().mean()) < 0.15
