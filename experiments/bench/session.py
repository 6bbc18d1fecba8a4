"""Latency of a session: one robot's act and observe, by agent, at one observation and with one torch thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from metarl.agents.maml import MAMLConfig, maml
from metarl.agents.rl2 import RL2, RL2Config
from metarl.agents.sac import SAC, SACConfig
from metarl.deploy.agent import Agent
from metarl.envs.metaworld.ml1 import ML1
from metarl.experiments.bench._record import store
from metarl.seeding import numpy_rng, torch_rng
from metarl.validate import check_counts

WARM_UP = 200


@dataclass(frozen=True)
class Arguments:
    """Median and 99th percentile of act and observe together, in microseconds, for agents with Meta-World's spaces."""

    steps: int = 5000
    json: Path | None = None


def agents(tasks: Any) -> dict[str, Agent]:
    """With the nets that they have by default; times do not depend on the weights."""
    spec, rng = tasks.spec, torch_rng((0,))
    learners = {
        "maml, 128 and 128": maml(spec, MAMLConfig(), generator=rng),
        "rl2, GRU of 256": RL2(spec, RL2Config(hidden_dim=256), generator=rng),
        "sac, three of 256": SAC(spec, SACConfig(), generator=rng),
    }
    return {name: Agent(learner.behaviour(), tasks) for name, learner in learners.items()}


def microseconds(agent: Agent, steps: int) -> np.ndarray:
    """Of each step after the first ones; episodes end as in training."""
    session, rng = agent.session(), numpy_rng((0,))
    rows = rng.standard_normal((steps + WARM_UP + 1, agent.spec.obs_dim), dtype=np.float32)
    taken = []
    for step, (obs, after) in enumerate(pairwise(rows), start=1):
        started = time.perf_counter()
        session.act(obs)
        session.observe(after, 0.1, False, step % agent.spec.horizon_steps == 0)
        taken.append(time.perf_counter() - started)
    return np.array(taken[WARM_UP:]) * 1e6


def main(args: Sequence[str]) -> int:
    arguments = tyro.cli(Arguments, args=args, prog="metarl bench session")
    check_counts(steps=arguments.steps)
    torch.set_num_threads(1)
    figures = {}
    table = Table("agent", "median, µs", "99 %, µs", title="act and observe", title_justify="left")
    for name, agent in agents(ML1()).items():
        median, most = np.percentile(microseconds(agent, arguments.steps), [50, 99])
        figures[name] = {"median_us": float(median), "p99_us": float(most)}
        table.add_row(name, f"{median:.0f}", f"{most:.0f}")
    Console().print(table)
    store(arguments, {"agents": figures})
    return 0
