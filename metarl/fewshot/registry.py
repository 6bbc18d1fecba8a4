"""Every few-shot method and data set by name: a new one is a file and a line here; the contract tests then cover it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from metarl.errors import UserError
from metarl.fewshot.data.arrays_file import ArrayEncoder, ArraysConfig, arrays_file
from metarl.fewshot.data.digits import DigitsConfig, DigitsEncoder, digits
from metarl.fewshot.data.image_folder import ImageEncoder, ImageFolderConfig, image_folder
from metarl.fewshot.data.intents import IntentsConfig, TextEncoder, intents
from metarl.fewshot.data.omniglot import OmniglotConfig, OmniglotEncoder, omniglot
from metarl.fewshot.data.robot_failures import ForceEncoder, RobotFailuresConfig, robot_failures
from metarl.fewshot.data.sinusoid import Sinusoid, SinusoidConfig
from metarl.fewshot.data.source import DataSpec, EpisodeSource
from metarl.fewshot.learner import FewShotLearner
from metarl.fewshot.methods.anil import ANILConfig, anil
from metarl.fewshot.methods.maml import MAMLConfig, maml
from metarl.fewshot.methods.matching import MatchingConfig, matching
from metarl.fewshot.methods.meta_sgd import MetaSGDConfig, meta_sgd
from metarl.fewshot.methods.nearest_centroid import NearestCentroidConfig, nearest_centroid
from metarl.fewshot.methods.prototypical import PrototypicalConfig, prototypical
from metarl.fewshot.methods.relation import RelationConfig, relation
from metarl.fewshot.methods.reptile import ReptileConfig, reptile
from metarl.fewshot.methods.ridge import RidgeConfig, ridge
from metarl.fewshot.methods.siamese import SiameseConfig, siamese
from metarl.fewshot.methods.transfer import TransferConfig, transfer
from metarl.fewshot.nets.net import Net
from metarl.fewshot.nets.with_head import body_of


@dataclass(frozen=True)
class MethodEntry:
    """A few-shot method in the table that `metarl list` shows and experiments choose from."""

    description: str
    """One line, for `metarl list`."""
    config: Any
    """The method's config dataclass with its defaults."""
    build: Callable[..., FewShotLearner]
    """build(spec, config, *, generator, device, net)."""
    regression: bool = False
    """Whether it can learn one."""

    def make(
        self, spec: DataSpec, generator: torch.Generator, *, config: Any = None, net: Net | None = None
    ) -> FewShotLearner:
        """The method on the CPU, with its defaults where no config is given.

        Raises UserError for a config of another method, and for a net of your own that is a bare torch module or takes
        inputs of another shape.
        """
        config = self.config if config is None else config
        if type(config) is not type(self.config):
            raise UserError(
                f"config is of {type(config).__name__}, but this method takes {type(self.config).__name__}; "
                "give one of those or another method"
            )
        inner = None if net is None else body_of(net)
        if isinstance(inner, nn.Module):
            raise UserError(
                f"net is a torch module ({type(inner).__name__}), which must be wrapped; give "
                f"ModuleNet(module, {tuple(spec.input_shape)}) of metarl.fewshot.nets.module_net"
            )
        if net is not None and tuple(net.input_shape) != tuple(spec.input_shape):
            raise UserError(
                f"the net takes inputs of shape {tuple(net.input_shape)}, but those of the tasks have "
                f"{tuple(spec.input_shape)}; build the net for their shape or convert the inputs"
            )
        return self.build(spec, config, generator=generator, net=net)


METHODS = {
    "maml": MethodEntry("MAML, first and second order (Finn et al. 2017)", MAMLConfig(), maml, regression=True),
    "anil": MethodEntry("MAML of the last layer (Raghu et al. 2020)", ANILConfig(), anil, regression=True),
    "meta_sgd": MethodEntry(
        "MAML with learned step sizes (Li et al. 2017)", MetaSGDConfig(inner_lr=0.05), meta_sgd, regression=True
    ),
    "reptile": MethodEntry(
        "theta moves towards the mean phi (Nichol et al. 2018)", ReptileConfig(), reptile, regression=True
    ),
    "prototypical": MethodEntry("nearest mean of embeddings (Snell et al. 2017)", PrototypicalConfig(), prototypical),
    "matching": MethodEntry("attention over the support set (Vinyals et al. 2016)", MatchingConfig(), matching),
    "siamese": MethodEntry("learned distance of pairs (Koch et al. 2015)", SiameseConfig(), siamese),
    "relation": MethodEntry("learned comparison of classes (Sung et al. 2018)", RelationConfig(), relation),
    "ridge": MethodEntry("a ridge regression for each task (Bertinetto et al. 2019)", RidgeConfig(), ridge),
    "transfer": MethodEntry("pre-train, then fit a head (Chen et al. 2019): the baseline", TransferConfig(), transfer),
    "nearest_centroid": MethodEntry(
        "class means of the inputs, by cosine: the floor", NearestCentroidConfig(), nearest_centroid
    ),
}


ENCODERS: dict[str, type] = {
    encoder.__name__: encoder
    for encoder in (TextEncoder, ImageEncoder, OmniglotEncoder, DigitsEncoder, ForceEncoder, ArrayEncoder)
}
"""By name, for a classifier read back from a disk."""


@dataclass(frozen=True)
class DataEntry:
    """A data set in the table that `metarl list` shows."""

    description: str
    config: Any
    """The data set's config dataclass with its defaults."""
    load: Callable[..., EpisodeSource]
    """load(config, episodes) for classes, load(config) for a regression."""
    needs: str = ""
    """What must be there first; empty for what comes with the installation."""


DATASETS = {
    "sinusoid": DataEntry("regression of a sine from a few points (Finn et al. 2017)", SinusoidConfig(), Sinusoid),
    "digits": DataEntry("scikit-learn's 8x8 digits, turned ones as classes of their own", DigitsConfig(), digits),
    "omniglot": DataEntry(
        "1,623 characters of 50 alphabets (Lake et al. 2015)", OmniglotConfig(), omniglot, "metarl data omniglot"
    ),
    "intents": DataEntry(
        "CLINC150, Banking77 and HWU64: what a request is about",
        IntentsConfig(),
        intents,
        "metarl data clinc150, banking77 or hwu64",
    ),
    "robot_failures": DataEntry(
        "faults of a robot by force and torque (UCI)",
        RobotFailuresConfig(),
        robot_failures,
        "metarl data robot_failures",
    ),
    "image_folder": DataEntry(
        "your images: folders, mini-ImageNet, CIFAR-FS, CUB",
        ImageFolderConfig(),
        image_folder,
        "a folder: metarl train images --root FOLDER",
    ),
    "arrays_file": DataEntry(
        "your arrays: vectors, series or images",
        ArraysConfig(),
        arrays_file,
        "a file: metarl train arrays --file DATA.npz",
    ),
}
