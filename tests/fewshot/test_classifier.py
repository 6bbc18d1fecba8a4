"""Few-shot learning on plain arrays."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from metarl.errors import UserError
from metarl.fewshot import classifier as classifier_module
from metarl.fewshot.classifier import FewShotClassifier, make_tasks
from metarl.fewshot.data.arrays import task_data
from metarl.fewshot.methods.prototypical import PrototypicalConfig
from metarl.fewshot.methods.reptile import ReptileConfig, ReptileLoop
from metarl.fewshot.nets.make import NetConfig
from metarl.fewshot.nets.module_net import ModuleNet
from metarl.fewshot.registry import METHODS
from metarl.runs.checkpoint import save_checkpoint
from metarl.seeding import Stream, torch_rng
from tests.fewshot.test_contract import small


def arrays(seed=0, classes=8, size=12):
    """Blobs in 4 dimensions with names as labels; those of the first classes are the same whatever their number."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(classes, 4)) * 3
    X = (centres[:, None] + rng.normal(size=(classes, size, 4))).reshape(-1, 4)
    return X, np.repeat([f"name{i}" for i in range(classes)], size)


TASKS = make_tasks(*arrays(), num_tasks=20, ways=3, shots=2, queries=3)
NET = NetConfig(hidden=(16, 8), norm="none")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_to_tell_blobs_apart(method):
    classifier = FewShotClassifier(method=method, config=small(method, NET), epochs=2).fit(TASKS)
    X_support, y_support, X_query, y_query = make_tasks(*arrays(2), num_tasks=1, ways=3, shots=5, queries=5, seed=3)[0]
    classifier.adapt(X_support, y_support)
    probabilities = classifier.predict_proba(X_query)
    assert probabilities.shape == (15, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert (classifier.predict(X_query) == classifier.classes_[probabilities.argmax(1)]).all()
    assert set(classifier.classes_) == set(y_support)
    if method in ("prototypical", "matching", "transfer", "nearest_centroid"):
        assert classifier.score(X_query, y_query) >= 0.7


@pytest.mark.parametrize("method", METHODS)
def test_what_was_saved_answers_alike_and_learns_on_alike(method, tmp_path):
    X_support, y_support, X_query, _ = TASKS[0]
    classifier = FewShotClassifier(method=method, config=small(method, NET)).fit(TASKS[:4])
    classifier.save(tmp_path / "fitted")
    classifier.adapt(X_support, y_support).fit_threshold(TASKS[4:8]).save(tmp_path / "adapted")
    loaded = FewShotClassifier.load(tmp_path / "adapted")
    for mode in ("inductive", "transductive"):
        np.testing.assert_array_equal(
            loaded.predict_proba(X_query, mode=mode), classifier.predict_proba(X_query, mode=mode)
        )
    assert loaded.threshold_ == classifier.threshold_ and loaded.classes_.tolist() == classifier.classes_.tolist()
    assert loaded.method == method and loaded.config == small(method, NET)
    fitted = FewShotClassifier.load(tmp_path / "fitted")
    with pytest.raises(UserError, match="no support set yet"):
        fitted.predict(X_query)
    np.testing.assert_array_equal(
        fitted.adapt(X_support, y_support).predict_proba(X_query), classifier.predict_proba(X_query)
    )


def test_a_saved_net_of_ones_own_is_given_again(tmp_path):
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 5))
    classifier = FewShotClassifier(net=ModuleNet(module, (4,))).fit(TASKS[:4]).adapt(*TASKS[0][:2])
    classifier.save(tmp_path)
    loaded = FewShotClassifier.load(tmp_path, net=ModuleNet(module, (4,)))
    np.testing.assert_array_equal(loaded.scores(TASKS[0][2]), classifier.scores(TASKS[0][2]))
    with pytest.raises(UserError):
        FewShotClassifier.load(tmp_path)


