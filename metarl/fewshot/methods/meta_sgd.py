"""Meta-SGD (Li et al. 2017): MAML whose inner step sizes, one a parameter, are meta-learned with the weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from metarl.config import MAY_DIFFER
from metarl.fewshot.data.source import DataSpec
from metarl.fewshot.methods.fast_weights import FastWeights
from metarl.fewshot.methods.gradient import CPU
from metarl.fewshot.methods.maml import MAMLConfig, with_step_sizes
from metarl.fewshot.methods.step_sizes import LearnedStepSizes
from metarl.fewshot.nets.net import Net


@dataclass(frozen=True, kw_only=True)
class MetaSGDConfig(MAMLConfig):
    """`inner_lr` is where all step sizes start from."""

    test_steps: tuple[int, ...] = field(default=(1,), metadata={MAY_DIFFER: True})
    """Step sizes learned for one step may diverge in ten of them."""


def meta_sgd(
    spec: DataSpec,
    config: MetaSGDConfig,
    *,
    generator: torch.Generator,
    device: torch.device = CPU,
    net: Net | None = None,
) -> FastWeights:
    return with_step_sizes(LearnedStepSizes(config.inner_lr), spec, config, generator=generator, device=device, net=net)
