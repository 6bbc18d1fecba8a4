"""Stored few-shot runs as tables: one run in full, and all runs side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from metarl.config import config_from_dict
from metarl.errors import UserError
from metarl.fewshot.data.stored_episodes import digest, packed_episodes
from metarl.fewshot.evaluation import held_out_tasks, pack_episodes
from metarl.files import replace_file
from metarl.records.compact import Means, Record
from metarl.records.stored import read_results, same_scores
from metarl.runs.find import load_experiment
from metarl.runs.same_config import own_config, settings_of, tested_on
from metarl.scores.format import cell, number
from metarl.scores.table import out_of_scope

TRAINED = "meta-trained"


def is_few_shot(record: dict[str, Any]) -> bool:
    """Whether an evaluation.json is of a few-shot run."""
    return bool(packed_episodes(record["policies"][TRAINED]))


def overview(results: Path) -> list[str]:
    """Lines of Markdown: one row a stored few-shot result, one column a suite, meta-trained and after the last step."""
    found = {name: record for name, record in read_results(results) if is_few_shot(record.evaluations[0])}
    with same_scores(", ".join(found)):
        return _overview(results, found)


def _overview(results: Path, found: dict[str, Record]) -> list[str]:
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
    data = {name: _data(record) for name, record in found.items()}
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


def _data(record: Record) -> str:
    """What the numbers in a result's episodes stand for: the same ones may be of other data."""
    config = record.seeds[0].stored
    asked = {name: value for name, value in settings_of(config).items() if name.startswith("evaluation.out_of_scope")}
    return json.dumps(tested_on(config) | asked, sort_keys=True)


def _on_the_same_episodes(found: dict[str, Record], data: dict[str, str]) -> list[tuple[tuple[str, ...], list[str]]]:
    """Suites and names of the results that can be compared: no suite that two of them have was drawn differently.

    `data` tells data sets apart, by result.
    """
    groups: list[tuple[dict[str, str], list[str]]] = []
    digests = {
        name: {suite: data[name] + key for suite, key in _digests(name, record.evaluations).items()}
        for name, record in found.items()
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


def same_episodes(record: Record) -> dict[str, bool]:
    """By suite, whether the episodes made anew from a record's settings and the data here are those it was scored on.

    Raises UserError where they cannot be made, as for want of the data, or of an experiment file of your own.
    """
    stored = record.seeds[0].stored
    own = own_config(str(stored["experiment"]))
    if own is None:
        raise UserError(f"{stored['experiment']!r:.100} is no experiment of metarl's; its episodes are in its run")
    config = config_from_dict(type(own), stored["config"])
    experiment = load_experiment(stored["experiment"]).build(config)
    try:
        return {
            suite: digest(reference)
            == digest(pack_episodes(held_out_tasks(experiment.source, experiment.evaluation, suite)))
            for suite, reference in packed_episodes(record.evaluations[0]["policies"][TRAINED]).items()
        }
    finally:
        experiment.close()


def write_overview(results: Path, target: Path) -> None:
    """Write the table of all few-shot records."""
    replace_file(target, "\n".join(overview(results)).encode())


def _overview_rows(name: str, record: Record, suites: tuple[str, ...]) -> Iterator[str]:
    seconds = np.mean([seed.evaluation["training_seconds"] for seed in record.seeds])
    iterations = record.seeds[0].evaluation["iterations"]
    scores = record.seeds[0].suites(TRAINED)
    for condition in next(iter(scores.values())).conditions:
        cells = []
        for suite in suites:
            measure = scores[suite].measures[0] if suite in scores else ""
            cells.append(_cell(measure, record.curves.get((TRAINED, suite, condition, measure))))
        yield f"| {name} | {condition} | {' | '.join(cells)} | {iterations:,} | {seconds:.0f} | {len(record.seeds)} |"


def _rejection_overview(found: dict[str, Record], suites: tuple[str, ...]) -> list[str]:
    """Lines for all results of the same suites, none where no out-of-scope requests were asked."""
    rejections = {name: _rejections(record) for name, record in found.items()}
    asked = [suite for suite in suites if any(out_of_scope(suite) in of_suite for of_suite in rejections.values())]
    if not asked:
        return []
    lines = [
        "Requests of no intent, told from the others by their largest score: AUROC (50 % is chance), and the share let "
        "through where 95 % of the requests in scope are.",
        "",
        f"| result | {' | '.join(f'{suite} AUROC | {suite} let through' for suite in asked)} |",
        "| --- |" + " --- |" * (2 * len(asked)),
    ]
    for name, of_suite in rejections.items():
        if all(out_of_scope(suite) in of_suite for suite in asked):  # older ones were made without
            told = [item for suite in asked for item in of_suite[out_of_scope(suite)].items()]
            lines.append(f"| {name} | {' | '.join(_cell(measure, means) for measure, means in told)} |")
    return [*lines, ""]


def _rejections(record: Record) -> dict[str, dict[str, list[Means]]]:
    """By suite and measure."""
    found: dict[str, dict[str, list[Means]]] = {}
    for (policy, suite, condition, measure), means in record.curves.items():
        if policy == TRAINED and condition == "inductive":
            found.setdefault(suite, {})[measure] = means
    return found


def _cell(measure: str, means: list[Means] | None) -> str:
    """After the last step: the mean with its interval, then each seed's mean where there are several."""
    if means is None:
        return ""
    interval, of_seeds = means[-1]
    text = cell(measure, interval)
    return text if len(of_seeds) == 1 else f"{text} ({', '.join(number(measure, mean) for mean in of_seeds)})"
