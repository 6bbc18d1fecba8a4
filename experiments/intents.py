"""Few-shot intents by any method: --method, and --name for CLINC150, Banking77 or HWU64.

Every net starts as the TF-IDF classifier that it has to beat (`BesideInput`): an MLP in its place learns the training
intents by heart. Settings come from two training domains of CLINC150 (docs/fewshot.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from metarl.experiment import TrainerConfig
from metarl.experiments._few_shot import Method, build_chosen, test_suites
from metarl.fewshot.data.intents import IntentsConfig, intents
from metarl.fewshot.data.source import EpisodeConfig
from metarl.fewshot.evaluation import FewShotEvaluationConfig
from metarl.fewshot.experiment import FewShotExperiment
from metarl.fewshot.methods.anil import ANILConfig
from metarl.fewshot.methods.maml import MAMLConfig
from metarl.fewshot.methods.matching import MatchingConfig
from metarl.fewshot.methods.meta_sgd import MetaSGDConfig
from metarl.fewshot.methods.nearest_centroid import NearestCentroidConfig
from metarl.fewshot.methods.prototypical import PrototypicalConfig
from metarl.fewshot.methods.relation import RelationConfig
from metarl.fewshot.methods.reptile import ReptileConfig
from metarl.fewshot.methods.ridge import RidgeConfig
from metarl.fewshot.methods.siamese import SiameseConfig
from metarl.fewshot.methods.transfer import TransferConfig
from metarl.fewshot.nets.make import NetConfig
from metarl.validate import Checked

NET = NetConfig(keep_input=True)
OF_PAIRS = NetConfig(keep_input=True, projection=256)  # every query meets every support example: half the features
# For inner loops. The head's part in an inner step grows with the square of the scale, so the step size can be small
# and what is below the head stays near the inputs; one step of 0.5 gives class scores of 5 times the cosine (20 ways).
UNDER_HEAD = NetConfig(keep_input=True, scale=10.0)


@dataclass(frozen=True, kw_only=True)
class MethodConfigs:
    """Settings of each method; those of the one chosen count."""

    maml: MAMLConfig = MAMLConfig(
        inner_lr=0.5, inner_steps=3, net=UNDER_HEAD, head_from_zero=True, head_stays_zero=True, test_steps=(5,)
    )
    anil: ANILConfig = ANILConfig(
        inner_lr=0.5, inner_steps=5, net=UNDER_HEAD, head_from_zero=True, head_stays_zero=True, test_steps=(1, 20)
    )
    meta_sgd: MetaSGDConfig = MetaSGDConfig(
        inner_lr=0.5, inner_steps=3, net=UNDER_HEAD, head_from_zero=True, head_stays_zero=True, test_steps=(3,)
    )
    reptile: ReptileConfig = ReptileConfig(
        net=UNDER_HEAD,
        head_from_zero=True,
        head_stays_zero=True,
        meta_lr=0.1,  # with 1 and one task a meta-update theta would be that task's phi
        meta_lr_iterations=400,
        inner_batch=20,
        test_steps=(20,),
        test_batch=20,
    )
    prototypical: PrototypicalConfig = PrototypicalConfig(net=NET)
    matching: MatchingConfig = MatchingConfig(net=NET)
    siamese: SiameseConfig = SiameseConfig(net=OF_PAIRS, embedding=512, weight_std=0.2, distance=100.0, offset=10.0)
    relation: RelationConfig = RelationConfig(net=OF_PAIRS)
    ridge: RidgeConfig = RidgeConfig(net=NET)
    transfer: TransferConfig = TransferConfig(net=NET)
    nearest_centroid: NearestCentroidConfig = NearestCentroidConfig()


@dataclass(frozen=True, kw_only=True)
class Config(Checked):
    trainer: TrainerConfig = TrainerConfig(
        iterations=400, meta_batch_size=1, log_every_iterations=20, checkpoint_every_iterations=200
    )
    method: Method = "prototypical"
    methods: MethodConfigs = MethodConfigs()
    data: IntentsConfig = IntentsConfig()
    # a method with a head can answer as many ways as it was trained with
    episodes: EpisodeConfig = EpisodeConfig(ways=20, shots=1, max_shots=5, queries=5)
    evaluation: FewShotEvaluationConfig = FewShotEvaluationConfig(suites=("5w1s", "5w5s", "20w1s", "20w5s"))


def config() -> Config:
    return Config()


def build(config: Config) -> FewShotExperiment:
    return build_chosen(intents(config.data, config.episodes, suites=test_suites(config.evaluation)), config)
