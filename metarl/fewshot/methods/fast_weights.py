"""Few-shot learning by gradients: phi is a set of fast weights (Finn et al. 2017).

`few_shot_learner` puts a method together from an adaptation (how phi follows from theta) and an outer step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from metarl.errors import NonFiniteError, UserError
from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.examples import Examples, stack_queries, stack_supports
from metarl.fewshot.learner import Mode, check_mode
from metarl.fewshot.methods.gradient import GradientConfig
from metarl.fewshot.nets.make import for_scores
from metarl.fewshot.nets.net import Net
from metarl.fewshot.nets.used_inputs import UsedInputs, skips_zeros, used_inputs
from metarl.fewshot.nets.with_head import HEAD
from metarl.learn import params as P
from metarl.learn.gradient_learner import CPU, Batch, GradientLearner, MetaBatch, OuterStep
from metarl.types import Params, Phi, TaskData


class Adaptation(Protocol):
    """How a task's phi follows from theta."""

    def weights(self, theta: Params) -> Params:
        """The part of theta that a phi is made of."""
        ...

    def curve(self, theta: Params, phis: Params, support: Batch, steps: Sequence[int]) -> list[Params]:
        """Stacked phis (B, ...) after each of the rising numbers of steps, from stacked phis; support (B, N, ...)."""
        ...


@runtime_checkable
class OfUsedInputs(Adaptation, Protocol):
    """One whose steps move what is below the head, so that it gains by `UsedInputs`."""

    def on(self, used: UsedInputs) -> Adaptation:
        """The same for those inputs alone."""
        ...


@dataclass(frozen=True, kw_only=True)
class ExamplesProblem:
    """A `Problem` whose data are examples."""

    spec: DataSpec
    config: GradientConfig
    net: Net
    adaptation: Callable[[], Adaptation]
    """As it is now: an inner optimizer may keep something between tasks."""

    def meta_batch(self, data: Sequence[TaskData], theta: Params) -> MetaBatch:
        device = next(iter(theta.values())).device
        support = stacked_supports([d.supports[0] for d in data], self.spec, device)
        query = stack_queries([d.query for d in data], input_shape=self.spec.input_shape)
        return MetaBatch(supports=[support] * self.config.inner_steps, query=batch_of(query.to(device)))

    def project(self, theta: Params) -> Params:
        """A head that stays at 0 is put back there."""
        return theta | {name: torch.zeros_like(theta[name]) for name in HEAD} if self.config.head_stays_zero else theta

    def behaviour(self, theta: Params, *, version: int) -> FastWeights:
        return FastWeights(
            spec=self.spec,
            config=self.config,
            net=self.net,
            adaptation=self.adaptation(),
            theta=theta,
            version=version,
        )


def max_ways(spec: DataSpec) -> int | None:
    """Outputs of a classifier; None of a regression."""
    return None if spec.regression else spec.outputs


def stacked_supports(supports: Sequence[Examples], spec: DataSpec, device: torch.device) -> Batch:
    """Support sets as one batch, with one first dimension for the tasks."""
    stacked = stack_supports(supports, input_shape=spec.input_shape, max_ways=max_ways(spec))
    return batch_of(stacked.to(device))


def batch_of(examples: Examples) -> Batch:
    """Inputs and targets by the names that losses know."""
    return {"x": examples.x, "y": examples.y}


