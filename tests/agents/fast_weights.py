"""What the tests of the gradient family share: small meta-batches, and the meta-batch that a learner makes of one."""

import dataclasses

import numpy as np
import torch

from metarl.rollout.collect import collect_meta_batch
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.seeding import numpy_rng
from metarl.types import TaskData


def collect(learner, tasks, *, num_tasks=3, episodes=3, seed=(1,)):
    drawn = tasks.sample(num_tasks, rng=np.random.default_rng(1))
    with RolloutPool(tasks, PoolConfig(workers=0)) as pool:
        return collect_meta_batch(
            pool, learner.behaviour(), drawn, support_episodes=episodes, query_episodes=episodes, seed=seed
        )


def meta_batch_of(learner, batch):
    """The MetaBatch that meta_update makes of the tasks' data."""
    return learner.problem.meta_batch(batch, learner.theta)


def double(x):
    """Episodes and TaskData in float64; the behaviour, in float32, is left out."""
    if isinstance(x, TaskData):
        return TaskData(x.task, double(x.supports), double(x.query))
    if isinstance(x, torch.Tensor):
        return x.double() if x.is_floating_point() else x
    if isinstance(x, tuple):
        return tuple(map(double, x))
    if isinstance(x, list):
        return list(map(double, x))
    if dataclasses.is_dataclass(x) and hasattr(x, "__dict__") and not hasattr(x, "params"):
        return dataclasses.replace(x, **{name: double(value) for name, value in vars(x).items()})
    return x


def learning_curve(learner, tasks, *, iterations):
    """Mean query return of each meta-update's ten tasks, ten episodes each."""
    returns = []
    with RolloutPool(tasks, PoolConfig(workers=0, lanes_per_group=400)) as pool:
        for iteration in range(iterations):
            drawn = tasks.sample(10, rng=numpy_rng((0, 1, iteration)))
            batch = collect_meta_batch(
                pool, learner.behaviour(), drawn, support_episodes=10, query_episodes=10, seed=(0, 2, iteration)
            )
            returns.append(np.mean([data.query.returns_undiscounted().mean() for data in batch]))
            learner.meta_update(batch)
    return returns
