"""Groups of jobs run whole by Ray's actors, on any machine of a cluster; the episodes are those of worker processes.

The behaviour goes to the cluster once a call, and a group goes to whichever actor is free. An actor that dies, with its
node or alone, is replaced, and its group is run again with the same seeds. One that finds no free CPU waits for it: a
node that joins is used as soon as an actor has started there.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from metarl.errors import UserError
from metarl.learner import Actor
from metarl.rollout.buffer import episodes_by_job
from metarl.rollout.message import cannot_be_sent, to_bytes
from metarl.rollout.orders import (
    CLOSE_SECONDS,
    START_SECONDS,
    Cancelled,
    Group,
    GroupResult,
    Order,
    OrderThread,
    Waits,
    check_lost,
)
from metarl.rollout.ray_cluster import connect
from metarl.rollout.ray_member import RayMember, Sampled, code_versions
from metarl.rollout.worker import Failed
from metarl.tasks import TaskDistribution

if TYPE_CHECKING:
    from metarl.rollout.pool import PoolConfig

POLL_SECONDS = 0.2
"""Between looks whether the order was cancelled, or a deadline has passed."""


class _Member:
    """The handle on an actor: what it was asked last, and the group that it has."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.asked = actor.versions.remote()
        self.is_ready = False
        self.group: int | None = None
        self.deadline = float("inf")


