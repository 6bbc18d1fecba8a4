"""Stored runs as the record behind every number that is claimed, and the table made from them.

RESULTS/<name>.json holds the seeds of an experiment (`metarl.records.compact`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from metarl.errors import UserError
from metarl.fewshot.results import is_few_shot
from metarl.files import inside, read_plain, remove_stale, replace_file
from metarl.records.compact import Means, Record, Seed, record_of, to_json
from metarl.records.finished import check_finished
from metarl.records.side_by_side import side_by_side
from metarl.records.stored import (
    MAX_EVALUATION_BYTES,
    SUFFIX,
    check_name,
    check_readable,
    place_of_record,
    read_config,
    read_evaluation,
    read_record,
    read_results,
    read_seed,
    same_scores,
)
from metarl.runs.directory import CONFIG, EVALUATION, METRICS, VERSIONS, check_is_directory
from metarl.runs.same_config import differences, flatten, settings_of
from metarl.scores.format import number

PUBLISHED_MUJOCO = "3.3.0"
"""metaworld 3.1.1's own pin; other versions give other numbers."""
HEADINGS = {
    "success_any": "success, any step",
    "success_last": "success, last step",
    "accuracy": "accuracy, %",
    "auroc": "AUROC, %",
    "false_acceptance_at_95": "let through at 95 %, %",
}
FILES = (CONFIG, VERSIONS, METRICS, EVALUATION)


def add_result(results: Path, *runs: Path, name: str | None = None) -> list[Path]:
    """Add finished runs to the records RESULTS/NAME.json, each in the place of that of the same seed.

    A record is replaced whole or not at all, and none before all have been made. Raises UserError if a run has not been
    evaluated at its end, or has other settings than what is stored there.
    """
    by_name: dict[str, list[Path]] = {}
    for run in runs:
        stored = _check_complete(run)
        check_name(of_run := name or Path(stored["experiment"]).stem)
        by_name.setdefault(of_run, []).append(run)
    records = dict(_added(results, name, runs) for name, runs in by_name.items())
    results.mkdir(parents=True, exist_ok=True)
    remove_stale(results)
    for target, data in records.items():
        replace_file(target, data)
    return list(records)


def _added(results: Path, name: str, runs: Sequence[Path]) -> tuple[Path, bytes]:
    """Its place and content.

    The intervals of what is stored at once are of full data; those with seeds stored before, of rounded ones.
    """
    target = inside(results, name + SUFFIX)
    place = place_of_record(results, name) if results.is_dir() else None
    seeds = {seed.number: seed for seed in (read_record(place).seeds if place is not None else ())}
    added: dict[int, Path] = {}
    for run in runs:
        new = read_seed(run)
        if new.number in added:
            raise UserError(
                f"{added[new.number]} and {run} are both of seed {new.number} of {name}; give each seed once"
            )
        added[new.number] = run
        for seed in seeds.values():
            _check_same_settings(new.stored, run, seed, target)
        seeds[new.number] = new
    with same_scores(name):
        data = to_json(record_of([seeds[number] for number in sorted(seeds)]))
    check_readable(data, name)
    return target, data


def _check_complete(run: Path) -> dict[str, Any]:
    check_is_directory(run)
    missing = [file for file in FILES if not inside(run, file).is_file()]
    if missing:
        raise UserError(f"{run} lacks {', '.join(missing)}; let the run end, evaluation included, then add it")
    stored = read_config(run)
    _check_is_of_test(stored, run)
    check_finished(read_evaluation(run), stored, run)
    _check_versions(run)
    return stored


def _check_versions(run: Path) -> None:
    path = inside(run, VERSIONS)
    try:
        data = read_plain(path, max_bytes=MAX_EVALUATION_BYTES)
        msgspec.json.decode(data, type=list[dict[str, Any]] | dict[str, Any])
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); restore it") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}); restore it") from error


def _check_is_of_test(stored: dict[str, Any], run: Path) -> None:
    """A run may be scored on the classes or tasks that settings are chosen by: those are no result."""
    for name, value in flatten(stored["config"]).items():
        if name.endswith("evaluation.held_out") and value != "test":
            kind = "classes" if name == "evaluation.held_out" else "tasks"
            raise UserError(
                f"{run} was scored on {value} {kind}, by which settings are chosen; score it on those of "
                "the test with `metarl train ... --resume --held-out test`, then store it"
            )


