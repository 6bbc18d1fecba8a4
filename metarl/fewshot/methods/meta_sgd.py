"""Meta-SGD (Li et al. 2017): MAML whose inner step sizes, one a parameter, are meta-learned with the weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from metarl.config import MAY_DIFFER
from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.methods.fast_weights import FastWeights
from metarl.fewshot.methods.maml import MAMLConfig, maml
from metarl.fewshot.nets.net import Net
from metarl.learn.gradient_learner import CPU, GradientLearner
from metarl.learn.step_sizes import LearnedStepSizes
from metarl.validate import Natural


@dataclass(frozen=True, kw_only=True)
class MetaSGDConfig(MAMLConfig):
    """`inner_lr` is where all step sizes start from."""

    test_steps: tuple[Natural, ...] = field(default=(1,), metadata={MAY_DIFFER: True})
    """Step sizes learned for one step may diverge in ten of them."""


def meta_sgd(
    spec: DataSpec,
    config: MetaSGDConfig,
    *,
    generator: torch.Generator,
    device: torch.device = CPU,
    net: Net | None = None,
) -> GradientLearner[FastWeights]:
    """MAML with a learned step size for each parameter."""
    sizes = LearnedStepSizes(inner_lr=config.inner_lr)
    return maml(spec, config, step_sizes=sizes, generator=generator, device=device, net=net)
