"""Stored runs as the record behind every number that is claimed, and the table made from them.

RESULTS/<name>/seed<N>/ holds a finished run's config.json, versions.json, metrics.jsonl and evaluation.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from metarl.errors import UserError
from metarl.fewshot.data.stored_episodes import share_episodes
from metarl.fewshot.results import is_few_shot, section
from metarl.files import inside, read_plain, replace_file
from metarl.runs.directory import CONFIG, EVALUATION, METRICS
from metarl.runs.finished import check_finished
from metarl.runs.log import read_metrics
from metarl.runs.same_config import differences, settings_of
from metarl.runs.side_by_side import side_by_side
from metarl.runs.stored import (
    MAX_EVALUATION_BYTES,
    check_name,
    read_config,
    read_evaluation,
    read_results,
    same_scores,
    seeds_in,
    stored_config,
)
from metarl.scores.rl import MEASURES
from metarl.scores.stats import Interval, stratified_bootstrap

PUBLISHED_MUJOCO = "3.3.0"
"""metaworld 3.1.1's own pin; other versions give other numbers."""
HEADINGS = {"return": "return", "success_any": "success, any step", "success_last": "success, last step"}
COPIED = ("config.json", "versions.json", "metrics.jsonl")
FILES = (*COPIED, EVALUATION)


def add_result(results: Path, run: Path, *, name: str | None = None) -> Path:
    """Copy a finished run's record below `results`, replacing that of the same name and seed.

    Raises UserError if the run has not been evaluated at its end, or has other settings than what is stored there.
    """
    missing = [file for file in FILES if not inside(run, file).is_file()]
    if missing:
        raise UserError(f"{run} lacks {', '.join(missing)}; let the run end, evaluation included, then add it")
    stored = read_config(run)
    _check_is_of_test(stored, run)
    seed = stored["config"]["trainer"]["seed"]
    check_name(name or Path(stored["experiment"]).stem)
    target = inside(results, name or Path(stored["experiment"]).stem, f"seed{seed}")
    _check_same_settings(stored, run, target)
    evaluation = read_evaluation(run)
    check_finished(evaluation, stored, run)
    read_metrics(inside(run, METRICS))
    copies = {file: _read_copied(run, file) for file in COPIED}
    target.mkdir(parents=True, exist_ok=True)
    small = share_episodes(evaluation, results) if is_few_shot(evaluation) else condensed(evaluation)
    replace_file(target / EVALUATION, json.dumps(small).encode())
    for file in COPIED:
        replace_file(target / file, copies[file])
    return target


def _read_copied(run: Path, file: str) -> bytes:
    path = inside(run, file)
    try:
        data = read_plain(path, max_bytes=MAX_EVALUATION_BYTES)
        if path.suffix == ".json":
            msgspec.json.decode(data, type=list[dict[str, Any]] | dict[str, Any])
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); restore it") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}); restore it") from error
    return data


def _check_is_of_test(stored: dict[str, Any], run: Path) -> None:
    """A few-shot run may be scored on the classes that settings are chosen by: those are no result."""
    evaluation = stored["config"].get("evaluation")
    held_out = evaluation.get("held_out", "test") if isinstance(evaluation, dict) else "test"
    if held_out != "test":
        raise UserError(
            f"{run} was scored on {held_out} classes, by which settings are chosen; score it on those of "
            "the test with `metarl train ... --resume --held-out test`, then store it"
        )


def _check_same_settings(stored: dict[str, Any], run: Path, target: Path) -> None:
    """Against what is stored under the same name: a mean over runs of different settings is of nothing, and a record
    is replaced by that of the same experiment only."""
    for other in seeds_in(target.parent, CONFIG):
        settings = settings_of(read_config(other))
        if found := differences(settings, settings_of(stored)):
            raise UserError(
                f"{run} has other settings than {other}: {'; '.join(found)}; store it under another --name, or remove "
                "what is stored there first"
            )


def condensed(evaluation: dict[str, Any]) -> dict[str, Any]:
    """With each task's mean over its test episodes in place of them all, to keep the record small.

    Tasks are the independent units of every interval here; the run directory keeps the episodes.
    """
    policies = {
        name: policy
        | {
            "outcomes": {
                mode: {
                    measure: [[[float(np.mean(episodes))] for episodes in tasks] for tasks in rounds]
                    for measure, rounds in measures.items()
                }
                for mode, measures in policy["outcomes"].items()
            }
        }
        for name, policy in evaluation["policies"].items()
    }
    return {**evaluation, "policies": policies, "outcomes_are": "means over a task's test episodes"}


def write_table(results: Path, readme: Path) -> None:
    """Rewrite `readme` from all records: one row a result, policy, kind of action and adaptation step."""
    lines = [
        "# Results",
        "",
        "Made by `metarl results` from the records in `results/`; not written by hand. Rows are of held-out tasks, but "
        "for those that say `on training tasks`: mean over seeds and tasks, in brackets the 95 % bootstrap interval "
        "over tasks, each averaged over the seeds and drawn within its class; then the mean of each seed. Success and "
        "return are of the final policy, never the best of a run.",
        "",
    ]
    stored = dict(read_results(results))
    of_episodes = {name: records for name, records in stored.items() if not is_few_shot(records[0])}
    with same_scores(", ".join(of_episodes)):
        lines += side_by_side(of_episodes, {name: stored_config(results / name) for name in of_episodes})
    for name, records in stored.items():
        with same_scores(name):
            lines += section(name, records) if is_few_shot(records[0]) else _section(results / name, records)
    replace_file(readme, "\n".join(lines).encode())


