"""Bad support and query sets: each an error with the value, the rule and the remedy."""

import pytest
import torch

from metarl.errors import NonFiniteError, UserError
from metarl.fewshot.examples import Examples, check_support, stack_examples, stack_queries, stack_supports

SHAPE = (1, 4, 4)


def support(labels, shape=SHAPE):
    return Examples(torch.rand(len(labels), *shape), torch.tensor(labels))


def test_good_sets_are_stacked():
    stacked = stack_supports([support([0, 1]), support([1, 0])], input_shape=SHAPE, max_ways=2)
    assert stacked.x.shape == (2, 2, *SHAPE) and stacked.y.tolist() == [[0, 1], [1, 0]]
    assert stack_queries([support([0, 1, 1])], input_shape=SHAPE).y.shape == (1, 3)


@pytest.mark.parametrize(
    "bad, message",
    [
        (support([0, 2]), r"labels \[0, 2\], which must be 0..N-1 without a gap: class 1 is missing; renumber"),
        (support([-1, 0, 1]), r"labels \[-1, 0, 1\], which must be 0..N-1"),
        (support([0, 0]), "1 class, but there is nothing to tell apart below 2; add a class"),
        (support([0, 1, 2]), "3 classes, but the head was built for 2; train with --ways 3"),
        (
            support([0, 1], (3, 4, 4)),
            r"shape \(3, 4, 4\), the net takes \(1, 4, 4\) \(3 channels instead of 1",
        ),
        (support([0, 1], (1, 5, 4)), r"\(1, 5, 4\), the net takes \(1, 4, 4\); convert"),
        (Examples(torch.rand(3, *SHAPE), torch.tensor([0, 1])), "3 inputs and 2 labels; give one label"),
        (Examples(torch.rand(0, *SHAPE), torch.zeros(0, dtype=torch.int64)), "0 examples; give at least one"),
    ],
)
def test_bad_labels_and_shapes(bad, message):
    with pytest.raises(UserError, match=message):
        check_support(bad, input_shape=SHAPE, max_ways=2)
    with pytest.raises(UserError):
        stack_supports([support([0, 1]), bad], input_shape=SHAPE, max_ways=2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_names_the_example(value):
    bad = support([0, 1])
    bad.x[1, 0, 2, 2] = value
    with pytest.raises(NonFiniteError, match="NaN or infinity in example 1 of the support set; remove or repair it"):
        stack_supports([support([0, 1]), bad], input_shape=SHAPE)
    with pytest.raises(NonFiniteError, match="example 1 of the query set"):
        stack_queries([bad], input_shape=SHAPE)


@pytest.mark.parametrize("others", [[], [support([0, 1])]], ids=["alone", "with a good one"])
@pytest.mark.parametrize(
    "bad, message",
    [
        (Examples(torch.rand(2, *SHAPE), torch.tensor([0])), "query set has 2 inputs and 1 labels; give one label"),
        (Examples(torch.rand(2, *SHAPE), torch.tensor([0, 1, 0])), "query set has 2 inputs and 3 labels"),
        (support([0, 1], (1, 4, 5)), r"query set has inputs of shape \(1, 4, 5\), the net takes \(1, 4, 4\)"),
        (Examples(torch.rand(0, *SHAPE), torch.zeros(0, dtype=torch.int64)), "query set has 0 examples"),
    ],
)
def test_bad_query_sets(bad, message, others):
    with pytest.raises(UserError, match=message):
        stack_queries([*others, bad], input_shape=SHAPE)


def test_sets_of_different_sizes_are_no_batch():
    with pytest.raises(UserError, match=r"tasks of \[2, 3\] examples cannot be one batch"):
        stack_examples([support([0, 1]), support([0, 1, 1])])
