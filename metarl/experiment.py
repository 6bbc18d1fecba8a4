"""What an experiment file's `build(config)` returns: a learner, its tasks, and how data and scores come about."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import torch

from metarl.config import MAY_DIFFER, WITHOUT_EFFECT
from metarl.errors import UserError, nearest
from metarl.learner import MetaLearner, RLBehaviour, RLMetaLearner
from metarl.rl.returns import masked_mean
from metarl.rollout.collect import PendingMetaBatch
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.scores.report import Report
from metarl.scores.rl import MEASURES, EvaluationConfig, meta_evaluate
from metarl.scores.table import Evaluation
from metarl.seeding import SeedKey, Stream, numpy_rng
from metarl.tasks import TaskDistribution, check_fits, val_tasks
from metarl.types import Episodes, Metrics, Task, TaskData
from metarl.validate import Checked, Count, Natural

DeviceName = Literal["auto", "cpu", "cuda"]


def resolve_device(name: DeviceName) -> torch.device:
    """`auto` is the GPU where there is one. Raises UserError for `cuda` without a usable GPU."""
    if name not in get_args(DeviceName):
        raise UserError(f"device={name!r} must be {', '.join(get_args(DeviceName))}; take one of those")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError("device='cuda', but torch finds no usable GPU here; use --device cpu or auto")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


@dataclass(frozen=True, kw_only=True)
class TrainerConfig(Checked):
    """Settings of meta-training that every experiment has."""

    seed: Natural = 0
    """Everything random in the run follows from it."""
    iterations: Count = field(default=20, metadata={MAY_DIFFER: True})
    """Meta-updates."""
    meta_batch_size: Count = 10
    """Tasks of one meta-update."""
    eval_every_iterations: Natural = field(default=0, metadata={WITHOUT_EFFECT: True})
    """Evaluate on the held-out tasks before every so many meta-updates; 0: only at the end."""
    log_every_iterations: Count = field(default=1, metadata={WITHOUT_EFFECT: True})
    """Leave a row in metrics.jsonl and on the screen after every so many meta-updates, and after the last."""
    checkpoint_every_iterations: Count = field(default=1, metadata={WITHOUT_EFFECT: True})
    keep_checkpoints: Count = field(default=3, metadata={WITHOUT_EFFECT: True})
    overlap: bool = False
    """Collect the next meta-batch while the learner trains on this one, so that workers and learner are both busy: data
    are then one meta-update old, always, so that a run still repeats to the bit. For meta-RL with worker processes; of
    an agent that adapts in meta-training the first support sets alone are collected ahead."""
    threads: Count = 1
    """Of torch, in the learner. With one, numbers do not depend on a machine's cores, and on a busy machine no thread
    waits for another; more are faster for large batches on idle cores, and round otherwise. Workers always have one."""
    device: DeviceName = field(default="auto", metadata={WITHOUT_EFFECT: True})
    """Where the learner computes; rollouts run on the CPU."""


class Experiment(Protocol):
    """All that the trainer needs to know; the same for meta-RL and for supervised few-shot learning."""

    @property
    def learner(self) -> MetaLearner: ...

    @property
    def report(self) -> Report:
        """How its evaluations are shown."""
        ...

    def sample_tasks(self, num_tasks: int, *, rng: np.random.Generator, iteration: int = 0) -> list[Task]:
        """Of a meta-update."""
        ...

    def collect(self, tasks: Sequence[Task], *, seed: SeedKey) -> Sequence[TaskData]:
        """Support and query data of a meta-batch."""
        ...

    def env_steps(self, batch: Sequence[TaskData]) -> int:
        """Environment steps that went into a batch; 0 for supervised data."""
        ...

    def batch_metrics(self, batch: Sequence[TaskData]) -> Metrics: ...

    def evaluate(self, *, seed: SeedKey) -> Evaluation:
        """Score the learner on the held-out tasks."""
        ...

    def evaluate_untrained(self, *, seed: SeedKey) -> Evaluation:
        """The same for the learner as it was before any meta-training."""
        ...

    def evaluate_on_training_tasks(self, *, seed: SeedKey) -> Evaluation | None:
        """The same for the learner on tasks of the meta-train split; None if that was not asked for."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class CollectsAhead(Protocol):
    """What an experiment offers besides where data come from a behaviour: to collect while the learner trains."""

    def submit(self, tasks: Sequence[Task], *, seed: SeedKey, behaviour: Any = None) -> PendingMetaBatch:
        """As `collect`, with the learner's behaviour of now or another one; the data come at `wait`."""
        ...


