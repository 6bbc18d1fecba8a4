"""Meta-batches of episodes: collect support with the current phi, adapt, collect query with the adapted one."""

from __future__ import annotations

from collections.abc import Sequence

from metarl.learner import RLBehaviour
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.pool import RolloutPool
from metarl.seeding import SeedKey
from metarl.types import Episodes, Phi, Task, TaskData


def collect_episodes(
    pool: RolloutPool,
    behaviour: RLBehaviour,
    tasks: Sequence[Task],
    phis: Sequence[Phi],
    *,
    num_episodes: int,
    seed: SeedKey,
    deterministic: bool = False,
    one_trial: bool = True,
) -> list[Episodes]:
    """`num_episodes` of each task with its phi; the job of task i is seeded by (*seed, i).

    Where the behaviour keeps a memory they are one trial, or, without `one_trial`, each begins with phi anew.
    """
    sequential = behaviour.keeps_memory and one_trial
    jobs = [
        RolloutJob(task=task, phi=phi, num_episodes=num_episodes, seed=(*seed, i), sequential=sequential)
        for i, (task, phi) in enumerate(zip(tasks, phis, strict=True))
    ]
    return pool.collect(jobs, behaviour.actor(deterministic=deterministic))


def collect_meta_batch(
    pool: RolloutPool,
    behaviour: RLBehaviour,
    tasks: Sequence[Task],
    *,
    support_episodes: int,
    query_episodes: int,
    seed: SeedKey,
) -> list[TaskData]:
    """The data of one meta-update (Finn et al. 2017, algorithm 3, lines 5-8)."""
    phis: Sequence[Phi] = [behaviour.prior()] * len(tasks)
    supports: list[list[Episodes]] = []
    for round_index in range(behaviour.adaptation_rounds):
        support = collect_episodes(
            pool, behaviour, tasks, phis, num_episodes=support_episodes, seed=(*seed, round_index)
        )
        phis = behaviour.adapt(phis, support)
        supports.append(support)
    query = collect_episodes(
        pool, behaviour, tasks, phis, num_episodes=query_episodes, seed=(*seed, behaviour.adaptation_rounds)
    )
    return [
        TaskData(task, tuple(support[i] for support in supports), query[i], behaviour) for i, task in enumerate(tasks)
    ]