def test_what_is_no_classifier_is_not_loaded(tmp_path):
    with pytest.raises(UserError, match="holds no classifier"):
        FewShotClassifier.load(tmp_path)
    save_checkpoint(tmp_path, 0, {"phi": {}})
    with pytest.raises(UserError, match="holds no classifier"):
        FewShotClassifier.load(tmp_path)
    with pytest.raises(UserError, match="not meta-trained; call fit"):
        FewShotClassifier().save(tmp_path)


def test_the_same_seed_gives_the_same_classifier():
    answers = []
    for seed in (0, 0, 1):
        classifier = FewShotClassifier(config=PrototypicalConfig(net=NET), seed=seed).fit(TASKS)
        answers.append(classifier.adapt(*TASKS[0][:2]).predict_proba(TASKS[0][2]))
    assert (answers[0] == answers[1]).all() and (answers[0] != answers[2]).any()


def test_a_net_of_ones_own():
    module = nn.Sequential(nn.Linear(4, 8), nn.GroupNorm(2, 8), nn.ReLU(), nn.Linear(8, 3))
    before = [p.clone() for p in module.parameters()]
    for method in ("maml", "prototypical", "reptile"):
        net = ModuleNet(module, (4,))
        classifier = FewShotClassifier(method=method, config=small(method, NET), net=net).fit(TASKS[:4])
        assert classifier.adapt(*TASKS[0][:2]).predict(TASKS[0][2]).shape == (9,)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_what_comes_in_the_wrong_order_is_said():
    classifier = FewShotClassifier(config=PrototypicalConfig(net=NET))
    with pytest.raises(UserError, match=r"call fit\(tasks\) first"):
        classifier.adapt(*TASKS[0][:2])
    classifier.fit(TASKS[:2])
    with pytest.raises(UserError, match="call adapt"):
        classifier.predict(TASKS[0][2])
    classifier.adapt(*TASKS[0][:2])
    with pytest.raises(UserError, match=r"inputs of shape \(5,\), the net takes \(4,\)"):
        classifier.predict(np.zeros((2, 5)))


def test_bad_tasks_are_refused():
    X_support, y_support, X_query, y_query = TASKS[0]
    with pytest.raises(UserError, match="0 tasks"):
        FewShotClassifier().fit([])
    with pytest.raises(UserError, match="unknown method 'protonet'"):
        FewShotClassifier(method="protonet")
    with pytest.raises(UserError, match="task 0 asks for class 'stranger', which its support set lacks"):
        FewShotClassifier().fit([(X_support, y_support, X_query, ["stranger"] * len(y_query))])
    for name, value in [("epochs", 0), ("epochs", 1.5), ("tasks_per_update", True), ("seed", -1), ("seed", 0.5)]:
        with pytest.raises(UserError, match=rf"^{name}={value} must be a whole number >= "):
            FewShotClassifier(**{name: value})
    with pytest.raises(UserError, match="seed=-1"):
        make_tasks(*arrays(), num_tasks=1, seed=-1)
    assert FewShotClassifier(epochs=np.int64(2)).epochs == 2


def fitted(method="prototypical", **options):
    return FewShotClassifier(method=method, config=small(method, NET), **options).fit(TASKS[:4])


def test_a_support_set_that_is_refused_leaves_the_one_before():
    X_support, y_support, X_query, _ = TASKS[0]
    classifier = fitted().adapt(X_support, y_support)
    before = classifier.predict(X_query)
    for X, y in [(np.full((2, 4), np.nan), ["other", "names"]), (np.zeros((2, 5)), ["other", "names"])]:
        with pytest.raises(UserError):
            classifier.adapt(X, y)
    assert set(classifier.classes_) == set(y_support) and (classifier.predict(X_query) == before).all()


def test_tasks_keep_the_labels_of_y():
    X, names = arrays()
    y = np.unique(names, return_inverse=True)[1] * 10
    X_support, y_support, X_query, y_query = make_tasks(X, y, num_tasks=1, ways=3, shots=5, queries=5)[0]
    assert y_support.dtype == y.dtype and set(y_query) <= set(y)
    for x, label in zip(X_query, y_query, strict=True):
        assert (np.abs(X[y == label] - x).max(1) < 1e-5).any()
    assert fitted().adapt(X_support, y_support).score(X_query, [int(label) for label in y_query]) >= 0.7


