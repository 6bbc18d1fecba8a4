"""Replay: the episodes of each group of tasks in a ring of rows, drawn from as n-step transitions.

A group is a class of tasks (`Task.stratum`); tasks without one are one group. Each group has a ring of its own, and a
batch holds all groups alike, so that a task whose episodes are short or came late is learned from as much as another.

An episode of T steps lies in T + 1 rows, the last one being its last observation. A row says how many steps of its
episode follow, which is all that drawing needs: n steps end early at the episode's end, where a truncated one is
bootstrapped from its real last observation and a terminated one is not. Overwriting an episode's first rows leaves the
others as good as they were.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarl.errors import NonFiniteError, UserError
from metarl.rl.batch import stack_tasks
from metarl.rl.off_policy.mapped import mapped
from metarl.types import EnvSpec, Episodes, TaskData


class Transitions(NamedTuple):
    """B n-step transitions (Sutton 1988): G = r_0 + gamma r_1 + ... + gamma^(k-1) r_(k-1), with k <= n, for each of D
    discount factors gamma."""

    groups: Tensor  # (B,) int64
    obs: Tensor  # (B, O)
    actions: Tensor  # (B, A)
    returns: Tensor  # (B, D) G
    discounts: Tensor  # (B, D) gamma^k, 0 where the episode terminated
    next_obs: Tensor  # (B, O) k steps on


class _Kept(NamedTuple):
    """An episode that lies whole in its ring."""

    first: int  # its first row, counted since the start
    steps: int
    total: float  # undiscounted return


BEST = 0.1
"""The share of a group's episodes, by return, that its best ones are."""


