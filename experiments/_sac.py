"""SAC on Meta-World's multi-task benchmarks, and presets by others' settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from metarl.agents.plain_sac import PLAIN
from metarl.agents.sac import SACConfig
from metarl.envs.any_gym import GymTasks
from metarl.envs.any_gym.make import needed_horizon
from metarl.envs.metaworld.mt import MT
from metarl.experiment import Preset, RLSettings, TrainerConfig
from metarl.experiments._plug_in import ConfigAndBuild, experiment_on
from metarl.rl.exploration_noise import ExplorationConfig
from metarl.rollout.pool import PoolConfig
from metarl.scores.rl import EvaluationConfig

METAWORLD = SACConfig(
    value_sign="positive",
    smallest_return_scale=0.2,
    replay_capacity=250_000,
    focus=0.5,
    first_temperature=0.05,
    early_entropy=-0.4,
    widest_noise=4.0,
)
"""Its rewards lie between 0 and 10. What the entropy, the first temperature, the focus and the wide noise gave is in
LOG.md."""
MTMHSAC = replace(
    PLAIN,
    actor_hidden=(400, 400, 400),
    critic_hidden=(400, 400, 400),
    replay_ratio=128,
    replay_capacity=100_000,
    warmup_steps=4_000,
)
BRC_SMALL = replace(
    METAWORLD,
    actor_hidden=(256, 256),
    critic_hidden=(512, 512),
    lr=3e-4,
    batch_size=1024,
    replay_ratio=32,
    n_step=1,
    target_step=0.005,
    focus=0.0,
    first_temperature=0.1,
    target_entropy=-0.5,
    early_entropy=None,
    widest_noise=1.0,
    exploration=ExplorationConfig(),
)


def presets_on(config: Any) -> dict[str, Preset]:
    """The agents of others on a multi-task benchmark, whose config this is."""
    classes = config.trainer.meta_batch_size

    def preset(agent: SACConfig, source: str, *deviations: str) -> Preset:
        return Preset(config=replace(config, agent=agent), source=source, deviations=deviations)

    return {
        "plain": preset(
            PLAIN,
            "soft actor-critic (Haarnoja et al. 2018), with the settings of stable-baselines3 2.9",
            "a temperature for each task, each with an equal part of a batch; its id is part of the observation",
        ),
        "mtmhsac": preset(
            replace(MTMHSAC, batch_size=128 * classes, heads=classes),
            "rainx0r/metaworld-algorithms, examples/mtmhsac_mt10.py and metaworld_algorithms/config",
            "no clipping of gradients (theirs: norm 1) nor of Q values (theirs: 5,000), no loss weights by temperature",
            "truncated episodes are bootstrapped, as theirs are since May 2026",
        ),
        "brc_small": preset(
            BRC_SMALL,
            "Nauman et al. 2025, Bigger, Regularized, Categorical (arXiv 2505.23150), made small",
            "critics of two layers of 512 in place of residual blocks of 4,096; one-hot ids in place of embeddings",
            "each sample is trained on 32 times in place of 205",
            "theirs are scores for one goal a task, fixed and shown, over episodes of 200 steps; here the goal of each "
            "episode is drawn and shown, and scores are those of the policy at the end",
        ),
        "fixed_goals": Preset(
            config=fixed_goals(config),
            source="the protocol of Nauman et al. 2025 (arXiv 2505.23150), with our settings of the agent",
            deviations=(
                "one goal a class, fixed and shown, in training and test, over episodes of 200 steps: scores do not "
                "compare with those of random goals",
                "the goal is the first of Meta-World's 50, and theirs is drawn when the env is made",
                "scores are those of the policy at the end",
            ),
        ),
    }


def fixed_goals(config: Any) -> Any:
    """As many env steps in episodes of 200 steps, to the same goal of a class each time."""
    longer = config.tasks.horizon_steps / 200
    trainer, agent = config.trainer, config.agent
    return replace(
        config,
        tasks=replace(config.tasks, goals="fixed", horizon_steps=200),
        trainer=replace(
            trainer,
            iterations=round(longer * trainer.iterations),
            checkpoint_every_iterations=round(longer * trainer.checkpoint_every_iterations),
            log_every_iterations=5,
        ),
        agent=replace(agent, anneal_entropy_updates=round(longer * agent.anneal_entropy_updates)),
        rl=replace(config.rl, evaluation=replace(config.rl.evaluation, test_episodes=10)),
    )


def sac_on_mt(tasks: MT, *, num_classes: int, iterations: int, agent: SACConfig = METAWORLD) -> ConfigAndBuild:
    """An iteration is an episode of each class, 500 env steps; two threads, since the workers wait meanwhile."""
    return experiment_on(
        tasks,
        "sac",
        agent_config=agent,
        trainer=TrainerConfig(
            iterations=iterations, meta_batch_size=num_classes, threads=2, checkpoint_every_iterations=20
        ),
        rl=RLSettings(
            query_episodes=1,
            # nothing to adapt: the task is shown; one episode on each of the 50 goals of a class
            evaluation=EvaluationConfig(adaptation_rounds=0, test_episodes=1),
            pool=PoolConfig(lanes_per_group=max(1, min(50, num_classes // 2))),
        ),
    )


def sac_on_one_env(tasks: GymTasks, *, env_steps: int, warmup_steps: int = 5_000) -> ConfigAndBuild:
    """An iteration is an episode; a gradient step every four env steps. Scored on 20 episodes."""
    horizon = tasks.horizon_steps or needed_horizon(tasks.env)
    return experiment_on(
        tasks,
        "sac",
        agent_config=SACConfig(
            critic_hidden=(256, 256),
            actor_hidden=(256, 256),
            batch_size=256,
            replay_ratio=64,
            n_step=3,
            warmup_steps=warmup_steps,
        ),
        trainer=TrainerConfig(
            iterations=env_steps // horizon, meta_batch_size=1, checkpoint_every_iterations=10, log_every_iterations=5
        ),
        rl=RLSettings(query_episodes=1, evaluation=EvaluationConfig(adaptation_rounds=0, test_episodes=20)),
    )