@runtime_checkable
class ChecksData(Protocol):
    """What an experiment on a data set offers besides: a run does not go on with other data unnoticed."""

    def data_state(self) -> Mapping[str, Any]:
        """What a checkpoint keeps of the data."""
        ...

    def check_data(self, trained: Mapping[str, Any], *, may_differ: bool = False) -> None:
        """Raises UserError where the data do not go with those of a checkpoint; an older one kept none."""
        ...


@runtime_checkable
class ShowsRun(Protocol):
    """What an experiment offers besides where a finished run has more to show than its report."""

    def show_run(self, run: Path) -> None:
        """Print it, and leave its pictures in the run's directory. It is called once all other files are there."""
        ...


@dataclass(frozen=True, kw_only=True)
class RLSettings(Checked):
    """How a meta-RL experiment collects and evaluates."""

    support_episodes: Count = 10
    """Of one task in one meta-update, for each adaptation round; an agent that keeps a memory has none of those."""
    query_episodes: Count = 10
    """Of one task in one meta-update, with the adapted policy."""
    evaluation: EvaluationConfig = EvaluationConfig()
    pool: PoolConfig = PoolConfig()


REPORT = Report(
    columns=("return/pre", "return/post", "success/pre", "success/post", "kl"), condition="actions", measures=MEASURES
)


class RLExperiment:
    """Meta-RL: episodes from a rollout pool."""

    def __init__(
        self,
        *,
        tasks: TaskDistribution,
        make_learner: Callable[[], RLMetaLearner],
        settings: RLSettings,
        references: Callable[[Sequence[TaskData]], Metrics] = lambda batch: {},
        sample_at: Callable[[int, int, np.random.Generator], list[Task]] | None = None,
        show_run: Callable[[Path], None] = lambda run: None,
    ) -> None:
        """`references` scores other algorithms on a batch's tasks, for the log. `sample_at(iteration, num_tasks, rng)`
        draws the tasks of a meta-update where they change in the course of training; `tasks.sample` if not given.
        `show_run` is `ShowsRun`'s."""
        self.tasks, self.settings, self.references = tasks, settings, references
        self._sample_at = sample_at or (lambda iteration, num_tasks, rng: tasks.sample(num_tasks, rng=rng))
        self.show_run = show_run
        self._make_learner = make_learner
        self.learner = make_learner()
        check_members(tasks, TaskDistribution, what="the task distribution")
        check_members(self.learner, MetaLearner, what="the agent")
        behaviour = self.learner.behaviour()
        check_members(behaviour, RLBehaviour, what="the agent's behaviour")
        _check_fit(behaviour, tasks, settings)
        self.pool = RolloutPool(tasks, settings.pool)
        self._busy_before = 0.0
        self.report = REPORT if settings.evaluation.held_out == "test" else replace(REPORT, note=" (validation tasks)")

    def sample_tasks(self, num_tasks: int, *, rng: np.random.Generator, iteration: int = 0) -> list[Task]:
        return self._sample_at(iteration, num_tasks, rng)

    def collect(self, tasks: Sequence[Task], *, seed: SeedKey) -> list[TaskData]:
        return self.submit(tasks, seed=seed).wait()

    def submit(self, tasks: Sequence[Task], *, seed: SeedKey, behaviour: RLBehaviour | None = None) -> PendingMetaBatch:
        return PendingMetaBatch(
            self.pool,
            behaviour or self.learner.behaviour(),
            tasks,
            support_episodes=self.settings.support_episodes,
            query_episodes=self.settings.query_episodes,
            seed=seed,
        )

    def env_steps(self, batch: Sequence[TaskData]) -> int:
        return sum(episodes.num_steps for data in batch for episodes in (*data.supports, data.query))

    def batch_metrics(self, batch: Sequence[TaskData]) -> Metrics:
        """Return and, where it is measured, success before adaptation (first support set) and after it (query set)."""
        stages = {"pre": [data.supports[0] for data in batch if data.supports], "post": [data.query for data in batch]}
        stages = {stage: episodes for stage, episodes in stages.items() if episodes}
        metrics = {f"return/{stage}": _mean_return(episodes) for stage, episodes in stages.items()}
        success = {f"success/{stage}": _mean_success(episodes) for stage, episodes in stages.items()}
        measured = self.tasks.spec.measures_success
        if measured or (measured is None and any(success.values())):  # a 0 of what nobody measures says nothing
            metrics |= success
        if "pre" in stages:
            metrics["adaptation_gap"] = metrics["return/post"] - metrics["return/pre"]
        busy, before = self.pool.stats.busy_seconds, self._busy_before
        self._busy_before = busy
        # beside seconds/collect and seconds/update: how long the workers had something to do
        metrics["seconds/workers"] = (busy - before) / max(1, self.settings.pool.workers)
        return metrics | self.references(batch)

    def evaluate(self, *, seed: SeedKey) -> Evaluation:
        return self._evaluate(self.learner, seed)

    def evaluate_untrained(self, *, seed: SeedKey) -> Evaluation:
        return self._evaluate(self._make_learner(), seed)

    def evaluate_on_training_tasks(self, *, seed: SeedKey) -> Evaluation | None:
        num_tasks = self.settings.evaluation.training_tasks
        if num_tasks == 0:
            return None
        # their goals are part of the protocol, like the held-out list: the same whatever the run's seed
        tasks = self.tasks.sample(num_tasks, rng=numpy_rng((0, Stream.EVALUATE)))
        evaluation = self.settings.evaluation
        evaluation = replace(evaluation, first_come_envs=evaluation.first_come_training_envs, also_without=())
        return meta_evaluate(self.pool, self.learner.behaviour(), tasks, evaluation, seed=(*seed, len(tasks)))

    def _evaluate(self, learner: RLMetaLearner, seed: SeedKey) -> Evaluation:
        tasks, evaluation = self.tasks.meta_test(), self.settings.evaluation
        if evaluation.held_out == "val":  # what counts as metaworld does, or without a class, is of the test alone
            tasks, evaluation = val_tasks(self.tasks), replace(evaluation, first_come_envs=None, also_without=())
        return meta_evaluate(self.pool, learner.behaviour(), tasks, evaluation, seed=seed)

    def close(self) -> None:
        self.pool.close()


