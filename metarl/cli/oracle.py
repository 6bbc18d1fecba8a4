"""`metarl oracle EXPERIMENT`: an agent from scratch on one held-out task, beside what a meta-learner needs."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from tyro.conf import Positional

from metarl.errors import UserError
from metarl.files import replace_file
from metarl.runs.find import load_experiment
from metarl.runs.log import say
from metarl.runs.versions import environment


@dataclass(frozen=True)
class OracleArguments:
    """Train SB3's PPO or SAC, or our SAC, on one held-out task of an experiment, and print its learning curve."""

    experiment: Positional[str]
    """A name from `metarl list`, or the path of your own .py file."""
    task: int = 0
    """Index among the held-out tasks."""
    algorithm: Literal["ppo", "sac", "plain", "ours"] = "ppo"
    """ppo and sac are SB3's; ours is our SAC, plain the same by SB3's settings."""
    env_steps: int = 100_000
    eval_every_env_steps: int = 10_000
    eval_episodes: int = 5
    seed: int = 0
    save: Path | None = None
    """Save the trained SB3 model to this zip."""
    json: Path | None = None
    """Also write the curve to this file."""


def main(rest: list[str]) -> int:
    arguments = tyro.cli(OracleArguments, args=rest, prog="metarl oracle")
    from metarl.agents import sb3_oracle as oracle
    from metarl.agents.sac_oracle import train_ours  # SB3 takes seconds to import, which --help need not wait for

    for file in (arguments.save, arguments.json):  # before the training that is to be kept in it
        if file is not None and not file.absolute().parent.is_dir():
            raise UserError(f"cannot write {file}: {file.parent} is no directory; make it, or give another place")
    tasks = getattr(load_experiment(arguments.experiment).config(), "tasks", None)
    if tasks is None:
        raise UserError(f"{arguments.experiment} has no environments to act in; give an experiment of meta-RL")
    held_out = tasks.meta_test()
    if not 0 <= arguments.task < len(held_out):
        raise UserError(f"task={arguments.task} must be in 0..{len(held_out) - 1}, the held-out tasks of {tasks.name}")
    ours = arguments.algorithm in ("ours", "plain")
    if ours and arguments.save is not None:
        raise UserError("--save keeps SB3's models; to keep one of ours, `metarl train mt1_sac`, or another sac")
    task = held_out[arguments.task]
    names = ("algorithm", "env_steps", "eval_every_env_steps", "eval_episodes", "seed")
    config = oracle.OracleConfig(**{name: getattr(arguments, name) for name in names})
    plain = " by SB3's settings" if arguments.algorithm == "plain" else ""
    name = f"our SAC{plain}" if ours else f"SB3 {arguments.algorithm.upper()}"
    say(f"{name} on {task.id}, from scratch; mean action, {config.eval_episodes} episodes")
    points: list[oracle.OraclePoint] = []
    model: Any = None
    print(f"{'env steps':>12} {'return':>10} {'success, any step':>18}")
    torch.set_num_threads(1)  # two wait for each other where anything else runs, and these nets are small
    train = train_ours if ours else oracle.train_oracle
    for point, trained in train(tasks, task, config):
        model = trained
        points.append(point)
        success = f"{point.success_any:.0%}" if tasks.spec.measures_success or point.success_any else "-"
        print(f"{point.env_steps:12,} {point.mean_return:10.1f} {success:>18}", flush=True)
    if arguments.save is not None and model is not None:
        model.save(arguments.save)
    if arguments.json is not None:
        content = {
            "experiment": arguments.experiment,
            "task": {"id": task.id, "params": dict(task.params)},
            "config": dataclasses.asdict(config),
            "environment": environment(),
            "curve": [dataclasses.asdict(point) for point in points],
        }
        replace_file(arguments.json, json.dumps(content, indent=1).encode())
    return 0
