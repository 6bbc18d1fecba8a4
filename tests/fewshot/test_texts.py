"""Hashed n-grams, the intents, out-of-scope rejection, and the robot's failures."""

import gzip
import hashlib
import json
import os
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metarl.errors import UserError
from metarl.fewshot import intents as intents_file
from metarl.fewshot.intents import IntentsConfig, intents, read_intents
from metarl.fewshot.ngrams import hash_texts
from metarl.fewshot.out_of_scope import auroc, false_acceptance, score_rejection
from metarl.fewshot.registry import METHODS
from metarl.fewshot.robot_failures import RobotFailuresConfig, compress, robot_failures
from metarl.fewshot.source import EpisodeConfig
from metarl.seeding import numpy_rng, torch_rng

needs_data = pytest.mark.skipif(not os.environ.get("METARL_DATA"), reason="METARL_DATA is not set")


def test_features_of_a_text_by_hand():
    """'Go, go!': the word twice, three letter 3-grams of <go>, a 4-gram, and the pair."""
    expected = np.zeros(997)
    for feature, count in {"w go": 2, "c <go": 2, "c go>": 2, "c <go>": 2, "p go go": 1}.items():
        expected[zlib.crc32(feature.encode()) % 997] += 1 + np.log(count)
    vector = hash_texts(["Go, go!"], dimensions=997)[0]
    np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)


@given(st.lists(st.text(alphabet="abc xyz'é1", min_size=1).filter(lambda t: any(c.isalnum() for c in t)), min_size=1))
def test_texts_have_unit_length_whatever_they_say(texts):
    np.testing.assert_allclose(np.linalg.norm(hash_texts(texts, dimensions=64), axis=1), 1, atol=1e-5)


def test_an_empty_text_is_named():
    with pytest.raises(UserError, match=r"text 1 \(' \?! '\) has no letters"):
        hash_texts(["fine", " ?! "])


def test_auroc_by_hand():
    """Of the pairs (3 2) (3 1) (1 2) (1 1): two are in order and one is a tie."""
    assert auroc(np.array([3.0, 1.0]), np.array([2.0, 1.0])) == pytest.approx(2.5 / 4)
    assert auroc(np.array([1.0, 2.0]), np.array([0.0])) == 1
    assert false_acceptance(np.arange(100.0), np.array([-1.0, 50.0, 200.0]), accepted=0.95) == pytest.approx(2 / 3)


def write_intents(folder, name, content, monkeypatch):
    path = folder / f"{name}.json.gz"
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(intents_file, "SHA256", {name: digest})
    monkeypatch.setenv("METARL_DATA", str(folder))
    return path


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Ten intents in three domains, one of them rare, and requests of no intent."""
    domains = {"kitchen": [f"cook{i}" for i in range(5)], "travel": ["fly", "drive"], "work": ["meet", "mail", "rare"]}
    monkeypatch.setattr(intents_file, "TEST_DOMAINS", ("travel", "work"))
    pairs = [
        [f"{intent} request number {i} please", intent]
        for intents in domains.values()
        for intent in intents
        for i in range(2 if intent == "rare" else 8)
    ]
    outside = [[f"the weather on day {i}", "oos"] for i in range(20)]
    content = {"domains": domains, "splits": {"train": pairs[::2], "test": pairs[1::2], "oos_test": outside}}
    return write_intents(tmp_path, "clinc150", content, monkeypatch)


CONFIG = IntentsConfig(dimensions=256, min_examples=5, test_queries=3)


def test_domains_are_held_out_and_rare_intents_left_out(made_up):
    data = read_intents(CONFIG)
    names = data.data_set.names
    assert [names[c] for c in data.splits["test"]] == ["drive", "fly", "mail", "meet"]
    assert [names[c] for c in data.splits["train"]] == [f"cook{i}" for i in range(5)]
    assert data.out_of_scope.shape == (20, 256) and set(data.data_set.sizes) == {8}


def test_out_of_scope_requests_are_told_apart(made_up):
    source = intents(CONFIG, EpisodeConfig(ways=2, shots=2, queries=2))
    learner = METHODS["nearest_centroid"].make(source.spec, torch_rng((0,)))
    tasks = source.test_tasks("3w2s", 5, rng=numpy_rng((0,)))
    outside = read_intents(CONFIG).out_of_scope
    rejection = score_rejection(learner, source, tasks, outside, queries=20)
    assert rejection.auroc.mean > 0.9 and rejection.false_acceptance_at_95.mean < 0.2
    with pytest.raises(UserError, match="30 out-of-scope queries are asked for, there are 20"):
        score_rejection(learner, source, tasks, outside, queries=30)


def test_without_domains_a_seeded_share_of_the_intents_is_held_out(tmp_path, monkeypatch):
    pairs = [[f"word{i} thing{k}", f"intent{i}"] for i in range(10) for k in range(6)]
    write_intents(tmp_path, "hwu64", {"splits": {"train": pairs}}, monkeypatch)
    config = IntentsConfig(name="hwu64", dimensions=64, min_examples=5, test_share=0.3)
    first, second = read_intents(config), read_intents(config)
    assert first.splits == second.splits and len(first.splits["test"]) == 3 and len(first.splits["train"]) == 7


def test_a_truncated_file_is_refused(made_up):
    made_up.write_bytes(made_up.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"bytes\) has the SHA-256 .* truncated or was changed"):
        read_intents(CONFIG)


@needs_data
@pytest.mark.parametrize("name, classes, held_out", [("clinc150", 150, 45), ("banking77", 77, 23), ("hwu64", 62, 19)])
def test_the_real_sets_have_the_published_sizes(name, classes, held_out):
    data = read_intents(IntentsConfig(name=name, dimensions=16))
    assert len(data.data_set.names) == pytest.approx(classes, abs=3)
    assert len(data.splits["test"]) == pytest.approx(held_out, abs=1)
    assert len(data.out_of_scope) == (1200 if name == "clinc150" else 0)


@needs_data
def test_robot_failures_hold_whole_problems_out():
    source = robot_failures(RobotFailuresConfig(), EpisodeConfig(ways=3, queries=4))
    assert source.spec.input_shape == (90,)
    tasks = source.test_tasks("3w1s", 30, rng=numpy_rng((0,)))
    assert {source.class_name(c)[:3] for t in tasks for c in t.params["classes"]} == {"lp1", "lp4"}
    assert torch.isfinite(source.task_data(tasks[0]).query.x).all()


def test_forces_are_compressed_by_sign_and_logarithm():
    np.testing.assert_allclose(
        compress(np.array([0, 1, -1, 100], np.int16)), np.array([0, 0.231, -0.231, 1.538]), atol=1e-3
    )