def test_a_score_of_other_labels_is_no_0():
    X_support, y_support, X_query, y_query = TASKS[0]
    classifier = fitted().adapt(X_support, y_support)
    with pytest.raises(UserError, match="the query set has 9 inputs and 8 labels"):
        classifier.score(X_query, y_query[:-1])
    with pytest.raises(UserError, match="the query set has the label 3, and none of the support set's, as 'name"):
        classifier.score(X_query, [3] * 9)


X_S, Y_S, X_Q, Y_Q = TASKS[0]


@pytest.mark.parametrize(
    "task, message",
    [
        ((X_S, Y_S, X_Q), r"task 0 has 3 parts, which must be \(X_support, y_support, X_query, y_query\)"),
        ((X_S, Y_S, X_Q, Y_Q[:-1]), "the query set of task 0 has 9 inputs and 8 labels; give one label"),
        ((X_S, Y_S, X_Q[:-1], Y_Q), "the query set of task 0 has 8 inputs and 9 labels"),
        ((X_S[:-1], Y_S, X_Q, Y_Q), "the support set of task 0 has 5 inputs and 6 labels"),
        ((X_S, Y_S, X_Q[:, :3], Y_Q), r"the query set of task 0 has inputs of shape \(3,\), the net takes \(4,\)"),
        ((X_S, Y_S, X_Q[:0], Y_Q[:0]), "the query set of task 0 has 0 examples; give at least one"),
        (
            (X_S, Y_S[:, None], X_Q, Y_Q),
            r"support set of task 0 have the shape \(6, 1\), which must be \(N,\); flatten",
        ),
        (
            (X_S, [1, "1"] * 3, X_Q, Y_Q),
            "labels of the support set of task 0 are numbers and text, which must be of one",
        ),
        ((X_S, [0.0, 1.0, 2.0, np.nan, 1.0, 2.0], X_Q, Y_Q), "label 3 of the support set of task 0 is NaN.*drop that"),
        ((X_S, [None] * 6, X_Q, Y_Q), "support set of task 0 are of the type NoneType, which must be text or numbers"),
        ((X_S, Y_S, [["a"] * 4] * 9, Y_Q), "query set of task 0 are no array of numbers .could not convert string"),
        ((X_S, Y_S, [[1.0], [1.0, 2.0]] * 4 + [[1.0]], Y_Q), "no array of numbers .setting an array.*equally many"),
    ],
)
def test_arrays_that_are_no_task_are_named(task, message):
    with pytest.raises(UserError, match=message):
        FewShotClassifier().fit([task])


def test_labels_of_two_kinds_in_two_tasks_are_refused():
    numbered = (X_S, np.repeat(np.arange(3), 2), X_Q, np.repeat(np.arange(3), 3))
    with pytest.raises(UserError, match="labels of the tasks taken together are numbers and text"):
        FewShotClassifier().fit([TASKS[0], numbered])


def test_a_config_of_another_method_is_refused():
    with pytest.raises(UserError, match="config is of ReptileConfig, but this method takes PrototypicalConfig"):
        FewShotClassifier(config=ReptileConfig()).fit(TASKS[:1])


@pytest.mark.parametrize("method", ["maml", "reptile"])
def test_a_net_that_does_not_fit_the_tasks_is_refused(method):
    with pytest.raises(UserError, match="the net has 2 outputs, but tasks have up to 3 classes"):
        FewShotClassifier(method=method, net=ModuleNet(nn.Linear(4, 2), (4,))).fit(TASKS[:1])
    with pytest.raises(UserError, match=r"net takes inputs of shape \(5,\), but those of the tasks have \(4,\)"):
        FewShotClassifier(method=method, net=ModuleNet(nn.Linear(5, 3), (5,))).fit(TASKS[:1])


