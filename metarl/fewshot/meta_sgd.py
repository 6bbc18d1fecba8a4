"""Meta-SGD (Li et al. 2017): MAML whose inner step sizes, one a parameter, are meta-learned with the weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metarl.fewshot.fast_weights import FastWeights
from metarl.fewshot.gradient import CPU
from metarl.fewshot.maml import MAMLConfig, with_step_sizes
from metarl.fewshot.net import Net
from metarl.fewshot.source import DataSpec
from metarl.fewshot.step_sizes import LearnedStepSizes


@dataclass(frozen=True, kw_only=True)
class MetaSGDConfig(MAMLConfig):
    """`inner_lr` is where all step sizes start from."""

    test_steps: tuple[int, ...] = (1,)
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
