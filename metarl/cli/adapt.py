"""`metarl adapt RUN_DIR --task TASK`: a trained agent learns one new task, and what it became is saved."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from rich.console import Console as RichConsole
from rich.table import Table
from tyro.conf import Positional

from metarl.cli.words import ExperimentFlag, TrustFlag
from metarl.config import parse_flags
from metarl.envs.check_env import find_tasks
from metarl.errors import UserError
from metarl.rollout.pool import RolloutPool
from metarl.runs.adapted import save_adapted
from metarl.runs.load import find_task, load_trained
from metarl.runs.log import say
from metarl.runs.progress_bar import progress_bar
from metarl.runs.trust import Trust
from metarl.runs.versions import environment
from metarl.scores.rl import adapt_and_test
from metarl.seeding import Stream
from metarl.tasks import check_fits
from metarl.text import cell
from metarl.validate import check_counts
from metarl.zoo.entries import output_in, run_directory


@dataclass(frozen=True)
class AdaptArguments:
    """Adapt a trained agent to one task and save the adapted policy, with its returns before and after.

    The run's own settings may be given anew, as to `metarl train`.
    """

    run_dir: Positional[Path]
    """Or zoo:NAME."""
    trust: TrustFlag = False
    experiment: ExperimentFlag = None
    task: str = "0"
    """A held-out task by number or id, or params as JSON: '{"velocity": 1.5}'."""
    env: str | None = None
    """Adapt to this env instead, an id or module:factory with the same spaces; --task is then its params, if any."""
    rounds: int | None = None
    """Adaptation rounds; as many as the experiment's evaluation if not given."""
    episodes: int | None = None
    """Of each round."""
    test_episodes: int = 10
    """Before adaptation, and after each round; never learned from."""
    seed: int = 0
    out: Path | None = None
    """RUN_DIR/adapted/TASK if not given."""


def main(rest: list[str]) -> int:
    arguments, flags = tyro.cli(AdaptArguments, args=rest, prog="metarl adapt", return_unknown_args=True)
    check_counts(rounds=arguments.rounds, episodes=arguments.episodes, test_episodes=arguments.test_episodes)
    if arguments.out is not None and arguments.out.exists() and not arguments.out.is_dir():
        raise UserError(f"--out {arguments.out} is a file; give a directory for the adapted policy")
    trust = Trust(arguments.trust, arguments.experiment)
    trained = load_trained(run_directory(arguments.run_dir), parse_flags(flags), trust=trust)
    experiment, evaluation = trained.experiment, trained.experiment.settings.evaluation
    torch.set_num_threads(trained.config.trainer.threads)
    pool = experiment.pool
    try:
        tasks = experiment.tasks
        if arguments.env is not None:
            if os.getcwd() not in sys.path:
                sys.path.insert(0, os.getcwd())
            tasks = find_tasks(arguments.env)
            check_fits(experiment.tasks.spec, tasks, made_for=experiment.tasks.name)
            pool = RolloutPool(tasks, experiment.settings.pool)
        task = find_task(tasks, arguments.task)
        rounds = evaluation.adaptation_rounds if arguments.rounds is None else arguments.rounds
        episodes = evaluation.adaptation_episodes if arguments.episodes is None else arguments.episodes
        with progress_bar(f"adapting to {task.id}"):
            result = adapt_and_test(
                pool,
                experiment.learner.behaviour(),
                [task],
                rounds=rounds,
                episodes=episodes,
                test_episodes=arguments.test_episodes,
                modes=["stochastic"],
                seed=(arguments.seed, Stream.EVALUATE),
            )
    finally:
        pool.close()
        experiment.close()
    returns, success = result.returns("stochastic"), result.success("stochastic")
    _print(f"{task.id}: mean of {arguments.test_episodes} test episodes", returns, success)
    out = arguments.out or output_in(arguments.run_dir, "adapted", _file_name(task.id))
    record = {
        "task": {"id": task.id, "params": dict(task.params)},
        "env": arguments.env or tasks.name,
        "run": str(arguments.run_dir),
        "checkpoint": str(trained.checkpoint),
        "adaptation_episodes_per_round": episodes,
        "return_after_rounds": returns,
        "success_after_rounds": success,
        "env_steps": result.env_steps,
        "seed": arguments.seed,
        "environment": environment(),
    }
    save_adapted(out, result.phis[-1][0], record)
    say(f"the adapted policy is in {out}")
    return 0


def _file_name(task_id: str) -> str:
    return re.sub(r"[^\w.,+-]+", "_", task_id).strip("_.")[:80] or "task"


def _print(title: str, returns: list[float], success: list[float]) -> None:
    table = Table("after", "return", "success", title=cell(title), title_justify="left")
    for rounds, (score, solved) in enumerate(zip(returns, success, strict=True)):
        after = f"{rounds} round{'s' if rounds != 1 else ''}" if rounds else "nothing"
        table.add_row(after, f"{score:.2f}", f"{solved:.0%}")
    RichConsole().print(table)
