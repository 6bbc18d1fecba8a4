"""A sweep under way: it goes on after any stop, a run that fails is told, and the directory is its own."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from metarl.cli.main import main
from metarl.config import apply_overrides, config_to_dict
from metarl.errors import UserError
from metarl.experiments.navigation import VARIANTS
from metarl.runs import memory
from metarl.runs.stop import StopSignal
from metarl.sweep.files import latex, write_comparison, write_runs
from metarl.sweep.forecast import forecast
from metarl.sweep.grid import Run, grid_of, parse_values, runs_of
from metarl.sweep.plan import Cost, Plan, read_stored
from metarl.sweep.results import compare, last_of, last_score, measure_of
from metarl.sweep.slurm import submit_file
from metarl.sweep.sweep import Launch, Sweep
from metarl.sweep.view import View

SMALL = [
    *("--iterations", "1", "--meta-batch-size", "2", "--support-episodes", "2", "--query-episodes", "2"),
    *("--num-test-tasks", "2", "--test-episodes", "2", "--adaptation-episodes", "2", "--adaptation-rounds", "1"),
    *("--hidden", "8", "--cg-iterations", "2"),
]
CONFIG = apply_overrides(
    VARIANTS["maml"].config(),
    [(name[2:].replace("-", "_"), text) for name, text in zip(SMALL[::2], SMALL[1::2], strict=True)],
)
SWEPT = parse_values(CONFIG, ["inner_lr=0.05,0.1"])
RUNS = runs_of(grid_of(CONFIG, SWEPT), (0, 1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run that ended, of which the others below are copies."""
    out = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "navigation_maml", "--out", str(out), *SMALL]) == 0
    return out


@pytest.fixture
def templates(trained: Path, tmp_path: Path) -> Path:
    """What each run of the sweep would leave, by name."""
    for index, run in enumerate(RUNS):
        place = tmp_path / "templates" / run.name
        shutil.copytree(trained, place)
        config = config_to_dict(apply_overrides(CONFIG, [*run.setting.values, ("trainer.seed", str(run.seed))]))
        for name in ("config.json", "evaluation.json"):
            content = json.loads((place / name).read_text())
            content["config"] = config
            if name == "evaluation.json":
                values = content["policies"]["meta-trained"]["suites"][""]["values"]
                values["return"] = [[[[x + 10 * index for x in n] for n in b] for b in k] for k in values["return"]]
            (place / name).write_text(json.dumps(content))
    return tmp_path / "templates"


TRAIN = """
import shutil, sys, time, pathlib
template, place, calls, how = sys.argv[1:]
with open(calls, "a") as file:
    print(place, file=file)
if how == "fail":
    sys.exit("error: the gripper is open; close it")
if how == "crash":
    import os; os.abort()
if how == "wait":
    time.sleep(100)
shutil.copytree(template, place, dirs_exist_ok=True)
"""


def launch(templates: Path, calls: Path, how: Callable[[Run], str] = lambda run: "", jobs: int = 2) -> Launch:
    """Processes that copy what a run would have left."""

    def command(run: Run, place: Path, resume: bool) -> list[str]:
        return [sys.executable, "-c", TRAIN, str(templates / run.name), str(place), str(calls), how(run)]

    return Launch(CONFIG, command, jobs)


def plan(**changes) -> Plan:
    made = Plan("navigation_maml", None, config_to_dict(CONFIG), {k: list(v) for k, v in SWEPT.items()}, [0, 1])
    return msgspec.structs.replace(made, **changes)


def run_all(out: Path, how: Launch, *, resume: bool = False) -> Sweep:
    with StopSignal() as stop, Sweep(out, plan(), how, stop, resume=resume) as sweep:
        sweep.run(RUNS, View(out, total=len(RUNS), iterations=1))
    return sweep


def test_a_log_says_what_began_and_how_far_it_is(tmp_path, capsys, monkeypatch):
    first, second, *_ = RUNS
    monkeypatch.setattr("metarl.sweep.view.PLAIN_SECONDS", 0.0)
    with View(tmp_path, total=len(RUNS), iterations=9) as view:
        view.begin(first, tmp_path / "log.txt")
        first.place(tmp_path).mkdir(parents=True)
        (first.place(tmp_path) / "metrics.jsonl").write_text('{"iteration": 3, "env_steps": 1}\n')
        view.show(done=[second], running=[first], failed=[])
        monkeypatch.undo()
        view.show(done=[second], running=[first], failed=[])  # within the minute
    assert capsys.readouterr().out.splitlines() == [
        f"{first.name}: started; what it says goes to {tmp_path / 'log.txt'}",
        f"1 of 4 runs done; running, by iterations: {first.name} (4 of 9)",
    ]


