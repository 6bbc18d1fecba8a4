"""The one meta-training loop."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any

from metarl.errors import UserError
from metarl.experiment import ChecksData, CollectsAhead, Experiment, TrainerConfig
from metarl.learner import KeepsReplay
from metarl.progress import heard_by
from metarl.rollout.collect import PendingMetaBatch
from metarl.runs.checkpoint import iterations_of, load_latest, save_checkpoint
from metarl.runs.directory import RunDirectory
from metarl.runs.load import check_state, load_learner
from metarl.runs.log import EVALUATED_AT, Console, MetricsLog, format_seconds
from metarl.runs.published import PUBLISHED
from metarl.runs.stop import Stopped, StopSignal
from metarl.runs.stored_batches import StoredBatches
from metarl.seeding import SeedKey, Stream, numpy_rng
from metarl.trackers.tracker import Trackers
from metarl.types import Task, TaskData


class Trainer:
    """Meta-trains an experiment's learner, and can go on from its last checkpoint bit for bit.

    All randomness follows from (seed, iteration), so a checkpoint is the learner's state and two counters.
    """

    def __init__(
        self, experiment: Experiment, config: TrainerConfig, run: RunDirectory, *, trackers: Trackers | None = None
    ) -> None:
        self.experiment, self.config, self.run_directory = experiment, config, run
        self._trackers = trackers
        self.iteration = 0
        """Meta-updates done."""
        self.env_steps = 0
        self.seconds = 0.0
        """Wall-clock of all iterations, evaluation left out, over all resumptions."""
        self._behind: dict[str, Any] | None = None
        """With `overlap`, the learner's state before the last meta-update: the next batch was collected with it."""
        self._saved_at = -1
        learner = experiment.learner
        self._batches = (
            StoredBatches(run.replay_path, capacity=learner.replay_capacity, takes_memory=not learner.replay_is_on_disk)
            if isinstance(learner, KeepsReplay)
            else None
        )
        self._replay_batches: dict[int, int | None] = {}
        """At each checkpoint's iteration, of how many latest batches the replay was; see `KeepsReplay`."""
        self._rows: int | None = None
        """Of metrics.jsonl when the checkpoint was saved; None in older ones."""
        self._updating_since: float | None = None
        self._update_seconds = 0.0
        """Of the last meta-update."""

    def resume(self) -> None:
        """Take up the newest valid checkpoint; with none, the run starts from its beginning."""
        found = load_latest(self.run_directory.checkpoints_path)
        if found is not None:
            state = check_state(*found)
            if PUBLISHED in state:
                raise UserError(f"{found[1]} holds weights to act with alone, and no run goes on from it; train anew")
            if isinstance(self.experiment, ChecksData):
                self.experiment.check_data(state.get("data", {}))
            load_learner(self.experiment, *found)
            self._behind = state.get("behind")
            self.iteration, self.env_steps = state["iteration"], state["env_steps"]
            self.seconds = state["seconds"]
            self._saved_at = self.iteration
            self._rows = state.get("metrics_rows")
            if self._batches is not None and isinstance(self.experiment.learner, KeepsReplay):
                self.experiment.learner.remember(self._batches.load(self.iteration))
                self._replay_batches[self.iteration] = self.experiment.learner.replay_batches

    def run(self, console: Console, *, resumed: bool = False) -> bool:
        """Train to the end and save. False if a signal came: then the last whole iteration is saved."""
        config, learner = self.config, self.experiment.learner
        log = MetricsLog(
            self.run_directory.metrics_path,
            resume_at=self.iteration if resumed else None,
            expected_rows=self._rows,
            trackers=self._trackers,
        )
        is_whole, pending = True, None
        with log, StopSignal(cleanup=self.experiment.close, when=self._when_whole) as stop:
            try:
                while self.iteration < config.iterations and not stop.requested:
                    started = time.perf_counter()
                    with stop.interruptible():
                        # the workers that evaluate are those that collect: what is pending comes first
                        batch = None if pending is None else pending.wait()
                        waited = time.perf_counter()
                        scores = self._evaluate_if_due()
                        evaluated = time.perf_counter()
                        if batch is None:
                            batch = self._collect()
                        pending = self._submit_next()
                    collected = time.perf_counter()
                    of_batch, new_env_steps = self.experiment.batch_metrics(batch), self.experiment.env_steps(batch)
                    before = copy.deepcopy(learner.state_dict()) if config.overlap else None
                    if self._batches is not None:
                        self._batches.save(self.iteration, batch, iterations=config.iterations)
                    is_whole, self._updating_since = False, time.perf_counter()
                    with heard_by(console.within):
                        metrics = learner.meta_update(batch)
                    is_whole, self._update_seconds = True, time.perf_counter() - self._updating_since
                    self._updating_since = None
                    self._behind = before
                    # counted at once: should the disk be full behind here, theta is that of this many updates
                    self.iteration += 1
                    self.env_steps += new_env_steps
                    self.seconds += time.perf_counter() - started - (evaluated - waited)
                    metrics |= {
                        **of_batch,
                        "seconds/evaluate": evaluated - waited,
                        "seconds/collect": waited - started + collected - evaluated,  # with overlap what it waited
                        "seconds/update": time.perf_counter() - collected,
                        **scores,
                    }
                    is_shown = self._is_logged() or bool(scores)
                    if is_shown:
                        log.write(self.iteration - 1, env_steps=self.env_steps, seconds=self.seconds, metrics=metrics)
                    console.advance(new_env_steps, metrics, show=is_shown)
                    if self.iteration % config.checkpoint_every_iterations == 0:
                        self._save(log)
            except Stopped:
                pass
            finally:
                # Also after an error: the last whole iteration is good. But an update that broke off has left the
                # optimizer's moments ahead of theta, and the checkpoint before it is the one to go on from.
                if is_whole:
                    self._save(log)
        return self.iteration >= config.iterations and not stop.requested

    def _when_whole(self) -> str:
        if self._updating_since is None:
            return "once this step is whole"
        left = self._update_seconds - (time.perf_counter() - self._updating_since)
        about = f", in about {format_seconds(left)}" if left >= 1 else ""
        return f"once iteration {self.iteration + 1} of {self.config.iterations} is whole{about}"

    def _collect(self) -> Sequence[TaskData]:
        """The batch of this iteration, where none is pending: the first one, and after a resume."""
        tasks, seed = self._tasks_of(self.iteration)
        if self._behind is None or not isinstance(self.experiment, CollectsAhead):
            return self.experiment.collect(tasks, seed=seed)
        learner, now = self.experiment.learner, self.experiment.learner.state_dict()
        learner.load_state_dict(self._behind)  # as it was collected before the run was stopped
        behaviour = learner.behaviour()
        learner.load_state_dict(now)
        return self.experiment.submit(tasks, seed=seed, behaviour=behaviour).wait()

    def _submit_next(self) -> PendingMetaBatch | None:
        """The batch of the next iteration, with theta as it is before this one's update."""
        if not self.config.overlap or self.iteration + 1 >= self.config.iterations:
            return None
        if not isinstance(self.experiment, CollectsAhead):
            raise UserError("overlap=True is for data that agents collect, and these come from a file; leave it out")
        tasks, seed = self._tasks_of(self.iteration + 1)
        return self.experiment.submit(tasks, seed=seed)

    def _tasks_of(self, iteration: int) -> tuple[list[Task], SeedKey]:
        """An iteration's tasks, and the seed of their data."""
        rng = numpy_rng((self.config.seed, Stream.TASKS, iteration))
        tasks = self.experiment.sample_tasks(self.config.meta_batch_size, rng=rng, iteration=iteration)
        return tasks, (self.config.seed, Stream.COLLECT, iteration)

    def _is_logged(self) -> bool:
        done, config = self.iteration, self.config
        return done % config.log_every_iterations == 0 or done == config.iterations

    def _evaluate_if_due(self) -> dict[str, float]:
        """Scores of theta as it is before this iteration's update."""
        every = self.config.eval_every_iterations
        if every == 0 or self.iteration % every:
            return {}
        scores = self.experiment.evaluate(seed=(self.config.seed, Stream.EVALUATE)).metrics()
        return scores | {EVALUATED_AT: self.env_steps}  # the row's own env_steps are those after the update

    def _save(self, log: MetricsLog) -> None:
        """The rows are on the disk before a checkpoint that counts them."""
        if self._saved_at == self.iteration:
            return
        log.sync()
        state: dict[str, Any] = {
            "iteration": self.iteration,
            "env_steps": self.env_steps,
            "seconds": self.seconds,
            "metrics_rows": log.rows,
            "learner": self.experiment.learner.state_dict(),
            **({} if self._behind is None else {"behind": self._behind}),
            **({"data": self.experiment.data_state()} if isinstance(self.experiment, ChecksData) else {}),
        }
        path = self.run_directory.checkpoints_path
        save_checkpoint(path, self.iteration, state, keep=self.config.keep_checkpoints)
        if self._batches is not None and isinstance(self.experiment.learner, KeepsReplay):
            self._replay_batches[self.iteration] = self.experiment.learner.replay_batches
            oldest = min(iterations_of(path), default=0)
            self._batches.prune(oldest, of_last=self._replay_batches.get(oldest))
        self._saved_at = self.iteration
