"""Stored results on the same held-out tasks beside each other: what adaptation is worth to each agent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl.records.compare import POLICY, mean_interval
from metarl.runs.same_config import tested_on
from metarl.scores.format import cell
from metarl.scores.table import Scores, suites_from_json

MODE = "stochastic"
UNTRAINED = "untrained"
LEGEND = (
    "Return of the meta-trained policy with sampled actions after 0, 1, ... adaptation steps (of RL²: episodes in "
    "memory), each on so many episodes: mean over tasks and seeds [95 % interval, seeds and tasks resampled]. *Gain* "
    "is the last column less the first, task by task, so that what tasks differ in drops out. A policy *adapts* if the "
    "gain of its last step lies above 0, interval and all; it *then falls* if only that of an earlier step does, or if "
    "the last step lies below an earlier one, at 5 % shared among those steps. RL²'s memory also adapts within an "
    "episode: that shows in column 0, beside policies that cannot, and not in its gain. The last row is the untrained "
    "policy of the agent named there: what meta-training has to beat."
)
Records = Sequence[dict[str, Any]]
"""evaluation.json of each seed."""


def side_by_side(results: Mapping[str, Records], configs: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Lines of Markdown: how to read them, then a table for each set of held-out tasks that two results or more share.

    `configs`: the config.json of each result.
    """
    groups: dict[tuple[tuple[str, ...], str], dict[str, Records]] = {}
    for name, records in results.items():
        tasks = _scores(records[0]).tasks
        key = tasks, json.dumps(tested_on(configs[name]), sort_keys=True)
        groups.setdefault(key, {})[name] = records
    shared = [(tasks, group) for (tasks, _), group in groups.items() if len(group) > 1]
    if shared:
        yield "## Side by side"
        yield ""
        yield LEGEND
        yield ""
    for tasks, group in shared:
        yield from _table(tasks, group, {name: _episodes_a_step(configs[name]) for name in group})


def _episodes_a_step(config: Mapping[str, Any]) -> str:
    try:
        return str(config["config"]["rl"]["evaluation"]["adaptation_episodes"])
    except (KeyError, TypeError):  # an experiment of your own may keep it elsewhere
        return ""


def _table(tasks: tuple[str, ...], group: Mapping[str, Records], episodes: Mapping[str, str]) -> Iterator[str]:
    rounds = max(len(_scores(records[0]).steps) for records in group.values())
    yield f"### On the same {len(tasks)} held-out tasks: {', '.join(group)}"
    yield ""
    steps = " | ".join(str(k) for k in range(rounds))
    yield f"| result | seeds | env steps, M | episodes a step | {steps} | gain | adapts |"
    yield f"| --- | --- | --- | --- |{' --- |' * rounds} --- | --- |"
    ranked = sorted(group, key=lambda name: -_final(group[name]))
    for name in ranked:
        million = np.mean([record["training_env_steps"] for record in group[name]]) / 1e6
        yield _row(name, group[name], POLICY, f"{million:.1f}", episodes[name], rounds)
    untrained = next((name for name in ranked if all(UNTRAINED in r["policies"] for r in group[name])), None)
    if untrained is not None:
        yield _row(f"untrained, as {untrained}", group[untrained], UNTRAINED, "0.0", episodes[untrained], rounds)
    yield ""


def _row(label: str, records: Records, policy: str, million: str, episodes: str, rounds: int) -> str:
    values, strata = _values(records, policy), _strata(records)
    cells = [cell("return", mean_interval(points, strata)) for points in values] + [""] * (rounds - len(values))
    gain = cell("return", mean_interval(values[-1] - values[0], strata))
    row = [label, len(records), million, episodes, *cells, gain, verdict(values, strata)]
    return f"| {' | '.join(map(str, row))} |"


def verdict(values: Sequence[NDArray], strata: Sequence[str]) -> str:
    """Whether returns (seeds, tasks) after 0, 1, ... steps rise; each task is compared with itself."""
    # of the steps before the last, any may have been the best by chance: each is tested at a share of 5 %
    between = values[1:-1]
    level = 1 - 0.05 / max(len(between), 1)
    if mean_interval(values[-1] - values[0], strata).low > 0:
        falls = any(mean_interval(values[-1] - points, strata, level=level).high < 0 for points in between)
        return "yes, then falls" if falls else "yes"
    rose = any(mean_interval(points - values[0], strata, level=level).low > 0 for points in between)
    return "yes, then falls" if rose else "no"


def _scores(record: dict[str, Any], policy: str = POLICY) -> Scores:
    return suites_from_json(record["policies"][policy])[""]


def _values(records: Records, policy: str = POLICY) -> list[NDArray]:
    """(seeds, tasks) after 0, 1, ... steps."""
    return list(np.array([_scores(record, policy).of(MODE, "return") for record in records]).swapaxes(0, 1))


def _strata(records: Records) -> Sequence[str]:
    scores = _scores(records[0])
    return scores.strata or [""] * len(scores.tasks)


def _final(records: Records) -> float:
    return float(_values(records)[-1].mean())
