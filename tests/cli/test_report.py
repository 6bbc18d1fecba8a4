"""`metarl report` on a run of each kind, and the page in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest

from metarl.cli import report
from metarl.cli.main import main
from metarl.config import apply_overrides, config_to_dict, parse_flags
from metarl.envs.navigation import Navigation
from metarl.errors import UserError
from metarl.runs.find import load_experiment

pytestmark = pytest.mark.draws

SMALL = ["--iterations", "2", "--meta-batch-size", "2", "--device", "cpu"]
OF_RL = [
    *("--support-episodes", "2", "--query-episodes", "2", "--test-episodes", "1", "--adaptation-episodes", "1"),
    *("--num-test-tasks", "4", "--workers", "0", "--agent.hidden", "4", "--cg-iterations", "1"),
]
OF_RL2 = [
    *("--query-episodes", "2", "--test-episodes", "1", "--num-test-tasks", "4", "--workers", "0"),
    *("--hidden-dim", "4", "--adaptation-rounds", "1"),
]
OF_DIGITS = ["--num-episodes", "4", "--suites", "2w1s", "--ways", "2", "--filters", "2", "--layers", "1"]
SECONDS = 100


COMMANDS = {
    "a": ["navigation_maml", *SMALL, *OF_RL],
    "b": ["navigation_maml", "--seed", "1", *SMALL, *OF_RL],
    "rl2": ["navigation_rl2", *SMALL, *OF_RL2],
    "digits": ["digits_prototypical", *SMALL, *OF_DIGITS],
}


class Runs:
    """One of each kind, trained when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __truediv__(self, name: str) -> Path:
        out = self.folder / name
        if not out.exists():
            assert main(["train", *COMMANDS[name], "--out", str(out)]) == 0
        return out


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(autouse=True)
def no_other_process(monkeypatch) -> None:
    """Which GL there is takes seconds to find out, and a point is drawn without one."""
    monkeypatch.setattr(report, "offscreen_gl", nullcontext)


def made(runs: list[Path], out: Path, *more: str) -> str:
    assert main(["report", *map(str, runs), "--out", str(out), *more]) == 0
    return out.read_text()


def headings(page: str) -> list[str]:
    return re.findall(r"<(?:h2|summary)>(.*?)</", page)


def test_a_run_ends_with_a_report_and_says_where_it_is(runs: Runs, capsys) -> None:
    out = runs / "a"
    assert capsys.readouterr().out.rstrip().endswith(f"the report is {out / 'report.html'}")
    page = (out / "report.html").read_text()
    assert "2D navigation" in page and "Adaptation to the test tasks" in headings(page)


def test_a_run_whose_report_fails_has_ended_all_the_same(tmp_path: Path, monkeypatch, capsys) -> None:
    def fails(*arguments, **more):
        raise UserError("the disk is full; free some space")

    monkeypatch.setattr(report, "write_report", fails)
    assert main(["train", "navigation_maml", "--out", str(tmp_path / "run"), *SMALL, *OF_RL]) == 0
    assert "no report was made: the disk is full" in capsys.readouterr().err


def test_a_report_tells_all_of_a_run(runs: Runs, tmp_path: Path) -> None:
    page = made([runs / "a"], tmp_path / "page.html")
    assert headings(page) == [
        *("Adaptation to the test tasks", "Before and after", "Tasks, worst first", "Training"),
        *("Where the time went", "How to repeat it", "All scores", "Settings", "Versions and machine"),
    ]
    assert re.findall(r"<h3>(best|median|worst): navigation\[", page) == ["best", "median", "worst"]
    assert page.count('src="data:image/webp;base64,') == 3 + 4  # films, and the end of each task
    assert "metarl train navigation_maml --seed=0 --iterations=2" in page and "--agent.hidden=4" in page
    stored = json.loads((runs / "a" / "evaluation.json").read_text())
    worst = min(
        zip(
            [e[-1] for e in stored["policies"]["meta-trained"]["suites"][""]["values"]["return"][0][-1]],
            stored["policies"]["meta-trained"]["suites"][""]["tasks"],
            strict=True,
        )
    )[1]
    assert re.search(r'<td class="name">(.*?)</td>', page)[1] == worst


