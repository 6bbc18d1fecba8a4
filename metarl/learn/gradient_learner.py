"""The learner of all methods whose phi is theta after gradient steps on a task's data, in RL and few-shot alike.

Three parts make a method (Finn et al. 2017; Raghu et al. 2020; Li et al. 2017; Nichol et al. 2018):

- the problem says what data are as tensors and what a loss on them is: policy gradients, or cross-entropy;
- the inner loop says how phi follows from theta: step sizes that are fixed (MAML), of the last layer (ANIL) or
  learned (Meta-SGD), differentiated or not (first order);
- the outer step says how theta follows from the phis: a trust region or Adam (MAML), towards the mean phi (Reptile).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

import torch
from torch import Tensor

from metarl.errors import NonFiniteError
from metarl.learn import params as P
from metarl.learner import CPU, B_co
from metarl.types import Metrics, Params, TaskData

Batch = dict[str, Tensor]
"""Data of B tasks, each tensor with a leading B."""


@dataclass(frozen=True, kw_only=True)
class MetaBatch:
    """One meta-update's data: what an outer step is made of."""

    supports: Sequence[Batch]
    """One for each inner step; few-shot learning takes the same one in each."""
    query: Batch
    old_phis: Sequence[Params] = ()
    """[phi_0, ..., phi_K] that collected them, stacked over tasks, as numbers; empty where data depend on no phi."""
    metrics: Metrics = field(default_factory=dict)
    """Of the data, for the log."""


class Problem(Protocol[B_co]):
    """What RL and few-shot learning differ in."""

    def meta_batch(self, data: Sequence[TaskData], theta: Params) -> MetaBatch:
        """The tasks' data as tensors, on theta's device. Raises UserError for data that cannot be learned from."""
        ...

    def project(self, theta: Params) -> Params:
        """The nearest theta that an update can start from; most often theta itself."""
        ...

    def behaviour(self, theta: Params, *, version: int) -> B_co:
        """What acts or answers with theta; see `metarl.learner.Behaviour`."""
        ...


class OuterStep(Protocol):
    """theta -> the next theta, from one meta-batch."""

    def step(self, batch: MetaBatch, theta: Params) -> tuple[Params, Metrics]:
        """The metrics hold `meta_step_accepted`, 1 or 0."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class GradientLearner(Generic[B_co]):
    """A MetaLearner; theta lives on `device`, phis on the CPU."""

    def __init__(
        self, problem: Problem[B_co], outer_step: OuterStep, *, theta: Params, device: torch.device = CPU
    ) -> None:
        self.problem, self.outer_step, self.device = problem, outer_step, device
        self.theta = P.to(theta, device)
        self._num_updates = 0

    def behaviour(self) -> B_co:
        return self.problem.behaviour(self.theta, version=self._num_updates)

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        meta_batch = self.problem.meta_batch(batch, self.theta)
        theta, metrics = self.outer_step.step(meta_batch, self.theta)
        if not P.is_finite(theta):
            raise NonFiniteError("the meta-step gave non-finite parameters; theta was left as it was, lower the steps")
        self.theta = self.problem.project(theta)
        self._num_updates += 1
        return metrics | meta_batch.metrics

    def state_dict(self) -> dict[str, Any]:
        return {
            "theta": self.theta,
            "meta_optimizer": self.outer_step.state_dict(),
            "num_updates": self._num_updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        P.check_tensors_match(self.theta, state["theta"], what="theta")
        # in theta's own order: flattening follows it, and with it the rounding of the next step
        self.theta = P.to({name: state["theta"][name] for name in self.theta}, self.device)
        self.outer_step.load_state_dict(state["meta_optimizer"])
        self._num_updates = state.get("num_updates", 0)  # older checkpoints have none
