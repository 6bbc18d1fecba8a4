"""Small made-up data sets and batches for the tests of few-shot learning."""

import dataclasses

import numpy as np
import torch

from metarl.fewshot.data.class_episodes import ClassData, ClassEpisodes
from metarl.fewshot.data.source import DataSpec, EpisodeConfig
from metarl.fewshot.nets.make import NetConfig
from metarl.fewshot.registry import METHODS
from metarl.seeding import numpy_rng

IMAGE_SPEC = DataSpec(input_shape=(1, 8, 8), outputs=3, train_classes=8)
SMALL_IMAGE_NET = NetConfig(filters=4, layers=2, flatten=True)
SMALL_MLP = NetConfig(hidden=(6, 5), norm="none")


def image_classes(num_classes=12, size=10, *, side=8, seed=0) -> ClassData:
    """Classes of noisy copies of a random image each, (1, side, side)."""
    rng = np.random.default_rng(seed)
    means = rng.uniform(0, 1, (num_classes, 1, 1, side, side))
    rows = (means + 0.2 * rng.normal(size=(num_classes, size, 1, side, side))).astype(np.float32)
    starts = np.arange(num_classes + 1) * size
    return ClassData(rows.reshape(-1, 1, side, side), starts, tuple(f"class{i}" for i in range(num_classes)))


def image_source(*, ways=3, shots=2, queries=2, **options) -> ClassEpisodes:
    data = image_classes()
    splits = {"train": range(8), "test": range(8, 12)}
    return ClassEpisodes(
        data, splits, EpisodeConfig(ways=ways, shots=shots, queries=queries), test_queries=3, **options
    )


def small(name, net, **changes):
    """A registered method's config with a small net."""
    config = METHODS[name].config
    fields = {field.name for field in dataclasses.fields(config)}
    settings = {"net": net, "embedding": 8, "test_steps": (1, 3), "inner_lr": 0.05} | changes
    return dataclasses.replace(config, **{n: value for n, value in settings.items() if n in fields})


def batch_of(source, num_tasks=3, seed=0):
    """TaskData of a meta-batch."""
    rng = numpy_rng((seed, 9))
    return source.data(source.sample_tasks(num_tasks, split="train", rng=rng), rng=rng)


def snapshot(state):
    """Bytes of everything in a state dict."""
    if isinstance(state, dict):
        return {name: snapshot(value) for name, value in state.items()}
    return state.detach().numpy().tobytes() if isinstance(state, torch.Tensor) else state