def _check_fit(behaviour: RLBehaviour, tasks: TaskDistribution, settings: RLSettings) -> None:
    """Raise UserError, before any worker starts, where the agent cannot be trained or tested on the tasks."""
    check_fits(behaviour.spec, tasks, made_for="another environment")
    if behaviour.keeps_memory and settings.pool.non_finite == "drop_episode":
        raise UserError(
            "the agent keeps a memory, which would have lived through the episodes that non_finite='drop_episode' "
            "leaves out; fix the environment and take 'raise'"
        )
    if not tasks.meta_test():
        raise UserError(f"{tasks.name} has no held-out tasks (its meta_test() is empty); give it some")
    if settings.evaluation.held_out == "val":
        val_tasks(tasks)


def _mean_return(episodes: Sequence[Episodes]) -> float:
    return float(np.mean([float(masked_mean(e.returns_undiscounted(), e.kept)) for e in episodes]))


def _mean_success(episodes: Sequence[Episodes]) -> float:
    """At any step of the episode."""
    return float(np.mean([float(masked_mean(e.success_any().float(), e.kept)) for e in episodes]))


def check_members(thing: Any, protocol: type, *, what: str) -> None:
    """Raises UserError naming what `thing` lacks of a protocol's properties and methods."""
    bases = [base for base in protocol.__mro__ if base not in (protocol, Protocol, Generic, object)]
    members = {name for base in (protocol, *bases) for name in (*vars(base), *vars(base).get("__annotations__", {}))}
    missing = sorted(name for name in members if not name.startswith("_") and not hasattr(thing, name))
    if missing:
        raise UserError(
            f"{what} {type(thing).__name__} has no {', no '.join(missing)}; {protocol.__name__} in "
            f"{protocol.__module__} says what they are"
        )


@dataclass(frozen=True, kw_only=True)
class Preset:
    """An experiment file lists its presets by name in `PRESETS`."""

    config: Any
    """Of the type that the experiment's config() returns."""
    source: str
    """Whose settings, and where they stand."""
    deviations: tuple[str, ...] = ()
    """Where ours differs from the source, and why."""


@dataclass(frozen=True)
class Variant:
    """One of the experiments that share a file, which has `VARIANTS = {"maml": Variant(...), ...}`."""

    about: str
    """One line."""
    build: Callable[[Any], Any]
    """The experiment of a config."""
    parts: Mapping[str, Any]
    """Of the config, by name: frozen dataclasses."""

    @functools.cached_property
    def Config(self) -> type:
        fields = [(name, type(part), field(default=part)) for name, part in self.parts.items()]
        return make_dataclass("Config", fields, frozen=True, kw_only=True)

    def config(self) -> Any:
        return self.Config()


def presets_of(module: ModuleType) -> dict[str, Preset]:
    """The named settings that an experiment file brings along, by name."""
    return vars(module).get("PRESETS", {})


def find_preset(module: ModuleType, name: str) -> Preset:
    """Raises UserError with the nearest name."""
    presets = presets_of(module)
    if name not in presets:
        known = f"it has {', '.join(presets)}" if presets else "it has none, so leave --preset out"
        raise UserError(f"unknown preset {name!r} of {module.__name__}{nearest(name, presets)}; {known}")
    return presets[name]
