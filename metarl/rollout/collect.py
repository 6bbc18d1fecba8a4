"""Meta-batches of episodes: collect support with the current phi, adapt, collect query with the adapted one."""

from __future__ import annotations

from collections.abc import Sequence

from metarl.learner import Actor, Explores, ExploresByTask, RLBehaviour
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.pool import Pending, RolloutPool
from metarl.seeding import SeedKey, checked_key
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
    exploring: bool = False,
) -> list[Episodes]:
    """`num_episodes` of each task with its phi; the job of task i is seeded by (*seed, i).

    Where the behaviour keeps a memory they are one trial, or, without `one_trial`, each begins with phi anew. With
    `exploring` actions vary as in meta-training.
    """
    key = checked_key(seed)
    jobs = _jobs(behaviour, tasks, phis, num_episodes=num_episodes, seed=key, one_trial=one_trial)
    return pool.collect(jobs, explorer_of(behaviour) if exploring else behaviour.actor(deterministic=deterministic))


def explorer_of(behaviour: RLBehaviour, tasks: Sequence[Task] = ()) -> Actor:
    """The actor that collects for training: one that explores, or explores these tasks, where the behaviour has such,
    else its own."""
    if tasks and isinstance(behaviour, ExploresByTask):
        return behaviour.explorer_of(tasks)
    return behaviour.explorer() if isinstance(behaviour, Explores) else behaviour.actor()


def _jobs(
    behaviour: RLBehaviour,
    tasks: Sequence[Task],
    phis: Sequence[Phi],
    *,
    num_episodes: int,
    seed: SeedKey,
    one_trial: bool = True,
) -> list[RolloutJob]:
    sequential = behaviour.keeps_memory and one_trial
    return [
        RolloutJob(task=task, phi=phi, num_episodes=num_episodes, seed=(*seed, i), sequential=sequential)
        for i, (task, phi) in enumerate(zip(tasks, phis, strict=True))
    ]


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
    episodes = {"support_episodes": support_episodes, "query_episodes": query_episodes}
    return PendingMetaBatch(pool, behaviour, tasks, **episodes, seed=seed).wait()


class PendingMetaBatch:
    """A meta-batch whose first episodes are being collected while the caller does something else.

    The first round goes to the workers at once: all of it for an agent that adapts nothing in meta-training, the first
    support sets for the others. What depends on them is collected in `wait`.
    """

    def __init__(
        self,
        pool: RolloutPool,
        behaviour: RLBehaviour,
        tasks: Sequence[Task],
        *,
        support_episodes: int,
        query_episodes: int,
        seed: SeedKey,
    ) -> None:
        self._pool, self._behaviour, self._tasks, self._seed = pool, behaviour, tasks, checked_key(seed)
        self._support_episodes, self._query_episodes = support_episodes, query_episodes
        self._pending = self._submit([behaviour.prior()] * len(tasks), round_index=0)

    def _submit(self, phis: Sequence[Phi], *, round_index: int) -> Pending:
        is_query = round_index == self._behaviour.adaptation_rounds
        num_episodes = self._query_episodes if is_query else self._support_episodes
        seed = (*self._seed, round_index)
        jobs = _jobs(self._behaviour, self._tasks, phis, num_episodes=num_episodes, seed=seed)
        return self._pool.submit(jobs, explorer_of(self._behaviour, self._tasks))

    def wait(self) -> list[TaskData]:
        """To be called once."""
        behaviour = self._behaviour
        phis: Sequence[Phi] = [behaviour.prior()] * len(self._tasks)
        supports: list[list[Episodes]] = []
        for round_index in range(behaviour.adaptation_rounds):
            supports.append(self._pending.wait())
            phis = behaviour.adapt(phis, supports[-1])
            self._pending = self._submit(phis, round_index=round_index + 1)
        query = self._pending.wait()
        return [
            TaskData(task, tuple(support[i] for support in supports), query[i], behaviour)
            for i, task in enumerate(self._tasks)
        ]