def test_phi_and_features_are_open():
    classifier = fitted()
    with pytest.raises(UserError, match="call adapt"):
        _ = classifier.phi_
    classifier.adapt(X_S, Y_S)
    features = classifier.features(X_S)
    means = np.stack([features[y == Y_S].mean(0) for y in classifier.classes_])
    np.testing.assert_allclose(classifier.phi_["prototypes"].numpy(), means, atol=1e-5)
    distances = ((classifier.features(X_Q)[:, None] - means) ** 2).sum(-1)
    np.testing.assert_allclose(classifier.scores(X_Q), -distances, atol=1e-3)
    with pytest.raises(UserError, match="method 'maml' has no embedding of its own"):
        fitted("maml").features(X_S)


def test_unknown_classes_are_rejected_and_95_of_100_known_queries_pass():
    classifier = fitted("nearest_centroid")
    X, y = (a[8 * 12 :] for a in arrays(5, classes=12))  # four classes that it has not seen
    held_out = make_tasks(X, y, num_tasks=40, ways=3, shots=2, queries=5, seed=1)
    with pytest.raises(UserError, match=r"call fit_threshold\(held_out_tasks\) first"):
        classifier.adapt(X_S, Y_S).predict(X_Q, unknown="unknown")
    classifier.fit_threshold(held_out)
    passed = [
        (classifier.adapt(X_support, y_support).predict(X_query, unknown="unknown") != "unknown").mean()
        for X_support, y_support, X_query, _ in held_out
    ]
    assert np.mean(passed) == pytest.approx(0.95, abs=0.002)
    classifier.adapt(X_S, Y_S)
    far = -X_S.mean(0, keepdims=True)  # away from all three
    assert classifier.predict(far, unknown="unknown").tolist() == ["unknown"]
    known = classifier.predict(X_Q, unknown="unknown")
    kept = known != "unknown"
    assert kept.mean() > 0.7 and (known[kept] == classifier.predict(X_Q)[kept]).all()


def test_a_rejection_that_cannot_be_meant_is_refused():
    classifier = fitted().adapt(X_S, Y_S)
    for share in (0, 1):
        with pytest.raises(UserError, match=f"accepted={share} must be > 0 and < 1"):
            classifier.fit_threshold(TASKS[4:8], accepted=share)
    with pytest.raises(UserError, match="fit_threshold was given 0 tasks"):
        classifier.fit_threshold([])
    classifier.fit_threshold(TASKS[4:8])
    with pytest.raises(UserError, match="numbers and text, which must be of one kind"):
        classifier.predict(X_Q, unknown=-1)
    with pytest.raises(UserError, match="mode='transductive' has no threshold"):
        classifier.predict(X_Q, unknown="unknown", mode="transductive")
    with pytest.raises(UserError, match=r"unknown='name.' is one of the classes"):
        classifier.predict(X_Q, unknown=str(Y_S[0]))
    assert classifier.fit(TASKS[:1]).threshold_ is None


def test_many_queries_are_answered_in_parts_as_one_by_one(monkeypatch):
    classifier = fitted("prototypical").adapt(X_S, Y_S)
    whole = classifier.scores(X_Q)
    for queries in (X_Q, torch.from_numpy(X_Q), X_Q.tolist()):
        monkeypatch.setattr(classifier_module, "AT_ONCE", 4)
        np.testing.assert_allclose(classifier.scores(queries), whole, atol=1e-5)
        monkeypatch.undo()


def test_a_threshold_goes_with_the_number_of_classes():
    classifier = fitted("prototypical").adapt(X_S, Y_S).fit_threshold(TASKS[4:8])
    kept = classifier.threshold_
    assert kept is not None and classifier.adapt(X_S, Y_S).threshold_ == kept
    two = np.isin(Y_S, np.unique(Y_S)[:2])
    assert classifier.adapt(X_S[two], Y_S[two]).threshold_ is None


def test_tasks_of_different_ways_are_not_taken_together():
    """Of equal sizes: 2 classes of 2 beside 4 of 1."""
    X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    tasks = [(X, y, X, y) for y in (np.array([0, 0, 1, 1]), np.arange(4))]
    with pytest.raises(UserError, match="tasks taken together have 2 and 4 classes"):
        FewShotClassifier(method="prototypical", tasks_per_update=2).fit(tasks)


