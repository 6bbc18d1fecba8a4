"""Stored few-shot runs as tables: one run in full, and all runs side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.errors import UserError
from metarl.fewshot.data.stored_episodes import digest
from metarl.fewshot.evaluation import normal_interval
from metarl.fewshot.report import format_score, format_value
from metarl.files import replace_file
from metarl.runs.same_config import settings_of, tested_on
from metarl.runs.stored import read_results, same_scores, stored_config

KIND = "few-shot"
TRAINED = "meta-trained"


def is_few_shot(record: dict[str, Any]) -> bool:
    """Whether an evaluation.json is of a few-shot run."""
    return any(policy.get("kind") == KIND for policy in record["policies"].values())


def section(name: str, records: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown for one result: the policies, suites, modes and steps of its seeds' records."""
    seconds = ", ".join(f"{record['training_seconds']:.0f}" for record in records)
    iterations = ", ".join(f"{record['iterations']:,}" for record in records)
    machine = records[0]["environment"]
    lines = [
        f"## {name}",
        "",
        f"{len(records)} seed(s); iterations {iterations}; training wall-clock {seconds} s on {machine['cpu_count']} "
        f"cores; torch {machine['torch']}.",
        "",
        f"| policy | suite | queries | steps | {records[0]['policies'][TRAINED]['measure']} |",
        "| --- | --- | --- | --- | --- |",
    ]
    for policy, suite, mode, steps in _rows(records[0]):
        lines.append(f"| {policy} | {suite} | {mode} | {steps} | {_cell(records, policy, suite, mode, steps)} |")
    return [*lines, "", *_rejection_section(records)]


def overview(results: Path) -> list[str]:
    """Lines of Markdown: one row a stored few-shot result, one column a suite, meta-trained and after the last step."""
    found = {name: records for name, records in read_results(results) if is_few_shot(records[0])}
    with same_scores(", ".join(found)):
        return _overview(results, found)


def _overview(results: Path, found: dict[str, list[dict[str, Any]]]) -> list[str]:
    if not found:
        raise UserError(
            f"{results} holds no few-shot run; store one there with `metarl results RUN_DIR`, and --into if given here"
        )
    lines = [
        "# Few-shot results",
        "",
        "Made by `metarl fewshot table` from the records in `results/`; not written by hand. Each is the mean over "
        "held-out episodes, fixed by a seed, ± its 95 % interval over episodes (1.96 s / √n); with several seeds the "
        "mean over seeds and, in brackets, each seed's. The figure is of the final theta after the last reported inner "
        "step, never the best of a run. Queries: *inductive* ones do not see each other, *transductive* ones share "
        "their batch statistics. Results stand in one table where they were scored on the very same episodes.",
        "",
    ]
    data = {name: _data(results / name) for name in found}
    for suites, names in _on_the_same_episodes(found, data):
        lines += [
            f"| result | queries | {' | '.join(suites)} | iterations | seconds | seeds |",
            "| --- | --- |" + " --- |" * (len(suites) + 3),
        ]
        for name in names:
            lines += _overview_rows(name, found[name], suites)
        lines.append("")
        lines += _rejection_overview({name: found[name] for name in names}, suites)
    return lines


def _data(result: Path) -> str:
    """What the numbers in a result's episodes stand for: the same ones may be of other data."""
    config = stored_config(result)
    asked = {name: value for name, value in settings_of(config).items() if name.startswith("evaluation.out_of_scope")}
    return json.dumps(tested_on(config) | asked, sort_keys=True)


def _on_the_same_episodes(
    found: dict[str, list[dict[str, Any]]], data: dict[str, str]
) -> list[tuple[tuple[str, ...], list[str]]]:
    """Suites and names of the results that can be compared: no suite that two of them have was drawn differently.

    `data` tells data sets apart, by result.
    """
    groups: list[tuple[dict[str, str], list[str]]] = []
    digests = {
        name: {suite: data[name] + key for suite, key in _digests(name, records).items()}
        for name, records in found.items()
    }
    for name in sorted(digests, key=lambda name: -len(digests[name])):  # the widest first: it gives the columns
        for known, names in groups:
            common = known.keys() & digests[name].keys()
            if common and all(known[suite] == digests[name][suite] for suite in common):
                known |= digests[name]
                names.append(name)
                break
        else:
            groups.append((dict(digests[name]), [name]))
    return [(tuple(known), sorted(names)) for known, names in groups]