def test_the_command_that_repeats_a_run_makes_its_settings(runs: Runs, tmp_path: Path) -> None:
    page = made([runs / "a"], tmp_path / "page.html", "--no-videos")
    _, experiment, *flags = re.search(r"<pre>metarl (.*?)</pre>", page)[1].split()
    config = apply_overrides(load_experiment(experiment).config(), parse_flags(flags))
    assert config_to_dict(config) == json.loads((runs / "a" / "config.json").read_text())["config"]


@pytest.mark.thorough
def test_a_report_is_the_same_bytes_again(runs: Runs, tmp_path: Path) -> None:
    assert made([runs / "a"], tmp_path / "a.html") == made([runs / "a"], tmp_path / "b.html")


@pytest.mark.thorough
def test_a_memory_is_shown_over_a_trial(runs: Runs, tmp_path: Path) -> None:
    page = made([runs / "rl2"], tmp_path / "page.html")
    assert "Memory over a trial" in headings(page)


def test_a_few_shot_run_shows_an_episode_with_its_answers(runs: Runs, tmp_path: Path) -> None:
    page = made([runs / "digits"], tmp_path / "page.html")
    assert "One episode of few-shot learning" in headings(page) and "Scores on the test tasks" in headings(page)
    assert page.count('src="data:image/png;base64,') == 2  # the answers, and what is nearest


@pytest.mark.parametrize(("run", "place"), [("a", ("rl", "evaluation")), ("digits", ("evaluation",))])
def test_scores_of_validation_tasks_are_called_so(run: str, place: tuple[str, ...], runs: Runs, tmp_path: Path) -> None:
    copied = shutil.copytree(runs / run, tmp_path / "run")
    for file in ("config.json", "evaluation.json"):
        stored = settings = json.loads((copied / file).read_text())
        for name in ("config", *place):
            settings = settings[name]
        settings["held_out"] = "val"
        (copied / file).write_text(json.dumps(stored))
    page = made([copied], tmp_path / "page.html", "--no-videos")
    assert any("the validation tasks" in heading for heading in headings(page)) and "test tasks" not in page


@pytest.mark.thorough
def test_seeds_are_taken_together_and_others_stand_side_by_side(runs: Runs, tmp_path: Path, capsys) -> None:
    page = made([runs / "a", runs / "b"], tmp_path / "seeds.html", "--no-videos")
    assert "seeds 0, 1" in page and page.count("metarl train navigation_maml --seed=") == 2
    assert main(["report", str(runs / "a"), str(runs / "a")]) == 2
    assert "give each seed once" in capsys.readouterr().err
    other = tmp_path / "other"
    shutil.copytree(runs / "b", other)
    config = json.loads((other / "config.json").read_text())
    config["config"]["agent"]["inner_lr"] = 0.5
    (other / "config.json").write_text(json.dumps(config))
    evaluation = json.loads((other / "evaluation.json").read_text())
    evaluation["config"]["agent"]["inner_lr"] = 0.5
    (other / "evaluation.json").write_text(json.dumps(evaluation))
    page = made([runs / "a", other], tmp_path / "both.html")
    assert "2 experiments side by side" in page and page.count("<h2>Before and after: ") == 2
    assert main(["report", str(runs / "a"), str(runs / "digits"), "--out", str(tmp_path / "no.html")]) == 2
    assert "compare runs on the same held-out tasks" in capsys.readouterr().err


def test_a_record_has_a_report_that_says_why_it_has_no_videos(runs: Runs, tmp_path: Path) -> None:
    assert main(["results", str(runs / "a"), "--into", str(tmp_path)]) == 0
    page = made([tmp_path / "results" / "navigation_maml.json"], tmp_path / "page.html")
    assert "No videos: a record keeps no weights" in page and "Training" in headings(page)


