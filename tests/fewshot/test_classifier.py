"""Few-shot learning on plain arrays."""

import numpy as np
import pytest
import torch
from torch import nn

from metarl.errors import UserError
from metarl.fewshot.classifier import FewShotClassifier, make_tasks
from metarl.fewshot.module_net import ModuleNet
from metarl.fewshot.nets import NetConfig
from metarl.fewshot.prototypical import PrototypicalConfig
from metarl.fewshot.registry import METHODS
from tests.fewshot.test_contract import small


def arrays(seed=0, classes=8, size=12):
    """Blobs in 4 dimensions with names as labels."""
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


def test_a_module_with_batch_norm_is_refused():
    with pytest.raises(UserError, match=r"has batch normalisation.*use nn\.GroupNorm"):
        ModuleNet(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), (4,))
    with pytest.raises(UserError, match=r"gives \(2, 1, 3\) for 2 inputs"):
        ModuleNet(nn.Linear(4, 3), (1, 4))


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
    with pytest.raises(UserError, match="epochs=0"):
        FewShotClassifier(epochs=0)
