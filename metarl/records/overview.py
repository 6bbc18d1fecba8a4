"""All records on one page: a table per benchmark, a line per experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from metarl.fewshot.results import TRAINED
from metarl.records.compact import Means, Record
from metarl.scores.format import cell

BENCHMARKS = {
    "2D navigation": ("navigation_",),
    "Bandits": ("bandit_",),
    "MuJoCo robots": ("ant_", "cheetah_", "halfcheetah_", "walk_", "pendulum_", "cartpole_"),
    "Meta-World ML1": ("ml1_",),
    "Meta-World ML10": ("ml10_",),
    "Meta-World, tasks shown": ("mt1_", "mt10_", "mt50_"),
    "Robot skills": ("skill_",),
    "Omniglot": ("omniglot_",),
    "Intents": ("clinc_", "hwu64_", "banking77_"),
}
"""Beginnings of names; the others make a table of their own."""
OTHERS = "Others"
BY_RETURN = tuple(begin for name in ("2D navigation", "Bandits", "MuJoCo robots") for begin in BENCHMARKS[name])
"""By the papers that they are from, whatever else is measured: a bandit's success is that of its last pull alone."""
INTRODUCTION = """# Results

Made by `metarl results` from the records in `results/`; not written by hand. `metarl train EXPERIMENT` repeats a line
(the experiment stands in brackets where the record has another name, because some settings were others), and `metarl
results --show NAME` gives its settings' scores in full. Each score is of the policy after the last iteration, never the
best of a run: the mean over held-out tasks and seeds with its 95 % interval; that of one seed is over tasks alone.
*Adapted* is after the last adaptation step, *at first* before the first one. Actions are sampled; success is at any
step of an episode. Few-shot scores are of the first suite, inductive. All scores are in [RESULTS.md](RESULTS.md),
few-shot results side by side in [FEW_SHOT.md](FEW_SHOT.md); how they came about is in [LOG.md](LOG.md).
"""


class Row(NamedTuple):
    """The cells of a record."""

    called: str
    of: str
    """Suite and measure."""
    seeds: str
    trained_for: str
    minutes: str
    adapted: str
    at_first: str
    untrained: str


def one_page(records: Mapping[str, Record]) -> str:
    """Markdown."""
    lines = [INTRODUCTION]
    for benchmark, names in _by_benchmark(records).items():
        lines += [f"## {benchmark}", ""]
        lines += ["| experiment | of | seeds | trained for | minutes | adapted | at first | untrained, adapted |"]
        lines += ["| --- | --- | --- | --- | --- | --- | --- | --- |"]
        lines += [f"| {' | '.join(row_of(name, records[name]))} |" for name in names]
        lines.append("")
    return "\n".join(lines)


def _by_benchmark(records: Mapping[str, Record]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in records:
        is_of = [benchmark for benchmark, beginnings in BENCHMARKS.items() if name.startswith(beginnings)]
        found.setdefault(is_of[0] if is_of else OTHERS, []).append(name)
    return {name: found[name] for name in (*BENCHMARKS, OTHERS) if name in found}


def row_of(name: str, record: Record) -> Row:
    """What the page says of it."""
    suite, condition, measure = headline(name, record)
    trained = record.curves[TRAINED, suite, condition, measure]
    untrained = record.curves.get(("untrained", suite, condition, measure))
    first = record.seeds[0].evaluation
    env_steps = np.mean([seed.evaluation["training_env_steps"] for seed in record.seeds])
    amount = f"{env_steps / 1e6:.1f}M env steps" if env_steps else f"{first['iterations']:,} iterations"
    minutes = np.mean([seed.evaluation["training_seconds"] for seed in record.seeds]) / 60
    at_first = _text(measure, trained[0]) if len(trained) > 1 else ""
    of = " ".join(filter(None, (suite, measure.replace("success_any", "success"))))
    experiment = record.seeds[0].stored["experiment"]
    called = name if experiment == name else f"{name} ({experiment})"
    return Row(
        called=called,
        of=of,
        seeds=str(len(record.seeds)),
        trained_for=amount,
        minutes=f"{minutes:.0f}",
        adapted=_text(measure, trained[-1]),
        at_first=at_first,
        untrained=_text(measure, untrained[-1]) if untrained else "",
    )


def judged_by(experiment: str, measures: Sequence[str]) -> str:
    """The measure that stands for an experiment: success where it is measured, but for `BY_RETURN`; else the first."""
    return "success_any" if "success_any" in measures and not experiment.startswith(BY_RETURN) else measures[0]


def headline(name: str, record: Record) -> tuple[str, str, str]:
    """Suite, condition and measure of the one score that stands for a record."""
    _, suite, condition, _ = next(key for key in record.curves if key[0] == TRAINED)
    measures = [key[3] for key in record.curves if key[:3] == (TRAINED, suite, condition)]
    return suite, condition, judged_by(name, measures)


def _text(measure: str, means: Means) -> str:
    return cell(measure, means[0])
