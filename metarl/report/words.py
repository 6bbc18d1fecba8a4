"""What was trained, in a sentence, and the few numbers that stand for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from metarl.records.compare import POLICY, Group, mean_interval
from metarl.records.overview import judged_by
from metarl.records.side_by_side import UNTRAINED, verdict
from metarl.report.page import Card
from metarl.runs.find import about
from metarl.runs.log import format_seconds
from metarl.scores.format import CONDITIONS, cell
from metarl.scores.table import Scores, over_seeds

MEASURES = {
    "return": "return",
    "success_any": "success at any step",
    "success_last": "success at the last step",
    "accuracy": "accuracy",
    "mse": "mean squared error",
}
VERDICTS = {
    "yes": "It adapts: the return rises from the first to the last step, by more than chance (95 %).",
    "yes, then falls": "It adapts, and then falls back: the best return is not that of the last step.",
    "no": "The return does not rise with adaptation by more than chance (95 %).",
}


class Headline(NamedTuple):
    """The one score that stands for a run."""

    suite: str
    condition: str
    measure: str


def headline(groups: Sequence[Group]) -> Headline:
    """What the experiment is judged by; its success only where that is measured."""
    first = groups[0].seeds[0]
    suite, scores = next(iter(first.suites(POLICY).items()))
    measure = judged_by(first.stored["experiment"], scores.measures) if succeeds(groups) else scores.measures[0]
    return Headline(suite, scores.conditions[0], measure)


def succeeds(groups: Sequence[Group]) -> bool:
    """Whether success is measured: as the tasks say, else whether any episode succeeded."""
    for seed in (seed for group in groups for seed in group.seeds):
        for policy in seed.evaluation["policies"]:
            said = seed.evaluation["policies"][policy].get("measures_success")
            if said is False:
                continue
            suites = seed.suites(policy).values()
            if said is True or any(s.values["success_any"].any() for s in suites if "success_any" in s.values):
                return True
    return False


def of_seeds(group: Group, policy: str, suite: str) -> list[Scores]:
    """Of each seed; none where one of them lacks it."""
    found = [seed.suites(policy).get(suite) if policy in seed.evaluation["policies"] else None for seed in group.seeds]
    return [scores for scores in found if scores is not None] if None not in found else []


def amount(evaluation: Mapping[str, Any]) -> str:
    """'1.3M env steps', '200 iterations'."""
    steps = evaluation["training_env_steps"]
    if not steps:
        return f"{evaluation['iterations']:,} iterations"
    return f"{steps / 1e6:.1f}M env steps" if steps >= 1e6 else f"{steps:,} env steps"


def duration(seconds: float) -> str:
    """'0.3 s', '12:05'."""
    return f"{seconds:.1f} s" if seconds < 60 else format_seconds(seconds)


def description(groups: Sequence[Group]) -> str:
    """By the experiment's own words; empty for several, and for a file of your own."""
    return about(str(groups[0].seeds[0].stored["experiment"])) if len(groups) == 1 else ""


def scored_tasks(groups: Sequence[Group]) -> str:
    """'test tasks', or 'validation tasks' where settings are to be chosen by the scores."""
    config = groups[0].seeds[0].stored["config"]
    evaluation = (config.get("rl") or config).get("evaluation") or {}
    return "validation tasks" if evaluation.get("held_out") == "val" else "test tasks"


def sentence(groups: Sequence[Group]) -> str:
    """What was trained, on what, for how long."""
    first = groups[0]
    evaluation, scores = first.seeds[0].evaluation, next(iter(first.seeds[0].suites(POLICY).values()))
    if len(groups) > 1:
        names = ", ".join(group.label for group in groups)
        return (
            f"{len(groups)} experiments side by side on the same {len(scores.tasks)} {scored_tasks(groups)}: {names}."
        )
    seeds = ", ".join(str(seed.number) for seed in first.seeds[:20])
    times = duration(float(np.mean([seed.evaluation["training_seconds"] for seed in first.seeds])))
    numbers = f"seed{'s' if len(first.seeds) > 1 else ''} {seeds}"
    adapted = f" after {', '.join(map(str, scores.steps[:12]))} adaptation steps" if len(scores.steps) > 1 else ""
    return (
        f"Meta-trained for {amount(evaluation)} ({times}, {numbers}), then tested on {len(scores.tasks)} "
        f"{scored_tasks(groups)}{adapted}."
    )


def cards(groups: Sequence[Group]) -> list[Card]:
    """The few numbers that stand above all others."""
    chosen = headline(groups)
    name = MEASURES.get(chosen.measure, chosen.measure)
    if len(groups) > 1:
        return [Card(_last(group, POLICY, chosen), f"{group.label}: {name}, adapted") for group in groups[:6]]
    first = groups[0]
    steps = of_seeds(first, POLICY, chosen.suite)[0].steps
    shown = [Card(_last(first, POLICY, chosen), f"{name}, adapted" if len(steps) > 1 else name)]
    if len(steps) > 1:
        shown.insert(0, Card(_text(first, POLICY, chosen, 0), f"{name}, before adaptation"))
    if of_seeds(first, UNTRAINED, chosen.suite):
        shown.append(Card(_last(first, UNTRAINED, chosen), f"{name}, untrained{', adapted' if len(steps) > 1 else ''}"))
    if chosen.measure != "return" and "return" in of_seeds(first, POLICY, chosen.suite)[0].values:
        of_return = chosen._replace(measure="return")
        shown.append(Card(_last(first, POLICY, of_return), "return, adapted" if len(steps) > 1 else "return"))
    return shown


def how_to_read(groups: Sequence[Group]) -> list[str]:
    """What the numbers and intervals are of, and whether it adapts."""
    chosen = headline(groups)
    condition = CONDITIONS.get(chosen.condition, chosen.condition)
    scores = of_seeds(groups[0], POLICY, chosen.suite)
    of = "queries" if "return" not in scores[0].values else "actions"
    over = scored_tasks(groups) + (" and seeds" if len(scores) > 1 else "")
    lines = [f"Mean and 95 % interval over {over}; {condition} {of} unless it says otherwise."]
    if len(groups) == 1 and len(scores[0].steps) > 1 and "return" in scores[0].values:
        values = list(np.array([s.of(chosen.condition, "return") for s in scores]).swapaxes(0, 1))
        lines.append(VERDICTS[verdict(values, scores[0].strata or [""] * len(scores[0].tasks))])
        gain = mean_interval(values[-1] - values[0], scores[0].strata or [""] * len(scores[0].tasks))
        lines.append(f"Gain in return, each task compared with itself: {cell('return', gain)}.")
    return lines


def _last(group: Group, policy: str, chosen: Headline) -> str:
    return _text(group, policy, chosen, -1)


def _text(group: Group, policy: str, chosen: Headline, step: int) -> str:
    scores = of_seeds(group, policy, chosen.suite)
    if not scores or chosen.measure not in scores[0].values or chosen.condition not in scores[0].conditions:
        return "-"
    return cell(chosen.measure, over_seeds(scores, chosen.condition, chosen.measure)[step])
