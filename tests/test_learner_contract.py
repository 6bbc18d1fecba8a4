"""What every learner must keep to, RL and few-shot alike: theta changes in meta_update alone, behaviours are values."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from metarl.agents.registry import AGENTS
from metarl.envs.navigation import Navigation
from metarl.experiment import check_members
from metarl.fewshot.learner import FewShotBehaviour
from metarl.fewshot.registry import METHODS
from metarl.learner import KeepsReplay, MetaLearner, RLBehaviour
from metarl.rollout.collect import collect_meta_batch
from metarl.rollout.pool import PoolConfig, RolloutPool
from metarl.seeding import numpy_rng, torch_rng
from metarl.types import TaskData
from tests.agents.test_contract import small as small_agent
from tests.fewshot.problems import SMALL_IMAGE_NET, batch_of, image_source, small, snapshot

TASKS, SOURCE = Navigation(), image_source()
LEARNERS = [*(f"agent {name}" for name in AGENTS), *(f"method {name}" for name in METHODS)]
WITHOUT_THETA = ("agent random", "agent from_scratch", "method nearest_centroid")
"""Nothing of theirs is trained."""


def make(name: str) -> tuple[Any, Callable[[Any, int], Sequence[TaskData]], type]:
    """The learner, what collects a meta-batch with a behaviour and a seed, and the protocol of its behaviour."""
    kind, own = name.split()
    if kind == "method":
        learner = METHODS[own].make(SOURCE.spec, torch_rng((0,)), config=small(own, SMALL_IMAGE_NET))
        return learner, lambda behaviour, seed: batch_of(SOURCE, seed=seed), FewShotBehaviour

    def collect(behaviour: Any, seed: int) -> Sequence[TaskData]:
        tasks = TASKS.sample(3, rng=numpy_rng((seed,)))
        with RolloutPool(TASKS, PoolConfig(workers=0)) as pool:
            return collect_meta_batch(pool, behaviour, tasks, support_episodes=3, query_episodes=3, seed=(seed,))

    return small_agent(own)(TASKS.spec, 0), collect, RLBehaviour


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
