"""What every few-shot method must keep to; a new one is covered by its line in metarl/fewshot/registry.py."""

import dataclasses

import numpy as np
import pytest
import torch

from metarl.errors import NonFiniteError, SettingError, UserError
from metarl.fewshot.data.sinusoid import Sinusoid, SinusoidConfig
from metarl.fewshot.examples import Examples
from metarl.fewshot.methods.maml import MAMLConfig
from metarl.fewshot.nets.make import make_net
from metarl.fewshot.nets.with_head import HEAD
from metarl.fewshot.registry import METHODS
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint
from metarl.seeding import torch_rng
from tests.fewshot.problems import SMALL_IMAGE_NET, SMALL_MLP, batch_of, image_source, small, snapshot

VARIANTS = {name: (name, {}) for name in METHODS} | {
    "maml first order": ("maml", {"first_order": True}),
    "maml support statistics": ("maml", {"query_statistics": "support", "inner_steps": 2}),
    "maml head at 0": ("maml", {"head_from_zero": True, "head_stays_zero": True, "inner_steps": 2}),
    "matching full context": ("matching", {"full_context": True, "processing_steps": 2}),
    "transfer fine-tuned": ("transfer", {"head": "fine_tune", "fine_tune_steps": 5}),
}
GRADIENT = [n for n, (method, _) in VARIANTS.items() if METHODS[method].regression]
LEARNING = [n for n in VARIANTS if not n.startswith("nearest")]
SOURCE = image_source()


def learner_of(variant, seed=0):
    name, changes = VARIANTS[variant]
    return METHODS[name].make(SOURCE.spec, torch_rng((seed,)), config=small(name, SMALL_IMAGE_NET, **changes))


def supports_of(batch):
    return [data.supports[0] for data in batch]


def flat(phi):
    return torch.cat([p.double().reshape(-1) for name, p in phi.items() if not name.startswith("support_")])


def test_a_head_that_stays_at_0_is_moved_by_inner_steps_alone():
    learner, batch = learner_of("maml head at 0"), batch_of(SOURCE)
    before = learner.behaviour().prior()
    for _ in range(3):
        learner.meta_update(batch)
    after = learner.behaviour().prior()
    assert all((after[name] == 0).all() for name in HEAD)
    assert all((after[name] != before[name]).any() for name in before if name not in HEAD)
    (phi, *_) = learner.behaviour().adapt([after] * 3, supports_of(batch))
    assert all((phi[name] != 0).any() for name in HEAD)
    learned = METHODS["maml"].make(
        SOURCE.spec, torch_rng((0,)), config=small("maml", SMALL_IMAGE_NET, head_from_zero=True)
    )
    learned.meta_update(batch)
    assert (learned.behaviour().prior()["head.weight"] != 0).any()


def test_a_head_that_stays_at_0_must_be_there_and_start_there():
    with pytest.raises(SettingError, match="set head_from_zero=True too"):
        MAMLConfig(head_stays_zero=True)
    config = small("maml", SMALL_IMAGE_NET, head_from_zero=True, head_stays_zero=True)
    body = make_net(SOURCE.spec.input_shape, SMALL_IMAGE_NET)
    with pytest.raises(UserError, match="is for a net with a head; give WithHead"):
        METHODS["maml"].make(SOURCE.spec, torch_rng((0,)), config=config, net=body)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_head_at_0_passes_no_gradient_down_in_the_first_step(steps):
    config = small("maml", SMALL_IMAGE_NET, head_from_zero=True, head_stays_zero=True, test_steps=(steps,))
    learner = METHODS["maml"].make(SOURCE.spec, torch_rng((0,)), config=config)
    (phi,) = learner.behaviour().adapt([learner.behaviour().prior()], supports_of(batch_of(SOURCE))[:1])
    moved = {name for name, p in learner.theta.items() if not torch.equal(p, phi[name])}
    assert moved == (set(HEAD) if steps == 1 else learner.theta.keys())


