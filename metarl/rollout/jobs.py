"""The unit of rollout work, and how jobs are cut into lockstep groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metarl.errors import UserError
from metarl.seeding import SeedKey
from metarl.types import Phi, Task


@dataclass(frozen=True, kw_only=True)
class RolloutJob:
    """Run `num_episodes` of `task` with `phi`; all randomness comes from `seed`."""

    task: Task
    phi: Phi
    num_episodes: int
    seed: SeedKey
    sequential: bool = False
    """One episode after another with the actor's memory kept (an RL² trial), rather than side by side."""

    @property
    def num_lanes(self) -> int:
        return 1 if self.sequential else self.num_episodes


def cut_groups(jobs: Sequence[RolloutJob], *, lanes_per_group: int) -> list[range]:
    """Consecutive runs of like jobs of at most `lanes_per_group` lanes, as ranges of job indices; a job is never cut,
    so that one of more lanes is a group of its own.

    The cut depends on the job list alone, never on the number of workers: a batched matrix product then
    sees the same shapes, and rounds the same way, whoever runs it.
    """
    groups: list[range] = []
    start = lanes = 0
    for index, job in enumerate(jobs):
        if job.num_episodes < 1:
            raise UserError(f"a rollout job asks for num_episodes={job.num_episodes}; it must be at least 1")
        like = (job.num_episodes, job.sequential) == (jobs[start].num_episodes, jobs[start].sequential)
        if index > start and (not like or lanes + job.num_lanes > lanes_per_group):
            groups.append(range(start, index))
            start, lanes = index, 0
        lanes += job.num_lanes
    if jobs:
        groups.append(range(start, len(jobs)))
    return groups
