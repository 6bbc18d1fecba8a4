"""SAC on a sequence of tasks, one after another, as in Continual World."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from metarl.agents.sac import SAC, SACConfig
from metarl.envs.metaworld.continual import ContinualWorld
from metarl.errors import UserError
from metarl.experiment import Preset, RLExperiment, RLSettings, TrainerConfig
from metarl.experiments._build import build_with
from metarl.experiments._sac import METAWORLD
from metarl.experiments._sequence import show_own
from metarl.rollout.pool import PoolConfig
from metarl.scores.rl import EvaluationConfig
from metarl.types import Task

AGENT = replace(
    METAWORLD,
    replay_capacity=1_100_000,  # all of a task's 1M steps, and a row more an episode
    explore_anew=True,
    # what changes in the course of training must not set the first task apart from the others
    normalize_obs_steps=0,
    early_entropy=None,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(
        iterations=5_000,
        meta_batch_size=4,
        threads=2,
        eval_every_iterations=25,
        log_every_iterations=5,
        checkpoint_every_iterations=25,
    )
    agent: SACConfig = AGENT
    tasks: ContinualWorld = ContinualWorld()
    rl: RLSettings = RLSettings(
        query_episodes=1,
        # nothing to adapt: the task is shown; ten goals of each task, as often as the paper tests
        evaluation=EvaluationConfig(
            adaptation_rounds=0, test_episodes=1, deterministic_too=False, max_tasks=100, log_classes=True
        ),
        pool=PoolConfig(lanes_per_group=10),
    )


def of_sequence(
    tasks: ContinualWorld, former_tasks: Literal["keep", "forget"], *, evaluate_every: int = 25, goals: int = 10
) -> Config:
    """Four episodes an iteration, and `goals` of each task tested every so many iterations."""
    config = Config()
    per_task = tasks.steps_per_task // (config.trainer.meta_batch_size * tasks.horizon_steps)
    places = len(tasks.class_names)
    return replace(
        config,
        trainer=replace(config.trainer, iterations=places * per_task, eval_every_iterations=evaluate_every),
        agent=replace(config.agent, former_tasks=former_tasks),
        tasks=tasks,
        rl=replace(config.rl, evaluation=replace(config.rl.evaluation, max_tasks=goals * places)),
    )


def build(config: Config) -> RLExperiment:
    """Each place of the sequence has as many iterations. Raises UserError for a budget that they do not make up."""
    per_task = iterations_per_task(config)

    def sample_at(iteration: int, num_tasks: int, rng: np.random.Generator) -> list[Task]:
        return config.tasks.sample_at(iteration // per_task, num_tasks, rng=rng)

    return build_with(SAC, config, sample_at=sample_at, show_run=show_own)


def iterations_per_task(config: Config) -> int:
    """Raises UserError where they do not make up the budget, or evaluations do not meet the ends of tasks."""
    trainer, tasks = config.trainer, config.tasks
    steps = trainer.meta_batch_size * config.rl.query_episodes * tasks.horizon_steps
    iterations, rest = divmod(tasks.steps_per_task, steps)
    if rest or not iterations:
        near = max(1, round(tasks.steps_per_task / steps)) * steps
        raise UserError(
            f"steps_per_task={tasks.steps_per_task:,} must be a multiple of an iteration's {steps:,} env steps "
            f"({trainer.meta_batch_size * config.rl.query_episodes} episodes of {tasks.horizon_steps}); give {near}"
        )
    places = len(tasks.class_names)
    if trainer.iterations != places * iterations:
        raise UserError(
            f"iterations={trainer.iterations} must be {places * iterations}, which is {iterations} for each of the "
            f"{places} tasks of the sequence; give --iterations {places * iterations}, or another --steps-per-task"
        )
    every = trainer.eval_every_iterations
    if every and iterations % every:
        raise UserError(
            f"eval_every_iterations={every} must divide the {iterations} iterations of a task, so that the end of each "
            f"task is scored; give {max(n for n in range(1, every) if iterations % n == 0)}, or 0 for no scores"
        )
    return iterations


SHORT = ("faucet-close-v3", "handle-press-side-v3", "window-close-v3")
"""Those of CW10 that are learned within 50k env steps, in its order."""
PAPER = "Wołczyk et al. 2021, arXiv 2105.10919"
DEVIATIONS = (
    "SAC is ours, as in mt10_sac: n-step returns, values as bins, pink noise; the paper's is Spinning Up's",
    "one net that sees the task's one-hot id, where the paper has an output head for each task",
    "the first steps of a task are tanh(N(0, 1)) in pink noise, where the paper's are uniform",
)


def presets(former_tasks: Literal["keep", "forget"]) -> dict[str, Preset]:
    cw20 = of_sequence(ContinualWorld(sequence="CW20"), former_tasks)
    short = of_sequence(
        ContinualWorld(sequence="custom", env_names=SHORT, steps_per_task=50_000), former_tasks, evaluate_every=5
    )
    # four times the gradient steps, on half the rows each: there are few env steps to learn from
    short = replace(short, agent=replace(short.agent, batch_size=256, replay_ratio=32))
    return {
        "cw20": Preset(config=cw20, source=f"CW20 of {PAPER}", deviations=DEVIATIONS),
        "short": Preset(
            config=short,
            source=f"three tasks of CW10 of {PAPER}, in minutes",
            deviations=("50k env steps a task, the first 5,000 of them random", *DEVIATIONS),
        ),
    }
