"""A setting that goes from one value to another during meta-training."""

from __future__ import annotations


def annealed(first: float, last: float, *, update: int, updates: int) -> float:
    """After `update` meta-updates: linearly from `first` to `last` over so many `updates`, and `last` from then on."""
    done = min(1.0, update / updates)
    return (1 - done) * first + done * last