def test_a_failed_run_is_told_and_tried_anew_and_the_others_are_not(templates, tmp_path, capsys):
    out, calls = tmp_path / "sweep", tmp_path / "calls"
    bad = {RUNS[1]: "fail", RUNS[2]: "crash"}
    sweep = run_all(out, launch(templates, calls, lambda run: bad.get(run, "")))
    assert set(sweep.done) == {RUNS[0], RUNS[3]}
    assert sweep.failed == {RUNS[1]: "the gripper is open; close it", RUNS[2]: "killed by signal 6"}
    said = capsys.readouterr().out
    assert f"{RUNS[1].name} failed: the gripper is open; close it" in said
    assert said.index("done in") < said.index("a run takes about")  # the first one alone, then what it foretells
    calls.unlink()
    again = run_all(out, launch(templates, calls), resume=True)
    assert len(again.done) == 4 and not again.failed
    tried = {Path(line).relative_to(out).as_posix() for line in calls.read_text().splitlines()}
    assert tried == {RUNS[1].name, RUNS[2].name}


def test_a_run_of_other_settings_is_not_taken_for_done(templates, tmp_path):
    """As of a stranger's directory, or one whose settings were changed by hand."""
    for name, text in {"config.json": '"inner_lr": 0.05', "evaluation.json": '"inner_lr": 0.05'}.items():
        path = templates / RUNS[0].name / name
        path.write_text(path.read_text().replace(text, '"inner_lr": 0.07'))
    sweep = run_all(tmp_path / "sweep", launch(templates, tmp_path / "calls"))
    assert set(sweep.failed) == {RUNS[0]} and "own settings" in sweep.failed[RUNS[0]]


def test_a_signal_ends_the_runs_and_starts_no_more(templates, tmp_path):
    calls = tmp_path / "calls"

    def interrupt() -> None:
        while not calls.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    sweep = run_all(tmp_path / "sweep", launch(templates, calls, lambda run: "wait"))
    thread.join()
    assert not sweep.done and not sweep.failed and not sweep.running
    assert len(calls.read_text().splitlines()) == 1
    assert not (tmp_path / "sweep" / "sweep.lock").exists()


def test_two_sweeps_in_one_directory(templates, tmp_path):
    out, how = tmp_path / "sweep", launch(templates, tmp_path / "calls")
    run_all(out, how)
    before = (out / "sweep.json").read_bytes()

    def open_as(other: Plan, *, resume: bool) -> None:
        with StopSignal() as stop, Sweep(out, other, how, stop, resume=resume):
            with pytest.raises(UserError, match="in use by process"), Sweep(out, other, how, stop, resume=True):
                pass

    with pytest.raises(UserError, match="already holds a sweep; give --resume"):
        open_as(plan(), resume=False)
    for other, said in [
        (plan(experiment="navigation_anil"), "experiment was 'navigation_maml'"),
        (plan(swept={"agent.max_kl": ["0.1"]}), "swept fields"),
        (plan(seeds=[0]), "the seeds no longer have 1"),
        (plan(config=config_to_dict(apply_overrides(CONFIG, [("iterations", "7")]))), "trainer.iterations was 1"),
        (plan(search={"goal": "maximize return"}), "search goal"),
    ]:
        with pytest.raises(UserError, match=f"holds another sweep: .*{said}"):
            open_as(other, resume=True)
    assert (out / "sweep.json").read_bytes() == before
    open_as(plan(seeds=[0, 1, 2], swept={"agent.inner_lr": ["0.2", "0.05", "0.1"]}), resume=True)


