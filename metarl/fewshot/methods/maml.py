"""MAML (Finn et al. 2017, algorithm 2): theta from which a few gradient steps on a task's support set go far."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.methods.fast_weights import FastWeights, few_shot_learner
from metarl.fewshot.methods.gradient import (
    GradientConfig,
    GradientDescent,
    MetaGradient,
    QueryAdam,
    TaskLoss,
    net_with_head,
)
from metarl.fewshot.nets.net import Net, check_outputs
from metarl.learn.gradient_learner import CPU, GradientLearner
from metarl.learn.step_sizes import FixedStepSizes, StepSizes


@dataclass(frozen=True, kw_only=True)
class MAMLConfig(GradientConfig):
    """Settings of MAML."""

    first_order: bool = False
    """Drop the derivative of the inner gradient (FOMAML): twice as fast."""


def maml(
    spec: DataSpec,
    config: MAMLConfig,
    *,
    generator: torch.Generator,
    device: torch.device = CPU,
    net: Net | None = None,
    step_sizes: StepSizes | None = None,
) -> GradientLearner[FastWeights]:
    """`net` takes the place of the one that `config.net` describes; its outputs are spec.outputs.

    Without `step_sizes` they are all `config.inner_lr`.
    """
    net = net or net_with_head(spec, config)
    check_outputs(net, spec.outputs)
    weights = net.init(generator)
    sizes = step_sizes or FixedStepSizes(inner_lr=config.inner_lr)
    descent = GradientDescent(
        loss=TaskLoss(net=net, regression=spec.regression),
        step_sizes=sizes,
        weight_names=tuple(weights),
        backend=config.backend,
        first_order=config.first_order,
    )
    return few_shot_learner(
        spec,
        config,
        net=net,
        theta=weights | sizes.init(weights),
        adaptation=lambda: descent,
        outer_step=QueryAdam(MetaGradient(descent, config), config),
        device=device,
    )
