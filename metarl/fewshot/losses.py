"""Losses whose last one or two dimensions are those of one task, so that they serve one task and a stack alike."""

from __future__ import annotations

from torch import Tensor


def cross_entropy(scores: Tensor, y: Tensor) -> Tensor:
    """-mean log softmax(scores)[y]; scores (..., N, ways), y (..., N) -> (...)."""
    log_probs = scores.log_softmax(-1)
    return -log_probs.gather(-1, y.unsqueeze(-1)).squeeze(-1).mean(-1)


def squared_error(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean of (outputs - y)^2; both (..., N, O) -> (...)."""
    return (outputs - y).square().mean((-2, -1))


def accuracy(scores: Tensor, y: Tensor) -> Tensor:
    """Share of y (..., N) that is the largest of scores (..., N, ways) -> (...)."""
    return (scores.argmax(-1) == y).float().mean(-1)
