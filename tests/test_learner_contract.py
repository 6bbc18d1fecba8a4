"""What every learner must keep to, RL and few-shot alike: theta changes in meta_update alone, behaviours are values."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from metarl.agents.registry import AGENTS
from metarl.envs.navigation import Navigation
from metarl.experiment import check_members
from metarl.fewshot.learner import FewShotBehaviour
from metarl.fewshot.registry import METHODS
from metarl.learner import KeepsReplay, MetaLearner, RLBehaviour
from metarl.rl.recurrent.memory import MEMORY_KINDS
from metarl.rollout.collect import collect_meta_batch
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.seeding import numpy_rng, torch_rng
from metarl.types import TaskData
from tests.agents.test_contract import small as small_agent
from tests.elsewhere import ELSEWHERE, Elsewhere, There
from tests.fewshot.problems import SMALL_IMAGE_NET, batch_of, image_source, small, snapshot

CPU = torch.device("cpu")
TASKS, SOURCE = Navigation(), image_source()
LEARNERS = [*(f"agent {name}" for name in AGENTS), *(f"method {name}" for name in METHODS)]
OTHER_AGENTS = [
    *(f"agent {name}" for name in AGENTS if name not in ("sac", "rl2")),
    *(f"agent rl2 {memory}" for memory in MEMORY_KINDS),
]
WITHOUT_THETA = ("agent random", "agent from_scratch", "method nearest_centroid")
"""Nothing of theirs is trained."""


def make(name: str, device: torch.device = CPU) -> tuple[Any, Callable[[Any, int], Sequence[TaskData]], type]:
    """The learner, what collects a meta-batch with a behaviour and a seed, and the protocol of its behaviour."""
    kind, own, *memory = name.split()
    if kind == "method":
        config = small(own, SMALL_IMAGE_NET)
        learner = METHODS[own].build(SOURCE.spec, config, generator=torch_rng((0,)), device=device)
        return learner, lambda behaviour, seed: batch_of(SOURCE, seed=seed), FewShotBehaviour

    def collect(behaviour: Any, seed: int) -> Sequence[TaskData]:
        tasks = TASKS.sample(3, rng=numpy_rng((seed,)))
        with RolloutPool(TASKS, PoolConfig(workers=0)) as pool:
            return collect_meta_batch(pool, behaviour, tasks, support_episodes=3, query_episodes=3, seed=(seed,))

    more = {"memory": memory[0]} if memory else {}
    return small_agent(own, **more)(TASKS.spec, 0, device), collect, RLBehaviour


def supports_of(batch: Sequence[TaskData]) -> list[Any]:
    return [data.supports[0] if data.supports else data.query for data in batch]


@pytest.mark.parametrize("name", LEARNERS)
def test_it_has_all_that_the_protocols_ask_for(name: str) -> None:
    learner, _, protocol = make(name)
    check_members(learner, MetaLearner, what="the learner")
    check_members(learner.behaviour(), protocol, what="its behaviour")


@pytest.mark.parametrize("name", LEARNERS)
def test_a_behaviour_is_a_value_that_updates_leave_alone(name: str) -> None:
    learner, collect, _ = make(name)
    before = learner.behaviour()
    batch = collect(before, 1)
    phis = before.adapt([before.prior()] * len(batch), supports_of(batch))
    theta = snapshot(learner.state_dict()["theta"]) if name not in WITHOUT_THETA else None
    learner.meta_update(batch)
    again = before.adapt([before.prior()] * len(batch), supports_of(batch))
    assert [snapshot(phi) for phi in again] == [snapshot(phi) for phi in phis]
    if theta is not None:
        assert snapshot(learner.state_dict()["theta"]) != theta
        assert (before.version, learner.behaviour().version) == (0, 1)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_behaviour_goes_to_another_process(name: str) -> None:
    """By value: what comes out there adapts to the same phi."""
    learner, collect, _ = make(name)
    behaviour = learner.behaviour()
    there = pickle.loads(pickle.dumps(behaviour))
    batch = collect(behaviour, 1)
    here, other = (b.adapt([b.prior()] * len(batch), supports_of(batch)) for b in (behaviour, there))
    assert [snapshot(phi) for phi in here] == [snapshot(phi) for phi in other]


@pytest.mark.parametrize("name", [name for name in LEARNERS if name.startswith("agent")])
def test_data_carry_the_behaviour_that_took_them(name: str) -> None:
    learner, collect, _ = make(name)
    behaviour = learner.behaviour()
    assert all(data.behaviour is behaviour for data in collect(behaviour, 1))


@pytest.mark.parametrize("name", LEARNERS)
def test_version_and_theta_come_back_from_a_state(name: str) -> None:
    learner, collect, _ = make(name)
    batch = collect(learner.behaviour(), 1)
    learner.meta_update(batch)
    other, _, _ = make(name)
    other.load_state_dict(learner.state_dict())
    if isinstance(other, KeepsReplay):
        other.remember([batch])
    assert snapshot(other.state_dict()) == snapshot(learner.state_dict())
    assert other.behaviour().version == learner.behaviour().version


@pytest.mark.parametrize(
    "name",
    [
        *(name for name in LEARNERS if name.startswith("method") or name == "agent sac"),
        *(pytest.param(name, marks=pytest.mark.thorough) for name in OTHER_AGENTS),
    ],
)
def test_on_another_device_it_makes_every_tensor_there_and_learns_the_same(name: str, monkeypatch) -> None:
    """Without a GPU: a tensor left on the CPU, or drawn by its generator, ends in an AssertionError."""
    here, collect, _ = make(name)
    batch = collect(here.behaviour(), 1)
    here.meta_update(batch)
    optimizer = sys.modules["torch.optim.optimizer"]
    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: ["cpu", ELSEWHERE.type])
    with Elsewhere():
        learner, collect, _ = make(name, ELSEWHERE)
        behaviour = learner.behaviour()
        batch = collect(behaviour, 1)
        learner.meta_update(batch)
        behaviour.adapt([behaviour.prior()] * len(batch), supports_of(batch))
        theta = tree_map_only(There, Tensor.cpu, learner.state_dict().get("theta", {}))
        if name.startswith("agent"):  # workers act with it
            assert not any(isinstance(x, There) for x in tree_leaves(learner.behaviour().prior()))
    expected = here.state_dict().get("theta", {})
    assert theta.keys() == expected.keys()
    for part in expected:  # a few products are cut in other ways
        torch.testing.assert_close(theta[part], expected[part], atol=1e-5, rtol=1e-4)


def test_old_phis_are_those_of_the_behaviour_that_took_the_data() -> None:
    """After theta has moved on, as with data that are one update old."""
    learner, collect, _ = make("agent maml")
    batch = collect(learner.behaviour(), 1)
    old = learner.problem.meta_batch(batch, learner.theta).old_phis
    learner.meta_update(batch)
    later = learner.problem.meta_batch(batch, learner.theta).old_phis
    for before, after in zip(old, later, strict=True):
        for name in before:
            torch.testing.assert_close(after[name], before[name], atol=0, rtol=0)
