"""The learner that all gradient methods are: phi is a set of fast weights (Finn et al. 2017).

A method puts it together from an inner loop (how a task's phi is had) and a meta-step (how theta is learned).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from metarl.errors import NonFiniteError, UserError
from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.examples import Examples, stack_queries, stack_supports
from metarl.fewshot.learner import Mode, check_mode
from metarl.fewshot.methods.gradient import CPU, GradientConfig
from metarl.fewshot.nets.make import for_scores
from metarl.fewshot.nets.net import Net
from metarl.fewshot.nets.used_inputs import UsedInputs, skips_zeros, used_inputs
from metarl.fewshot.nets.with_head import HEAD
from metarl.learn import params as P
from metarl.runs.checkpoint import check_tensors_match
from metarl.types import Metrics, Params, Phi, TaskData


class InnerLoop(Protocol):
    def weights(self, theta: Params) -> Params:
        """The part of theta that a phi is made of."""
        ...

    def curve(self, theta: Params, phis: Params, support: Examples, steps: Sequence[int]) -> list[Params]:
        """Stacked phis (B, ...) after each of the rising numbers of steps, from stacked phis; support (B, N, ...)."""
        ...


@runtime_checkable
class OfUsedInputs(InnerLoop, Protocol):
    """One whose steps move what is below the head, so that it gains by `UsedInputs`."""

    def on(self, used: UsedInputs) -> InnerLoop:
        """The same for those inputs alone."""
        ...


class MetaStep(Protocol):
    def step(self, theta: Params, support: Examples, query: Examples) -> tuple[Params, Metrics]:
        """The next theta from a meta-batch, support (B, N, ...) and query (B, Q, ...).

        The metrics hold `meta_step_accepted`, 1 or 0.
        """
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class FastWeights:
    """A FewShotLearner whose phi is a set of fast weights, beside it the support set's statistics under them."""

    def __init__(
        self,
        spec: DataSpec,
        config: GradientConfig,
        *,
        net: Net,
        theta: Params,
        inner_loop: InnerLoop,
        meta_step: MetaStep,
        device: torch.device = CPU,
    ) -> None:
        if config.head_stays_zero and not set(HEAD) <= theta.keys():
            raise UserError(
                "head_stays_zero=True is for a net with a head; give WithHead(body, outputs, from_zero=True)"
            )
        self.spec, self.config, self.net, self.device = spec, config, net, device
        self._scoring_net = for_scores(net)
        self.theta = P.to(theta, device)
        self.inner_loop, self.meta_step = inner_loop, meta_step
        self.max_ways = None if spec.regression else spec.outputs

    @property
    def has_statistics(self) -> bool:
        return bool(self.net.statistics_shapes())

    # ---- adapting

    def prior(self) -> Params:
        return P.to(P.detach(self.inner_loop.weights(self.theta)), CPU)

    def adapt(self, phis: Sequence[Phi], supports: Sequence[Examples]) -> list[Phi]:
        """The last of `test_steps` gradient steps from each phi, on all of its task's support set."""
        last = self.config.test_steps[-1]
        adapted = self._adapt(phis, supports, (last,))[last]
        if not all(map(P.is_finite, adapted)):
            raise NonFiniteError(
                f"{last} inner steps gave non-finite parameters; lower inner_lr={self.config.inner_lr} or test_steps"
            )
        return adapted

    def adapt_curve(self, supports: Sequence[Examples]) -> dict[int, list[Phi]]:
        steps = self.config.test_steps
        return self._adapt([self.prior()] * len(supports), supports, steps if steps[0] == 0 else (0, *steps))

    def _adapt(self, phis: Sequence[Phi], supports: Sequence[Examples], steps: Sequence[int]) -> dict[int, list[Phi]]:
        support = stack_supports(supports, input_shape=self.spec.input_shape, max_ways=self.max_ways).to(self.device)
        with torch.no_grad():
            if isinstance(self.inner_loop, OfUsedInputs) and skips_zeros(self.net):
                own = zip(phis, support.x, support.y, strict=True)
                curves = [self._on_own_inputs(self.inner_loop, phi, Examples(x, y), steps) for phi, x, y in own]
                return {step: list(adapted) for step, adapted in zip(steps, zip(*curves, strict=True), strict=True)}
            stacked = P.to(self.inner_loop.weights(P.stack(phis)), self.device)
            curve = {}
            for step, adapted in zip(steps, self.inner_loop.curve(self.theta, stacked, support, steps), strict=True):
                beside = self._support_statistics(adapted, support)
                curve[step] = P.unstack(P.to(P.detach(adapted | beside), CPU))
        return curve

    def _on_own_inputs(
        self, inner_loop: OfUsedInputs, phi: Params, support: Examples, steps: Sequence[int]
    ) -> list[Params]:
        """phi of one task after each of the numbers of steps."""
        phi, used = P.to(inner_loop.weights(phi), self.device), used_inputs(self.net, support.x)
        own = used.of(Examples(support.x.unsqueeze(0), support.y.unsqueeze(0)))
        curve = inner_loop.on(used).curve(used.take(self.theta), P.stack([used.take(phi)]), own, steps)
        return [P.to(P.detach(used.put(P.unstack(part)[0], phi)), CPU) for part in curve]

    def _support_statistics(self, phis: Params, support: Examples) -> Params:
        """Of each task under its own weights, and its support inputs; empty without batch normalisation."""
        if not self.has_statistics:
            return {}
        each = [self._scoring_net.apply(phi, x)[1] for phi, x in zip(P.unstack(phis), support.x, strict=True)]
        return P.stack(each) | {"support_x": support.x}

    # ---- answering

    def predict(self, phis: Sequence[Phi], queries: Sequence[Tensor], *, mode: Mode = "inductive") -> list[Tensor]:
        """A prior has no support set, so it answers transductively in every mode."""
        check_mode(mode)
        with torch.no_grad():
            return [self._predict_one(phi, x.to(self.device), mode).cpu() for phi, x in zip(phis, queries, strict=True)]

    def _predict_one(self, phi: Params, x: Tensor, mode: Mode) -> Tensor:
        weights = P.to(self.inner_loop.weights(phi), self.device)
        if skips_zeros(self.net):  # and has no statistics
            used = used_inputs(self.net, x)
            return used.net.apply(used.take(weights), x[:, used.columns])[0]
        if mode == "transductive" or "support_x" not in phi:
            return self._scoring_net.apply(weights, x)[0]
        if mode == "single":
            support = phi["support_x"].to(self.device)
            together = torch.cat([support.expand(len(x), *support.shape), x.unsqueeze(1)], dim=1)
            outputs = self._scoring_net.apply(weights, together.flatten(0, 1), groups=len(x))[0]
            return outputs.unflatten(0, (len(x), -1))[:, -1]
        statistics = P.to({name: phi[name] for name in self.net.statistics_shapes()}, self.device)
        return self._scoring_net.apply(weights, x, statistics=statistics)[0]

    # ---- learning

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        shape = self.spec.input_shape
        support = stack_supports([d.supports[0] for d in batch], input_shape=shape, max_ways=self.max_ways)
        query = stack_queries([d.query for d in batch], input_shape=shape)
        theta, metrics = self.meta_step.step(self.theta, support.to(self.device), query.to(self.device))
        if not P.is_finite(theta):
            raise NonFiniteError("the meta-step gave non-finite parameters; theta was left as it was, lower the steps")
        if self.config.head_stays_zero:
            theta = theta | {name: torch.zeros_like(theta[name]) for name in HEAD}
        self.theta = theta
        return metrics

    # ---- state

    def state_dict(self) -> dict[str, Any]:
        return {"theta": self.theta, "meta_optimizer": self.meta_step.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        check_tensors_match(self.theta, state["theta"], what="theta")
        # in theta's own order: the gradient's norm follows it, and with it the rounding of the next step
        self.theta = P.to({name: state["theta"][name] for name in self.theta}, self.device)
        self.meta_step.load_state_dict(state["meta_optimizer"])
