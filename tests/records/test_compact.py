"""Records in few bytes: what is packed comes back, and our own ones are small and agree with themselves."""

from __future__ import annotations

import json
import lzma
from base64 import b85encode

import numpy as np
import pytest

from metarl.errors import UserError
from metarl.records import packed
from metarl.records.compact import POINTS, Record, from_json, record_of, to_json
from metarl.records.packed import pack, unpack
from metarl.records.stored import read_record, read_results, read_seed
from metarl.runs.find import experiments_directory
from metarl.runs.same_config import differences, settings_of
from tests.records.test_compare import make_run

RESULTS = experiments_directory() / "results"
NAMES = sorted(path.stem for path in RESULTS.glob("*.json"))


@pytest.mark.parametrize("trials", [1, 25, 300, 1999])
def test_shares_are_exact(trials: int) -> None:
    counts = np.random.default_rng(0).integers(trials + 1, size=(2, 3, 40, 1))
    found = unpack(json.loads(json.dumps(pack(np.round(counts / trials, 6)))), counts.shape)
    assert np.array_equal(found, counts / trials)


@pytest.mark.parametrize("scale", [0.03, 38.0, 4800.0, 1e9])
def test_other_numbers_keep_4_digits_and_more(scale: float) -> None:
    values = scale * np.random.default_rng(0).normal(size=(2, 3, 40, 1))
    found = unpack(pack(values), values.shape)
    np.testing.assert_allclose(found, values, atol=2.0**-15 * scale)


def test_what_is_not_finite_and_what_is_huge_leave_the_others_as_they_are() -> None:
    values = np.array([0.125, np.nan, -3.5, 0.0, 7.25])
    np.testing.assert_array_equal(unpack(pack(values), (5,)), values)
    np.testing.assert_allclose(unpack(pack(np.array([0.1, 0.2, 0.3, 1e12])), (4,)), [0.1, 0.2, 0.3, 1e12], rtol=1e-4)


def test_a_bomb_is_not_inflated() -> None:
    bomb = b85encode(lzma.compress(bytes(10**8), format=lzma.FORMAT_RAW, filters=packed._FILTERS)).decode()
    with pytest.raises(ValueError, match="more than the 80 bytes"):
        unpack({"over": 1, "data": bomb}, (10,))
    with pytest.raises(ValueError, match="numbers are more than"):
        unpack({"over": 1, "data": bomb}, (10**8,))
    with pytest.raises(ValueError):
        unpack({"over": 1, "data": "x x"}, (10,))


def test_a_run_comes_back_from_its_record(tmp_path) -> None:
    returns = np.random.default_rng(0).normal(size=(2, 4, 3))
    runs = [make_run(tmp_path / f"a{seed}", name="maml", seed=seed, returns=seed * returns) for seed in (1, 2)]
    before = record_of([read_seed(run) for run in runs])
    after = from_json(to_json(before))
    assert [seed.number for seed in after.seeds] == [1, 2] and after.curves.keys() == before.curves.keys()
    for key, means in before.curves.items():
        for (interval, of_seeds), (again, of_seeds_again) in zip(means, after.curves[key], strict=True):
            np.testing.assert_allclose([*again, *of_seeds_again], [*interval, *of_seeds], rtol=1e-5, atol=1e-12)
    for seed, again in zip(before.seeds, after.seeds, strict=True):
        assert again.rows == [{k: row[k] for k in ("iteration", "env_steps", "return/post")} for row in seed.rows]
        assert again.sha256 == seed.sha256 and again.stored == seed.stored
        scores, found = seed.suites("meta-trained")[""].condensed(), again.suites("meta-trained")[""]
        assert (found.tasks, found.strata, found.samples_per_task) == (scores.tasks, scores.strata, 3)
        np.testing.assert_allclose(found.values["return"], scores.values["return"], atol=1e-4)


def test_a_long_training_curve_is_thinned_to_its_end(tmp_path) -> None:
    run = make_run(tmp_path / "a", name="maml", seed=1, returns=np.ones((2, 4, 3)))
    rows = [{"iteration": i, "env_steps": 10 * i, "return/post": float(i)} for i in range(1000)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (seed,) = from_json(to_json(record_of([read_seed(run)]))).seeds
    assert len(seed.rows) <= POINTS + 1 and [seed.rows[0], seed.rows[-1]] == [rows[0], rows[-1]]


@pytest.mark.parametrize("change", ["format", "tasks", "steps", "scores"])
def test_a_record_that_contradicts_itself_is_refused(change: str, tmp_path) -> None:
    run = make_run(tmp_path / "a", name="maml", seed=1, returns=np.ones((2, 4, 3)))
    content = json.loads(to_json(record_of([read_seed(run)])))
    scores = content["seeds"][0]["policies"]["meta-trained"]["suites"][""]
    if change == "format":
        content["format"] = 2
    if change == "tasks":
        scores["tasks"] = 7
    if change == "steps":
        scores["steps"] = [0, 1, 2]
    if change == "scores":
        content["scores"]["meta-trained"][""]["stochastic"]["return"].pop()
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"a\.json is no record of runs \(.*\); restore it"):
        read_record(tmp_path / "a.json")


# ---- our own


def test_all_together_they_are_small() -> None:
    """20 KB each in the mean: those of Meta-World's 500 tasks are larger, most others smaller."""
    assert len(NAMES) > 70 and sum((RESULTS / f"{name}.json").stat().st_size for name in NAMES) < 20_000 * len(NAMES)


@pytest.fixture(scope="module")
def stored() -> dict[str, Record]:
    return dict(read_results(RESULTS))


@pytest.mark.parametrize("name", NAMES)
def test_the_seeds_of_a_record_are_one_experiment_and_its_intervals_theirs(name: str, stored) -> None:
    record = stored[name]
    settings = [settings_of(seed.stored) for seed in record.seeds]
    assert not any(differences(settings[0], other) for other in settings[1:])
    again = record_of(record.seeds)
    assert again.curves.keys() == record.curves.keys()
    for key, means in record.curves.items():
        for (interval, _), (found, _) in zip(means, again.curves[key], strict=True):
            width = interval.high - interval.low
            assert interval.mean == pytest.approx(found.mean, rel=1e-4, abs=0.01 * width + 1e-5)
            assert width == pytest.approx(found.high - found.low, rel=0.02, abs=1e-4)
