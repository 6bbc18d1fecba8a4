"""Small scripted environments and actors: importable, so that worker processes can have them too."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metarl.errors import UserError
from metarl.learner import ActorInput
from metarl.rollout.jobs import RolloutJob
from metarl.rollout.lanes import LaneStep, LoopedLanes
from metarl.seeding import SeedKey, numpy_rng
from metarl.tasks import BatchEnv, EnvStep
from metarl.types import EnvSpec, Episodes, Task

HORIZON = 6


class ScriptedLane:
    """Does what its task says. obs = (u, k, sum of actions) after k steps, u drawn from the seed.

    reward = 10 k + u + action. `lengths`: of each episode of a job, ended as `end` says; without them the
    horizon ends it. `nan_obs_at`, `short_obs_at`, `nan_reward_at`, `huge_reward_at`: steps, 0 being the reset,
    of the episodes in `bad_episodes`. `fault`: see `misbehave`. `child`: a file for the id of a child process that it
    starts, and ends when it is closed. `close`: "hang".
    """

    child: subprocess.Popen | None = None

    def reset(self, task: Task, seed: SeedKey) -> np.ndarray:
        self.params, self.episode = task.params, seed[-2]
        self.u = numpy_rng(seed).random()
        self.k, self.sum = 0, 0.0
        misbehave(self.params, 0)
        if "child" in self.params:
            self.child = subprocess.Popen(["sleep", "1000"])
            Path(self.params["child"]).write_text(str(self.child.pid))
        return self._obs()

    def step(self, action: np.ndarray) -> LaneStep:
        self.k += 1
        self.sum += float(np.sum(action))
        misbehave(self.params, self.k)
        lengths = self.params.get("lengths")
        over = lengths is not None and self.k == lengths[self.episode]
        end = self.params.get("end", "terminated")
        reward = 10.0 * self.k + self.u + float(np.sum(action))
        if self._bad("nan_reward_at"):
            reward = float("nan")
        if self._bad("huge_reward_at"):
            reward = 1e39  # finite, but not in float32
        return LaneStep(
            self._obs(),
            reward,
            over and end in ("terminated", "both"),
            over and end in ("truncated", "both"),
            self.k == self.params.get("success_at"),
        )

    def close(self) -> None:
        if self.params.get("close") == "hang":
            time.sleep(1000)
        if self.child is not None:
            self.child.kill()
            self.child.wait()

    def _bad(self, name: str) -> bool:
        return self.params.get(name) == self.k and self.episode in self.params.get("bad_episodes", [self.episode])

    def _obs(self) -> np.ndarray:
        if self._bad("short_obs_at"):
            return np.zeros(1)
        return np.array([np.nan if self._bad("nan_obs_at") else self.u, self.k, self.sum])


def misbehave(params, step: int) -> None:
    """`fault` = {kind, at, marker}: at that step, and only if the marker file is not there (it is made)."""
    fault = params.get("fault")
    if fault is None or fault["at"] != step:
        return
    if fault["marker"] is not None:
        try:
            Path(fault["marker"]).touch(exist_ok=False)
        except FileExistsError:
            return
    match fault["kind"]:
        case "raise":
            raise ZeroDivisionError("scripted trouble")
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(1000)
        case "nap":
            time.sleep(1)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "user error":
            raise GripperError(3, "open it")


class GripperError(UserError):
    """Not made of its text alone."""

    def __init__(self, millimetres: int, remedy: str) -> None:
        super().__init__(f"the gripper is at {millimetres} mm; {remedy}")


@dataclass(frozen=True)
class Scripted:
    """A TaskDistribution of `ScriptedLane`s."""

    discrete: bool = False
    horizon_steps: int = HORIZON
    name: str = "scripted"

    @property
    def spec(self) -> EnvSpec:
        return EnvSpec(
            obs_dim=3,
            action_dim=4 if self.discrete else 2,
            discrete=self.discrete,
            horizon_steps=self.horizon_steps,
        )

    def sample(self, num_tasks: int, *, rng: np.random.Generator) -> list[Task]:
        return [Task(f"scripted/{i}", {"key": float(rng.random())}) for i in range(num_tasks)]

    def meta_test(self) -> list[Task]:
        return [Task(f"scripted/test/{i}", {"key": -i}) for i in range(3)]

    def make_env(self, num_lanes: int) -> BatchEnv:
        return LoopedLanes(ScriptedLane, num_lanes, self.spec)


class TakesAnyTask(Scripted):
    """A user may give it any params."""

    def task(self, params: Mapping[str, Any]) -> Task:
        return Task("given", params)


class SlowToImport(Scripted):
    """Takes 3 s to be unpickled in a worker, as heavy imports do."""

    def __reduce__(self):
        return _slowly, ()


def _slowly() -> SlowToImport:
    time.sleep(3)
    return SlowToImport()


class Unmakeable(Scripted):
    """Its environments want something that the user has to install first."""

    def make_env(self, num_lanes: int) -> BatchEnv:
        raise UserError("the simulator is missing; pip install it")


@dataclass(frozen=True)
class Converted:
    """A TaskDistribution whose environments hand out their arrays in another form."""

    inner: Scripted
    convert: Callable[[np.ndarray], np.ndarray]

    @property
    def spec(self) -> EnvSpec:
        return self.inner.spec

    def make_env(self, num_lanes: int) -> BatchEnv:
        return ConvertedLanes(self.inner.make_env(num_lanes), self.convert)


class ConvertedLanes:
    def __init__(self, inner: BatchEnv, convert: Callable[[np.ndarray], np.ndarray]) -> None:
        self.inner, self.convert = inner, convert

    def reset(self, lanes, tasks: Sequence[Task], seeds: Sequence[SeedKey]) -> np.ndarray:
        return self.convert(self.inner.reset(lanes, tasks, seeds))

    def step(self, lanes, actions) -> EnvStep:
        obs, rewards, *flags = self.inner.step(lanes, actions)
        return EnvStep(self.convert(obs), rewards, *flags)

    def close(self) -> None:
        self.inner.close()


class NoisyActor:
    """Memoryless, continuous: action = noise."""

    noise_dim = 2
    uniform_noise = False

    def start(self, phis, lanes_per_job):
        return None

    def act(self, memory, inputs: ActorInput, noise):
        return noise.clone(), noise.sum(-1), memory


class CountingActor:
    """Its memory counts the steps of a lane, its actions say the count; it keeps all that it is fed."""

    uniform_noise = False

    def __init__(self, *, discrete: bool = False) -> None:
        self.discrete = discrete
        self.noise_dim = 0
        self.inputs: list[ActorInput] = []

    def start(self, phis, lanes_per_job):
        return torch.zeros(len(phis) * lanes_per_job)

    def act(self, memory, inputs: ActorInput, noise):
        assert noise.shape == (len(memory), 0)
        self.inputs.append(ActorInput(*(x.clone() for x in inputs)))
        actions = memory.long() % 4 if self.discrete else memory.unsqueeze(-1).expand(-1, 2) * torch.tensor([1.0, 0.0])
        return actions, -memory, memory + 1


def job(task: Task | dict, *, episodes: int = 1, seed: SeedKey = (0,), phi=None, sequential: bool = False):
    if not isinstance(task, Task):
        task = Task("t", task)
    return RolloutJob(task=task, phi=phi, num_episodes=episodes, seed=seed, sequential=sequential)


def same_bytes(a: Sequence[Episodes], b: Sequence[Episodes]) -> bool:
    """Bit for bit, in every field of all episodes."""
    return len(a) == len(b) and all(
        x.dtype == y.dtype and x.shape == y.shape and x.numpy().tobytes() == y.numpy().tobytes()
        for first, second in zip(a, b, strict=True)
        for x, y in zip(vars(first).values(), vars(second).values(), strict=True)
    )
