"""A stranger's run directory, given to every command that reads one: nothing of it is run, followed or obeyed.

Python's audit events tell of every import, call of another program and opened file (`Watch`).
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from metarl.cli import play, report
from metarl.cli.main import main
from metarl.records import compare

pytestmark = pytest.mark.draws

CANARY = "metarl_canary"
KEY = "metarl-checkpoint"
"""Of a checkpoint's metadata."""
SMALL = ["--iterations", "1", "--meta-batch-size", "1", "--device", "cpu"]
OF_RL = [
    *("--support-episodes", "1", "--query-episodes", "1", "--test-episodes", "1", "--adaptation-episodes", "1"),
    *("--max-tasks", "1", "--num-test-tasks", "1", "--workers", "0", "--hidden", "4", "--cg-iterations", "1"),
]
OF_DIGITS = ["--num-episodes", "1", "--suites", "2w1s", "--ways", "2", "--filters", "2", "--layers", "1"]
SECONDS = 20.0
"""Of one command on a busy machine; a pipe would be waited for without end."""


class Watch:
    """What this process opens and runs while it is on. A hook cannot be taken away again, so there is one."""

    def __init__(self) -> None:
        self.is_on, self.outside = False, ""
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        if event in ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "pty.spawn"):
            self.seen.append(f"{event} {arguments}")
        elif event == "subprocess.Popen" and "git" not in os.path.basename(str(arguments[0])):  # versions.json
            self.seen.append(f"{event} {arguments}")
        elif event == "import" and CANARY in str(arguments[0]):
            self.seen.append(f"{event} {arguments[0]}")
        elif event == "open" and str(arguments[0]).startswith(self.outside):
            self.seen.append(f"{event} {arguments[0]}")


WATCH = Watch()
HOSTILE = [
    *("os:system", "subprocess:run", f"{CANARY}:sing", f"{CANARY}.py", "../../outside/file", "..", "a/../../b"),
    *("/etc/passwd", "/dev/zero", "[/x]", "[link=file:///x]", "\x1b[2J\n\x00", "$\\frac$", "=1+1", "", "x" * 10**7),
]
"""What a string of a run may say."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A run of each kind, a classifier that was saved, and a record."""
    folder = tmp_path_factory.mktemp("runs")
    assert main(["train", "navigation_maml", "--out", str(folder / "rl"), *SMALL, *OF_RL]) == 0
    assert main(["train", "digits_prototypical", "--out", str(folder / "digits"), *SMALL, *OF_DIGITS]) == 0
    images = np.random.default_rng(0).random((4, 1, 12, 12), np.float32)
    np.savez(folder / "examples.npz", X=images, y=["a", "a", "b", "b"])
    command = ["classify", str(folder / "digits"), "--examples", str(folder / "examples.npz")]
    assert main([*command, "--save", str(folder / "saved")]) == 0
    for kind in ("rl", "digits"):
        assert main(["results", str(folder / kind), "--into", str(folder / "records")]) == 0
    warm = shutil.copytree(folder / "rl", folder / "warm")  # libraries start processes of their own at their import
    for command in ("adapt", "play", "compare", "report"):
        assert main(COMMANDS["rl"][command](warm, folder)) == 0
    return folder