class Replay:
    """Rings of `capacity` rows a group, on `device`. Memory is taken as rows are filled; `num_bytes` is that of all.

    `on_disk`: rows are in a file in place of memory (`mapped`), for a learner on the CPU.
    """

    def __init__(
        self,
        spec: EnvSpec,
        *,
        capacity: int,
        n_step: int,
        gammas: Sequence[float],
        device: torch.device,
        on_disk: bool = False,
    ) -> None:
        _check_holds(capacity, spec.first_steps)
        if on_disk and device.type != "cpu":
            raise UserError(f"a replay on the disk is for a learner on the CPU, and this one is on {device.type}")
        self._on_disk = on_disk
        self.spec, self.capacity, self.n_step, self.gammas, self.device = spec, capacity, n_step, gammas, device
        self.names: list[str] = []
        """Of the groups, in the order in which they were met; group i has rows i * capacity and on."""
        self.written: list[int] = []
        """Rows of each group since the start."""
        self.since: int | None = None
        """Batches that were added since `forget`; None where nothing was forgotten."""
        self._rows = self._new_rows(0)
        self._kept: list[deque[_Kept]] = []
        self._best: _Best | None = None
        """None where episodes were added since it was made."""

    def _new_rows(self, groups: int) -> dict[str, Tensor]:
        """By name, (G * capacity, ...); the memory is the operating system's to give once a row is written."""

        def new(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            if self._on_disk:
                return mapped(groups * self.capacity, *shape, dtype=dtype)
            try:
                return torch.empty(groups * self.capacity, *shape, dtype=dtype, device=self.device)
            except RuntimeError as error:  # the allocator's, whose text is a trace of C++
                needed = groups * self.capacity * (4 * (self.spec.obs_dim + self.spec.action_dim + 1) + 9)
                raise UserError(
                    f"a replay of {self.capacity:,} rows for each of {groups} tasks takes {needed:,} bytes of memory, "
                    "and no such block can be had; lower replay_capacity, or set replay_on disk"
                ) from error

        return {
            "obs": new(self.spec.obs_dim),
            "actions": new(self.spec.action_dim),
            "rewards": new(),
            "left": new(dtype=torch.int64),  # steps to the episode's end; 0: its last observation
            "terminates": new(dtype=torch.bool),  # the episode ends in a terminal state
        }

    @property
    def num_bytes(self) -> int:
        """Of all rings once they are full."""
        return sum(x.numel() * x.element_size() for x in self._rows.values())

    @property
    def num_groups(self) -> int:
        return len(self.names)

    @property
    def filled(self) -> list[int]:
        """Rows that each group has."""
        return [min(rows, self.capacity) for rows in self.written]

    def meet(self, names: Sequence[str]) -> None:
        """Make room for the groups that are new."""
        new = [name for name in dict.fromkeys(names) if name not in self.names]
        if not new:
            return
        old, filled = self._rows, self.filled
        self._rows = self._new_rows(self.num_groups + len(new))
        for group, rows in enumerate(filled):
            for name, x in old.items():
                part = slice(group * self.capacity, group * self.capacity + rows)
                self._rows[name][part] = x[part]
        self.names += new
        self.written += [0] * len(new)
        self._kept += [deque() for _ in new]

    def forget(self) -> None:
        """Be as empty as at the start."""
        self._rows, self.names, self.written, self._kept, self.since = self._new_rows(0), [], [], [], 0

    def add(self, batch: Sequence[TaskData]) -> None:
        """The query episodes of each task, in order; episodes without a step are passed over."""
        self.meet([data.task.stratum for data in batch])
        for data in batch:
            group = self.names.index(data.task.stratum)
            for index, length in enumerate(data.query.mask.sum(-1).tolist()):
                if length:
                    _check_holds(self.capacity, length)
                    self._add_episode(group, data.query, index, length)
        self.since = None if self.since is None else self.since + 1
        self._best = None

    def _add_episode(self, group: int, episodes: Episodes, index: int, length: int) -> None:
        at = (self.written[group] + torch.arange(length + 1, device=self.device)) % self.capacity
        at = at + group * self.capacity
        steps, last, rows = at[:-1], at[-1], self._rows
        rows["obs"][steps] = episodes.obs[index, :length].to(self.device)
        rows["obs"][last] = episodes.last_obs[index].to(self.device)
        rows["actions"][steps] = episodes.actions[index, :length].to(self.device)
        rows["rewards"][steps] = episodes.rewards[index, :length].to(self.device)
        rows["left"][at] = torch.arange(length, -1, -1, device=self.device)
        rows["terminates"][at] = bool(episodes.terminated[index, length - 1])
        kept = self._kept[group]
        kept.append(_Kept(self.written[group], length, float(episodes.rewards[index, :length].sum())))
        self.written[group] += length + 1
        while kept[0].first < self.written[group] - self.capacity:
            kept.popleft()

    def draw(
        self, batch_size: int, generator: torch.Generator, *, shares: Tensor | None = None, from_best: float = 0.0
    ) -> Transitions:
        """Each group by its share, (G,) that sum to 1, or all alike, to within one row; within a group uniformly over
        its steps, with replacement, but for a share `from_best` of rows that come from its best episodes alone."""
        if shares is None:
            shares = torch.full((self.num_groups,), 1 / self.num_groups)
        # systematic sampling: one random number for all rows, which then lie evenly over the shares
        places = (torch.arange(batch_size) + torch.rand((), generator=generator, dtype=torch.float64)) / batch_size
        groups = torch.searchsorted(shares.double().cumsum(0), places).clamp(max=self.num_groups - 1).to(self.device)
        filled = torch.tensor(self.filled, device=self.device)[groups]
        at = self.draw_steps(groups, torch.zeros_like(filled), filled, generator)
        if from_best:
            share, which, step = torch.rand(3, batch_size, generator=generator, dtype=torch.float64).to(self.device)
            self._best = self._best or _Best.of(self._kept)
            best = self._best.rows(groups, which, step) % self.capacity
            at = torch.where(share < from_best, best, at)
        return self.transitions(groups, at)

    def transitions(self, groups: Tensor, at: Tensor, *, n_step: int | None = None) -> Transitions:
        """From the named rows of each group's ring, (B,) each; of `n_step` steps where that is not the replay's own."""
        base, rows, n_step = groups * self.capacity, self._rows, n_step or self.n_step
        left = rows["left"][base + at]
        ahead = torch.arange(n_step, device=self.device)
        rewards = rows["rewards"][base.unsqueeze(1) + (at.unsqueeze(1) + ahead) % self.capacity]  # (B, n)
        rewards = torch.where(ahead < left.unsqueeze(1), rewards, 0.0)
        steps = left.clamp(max=n_step)
        is_end = rows["terminates"][base + at] & (left <= n_step)
        return Transitions(
            groups=groups,
            obs=rows["obs"][base + at],
            actions=rows["actions"][base + at],
            returns=torch.stack([rewards @ gamma**ahead for gamma in self.gammas], 1),
            discounts=torch.stack([torch.where(is_end, 0.0, gamma**steps) for gamma in self.gammas], 1),
            next_obs=rows["obs"][base + (at + steps) % self.capacity],
        )

    def reward_changes(self, groups: Tensor, at: Tensor) -> Tensor:
        """The reward of the named rows less that of the step before, (B,); 0 at an episode's first step."""
        base, rows = groups * self.capacity, self._rows
        here, before = base + at, base + (at - 1) % self.capacity
        follows = rows["left"][before] == rows["left"][here] + 1
        return torch.where(follows, rows["rewards"][here] - rows["rewards"][before], 0.0)

    def draw_steps(self, groups: Tensor, first: Tensor, among: Tensor, generator: torch.Generator) -> Tensor:
        """A row of each named group from which a step starts, uniformly of so many from the `first` on, (B,) each. That
        of an episode's last observation is none, and is drawn anew."""

        def drawn(which: Tensor | slice) -> Tensor:
            share = torch.rand(len(among[which]), generator=generator, dtype=torch.float64).to(self.device)
            return (first[which] + (share * among[which]).long()) % self.capacity

        at, base = drawn(slice(None)), groups * self.capacity
        while len(bad := (self._rows["left"][base + at] == 0).nonzero().squeeze(-1)):
            at[bad] = drawn(bad)
        return at

    def state_dict(self) -> dict[str, Any]:
        """Where the rings stand; their rows are kept elsewhere, as the episodes that they came from."""
        return {"names": list(self.names), "written": list(self.written), "since": self.since}

    def restore(self, state: dict[str, Any], batches: Iterable[Sequence[TaskData]]) -> None:
        """The rings as they were when `state` was taken, from the batches that were added until then, oldest first; the
        first ones may be left out where later ones have overwritten them, and those from before a `forget` are passed
        over.

        Raises UserError where there are too few.
        """
        batches = deque(batches, maxlen=state.get("since"))  # older states lack it, and forgot nothing
        self.forget()
        self.meet(state["names"])
        given = rows_by_group(batches)
        for group, (name, written) in enumerate(zip(state["names"], state["written"], strict=True)):
            found = given.get(name, 0)
            if not min(written, self.capacity) <= found <= written:
                of = repr(name) if name else "the run"
                raise UserError(
                    f"the replay of {of} had {written:,} rows when the checkpoint was saved, and its "
                    f"files hold {found:,}; restore them, or start a new run"
                )
            self.written[group] = written - found
        for batch in batches:
            self.add(batch)
        self.since = state.get("since")


def _check_holds(capacity: int, steps: int) -> None:
    if capacity <= steps:
        raise UserError(
            f"a replay of {capacity} rows a task holds no whole episode of {steps} steps; give at least {steps + 1}"
        )


class _Best(NamedTuple):
    """The best episodes of all groups, one group's behind the other's."""

    first: Tensor  # (K,) int64
    steps: Tensor  # (K,)
    begin: Tensor  # (G,) where a group's begin
    count: Tensor  # (G,)

    @classmethod
    def of(cls, kept: Sequence[Iterable[_Kept]]) -> _Best:
        chosen = []
        for episodes in kept:
            ranked = sorted(episodes, key=lambda episode: (-episode.total, episode.first))
            chosen.append(ranked[: max(1, round(BEST * len(ranked)))])
        count = torch.tensor([len(best) for best in chosen], dtype=torch.int64)
        flat = [episode for best in chosen for episode in best]
        first, steps = (torch.tensor([episode[i] for episode in flat], dtype=torch.int64) for i in (0, 1))
        return cls(first, steps, count.cumsum(0) - count, count)

    def rows(self, groups: Tensor, which: Tensor, step: Tensor) -> Tensor:
        """Counted since the start, (B,), by two numbers in [0, 1) a row."""
        first, steps, begin, count = (x.to(groups.device) for x in self)
        episode = begin[groups] + (which * count[groups]).long()
        return first[episode] + (step * steps[episode]).long()


def check_episodes(of_tasks: Sequence[Episodes]) -> Episodes:
    """The episodes, stacked. Raises UserError where a task has no step at all, NonFiniteError for a NaN or infinity."""
    episodes = stack_tasks(of_tasks)
    for name in ("obs", "actions", "rewards", "last_obs"):
        if not torch.isfinite(getattr(episodes, name)).all():
            raise NonFiniteError(f"NaN or infinity in the {name} of an episode; it was not learned from")
    return episodes


def rows_by_group(batches: Iterable[Sequence[TaskData]]) -> Counter[str]:
    """Rows that batches take: one a step, and one an episode."""
    rows: Counter[str] = Counter()
    for data in (data for batch in batches for data in batch):
        for episodes in (*data.supports, data.query):
            lengths = episodes.mask.sum(-1)
            rows[data.task.stratum] += int((lengths + (lengths > 0)).sum())
    return rows
