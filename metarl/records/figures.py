"""Figures in README and docs that come from records: `<!--=FIGURE-->97<!---->`, where FIGURE is one of

    NAME/SUITE/CONDITION/STEP/MEASURE           mean over seeds and held-out tasks of the meta-trained policy
    NAME/SUITE/CONDITION/STEP/MEASURE/WHICH     untrained: of the policy before any meta-training; low, high: ends of
                                                the 95 % interval; half: half its width; seed0, seed1: of one seed
    NAME/first_come/CONDITION/STEP              success as metaworld counts it, mean over seeds
    NAME/minutes                                of training, of the fastest and the slowest seed: `3 to 5`
    NAME/million_env_steps                      of training, mean over seeds
    bench/NAME/KEY/.../KEY                      a number of results/bench/NAME.json; a list's keys count from 0
    bench/NAME/KEY/.../KEY over KEY             a ratio of two numbers beside each other
    zoo/NAME/...                                of the trained agent that comes with metarl, as its card says: what a
                                                reader gets who evaluates it (a SUITE, minutes, million_env_steps)

Scores are in per cent where the measure is a share. A figure has as many decimals as stand there, and commas where
there are some. STEP is a number of adaptation steps, or `last`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from metarl.errors import UserError
from metarl.fewshot.results import TRAINED
from metarl.files import inside, read_plain
from metarl.records.compact import Means, Record
from metarl.records.stored import MAX_RECORD_BYTES
from metarl.scores.stats import Interval
from metarl.zoo.card import Card, read_card
from metarl.zoo.entries import BUILT_IN

MARKED = re.compile(r"<!--=(?P<figure>[^>]*)-->(?P<shown>[^<]*)<!---->")
IN_PER_CENT = ("success_any", "success_last", "accuracy", "auroc", "false_acceptance_at_95")
BENCH, ZOO = "bench", "zoo"
Benches = Callable[[str], Any]
"""The content of a bench's record by its name."""


def documents(experiments: Path) -> list[Path]:
    """README.md and docs/*.md of the checkout that the experiments lie in; none where metarl is installed alone."""
    root = experiments.resolve().parent
    return [path for path in (root / "README.md", *sorted((root / "docs").glob("*.md"))) if path.is_file()]


def benches_in(results: Path) -> Benches:
    """Reads those that are asked for."""
    return lambda name: msgspec.json.decode(
        read_plain(inside(results, BENCH, f"{name}.json"), max_bytes=MAX_RECORD_BYTES)
    )


def filled_in(text: str, records: Mapping[str, Record], benches: Benches) -> str:
    """Raises UserError for a figure that no record has."""
    return MARKED.sub(
        lambda m: f"<!--={m['figure']}-->{_figure(m['figure'], m['shown'], records, benches)}<!---->", text
    )


def changed_figures(old: str, new: str) -> list[str]:
    """'NAME/minutes was 3, is 4', ... of two texts with the same marks."""
    pairs = zip(MARKED.finditer(old), MARKED.finditer(new), strict=True)
    return [f"{a['figure']} was {a['shown']}, is {b['shown']}" for a, b in pairs if a["shown"] != b["shown"]]


def _figure(figure: str, shown: str, records: Mapping[str, Record], benches: Benches) -> str:
    name, *keys = figure.split("/")
    decimals, comma = len(shown.partition(".")[2]), "," if "," in shown else ""
    try:
        if name == BENCH:
            value = _of_bench(benches(keys[0]), keys[1:])
        elif name == ZOO:
            value = _of_card(read_card(inside(BUILT_IN, keys[0])), *keys[1:])
        elif keys[0] == "first_come":
            value = _first_come(records[name], *keys[1:])
        elif keys == ["minutes"]:
            return _minutes(records[name])
        elif keys == ["million_env_steps"]:
            value = float(np.mean([seed.evaluation["training_env_steps"] for seed in records[name].seeds])) / 1e6
        else:
            value = _score(records[name], *keys)
    except (KeyError, IndexError, ValueError, TypeError, OSError, UserError) as error:
        raise UserError(
            f"no record has the figure {figure!r:.200} ({error}); mark one that `metarl results --show NAME` or "
            "`metarl zoo show NAME` prints, or that a file in results/bench/ holds"
        ) from error
    return f"{value:{comma}.{decimals}f}"


def _score(record: Record, suite: str, condition: str, step: str, measure: str, which: str = "mean") -> float:
    policy = which if which == "untrained" else TRAINED
    steps = record.seeds[0].suites(policy)[suite].steps
    of_step = record.curves[policy, suite, condition, measure][-1 if step == "last" else steps.index(int(step))]
    return (100 if measure in IN_PER_CENT else 1) * _chosen(which, of_step)


def _of_card(card: Card, suite: str, *rest: str) -> float:
    if not rest:
        return {"minutes": card.training_seconds / 60, "million_env_steps": card.training_env_steps / 1e6}[suite]
    condition, step, measure, *which = rest
    of = (which[0] if which == ["untrained"] else TRAINED, suite, condition, measure)
    by_step = {s.steps: s for s in card.scores if (s.policy, s.suite, s.condition, s.measure) == of}
    score = by_step[max(by_step) if step == "last" else int(step)]
    interval = Interval(score.mean, score.low, score.high)
    return (100 if measure in IN_PER_CENT else 1) * _chosen(which[0] if which else "mean", (interval, []))


def _chosen(which: str, means: Means) -> float:
    interval, of_seeds = means
    if which.startswith("seed"):
        return of_seeds[int(which.removeprefix("seed"))]
    found = {"low": interval.low, "high": interval.high, "half": (interval.high - interval.low) / 2}
    return (found | {"mean": interval.mean, "untrained": interval.mean})[which]


def _first_come(record: Record, condition: str, step: str) -> float:
    counted = [seed.evaluation["policies"][TRAINED]["success_first_come"][condition] for seed in record.seeds]
    return 100 * float(np.mean([by_step[-1 if step == "last" else int(step)] for by_step in counted]))


def _minutes(record: Record) -> str:
    minutes = [seed.evaluation["training_seconds"] / 60 for seed in record.seeds]
    return " to ".join(dict.fromkeys(f"{m:.0f}" for m in (min(minutes), max(minutes))))


def _of_bench(content: Any, keys: list[str]) -> float:
    *path, last = keys
    for key in path:
        content = content[int(key)] if isinstance(content, list) else content[key]
    value, *over = (float(content[key]) for key in last.split(" over "))
    return value / over[0] if over else value
