"""Run a group of jobs to the end in this process: all lanes step together, with one policy call a step."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from metarl.errors import EnvFault, NonFiniteError
from metarl.learner import Actor, ActorInput, BeginsEpisodes, ColoursNoise, Memory, WidensNoise
from metarl.rl.exploration_noise import coloured_noise
from metarl.rollout.buffer import Arrays, Outgrown, longer, new_arrays
from metarl.rollout.jobs import RolloutJob
from metarl.seeding import SeedKey, numpy_rng
from metarl.tasks import BatchEnv, Lanes, TaskDistribution
from metarl.types import EnvSpec

NonFinite = Literal["raise", "drop_episode"]


class GroupTimes(NamedTuple):
    """Seconds spent in each stage of a group."""

    env: float
    policy: float
    total: float


class GroupRunner:
    """Runs groups one after another on one set of lanes; each worker has one, and so has the in-process pool."""

    def __init__(self, tasks: TaskDistribution, *, non_finite: NonFinite) -> None:
        self._tasks = tasks
        self._non_finite: NonFinite = non_finite
        self._env: BatchEnv | None = None
        self._num_lanes = 0
        self._steps = 0

    def run_anew(self, jobs: Sequence[RolloutJob], actor: Actor) -> tuple[Arrays, GroupTimes]:
        """`run`, with new arrays that are as long as it takes."""
        spec = self._tasks.spec
        self._steps = self._steps or spec.first_steps
        while True:
            arrays = new_arrays(spec, sum(job.num_episodes for job in jobs), self._steps)
            try:
                return arrays, self.run(jobs, actor, arrays)
            except Outgrown:
                self._steps = longer(spec, self._steps)

    def run(self, jobs: Sequence[RolloutJob], actor: Actor, arrays: Arrays) -> GroupTimes:
        """Raises Outgrown where the arrays are too short."""
        num_lanes = sum(job.num_lanes for job in jobs)
        if self._env is None or num_lanes > self._num_lanes:
            self.close()
            self._env, self._num_lanes = self._tasks.make_env(num_lanes), num_lanes
        try:
            return run_group(self._env, actor, jobs, self._tasks.spec, arrays, non_finite=self._non_finite)
        except EnvFault as fault:
            fault.env = self._tasks.name
            raise

    def close(self) -> None:
        if self._env is not None:
            self._env.close()
            self._env = None


class Lineup:
    """Which job and which episode each lane is at; lanes are ordered by job."""

    def __init__(self, jobs: Sequence[RolloutJob]) -> None:
        self.jobs = jobs
        self.sequential = jobs[0].sequential
        self.num_episodes = jobs[0].num_episodes
        self.lanes_per_job = jobs[0].num_lanes
        self.num_lanes = self.lanes_per_job * len(jobs)
        lanes = np.arange(self.num_lanes)
        self.row = lanes * (self.num_episodes if self.sequential else 1)  # row of the output arrays, by lane
        self.last_row = self.row + (self.num_episodes - 1 if self.sequential else 0)

    def job_of(self, lane: int) -> RolloutJob:
        return self.jobs[lane // self.lanes_per_job]

    def seed_of(self, lane: int) -> SeedKey:
        """(job seed, episode): the lane's place among the job's episodes, not among the process's."""
        return (*self.job_of(lane).seed, int(self.row[lane]) % self.num_episodes)

    def where(self, lane: int, t: NDArray[np.intp]) -> str:
        """For error messages: what it takes to see the fault again."""
        return f"task {self.job_of(lane).task.id!r}, seed {self.seed_of(lane)}, step {int(t[lane])}"


def draw_noise(actor: Actor, seed: SeedKey, steps: int) -> Iterator[NDArray[np.float32]]:
    """The action noise of an episode, (`steps`, noise_dim) at a time: the whole of it, but where the horizon is far."""
    rng, width = numpy_rng((*seed, 1)), None
    exponent = actor.noise_exponent if isinstance(actor, ColoursNoise) else 0.0
    while True:
        if actor.uniform_noise:
            yield rng.random((steps, actor.noise_dim), dtype=np.float32)
            continue
        noise = coloured_noise(rng, steps=steps, dim=actor.noise_dim, exponent=exponent)
        if isinstance(actor, WidensNoise) and actor.widest_noise > 1:
            width = width or np.float32(actor.widest_noise ** rng.random())
            noise *= width
        yield noise