def _digests(name: str, records: list[dict[str, Any]]) -> dict[str, str]:
    """By suite, which episodes all seeds were scored on. Raises UserError if they differ."""
    first, *others = (
        {suite: digest(scores["episodes"]) for suite, scores in record["policies"][TRAINED]["suites"].items()}
        for record in records
    )
    if any(other != first for other in others):
        raise UserError(f"the seeds of {name} were scored on different episodes; evaluate and store them all again")
    return first


def write_overview(results: Path, target: Path) -> None:
    replace_file(target, "\n".join(overview(results)).encode())


def _overview_rows(name: str, records: list[dict[str, Any]], suites: tuple[str, ...]) -> Iterator[str]:
    trained = records[0]["policies"][TRAINED]["suites"]
    for mode in next(iter(trained.values()))["scores"]:
        cells = []
        for suite in suites:
            if suite in trained:
                last = max(trained[suite]["scores"][mode], key=int)
                cells.append(_cell(records, TRAINED, suite, mode, last))
            else:
                cells.append("")
        seconds = np.mean([record["training_seconds"] for record in records])
        iterations = records[0]["iterations"]
        yield f"| {name} | {mode} | {' | '.join(cells)} | {iterations:,} | {seconds:.0f} | {len(records)} |"


def _rejection_section(records: list[dict[str, Any]]) -> list[str]:
    """Lines for one result, none where no out-of-scope requests were asked."""
    rows = [
        f"| {policy} | {suite} | {' | '.join(_rejection_cells(records, policy, suite))} |"
        for policy, entry in records[0]["policies"].items()
        for suite in entry["suites"]
        if _has_rejection(records, policy, suite)
    ]
    head = ["| policy | suite | AUROC, out of scope | let through at 95 % |", "| --- | --- | --- | --- |"]
    return [*head, *rows, ""] if rows else []


def _rejection_overview(found: dict[str, list[dict[str, Any]]], suites: tuple[str, ...]) -> list[str]:
    """Lines for all results of the same suites, none where no out-of-scope requests were asked."""
    asked = [suite for suite in suites if any(_has_rejection(records, TRAINED, suite) for records in found.values())]
    if not asked:
        return []
    lines = [
        "Requests of no intent, told from the others by their largest score: AUROC (50 % is chance), and the share let "
        "through where 95 % of the requests in scope are.",
        "",
        f"| result | {' | '.join(f'{suite} AUROC | {suite} let through' for suite in asked)} |",
        "| --- |" + " --- |" * (2 * len(asked)),
    ]
    for name, records in found.items():
        if all(_has_rejection(records, TRAINED, suite) for suite in asked):
            cells = [cell for suite in asked for cell in _rejection_cells(records, TRAINED, suite)]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def _has_rejection(records: list[dict[str, Any]], policy: str, suite: str) -> bool:
    """In the records of all seeds: older ones were made without."""
    return all("out_of_scope" in record["policies"][policy]["suites"].get(suite, {}) for record in records)


def _rejection_cells(records: list[dict[str, Any]], policy: str, suite: str) -> Iterator[str]:
    for measure in ("auroc", "false_acceptance_at_95"):
        scores = [
            np.array(record["policies"][policy]["suites"][suite]["out_of_scope"]["scores"][measure])
            for record in records
        ]
        yield _with_seeds(scores, "accuracy")


def _rows(record: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for policy, entry in record["policies"].items():
        for suite, result in entry["suites"].items():
            for mode, curve in result["scores"].items():
                for steps in curve:
                    yield policy, suite, mode, steps


def _cell(records: list[dict[str, Any]], policy: str, suite: str, mode: str, steps: str) -> str:
    """Mean over seeds and its interval over episodes, then each seed's mean."""
    entries = [record["policies"][policy] for record in records]
    scores = [np.array(entry["suites"][suite]["scores"][mode][steps]) for entry in entries]
    return _with_seeds(scores, entries[0]["measure"])


def _with_seeds(scores: list[NDArray], measure: str) -> str:
    """scores: of each seed, on the same episodes. An episode is hard for all seeds alike, so that seeds together are no
    larger sample of episodes than one."""
    text = format_score(normal_interval(np.mean(scores, axis=0)), measure)
    if len(scores) == 1:
        return text
    means = ", ".join(format_value(float(s.mean()), measure).removesuffix(" %") for s in scores)
    return f"{text} ({means})"