@pytest.mark.parametrize("variant", VARIANTS)
def test_adapt_has_no_side_effect(variant):
    learner, batch = learner_of(variant), batch_of(SOURCE)
    before = snapshot(learner.state_dict()), [snapshot(vars(s)) for s in supports_of(batch)]
    priors = [learner.behaviour().prior()] * 3
    first, second = (
        learner.behaviour().adapt(priors, supports_of(batch)),
        learner.behaviour().adapt(priors, supports_of(batch)),
    )
    learner.behaviour().predict(first, [data.query.x for data in batch], mode="transductive")
    assert (snapshot(learner.state_dict()), [snapshot(vars(s)) for s in supports_of(batch)]) == before
    assert [snapshot(phi) for phi in first] == [snapshot(phi) for phi in second]
    assert not any(p.requires_grad for phi in first for p in phi.values())


@pytest.mark.parametrize("variant", VARIANTS)
def test_adapt_differs_from_task_to_task_and_not_with_its_company(variant):
    learner, batch = learner_of(variant), batch_of(SOURCE)
    adapted = learner.behaviour().adapt([learner.behaviour().prior()] * 3, supports_of(batch))
    assert (flat(adapted[0]) - flat(adapted[1])).abs().max() > 1e-4
    for phi, support in zip(adapted, supports_of(batch), strict=True):
        (alone,) = learner.behaviour().adapt([learner.behaviour().prior()], [support])
        torch.testing.assert_close(flat(alone), flat(phi), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("mode", ["inductive", "single", "transductive"])
def test_scores_are_of_each_query_and_class(variant, mode):
    learner, batch = learner_of(variant), batch_of(SOURCE)
    learner.meta_update(batch)
    phis = learner.behaviour().adapt([learner.behaviour().prior()] * 3, supports_of(batch))
    scores = learner.behaviour().predict(phis, [data.query.x for data in batch], mode=mode)
    assert [s.shape for s in scores] == [(6, 3)] * 3
    assert all(torch.isfinite(s).all() for s in scores)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("mode", ["inductive", "single"])
def test_only_a_transductive_answer_depends_on_the_other_queries(variant, mode):
    learner, batch = learner_of(variant), batch_of(SOURCE)
    learner.meta_update(batch)
    phis = learner.behaviour().adapt([learner.behaviour().prior()] * 3, supports_of(batch))
    x = batch[0].query.x
    (together,), (alone,) = (learner.behaviour().predict(phis[:1], [q], mode=mode) for q in (x, x[2:3]))
    torch.testing.assert_close(together[2], alone[0], atol=1e-4, rtol=1e-4)
    if learner.behaviour().has_statistics:
        (all_of_them,), (first_two,) = (
            learner.behaviour().predict(phis[:1], [q], mode="transductive") for q in (x, x[:2])
        )
        assert (all_of_them[:2] - first_two).abs().max() > 1e-4


@pytest.mark.parametrize("variant", VARIANTS)
def test_meta_update_is_deterministic_and_a_saved_state_goes_on_alike(variant, tmp_path):
    learner = learner_of(variant)
    learner.meta_update(batch_of(SOURCE, seed=1))
    saved = save_checkpoint(tmp_path, 1, learner.state_dict())
    metrics = learner.meta_update(batch_of(SOURCE, seed=2))
    again = learner_of(variant, seed=1)  # starts from other numbers
    again.load_state_dict(load_checkpoint(saved))
    assert again.meta_update(batch_of(SOURCE, seed=2)) == metrics
    assert snapshot(again.state_dict()) == snapshot(learner.state_dict())
    assert all(np.isfinite(value) for value in metrics.values())
    assert {"meta_loss", "accuracy/post", "meta_step_accepted"} <= metrics.keys()


@pytest.mark.parametrize("variant", LEARNING)
def test_meta_updates_learn(variant):
    """The training loss of one batch falls when it is trained on again and again."""
    learner, batch = learner_of(variant), batch_of(SOURCE)
    losses = [learner.meta_update(batch)["meta_loss"] for _ in range(25)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", ["nan", "inf"])
def test_unusable_inputs_are_an_error_that_leaves_theta_alone(variant, kind):
    learner, batch = learner_of(variant), batch_of(SOURCE)
    before = snapshot(learner.state_dict())
    for part in ("support", "query"):
        good = batch[1].supports[0] if part == "support" else batch[1].query
        x = good.x.clone()
        x[2, 0, 1, 1] = float(kind)
        bad = Examples(x, good.y)
        damaged = dataclasses.replace(batch[1], **({"supports": (bad,)} if part == "support" else {"query": bad}))
        with pytest.raises(NonFiniteError, match=f"NaN or infinity in example 2 of the {part} set"):
            learner.meta_update([batch[0], damaged])
    assert snapshot(learner.state_dict()) == before


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "labels, rule", [([0, 0, 2, 2, 3, 3], "class 1 is missing"), ([1, 1, 2, 2, 3, 3], "0..N-1"), ([0] * 6, "1 class")]
)
def test_labels_must_be_0_to_n_minus_1(variant, labels, rule):
    learner, batch = learner_of(variant), batch_of(SOURCE)
    bad = Examples(batch[0].supports[0].x, torch.tensor(labels))
    with pytest.raises(UserError, match=rule):
        learner.behaviour().adapt([learner.behaviour().prior()], [bad])


@pytest.mark.parametrize("variant", VARIANTS)
def test_images_of_another_shape_are_refused(variant):
    learner, batch = learner_of(variant), batch_of(SOURCE)
    support = batch[0].supports[0]
    with pytest.raises(UserError, match="3 channels instead of 1"):
        learner.behaviour().adapt([learner.behaviour().prior()], [Examples(support.x.expand(-1, 3, -1, -1), support.y)])


@pytest.mark.parametrize("variant", GRADIENT)
def test_more_classes_than_the_head_has_are_refused(variant):
    learner = learner_of(variant)
    support = Examples(torch.rand(4, 1, 8, 8), torch.arange(4))
    with pytest.raises(UserError, match="4 classes, but the head was built for 3"):
        learner.behaviour().adapt([learner.behaviour().prior()], [support])


@pytest.mark.parametrize("variant", LEARNING)
def test_a_state_of_another_shape_is_refused_by_name(variant):
    learner = learner_of(variant)
    state = learner_of(variant, seed=1).state_dict()
    name = next(iter(state["theta"]))
    state["theta"] = state["theta"] | {name: torch.zeros(3, 8)}
    before = snapshot(learner.state_dict())
    with pytest.raises(UserError, match=name):
        learner.load_state_dict(state)
    assert snapshot(learner.state_dict()) == before


@pytest.mark.parametrize("name", [n for n, entry in METHODS.items() if entry.regression])
def test_regression_too(name):
    source = Sinusoid(SinusoidConfig(shots=5, queries=5))
    learner = METHODS[name].make(source.spec, torch_rng((0,)), config=small(name, SMALL_MLP))
    batch = batch_of(source)
    first = learner.meta_update(batch)
    assert {"meta_loss", "mse/post"} <= first.keys() or name == "reptile"
    curve = learner.behaviour().adapt_curve(supports_of(batch))
    assert list(curve) == [0, 1, 3]
    outputs = learner.behaviour().predict(curve[3], [data.query.x for data in batch])
    assert outputs[0].shape == (5, 1)


@pytest.mark.parametrize("name", [n for n, entry in METHODS.items() if not entry.regression])
def test_a_metric_method_refuses_a_regression(name):
    with pytest.raises(UserError, match="use MAML"):
        METHODS[name].make(Sinusoid(SinusoidConfig()).spec, torch_rng((0,)))


@pytest.mark.parametrize("name", METHODS)
def test_registered_methods_are_made_with_their_defaults(name):
    """From the generator alone: the same one gives the same theta."""
    spec = dataclasses.replace(SOURCE.spec, input_shape=(1, 28, 28))
    first, second = (METHODS[name].make(spec, torch_rng((0,))) for _ in range(2))
    assert snapshot(first.state_dict()) == snapshot(second.state_dict())
    assert METHODS[name].description