@dataclass(frozen=True, kw_only=True)
class FastWeights:
    """A FewShotBehaviour whose phi is a set of fast weights, beside it the support set's statistics under them."""

    spec: DataSpec
    config: GradientConfig
    net: Net
    adaptation: Adaptation
    theta: Params
    version: int

    @property
    def max_ways(self) -> int | None:
        return max_ways(self.spec)

    @property
    def _scoring_net(self) -> Net:
        return for_scores(self.net)

    @property
    def device(self) -> torch.device:
        return next(iter(self.theta.values())).device

    @property
    def has_statistics(self) -> bool:
        return bool(self.net.statistics_shapes())

    def prior(self) -> Params:
        return P.to(P.detach(self.adaptation.weights(self.theta)), CPU)

    def adapt(self, phis: Sequence[Phi], supports: Sequence[Examples]) -> list[Phi]:
        """The last of `test_steps` gradient steps from each phi, on all of its task's support set."""
        last = self.config.test_steps[-1]
        adapted = self._adapt(phis, supports, (last,))[last]
        if not all(map(P.is_finite, adapted)):
            inner_lr = self.config.inner_lr
            raise NonFiniteError(f"{last} inner steps gave non-finite parameters; lower {inner_lr=} or test_steps")
        return adapted

    def adapt_curve(self, supports: Sequence[Examples]) -> dict[int, list[Phi]]:
        steps = self.config.test_steps
        return self._adapt([self.prior()] * len(supports), supports, steps if steps[0] == 0 else (0, *steps))

    def _adapt(self, phis: Sequence[Phi], supports: Sequence[Examples], steps: Sequence[int]) -> dict[int, list[Phi]]:
        support = stacked_supports(supports, self.spec, self.device)
        with torch.no_grad():
            if isinstance(self.adaptation, OfUsedInputs) and skips_zeros(self.net):
                own = zip(phis, P.unstack(support), strict=True)
                curves = [self._on_own_inputs(self.adaptation, phi, one, steps) for phi, one in own]
                return {step: list(adapted) for step, adapted in zip(steps, zip(*curves, strict=True), strict=True)}
            stacked = P.to(self.adaptation.weights(P.stack(phis)), self.device)
            curve = {}
            for step, adapted in zip(steps, self.adaptation.curve(self.theta, stacked, support, steps), strict=True):
                beside = self._support_statistics(adapted, support)
                curve[step] = P.unstack(P.to(P.detach(adapted | beside), CPU))
        return curve

    def _on_own_inputs(
        self, adaptation: OfUsedInputs, phi: Params, support: Batch, steps: Sequence[int]
    ) -> list[Params]:
        """phi of one task after each of the numbers of steps."""
        phi, used = P.to(adaptation.weights(phi), self.device), used_inputs(self.net, support["x"])
        own = used.of({name: x.unsqueeze(0) for name, x in support.items()})
        curve = adaptation.on(used).curve(used.take(self.theta), P.stack([used.take(phi)]), own, steps)
        return [P.to(P.detach(used.put(P.unstack(part)[0], phi)), CPU) for part in curve]

    def _support_statistics(self, phis: Params, support: Batch) -> Params:
        """Of each task under its own weights, and its support inputs; empty without batch normalisation."""
        if not self.has_statistics:
            return {}
        each = [self._scoring_net.apply(phi, x)[1] for phi, x in zip(P.unstack(phis), support["x"], strict=True)]
        return P.stack(each) | {"support_x": support["x"]}

    # ---- answering

    def predict(self, phis: Sequence[Phi], queries: Sequence[Tensor], *, mode: Mode = "inductive") -> list[Tensor]:
        """A prior has no support set, so it answers transductively in every mode."""
        check_mode(mode)
        with torch.no_grad():
            return [self._predict_one(phi, x.to(self.device), mode).cpu() for phi, x in zip(phis, queries, strict=True)]

    def _predict_one(self, phi: Params, x: Tensor, mode: Mode) -> Tensor:
        weights = P.to(self.adaptation.weights(phi), self.device)
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


def few_shot_learner(
    spec: DataSpec,
    config: GradientConfig,
    *,
    net: Net,
    theta: Params,
    adaptation: Callable[[], Adaptation],
    outer_step: OuterStep,
    device: torch.device = CPU,
) -> GradientLearner[FastWeights]:
    """A gradient learner on few-shot tasks, from a way to adapt and an outer step."""
    if config.head_stays_zero and not set(HEAD) <= theta.keys():
        raise UserError("head_stays_zero=True is for a net with a head; give WithHead(body, outputs, from_zero=True)")
    problem = ExamplesProblem(spec=spec, config=config, net=net, adaptation=adaptation)
    return GradientLearner(problem, outer_step, theta=theta, device=device)
