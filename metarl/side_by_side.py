"""Stored results on the same held-out tasks beside each other: what adaptation is worth to each agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from metarl.compare import POLICY, mean_interval
from metarl.stats import Interval

MODE = "stochastic"
Records = Sequence[dict[str, Any]]
"""evaluation.json of each seed."""


def side_by_side(results: Mapping[str, Records]) -> Iterator[str]:
    """Lines of Markdown: a table for each set of held-out tasks that two results or more were evaluated on."""
    groups: dict[tuple[str, ...], dict[str, Records]] = {}
    for name, records in results.items():
        groups.setdefault(tuple(records[0]["policies"][POLICY]["tasks"]), {})[name] = records
    for tasks, group in groups.items():
        if len(group) > 1:
            yield from _table(tasks, group)


def _table(tasks: tuple[str, ...], group: Mapping[str, Records]) -> Iterator[str]:
    rounds = max(len(_outcomes(records[0], "return")) for records in group.values())
    yield f"## On the same {len(tasks)} held-out tasks: {', '.join(group)}"
    yield ""
    yield (
        "Return of the meta-trained policy with sampled actions after 0, 1, ... adaptation steps (of RL²: episodes in "
        "memory): mean over tasks and seeds [95 % interval, seeds and tasks resampled]. It *adapts* if the interval "
        "after the last step lies above the one before the first, and *adapts, then falls* if a later step takes back "
        "what an earlier one gave."
    )
    yield ""
    yield f"| result | seeds | env steps, M | {' | '.join(str(k) for k in range(rounds))} | adapts |"
    yield f"| --- | --- | --- |{' --- |' * rounds} --- |"
    for name, records in sorted(group.items(), key=lambda item: -_final(item[1])):
        curve = _curve(records)
        million = np.mean([record["training_env_steps"] for record in records]) / 1e6
        cells = [_text(point) for point in curve] + [""] * (rounds - len(curve))
        yield f"| {name} | {len(records)} | {million:.1f} | {' | '.join(cells)} | {verdict(curve)} |"
    yield ""


def verdict(curve: Sequence[Interval]) -> str:
    """Whether the returns after 0, 1, ... steps rise outside their intervals."""
    before, last = curve[0], curve[-1]
    best = max(curve[1:], key=lambda point: point.mean, default=before)
    if best.low <= before.high:
        return "no"
    return "yes, then falls" if last.high < best.low else "yes"


def _curve(records: Records) -> list[Interval]:
    strata = records[0]["policies"][POLICY].get("strata") or [""] * len(records[0]["policies"][POLICY]["tasks"])
    rounds = [np.array([np.mean(points, axis=-1) for points in _outcomes(r, "return")]) for r in records]
    return [mean_interval(np.stack([seed[k] for seed in rounds]), strata) for k in range(len(rounds[0]))]


def _final(records: Records) -> float:
    return float(np.mean([np.mean(_outcomes(record, "return")[-1]) for record in records]))


def _outcomes(record: dict[str, Any], measure: str) -> list[list[list[float]]]:
    """Rounds of tasks of episodes."""
    return record["policies"][POLICY]["outcomes"][MODE][measure]


def _text(interval: Interval) -> str:
    digits = 0 if max(abs(interval.low), abs(interval.high)) >= 100 else 1
    return f"{interval.mean:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