class RayRunner:
    """`start` hands over groups; what it returns waits for them. One order at a time."""

    def __init__(self, tasks: TaskDistribution, config: PoolConfig) -> None:
        self._tasks, self._config = tasks, config
        self.restarts = 0
        self._ray: Any = None
        self._members: list[_Member] = []
        self._tasks_at: Any = None
        self._orders = OrderThread(self._run, self._end)

    # ---- in the caller's thread

    def start(self, groups: Sequence[Group], actor: Actor) -> Waits:
        """As `OrderThread.start`. Raises UserError where there is no Ray, or the tasks cannot be sent to it."""
        if self._ray is None:
            tasks = _pickled(self._tasks, f"the tasks {self._tasks.name!r}")
            self._ray = connect()
            self._tasks_at = self._ray.put(tasks)
        return self._orders.start(groups, actor)

    def close(self) -> None:
        """As `OrderThread.close`; Ray itself stays until the process ends."""
        self._orders.close()

    # ---- in the thread of its own

    def _run(self, order: Order) -> list[GroupResult]:
        groups, max_tries = order.groups, self._config.max_tries
        behaviour = self._ray.put(_pickled(order.actor, "the policy"))
        results: dict[int, GroupResult] = {}
        tries, lost, began = [0] * len(groups), 0, time.monotonic()
        waiting = deque(range(len(groups)))
        while len(results) < len(groups):
            running = [member for member in self._members if member.group is not None]
            while len(self._members) < min(self._config.workers, len(waiting) + len(running)):
                self._members.append(self._new_member())
            for member in self._members:
                if member.is_ready and member.group is None and waiting:
                    self._hand_over(member, waiting.popleft(), groups, behaviour)
            for member in self._answered():
                answer = self._answer(member)
                index = member.group
                if isinstance(answer, Failed):
                    if index is None:
                        lost += 1
                        # all of them may have been killed with their node
                        spare = self._config.workers if answer.died else 0
                        check_lost(answer, lost, "workers of Ray", max_tries=max_tries, spare=spare)
                    else:
                        waiting.appendleft(index)
                        tries[index] += 1
                        order.tell_failure(answer, groups[index], tries=tries[index], max_tries=max_tries)
                    self._replace(member)
                elif index is None:
                    self._prepare(member, answer)
                else:
                    results[index] = self._result(groups[index], answer)
                    member.group, lost, began = None, 0, time.monotonic()
            if order.is_cancelled:
                raise Cancelled
            self._check_begins(began)
        return [results[index] for index in range(len(groups))]

    def _new_member(self) -> _Member:
        remote = self._ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(RayMember)
        return _Member(remote.remote(list(sys.path)))

    def _prepare(self, member: _Member, answer: Any) -> None:
        """Its versions, then whether it can import the tasks. Raises UserError where it is of other code than this."""
        if isinstance(answer, Mapping):
            _check_versions(answer)
            member.asked = member.actor.prepare.remote(self._tasks_at, self._config.non_finite)
        else:
            member.is_ready, member.asked = True, None

    def _hand_over(self, member: _Member, index: int, groups: Sequence[Group], behaviour: Any) -> None:
        member.group, member.deadline = index, time.monotonic() + self._config.deadline_seconds
        member.asked = member.actor.run.remote(_pickled(groups[index], "a group of jobs"), behaviour)

    def _answered(self) -> list[_Member]:
        """Those that have answered, died or passed their deadline."""
        asked = {member.asked: member for member in self._members if member.asked is not None}
        done, _ = self._ray.wait(list(asked), num_returns=1, timeout=POLL_SECONDS, fetch_local=False)
        now = time.monotonic()
        late = [member for member in asked.values() if now >= member.deadline and member.asked not in done]
        return [asked[ref] for ref in done] + late

    def _answer(self, member: _Member) -> Any:
        """What it says, or what became of it."""
        if time.monotonic() >= member.deadline and not self._is_done(member):
            return Failed(f"a worker of Ray hung: no answer within deadline_seconds={self._config.deadline_seconds}")
        errors = self._ray.exceptions
        try:
            return self._ray.get(member.asked)
        except errors.RayTaskError as error:
            return Failed(str(error))
        except (errors.RayActorError, errors.ObjectLostError, errors.OwnerDiedError) as error:
            return Failed(f"a worker of Ray died: {error}", died=True)

    def _is_done(self, member: _Member) -> bool:
        return bool(self._ray.wait([member.asked], timeout=0, fetch_local=False)[0])

    def _result(self, jobs: Group, answer: Sampled) -> GroupResult:
        return episodes_by_job(answer.arrays, len(jobs), per_job=jobs[0].num_episodes), answer.times

    def _check_begins(self, began: float) -> None:
        """Raises UserError where no actor finds a CPU."""
        if time.monotonic() - began > START_SECONDS and not any(member.group is not None for member in self._members):
            found = (self._ray.cluster_resources(), self._ray.available_resources())
            cpus, free = (resources.get("CPU", 0) for resources in found)
            raise UserError(
                f"no worker of Ray has started in {START_SECONDS:g} s: its nodes have {cpus:g} CPUs, {free:g} of them "
                "free; end what else runs there, or start Ray with more (`ray start --num-cpus N`)"
            )

    def _replace(self, member: _Member) -> None:
        self._ray.kill(member.actor)
        self._members.remove(member)
        self.restarts += 1

    def _end(self) -> None:
        idle = [member for member in self._members if member.is_ready and member.group is None]
        if idle:
            closed = [member.actor.close.remote() for member in idle]
            self._ray.wait(closed, num_returns=len(closed), timeout=CLOSE_SECONDS)
        for member in self._members:
            self._ray.kill(member.actor)
        self._members = []


def _pickled(thing: Any, what: str) -> bytes:
    """Raises UserError for what cannot be sent."""
    try:
        return to_bytes(thing).tobytes()
    except Exception as error:  # whatever a __reduce__ of its own raises
        raise cannot_be_sent(what, error, to="Ray's workers", instead="--runner processes on one machine") from error


def _check_versions(there: Mapping[str, Any]) -> None:
    """Raises UserError where a node has other versions, by which numbers would depend on who ran a group."""
    here = code_versions()
    if found := [f"{name} {there.get(name)}, here {here[name]}" for name in here if there.get(name) != here[name]]:
        raise UserError(f"a node of Ray has {'; '.join(found)}; install the same on all of them")
