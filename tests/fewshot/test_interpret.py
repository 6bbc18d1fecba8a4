"""What adaptation moved, and what a query was compared with."""

import numpy as np
import pytest
import torch

from metarl.errors import UserError
from metarl.fewshot.interpret import (
    attention_map,
    linear_cka,
    nearest_supports,
    plot_attention,
    plot_layers,
    plot_nearest,
    relative_change,
)
from metarl.fewshot.methods.matching import MatchingConfig
from metarl.fewshot.methods.prototypical import PrototypicalConfig
from metarl.fewshot.registry import METHODS
from metarl.seeding import torch_rng
from tests.fewshot.problems import SMALL_IMAGE_NET, batch_of, image_source, small

SOURCE = image_source()


def test_relative_change_by_hand():
    """Layer a: |(0, 3, 4)| / |(3, 4, 0)| = 5/5; layer b starts from 0; statistics of phi alone are no weights."""
    before = {"a.w": torch.tensor([3.0, 4.0]), "a.b": torch.tensor([0.0]), "b": torch.zeros(2)}
    after = {"a.w": torch.tensor([3.0, 7.0]), "a.b": torch.tensor([4.0]), "b": torch.ones(2), "mean": torch.ones(1)}
    assert relative_change(before, after) == {"a": 1.0, "b": float("inf")}
    assert relative_change(before, before) == {"a": 0.0, "b": 0.0}


def test_cka_is_1_for_a_rotation_and_a_scale_and_less_for_noise():
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, generator=rng)
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, generator=rng))
    assert linear_cka(x, 3 * x @ rotation + 1) == pytest.approx(1, abs=1e-6)
    assert linear_cka(x, torch.randn(40, 6, generator=rng)) < 0.4


@pytest.mark.parametrize("full_context", [False, True])
def test_the_attention_map_adds_up_to_the_answers(full_context):
    config = MatchingConfig(net=SMALL_IMAGE_NET, full_context=full_context)
    learner = METHODS["matching"].make(SOURCE.spec, torch_rng((0,)), config=config)
    data = batch_of(SOURCE)[0]
    (phi,) = learner.behaviour().adapt([learner.behaviour().prior()], [data.supports[0]])
    weights = attention_map(learner.behaviour(), phi, data.query.x)
    assert weights.shape == (6, 6)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    (scores,) = learner.behaviour().predict([phi], [data.query.x])
    by_class = torch.from_numpy(weights) @ torch.nn.functional.one_hot(data.supports[0].y).float()
    torch.testing.assert_close(by_class, scores.softmax(-1), atol=1e-5, rtol=1e-4)


def test_a_support_example_is_nearest_to_itself():
    learner = METHODS["matching"].make(SOURCE.spec, torch_rng((0,)), config=MatchingConfig(net=SMALL_IMAGE_NET))
    support = batch_of(SOURCE)[0].supports[0]
    (phi,) = learner.behaviour().adapt([learner.behaviour().prior()], [support])
    rows = nearest_supports(learner.behaviour(), phi, support.x, count=2)
    assert rows.shape == (6, 2) and rows[:, 0].tolist() == list(range(6))


@pytest.mark.parametrize("method", ["prototypical", "siamese", "relation", "matching", "ridge", "transfer"])
def test_of_one_shot_the_nearest_example_is_of_the_class_that_is_answered(method):
    """By whatever the head compares with: squared distances and log-odds of weighted ones are no cosines."""
    source = image_source(shots=1)
    learner = METHODS[method].make(source.spec, torch_rng((3,)), config=small(method, SMALL_IMAGE_NET))
    (data,) = batch_of(source, 1)
    (phi,) = learner.behaviour().adapt([learner.behaviour().prior()], [data.supports[0]])
    queries = 3 * torch.randn(40, *source.spec.input_shape, generator=torch.Generator().manual_seed(0))
    (answers,) = learner.behaviour().predict([phi], [queries])
    rows = nearest_supports(learner.behaviour(), phi, queries, count=1)[:, 0]
    assert data.supports[0].y[torch.from_numpy(rows)].tolist() == answers.argmax(-1).tolist()
    assert len(set(rows.tolist())) > 1


def test_other_methods_have_no_attention():
    config = PrototypicalConfig(net=SMALL_IMAGE_NET)
    learner = METHODS["prototypical"].make(SOURCE.spec, torch_rng((0,)), config=config)
    with pytest.raises(UserError, match="Prototypes has no attention"):
        attention_map(learner.behaviour(), {}, torch.zeros(1, 1, 8, 8))


def test_pictures_are_written(tmp_path):
    images = torch.rand(3, 1, 8, 8)
    plot_attention(tmp_path / "a.png", np.eye(3), support=images, queries=images)
    plot_nearest(
        tmp_path / "n.png", np.array([[0, 1], [2, 0]]), support=images, queries=images[:2], correct=[True, False]
    )
    plot_layers(tmp_path / "l.png", {"conv0": 0.1, "head": 1.5})
    assert all(path.stat().st_size > 2000 for path in tmp_path.glob("*.png"))
    assert len(list(tmp_path.iterdir())) == 3
