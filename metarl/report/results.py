"""What the policies scored on the held-out tasks: curves, a table of all numbers, and the tasks, worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metarl.records.compare import POLICY, Group
from metarl.records.side_by_side import UNTRAINED
from metarl.report.drawing import Figure
from metarl.report.figures import adaptation_figure, classes_figure, scores_figure
from metarl.report.page import Picture, Section, Table
from metarl.report.words import MEASURES, Headline, headline, how_to_read, of_seeds, scored_tasks, succeeds
from metarl.scores.format import CONDITIONS, cell, number
from metarl.scores.plots import COLORS, PLOTTED
from metarl.scores.table import Scores, over_seeds

MOST_FIGURES = 12
MOST_TASKS = 8
MOST_ROWS = 300
MOST_CLASSES = 50


class Curve(NamedTuple):
    """Of one policy of one group."""

    label: str
    group: Group
    policy: str


def curves_of(groups: Sequence[Group]) -> list[Curve]:
    """All policies of one group; of several the meta-trained ones and the first one's beginning."""
    if len(groups) == 1:
        found = [Curve(policy, groups[0], policy) for policy in groups[0].seeds[0].evaluation["policies"]]
    else:
        found = [Curve(group.label, group, POLICY) for group in groups[: len(COLORS) - 1]]
        found.append(Curve(f"untrained, as {groups[0].label}", groups[0], UNTRAINED))
    return found[: len(COLORS)]


def adaptation_section(groups: Sequence[Group]) -> Section:
    """Scores after each number of adaptation steps, as curves."""
    return Section(
        title=f"{'Adaptation to' if _adapts(groups) else 'Scores on'} the {scored_tasks(groups)}",
        text=how_to_read(groups),
        figures=list(_figures(groups))[:MOST_FIGURES],
    )


def _adapts(groups: Sequence[Group]) -> bool:
    return any(len(scores.steps) > 1 for group in groups for scores in group.seeds[0].suites(POLICY).values())


def _figures(groups: Sequence[Group]) -> Iterator[Figure]:
    curves = curves_of(groups)
    numbers = {curve.label: i for i, curve in enumerate(curves)}
    for suite, first in groups[0].seeds[0].suites(POLICY).items():
        for measure in _measures(first, groups):
            for condition in first.conditions if measure in PLOTTED else ():
                shown = {}
                for curve in curves:
                    scores = of_seeds(curve.group, curve.policy, suite)
                    if scores and measure in scores[0].values and condition in scores[0].conditions:
                        shown[curve.label] = over_seeds(scores, condition, measure)
                kind = CONDITIONS.get(condition, condition)
                title = ", ".join(filter(None, (suite, MEASURES.get(measure, measure), _of(kind, first))))
                if max(map(len, shown.values())) == 1:
                    yield scores_figure(title, measure, PLOTTED[measure], shown, numbers)
                    continue
                most = max(shown.values(), key=len)
                steps = first.steps if len(most) == len(first.steps) else range(len(most))
                yield adaptation_figure(title, measure, PLOTTED[measure], steps, shown, numbers)


def _of(condition: str, scores: Scores) -> str:
    return f"{condition} actions" if "return" in scores.values else f"{condition} queries"


def _measures(scores: Scores, groups: Sequence[Group]) -> list[str]:
    """Success first, and only where it is measured."""
    known = succeeds(groups)
    found = [measure for measure in scores.measures if known or not measure.startswith("success")]
    return sorted(found, key=lambda measure: not measure.startswith("success"))


def scores_section(groups: Sequence[Group]) -> Section:
    """Every number: a row for each policy, suite, condition and number of steps."""
    names = list(dict.fromkeys(m for s in groups[0].seeds[0].suites(POLICY).values() for m in _measures(s, groups)))
    rows = []
    for curve in curves_of(groups):
        for suite in groups[0].seeds[0].suites(POLICY):
            scores = of_seeds(curve.group, curve.policy, suite)
            for condition in scores[0].conditions if scores else ():
                by_measure = {m: over_seeds(scores, condition, m) for m in names if m in scores[0].values}
                for k, step in enumerate(scores[0].steps):
                    cells = [cell(m, by_measure[m][k]) if m in by_measure else "" for m in names]
                    kind = ", ".join(filter(None, (suite, CONDITIONS.get(condition, condition))))
                    rows.append((curve.label, kind, str(step), *cells))
    notes = [
        f"{policy}: {note}."
        for group in groups
        for seed in group.seeds
        for policy, found in seed.evaluation["policies"].items()
        for note in found.get("notes", [])
    ]
    headings = ("policy", "with", "steps", *(MEASURES.get(m, m) for m in names))
    return Section(
        title="All scores", text=list(dict.fromkeys(notes))[:20], table=Table(headings, rows[:MOST_ROWS]), folded=True
    )


