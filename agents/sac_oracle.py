"""Our SAC on one task alone, from replay: beside stable-baselines3's, see `sb3_oracle.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from metarl.agents.plain_sac import PLAIN
from metarl.agents.sac import SAC, SACConfig
from metarl.agents.sb3_oracle import OracleConfig, OraclePoint
from metarl.rollout.collect import explorer_of
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.seeding import Stream, torch_rng
from metarl.tasks import TaskDistribution
from metarl.types import Task, TaskData


def train_ours(tasks: TaskDistribution, task: Task, config: OracleConfig) -> Iterator[tuple[OraclePoint, SAC]]:
    """Yields each evaluation, from the untrained policy on, with the learner as it is then.

    The gradient steps of an episode follow it, where SB3's follow each of its env steps. By its settings ("plain") they
    are as many.
    """
    horizon = tasks.spec.first_steps
    own = SACConfig(batch_size=256, replay_ratio=64, warmup_steps=min(5_000, config.env_steps // 20))
    settings = replace(
        PLAIN if config.algorithm == "plain" else own,
        actor_hidden=config.hidden,
        critic_hidden=config.hidden,
        gamma=config.gamma,
        replay_capacity=config.env_steps + config.env_steps // horizon + horizon + 2,
    )
    learner = SAC(tasks.spec, settings, generator=torch_rng((config.seed, Stream.INIT)))
    with RolloutPool(tasks, PoolConfig(workers=0)) as pool:
        env_steps, episodes, next_evaluation = 0, 0, 0
        while True:
            if env_steps >= next_evaluation or env_steps >= config.env_steps:
                yield _evaluate(pool, learner, task, config, env_steps), learner
                next_evaluation += config.eval_every_env_steps
            if env_steps >= config.env_steps:
                return
            behaviour = learner.behaviour()
            job = RolloutJob(task=task, phi={}, num_episodes=1, seed=(config.seed, Stream.COLLECT, episodes))
            (query,) = pool.collect([job], explorer_of(behaviour))
            learner.meta_update([TaskData(task, (), query, behaviour)])
            env_steps, episodes = env_steps + query.num_steps, episodes + 1


def _evaluate(pool: RolloutPool, learner: SAC, task: Task, config: OracleConfig, env_steps: int) -> OraclePoint:
    job = RolloutJob(task=task, phi={}, num_episodes=config.eval_episodes, seed=(config.seed, Stream.EVALUATE))
    (tested,) = pool.collect([job], learner.behaviour().actor(deterministic=True))
    returns, success = tested.returns_undiscounted(), tested.success_any().float()
    return OraclePoint(env_steps, float(returns.mean()), float(success.mean()))
