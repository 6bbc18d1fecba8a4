"""Fixed episodes, their scores and intervals, and the tables made of stored runs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from metarl.cli.main import main
from metarl.errors import NonFiniteError, UserError
from metarl.fewshot.data.sinusoid import Sinusoid, SinusoidConfig
from metarl.fewshot.evaluation import (
    DIVERGED_ERROR,
    FewShotEvaluationConfig,
    few_shot_evaluate,
    held_out_tasks,
    pack_episodes,
    unpack_episodes,
)
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.methods.maml import MAMLConfig
from metarl.fewshot.methods.prototypical import PrototypicalConfig
from metarl.fewshot.registry import METHODS
from metarl.fewshot.results import overview
from metarl.records.results import add_result, table_of
from metarl.scores.stats import normal_interval
from metarl.scores.table import over_seeds, suites_from_json
from metarl.seeding import numpy_rng, torch_rng
from metarl.types import Task
from tests.fewshot.problems import SMALL_IMAGE_NET, SMALL_MLP, batch_of, image_source, snapshot

CONFIG = FewShotEvaluationConfig(suites=("3w1s", "2w3s"), num_episodes=7)


def prototypical(source):
    config = PrototypicalConfig(net=SMALL_IMAGE_NET)
    return METHODS["prototypical"].make(source.spec, torch_rng((0,)), config=config)


def test_an_evaluation_is_the_same_each_time_and_leaves_theta_alone():
    source = image_source()
    learner = prototypical(source)
    learner.meta_update(batch_of(source))
    before = snapshot(learner.state_dict())
    first, second = (few_shot_evaluate(learner.behaviour(), source, CONFIG).to_json() for _ in range(2))
    assert first == second and snapshot(learner.state_dict()) == before
    assert list(first["suites"]) == list(first["episodes"]) == ["3w1s", "2w3s"]
    for suite in first["suites"].values():
        assert suite["conditions"] == ["inductive", "transductive"]
        assert np.shape(suite["values"]["accuracy"]) == (2, 1, 7, 1)


def test_a_task_whose_adaptation_diverges_is_scored_as_one_and_the_others_are_too():
    """After hours of training one such task is no reason to have no table at all."""
    source = Sinusoid(SinusoidConfig(shots=5))
    config = MAMLConfig(inner_lr=1e20, test_steps=(1, 40), net=SMALL_MLP)
    learner = METHODS["maml"].make(source.spec, torch_rng((0,)), config=config)
    result = few_shot_evaluate(learner.behaviour(), source, FewShotEvaluationConfig(suites=("5s",), num_episodes=3))
    errors = result.suites["5s"].of("inductive", "mse")  # after 0, 1 and 40 steps
    assert (errors[2] == DIVERGED_ERROR).all() and (errors[0] < DIVERGED_ERROR).all()
    stored = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert "5s: adaptation diverged 3 times in 40 steps" in stored["notes"]
    support = source.data(source.test_tasks("5s", 1, rng=numpy_rng((0,))), rng=numpy_rng((0,)))[0].supports[0]
    with pytest.raises(NonFiniteError, match="40 inner steps gave non-finite parameters; lower inner_lr"):
        learner.behaviour().adapt([learner.behaviour().prior()], [support])


def test_scores_are_those_of_each_stored_episode():
    """The episodes come back from the record, and give the same accuracies one by one."""
    source = image_source()
    learner = prototypical(source)
    result = few_shot_evaluate(learner.behaviour(), source, CONFIG)
    record = json.loads(json.dumps(result.to_json()))
    tasks = unpack_episodes(record["episodes"]["3w1s"])
    assert tasks == [dict(task.params) for task in held_out_tasks(source, CONFIG, "3w1s")]
    for params, expected in zip(tasks, suites_from_json(record)["3w1s"].of("inductive", "accuracy")[0], strict=True):
        data = source.task_data(Task("again", params))
        phis = learner.behaviour().adapt([learner.behaviour().prior()], [data.supports[0]])
        (scores,) = learner.behaviour().predict(phis, [data.query.x])
        assert float((scores.argmax(1) == data.query.y).float().mean()) == pytest.approx(expected, abs=1e-5)


def test_a_suites_episodes_do_not_depend_on_the_others():
    source = image_source()
    both, alone = (
        few_shot_evaluate(
            prototypical(source).behaviour(), source, FewShotEvaluationConfig(num_episodes=3, suites=suites)
        )
        for suites in (("3w1s", "2w3s"), ("2w3s",))
    )
    assert both.record["episodes"]["2w3s"] == alone.record["episodes"]["2w3s"]
    assert both.to_json()["suites"]["2w3s"] == alone.to_json()["suites"]["2w3s"]


def test_different_seeds_give_different_episodes():
    source = image_source()
    one, other = (
        few_shot_evaluate(
            prototypical(source).behaviour(),
            source,
            FewShotEvaluationConfig(num_episodes=3, suites=("3w1s",), episodes_seed=s),
        )
        for s in (0, 1)
    )
    assert one.record["episodes"]["3w1s"] != other.record["episodes"]["3w1s"]


def test_a_regression_is_scored_after_every_reported_step():
    source = Sinusoid(SinusoidConfig())
    config = MAMLConfig(net=SMALL_MLP, inner_lr=0.01, test_steps=(1, 5))
    learner = METHODS["maml"].make(source.spec, torch_rng((0,)), config=config)
    result = few_shot_evaluate(learner.behaviour(), source, FewShotEvaluationConfig(suites=("5s",), num_episodes=4))
    assert result.suites["5s"].conditions == ("inductive",)  # no batch normalisation: the modes are one
    assert result.suites["5s"].steps == (0, 1, 5)
    assert set(result.metrics()) == {f"eval/5s/inductive/mse/{k}" for k in (0, 1, 5)}
    packed = json.loads(json.dumps(result.to_json()))["episodes"]["5s"]
    config = FewShotEvaluationConfig(suites=("5s",), num_episodes=4)
    assert unpack_episodes(packed) == [dict(task.params) for task in held_out_tasks(source, config, "5s")]


def test_a_regressions_suite_may_say_how_many_queries():
    source = Sinusoid(SinusoidConfig())
    (task,) = source.test_tasks("10s7q", 1, rng=numpy_rng((0,)))
    (data,) = source.data([task], rng=numpy_rng((1,)))
    assert data.supports[0].x.shape == (10, 1) and data.query.x.shape == (7, 1)


def test_packed_episodes_come_back():
    source = image_source()
    tasks = source.test_tasks("3w2s", 5, rng=numpy_rng((0,)))
    assert unpack_episodes(json.loads(json.dumps(pack_episodes(tasks)))) == [dict(t.params) for t in tasks]


@pytest.mark.parametrize(
    "params",
    [
        [{"object": "cup"}, {"object": "plate"}],
        [{"support": [[1], [2, 3]]}, {"support": [[4], [5, 6]]}],  # classes of unequal size
        [{"seed": 70_000}, {"seed": -40_000}],  # more than 16 bits
        [{"place": 0.25, "is_new": True}, {"place": -1e9, "is_new": False}],
    ],
)
def test_packed_episodes_of_other_sources_come_back(params):
    tasks = [Task(str(i), p) for i, p in enumerate(params)]
    assert unpack_episodes(json.loads(json.dumps(pack_episodes(tasks)))) == params


def test_params_that_cannot_be_stored_are_refused_before_the_training():
    source = image_source()
    (task,) = source.test_tasks("3w1s", 1, rng=numpy_rng((0,)))
    source.test_tasks = lambda *_, **__: [Task("t", task.params | {"object": object()})]
    with pytest.raises(UserError, match=r"suite '3w1s' cannot be stored \(.*object.*\); give plain numbers"):
        FewShotExperiment(source=source, make_learner=lambda: prototypical(source), evaluation=CONFIG)


def test_a_run_is_not_tested_on_classes_that_it_was_trained_on(tmp_path, capsys):
    out = str(tmp_path / "run")
    small = ["--iterations", "1", "--num-episodes", "2", "--suites", "2w1s"]
    assert main(["train", "digits_prototypical", "--out", out, *small]) == 0
    assert main(["evaluate", out, "--test-digits", "6,7,8"]) == 0
    capsys.readouterr()
    assert main(["evaluate", out, "--test-digits", "0,1,9"]) == 2
    said = capsys.readouterr().err
    assert "class '0' would be tested on, and 1 more, but the run was trained on it" in said


def test_the_interval_is_the_papers():
    """0, 1, 1, 1: mean 3/4, sample deviation 1/2, half width 1.96 / 2 / 2."""
    interval = normal_interval(np.array([0.0, 1.0, 1.0, 1.0]))
    assert interval == pytest.approx((0.75, 0.75 - 0.49, 0.75 + 0.49))
    assert normal_interval(np.array([0.5])) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("field, value", [("num_episodes", 0), ("suites", ()), ("modes", ()), ("episodes_seed", -1)])
def test_an_empty_evaluation_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        FewShotEvaluationConfig(**{field: value})


# ---- whole runs through the command line, on the data set that needs nothing

RUN = ["--num-episodes", "4", "--meta-batch-size", "2", "--log-every-iterations", "1", "--filters", "4"]


def train(path: Path, *, iterations: int, resume: bool = False, seed: int = 0) -> int:
    arguments = ["train", "digits_prototypical", "--out", str(path), "--iterations", str(iterations), *RUN]
    return main([*arguments, "--seed", str(seed), *(["--resume"] if resume else [])])


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """Two seeds, the second one stopped and resumed half way."""
    root = tmp_path_factory.mktemp("runs")
    assert train(root / "one", iterations=4) == 0
    assert train(root / "two", iterations=2, seed=1) == 0
    assert train(root / "two", iterations=4, seed=1, resume=True) == 0
    return [root / "one", root / "two"]


def test_a_resumed_run_equals_one_in_one_go(runs, tmp_path):
    assert train(tmp_path / "whole", iterations=4, seed=1) == 0
    whole, resumed = (json.loads((path / "evaluation.json").read_text()) for path in (tmp_path / "whole", runs[1]))
    assert whole["policies"] == resumed["policies"] and resumed["iterations"] == 4
    checkpoints = (path / "checkpoints" / "iteration_000004.safetensors" for path in (tmp_path / "whole", runs[1]))
    one, other = map(load_file, checkpoints)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_can_be_evaluated_again(runs, tmp_path, capsys):
    out = tmp_path / "again.json"
    assert main(["evaluate", str(runs[0]), "--json", str(out)]) == 0
    again, first = json.loads(out.read_text()), json.loads((runs[0] / "evaluation.json").read_text())
    assert again["policies"] == first["policies"]
    assert "transductive" in capsys.readouterr().out


@pytest.mark.draws
def test_a_run_leaves_pictures(tmp_path):
    assert train(tmp_path / "run", iterations=1) == 0
    assert (tmp_path / "run" / "adaptation.png").stat().st_size > 10_000
    assert (tmp_path / "run" / "training.png").is_file()


def test_a_finished_run_is_evaluated_anew_on_other_suites_and_not_trained(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs[0], run)
    before = json.loads((run / "evaluation.json").read_text())
    stored = {path: path.read_bytes() for path in (run / "checkpoints").rglob("*") if path.is_file()}
    wanted = ["--resume", "--suites", "5w1s1q,5w1s", "--iterations", "4", *RUN]
    assert main(["train", "digits_prototypical", "--out", str(run), *wanted]) == 0
    after = json.loads((run / "evaluation.json").read_text())
    suites = after["policies"]["meta-trained"]["suites"]
    assert list(suites) == ["5w1s1q", "5w1s"]
    assert suites["5w1s"] == before["policies"]["meta-trained"]["suites"]["5w1s"]
    assert stored == {path: path.read_bytes() for path in (run / "checkpoints").rglob("*") if path.is_file()}
    add_result(tmp_path / "results", run)
    again = ["evaluate", str(run), "--suites", "5w5s", "--json", str(run / "evaluation.json")]
    assert main(again) == 0  # the record would say it is of 5w1s1q and 5w1s
    with pytest.raises(UserError, match=r"with other settings than its own: evaluation\.suites was"):
        add_result(tmp_path / "results", run)


@pytest.mark.thorough
def test_a_finished_run_is_evaluated_anew_after_other_numbers_of_steps(tmp_path):
    run = tmp_path / "run"
    train = ["train", "sinusoid_maml", "--out", str(run), "--iterations", "1", "--num-episodes", "2"]
    assert main([*train, "--suites", "5s", "--test-steps", "1,2"]) == 0
    assert main([*train, "--suites", "5s", "--test-steps", "2,3", "--resume"]) == 0
    suites = json.loads((run / "evaluation.json").read_text())["policies"]["meta-trained"]["suites"]
    assert suites["5s"]["steps"] == [0, 2, 3]
    add_result(tmp_path / "results", run)
    assert main([*train, "--inner-steps", "3", "--resume"]) == 2


def test_records_go_into_a_directory_of_ones_own_and_leave_its_readme_alone(runs, tmp_path, capsys):
    own = tmp_path / "mine"
    assert main(["results", str(runs[0]), "--into", str(own)]) == 0
    (own / "README.md").write_text("my own words")
    assert main(["results", str(runs[1]), "--into", str(own)]) == 0
    assert "2 seeds" in (own / "RESULTS.md").read_text() and (own / "README.md").read_text() == "my own words"
    assert main(["fewshot", "table", "--into", str(own)]) == 0
    assert "| digits_prototypical | inductive |" in (own / "FEW_SHOT.md").read_text()
    assert main(["results", "--into", str(own / "README.md")]) == 2
    assert main(["fewshot", "table", "--into", str(tmp_path / "empty")]) == 2
    errors = capsys.readouterr().err
    assert "README.md is a file; give a directory" in errors and "holds no few-shot run" in errors


def test_stored_runs_make_the_tables(runs, tmp_path):
    for run in runs:
        add_result(tmp_path / "results", run)
    text = table_of(tmp_path / "results")
    assert "## digits_prototypical" in text and "2 seeds; iterations of meta-training 4, 4" in text
    records = [json.loads((run / "evaluation.json").read_text()) for run in runs]
    seeds = [suites_from_json(r["policies"]["meta-trained"])["5w5s"] for r in records]
    means = [100 * scores.of("inductive", "accuracy")[0].mean() for scores in seeds]
    (row,) = [line for line in text.splitlines() if line.startswith("| meta-trained | 5w5s | inductive")]
    mean, low, high = (100 * x for x in over_seeds(seeds, "inductive", "accuracy")[0])
    assert f"**{mean:.2f}** [{low:.2f}, {high:.2f}] ({means[0]:.2f}, {means[1]:.2f})" in row
    table = "\n".join(overview(tmp_path / "results"))
    assert "| digits_prototypical | inductive |" in table and f"{np.mean(means):.2f} ±" in table


def test_episodes_of_a_record_are_made_again_from_its_settings(runs, tmp_path, capsys):
    own, other = tmp_path / "mine", tmp_path / "other"
    assert main(["results", *map(str, runs), "--into", str(own)]) == 0
    assert main(["fewshot", "episodes", "digits_prototypical", "--into", str(own)]) == 0
    assert "5w5s: the same episodes" in capsys.readouterr().out
    shutil.copytree(runs[0], other)
    edit(other, drop="5w5s", redraw=True)
    add_result(own / "results", other, name="redrawn")
    assert main(["fewshot", "episodes", "redrawn", "--into", str(own)]) == 1
    assert "5w1s: OTHER EPISODES" in capsys.readouterr().out
    assert main(["fewshot", "episodes", "redrwn", "--into", str(own)]) == 2
    assert "redrwn is no few-shot record" in capsys.readouterr().err


def test_only_results_on_the_same_episodes_share_a_table(runs, tmp_path):
    """5w1s drawn with another seed would be another draw; a run scored on one suite alone leaves the others blank."""
    results, part, other = tmp_path / "results", tmp_path / "part", tmp_path / "other"
    for path in (part, other):
        shutil.copytree(runs[0], path)
        edit(path, drop="5w5s", redraw=path == other)
    add_result(results, runs[0], name="whole")
    add_result(results, part, name="part")
    add_result(results, other, name="redrawn")
    lines = overview(results)
    rows = [line for line in lines if line.startswith("| result | queries") or "| inductive |" in line]
    tables = [[row.split(" | ")[0] for row in rows[i:j]] for i, j in ((0, 3), (3, None))]
    assert tables == [["| result", "| part", "| whole"], ["| result", "| redrawn"]]
    assert rows[0].split(" | ")[2:4] == ["5w1s", "5w5s"] and rows[1].split(" | ")[3] == ""


def test_seeds_on_different_episodes_are_not_merged(runs, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(runs[1], other)
    edit(other, drop="5w5s", redraw=True)
    for run in (runs[0], other):
        add_result(tmp_path / "results", run, name="both")
    with pytest.raises(UserError, match="the seeds of both were scored on different episodes"):
        overview(tmp_path / "results")


def edit(run: Path, *, drop: str, redraw: bool) -> None:
    """Leave out one suite's scores; `redraw` the episodes of the others."""
    file = run / "evaluation.json"
    record = json.loads(file.read_text())
    for policy in record["policies"].values():
        del policy["suites"][drop], policy["episodes"][drop]
        for episodes in policy["episodes"].values():
            episodes["classes"]["deflated"] += "" if not redraw else "AAAA"
    file.write_text(json.dumps(record))


def test_a_table_of_nothing_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no few-shot run; store one"):
        overview(tmp_path)


def test_a_suite_that_cannot_be_evaluated_is_refused_before_any_training(tmp_path, capsys):
    arguments = ["train", "digits_prototypical", "--out", str(tmp_path / "run"), "--suites", "30w1s"]
    assert main(arguments) == 2
    assert "a 30-way task needs 30 classes, but the test split has 16" in capsys.readouterr().err
    source = image_source(ways=3)
    learner = METHODS["maml"].make(source.spec, torch_rng((0,)))
    with pytest.raises(UserError, match="'4w1s' has 4 classes, but the head was built for 3; train with --ways 4"):
        FewShotExperiment(
            source=source, make_learner=lambda: learner, evaluation=FewShotEvaluationConfig(suites=("4w1s",))
        )
