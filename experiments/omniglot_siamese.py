"""Siamese networks on Omniglot; with --split lake --suites lake Lake's 20-way one-shot benchmark.

9,000 episodes of 60 ways with max-pools, 61 min on one core: 96.8 / 98.9 / 90.6 % on 5w1s / 5w5s / 20w1s (seed 1, 600
episodes each); on averaged images (`--shrink average --precision bfloat16`, 42 min) 97.4 / 98.8 / 91.9. MAML's Table 1
gives 97.3 / 98.4 / 88.2. Lake's 20 runs: 87.3 ± 4.1 %; on averaged images 87.5 ± 4.9 and after 13,000 episodes (49 min,
`--lr-halve-every-iterations 3600`) 90.5 ± 3.2; Koch has 92.0 on 105 pixels.
With like and unlike pairs weighed the same, no distortions and 5,000 episodes it was 92.2 / 96.7 / 77.5.
"""

from __future__ import annotations

from dataclasses import dataclass

from metarl.experiment import TrainerConfig
from metarl.experiments._few_shot import build_with
from metarl.fewshot.data.omniglot import OmniglotConfig, omniglot
from metarl.fewshot.data.source import EpisodeConfig
from metarl.fewshot.evaluation import FewShotEvaluationConfig
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.methods.siamese import SiameseConfig, siamese
from metarl.fewshot.nets.make import NetConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(
        iterations=9000, meta_batch_size=1, log_every_iterations=20, checkpoint_every_iterations=250
    )
    method: SiameseConfig = SiameseConfig(
        lr_halve_every_iterations=2500, same_weight=0.1, net=NetConfig(pool="max", flatten=True)
    )
    data: OmniglotConfig = OmniglotConfig(distort=True)
    episodes: EpisodeConfig = EpisodeConfig(ways=60, shots=1, queries=5)
    evaluation: FewShotEvaluationConfig = FewShotEvaluationConfig(suites=("5w1s", "5w5s", "20w1s", "20w5s"))


def config() -> Config:
    return Config()


def build(config: Config) -> FewShotExperiment:
    return build_with(siamese, omniglot(config.data, config.episodes), config)
