"""A sequence of tasks by one agent, end to end: what is trained on when, resumed to the bit, scored and compared."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from metarl.cli.main import main
from metarl.envs.metaworld.continual import ContinualWorld
from metarl.errors import UserError
from metarl.experiments._continual import iterations_per_task, of_sequence
from metarl.records.compare import read_groups
from metarl.records.sequence import areas_alone, read_sequence
from metarl.report.training import training_section
from metarl.rl.off_policy.replay import rows_by_group
from metarl.runs.checkpoint import load_latest
from metarl.runs.log import EVALUATED_AT, read_metrics
from metarl.runs.stored_batches import StoredBatches
from tests.fewshot.problems import snapshot

NAMES = ("reach-v3", "push-v3")
SMALL = [
    *("--sequence", "custom", "--horizon-steps", "5", "--meta-batch-size", "2", "--warmup-steps", "10"),
    *("--actor-hidden", "8", "--critic-hidden", "8", "--batch-size", "8", "--replay-ratio", "1", "--threads", "1"),
    *("--log-every-iterations", "1", "--checkpoint-every-iterations", "1", "--keep-checkpoints", "20"),
    *("--eval-every-iterations", "1", "--precision", "float32"),
]
"""Ten env steps an iteration, 12 rows: the first of a task is explored at random, and learned from at once."""


def train(out: Path, *more: str, name: str = "cw10_sac", names: tuple[str, ...] = NAMES, steps: int = 30) -> int:
    sequence = (
        "--env-names",
        ",".join(names),
        "--steps-per-task",
        str(steps),
        "--max-tasks",
        str(2 * len(names)),
    )
    iterations = ("--iterations", str(len(names) * steps // 10))
    return main(["train", name, "--out", str(out), *SMALL, *sequence, *iterations, "--workers", "0", *more])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`fine`, `replay` and `alone`."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metarl.cli.train.report_at_the_end", lambda *_, **__: (None, {}))
        assert train(folder / "fine") == 0
        assert train(folder / "replay", name="cw10_sac_replay") == 0
        assert train(folder / "alone", names=NAMES[1:]) == 0
    return folder


def learner_of(run: Path) -> dict:
    found = load_latest(run / "checkpoints")
    assert found is not None
    return snapshot(found[0]["learner"])


def test_each_task_has_its_budget_in_turn_and_all_are_scored_meanwhile(runs: Path) -> None:
    for name, at_last in (("fine", {"push-v3": 36}), ("replay", {"reach-v3": 36, "push-v3": 36})):
        batches = list(StoredBatches(runs / name / "replay", capacity=1000).load(6))
        assert [list(rows_by_group([batch])) for batch in batches] == [["reach-v3"]] * 3 + [["push-v3"]] * 3
        rows = read_metrics(runs / name / "metrics.jsonl")
        assert [row["replay/rows"] for row in rows][:3] == [12, 24, 36]
        assert rows[-1]["replay/rows"] == sum(at_last.values())
        assert all(row["gradient_steps"] > 0 for row in rows)
        scored = read_sequence(runs / name)
        assert scored.names == NAMES and scored.times.tolist() == [0, 10, 20, 30, 40, 50, 60]
        assert scored.success.shape == (7, 2)


@pytest.mark.parametrize(("name", "stopped_at"), [("cw10_sac", 3), ("cw10_sac", 4), ("cw10_sac_replay", 4)])
def test_a_run_that_was_stopped_goes_on_to_the_bit(name: str, stopped_at: int, runs: Path, tmp_path: Path) -> None:
    """Between the two tasks, and within the second, whose replay has forgotten the first or not."""
    whole, part = runs / ("fine" if name == "cw10_sac" else "replay"), tmp_path / "part"
    shutil.copytree(whole, part)
    for path in (part / "checkpoints").iterdir():
        if int("".join(filter(str.isdigit, path.stem))) > stopped_at:
            path.unlink()
    for path in (part / "replay").iterdir():
        if int(path.stem.removeprefix("batch_")) >= stopped_at:
            path.unlink()
    assert train(part, "--resume", name=name) == 0
    assert learner_of(part) == learner_of(whole)


def test_the_files_of_a_forgotten_task_go_once_no_checkpoint_needs_them(runs: Path, tmp_path: Path) -> None:
    """With perfect memory they stay. A resumed run reads what is left."""
    for name, whole, left in (("cw10_sac", "fine", [3, 4, 5]), ("cw10_sac_replay", "replay", [0, 1, 2, 3, 4, 5])):
        run = tmp_path / whole
        shutil.copytree(runs / whole, run)
        for path in (run / "checkpoints").iterdir():
            if int("".join(filter(str.isdigit, path.stem))) > 4:
                path.unlink()
        assert train(run, "--resume", "--keep-checkpoints=1", name=name) == 0
        assert sorted(int(path.stem.removeprefix("batch_")) for path in (run / "replay").iterdir()) == left
        assert learner_of(run) == learner_of(runs / whole)
        assert train(run, "--resume", "--keep-checkpoints=1", name=name) == 0


def test_the_table_and_the_picture(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "all.png"
    both = [str(runs / name) for name in ("fine", "replay")]
    assert main(["continual", *both, "--alone", str(runs / "alone"), "--plot", str(picture)]) == 0
    out = capsys.readouterr().out
    assert out.count("average performance 0.") == 2 and out.count("after 2 x 30 env steps") == 2
    assert out.count("push-v3") >= 2 and "transfer" in out
    assert picture.stat().st_size > 10_000 and (runs / "fine" / "continual.png").is_file()
    fine, alone = read_sequence(runs / "fine"), read_sequence(runs / "alone")
    assert str(areas_alone(fine, [alone, alone]).tolist()) == "[nan, 0.0]"


def test_a_run_that_was_not_scored_meanwhile_says_why_it_has_no_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "unscored"
    assert train(out, "--eval-every-iterations", "0", "--no-report", names=NAMES[:1], steps=10) == 0
    said = capsys.readouterr().out
    assert "no table of the sequence" in said and "--eval-every-iterations" in said
    assert not (out / "continual.png").exists()


def test_a_report_has_a_figure_of_each_task(runs: Path) -> None:
    section = training_section(read_groups([runs / "fine", runs / "replay"]))
    titles = [figure.title for figure in section.figures]
    assert [title.rpartition("/")[2] for title in titles if "success_of" in title] == [*NAMES]


def test_a_row_that_does_not_say_when_it_was_scored_counts_as_none(runs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(runs / "fine", tmp_path / "run")
    file = run / "metrics.jsonl"
    file.write_text(re.sub(rf'"{EVALUATED_AT}": *[0-9.]+', f'"{EVALUATED_AT}": null', file.read_text()))
    with pytest.raises(UserError, match="has no scores of its tasks after"):
        read_sequence(run)


def test_runs_that_cannot_be_compared_are_refused(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fine, alone = str(runs / "fine"), str(runs / "alone")
    for name, source in (("other", "fine"), ("unscored", "fine"), ("longer", "alone")):
        shutil.copytree(runs / source, tmp_path / name)
    (tmp_path / "unscored" / "metrics.jsonl").write_text("")
    for name, old, new in (
        ("other", "steps_per_task", "steps"),
        ("longer", '"horizon_steps": 5', '"horizon_steps": 6'),
    ):
        config = tmp_path / name / "config.json"
        config.write_text(config.read_text().replace(old, new))
    refused = {
        ("continual",): "was given no run",
        ("continual", str(tmp_path / "nothing")): "give the --out of an earlier run",
        ("continual", str(tmp_path / "other")): "is no run of a sequence of tasks",
        ("continual", str(tmp_path / "unscored")): "has no scores of its tasks after 0 env steps",
        ("continual", fine, alone): "are runs of different sequences; give runs of one",
        ("continual", fine, "--alone", fine): "has 2 tasks, and forward transfer is measured against one alone",
        ("continual", fine, "--alone", str(tmp_path / "longer")): "'horizon_steps': 6",
    }
    for words, said in refused.items():
        assert main([*words]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--steps-per-task", "35"], "must be a multiple of an iteration's 10 env steps (2 episodes of 5); give 40"),
        (["--steps-per-task", "4"], "give 10"),
        (["--iterations", "7"], "must be 6, which is 3 for each of the 2 tasks of the sequence; give --iterations 6"),
        (["--eval-every-iterations", "2"], "must divide the 3 iterations of a task"),
        (["--sequence", "CW11", "--env-names", ""], "did you mean 'CW10'"),
        (["--env-names", "reech-v3"], "did you mean 'reach-v3'"),
    ],
)
def test_a_budget_or_a_name_that_does_not_go_is_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path / "run", *words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_does_not_go_on_with_another_budget(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(runs / "fine", "--resume", steps=40) == 2
    assert "steps_per_task" in capsys.readouterr().err


def test_cw20_has_the_papers_budget() -> None:
    config = of_sequence(ContinualWorld(sequence="CW20"), "forget")
    assert iterations_per_task(config) * config.trainer.meta_batch_size * 500 == 1_000_000
    assert config.trainer.iterations == 20 * iterations_per_task(config)


def test_a_final_evaluation_without_one_of_the_tasks_is_said(runs: Path, tmp_path: Path) -> None:
    """As after `--max-tasks 1`: the mean over no tasks would be NaN."""
    run = shutil.copytree(runs / "fine", tmp_path / "run")
    content = json.loads((run / "evaluation.json").read_text())
    suites = content["policies"]["meta-trained"]["suites"]
    suites[""]["strata"] = [NAMES[0]] * len(suites[""]["strata"])
    (run / "evaluation.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"no final scores of 'push-v3'; evaluate it on each of its 2 tasks"):
        read_sequence(run)
    suites["other"] = suites.pop("")
    (run / "evaluation.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="no final scores of 'reach-v3'"):
        read_sequence(run)
