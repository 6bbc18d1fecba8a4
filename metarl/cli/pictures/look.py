"""An agent looked at for a report: it adapts to a few held-out tasks anew, is filmed, and its memory is read."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from metarl.cli.pictures.film import Film
from metarl.cli.pictures.rendering import Frame, webp
from metarl.errors import UserError
from metarl.experiment import RLExperiment
from metarl.fewshot.data.source import class_names
from metarl.fewshot.evaluation import held_out_task
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.explain import answers_by_class, draw, explain
from metarl.learner import RLBehaviour, ShowsMemory
from metarl.report.figures import memory_figure
from metarl.report.page import Picture, Section, Table, data_uri
from metarl.report.results import MOST_TASKS, Ranked
from metarl.report.seen import Seen
from metarl.rollout.collect import collect_episodes
from metarl.runs.log import say
from metarl.runs.progress_bar import progress_bar
from metarl.scores.format import with_unit
from metarl.scores.rl import Mode, adapt_and_test
from metarl.seeding import Stream
from metarl.tasks import Replays
from metarl.types import Task

SIZE = 200
"""Height of a film, pixels: two beside each other are as wide as a phone."""
MOST_FRAMES = 50
FRAMES_PER_SECOND = 10.0
MODE: Mode = "deterministic"


def look_at(
    experiment: Any, ranked: Ranked, *, seed: int, films: bool, backend: str | None = None, label: str = ""
) -> Seen:
    """`ranked`: the tasks as the run's evaluation has them. `films`: draw episodes, too. `label`: of one of several."""
    if isinstance(experiment, RLExperiment):
        return _look_at_episodes(experiment, ranked, seed=seed, films=films, backend=backend, label=label)
    if isinstance(experiment, FewShotExperiment):
        return Seen(sections=[_few_shot_episode(experiment, ranked, label)])
    return Seen()


def _look_at_episodes(
    experiment: RLExperiment, ranked: Ranked, *, seed: int, films: bool, backend: str | None, label: str
) -> Seen:
    behaviour = experiment.learner.behaviour()
    by_id = {task.id: task for task in experiment.tasks.meta_test()}
    kinds = {kind: ranked.task(number) for kind, number in ranked.extremes.items()}
    kinds = {kind: name for kind, name in kinds.items() if name in by_id}
    shown = [by_id[name] for name in kinds.values()]
    if not shown:
        others = "No videos: the tasks that it was evaluated on are not those of its experiment as it is now."
        return Seen(sections=[Section(title=_title("Before and after", label), text=[others])])
    sections: list[Section] = []
    pictures: dict[str, Picture] = {}
    filmed: dict[str, list[Frame]] = {}
    if films:
        worst = [by_id[n] for i in ranked.order[:MOST_TASKS].tolist() if (n := ranked.task(i)) in by_id]
        tasks = shown + [task for task in worst if task not in shown]
        film_section, pictures, filmed = _films(experiment, behaviour, tasks, list(kinds), seed, backend, label)
        sections.append(film_section)
    if isinstance(behaviour, ShowsMemory):
        sections.append(_memory(experiment, behaviour, behaviour, shown, list(kinds), seed, label))
    return Seen(sections=sections, pictures=pictures, films=filmed)


def _title(title: str, label: str) -> str:
    return f"{title}: {label}" if label else title


def _films(
    experiment: RLExperiment,
    behaviour: RLBehaviour,
    tasks: list[Task],
    kinds: list[str],
    seed: int,
    backend: str | None,
    label: str,
) -> tuple[Section, dict[str, Picture], dict[str, list[Frame]]]:
    """Of the first tasks, one of each kind; and a picture of the end of every task's episode."""
    title, evaluation = _title("Before and after", label), experiment.settings.evaluation
    if not isinstance(experiment.tasks, Replays):
        return Section(title=title, text=[f"No videos: {experiment.tasks.name} has no picture of itself."]), {}, {}
    with progress_bar("adapting to some held-out tasks"):
        result = adapt_and_test(
            experiment.pool,
            behaviour,
            tasks,
            rounds=evaluation.adaptation_rounds,
            episodes=evaluation.adaptation_episodes,
            test_episodes=1,
            seed=(seed, Stream.EVALUATE),
            modes=[MODE],
            same_start=True,
        )
    film = Film(experiment.tasks, tasks, result, MODE, backend)
    try:
        with progress_bar("drawing"):
            filmed = {kind: _film(film, number) for number, kind in enumerate(kinds)}
            films = [_picture(film, number, kind, frames) for number, (kind, frames) in enumerate(filmed.items())]
            pictures = {task.id: _end(film, number, task) for number, task in enumerate(tasks)}
    except UserError as error:
        say(f"no videos: {error}", sys.stderr)
        return Section(title=title, text=[f"No videos: {error}."]), {}, {}
    several = evaluation.adaptation_rounds > 0
    text = "Left before adaptation, right after it, with the mean action."
    if not several:
        text = "An episode of each, with the mean action."
    return Section(title=title if several else _title("Episodes", label), text=[text], pictures=films), pictures, filmed