def tell_begun(actor: Actor, memory: Memory, begun: dict[int, SeedKey]) -> Memory:
    """The memory after the beginning of those lanes' episodes; its noise is from each episode's own seed."""
    if not begun or not isinstance(actor, BeginsEpisodes):
        return memory
    size = actor.episode_noise_dim
    rows = [numpy_rng((*seed, 2)).standard_normal(size, dtype=np.float32) for seed in begun.values()]
    return actor.begin(memory, torch.tensor(list(begun)), torch.from_numpy(np.stack(rows)))


class Noise:
    """What each lane's actions are drawn with: for a whole episode, or for its next steps where the horizon is far."""

    def __init__(self, actor: Actor, num_lanes: int, spec: EnvSpec) -> None:
        self._actor, self._steps, self._is_far = actor, spec.first_steps, spec.horizon_steps > spec.first_steps
        self._rows = np.zeros((num_lanes, self._steps, actor.noise_dim), np.float32)
        self._more: dict[int, Iterator[NDArray[np.float32]]] = {}

    def begin(self, lane: int, seed: SeedKey) -> None:
        self._more[lane] = draw_noise(self._actor, seed, self._steps)
        self._rows[lane] = next(self._more[lane])

    def at(self, lanes: Lanes, t: NDArray[np.intp]) -> torch.Tensor:
        return torch.from_numpy(self._rows[lanes, t % self._steps])

    def go_on(self, active: Lanes, ended: NDArray[np.bool_], t: NDArray[np.intp], *, room: int) -> None:
        """After a step of the active lanes. Raises Outgrown where an episode goes on behind `room` steps."""
        if not self._is_far:
            return
        lanes = active[~ended]
        if (t[lanes] >= room).any():
            raise Outgrown
        for lane in lanes[t[lanes] % self._steps == 0].tolist():
            self._rows[lane] = next(self._more[lane])


@torch.no_grad()
def run_group(
    env: BatchEnv,
    actor: Actor,
    jobs: Sequence[RolloutJob],
    spec: EnvSpec,
    arrays: Arrays,
    *,
    non_finite: NonFinite = "raise",
) -> GroupTimes:
    """Fill `arrays` with the episodes of `jobs`, job by job, episode by episode.

    A non-finite obs or reward raises NonFiniteError naming task, seed and step, or ends the episode with all
    its steps masked (`drop_episode`). An episode that is longer than `arrays` raises Outgrown.
    """
    started = time.perf_counter()
    env_seconds = policy_seconds = 0.0
    for array in arrays.values():
        array[...] = 0
    group = _Group(env, actor, jobs, spec, arrays, non_finite=non_finite)
    before = time.perf_counter()
    group.begin()
    env_seconds += time.perf_counter() - before
    while len(group.active):
        before = time.perf_counter()
        actions, log_probs = group.act()
        between = time.perf_counter()
        group.step(actions, log_probs)
        policy_seconds += between - before
        env_seconds += time.perf_counter() - between
    return GroupTimes(env_seconds, policy_seconds, time.perf_counter() - started)