def test_a_few_shot_run_that_cannot_be_looked_at_lacks_an_episode_and_no_videos(runs: Runs, tmp_path: Path) -> None:
    run = shutil.copytree(runs / "digits", tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    page = made([run], tmp_path / "page.html")
    assert "No episode with its answers: " in page and "ideos" not in page and "One episode of few-shot" in page


def test_without_gl_the_report_is_made_and_says_so(runs: Runs, tmp_path: Path, monkeypatch, capsys) -> None:
    def no_gl(*arguments, **more):
        raise RuntimeError("no EGL")
        yield

    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(Navigation, "replay", no_gl)
    page = made([runs / "a"], tmp_path / "page.html")
    assert "No videos: " in page and "there is neither EGL nor OSMesa on this machine" in page
    assert "install libegl1" in page and "Tasks, worst first" in headings(page)
    assert capsys.readouterr().err.count("no videos: ") == 1


def test_a_run_without_checkpoints_is_reported_without_videos(runs: Runs, tmp_path: Path, capsys) -> None:
    run = shutil.copytree(runs / "a", tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    page = made([run], tmp_path / "page.html")
    assert "holds no checkpoint yet" in page and "no videos of " in capsys.readouterr().err


def test_bad_words_are_one_line(runs: Runs, tmp_path: Path, capsys) -> None:
    for command, said in (
        (["report"], "was given no run; give a run directory or more"),
        (["report", str(tmp_path)], "holds neither a run nor a record"),
        (["report", str(runs / "a"), "--no-videos", "--out", "/dev/null/x.html"], "there is no directory /dev/null"),
        (["report", str(runs / "a"), "--out", str(tmp_path)], "is a directory; give the name of a file"),
    ):
        assert main(command) == 2
        errors = capsys.readouterr().err
        assert said in errors and len(errors.strip().splitlines()) == 1


# ---- in a browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MEASURE = """<script>addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".wide") && !e.closest("svg")
    && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName);
  document.title = JSON.stringify({inner: innerWidth, page: document.documentElement.scrollWidth, wide,
    pictures: [...document.images].filter(i => !i.naturalWidth).length});
});</script>"""


def in_chromium(page: Path, home: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--log-level=0"),
        "--hide-scrollbars",
        *(f"--user-data-dir={home}", "--virtual-time-budget=2000", *more, page.as_uri()),
    ]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, env={**os.environ, "HOME": str(home)}
    )


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed (apt-get install chromium)")
@pytest.mark.parametrize("run", ["a", "digits"])
def test_the_page_in_a_browser_is_quiet_and_fits_a_phone(run: str, runs: Runs, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    text = made([runs / run], page)
    shown = in_chromium(page, tmp_path / "home", "--dump-dom")
    assert shown.returncode == 0 and "CONSOLE" not in shown.stderr, shown.stderr
    # the page allows no script: a copy without that rule is measured, in a frame as wide as a phone
    inner = re.sub(r"<meta http-equiv=.*?>", "", text).replace("</body>", f"{MEASURE}</body>")
    (tmp_path / "inner.html").write_text(inner)
    frame = tmp_path / "frame.html"
    frame.write_text(
        '<iframe src="inner.html" style="width: 360px; height: 800px; border: 0"></iframe><script>'
        'const f = document.querySelector("iframe"); f.onload = () => setTimeout(() => {'
        "document.body.append(f.contentDocument.title) }, 500);</script>"
    )
    measured = in_chromium(frame, tmp_path / "home", "--allow-file-access-from-files", "--dump-dom")
    assert "CONSOLE" not in measured.stderr, measured.stderr
    found = json.loads(re.search(r"</script>(\{.*\})", measured.stdout)[1])
    assert found == {"inner": 360, "page": 360, "wide": [], "pictures": 0}