def _film(film: Film, number: int) -> list[Frame]:
    """Before and after beside each other, where there is adaptation."""
    every = _every(film, number)
    after = film.frames(number, round=-1, size=SIZE, every=every)
    if film.rounds == 0:
        return after
    return _side_by_side(film.frames(number, round=0, size=SIZE, every=every), after)


def _every(film: Film, number: int) -> int:
    return -(-max(film.steps(number, round=k) for k in (0, -1)) // MOST_FRAMES)


def _picture(film: Film, number: int, kind: str, frames: list[Frame]) -> Picture:
    caption, every = film.outcome(number, round=-1), _every(film, number)
    if film.rounds:
        caption = f"before: {film.outcome(number, round=0)}; after: {caption}"
    return Picture(
        title=f"{kind}: {film.shown[number].id}",
        source=data_uri(webp(frames, frames_per_second=FRAMES_PER_SECOND), "image/webp"),
        still=data_uri(webp(frames[-1:]), "image/webp"),
        caption=f"{caption}. Every {every} steps." if every > 1 else f"{caption}.",
    )


def _side_by_side(left: list[Frame], right: list[Frame]) -> list[Frame]:
    """The shorter one's last frame stays; a grey line between them."""
    line = np.full((len(left[0]), 2, 3), 128, np.uint8)
    length = max(len(left), len(right))
    left, right = (frames + frames[-1:] * (length - len(frames)) for frames in (left, right))
    return [np.concatenate([a, line, b], axis=1) for a, b in zip(left, right, strict=True)]


def _end(film: Film, number: int, task: Task) -> Picture:
    frames = film.frames(number, round=-1, size=96, every=film.steps(number, round=-1))
    return Picture(title=f"the end of an episode of {task.id}", source=data_uri(webp(frames[-1:]), "image/webp"))


def _memory(
    experiment: RLExperiment,
    behaviour: RLBehaviour,
    shows: ShowsMemory,
    tasks: list[Task],
    kinds: list[str],
    seed: int,
    label: str,
) -> Section:
    evaluation = experiment.settings.evaluation
    episodes = max(2, min(10, evaluation.adaptation_episodes * max(1, evaluation.adaptation_rounds)))
    trials = collect_episodes(
        experiment.pool,
        behaviour,
        tasks,
        [behaviour.prior()] * len(tasks),
        num_episodes=episodes,
        seed=(seed, Stream.EVALUATE, 1),
    )
    memories = [memory.double().numpy() for memory in shows.memories(trials)]
    names = {f"{kind}: {task.id}": memory for kind, task, memory in zip(kinds, tasks, memories, strict=True)}
    ends = trials[0].mask.sum(-1).cumsum(0).tolist()
    text = "Where the lines part, the memory tells the tasks apart; where they stay together it has not found out yet."
    figures = [memory_figure(names, ends)] if len(names) > 1 else []
    return Section(title=_title("Memory over a trial", label), text=[text] if figures else [], figures=figures)


def _few_shot_episode(experiment: FewShotExperiment, ranked: Ranked, label: str) -> Section:
    """The held-out task of middling score: what it was shown, what it answered, what it went by."""
    source, evaluation, behaviour = experiment.source, experiment.evaluation, experiment.learner.behaviour()
    suite, number = ranked.chosen.suite, ranked.order.tolist()[len(ranked.order) // 2]
    data = held_out_task(source, evaluation, suite, number)
    explanation = explain(behaviour, data, mode=evaluation.modes[0])
    measure = "mse" if source.spec.regression else "accuracy"
    scores = {steps: with_unit(measure, score) for steps, score in explanation.scores.items()}
    told = ", ".join(f"after {steps} inner steps {score}" for steps, score in scores.items())
    told = told if len(scores) > 1 else "".join(scores.values())  # a method without inner steps has one score
    text = [f"Suite {suite}, task {number}, the median one; {measure} {told}."]
    table, names = None, None
    if not source.spec.regression:
        names = class_names(source, data.task)
        rows = [
            (row.name, f"{row.right} of {row.queries}", ", ".join(f"{name} ({n})" for name, n in row.taken_for))
            for row in answers_by_class(explanation, names)
        ]
        table = Table(("class", "right", "taken for"), rows)
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw(explanation, behaviour, Path(folder), queries=5, names=names)
        pictures = [Picture(DRAWN[path.stem], data_uri(path.read_bytes(), "image/png")) for path in drawn]
    return Section(title=_title("One episode of few-shot learning", label), text=text, pictures=pictures, table=table)


DRAWN = {
    "answers": "support, queries and answers",
    "attention": "attention",
    "nearest": "what a query resembles most",
    "layers": "how far layers moved",
    "fit": "the fit",
}
