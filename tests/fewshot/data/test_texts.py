"""Hashed n-grams, the intents, out-of-scope rejection, and the robot's failures."""

import dataclasses
import gzip
import json
import os
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metarl.errors import UserError
from metarl.fewshot.data import intents as intents_file
from metarl.fewshot.data.intents import IntentsConfig, TextEncoder, intents, inverse_document_frequency, read_intents
from metarl.fewshot.data.ngrams import hash_texts
from metarl.fewshot.data.robot_failures import RobotFailuresConfig, compress, robot_failures, splits
from metarl.fewshot.data.source import EpisodeConfig, HasOutOfScope
from metarl.fewshot.evaluation import FewShotEvaluationConfig, few_shot_evaluate
from metarl.fewshot.out_of_scope import auroc, draw_strangers, false_acceptance, tell_apart
from metarl.fewshot.registry import METHODS
from metarl.fewshot.results import overview
from metarl.scores.report import Report
from metarl.scores.table import suites_from_json
from metarl.seeding import numpy_rng, torch_rng

needs_data = pytest.mark.skipif(not os.environ.get("METARL_DATA"), reason="METARL_DATA is not set")


def test_features_of_a_text_by_hand():
    """'Go, go!': the word twice, three letter 3-grams of <go>, a 4-gram, and the pair."""
    expected = np.zeros(997)
    for feature, count in {"w go": 2, "c <go": 2, "c go>": 2, "c <go>": 2, "p go go": 1}.items():
        expected[zlib.crc32(feature.encode()) % 997] += 1 + np.log(count)
    (vector,) = hash_texts(["Go, go!"], dimensions=997).toarray()
    np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-6)