def test_a_directory_of_other_files_stays_as_it_is(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="holds other files and no sweep"), StopSignal() as stop:
        Sweep(tmp_path, plan(), launch(tmp_path, tmp_path / "calls"), stop, resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("text", ["{", "[]", '{"plan": 3}', '{"plan": {}, "costs": {"a": {"seconds": -1}}}'])
def test_a_damaged_sweep_json_is_a_sentence(tmp_path, text):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(UserError, match=r"is damaged.*remove it, and --resume goes on with the runs beside it"):
        read_stored(tmp_path)


def test_no_link_in_a_sweeps_directory_is_followed(templates, tmp_path):
    out, elsewhere = tmp_path / "sweep", tmp_path / "elsewhere"
    elsewhere.mkdir()
    out.mkdir()
    (out / RUNS[0].setting.name).symlink_to(elsewhere)
    with pytest.raises(UserError, match="is a link"):
        run_all(out, launch(templates, tmp_path / "calls"), resume=True)
    assert not any(elsewhere.iterdir())


@pytest.mark.parametrize("what", ["link", "directory"])
def test_what_stands_where_a_table_goes_is_said_before_the_first_run(what, templates, tmp_path):
    out, calls = tmp_path / "sweep", tmp_path / "calls"
    out.mkdir()
    if what == "link":
        (out / "runs.csv").symlink_to(tmp_path / "mine.csv")
    else:
        (out / "comparison.csv").mkdir()
    with pytest.raises(UserError, match=rf"\.csv is a {what}"):
        run_all(out, launch(templates, calls), resume=True)
    assert not calls.exists() and [path.suffix for path in out.iterdir()] == [".csv"]


def test_a_measure_that_nobody_scored_ends_the_sweep_at_its_first_run(templates, tmp_path):
    def check(seed):
        last_score(seed, "speed")

    how = dataclasses.replace(launch(templates, tmp_path / "calls"), check=check)
    with pytest.raises(UserError, match="the runs have no 'speed'; give one of return"):
        run_all(tmp_path / "sweep", how)
    assert len((tmp_path / "calls").read_text().splitlines()) == 1
    stored = read_stored(tmp_path / "sweep")
    assert stored is not None and len(stored.costs) == 1  # and --resume does not run it again
    with pytest.raises(UserError, match="the runs have no 'speed'"):
        run_all(tmp_path / "sweep", how, resume=True)
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_what_it_leaves(templates, tmp_path):
    sweep = run_all(tmp_path / "sweep", launch(templates, tmp_path / "calls"))
    write_runs(sweep.out, RUNS, sweep.done, sweep.stored.costs, sweep.failed)
    lines = (sweep.out / "runs.csv").read_text().splitlines()
    assert lines[0].startswith("setting,agent.inner_lr,seed,state,seconds,peak MiB,stochastic/return")
    assert len(lines) == 5 and all(",done," in line for line in lines[1:])
    rows = compare(sweep.done, measure_of(sweep.done, "return"))
    last = last_of(rows)
    # each run's returns are 10 above those of the one before it, and seeds come last
    assert [row.setting for row in last] == [RUNS[0].setting, RUNS[1].setting]
    assert last[1].mean.mean - last[0].mean.mean == pytest.approx(10)
    assert last[0].better is None and last[1].better.mean > 0.5 and last[0].seeds == 2
    write_comparison(sweep.out, rows, measure="return", title="a_b & 50 %")
    assert (sweep.out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    text = latex(last, measure="return", title="a_b & 50 %")
    assert (
        text.count(r"\\") == 3 and r"inner\_lr & seeds" in text and text == (sweep.out / "comparison.tex").read_text()
    )
    with pytest.raises(UserError, match="no 'accuracy'; give one of return"):
        measure_of(sweep.done, "accuracy")


def test_a_forecast_warns_where_memory_is_short():
    costs = [Cost(60.0, 3 * 2**30), Cost(30.0, 2**30)]
    said, warned = forecast(costs, left=8, jobs=4, free_bytes=7 * 2**30)
    assert said == "a run takes about 0:45 and 3,072 MiB; 8 more, 4 at once, take about 1:30"
    assert "4 runs at once need 12,288 MiB, and 7,168 MiB are free; give --jobs 2" in warned
    assert len(list(forecast(costs, left=8, jobs=4, free_bytes=0))) == 1
    assert len(list(forecast(costs, left=1, jobs=4, free_bytes=7 * 2**30))) == 1  # one at once fits


@pytest.mark.skipif(sys.platform != "linux", reason="measured on Linux alone")
def test_memory_is_that_of_the_process_and_its_children():
    assert 2**20 < memory.taken_by(os.getpid()) < memory.available() * 100
    assert memory.taken_by(2**22 + 1) == 0


def test_the_submit_file_runs_each_command_and_goes_on_where_one_was(tmp_path):
    """By bash itself: words with blanks and brackets come through whole."""
    import subprocess

    places = [tmp_path / "a b" / "seed0", tmp_path / "a b" / "seed1"]
    places[1].mkdir(parents=True)
    (places[1] / "config.json").touch()
    commands = [(str(place), ["echo", f"--out={place}", "--hidden=[8]", "$HOME"]) for place in places]
    text = submit_file(commands, name="sweep", cores=2, at_once=3)
    assert "#SBATCH --array=0-1%3\n" in text and "--cpus-per-task=2" in text
    for index, (place, ending) in enumerate(zip(places, ["", " --resume"], strict=True)):
        done = subprocess.run(
            ["bash", "-c", text], env={**os.environ, "SLURM_ARRAY_TASK_ID": str(index)}, capture_output=True, text=True
        )
        assert done.stdout == f"--out={place} --hidden=[8] $HOME{ending}\n", done.stderr


@pytest.mark.parametrize("name", ["a b", "it's", 'say "x"', "$(touch x)", "two\nlines", "ä+b=c"])
def test_the_name_of_a_job_is_one_word_of_one_line(name):
    text = submit_file([("place", ["metarl"])], name=name, cores=1, at_once=None)
    job = text.splitlines()[1]
    assert re.fullmatch(r"#SBATCH --job-name=[\w.-]+", job) and text.splitlines()[2] == "#SBATCH --array=0-0"
