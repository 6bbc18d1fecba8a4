"""The one evaluator: on held-out tasks, test after 0, 1, ..., K adaptation rounds.

Test episodes are counted per task, a fixed quota each. metaworld 3.1.1's evaluator keeps whichever episodes
finish first, and successes finish early: a policy that solves 9 % was reported at 31 %.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from metarl.config import MAY_DIFFER, WITHOUT_EFFECT, all_fields
from metarl.errors import NonFiniteError
from metarl.learner import RLBehaviour
from metarl.progress import tell_progress
from metarl.rl.returns import masked_mean
from metarl.rollout.collect import collect_episodes
from metarl.rollout.pool import RolloutPool
from metarl.scores.format import CONDITIONS
from metarl.scores.metaworld_compat import KEPT_EPISODES, first_come_success
from metarl.scores.table import Evaluation, Scores, without_trained
from metarl.seeding import SeedKey
from metarl.types import Episodes, Metrics, Phi, Task
from metarl.validate import Checked, Count, Natural

Mode = Literal["stochastic", "deterministic"]


@all_fields(MAY_DIFFER)
@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Checked):
    """Meta-World's protocol: 10 adaptation episodes, then 3 test episodes for each held-out goal."""

    adaptation_episodes: Count = 10
    """For each adaptation round; never counted as test episodes."""
    test_episodes: Count = 3
    """For each task after each round, and for each mode."""
    adaptation_rounds: Natural = 1
    deterministic_too: bool = True
    """Test with the mean action as well as with sampled ones; adaptation is always sampled."""
    first_come_envs: Count | None = field(default=None, metadata={WITHOUT_EFFECT: True})
    """Environments of a class that metaworld 3.1.1's own evaluator would step together (ML1 10, ML10 4, ML45 9); with
    it and `test_episodes=3`, as there, success is also given as that evaluator counts it."""
    first_come_training_envs: Count | None = field(default=None, metadata={WITHOUT_EFFECT: True})
    """The same of a class of training tasks, of which there are more, so that fewer stand together (ML10 2)."""
    also_without: tuple[str, ...] = ()
    """Classes of held-out tasks that are trained on as well, with other goals (basketball-v3 in ML25): scores are also
    given without them."""
    training_tasks: Natural = 0
    """Meta-train tasks, drawn once, that the final evaluation covers as well, in rows of their own."""
    held_out: Literal["test", "val"] = "test"
    """Which are scored: choose settings by val (`tasks.val_tasks`), that test stays what nothing was chosen by."""
    log_classes: bool = False
    """Leave each class's success, at any step after the last round, in metrics.jsonl as well."""
    max_tasks: Count | None = None
    """Evaluate on so many tasks only, evenly from their classes: for a quick look, not for a result."""


@dataclass(frozen=True)
class Adaptation:
    """What became of a behaviour on some tasks."""

    phis: list[list[Phi]]
    """After 0, 1, ..., K adaptation rounds, of each task."""
    tests: dict[Mode, list[list[Episodes]]]
    """By kind of action, test episodes after each number of rounds, of each task."""
    test_seeds: dict[Mode, list[SeedKey]]
    """Of the rollout jobs behind them, without the task's place."""
    env_steps: int

    def returns(self, mode: Mode, task: int = 0) -> list[float]:
        """Mean return of one task's test episodes after each number of rounds."""
        tests = [row[task] for row in self.tests[mode]]
        return [float(masked_mean(e.returns_undiscounted(), e.kept)) for e in tests]

    def success(self, mode: Mode, task: int = 0) -> list[float]:
        """As `returns`, of success at any step."""
        tests = [row[task] for row in self.tests[mode]]
        return [float(masked_mean(e.success_any().float(), e.kept)) for e in tests]


def adapt_and_test(
    pool: RolloutPool,
    behaviour: RLBehaviour,
    tasks: Sequence[Task],
    *,
    rounds: int,
    episodes: int,
    test_episodes: int,
    modes: Sequence[Mode],
    seed: SeedKey,
    same_start: bool = False,
) -> Adaptation:
    """Test, then adapt on `episodes` episodes of each task and test again, `rounds` times; theta is untouched.

    With `same_start` the test episodes start alike after each number of rounds, to be looked at beside each other.
    """
    before = pool.stats.env_steps
    phis: list[list[Phi]] = [[behaviour.prior()] * len(tasks)]
    tests: dict[Mode, list[list[Episodes]]] = {mode: [] for mode in modes}
    # test and adaptation episodes never share a seed
    seeds: dict[Mode, list[SeedKey]] = {
        mode: [(*seed, 1 + i, 0 if same_start else k) for k in range(rounds + 1)] for i, mode in enumerate(modes)
    }
    done, total = 0, (rounds + 1) * len(modes) * test_episodes + rounds * episodes
    for k in range(rounds + 1):
        for mode in modes:
            tests[mode].append(
                collect_episodes(
                    pool,
                    behaviour,
                    tasks,
                    phis[-1],
                    num_episodes=test_episodes,
                    seed=seeds[mode][k],
                    deterministic=mode == "deterministic",
                    # a memory must not learn from one test episode for the next
                    one_trial=False,
                )
            )
            tell_progress((done := done + test_episodes) / total)
        if k < rounds:
            support = collect_episodes(
                pool, behaviour, tasks, phis[-1], num_episodes=episodes, seed=(*seed, 0, k), exploring=True
            )
            phis.append(behaviour.adapt(phis[-1], support))
            tell_progress((done := done + episodes) / total)
    return Adaptation(phis, tests, seeds, pool.stats.env_steps - before)


