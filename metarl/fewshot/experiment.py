"""A few-shot experiment for the one trainer: data from an EpisodeSource instead of a rollout pool."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from metarl.errors import UserError
from metarl.experiment import check_members
from metarl.fewshot.data.source import SPLITS, EpisodeSource, HasClasses
from metarl.fewshot.evaluation import (
    FewShotEvaluationConfig,
    draw_held_out,
    few_shot_evaluate,
    pack_episodes,
)
from metarl.fewshot.learner import FewShotBehaviour, FewShotLearner
from metarl.fewshot.out_of_scope import Rejection
from metarl.learner import MetaLearner
from metarl.scores.report import Report
from metarl.scores.table import Evaluation
from metarl.seeding import SeedKey, numpy_rng
from metarl.types import Metrics, Task, TaskData


class FewShotExperiment:
    """Implements `metarl.experiment.Experiment`."""

    def __init__(
        self,
        *,
        source: EpisodeSource,
        make_learner: Callable[[], FewShotLearner],
        evaluation: FewShotEvaluationConfig,
        method_config: Any = None,
    ) -> None:
        """`method_config`: the learner's, by which `FewShotClassifier` stores it."""
        self.source, self.evaluation, self.method_config = source, evaluation, method_config
        self._make_learner = make_learner
        self.learner = make_learner()
        check_members(source, EpisodeSource, what="the data")
        check_members(self.learner, MetaLearner, what="the method")
        check_members(self.learner.behaviour(), FewShotBehaviour, what="the method's behaviour")
        for suite in evaluation.suites:
            self.check_suite(suite)  # now, not after the training
        measure = "mse" if source.spec.regression else "accuracy"
        self.report = Report(
            columns=("meta_loss", f"{measure}/post", "grad_norm"),
            condition="queries",
            measures=(measure, *(field.name for field in dataclasses.fields(Rejection))),
            note="" if evaluation.held_out == "test" else f" ({evaluation.held_out} classes)",
        )

    def check_suite(self, suite: str) -> None:
        """Raises UserError for a suite that the data or the learner do not allow."""
        (task, *_) = draw_held_out(self.source, self.evaluation, suite, 1, rng=numpy_rng((0,)))
        try:
            json.dumps(pack_episodes([task]))
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"the params of a task of suite {suite!r} cannot be stored ({error}); give plain numbers, texts "
                "and lists of them"
            ) from error
        ways, most = len(task.params.get("classes", ())), self.learner.behaviour().max_ways
        if most is not None and ways > most:
            raise UserError(
                f"suite {suite!r} has {ways} classes, but the head was built for {most}; train with --ways {ways}, "
                "or leave the suite out"
            )

    def data_state(self) -> dict[str, dict[str, int]]:
        """What a checkpoint keeps of the data: the examples of each class in every split that has some."""
        if not isinstance(self.source, HasClasses):
            return {}
        sizes = {split: self.source.class_sizes(split) for split in SPLITS}
        return {split: classes for split, classes in sizes.items() if classes}

    def check_data(self, trained: Mapping[str, Mapping[str, int]], *, may_differ: bool = False) -> None:
        """Raises UserError where held-out tasks may have a class that a run was `trained` on, its `data_state`.

        So it does where the data are others altogether, as of a file that has changed, unless they `may_differ`.
        """
        now = self.data_state()
        if not now or not trained:
            return
        try:
            msgspec.convert(trained, dict[str, dict[str, int]])
        except msgspec.ValidationError as error:
            raise UserError(
                f"the checkpoint does not say which classes it was trained on ({error}); use another"
            ) from error
        for split in SPLITS:
            before, after = trained.get(split, {}), now.get(split, {})
            if before != after and not may_differ:
                differ = sorted(set(after.items()) ^ set(before.items()))
                raise UserError(
                    f"the data are not those that the run was trained on: its {split} split had {len(before)} classes "
                    f"and now has {len(after)}, and class {differ[0][0]!r} is another; bring back the files, and "
                    "--val-share, as they were"
                )
        held_out = now.get("test", {}).keys() | now.get("val", {}).keys()
        if common := held_out & trained.get("train", {}).keys():
            raise UserError(
                f"class {min(common)!r} would be tested on, and {len(common) - 1} more, but the run was trained on "
                "it; leave the settings of the data as they were"
            )

    def sample_tasks(self, num_tasks: int, *, rng: np.random.Generator, iteration: int = 0) -> list[Task]:
        return self.source.sample_tasks(num_tasks, split="train", rng=rng)

    def collect(self, tasks: Sequence[Task], *, seed: SeedKey) -> list[TaskData]:
        return self.source.data(tasks, rng=numpy_rng(seed))

    def env_steps(self, batch: Sequence[TaskData]) -> int:
        return 0

    def batch_metrics(self, batch: Sequence[TaskData]) -> Metrics:
        """The learner's own metrics hold the query accuracy."""
        return {}

    def evaluate(self, *, seed: SeedKey) -> Evaluation:
        """On tasks that follow from the evaluation's own seed: the same for all runs."""
        return few_shot_evaluate(self.learner.behaviour(), self.source, self.evaluation)

    def evaluate_untrained(self, *, seed: SeedKey) -> Evaluation:
        return few_shot_evaluate(self._make_learner().behaviour(), self.source, self.evaluation)

    def evaluate_on_training_tasks(self, *, seed: SeedKey) -> None:
        """Not offered: a training class seen in a new episode says little that the training accuracy does not."""

    def close(self) -> None:
        """There is no pool to close."""
