"""Stored runs as the record behind every number that is claimed, and the table made from them.

RESULTS/<name>/seed<N>/ holds a finished run's config.json, versions.json, metrics.jsonl and evaluation.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from metarl.errors import UserError
from metarl.fewshot.data.stored_episodes import shared_episodes
from metarl.fewshot.results import is_few_shot
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
from metarl.scores.format import number
from metarl.scores.table import Scores, over_seeds, suites_from_json

PUBLISHED_MUJOCO = "3.3.0"
"""metaworld 3.1.1's own pin; other versions give other numbers."""
HEADINGS = {
    "success_any": "success, any step",
    "success_last": "success, last step",
    "accuracy": "accuracy, %",
    "auroc": "AUROC, %",
    "false_acceptance_at_95": "let through at 95 %, %",
}
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
    replace_file(target / EVALUATION, json.dumps(condensed(evaluation, results)).encode())
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


def condensed(evaluation: dict[str, Any], results: Path) -> dict[str, Any]:
    """With each task's mean over its test episodes in place of them all, to keep the record small.

    Tasks are the independent units of every interval here; the run directory keeps the episodes. The few-shot tasks
    themselves, the same for many records, go into RESULTS/episodes.
    """
    policies = {}
    for name, policy in evaluation["policies"].items():
        suites = {suite: scores.condensed().to_json() for suite, scores in suites_from_json(policy).items()}
        kept = {key: value for key, value in policy.items() if key != "outcomes"}
        policies[name] = kept | {"suites": suites} | shared_episodes(policy, results)
    return {**evaluation, "policies": policies}


def write_table(results: Path, readme: Path) -> None:
    """Rewrite `readme` from all records: one row a result, policy, kind of action and adaptation step."""
    lines = [
        "# Results",
        "",
        "Made by `metarl results` from the records in `results/`; not written by hand. Rows are of held-out tasks, but "
        "for those that say `on training tasks`: mean over seeds and tasks, in brackets its 95 % interval, then the "
        "mean of each seed. Of several seeds the interval is over seeds and tasks; of one it is over tasks alone, of "
        "this theta. Tasks are drawn within their class: the classes are those of the task list, and no sample of all. "
        "Scores are of the final policy, never the best of a run.",
        "",
    ]
    stored = dict(read_results(results))
    of_episodes = {name: records for name, records in stored.items() if not is_few_shot(records[0])}
    with same_scores(", ".join(of_episodes)):
        lines += side_by_side(of_episodes, {name: stored_config(results / name) for name in of_episodes})
    for name, records in stored.items():
        with same_scores(name):
            lines += _section(results / name, records)
    replace_file(readme, "\n".join(lines).encode())


def _section(directory: Path, records: list[dict[str, Any]]) -> list[str]:
    """Of one result: a table for each set of measures, a row for each policy, suite, condition and number of steps."""
    name = directory.name
    seconds = ", ".join(f"{record['training_seconds']:.0f}" for record in records)
    machine = records[0]["environment"]
    for library in ("mujoco", "metaworld"):
        if len(found := {record["environment"][library] for record in records}) > 1:
            raise UserError(
                f"the seeds of {name} were run with {library} {' and '.join(sorted(found))}, whose numbers differ; "
                "store them under different names"
            )
    counted = "training_env_steps" if records[0]["training_env_steps"] else "iterations"
    amount = f"{counted.removeprefix('training_').replace('_', ' ')} of meta-training "
    amount += ", ".join(f"{record[counted]:,}" for record in records)
    lines = [
        f"## {name}",
        "",
        f"{_seeds_of(records)}; {amount}; training wall-clock {seconds} s on {machine['cpu_count']} cores; "
        f"mujoco {machine['mujoco']}, metaworld {machine['metaworld']}, torch {machine['torch']}.",
        "",
    ]
    rows: dict[tuple[str, ...], list[str]] = {}
    for policy in records[0]["policies"]:
        seeds = [suites_from_json(record["policies"][policy]) for record in records]
        for suite, first in seeds[0].items():
            if not all(suite in suites for suites in seeds):
                continue  # older records were made without it
            scores = [suites[suite] for suites in seeds]
            measures = tuple(m for m in first.measures if not m.startswith("success") or _any_success(records))
            for condition in first.conditions:
                curves = {measure: _cells(scores, condition, measure) for measure in measures}
                for k, step in enumerate(first.steps):
                    cells = (policy, suite, condition, str(step), *(curves[measure][k] for measure in measures))
                    rows.setdefault(measures, []).append(f"| {' | '.join(cells)} |")
    for measures, lines_of in rows.items():
        headings = " | ".join(HEADINGS.get(measure, measure) for measure in measures)
        lines += [
            f"| policy | suite | with | steps | {headings} |",
            f"| --- | --- | --- | --- |{' --- |' * len(measures)}",
        ]
        lines += [*lines_of, ""]
    return [*lines, *_first_come(records), *_maxima(directory)]


def _seeds_of(records: Sequence[dict[str, Any]]) -> str:
    return "one seed: intervals are over tasks alone" if len(records) == 1 else f"{len(records)} seeds"


def _any_success(records: list[dict[str, Any]]) -> bool:
    """False where the tasks know no success."""
    suites = [suites_from_json(policy) for record in records for policy in record["policies"].values()]
    return any(
        scores.values["success_any"].any()
        for by_name in suites
        for scores in by_name.values()
        if "success_any" in scores.values
    )


def _first_come(records: list[dict[str, Any]]) -> Iterator[str]:
    """The final success as metaworld's own evaluator counts it."""
    for policy in records[0]["policies"]:
        entries = [record["policies"][policy] for record in records]
        for condition, counted in entries[0].get("success_first_come", {}).items():
            if not all(e.get("success_first_come", {}).get(condition) for e in entries):
                continue
            if (mujoco := records[0]["environment"]["mujoco"]) != PUBLISHED_MUJOCO:
                yield f"- {policy}, {condition}: not compared with published scores: they are mujoco"
                yield f"  {PUBLISHED_MUJOCO}'s, and these runs had {mujoco}"
                continue
            of_seeds = ", ".join(number("success_any", e["success_first_come"][condition][-1]) for e in entries)
            yield f"- {policy}, {condition}, after {len(counted) - 1} step(s), counted as metaworld 3.1.1 does (first "
            yield f"  come, biased upwards): {of_seeds}"
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


def _cells(seeds: Sequence[Scores], condition: str, measure: str) -> list[str]:
    """After each number of steps: the mean with its interval, then the mean of each seed."""
    cells = []
    for k, interval in enumerate(over_seeds(seeds, condition, measure)):
        mean, low, high = (number(measure, x) for x in interval)
        means = ", ".join(number(measure, float(scores.of(condition, measure)[k].mean())) for scores in seeds)
        cells.append(f"**{mean}** [{low}, {high}] ({means})")
    return cells
