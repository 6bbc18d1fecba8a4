"""MAML (Finn et al. 2017, algorithm 2): theta from which a few gradient steps on a task's support set go far."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.methods.fast_weights import FastWeights
from metarl.fewshot.methods.gradient import CPU, GradientConfig, GradientDescent, MetaGradient, TaskLoss, net_with_head
from metarl.fewshot.methods.step_sizes import FixedStepSize, StepSizes
from metarl.fewshot.nets.net import Net, check_outputs


@dataclass(frozen=True, kw_only=True)
class MAMLConfig(GradientConfig):
    first_order: bool = False
    """Drop the derivative of the inner gradient (FOMAML): twice as fast."""


def maml(
    spec: DataSpec,
    config: MAMLConfig,
    *,
    generator: torch.Generator,
    device: torch.device = CPU,
    net: Net | None = None,
) -> FastWeights:
    """`net` takes the place of the one that `config.net` describes; its outputs are spec.outputs."""
    return with_step_sizes(FixedStepSize(config.inner_lr), spec, config, generator=generator, device=device, net=net)


def with_step_sizes(
    step_sizes: StepSizes,
    spec: DataSpec,
    config: MAMLConfig,
    *,
    generator: torch.Generator,
    device: torch.device,
    net: Net | None,
) -> FastWeights:
    """MAML with inner steps of the given sizes."""
    net = net or net_with_head(spec, config)
    check_outputs(net, spec.outputs)
    weights = net.init(generator)
    inner_loop = GradientDescent(
        loss=TaskLoss(net=net, regression=spec.regression),
        step_sizes=step_sizes,
        weight_names=tuple(weights),
        backend=config.backend,
        first_order=config.first_order,
    )
    return FastWeights(
        spec,
        config,
        net=net,
        theta=weights | step_sizes.init(weights),
        inner_loop=inner_loop,
        meta_step=MetaGradient(inner_loop, config),
        device=device,
    )
