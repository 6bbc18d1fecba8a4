"""The one evaluator: on held-out tasks, test after 0, 1, ..., K adaptation rounds.

Test episodes are counted per task, a fixed quota each. metaworld 3.1.1's evaluator keeps whichever episodes
finish first, and successes finish early: a policy that solves 9 % was reported at 31 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from metarl.config import MAY_DIFFER, WITHOUT_EFFECT, all_fields
from metarl.errors import NonFiniteError
from metarl.learner import RLMetaLearner
from metarl.rollout.collect import collect_episodes
from metarl.rollout.pool import RolloutPool
from metarl.scores.metaworld_compat import KEPT_EPISODES, first_come_success
from metarl.scores.stats import Interval, stratified_bootstrap
from metarl.seeding import SeedKey
from metarl.types import Episodes, Phi, Task
from metarl.validate import check_range

Mode = Literal["stochastic", "deterministic"]
Measure = Literal["return", "success_any", "success_last", "steps_to_success"]
MEASURES: tuple[Measure, ...] = ("return", "success_any", "success_last")
"""Those that a mean makes sense of; `steps_to_success` is 0 where there was none."""


@all_fields(MAY_DIFFER)
@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Meta-World's protocol: 10 adaptation episodes, then 3 test episodes for each held-out goal."""

    adaptation_episodes: int = 10
    """For each adaptation round; never counted as test episodes."""
    test_episodes: int = 3
    """For each task after each round, and for each mode."""
    adaptation_rounds: int = 1
    deterministic_too: bool = True
    """Test with the mean action as well as with sampled ones; adaptation is always sampled."""
    first_come_envs: int | None = field(default=None, metadata={WITHOUT_EFFECT: True})
    """Environments of a class that metaworld 3.1.1's own evaluator would step together (ML1 10, ML10 4, ML45 9); with
    it and `test_episodes=3`, as there, success is also given as that evaluator counts it."""
    first_come_training_envs: int | None = field(default=None, metadata={WITHOUT_EFFECT: True})
    """The same of a class of training tasks, of which there are more, so that fewer stand together (ML10 2)."""
    also_without: tuple[str, ...] = ()
    """Classes of held-out tasks that are trained on as well, with other goals (basketball-v3 in ML25): scores are also
    given without them."""
    training_tasks: int = 0
    """Meta-train tasks, drawn once, that the final evaluation covers as well, in rows of their own."""
    max_tasks: int | None = None
    """Evaluate on the first so many tasks only: for a quick look, not for a result."""

    def __post_init__(self) -> None:
        check_range(self, "adaptation_episodes", low=1)
        check_range(self, "test_episodes", low=1)
        check_range(self, "adaptation_rounds", low=0)
        check_range(self, "first_come_envs", low=1)
        check_range(self, "first_come_training_envs", low=1)
        check_range(self, "training_tasks", low=0)
        check_range(self, "max_tasks", low=1)


@dataclass(frozen=True)
class EvaluationResult:
    """Raw outcomes of each test episode, so that every later statistic can be taken from them."""

    task_ids: list[str]
    strata: list[str]
    """Each task's class (Meta-World env name), or its distribution's name."""
    outcomes: dict[Mode, dict[Measure, NDArray[np.float64]]]
    """(rounds + 1, tasks, test_episodes): row k is after k adaptation rounds."""
    env_steps: int
    first_come: dict[Mode, list[float]]
    """Success after each round as metaworld 3.1.1 counts it (see first_come.py); empty if not asked for."""
    also_without: tuple[str, ...] = ()
    """Strata that were trained on as well: `without_trained` leaves them out."""
    dropped_episodes: int = 0
    """Test episodes left out for a NaN (`drop_episode`); in `outcomes` each has the mean of its task's others, which
    leaves the task's mean as it is without it, and no success in `steps_to_success`."""

    def without_trained(self) -> EvaluationResult | None:
        """The tasks of classes never trained on, None where that is all of them or none.

        The first-come count is of all classes and not given.
        """
        kept = [i for i, stratum in enumerate(self.strata) if stratum not in self.also_without]
        if len(kept) in (0, len(self.strata)):
            return None
        return EvaluationResult(
            task_ids=[self.task_ids[i] for i in kept],
            strata=[self.strata[i] for i in kept],
            outcomes={
                mode: {measure: values[:, kept] for measure, values in by_measure.items()}
                for mode, by_measure in self.outcomes.items()
            },
            env_steps=self.env_steps,
            first_come={},
            dropped_episodes=self.dropped_episodes,
        )

    def curve(self, mode: Mode, measure: Measure) -> list[Interval]:
        """Mean and 95 % interval over tasks, after 0, 1, ... adaptation rounds."""
        per_task = self.outcomes[mode][measure].mean(-1)
        return [stratified_bootstrap(row, self.strata) for row in per_task]

    def metrics(self) -> dict[str, float]:
        """`eval/<mode>/<measure>/<rounds>` of the mean, for the log."""
        corrected = {
            f"eval/{mode}/{measure}/{k}": point.mean
            for mode in self.outcomes
            for measure in MEASURES
            for k, point in enumerate(self.curve(mode, measure))
        }
        compat = {
            f"eval/{mode}/success_first_come/{k}": value
            for mode, values in self.first_come.items()
            for k, value in enumerate(values)
        }
        return corrected | compat

    def to_json(self) -> dict[str, Any]:
        """Summary and raw outcomes as JSON values."""
        return {
            "tasks": self.task_ids,
            "strata": self.strata,
            "also_without": list(self.also_without),
            "dropped_episodes": self.dropped_episodes,
            "env_steps": self.env_steps,
            "success_first_come": self.first_come,
            "summary": {
                mode: {measure: [p._asdict() for p in self.curve(mode, measure)] for measure in MEASURES}
                for mode in self.outcomes
            },
            "outcomes": {
                mode: {measure: values.tolist() for measure, values in by_measure.items()}
                for mode, by_measure in self.outcomes.items()
            },
        }