@pytest.fixture
def outside(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """Where nothing is to be read, written or made: a file, a folder, and a module that may be imported."""
    place = tmp_path / "outside"
    (place / "folder").mkdir(parents=True)
    (place / "file").write_text("precious")
    (place / f"{CANARY}.py").write_text("def sing(*arguments, **more): raise SystemExit('called')")
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.chdir(place)
    monkeypatch.setattr(compare, "SAMPLES", 10)
    for command in (play, report):
        monkeypatch.setattr(command, "offscreen_gl", nullcontext)  # it starts a process of its own, and tells nothing
    before = state_of(place)
    yield place
    assert state_of(place) == before
    sys.modules.pop(CANARY, None)


def state_of(folder: Path) -> dict[str, Any]:
    return {
        str(path): (path.lstat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in sorted(folder.rglob("*"))
    }


Command = Callable[[Path, Path], list[str]]
COMMANDS: dict[str, dict[str, Command]] = {
    "rl": {
        "evaluate": lambda run, runs: ["evaluate", str(run)],
        "adapt": lambda run, runs: ["adapt", str(run), "--task", "0", "--rounds", "1", "--test-episodes", "1"],
        "play": lambda run, runs: ["play", str(run), "--rounds", "1", "--every", "100", "--size", "20"],
        "compare": lambda run, runs: ["compare", str(run), "--plot", str(run.parent / "a.png")],
        "report": lambda run, runs: ["report", str(run)],
        "results": lambda run, runs: ["results", str(run), "--into", str(run.parent / "records")],
        "resume": lambda run, runs: ["train", "navigation_maml", "--out", str(run), "--resume", *SMALL, *OF_RL],
    },
    "digits": {
        "evaluate": lambda run, runs: ["evaluate", str(run)],
        "explain": lambda run, runs: ["explain", str(run), "--queries", "1"],
        "report": lambda run, runs: ["report", str(run)],
        "classify": lambda run, runs: [
            *("classify", str(run), "--examples", str(runs / "examples.npz")),
            *("--queries", str(runs / "examples.npz")),
        ],
        "results": lambda run, runs: ["results", str(run), "--into", str(run.parent / "records")],
        "resume": lambda run, runs: ["train", "digits_prototypical", "--out", str(run), "--resume", *SMALL, *OF_DIGITS],
    },
}
TASK = "the first held-out task"
CHECKPOINT = "checkpoints/iteration_000001.safetensors"
OPENED = ["config.json", CHECKPOINT]
READ = {
    "evaluate": OPENED,
    "explain": OPENED,
    "classify": OPENED,
    "adapt": OPENED,
    "play": OPENED,
    "compare": ["config.json", "evaluation.json", "metrics.jsonl"],
    "report": ["config.json", "evaluation.json", "metrics.jsonl"],
    "results": ["config.json", "evaluation.json", "metrics.jsonl", "versions.json"],
    "resume": [*OPENED, "metrics.jsonl"],
}
"""Without these a command can do nothing."""
PLACES = {
    "evaluate": ["checkpoints"],
    "explain": ["checkpoints", "explained", "explained/2w1s-0"],
    "classify": ["checkpoints"],
    "adapt": ["checkpoints", "adapted", f"adapted/{TASK}"],
    "play": ["checkpoints", "play.gif"],
    "compare": [],
    "report": ["report.html"],
    "results": [],
    "resume": [
        "checkpoints",
        "run.lock",
        "versions.json",
        "evaluation.json",
        "tensorboard",
        "experiment",
        "report.html",
    ],
}
"""Where a link or a pipe is refused as well."""


def put_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside / ("folder" if "." not in path.name[-12:] else "file"))


def put_pipe(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def put_device(path: Path, outside: Path) -> None:
    path.symlink_to("/dev/zero")


def put_crowd(path: Path, outside: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**13)


def put_garbage(path: Path, outside: Path) -> None:
    path.write_bytes(b"\x1b[2J[/x]\x00\xff" * 100)


def put_deep(path: Path, outside: Path) -> None:
    path.write_bytes(b'{"experiment":' + b"[" * 100_000)


def put_null(path: Path, outside: Path) -> None:
    path.write_bytes(b"null\nnull\n")


ANYWHERE = [put_link, put_pipe, put_device]
IN_FILES = [put_crowd, put_garbage, put_deep, put_null]
CASES = [
    (kind, command, put, name)
    for kind, commands in COMMANDS.items()
    for command in commands
    for put in (*ANYWHERE, *IN_FILES)
    for name in (READ[command] if put in IN_FILES else [*READ[command], *PLACES[command]])
    if not (name == "metrics.jsonl" and put in (put_garbage, put_deep))  # a last row cut off by a kill
]


def copy_of(run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(run, tmp_path / "stranger" / "run")


def given(command: list[str], outside: Path, capsys) -> tuple[int, str]:
    """Exit code and errors, where nothing was run, opened outside, or written to the terminal that it would obey."""
    capsys.readouterr()
    WATCH.outside, WATCH.seen, WATCH.is_on = str(outside), [], True
    started = time.monotonic()
    try:
        code = main(command)
    finally:
        WATCH.is_on = False
    assert WATCH.seen == []
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err and "Traceback" not in printed.out + printed.err
    assert time.monotonic() - started < SECONDS
    if code:
        assert code == 2 and printed.err.startswith("error: ") and len(printed.err) < 3000
        assert len(printed.err.splitlines()) == 1
    return code, printed.err


@pytest.mark.filterwarnings("ignore:skipped a bad checkpoint")
@pytest.mark.parametrize(
    ("kind", "command", "put", "name"),
    [pytest.param(*case, id=f"{case[1]}-{case[0]}-{case[2].__name__}-{case[3]}") for case in CASES],
)
def test_files_of_a_run(kind: str, command: str, put, name: str, runs: Path, tmp_path, outside, capsys) -> None:
    run = copy_of(runs / kind, tmp_path)
    name = name.replace(TASK, next((runs / "warm" / "adapted").iterdir()).name)
    if (run / name).is_dir():
        shutil.rmtree(run / name)
    (run / name).unlink(missing_ok=True)
    (run / name).parent.mkdir(exist_ok=True)
    put(run / name, outside)
    code, error = given(COMMANDS[kind][command](run, runs), outside, capsys)
    assert code == 2, error


@pytest.mark.filterwarnings("ignore:skipped a bad checkpoint")
@pytest.mark.parametrize("put", [*ANYWHERE, *IN_FILES])
@pytest.mark.parametrize("name", ["", "/manifest.json", "/state.json", "/weights.safetensors"])
def test_files_of_a_checkpoint_that_is_a_directory(name: str, put, runs: Path, tmp_path, outside, capsys) -> None:
    """As metarl 0.1 wrote them."""
    run = copy_of(runs / "rl", tmp_path)
    about, tensors = read_json(run / CHECKPOINT)
    (run / CHECKPOINT).unlink()
    directory = (run / CHECKPOINT).with_suffix("")
    directory.mkdir()
    contents = {"weights.safetensors": save(tensors), "state.json": json.dumps(about["state"]).encode()}
    entries = {name: {"sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()}
    for file, data in {**contents, "manifest.json": json.dumps({"files": entries}).encode()}.items():
        (directory / file).write_bytes(data)
    assert given(COMMANDS["rl"]["evaluate"](run, runs), outside, capsys)[0] == 0
    place = Path(f"{directory}{name}")
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    put(place, outside)
    code, error = given(COMMANDS["rl"]["evaluate"](run, runs), outside, capsys)
    assert code == 2, error


# ---- what a run says


def places_of(tree: Any, kinds: type | tuple[type, ...], above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where values of these kinds stand; of a list the first item alone, as the others are like it."""
    if isinstance(tree, kinds):
        yield above
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from places_of(value, kinds, (*above, name))
    elif isinstance(tree, list) and tree:
        yield from places_of(tree[0], kinds, (*above, 0))


def put_at(tree: Any, place: tuple[Any, ...], value: Any) -> None:
    *above, last = place
    for name in above:
        tree = tree[name]
    tree[last] = value


def edit(file: Path, place: tuple[Any, ...], value: Any) -> None:
    tree = json.loads(file.read_text())
    put_at(tree, place, value)
    file.write_text(json.dumps(tree))


def read_json(file: Path) -> tuple[Any, dict[str, Tensor]]:
    """Of a checkpoint, and its tensors."""
    with safe_open(file, "pt") as opened:
        return json.loads(opened.metadata()[KEY][64:]), {name: opened.get_tensor(name) for name in opened.keys()}


def signed(about: Any, tensors: dict[str, Tensor]) -> bytes:
    """A checkpoint with this JSON: a stranger's digest is right."""
    data = save(tensors, {KEY: "0" * 64 + json.dumps(about)})
    start = data.index(b"0" * 64)
    digest = hashlib.sha256(data[:start] + data[start + 64 :]).hexdigest()
    return data[:start] + digest.encode() + data[start + 64 :]


def each_string(file: Path, values: list[Any]) -> Iterator[None]:
    """Puts some of the values, in turn, in the place of each string; what names code or a place gets all of them."""
    original = file.read_text()
    for number, place in enumerate(places_of(json.loads(original), str)):
        for value in values if place[-1] in ("experiment", "env", "name", "kind") else values[number % 4 :: 4]:
            edit(file, place, value)
            yield
            file.write_text(original)


@pytest.mark.parametrize("kind", [pytest.param("rl", marks=pytest.mark.thorough), "digits"])
def test_strings_of_a_config(kind: str, runs: Path, tmp_path, outside, capsys) -> None:
    """Commands take turns, as all read a config in one place and those of records in another."""
    run = copy_of(runs / kind, tmp_path)
    commands = [make for name, make in COMMANDS[kind].items() if name not in ("play", "resume")]
    for number, _ in enumerate(each_string(run / "config.json", HOSTILE)):
        given(commands[number % len(commands)](run, runs), outside, capsys)


WRONG: list[Any] = [None, [], {}, "x", -1, True, [[1.0], [2.0, 3.0]], {"sha256": "../../outside/file"}]
"""What may stand where something else should."""


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["rl", "digits"])
def test_strings_of_an_evaluation(kind: str, runs: Path, tmp_path, outside, capsys) -> None:
    run = copy_of(runs / kind, tmp_path)
    commands = [COMMANDS[kind][name] for name in ("compare", "report", "results") if name in COMMANDS[kind]]
    for number, _ in enumerate(each_string(run / "evaluation.json", HOSTILE[:-1:5])):
        given(commands[number % len(commands)](run, runs), outside, capsys)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["rl", "digits"])
@pytest.mark.parametrize("file", ["config.json", "evaluation.json"])
def test_values_of_a_record(kind: str, file: str, runs: Path, tmp_path, outside, capsys) -> None:
    run = copy_of(runs / kind, tmp_path)
    commands = [COMMANDS[kind][name] for name in ("compare", "report", "results") if name in COMMANDS[kind]]
    original = (run / file).read_text()
    places = [place for place in places_of(json.loads(original), object) if 0 < len(place) < 5]
    for number, place in enumerate(places):
        edit(run / file, place, WRONG[number % len(WRONG)])
        given(commands[number % len(commands)](run, runs), outside, capsys)
        (run / file).write_text(original)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:skipped a bad checkpoint", "ignore:.*came from other versions")
@pytest.mark.parametrize("which", ["rl", "digits", "saved"])
def test_values_of_a_checkpoint(which: str, runs: Path, tmp_path, outside, capsys) -> None:
    run = copy_of(runs / which, tmp_path)
    checkpoint = run / "iteration_000000.safetensors" if which == "saved" else run / CHECKPOINT
    queries = ["--queries", str(runs / "examples.npz")]
    command = ["classify", str(run), *queries] if which == "saved" else COMMANDS[which]["evaluate"](run, runs)
    original, tensors = read_json(checkpoint)
    values = [(place, value) for place in places_of(original, str) for value in HOSTILE[:15:5]]
    places = [place for place in places_of(original, object) if 0 < len(place) < 5]
    values += [(place, WRONG[number % len(WRONG)]) for number, place in enumerate(places)]
    for place, value in values:
        about = copy.deepcopy(original)
        put_at(about, place, value)
        checkpoint.write_bytes(signed(about, tensors))
        given(command, outside, capsys)


@pytest.mark.parametrize(
    "row", ['{"iteration": 0}', '{"iteration": 0, "env_steps": "x", "return/post": "y"}', "[]", "\x1b[2J"]
)
@pytest.mark.parametrize("command", ["compare", "results", "resume"])
def test_rows_of_metrics(command: str, row: str, runs: Path, tmp_path, outside, capsys) -> None:
    run = copy_of(runs / "rl", tmp_path)
    (run / "metrics.jsonl").write_text(f"{row}\n" * 2)
    given(COMMANDS["rl"][command](run, runs), outside, capsys)


OF_RECORDS = (["results"], ["fewshot", "table"], ["fewshot", "episodes", "digits_prototypical"])


def read_again(records: Path, name: str, tmp_path: Path, outside: Path, capsys) -> None:
    for command in OF_RECORDS:
        given([*command, "--into", str(records)], outside, capsys)
    given(["compare", str(records / "results" / name), "--plot", str(tmp_path / "a.png")], outside, capsys)


@pytest.mark.parametrize("name", ["navigation_maml", "digits_prototypical"])
@pytest.mark.parametrize("put", [*ANYWHERE, *IN_FILES])
def test_files_of_a_record(name: str, put, runs: Path, tmp_path, outside, capsys) -> None:
    records = shutil.copytree(runs / "records", tmp_path / "records")
    record = records / "results" / f"{name}.json"
    record.unlink()
    put(record, outside)
    assert given(["results", "--into", str(records)], outside, capsys)[0] == 2
    read_again(records, name, tmp_path, outside, capsys)


@pytest.mark.parametrize("put", [put_link, put_pipe, put_garbage])
@pytest.mark.parametrize("file", ["config.json", "evaluation.json", "metrics.jsonl", ".", ".."])
def test_files_of_a_directory_of_seeds(file: str, put, runs: Path, tmp_path, outside, capsys) -> None:
    """As metarl 0.1 stored a record."""
    seed = shutil.copytree(runs / "rl", tmp_path / "records" / "results" / "old" / "seed0")
    place = Path(os.path.normpath(seed / file))
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    put(place, outside)
    read_again(tmp_path / "records", "old", tmp_path, outside, capsys)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["navigation_maml", "digits_prototypical"])
def test_values_of_a_compact_record(name: str, runs: Path, tmp_path, outside, capsys) -> None:
    records = shutil.copytree(runs / "records", tmp_path / "records")
    record = records / "results" / f"{name}.json"
    original = record.read_text()
    values = [*WRONG, 10**9, 10**30, 0, "../../file", "x" * 1000]
    for number, place in enumerate(places_of(json.loads(original), object)):
        if place:
            edit(record, place, values[number % len(values)])
            command = ["compare", str(record), "--plot", str(tmp_path / "a.png")]
            given(command if number % 2 else ["results", "--into", str(records)], outside, capsys)
            record.write_text(original)


@pytest.mark.parametrize("command", COMMANDS["rl"])
@pytest.mark.parametrize("env", [f"{CANARY}:sing", "subprocess:run", "os:system"])
def test_an_env_of_a_config(command: str, env: str, pendulum: Path, tmp_path, outside, capsys) -> None:
    """What a stranger's run of pendulum_maml did until metarl 0.1: it ran the command in `kwargs`."""
    run = copy_of(pendulum, tmp_path)
    edit(run / "config.json", ("config", "tasks", "env"), env)
    edit(run / "config.json", ("config", "tasks", "kwargs"), {"args": ["touch", str(outside / "made")]})
    words = [word.replace("navigation_maml", "pendulum_maml") for word in COMMANDS["rl"][command](run, pendulum)]
    given([*words, "--trust"] if command in ("evaluate", "adapt", "play") else words, outside, capsys)


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("pendulum") / "run"
    assert main(["train", "pendulum_maml", "--out", str(out), *SMALL, *OF_RL]) == 0
    return out
