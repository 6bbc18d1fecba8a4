"""Replay for an agent that has to find out the task: rows of visits to tasks, each with its own context.

A visit is what one meta-update collected of one task: support episodes, which are the context that the task is told
from, and query episodes. Tasks that come again are visits of their own, so that tasks may be drawn without end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarl.errors import UserError
from metarl.rl.off_policy.belief import context_rows
from metarl.rl.off_policy.replay import Replay, Transitions, rows_by_group
from metarl.types import EnvSpec, Task, TaskData

_ALL = Task("", {})


class _Visit(NamedTuple):
    first: int  # its first row, counted since the start
    support: int  # rows of support episodes, which come first
    rows: int


class VisitReplay:
    """A ring of `capacity` rows: one a step, and one an episode. A visit that has lost its first row is forgotten."""

    def __init__(
        self, spec: EnvSpec, *, capacity: int, n_step: int, gammas: Sequence[float], device: torch.device
    ) -> None:
        self._replay = Replay(spec, capacity=capacity, n_step=n_step, gammas=gammas, device=device)
        self._visits: deque[_Visit] = deque()
        self.capacity, self.device = capacity, device

    @property
    def written(self) -> int:
        """Rows since the start."""
        return sum(self._replay.written)

    @property
    def num_visits(self) -> int:
        return len(self._visits)

    def add(self, batch: Sequence[TaskData]) -> None:
        """Raises UserError for a visit that is larger than the ring."""
        for data in batch:
            first = self.written
            for support in data.supports:
                self._add(support)
            support_rows = self.written - first
            self._add(data.query)
            visit = _Visit(first, support_rows, self.written - first)
            if visit.rows > self.capacity:
                raise UserError(
                    f"one task's episodes take {visit.rows:,} rows and replay_capacity={self.capacity:,}; raise it"
                )
            self._visits.append(visit)
        while self._visits and self._visits[0].first < self.written - self.capacity:
            self._visits.popleft()

    def _add(self, episodes: Any) -> None:
        self._replay.add([TaskData(_ALL, (), episodes)])

    def draw(
        self, tasks: int, generator: torch.Generator, *, rows: int, context: int
    ) -> tuple[Transitions, Tensor, Tensor]:
        """Of so many visits, with replacement: `rows` transitions of all episodes of each, those of one visit behind
        those of the other; and `context` transitions of its support episodes, or for one visit in two of all its
        episodes (tasks, context, F), since a belief is told from what it made the agent do as well. The mask
        (tasks, context) leaves a number of them that is uniform from 1 on: it is learned for few and for many."""
        which = torch.randint(len(self._visits), (tasks,), generator=generator)
        first, support, every = torch.tensor(self._visits)[which].to(self.device).unbind(1)
        of_all = self._steps(first, every, rows, generator)
        is_support = torch.rand(tasks, generator=generator).to(self.device) < 0.5
        told = self._steps(first, torch.where(is_support, support, every), context, generator)
        group = torch.zeros_like(told)
        seen = self._replay.transitions(group, told, n_step=1)
        changes = self._replay.reward_changes(group, told)
        given = context_rows(seen.obs, seen.actions, seen.returns[:, 0], seen.next_obs, changes)
        counts = torch.randint(1, context + 1, (tasks, 1), generator=generator).to(self.device)
        mask = torch.arange(context, device=self.device) < counts
        return (
            self._replay.transitions(torch.zeros_like(of_all), of_all),
            given.view(tasks, context, -1),
            mask,
        )

    def _steps(self, first: Tensor, among: Tensor, number: int, generator: torch.Generator) -> Tensor:
        first, among = (x.repeat_interleave(number) for x in (first, among))
        return self._replay.draw_steps(torch.zeros_like(first), first, among, generator)

    def state_dict(self) -> dict[str, Any]:
        """Where the ring stands; its rows are kept elsewhere, as the episodes that they came from."""
        return {"written": self.written}

    def restore(self, state: dict[str, Any], batches: Iterable[Sequence[TaskData]]) -> None:
        """As it was when `state` was taken, from the batches that were added until then, oldest first; the first ones
        may be left out where later ones have overwritten them. Raises UserError where there are too few."""
        batches, written = list(batches), state["written"]
        found = sum(rows_by_group(batches).values())
        if not min(written, self.capacity) <= found <= written:
            raise UserError(
                f"the replay had {written:,} rows when the checkpoint was saved, and its files hold {found:,}; restore "
                "them, or start a new run"
            )
        self._replay.forget()
        self._visits.clear()
        self._replay.meet([_ALL.stratum])
        self._replay.written[0] = written - found
        for batch in batches:
            self.add(batch)
