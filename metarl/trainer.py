"""The one meta-training loop."""

from __future__ import annotations

import time
from typing import Any

from metarl.experiment import ChecksData, Experiment, TrainerConfig
from metarl.files import inside
from metarl.runs.checkpoint import load_latest, save_checkpoint
from metarl.runs.directory import TENSORBOARD, RunDirectory
from metarl.runs.load import check_state, load_learner
from metarl.runs.log import EVALUATED_AT, Console, MetricsLog, tensorboard_writer
from metarl.runs.stop import Stopped, StopSignal
from metarl.seeding import Stream, numpy_rng


class Trainer:
    """Meta-trains an experiment's learner, and can go on from its last checkpoint bit for bit.

    All randomness follows from (seed, iteration), so a checkpoint is the learner's state and two counters.
    """

    def __init__(
        self, experiment: Experiment, config: TrainerConfig, run: RunDirectory, *, tensorboard: bool = False
    ) -> None:
        self.experiment, self.config, self.run_directory = experiment, config, run
        self._tensorboard = tensorboard_writer(inside(run.path, TENSORBOARD)) if tensorboard else None
        self.iteration = 0
        """Meta-updates done."""
        self.env_steps = 0
        self.seconds = 0.0
        """Wall-clock of all iterations, evaluation left out, over all resumptions."""
        self._saved_at = -1
        self._rows: int | None = None
        """Of metrics.jsonl when the checkpoint was saved; None in older ones."""

    def resume(self) -> None:
        """Take up the newest valid checkpoint; with none, the run starts from its beginning."""
        found = load_latest(self.run_directory.checkpoints_path)
        if found is not None:
            state = check_state(*found)
            if isinstance(self.experiment, ChecksData):
                self.experiment.check_data(state.get("data", {}))
            load_learner(self.experiment, *found)
            self.iteration, self.env_steps = state["iteration"], state["env_steps"]
            self.seconds = state["seconds"]
            self._saved_at = self.iteration
            self._rows = state.get("metrics_rows")

    def run(self, console: Console, *, resumed: bool = False) -> bool:
        """Train to the end and save. False if a signal stopped it: then the last whole iteration is saved."""
        config, learner = self.config, self.experiment.learner
        log = MetricsLog(
            self.run_directory.metrics_path,
            resume_at=self.iteration if resumed else None,
            expected_rows=self._rows,
            tensorboard=self._tensorboard,
        )
        is_whole = True
        with log, StopSignal(cleanup=self.experiment.close) as stop:
            try:
                while self.iteration < config.iterations and not stop.requested:
                    started = time.perf_counter()
                    with stop.interruptible():
                        scores = self._evaluate_if_due()
                        evaluated = time.perf_counter()
                        rng = numpy_rng((config.seed, Stream.TASKS, self.iteration))
                        tasks = self.experiment.sample_tasks(config.meta_batch_size, rng=rng)
                        batch = self.experiment.collect(tasks, seed=(config.seed, Stream.COLLECT, self.iteration))
                    collected = time.perf_counter()
                    of_batch, new_env_steps = self.experiment.batch_metrics(batch), self.experiment.env_steps(batch)
                    is_whole = False
                    metrics = learner.meta_update(batch)
                    is_whole = True
                    # counted at once: should the disk be full behind here, theta is that of this many updates
                    self.iteration += 1
                    self.env_steps += new_env_steps
                    self.seconds += time.perf_counter() - evaluated
                    metrics |= {
                        **of_batch,
                        "seconds/evaluate": evaluated - started,
                        "seconds/collect": collected - evaluated,
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
                # Also after an error, for the last whole iteration is good. But an update that broke off has left the
                # optimizer's moments ahead of theta: the checkpoint before it is the one to go on from.
                if is_whole:
                    self._save(log)
        return self.iteration >= config.iterations

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
            **({"data": self.experiment.data_state()} if isinstance(self.experiment, ChecksData) else {}),
        }
        path = self.run_directory.checkpoints_path
        save_checkpoint(path, self.iteration, state, keep=self.config.keep_checkpoints)
        self._saved_at = self.iteration