class _Group:
    """All lanes of a group, and what each one's next action follows from; `active` are those in an episode."""

    def __init__(
        self,
        env: BatchEnv,
        actor: Actor,
        jobs: Sequence[RolloutJob],
        spec: EnvSpec,
        arrays: Arrays,
        *,
        non_finite: NonFinite,
    ) -> None:
        self.env, self.actor, self.spec, self.arrays, self.non_finite = env, actor, spec, arrays, non_finite
        self.lineup = Lineup(jobs)
        num_lanes = self.lineup.num_lanes
        self.active = self.lanes = np.arange(num_lanes)
        self.noise = Noise(actor, num_lanes, spec)
        self.obs = np.zeros((num_lanes, spec.obs_dim), np.float32)
        self.t = np.zeros(num_lanes, np.intp)
        self.prev_actions = np.zeros_like(arrays["actions"][:1, 0].repeat(num_lanes, 0))
        self.prev_rewards = np.zeros(num_lanes, np.float32)
        self.prev_ended = np.zeros(num_lanes, bool)
        self.begun: dict[int, SeedKey] = {}
        """Lanes that have begun an episode since the actor was last told so."""
        self.memory: Memory = None

    def begin(self) -> None:
        """The first episode of each lane."""
        self.active = self._begin_episodes(self.lanes)
        self.memory = self.actor.start([job.phi for job in self.lineup.jobs], self.lineup.lanes_per_job)

    def act(self) -> tuple[NDArray, NDArray[np.float32]]:
        """Actions (lanes, A), or (lanes,) where they are discrete, and their log-probabilities (lanes,)."""
        self.memory = tell_begun(self.actor, self.memory, self.begun)
        self.begun.clear()
        seen = self.obs, self.prev_actions, self.prev_rewards, self.prev_ended
        inputs = ActorInput(*map(torch.from_numpy, seen))
        actions, log_probs, self.memory = self.actor.act(self.memory, inputs, self.noise.at(self.lanes, self.t))
        return actions.numpy(), log_probs.numpy()

    def step(self, actions: NDArray, log_probs: NDArray[np.float32]) -> None:
        """Step the lanes that are in an episode, write down what came of it, and begin the next episodes."""
        arrays, active, obs = self.arrays, self.active, self.obs
        _check_policy(log_probs, active, self.lineup, self.t)
        step = self.env.step(active, actions[active])
        row, now, rewards = self.lineup.row[active], self.t[active], _float32(step.rewards)
        arrays["obs"][row, now] = obs[active]
        arrays["actions"][row, now] = actions[active]
        arrays["log_probs"][row, now] = log_probs[active]
        arrays["rewards"][row, now] = rewards
        arrays["success"][row, now] = step.success
        arrays["mask"][row, now] = True
        obs[active] = _float32(step.obs)
        at_limit = now + 1 >= self.spec.horizon_steps
        truncated = (step.truncated | at_limit) & ~step.terminated
        ended = step.terminated | truncated
        arrays["terminated"][row, now] = step.terminated
        arrays["truncated"][row, now] = truncated
        self.t[active] += 1

        bad = ~(np.isfinite(rewards) & np.isfinite(obs[active]).all(-1))
        if bad.any():
            self._drop_episodes(active[bad])
            rewards[bad], ended = 0, ended | bad
        self.prev_actions[active], self.prev_rewards[active], self.prev_ended[active] = actions[active], rewards, ended
        self.noise.go_on(active, ended, self.t, room=arrays["mask"].shape[1])
        if ended.any():
            arrays["last_obs"][row[ended]] = obs[active[ended]]
            self.active = np.sort(np.concatenate([active[~ended], self._next_episodes(active[ended])]))

    def _begin_episodes(self, starting: Lanes) -> Lanes:
        """Reset the named lanes; returns those that are in an episode now."""
        seeds = {lane: self.lineup.seed_of(lane) for lane in starting.tolist()}
        self.begun.update(seeds)
        for lane, seed in seeds.items():
            self.noise.begin(lane, seed)
        tasks = [self.lineup.job_of(lane).task for lane in seeds]
        self.obs[starting] = _float32(self.env.reset(starting, tasks, [(*seed, 0) for seed in seeds.values()]))
        self.t[starting] = 0
        bad = ~np.isfinite(self.obs[starting]).all(-1)
        if not bad.any():
            return starting
        self._drop_episodes(starting[bad])
        return np.concatenate([starting[~bad], self._next_episodes(starting[bad])])

    def _next_episodes(self, finished: Lanes) -> Lanes:
        """Go on with the jobs of lanes whose episode is over; returns the lanes that are in an episode now."""
        again = finished[self.lineup.row[finished] < self.lineup.last_row[finished]]
        self.lineup.row[again] += 1
        return self._begin_episodes(again) if len(again) else again

    def _drop_episodes(self, bad: Lanes) -> None:
        """Leave the lanes' episodes all zero, masked from the first step on; or raise, if so configured."""
        if self.non_finite == "raise":
            raise NonFiniteError(
                f"NaN or infinity in obs or reward of {self.lineup.where(int(bad[0]), self.t)}; fix the environment, "
                "or set non_finite to 'drop_episode' to leave such episodes out"
            )
        for array in self.arrays.values():
            array[self.lineup.row[bad]] = 0
        self.obs[bad] = 0


def _check_policy(log_probs: NDArray, active: Lanes, lineup: Lineup, t: NDArray[np.intp]) -> None:
    bad = active[~np.isfinite(log_probs[active])]
    if len(bad):
        raise NonFiniteError(
            f"NaN or infinity in the policy's action on {lineup.where(int(bad[0]), t)}; "
            "its parameters are not finite or too large: lower the learning rates"
        )


def _float32(x: NDArray) -> NDArray[np.float32]:
    """A copy in float32; what is too large for it becomes an infinity, and is treated as one."""
    with np.errstate(over="ignore"):
        return np.array(x, np.float32)