def meta_evaluate(
    pool: RolloutPool,
    learner: RLMetaLearner,
    tasks: Sequence[Task],
    config: EvaluationConfig,
    *,
    seed: SeedKey,
) -> EvaluationResult:
    """Adapt to each of `tasks` from the prior and test before and after every round; theta is untouched."""
    tasks = tasks[: config.max_tasks]
    modes: tuple[Mode, ...] = ("stochastic", "deterministic") if config.deterministic_too else ("stochastic",)
    rows: dict[Mode, list[list[Episodes]]] = {mode: [] for mode in modes}
    phis: Sequence[Phi] = [learner.prior()] * len(tasks)
    env_steps = pool.stats.env_steps
    for round_index in range(config.adaptation_rounds + 1):
        for mode_index, mode in enumerate(modes):
            rows[mode].append(
                collect_episodes(
                    pool,
                    learner,
                    tasks,
                    phis,
                    num_episodes=config.test_episodes,
                    # test and adaptation episodes never share a seed
                    seed=(*seed, 1 + mode_index, round_index),
                    deterministic=mode == "deterministic",
                    # a memory must not learn from one test episode for the next
                    one_trial=False,
                )
            )
        if round_index < config.adaptation_rounds:
            support = collect_episodes(
                pool,
                learner,
                tasks,
                phis,
                num_episodes=config.adaptation_episodes,
                seed=(*seed, 0, round_index),
            )
            phis = learner.adapt(phis, support)
    strata = [str(task.params.get("env_name", "all")) for task in tasks]
    outcomes: dict[Mode, dict[Measure, NDArray[np.float64]]] = {mode: _outcomes(rows[mode], tasks) for mode in modes}
    return EvaluationResult(
        task_ids=[task.id for task in tasks],
        strata=strata,
        outcomes=outcomes,
        env_steps=pool.stats.env_steps - env_steps,
        first_come={
            mode: [
                first_come_success(
                    steps,
                    strata,
                    envs_per_class=config.first_come_envs,
                    horizon_steps=pool.spec.horizon_steps,
                )
                for steps in outcomes[mode]["steps_to_success"]
            ]
            for mode in modes
            if config.first_come_envs is not None and config.test_episodes == KEPT_EPISODES
        },
        also_without=config.also_without,
        dropped_episodes=sum(int((~e.kept).sum()) for mode in modes for row in rows[mode] for e in row),
    )


def _outcomes(rows: Sequence[Sequence[Episodes]], tasks: Sequence[Task]) -> dict[Measure, NDArray[np.float64]]:
    """Rounds of tasks of episodes -> each measure as (rounds, tasks, episodes)."""

    def table(values: list[list[Any]]) -> NDArray[np.float64]:
        return np.array([[v.numpy().astype(np.float64) for v in row] for row in values])

    kept = np.array([[e.kept.numpy() for e in row] for row in rows])
    for i, task in enumerate(tasks):
        if not kept[:, i].any(-1).all():
            raise NonFiniteError(
                f"all test episodes of task {task.id!r} had a NaN or infinity, so there is nothing to score; "
                "mend the environment"
            )

    def without_dropped(values: NDArray[np.float64]) -> NDArray[np.float64]:
        mean = (values * kept).sum(-1, keepdims=True) / kept.sum(-1, keepdims=True)
        return np.where(kept, values, mean)

    return {
        "return": without_dropped(table([[e.returns_undiscounted() for e in row] for row in rows])),
        "success_any": without_dropped(table([[e.success_any() for e in row] for row in rows])),
        "success_last": without_dropped(table([[e.success_last() for e in row] for row in rows])),
        "steps_to_success": table([[e.steps_to_success() for e in row] for row in rows]),
    }