def test_reptile_does_not_forget_all_tasks_but_the_last():
    """With its papers' meta_lr of 1 and one task an update, theta would be that task's phi."""
    classifier = FewShotClassifier(method="reptile", seed=1).fit(TASKS[:1])
    learner, problem = classifier.learner, classifier.learner.problem
    start = METHODS["reptile"].make(problem.spec, torch_rng((1, Stream.INIT)), config=problem.config)
    batch = problem.meta_batch([task_data(0, TASKS[0])], start.theta)
    config = dataclasses.replace(problem.config, meta_lr=1.0)
    full, _ = ReptileLoop(start.outer_step.loss, config, start.theta).step(batch, start.theta)
    for name, p in learner.theta.items():
        torch.testing.assert_close(p - start.theta[name], 0.1 * (full[name] - start.theta[name]), atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_misspelt_mode_is_answered_in_no_mode(method):
    classifier = fitted(method).adapt(X_S, Y_S)
    for answer in (classifier.predict, classifier.predict_proba, classifier.scores):
        with pytest.raises(
            UserError, match=r"mode='transductiv' \(did you mean 'transductive'\?\) must be one of induct"
        ):
            answer(X_Q, mode="transductiv")


def test_queries_that_are_no_set_are_told_its_shape():
    classifier = fitted().adapt(X_S, Y_S)
    with pytest.raises(UserError, match=r"query set has 0 examples; give some, of shape \(N, 4\)"):
        classifier.predict([])
    with pytest.raises(UserError, match=r"query set has the shape \(4,\), which must be \(N, 4\).*x\[None\]"):
        classifier.predict(X_Q[0])
    with pytest.raises(UserError, match=r"support set has the shape \(6,\), which must be \(N, 4\)"):
        classifier.adapt(X_S[:, 0], Y_S)
    assert classifier.predict(X_Q[0][None]).shape == (1,)


def test_tensors_with_a_graph_are_taken_without_it():
    x_s, x_q = (torch.tensor(x, requires_grad=True) for x in (X_S, X_Q))
    with_graph = (x_s, Y_S, x_q, Y_Q)
    expected = fitted().adapt(X_S, Y_S).scores(X_Q)
    classifier = FewShotClassifier(config=small("prototypical", NET)).fit([with_graph, *TASKS[1:4]]).adapt(x_s, Y_S)
    np.testing.assert_array_equal(classifier.scores(x_q), expected)
    np.testing.assert_array_equal(classifier.scores(list(x_q)), expected)


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_of_each_meta_update_is_kept(method):
    classifier = fitted(method, epochs=2, tasks_per_update=3)
    assert len(classifier.losses_) == 4 and np.isfinite(classifier.losses_).all()  # 3 tasks and 1, twice
    assert len(classifier.fit(TASKS[:3]).losses_) == 2


def test_losses_fall_while_it_learns():
    losses = FewShotClassifier(config=PrototypicalConfig(net=NET), epochs=10).fit(TASKS).losses_
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])


def test_scikit_learns_clone_makes_one_that_is_not_fitted():
    net = ModuleNet(nn.Linear(4, 3), (4,))
    classifier = FewShotClassifier(method="maml", config=small("maml", NET), net=net, epochs=2, seed=3).fit(TASKS[:2])
    other = clone(classifier)
    assert other.learner is None and other.config == classifier.config and (other.epochs, other.seed) == (2, 3)
    answers = [c.adapt(X_S, Y_S).scores(X_Q) for c in (classifier, other.fit(TASKS[:2]))]
    np.testing.assert_array_equal(*answers)


def test_settings_are_set_by_name_and_checked():
    classifier = fitted().set_params(seed=4, epochs=2)
    assert (classifier.seed, classifier.epochs, classifier.method) == (4, 2, "prototypical")
    with pytest.raises(UserError, match=r"unknown setting 'epoch' \(did you mean 'epochs'\?\)"):
        classifier.set_params(epoch=3)
    with pytest.raises(UserError, match="seed=-1 must be a whole number"):
        classifier.set_params(epochs=3, seed=-1)
    assert (classifier.seed, classifier.epochs) == (4, 2)
