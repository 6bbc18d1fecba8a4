"""Few-shot classes of your own arrays by any method: --file DATA.npz with X and y, some of whose classes are held out.

X is (n, D) for vectors (sensor readings, embeddings of a large model), (n, T, C) for series or (n, C, H, W) for images.
Nets have layer normalisation, so that no query's answer depends on others. Settings were tried on the force series of
robot failures; there is no result to compare with.
"""

from __future__ import annotations

from dataclasses import dataclass

from metarl.experiment import TrainerConfig
from metarl.experiments._few_shot import Method, build_chosen, test_suites
from metarl.fewshot.data.arrays_file import ArraysConfig, arrays_file
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

ITERATIONS = 500
NET = NetConfig(hidden=(128, 64), norm="layer")


@dataclass(frozen=True, kw_only=True)
class MethodConfigs:
    """Settings of each method; those of the one chosen count."""

    maml: MAMLConfig = MAMLConfig(inner_lr=0.1, inner_steps=3, net=NET, test_steps=(3, 10))
    anil: ANILConfig = ANILConfig(inner_lr=0.1, inner_steps=5, net=NET, test_steps=(5, 20))
    meta_sgd: MetaSGDConfig = MetaSGDConfig(inner_lr=0.1, net=NET, test_steps=(1,))
    reptile: ReptileConfig = ReptileConfig(net=NET, meta_lr_iterations=ITERATIONS, test_steps=(20,))
    prototypical: PrototypicalConfig = PrototypicalConfig(net=NET)
    matching: MatchingConfig = MatchingConfig(net=NET)
    siamese: SiameseConfig = SiameseConfig(net=NET)
    relation: RelationConfig = RelationConfig(net=NET)
    ridge: RidgeConfig = RidgeConfig(net=NET)
    transfer: TransferConfig = TransferConfig(net=NET)
    nearest_centroid: NearestCentroidConfig = NearestCentroidConfig()


@dataclass(frozen=True, kw_only=True)
class Config(Checked):
    trainer: TrainerConfig = TrainerConfig(
        iterations=ITERATIONS, meta_batch_size=4, log_every_iterations=20, checkpoint_every_iterations=250
    )
    method: Method = "prototypical"
    methods: MethodConfigs = MethodConfigs()
    data: ArraysConfig = ArraysConfig()
    episodes: EpisodeConfig = EpisodeConfig(ways=3, shots=1, max_shots=5, queries=5)
    evaluation: FewShotEvaluationConfig = FewShotEvaluationConfig(suites=("3w1s", "3w5s"))


def config() -> Config:
    return Config()


def build(config: Config) -> FewShotExperiment:
    return build_chosen(arrays_file(config.data, config.episodes, suites=test_suites(config.evaluation)), config)
