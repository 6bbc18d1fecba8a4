"""Few-shot intents by any method: --method, and --name for CLINC150, Banking77 or HWU64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from experiments._few_shot import build_with
from metarl.experiment import TrainerConfig
from metarl.fewshot.anil import ANILConfig
from metarl.fewshot.evaluation import FewShotEvaluationConfig
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.intents import IntentsConfig, intents
from metarl.fewshot.maml import MAMLConfig
from metarl.fewshot.matching import MatchingConfig
from metarl.fewshot.meta_sgd import MetaSGDConfig
from metarl.fewshot.nearest_centroid import NearestCentroidConfig
from metarl.fewshot.nets import NetConfig
from metarl.fewshot.prototypical import PrototypicalConfig
from metarl.fewshot.registry import METHODS
from metarl.fewshot.relation import RelationConfig
from metarl.fewshot.reptile import ReptileConfig
from metarl.fewshot.siamese import SiameseConfig
from metarl.fewshot.source import EpisodeConfig
from metarl.fewshot.transfer import TransferConfig

NET = NetConfig(hidden=(256, 128), norm="layer")
PLAIN = NetConfig(hidden=(256, 128), norm="none")

Method = Literal[
    "maml",
    "anil",
    "meta_sgd",
    "reptile",
    "prototypical",
    "matching",
    "siamese",
    "relation",
    "transfer",
    "nearest_centroid",
]


@dataclass(frozen=True, kw_only=True)
class MethodConfigs:
    """Settings of each method; those of the one chosen count."""

    maml: MAMLConfig = MAMLConfig(inner_lr=0.5, inner_steps=3, first_order=True, net=PLAIN, test_steps=(3, 10))
    anil: ANILConfig = ANILConfig(inner_lr=0.5, inner_steps=5, net=PLAIN, test_steps=(5, 10))
    meta_sgd: MetaSGDConfig = MetaSGDConfig(inner_lr=0.1, inner_steps=2, first_order=True, net=PLAIN, test_steps=(2, 5))
    reptile: ReptileConfig = ReptileConfig(net=PLAIN, meta_lr_iterations=2000, inner_batch=20, test_batch=20)
    prototypical: PrototypicalConfig = PrototypicalConfig(net=NET)
    matching: MatchingConfig = MatchingConfig(net=NET)
    siamese: SiameseConfig = SiameseConfig(net=NET)
    relation: RelationConfig = RelationConfig(net=NET)
    transfer: TransferConfig = TransferConfig(net=NET)
    nearest_centroid: NearestCentroidConfig = NearestCentroidConfig(tf_idf=True)


@dataclass(frozen=True, kw_only=True)
class Config:
    trainer: TrainerConfig = TrainerConfig(
        iterations=2000, meta_batch_size=2, log_every_iterations=20, checkpoint_every_iterations=250
    )
    method: Method = "prototypical"
    methods: MethodConfigs = MethodConfigs()
    data: IntentsConfig = IntentsConfig()
    # a method with a head can answer as many ways as it was trained with
    episodes: EpisodeConfig = EpisodeConfig(ways=20, shots=1, queries=5)
    evaluation: FewShotEvaluationConfig = FewShotEvaluationConfig(suites=("5w1s", "5w5s", "20w1s", "20w5s"))


def config() -> Config:
    return Config()


@dataclass(frozen=True)
class Chosen:
    """The part of a Config that the one method chosen sees."""

    trainer: TrainerConfig
    method: object
    evaluation: FewShotEvaluationConfig


def build(config: Config) -> FewShotExperiment:
    chosen = Chosen(config.trainer, vars(config.methods)[config.method], config.evaluation)
    return build_with(METHODS[config.method].build, intents(config.data, config.episodes), chosen)