class Ranked(NamedTuple):
    """The held-out tasks from the worst to the best after the last step; of several seeds by their mean."""

    chosen: Headline
    scores: list[Scores]
    order: NDArray[np.intp]
    """Numbers of the tasks."""

    @property
    def extremes(self) -> dict[str, int]:
        """The best, the median and the worst task; fewer where there are fewer."""
        worst_first = self.order.tolist()
        found = {"best": worst_first[-1], "median": worst_first[len(worst_first) // 2], "worst": worst_first[0]}
        return {name: task for i, (name, task) in enumerate(found.items()) if task not in list(found.values())[:i]}

    def task(self, number: int) -> str:
        return self.scores[0].tasks[number]

    def mean(self, measure: str, step: int) -> NDArray[np.float64]:
        """(tasks,)"""
        return np.mean([scores.of(self.chosen.condition, measure)[step] for scores in self.scores], axis=0)


def rank(group: Group, chosen: Headline) -> Ranked:
    """Ties of a success by the return."""
    scores = of_seeds(group, POLICY, chosen.suite)
    ranked = Ranked(chosen, scores, np.arange(len(scores[0].tasks)))
    by = [ranked.mean(m, -1) for m in ("return", chosen.measure) if m in scores[0].values]
    if chosen.measure == "mse":
        by = [-values for values in by]
    return ranked._replace(order=np.lexsort(by))


def tasks_section(groups: Sequence[Group], pictures: Mapping[str, Picture]) -> Section:
    """Of the first group, worst first; with a picture of those that have one."""
    ranked = rank(groups[0], headline(groups))
    scores = ranked.scores[0]
    # two columns: on a phone there is no room for more
    measures = list(dict.fromkeys([ranked.chosen.measure, *(m for m in ("return",) if m in scores.values)]))
    several = len(scores.steps) > 1
    before = {m: ranked.mean(m, 0) for m in measures} if several else {}
    after = {m: ranked.mean(m, -1) for m in measures}
    drawn = any(name in scores.tasks for name in pictures)
    rows: list[tuple[str | Picture, ...]] = []
    shown = ranked.order[:MOST_TASKS].tolist()
    others = [task for task in ranked.extremes.values() if task not in shown]
    for task in [*shown, *sorted(others, key=ranked.order.tolist().index)]:
        cells = [_before_and_after(m, before, after, task) for m in measures]
        name = ranked.task(task)
        rows.append((*([pictures.get(name, "")] if drawn else []), name, *cells))
    headings = (*([""] if drawn else []), "task", *(MEASURES[m] for m in measures))
    left = len(ranked.order) - len(rows)
    note = f"The worst {len(shown)} of {len(ranked.order)}" + (", the median and the best one." if left else ".")
    note += " Before → after adaptation." if several else ""
    note += " A picture is the end of an episode after adaptation." if drawn else ""
    return Section(title="Tasks, worst first", figures=_by_class(ranked), table=Table(headings, rows, note))


def _before_and_after(
    measure: str, before: Mapping[str, NDArray[np.float64]], after: Mapping[str, NDArray[np.float64]], task: int
) -> str:
    last = _mean_text(measure, after[measure][task])
    return f"{_mean_text(measure, before[measure][task])} → {last}" if before else last


def _mean_text(measure: str, value: float) -> str:
    return f"{value:.0%}" if measure.startswith("success") else number(measure, value)


def _by_class(ranked: Ranked) -> list[Figure]:
    """Where there are several classes of tasks."""
    strata = np.array(ranked.scores[0].strata)
    names = list(dict.fromkeys(strata.tolist()))[:MOST_CLASSES]
    if len(names) < 2:
        return []
    measure = ranked.chosen.measure
    after = ranked.mean(measure, -1)
    means = {name: float(after[strata == name].mean()) for name in names}
    worst_first = {name: means[name] for name in sorted(means, key=lambda name: means[name])}
    return [classes_figure("by class of tasks", worst_first, PLOTTED.get(measure, measure))]