@given(st.lists(st.text(alphabet="abc xyz'é1", min_size=1).filter(lambda t: any(c.isalnum() for c in t)), min_size=1))
def test_texts_have_unit_length_whatever_they_say(texts):
    np.testing.assert_allclose(np.linalg.norm(hash_texts(texts, dimensions=64).toarray(), axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "text, other",
    [
        ("ouvre le caf\u00e9", "ouvre le cafe\u0301"),  # one code point, or a letter and its accent as macOS writes it
        ("don't stop", "don\u2019t stop"),
        ("\uff47\uff4f now", "go now"),  # full-width letters
        ("na\u00adme it", "name it"),  # a soft hyphen
    ],
)
def test_a_text_is_the_same_however_it_is_written(text, other):
    first, second = hash_texts([text, other]).toarray()
    np.testing.assert_array_equal(first, second)


def test_vowel_signs_do_not_end_a_word():
    """The Hindi word for light is two letters with three signs; its features are those of one word of six marks."""
    light = "\u092c\u0924\u094d\u0924\u0940"
    (vector,) = hash_texts([light], dimensions=1 << 20).toarray()
    assert vector[zlib.crc32(f"w {light}".encode()) % (1 << 20)] > 0
    assert np.count_nonzero(vector) == 1 + 5 + 4 + 3  # the word, and n-grams of 3, 4 and 5 of <light>


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
    monkeypatch.setattr(intents_file, "SHA256", {name: intents_file.digest(content)})
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


def test_document_frequencies_by_hand():
    """Three texts: all have the first n-gram, one the second, none the third."""
    rows = np.array([[1, 0, 0], [2, 0.5, 0], [1, 0, 0]])
    expected = [1, np.log(4 / 2) + 1, np.log(4 / 1) + 1]
    np.testing.assert_allclose(inverse_document_frequency(rows), expected, rtol=1e-6)


def test_n_grams_are_weighed_by_the_training_intents_alone(made_up):
    data, plain = read_intents(CONFIG), read_intents(dataclasses.replace(CONFIG, weigh=False))
    assert (plain.weights == 1).all()
    place = {word: zlib.crc32(f"w {word}".encode()) % 256 for word in ("please", "cook0")}
    # all 40 training texts have "please"; n-grams of the same place can only make more of the 8 that have "cook0"
    assert data.weights[place["please"]] == pytest.approx(1)
    assert 1 < data.weights[place["cook0"]] <= np.log(41 / 9) + 1
    assert data.weights.max() == pytest.approx(np.log(41) + 1)  # what only held-out texts have
    for weighed, rows in ((data.data_set.rows, plain.data_set.rows), (data.out_of_scope, plain.out_of_scope)):
        expected = rows.toarray() * data.weights
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(weighed.toarray(), expected, atol=1e-6)
    (encoded,) = TextEncoder(data.weights).encode(["the weather on day 3"])
    np.testing.assert_allclose(encoded, data.out_of_scope.toarray()[3], atol=1e-6)


def nearest_centroid(source):
    return METHODS["nearest_centroid"].make(source.spec, torch_rng((0,)))


def test_strangers_are_told_apart_by_their_largest_score():
    """The largest scores are 3, 1 in scope and 2, 1 out of it, as by hand above; 95 % of 3, 1 are above 1.1."""
    inside, outside = torch.tensor([[3.0, -1.0], [0.0, 1.0]]), torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    rejection = tell_apart([inside, inside], [outside, outside - 10])
    assert rejection.auroc.tolist() == pytest.approx([2.5 / 4, 1])
    assert rejection.false_acceptance_at_95.tolist() == pytest.approx([0.5, 0])
    diverged = inside.clone()
    diverged[0, 0] = torch.nan  # a threshold of NaN would let nobody through
    worst = tell_apart([diverged, inside, inside], [outside, outside * torch.inf, outside - 10])
    assert worst.auroc.tolist() == [0, 0, 1] and worst.false_acceptance_at_95.tolist() == [1, 1, 0]


def test_more_strangers_than_there_are_is_an_error():
    drawn = draw_strangers(20, 3, 20, rng=numpy_rng((0,)))
    assert all(sorted(task.tolist()) == list(range(20)) for task in drawn) and len(drawn) == 3
    with pytest.raises(UserError, match="30 out-of-scope queries are asked for, there are 20"):
        draw_strangers(20, 3, 30, rng=numpy_rng((0,)))


def test_an_evaluation_asks_out_of_scope_requests_of_the_wide_suites(made_up, tmp_path, capsys):
    source = intents(CONFIG, EpisodeConfig(ways=2, shots=2, queries=2))
    evaluation = FewShotEvaluationConfig(
        suites=("2w1s", "3w2s"), num_episodes=5, out_of_scope_ways=3, out_of_scope_queries=20
    )
    result = few_shot_evaluate(nearest_centroid(source).behaviour(), source, evaluation)
    assert list(result.suites) == ["2w1s", "3w2s", "3w2s out of scope"]
    assert result.metrics()["eval/3w2s out of scope/inductive/auroc/1"] > 0.9
    told = suites_from_json(json.loads(json.dumps(result.to_json())))["3w2s out of scope"]
    assert told.measures == ("auroc", "false_acceptance_at_95") and told.values["auroc"].shape == (1, 1, 5, 1)
    Report(columns=(), condition="queries").print_table({"meta-trained": result}, title="t")
    printed = capsys.readouterr().out
    assert "3w2s out of scope" in printed and f"{100 * told.values['auroc'].mean():.2f} ±" in printed
    without = dataclasses.replace(evaluation, out_of_scope_queries=0)
    assert list(few_shot_evaluate(nearest_centroid(source).behaviour(), source, without).suites) == ["2w1s", "3w2s"]


def test_fewer_strangers_than_asked_for_are_all_asked(made_up):
    """A file of your own may have a handful."""
    source = intents(CONFIG, EpisodeConfig(ways=2, shots=2, queries=2))
    evaluation = FewShotEvaluationConfig(suites=("3w2s",), num_episodes=3, out_of_scope_ways=3)
    assert evaluation.out_of_scope_queries > source.num_out_of_scope
    result = few_shot_evaluate(nearest_centroid(source).behaviour(), source, evaluation)
    assert "3w2s out of scope" in result.suites


def test_stored_rejections_make_tables_beside_records_without(made_up, tmp_path):
    """A record made before there were any, of the same suites, stays in the first table and out of the second."""
    source = intents(CONFIG, EpisodeConfig(ways=2, shots=2, queries=2))
    for name, queries in (("old", 0), ("new", 20)):
        evaluation = FewShotEvaluationConfig(
            suites=("2w1s", "3w2s"), num_episodes=5, out_of_scope_ways=3, out_of_scope_queries=queries
        )
        policy = few_shot_evaluate(nearest_centroid(source).behaviour(), source, evaluation).to_json()
        record = {
            "iterations": 1,
            "training_seconds": 2.0,
            "environment": {"cpu_count": 2, "torch": "2"},
            "policies": {"meta-trained": policy, "untrained": policy},
        }
        (tmp_path / name / "seed0").mkdir(parents=True)
        (tmp_path / name / "seed0" / "evaluation.json").write_text(json.dumps(record))
        settings = {"data": {"name": "made up"}, "trainer": {"seed": 0, "iterations": 1}}
        config = {"experiment": "mine.py", "config": settings}
        (tmp_path / name / "seed0" / "config.json").write_text(json.dumps(config))
    table = overview(tmp_path)
    assert [sum(line.startswith(f"| {name} |") for line in table) for name in ("old", "new")] == [1, 2]
    assert "| result | 3w2s AUROC | 3w2s let through |" in table
    auroc_mean = policy["suites"]["3w2s out of scope"]["summary"]["auroc"]["inductive"][0]["mean"]
    (row,) = [line for line in table if line.startswith("| new |") and line.count("±") == 2 and "inductive" not in line]
    assert f"{100 * auroc_mean:.2f} ±" in row
    config["config"]["data"]["name"] = "another data set"  # of which the same numbers are other examples
    (tmp_path / "new" / "seed0" / "config.json").write_text(json.dumps(config))
    assert sum(line.startswith("| result | queries |") for line in overview(tmp_path)) == 2
    (tmp_path / "new" / "seed0" / "evaluation.json").unlink()
    assert not any("AUROC" in line for line in overview(tmp_path))


def test_only_a_set_with_out_of_scope_requests_offers_them(made_up, tmp_path, monkeypatch):
    assert isinstance(intents(CONFIG, EpisodeConfig(ways=2, queries=2)), HasOutOfScope)
    pairs = [[f"word{i} thing{k}", f"intent{i}"] for i in range(10) for k in range(6)]
    write_intents(tmp_path, "hwu64", {"splits": {"train": pairs}}, monkeypatch)
    config = IntentsConfig(name="hwu64", dimensions=64, min_examples=5)
    assert not isinstance(intents(config, EpisodeConfig(ways=2, queries=2)), HasOutOfScope)


def test_without_domains_a_seeded_share_of_the_intents_is_held_out(tmp_path, monkeypatch):
    pairs = [[f"word{i} thing{k}", f"intent{i}"] for i in range(10) for k in range(6)]
    write_intents(tmp_path, "hwu64", {"splits": {"train": pairs}}, monkeypatch)
    config = IntentsConfig(name="hwu64", dimensions=64, min_examples=5, test_share=0.3)
    first, second = read_intents(config), read_intents(config)
    assert first.splits == second.splits and len(first.splits["test"]) == 3 and len(first.splits["train"]) == 7


def test_a_truncated_file_is_refused(made_up):
    made_up.write_bytes(made_up.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"is truncated or damaged .* `metarl data clinc150` builds it"):
        read_intents(CONFIG)


@needs_data
@pytest.mark.parametrize("name, classes, held_out", [("clinc150", 150, 45), ("banking77", 77, 23), ("hwu64", 62, 19)])
def test_the_real_sets_have_the_published_sizes(name, classes, held_out):
    data = read_intents(IntentsConfig(name=name, dimensions=16))
    assert len(data.data_set.names) == pytest.approx(classes, abs=3)
    assert len(data.splits["test"]) == pytest.approx(held_out, abs=1)
    assert data.out_of_scope.shape[0] == (1200 if name == "clinc150" else 0)


@needs_data
def test_robot_failures_hold_whole_problems_out():
    source = robot_failures(RobotFailuresConfig(), EpisodeConfig(ways=3, queries=4))
    assert source.spec.input_shape == (90,)
    tasks = source.test_tasks("3w1s", 30, rng=numpy_rng((0,)))
    assert {source.class_name(c)[:3] for t in tasks for c in t.params["classes"]} == {"lp1"}
    assert torch.isfinite(source.task_data(tasks[0]).query.x).all()


@needs_data
@pytest.mark.parametrize(("problem", "left"), [(1, {"lp2", "lp3", "lp4", "lp5"}), (4, {"lp1", "lp2", "lp3", "lp5"})])
def test_a_reading_under_two_names_is_not_trained_on_and_tested_on(problem, left):
    """LP5 is LP2's and LP4's readings under other names."""
    config = RobotFailuresConfig(test_problems=(problem,))
    data = robot_failures(config, EpisodeConfig(ways=3, queries=4)).data_set
    by_split = {
        split: {row.tobytes() for c in classes for row in data.rows[data.starts[c] : data.starts[c + 1]]}
        for split, classes in splits(data, config).items()
    }
    assert by_split["train"] and not by_split["train"] & by_split["test"]
    assert {data.names[c][:3] for c in splits(data, config)["train"]} == left


def test_forces_are_compressed_by_sign_and_logarithm():
    np.testing.assert_allclose(
        compress(np.array([0, 1, -1, 100], np.int16)), np.array([0, 0.231, -0.231, 1.538]), atol=1e-3
    )