def _section(directory: Path, records: list[dict[str, Any]]) -> list[str]:
    name = directory.name
    steps = ", ".join(f"{record['training_env_steps']:,}" for record in records)
    seconds = ", ".join(f"{record['training_seconds']:.0f}" for record in records)
    machine = records[0]["environment"]
    for library in ("mujoco", "metaworld"):
        if len(found := {record["environment"][library] for record in records}) > 1:
            raise UserError(
                f"the seeds of {name} were run with {library} {' and '.join(sorted(found))}, whose numbers differ; "
                "store them under different names"
            )
    measures = [measure for measure in MEASURES if measure == "return" or _any_success(records)]
    lines = [
        f"## {name}",
        "",
        f"{len(records)} seed(s); env steps of meta-training {steps}; training wall-clock {seconds} s on "
        f"{machine['cpu_count']} cores; mujoco {machine['mujoco']}, metaworld {machine['metaworld']}, "
        f"torch {machine['torch']}.",
        "",
        f"| policy | actions | steps | {' | '.join(HEADINGS[measure] for measure in measures)} |",
        f"| --- | --- | --- |{' --- |' * len(measures)}",
    ]
    for policy in records[0]["policies"]:
        entries = [record["policies"][policy] for record in records]
        outcomes, classes = [entry["outcomes"] for entry in entries], entries[0].get("strata")
        for mode in outcomes[0]:
            for k in range(len(outcomes[0][mode]["return"])):
                cells = [_cell([o[mode][measure][k] for o in outcomes], measure, classes) for measure in measures]
                lines.append(f"| {policy} | {mode} | {k} | {' | '.join(cells)} |")
    return [*lines, "", *_asides(records), *_maxima(directory)]


def _any_success(records: list[dict[str, Any]]) -> bool:
    """False where the tasks know no success."""
    policies = [policy["outcomes"] for record in records for policy in record["policies"].values()]
    return any(value for outcomes in policies for mode in outcomes.values() for value in np.ravel(mode["success_any"]))


def _asides(records: list[dict[str, Any]]) -> Iterator[str]:
    """The final success without classes that were trained on as well, and as metaworld's own evaluator counts it."""
    for policy in records[0]["policies"]:
        entries = [record["policies"][policy] for record in records]
        for mode, outcomes in entries[0]["outcomes"].items():
            trained = entries[0].get("also_without", [])
            kept = [i for i, stratum in enumerate(entries[0].get("strata", [])) if stratum not in trained]
            if trained and kept:
                final = [np.asarray(e["outcomes"][mode]["success_any"][-1])[kept].tolist() for e in entries]
                yield f"- {policy}, {mode}, without {', '.join(trained)} (trained on with other goals), after the last "
                classes = [entries[0]["strata"][i] for i in kept]
                yield f"  step: success, any step {_cell(final, 'success_any', classes)}"
            if all(e.get("success_first_come", {}).get(mode) for e in entries):
                if (mujoco := records[0]["environment"]["mujoco"]) != PUBLISHED_MUJOCO:
                    yield f"- {policy}, {mode}: not compared with published scores: they are mujoco"
                    yield f"  {PUBLISHED_MUJOCO}'s, and these runs had {mujoco}"
                    continue
                counted = _seeds((e["success_first_come"][mode][-1] for e in entries), "success_any")
                steps = len(outcomes["success_any"]) - 1
                yield f"- {policy}, {mode}, after {steps} step(s), counted as metaworld 3.1.1 does (first come, biased "
                yield f"  upwards): {counted}"
    yield ""


def _maxima(directory: Path) -> Iterator[str]:
    """The best evaluation during training of each seed, said to be so: publications often report this one."""
    for seed in seeds_in(directory, METRICS):
        rows = read_metrics(inside(seed, METRICS))
        for mode in ("stochastic", "deterministic"):
            name = f"eval/{mode}/success_any/"
            scores = [
                (max(value for key, value in row.items() if key.startswith(name)), row["iteration"])
                for row in rows
                if any(key.startswith(name) for key in row)
            ]
            if len(scores) > 1 and (best := max(scores))[0] > 0:
                yield f"- {seed.name}, {mode}: maximum over {len(scores)} evaluations during training (chosen on the "
                yield f"  held-out tasks, so biased upwards): success, any step {best[0]:.3f} at iteration {best[1]}"
    yield ""


def _cell(by_seed: list[list[list[float]]], measure: str, classes: Sequence[str] | None) -> str:
    """by_seed: seeds of tasks of episodes. The tasks of all seeds are the same, so that a task is one unit, and not one
    a seed; every class keeps its share of each resample."""
    per_task = np.mean(by_seed, axis=-1)
    interval = stratified_bootstrap(per_task.mean(0), classes)
    return f"{_text(interval, measure)} ({_seeds(map(float, per_task.mean(1)), measure)})"


def _text(interval: Interval, measure: str) -> str:
    mean, low, high = (_number(x, measure) for x in interval)
    return f"**{mean}** [{low}, {high}]"


def _seeds(means: Iterable[float], measure: str) -> str:
    return ", ".join(_number(x, measure) for x in means)


def _number(x: float, measure: str) -> str:
    if measure != "return":
        return f"{x:.3f}"
    return f"{x:.0f}" if abs(x) >= 100 else f"{x:.2f}"