def meta_evaluate(
    pool: RolloutPool,
    behaviour: RLBehaviour,
    tasks: Sequence[Task],
    config: EvaluationConfig,
    *,
    seed: SeedKey,
) -> Evaluation:
    """Adapt to each of `tasks` from the prior and test before and after every round; theta is untouched."""
    tasks = evenly(tasks, config.max_tasks)
    modes: tuple[Mode, ...] = ("stochastic", "deterministic") if config.deterministic_too else ("stochastic",)
    found = adapt_and_test(
        pool,
        behaviour,
        tasks,
        rounds=config.adaptation_rounds,
        episodes=config.adaptation_episodes,
        test_episodes=config.test_episodes,
        modes=modes,
        seed=seed,
    )
    scores = Scores(
        values=_outcomes([found.tests[mode] for mode in modes], tasks),
        conditions=modes,
        steps=tuple(range(config.adaptation_rounds + 1)),
        tasks=tuple(task.id for task in tasks),
        strata=tuple(task.stratum or "all" for task in tasks),
    )
    dropped = sum(int((~e.kept).sum()) for rows in found.tests.values() for row in rows for e in row)
    counted = _first_come(scores, config, horizon_steps=pool.spec.horizon_steps)
    return Evaluation(
        suites={"": scores, **without_trained(scores, config.also_without)},
        notes=tuple(_notes(dropped, counted)),
        logged={
            f"eval/{mode}/success_first_come/{k}": value
            for mode, values in counted.items()
            for k, value in enumerate(values)
        }
        | (_success_by_class(scores) if config.log_classes else {}),
        record={
            "env_steps": found.env_steps,
            "dropped_episodes": dropped,
            "success_first_come": counted,
            "measures_success": pool.spec.measures_success,
        },
    )


MEASURES = ("return", "success_any", "success_last")
"""What an evaluation scores, besides what tells when a success came."""


def _success_by_class(scores: Scores) -> Metrics:
    """As `of_class` names them."""
    labels = np.array(scores.strata)
    return {
        of_class(condition, name): float(scores.of(condition, "success_any")[-1][labels == name].mean())
        for condition in scores.conditions
        for name in dict.fromkeys(scores.strata)
    }


def of_class(condition: str, name: str) -> str:
    """The metric of a class's success in the log."""
    return f"eval/{condition}/success_of/{name}"


def _first_come(scores: Scores, config: EvaluationConfig, *, horizon_steps: int) -> dict[str, list[float]]:
    """By condition, success after each round as metaworld 3.1.1 counts it; empty if not asked for."""
    if config.first_come_envs is None or config.test_episodes != KEPT_EPISODES:
        return {}
    return {
        condition: [
            first_come_success(steps, scores.strata, envs_per_class=config.first_come_envs, horizon_steps=horizon_steps)
            for steps in by_round
        ]
        for condition, by_round in zip(scores.conditions, scores.values["steps_to_success"], strict=True)
    }


def _notes(dropped: int, counted: dict[str, list[float]]) -> Iterator[str]:
    if dropped:
        yield f"{dropped} test episodes had a NaN and are left out"
    if counted:
        last = ", ".join(f"{CONDITIONS[condition]} {values[-1]:.0%}" for condition, values in counted.items())
        yield (
            "as metaworld 3.1.1 counts, which keeps the episodes that end first and so favours easy goals (biased "
            f"upwards): {last}"
        )


def evenly(tasks: Sequence[Task], most: int | None) -> list[Task]:
    """At most so many of the tasks, in their order: the first of each stratum, then the second of each, and so on."""
    if most is None:
        return list(tasks)
    seen: Counter[str] = Counter()
    places = []
    for index, task in enumerate(tasks):
        places.append((seen[task.stratum], index))
        seen[task.stratum] += 1
    return [tasks[index] for index in sorted(index for _, index in sorted(places)[:most])]


def _outcomes(
    by_condition: Sequence[Sequence[Sequence[Episodes]]], tasks: Sequence[Task]
) -> dict[str, NDArray[np.float64]]:
    """Conditions of rounds of tasks of episodes -> each measure as (C, K, B, N).

    An episode that was left out for a NaN (`drop_episode`) has the mean of its task's others, which leaves the task's
    mean as it is without it, and no success in `steps_to_success`.
    """

    def table(of: Callable[[Episodes], Tensor]) -> NDArray[np.float64]:
        return np.array([[[of(e).numpy().astype(np.float64) for e in row] for row in rows] for rows in by_condition])

    kept = table(lambda e: e.kept).astype(bool)
    for i, task in enumerate(tasks):
        if not kept[:, :, i].any(-1).all():
            raise NonFiniteError(
                f"all test episodes of task {task.id!r} had a NaN or infinity, so there is nothing to score; "
                "fix the environment"
            )

    def without_dropped(values: NDArray[np.float64]) -> NDArray[np.float64]:
        mean = (values * kept).sum(-1, keepdims=True) / kept.sum(-1, keepdims=True)
        return np.where(kept, values, mean)

    return {
        "return": without_dropped(table(Episodes.returns_undiscounted)),
        "success_any": without_dropped(table(Episodes.success_any)),
        "success_last": without_dropped(table(Episodes.success_last)),
        "steps_to_success": table(Episodes.steps_to_success),
    }
