"""Labelled examples of one task, and the rules that they must keep before a method sees them.

N  examples of a support or query set      B  tasks of a meta-batch      ways  classes of a task
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.errors import NonFiniteError, UserError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Examples:
    """A support or query set; with a leading B everywhere it is that of B tasks."""

    x: Tensor  # (N, ...) float, as the net takes them
    y: Tensor  # (N,) int64 class in 0..ways-1, or (N, O) float target of a regression

    def to(self, device: torch.device) -> Examples:
        return Examples(self.x.to(device), self.y.to(device))


def stack_examples(tasks: Sequence[Examples]) -> Examples:
    """(B, N, ...) from B sets of equal size. Raises UserError if their sizes differ."""
    sizes = {len(task.x) for task in tasks}
    if len(sizes) != 1:
        raise UserError(f"tasks of {sorted(sizes)} examples cannot be one batch; give tasks of one size together")
    return Examples(torch.stack([task.x for task in tasks]), torch.stack([task.y for task in tasks]))


def count_ways(y: Tensor) -> int:
    """Classes of labels 0..ways-1, any shape."""
    return int(y.max()) + 1


def check_examples(examples: Examples, *, input_shape: Shape, what: str = "support set") -> None:
    """Raises UserError for inputs of another shape, NonFiniteError for NaN or infinity in them."""
    found = tuple(examples.x.shape[1:])
    if found != input_shape:
        _check_is_a_set(examples.x, input_shape, what)
        raise UserError(
            f"the {what} has inputs of shape {found}, the net takes {input_shape}"
            f"{_channel_hint(found, input_shape)}; convert the inputs or build the net for their shape"
        )
    if len(examples.x) != len(examples.y):
        raise UserError(
            f"the {what} has {len(examples.x)} inputs and {len(examples.y)} labels; give one label for each input"
        )
    if not torch.isfinite(examples.x).all():
        row = int((~torch.isfinite(examples.x.flatten(1)).all(1)).nonzero()[0])
        raise NonFiniteError(f"NaN or infinity in example {row} of the {what}; remove or repair it")


def _check_is_a_set(x: Tensor, input_shape: Shape, what: str) -> None:
    """Raises UserError for one example without the dimension of examples, and for an empty list."""
    wanted = f"({', '.join(map(str, ('N', *input_shape)))})"
    if x.numel() == 0 and x.dim() == 1:
        raise UserError(f"the {what} has 0 examples; give some, of shape {wanted}")
    if tuple(x.shape) == input_shape or x.dim() < 2:
        raise UserError(
            f"the {what} has the shape {tuple(x.shape)}, which must be {wanted}, N examples of shape {input_shape}; "
            "give one example as a set of one, x[None]"
        )


def check_support(support: Examples, *, input_shape: Shape, max_ways: int | None = None) -> None:
    """As `check_examples`, and for labels: every class of 0..ways-1 is there, ways from 2 to `max_ways`.

    A set of float targets (regression) has no classes to check.
    """
    check_examples(support, input_shape=input_shape)
    if support.y.is_floating_point():
        return
    if len(support.y) == 0:
        raise UserError("the support set has 0 examples; give at least one of each class")
    low, ways = int(support.y.min()), count_ways(support.y)
    missing = sorted(set(range(ways)) - set(support.y.tolist()))
    if low < 0 or missing:
        raise UserError(
            f"the support set has the labels {sorted(set(support.y.tolist()))}, which must be 0..N-1 without a gap"
            f"{f': class {missing[0]} is missing' if missing else ''}; renumber the labels or add the missing class"
        )
    if ways == 1:
        raise UserError("the support set has 1 class, but there is nothing to tell apart below 2; add a class")
    if max_ways is not None and ways > max_ways:
        raise UserError(
            f"the support set has {ways} classes, but the head was built for {max_ways}; "
            f"train with --ways {ways} or use a metric method, which has no head"
        )


def stack_supports(supports: Sequence[Examples], *, input_shape: Shape, max_ways: int | None = None) -> Examples:
    """(B, N, ...) of support sets of equal size, each checked as by `check_support`, together where all is well."""
    if not _all_well(supports, input_shape, max_ways):
        for support in supports:
            check_support(support, input_shape=input_shape, max_ways=max_ways)
        ways = sorted({count_ways(support.y) for support in supports if not support.y.is_floating_point()})
        if len(ways) > 1:  # of equal sizes all the same, as 2 classes of 2 beside 4 of 1
            raise UserError(f"tasks taken together have {ways[0]} and {ways[-1]} classes; give such of as many classes")
    return stack_examples(supports)


def stack_queries(queries: Sequence[Examples], *, input_shape: Shape) -> Examples:
    """(B, Q, ...) of query sets of equal size, not empty, each checked as by `check_examples`."""
    size = len(queries[0].x)
    shapes = {(*query.x.shape, len(query.y)) for query in queries}
    if size == 0 or shapes != {(size, *input_shape, size)}:  # else one look at all of them together is enough
        for query in queries:
            check_examples(query, input_shape=input_shape, what="query set")
            if len(query.x) == 0:
                raise UserError("the query set has 0 examples; give at least one")
    stacked = stack_examples(queries)
    if not torch.isfinite(stacked.x).all():
        for query in queries:
            check_examples(query, input_shape=input_shape, what="query set")
    return stacked


def _all_well(supports: Sequence[Examples], input_shape: Shape, max_ways: int | None) -> bool:
    """One look at all sets instead of one at each: half of a small net's meta-update went into the latter."""
    if len({(s.x.shape, s.y.shape) for s in supports}) != 1:
        return False
    stacked = stack_examples(supports)
    if stacked.x.shape[2:] != input_shape or stacked.x.shape[:2] != stacked.y.shape[:2] or stacked.y.shape[1] == 0:
        return False
    if not torch.isfinite(stacked.x).all():
        return False
    if stacked.y.is_floating_point():
        return True
    low, ways = int(stacked.y.min()), count_ways(stacked.y)
    if low < 0 or ways < 2 or (max_ways is not None and ways > max_ways):
        return False
    return bool(torch.nn.functional.one_hot(stacked.y, ways).any(1).all())


def _channel_hint(found: Shape, expected: Shape) -> str:
    if len(found) == 3 and len(expected) == 3 and found[0] != expected[0]:
        return f" ({found[0]} channels instead of {expected[0]}, channels come first)"
    return ""
