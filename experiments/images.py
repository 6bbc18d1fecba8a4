"""Few-shot images of your own by any method: --root FOLDER, and --layout for mini-ImageNet, CIFAR-FS or CUB.

With --test-share 0.3 the root may hold the classes themselves, of which that share is held out.

Settings are those of the papers on mini-ImageNet as far as those say them; none was tuned here, and there is no result.
Their 10,000 iterations on pictures of 84 pixels take three to five hours on one core (1.1 s an iteration by MAML, 1.5 s
by prototypical networks, measured beside other work); the first line of a run tells the time left on your machine.
"""

from __future__ import annotations

from dataclasses import dataclass

from metarl.experiment import TrainerConfig
from metarl.experiments._few_shot import Method, build_chosen, test_suites
from metarl.fewshot.data.image_folder import ImageFolderConfig, image_folder
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

ITERATIONS = 10_000
MOVED = NetConfig(filters=32, pool="max")  # each task moves a copy: half the filters (Finn et al. 2017, section 5.2)


@dataclass(frozen=True, kw_only=True)
class MethodConfigs:
    """Settings of each method; those of the one chosen count."""

    maml: MAMLConfig = MAMLConfig(inner_lr=0.01, inner_steps=5, net=MOVED, test_steps=(5, 10))
    anil: ANILConfig = ANILConfig(inner_lr=0.01, inner_steps=5, net=MOVED, test_steps=(5, 10))
    meta_sgd: MetaSGDConfig = MetaSGDConfig(inner_lr=0.01, net=MOVED, test_steps=(1,))
    reptile: ReptileConfig = ReptileConfig(inner_steps=8, net=MOVED, meta_lr_iterations=ITERATIONS, test_steps=(50,))
    prototypical: PrototypicalConfig = PrototypicalConfig()
    matching: MatchingConfig = MatchingConfig()
    siamese: SiameseConfig = SiameseConfig()
    relation: RelationConfig = RelationConfig()
    ridge: RidgeConfig = RidgeConfig()
    transfer: TransferConfig = TransferConfig()
    nearest_centroid: NearestCentroidConfig = NearestCentroidConfig()


@dataclass(frozen=True, kw_only=True)
class Config(Checked):
    trainer: TrainerConfig = TrainerConfig(
        iterations=ITERATIONS, meta_batch_size=2, log_every_iterations=20, checkpoint_every_iterations=500
    )
    method: Method = "prototypical"
    methods: MethodConfigs = MethodConfigs()
    data: ImageFolderConfig = ImageFolderConfig()
    episodes: EpisodeConfig = EpisodeConfig(ways=5, shots=1, queries=15)
    evaluation: FewShotEvaluationConfig = FewShotEvaluationConfig(suites=("5w1s", "5w5s"))


def config() -> Config:
    return Config()


def build(config: Config) -> FewShotExperiment:
    return build_chosen(image_folder(config.data, config.episodes, suites=test_suites(config.evaluation)), config)
