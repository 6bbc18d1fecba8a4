"""What runs on a node of Ray: groups of jobs, one after another, as in a worker process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch

from metarl.learner import Actor
from metarl.rollout.buffer import Arrays
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.lockstep import GroupRunner, GroupTimes, NonFinite
from metarl.rollout.message import from_bytes
from metarl.rollout.worker import Failed, failed_by
from metarl.runs.versions import environment
from metarl.tasks import TaskDistribution

MAY_DIFFER = ("platform", "cpu_count", "git_dirty")
"""Between nodes: the rest of the environment decides the numbers, or whether messages can be read at all."""


class Sampled(NamedTuple):
    """A group's episodes, and how long they took."""

    times: GroupTimes
    arrays: Arrays


class RayMember:
    """An actor of Ray, in a process of its own."""

    def __init__(self, path: Sequence[str]) -> None:
        """`path`: the driver's sys.path, on which the user's own modules lie."""
        sys.path += [place for place in path if place not in sys.path]
        torch.set_num_threads(1)
        self._runner: GroupRunner | None = None

    def versions(self) -> dict[str, Any]:
        return code_versions()

    def prepare(self, tasks: bytes, non_finite: NonFinite) -> None:
        """To be called before `run`. Raises whatever the modules of the tasks do at their import."""
        self._runner = GroupRunner(cast(TaskDistribution, from_bytes(tasks)), non_finite=non_finite)

    def run(self, jobs: bytes, actor: bytes) -> Sampled | Failed:
        """A group; its arrays go through the node's object store, without another copy."""
        assert self._runner is not None, "prepare comes before run"
        try:
            group, behaviour = cast(list[RolloutJob], from_bytes(jobs)), cast(Actor, from_bytes(actor))
            arrays, times = self._runner.run_anew(group, behaviour)
            return Sampled(times, arrays)
        except Exception as error:
            return failed_by(error)

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()


def code_versions() -> dict[str, Any]:
    """Of this process."""
    return {name: value for name, value in environment().items() if name not in MAY_DIFFER}
