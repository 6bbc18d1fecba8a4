"""metrics.jsonl survives kills and resumes; the console stays readable everywhere."""

import io
import json
import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metarl.errors import UserError
from metarl.runs import log
from metarl.runs.log import EVALUATED_AT, Console, MetricsLog, format_pace, read_metrics


def write_rows(path, iterations, resume_at=None):
    with MetricsLog(path, resume_at=resume_at) as metrics_log:
        for iteration in iterations:
            metrics_log.write(iteration, env_steps=100 * iteration, seconds=0.5, metrics={"loss": float(iteration)})


def test_rows(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as metrics_log:
        metrics_log.write(0, env_steps=10, seconds=1.5, metrics={"loss": torch.tensor(2.0), "kl": float("nan")})
        on_disk = path.read_text()  # before close: flushed
    assert json.loads(on_disk, parse_constant=pytest.fail) == {
        **{"iteration": 0, "env_steps": 10, "seconds": 1.5},
        **{"loss": 2.0, "kl": None},
    }
    (row,) = read_metrics(path)
    assert row["loss"] == 2.0 and math.isnan(row["kl"])


def test_metric_may_not_take_a_fixed_name(tmp_path):
    with MetricsLog(tmp_path / "m") as metrics_log, pytest.raises(ValueError, match="env_steps"):
        metrics_log.write(0, env_steps=1, seconds=1.0, metrics={"env_steps": 2.0})


def test_a_new_log_does_not_overwrite_an_old_one(tmp_path):
    write_rows(tmp_path / "m", [0])
    with pytest.raises(UserError, match="exists already; resume the run"):
        MetricsLog(tmp_path / "m")
    assert len(read_metrics(tmp_path / "m")) == 1


def test_resume_without_a_file_starts_one(tmp_path):
    write_rows(tmp_path / "m", [0], resume_at=0)
    assert len(read_metrics(tmp_path / "m")) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(cut=st.integers(min_value=0), resume_at=st.integers(0, 5))
def test_resume_equals_an_uninterrupted_run_wherever_the_file_was_cut(tmp_path, cut, resume_at):
    """Killed while writing any byte of the rows after the checkpoint, then resumed from it."""
    path = tmp_path / "m"
    path.unlink(missing_ok=True)
    write_rows(path, range(5))
    whole = path.read_bytes()
    kept = len(b"".join(whole.splitlines(keepends=True)[:resume_at]))
    path.write_bytes(whole[: kept + cut % (len(whole) - kept + 1)])
    write_rows(path, range(resume_at, 5), resume_at=resume_at)
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


def test_resume_keeps_null(tmp_path):
    path = tmp_path / "m"
    with MetricsLog(path) as metrics_log:
        metrics_log.write(0, env_steps=1, seconds=1.0, metrics={"kl": float("inf")})
    before = path.read_bytes()
    MetricsLog(path, resume_at=1).close()
    assert path.read_bytes() == before


def test_lost_and_doubled_rows_are_noticed(tmp_path, capsys):
    path = tmp_path / "m"
    write_rows(path, range(4))
    lines = path.read_text().splitlines(keepends=True)
    MetricsLog(path, resume_at=3, expected_rows=3).close()
    assert capsys.readouterr().err == "" and len(read_metrics(path)) == 3
    path.write_text("".join([lines[0], lines[1], lines[1], lines[3]]))
    log = MetricsLog(path, resume_at=4, expected_rows=4)
    log.close()
    assert [row["iteration"] for row in read_metrics(path)] == [0, 1, 3] and log.rows == 3
    doubled, lost = capsys.readouterr().err.splitlines()
    assert doubled == f"{path} had 1 rows of iterations that stand twice; the first of each stays"
    assert lost == f"{path} has 3 rows before iteration 4 and had 4: some were lost"
    path.unlink()
    MetricsLog(path, resume_at=4, expected_rows=4).close()
    assert "has 0 rows before iteration 4 and had 4" in capsys.readouterr().err


def test_trackers_are_told_scores_at_the_steps_behind_their_theta(tmp_path):
    class Told:
        def __init__(self):
            self.steps = {}

        def scores(self, values, *, step):
            self.steps |= dict.fromkeys(values, step)

    told = Told()
    scores = {EVALUATED_AT: 100, "eval/stochastic/return/0": 1.0}
    with MetricsLog(tmp_path / "m", trackers=told) as log:
        log.write(1, env_steps=200, seconds=1.0, metrics={"kl": 0.1, "nan": math.nan, **scores})
        assert (told.steps["kl"], told.steps["eval/stochastic/return/0"]) == (200, 100)
        assert "nan" not in told.steps
        log.write(2, env_steps=0, seconds=1.0, metrics={"eval/5w1s": 0.5})
        assert told.steps["eval/5w1s"] == 2


def test_torn_last_line_is_dropped_and_damage_in_the_middle_is_not(tmp_path):
    path = tmp_path / "m"
    write_rows(path, range(3))
    whole = path.read_text()
    path.write_text(whole + '{"iteration": 3, "env_')
    assert [row["iteration"] for row in read_metrics(path)] == [0, 1, 2]
    path.write_text("{}\n" + whole)
    with pytest.raises(UserError, match="line 1 is not a metrics row"):
        read_metrics(path)


@pytest.mark.parametrize("name", ["iteration", "env_steps", "return"])
def test_a_number_that_no_array_takes_is_no_metric(name, tmp_path):
    row = {"iteration": 0, "env_steps": 0, "return": 0, name: 10**30}
    (tmp_path / "m").write_text(2 * f"{json.dumps(row)}\n")
    with pytest.raises(UserError, match="line 1 is not a metrics row"):
        read_metrics(tmp_path / "m")


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_metrics(tmp_path / "m")


def test_full_disk_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="cannot write /dev/full: No space left on device"):
        metrics_log = MetricsLog.__new__(MetricsLog)
        metrics_log._file = open("/dev/full", "w")
        try:
            metrics_log.write(0, env_steps=1, seconds=1.0, metrics={})
        finally:
            with pytest.raises(OSError):
                metrics_log.close()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("NO_COLOR", "CI", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def run_console(stream, *, iterations=3, **options):
    with Console(total=iterations, description="maml", stream=stream, **options) as console:
        for iteration in range(iterations):
            console.advance(500, {"return": -3.25 + iteration, "success": 0.5})
    return stream.getvalue()


@pytest.mark.parametrize(
    "stream, name, value",
    [
        (io.StringIO, "TERM", "xterm"),
        (Terminal, "NO_COLOR", "1"),
        (Terminal, "CI", "true"),
        (Terminal, "TERM", "dumb"),
        (Terminal, "COLUMNS", "20"),
    ],
)
def test_plain_lines(monkeypatch, stream, name, value):
    monkeypatch.setenv(name, value)
    text = run_console(stream(), plain_every_seconds=0)
    assert "\x1b" not in text and "\r" not in text
    lines = text.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("maml 1/3 | ") and lines[0].endswith(" left | return -3.25, success 0.5")
    assert "0:00 left | return -1.25" in lines[2]


def test_plain_lines_are_throttled_but_first_and_last_come(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with Console(total=10, description="maml", stream=stream, plain_every_seconds=10) as console:
        for _ in range(10):
            now[0] += 4.0
            console.advance(100, {"loss": 1.0})
    assert [line.split()[1] for line in stream.getvalue().splitlines()] == ["1/10", "4/10", "7/10", "10/10"]
    assert "25 env steps/s, 0:36 left" in stream.getvalue()


def test_rate_and_time_left_leave_out_what_an_earlier_run_did(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with Console(total=100, start=90, description="maml", stream=stream) as console:
        now[0] += 2.0
        console.advance(100, {})
    assert "maml 91/100 | 50 env steps/s, 0:18 left" in stream.getvalue()


def test_time_left_is_not_told_by_iterations_that_fill_a_replay(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with Console(total=10, description="sac", stream=stream, plain_every_seconds=0, columns=("loss",)) as console:
        for seconds, steps in ((1, 0), (1, 0), (30, 5), (30, 0)):
            now[0] += seconds
            console.advance(300, {"gradient_steps": steps})
    assert [line.split(" | ")[1] for line in stream.getvalue().splitlines()] == [
        *["no gradient step yet"] * 2,
        "10 env steps/s, 3:30 left",
        "10 env steps/s, 3:00 left",
    ]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_a_long_update_says_how_far_it_is(stream, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    with Console(total=10, description="sac", stream=stream) as console:
        console.advance(300, {"loss": 1.0})
        for done in (0.2, 0.4, 0.6):
            now[0] += 40.0
            console.within(done)
    if not stream.isatty():
        assert stream.getvalue().splitlines()[1:] == ["sac 1/10 | 40% of the next update"]


def test_terminal_shows_a_bar_and_a_table(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    text = run_console(Terminal(), columns=["success", "absent"])
    assert "\x1b[" in text
    for shown in ["iteration", "success", "absent", "env steps/s", "3/3"]:
        assert shown in text
    assert "return" not in text


@pytest.mark.parametrize("seconds, text", [(0, "0:00"), (59.6, "1:00"), (3725, "1:02:05")])
def test_format_pace(seconds, text):
    assert format_pace(3210.4, seconds) == f"3,210 env steps/s, {text} left"
