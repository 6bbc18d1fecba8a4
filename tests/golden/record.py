"""Run the golden cases and store what they give: `python -m tests.golden.record [CASE ...]`.

A change that must not change a number leaves golden.json as it is. One that changes it on purpose records it anew, and
its commit says why.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from metarl.cli.main import main
from metarl.runs.checkpoint import load_latest
from tests.golden.cases import cases

GOLDEN = Path(__file__).parent / "golden.json"


def run_case(words: list[str], directory: Path) -> dict[str, Any]:
    """{"rows": metrics of each iteration without times, "theta": {name: [sum, norm]}, "sha256": of theta's bytes}."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(["train", *words, "--out", str(directory)])
    assert code == 0, said.getvalue()
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    found = load_latest(directory / "checkpoints")
    assert found is not None
    theta = found[0]["learner"].get("theta", {})
    digest = hashlib.sha256()
    for name in sorted(theta):
        digest.update(name.encode() + theta[name].contiguous().numpy().tobytes())
    return {
        "rows": [{name: value for name, value in row.items() if not name.startswith("seconds")} for row in rows],
        "theta": {name: [float(p.double().sum()), float(p.double().norm())] for name, p in sorted(theta.items())},
        "sha256": digest.hexdigest(),
    }


def processor() -> str:
    """Equal where the same operations round alike: to the bit is promised on one kind of processor alone."""
    model = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"


def differences(old: dict[str, Any], new: dict[str, Any], *, tolerance: float) -> list[str]:
    """Numbers that differ by more than `tolerance`, relative or absolute; with 0, in any bit of theta as well."""
    found = [] if tolerance or old["sha256"] == new["sha256"] else ["theta's bytes"]
    if len(old["rows"]) != len(new["rows"]):
        return [*found, f"{len(old['rows'])} rows, now {len(new['rows'])}"]
    for i, (before, after) in enumerate(zip(old["rows"], new["rows"], strict=True)):
        found += _differing(f"row {i}", before, after, tolerance)
    for name in old["theta"].keys() | new["theta"].keys():
        before, after = (dict(enumerate(side["theta"].get(name, ()))) for side in (old, new))
        found += _differing(f"theta {name}", before, after, tolerance)
    return found


def _differing(where: str, old: dict[Any, Any], new: dict[Any, Any], tolerance: float) -> list[str]:
    return [
        f"{where}, {name}: {old.get(name)} was, {new.get(name)} is"
        for name in old.keys() | new.keys()
        if not _near(old.get(name), new.get(name), tolerance)
    ]


def _near(old: float | None, new: float | None, tolerance: float) -> bool:
    if old is None or new is None:
        return old is new
    return old == new or math.isclose(old, new, rel_tol=tolerance, abs_tol=tolerance)


def record(names: list[str]) -> None:
    torch.set_num_threads(1)
    stored = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {"cases": {}}
    with tempfile.TemporaryDirectory() as folder:
        words_of = cases(Path(folder))
        for name in names or words_of:
            started = time.perf_counter()
            new = run_case(words_of[name], Path(folder) / name.replace(" ", "_"))
            old = stored["cases"].get(name)
            verdict = "new" if old is None else (differences(old, new, tolerance=0) or ["equal"])[0]
            print(f"{time.perf_counter() - started:6.1f} s  {name}: {verdict}", flush=True)
            stored["cases"][name] = new
    stored["cases"] = {name: stored["cases"][name] for name in words_of if name in stored["cases"]}
    stored["processor"] = processor()
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(case)}" for name, case in stored["cases"].items())
    GOLDEN.write_text(f'{{"processor": {json.dumps(stored["processor"])}, "cases": {{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    record(sys.argv[1:])
