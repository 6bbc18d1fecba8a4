"""Shuffled minibatches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metarl.rl.ppo import shuffled_minibatches

CPU = torch.device("cpu")


@pytest.mark.parametrize(("trials", "minibatches", "sizes"), [(10, 4, [3, 3, 2, 2]), (3, 8, [1, 1, 1]), (5, 1, [5])])
def test_an_epoch_has_each_trial_once(trials: int, minibatches: int, sizes: list[int]) -> None:
    rows = list(
        shuffled_minibatches(trials, epochs=2, minibatches=minibatches, rng=np.random.default_rng(0), device=CPU)
    )
    assert [len(part) for part in rows] == sizes * 2
    for epoch in (rows[: len(sizes)], rows[len(sizes) :]):
        assert sorted(torch.cat(epoch).tolist()) == list(range(trials))


def test_epochs_are_shuffled_apart_and_follow_from_the_generator() -> None:
    def draw(seed: int) -> list[list[int]]:
        rng = np.random.default_rng(seed)
        parts = shuffled_minibatches(20, epochs=2, minibatches=1, rng=rng, device=CPU)
        return [part.tolist() for part in parts]

    assert draw(1) == draw(1) != draw(2)
    assert draw(1)[0] != draw(1)[1]