def _check_same_settings(stored: dict[str, Any], run: Path, other: Seed, target: Path) -> None:
    """Against what is stored under the same name: a mean over runs of different settings is of nothing, and a record
    is replaced by that of the same experiment only."""
    if found := differences(settings_of(other.stored), settings_of(stored)):
        raise UserError(
            f"{run} has other settings than seed {other.number} of {target}: {'; '.join(found)}; store it under "
            "another --name, or remove what is stored there first"
        )


def table_of(results: Path) -> str:
    """Of all records: one row a result, policy, kind of action and adaptation step."""
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
    of_episodes = {name: record for name, record in stored.items() if not is_few_shot(record.evaluations[0])}
    with same_scores(", ".join(of_episodes)):
        evaluations = {name: record.evaluations for name, record in of_episodes.items()}
        lines += side_by_side(evaluations, {name: record.seeds[0].stored for name, record in of_episodes.items()})
    for name, record in stored.items():
        lines += section(name, record)
    return "\n".join(lines)


def section(name: str, record: Record) -> list[str]:
    """Of one result: a table for each set of measures, a row for each policy, suite, condition and number of steps."""
    with same_scores(name):
        return _section(name, record)


def _section(name: str, record: Record) -> list[str]:
    records = record.evaluations
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
    succeeds = _any_success(record)
    rows: dict[tuple[str, ...], list[str]] = {}
    for policy, suite, condition in dict.fromkeys(key[:3] for key in record.curves):
        curves = {key[3]: means for key, means in record.curves.items() if key[:3] == (policy, suite, condition)}
        measures = tuple(m for m in curves if not m.startswith("success") or succeeds)
        for k, step in enumerate(record.seeds[0].suites(policy)[suite].steps):
            cells = (policy, suite, condition, str(step), *(_cell(measure, curves[measure][k]) for measure in measures))
            rows.setdefault(measures, []).append(f"| {' | '.join(cells)} |")
    for measures, lines_of in rows.items():
        headings = " | ".join(HEADINGS.get(measure, measure) for measure in measures)
        lines += [
            f"| policy | suite | with | steps | {headings} |",
            f"| --- | --- | --- | --- |{' --- |' * len(measures)}",
        ]
        lines += [*lines_of, ""]
    return [*lines, *_first_come(records), *_maxima(record)]


def _seeds_of(records: Sequence[dict[str, Any]]) -> str:
    return "one seed: intervals are over tasks alone" if len(records) == 1 else f"{len(records)} seeds"


def _any_success(record: Record) -> bool:
    """False where the tasks know no success."""
    return any(
        scores.values["success_any"].any()
        for seed in record.seeds
        for policy in seed.evaluation["policies"]
        for scores in seed.suites(policy).values()
        if "success_any" in scores.values
    )


def _first_come(records: list[dict[str, Any]]) -> Iterator[str]:
    """The final success as metaworld's own evaluator counts it."""
    for policy in records[0]["policies"]:
        entries = [record["policies"][policy] for record in records]
        for condition, counted in (entries[0].get("success_first_come") or {}).items():
            if not all((e.get("success_first_come") or {}).get(condition) for e in entries):
                continue
            if (mujoco := records[0]["environment"]["mujoco"]) != PUBLISHED_MUJOCO:
                yield f"- {policy}, {condition}: not compared with published scores: they are mujoco"
                yield f"  {PUBLISHED_MUJOCO}'s, and these runs had {mujoco}"
                continue
            of_seeds = ", ".join(number("success_any", e["success_first_come"][condition][-1]) for e in entries)
            yield f"- {policy}, {condition}, after {len(counted) - 1} step(s), counted as metaworld 3.1.1 does (first "
            yield f"  come, biased upwards): {of_seeds}"
    yield ""


def _maxima(record: Record) -> Iterator[str]:
    """The best evaluation during training of each seed, said to be so: publications often report this one."""
    for seed in record.seeds:
        for mode, (count, best, at) in seed.maxima.items():
            if count > 1 and best > 0:
                yield f"- seed{seed.number}, {mode}: maximum over {count} evaluations during training (chosen on the "
                yield f"  held-out tasks, so biased upwards): success, any step {best:.3f} at iteration {at}"
    yield ""


def _cell(measure: str, means: Means) -> str:
    """The mean with its interval, then the mean of each seed."""
    mean, low, high = (number(measure, x) for x in means[0])
    return f"**{mean}** [{low}, {high}] ({', '.join(number(measure, x) for x in means[1])})"
