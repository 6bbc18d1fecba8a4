"""`metarl export RUN --out policy.onnx`: an adapted policy as one file that needs neither metarl nor torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

from metarl.cli.words import ExperimentFlag, TrustFlag
from metarl.deploy.agent import load
from metarl.deploy.export import SUFFIXES, exported, write
from metarl.runs.log import say


@dataclass(frozen=True)
class ExportArguments:
    """Write the policy of a trained agent for ONNX runtime (.onnx) or torch (.pt2), and compare the two."""

    run_dir: Positional[Path]
    """Or zoo:NAME."""
    out: Path
    """FILE.onnx or FILE.pt2; FILE.json beside it says what goes in and out."""
    adapted: Path | None = None
    """What `metarl adapt` or a session's `save` left; without it the policy is that before adaptation."""
    task: str | None = None
    """For an agent that is shown its task: the function then adds what is shown to each observation."""
    sampled: bool = False
    """Actions with the policy's noise, which is an input then; its mean if not given."""
    trust: TrustFlag = False
    experiment: ExperimentFlag = None


def main(rest: list[str]) -> int:
    arguments = tyro.cli(ExportArguments, args=rest, prog="metarl export")
    agent = load(arguments.run_dir, trust=arguments.trust, experiment=arguments.experiment)
    session = agent.session(arguments.task, adapted=arguments.adapted)
    policy = exported(agent.behaviour, session.phi, shown=session.shown, sampled=arguments.sampled)
    difference = write(policy, arguments.out)
    checked = "not compared, since onnxruntime is not installed"
    if not math.isnan(difference):
        checked = f"largest difference from torch {difference:.1g}"
    kind = SUFFIXES[arguments.out.suffix]
    say(f"{arguments.out} ({kind}, {checked}) and {arguments.out.with_suffix('.json')}")
    return 0
