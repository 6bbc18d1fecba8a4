"""`metarl evaluate RUN_DIR`: a run's newest checkpoint again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from tyro.conf import Positional

from metarl.cli.words import ExperimentFlag, TrustFlag, check_target
from metarl.config import config_to_dict, parse_flags
from metarl.errors import UserError
from metarl.files import replace_file
from metarl.runs.load import open_run
from metarl.runs.progress_bar import progress_bar
from metarl.runs.trust import Trust
from metarl.runs.versions import environment
from metarl.seeding import Stream
from metarl.zoo.entries import run_directory


@dataclass(frozen=True)
class EvaluateArguments:
    """Evaluate a run's newest checkpoint on its held-out tasks, beside its policy before meta-training.

    The run's own settings may be given anew, as to `metarl train`.
    """

    run_dir: Positional[Path]
    """Or zoo:NAME."""
    trust: TrustFlag = False
    experiment: ExperimentFlag = None
    json: Path | None = None
    """Also write all outcomes to this file."""


def main(rest: list[str]) -> int:
    arguments, flags = tyro.cli(EvaluateArguments, args=rest, prog="metarl evaluate", return_unknown_args=True)
    check_target(arguments.json, flag="--json")
    _, experiment, config, state, path = open_run(
        run_directory(arguments.run_dir), parse_flags(flags), trust=Trust(arguments.trust, arguments.experiment)
    )
    torch.set_num_threads(config.trainer.threads)
    try:
        results = evaluate_both(experiment, config.trainer.seed)
    finally:
        experiment.close()
    experiment.report.print_table(results, title=f"{path}: mean, and 95 % interval over tasks")
    if arguments.json is not None:
        content = {
            "checkpoint": str(path),
            "iterations": state["iteration"],
            "training_env_steps": state["env_steps"],
            "training_seconds": state["seconds"],
            "config": config_to_dict(config),
            "environment": environment(),
            "policies": {policy: result.to_json() for policy, result in results.items()},
        }
        try:
            replace_file(arguments.json, json.dumps(content, indent=1).encode())
        except OSError as error:
            raise UserError(f"cannot write {arguments.json}: {error.strerror}; give another --json") from error
    return 0


def evaluate_both(experiment: Any, run_seed: int) -> dict[str, Any]:
    """The learner and its own beginning, on the same tasks with the same seeds; and on training tasks if asked for."""
    evaluations = {
        "meta-trained": experiment.evaluate,
        "untrained": experiment.evaluate_untrained,
        "on training tasks": experiment.evaluate_on_training_tasks,
    }
    results = {}
    for policy, evaluate in evaluations.items():
        with progress_bar(f"evaluating, {policy}"):
            results[policy] = evaluate(seed=(run_seed, Stream.EVALUATE))
    return {policy: result for policy, result in results.items() if result is not None}
