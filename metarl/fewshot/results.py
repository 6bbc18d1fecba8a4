"""Stored few-shot runs as tables: one run in full, and all runs side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metarl.errors import UserError
from metarl.fewshot.data.stored_episodes import digest, packed_episodes
from metarl.files import replace_file
from metarl.runs.same_config import settings_of, tested_on
from metarl.runs.stored import read_results, same_scores, stored_config
from metarl.scores.format import cell, number
from metarl.scores.table import Scores, out_of_scope, over_seeds, suites_from_json

TRAINED = "meta-trained"


def is_few_shot(record: dict[str, Any]) -> bool:
    """Whether an evaluation.json is of a few-shot run."""
    return bool(packed_episodes(record["policies"][TRAINED]))


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
        "mean over seeds, ± its interval over seeds and episodes, and in brackets each seed's. The figure is of the "
        "final theta after the last reported inner step, never the best of a run. Queries: *inductive* ones do not see "
        "each other, *transductive* ones share their batch statistics. Results stand in one table where they were "
        "scored on the very same episodes.",
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
        {suite: digest(episodes) for suite, episodes in packed_episodes(record["policies"][TRAINED]).items()}
        for record in records
    )
    if any(other != first for other in others):
        raise UserError(f"the seeds of {name} were scored on different episodes; evaluate and store them all again")
    return first


def write_overview(results: Path, target: Path) -> None:
    replace_file(target, "\n".join(overview(results)).encode())


def _overview_rows(name: str, records: list[dict[str, Any]], suites: tuple[str, ...]) -> Iterator[str]:
    seeds = [suites_from_json(record["policies"][TRAINED]) for record in records]
    for condition in next(iter(seeds[0].values())).conditions:
        cells = [_cell([s[suite] for s in seeds], condition) if suite in seeds[0] else "" for suite in suites]
        seconds = np.mean([record["training_seconds"] for record in records])
        iterations = records[0]["iterations"]
        yield f"| {name} | {condition} | {' | '.join(cells)} | {iterations:,} | {seconds:.0f} | {len(records)} |"


def _rejection_overview(found: dict[str, list[dict[str, Any]]], suites: tuple[str, ...]) -> list[str]:
    """Lines for all results of the same suites, none where no out-of-scope requests were asked."""
    by_name = {n: [suites_from_json(r["policies"][TRAINED]) for r in records] for n, records in found.items()}
    asked = [suite for suite in suites if any(out_of_scope(suite) in s for seeds in by_name.values() for s in seeds)]
    if not asked:
        return []
    lines = [
        "Requests of no intent, told from the others by their largest score: AUROC (50 % is chance), and the share let "
        "through where 95 % of the requests in scope are.",
        "",
        f"| result | {' | '.join(f'{suite} AUROC | {suite} let through' for suite in asked)} |",
        "| --- |" + " --- |" * (2 * len(asked)),
    ]
    for name, seeds in by_name.items():
        if all(out_of_scope(suite) in s for suite in asked for s in seeds):  # older ones were made without
            told = [[s[out_of_scope(suite)] for s in seeds] for suite in asked]
            cells = [_cell(scores, "inductive", measure) for scores in told for measure in scores[0].measures]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cell(seeds: Sequence[Scores], condition: str, measure: str | None = None) -> str:
    """After the last step: the mean with its interval, then each seed's mean where there are several."""
    measure = measure or seeds[0].measures[0]
    text = cell(measure, over_seeds(seeds, condition, measure)[-1])
    if len(seeds) == 1:
        return text
    means = ", ".join(number(measure, float(scores.of(condition, measure)[-1].mean())) for scores in seeds)
    return f"{text} ({means})"
