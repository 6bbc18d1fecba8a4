"""Runs of a sweep on the nodes of a Ray cluster: an actor holds the process of each, on a node with room for it.

Nodes share the sweep's directory (a network file system), and what is run comes from this machine's command line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from metarl.rollout.ray_cluster import connect
from metarl.sweep.plan import Cost
from metarl.sweep.processes import RunProcess

LOST = -9
"""The exit code of a run whose node, or whose actor, is gone: as of a kill."""
TRIES = 3
"""At finding a node for a run."""


class _Holder(RunProcess):
    """What lives in the actor."""

    def state(self) -> tuple[int | None, Cost]:
        return self.poll(), self.cost


class RunOnRay:
    """As `RunProcess`. Until a node has room it waits, and costs nothing."""

    def __init__(self, place: Callable[[], Any], ray: Any) -> None:
        """`place` gives an actor that holds the run."""
        self._ray, self._place, self._tries = ray, place, 0
        self._begin()
        self._is_held = self._is_lost = False
        self.cost = Cost(0.0, 0)

    def _begin(self) -> None:
        self._tries += 1
        self._holder = self._place()
        self._asked = self._holder.state.remote()

    def poll(self) -> int | None:
        """Its exit code; None while it waits or runs."""
        ready, _ = self._ray.wait([self._asked], timeout=0)
        if not ready:
            return None
        try:
            code, self.cost = self._ray.get(self._asked)
        except self._ray.exceptions.RayActorError:
            if not self._is_held and self._tries < TRIES:  # placed on a node that nobody knew to be dead
                self._begin()
                return None
            self._is_lost = True
            return LOST
        self._is_held = True
        self._asked = self._holder.state.remote()
        return code

    def ask_to_stop(self) -> None:
        """It saves and ends, as at Ctrl-C; one that still waits for a node does not begin."""
        if self._is_held:
            self._holder.ask_to_stop.remote()
        else:
            self._tries = TRIES
            self._ray.kill(self._holder)

    def kill(self) -> None:
        """With its process, which hangs on its actor's life."""
        self._ray.kill(self._holder)

    def why(self, code: int) -> str:
        """It failed, in a sentence: what it said last."""
        if self._is_lost:
            return "its Ray worker was lost, with its node or for want of memory; --resume goes on from its checkpoint"
        return self._ray.get(self._holder.why.remote(code))


def start_on_ray(*, cores: int) -> Callable[[Sequence[str], Path], RunOnRay]:
    """What starts a run that takes so many CPUs of a node. Raises UserError where there is no Ray."""
    ray = connect()
    actor = ray.remote(num_cpus=cores, max_restarts=0)(_Holder)
    return lambda command, log: RunOnRay(lambda: actor.remote(list(command), log), ray)


def places(*, cores: int) -> int:
    """Runs of so many CPUs that the cluster has room for at once; 1 at the least."""
    nodes = [node for node in connect().nodes() if node["Alive"]]
    return max(1, sum(int(node["Resources"].get("CPU", 0)) // cores for node in nodes))
