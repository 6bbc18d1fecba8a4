"""Every experiment that can be run by name trains and evaluates, in small."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from metarl.agents.pearl import PEARLConfig
from metarl.agents.rl2 import RL2Config
from metarl.agents.sac import SACConfig
from metarl.cli.main import main
from metarl.envs.metaworld.ml import ML
from metarl.envs.navigation import Navigation
from metarl.errors import UserError
from metarl.experiment import TrainerConfig
from metarl.experiments import arrays, images, intents, ml10_maml, navigation
from metarl.experiments._few_shot import Chosen, Method, build_with
from metarl.fewshot.evaluation import FewShotEvaluationConfig
from metarl.fewshot.methods.reptile import ReptileConfig, reptile
from metarl.fewshot.registry import METHODS
from metarl.rollout.pool import PoolConfig
from metarl.runs.find import experiment_names, load_experiment
from metarl.runs.log import read_metrics
from tests.conftest import Drawing
from tests.fewshot.data.test_arrays_file import write
from tests.fewshot.data.test_image_folder import make
from tests.fewshot.problems import image_source

NEEDS_DATA = ("omniglot_", "intents", "robot_failures_")
"""Beginnings of the names of experiments on files in METARL_DATA."""
SMALL_FEW_SHOT = [
    *("--iterations", "2", "--meta-batch-size", "2", "--num-episodes", "2", "--log-every-iterations", "1"),
]
SMALL = [
    *("--iterations", "2", "--meta-batch-size", "2", "--support-episodes", "2", "--query-episodes", "2"),
    *("--test-episodes", "1", "--adaptation-episodes", "1", "--max-tasks", "2", "--workers", "0"),
]


SMALL_IMAGES = [
    *("--ways", "2", "--queries", "1", "--suites", "2w1s", "--test-queries", "2", "--size", "16"),
]
ONE_KIND_OF_ACTION = ["--no-deterministic-too", "--adaptation-rounds", "1"]
"""For episodes of 500 steps."""
SMALL_MEMORY = ["--epochs", "1", "--hidden-dim", "8", "--adaptation-rounds", "1"]


SMALL_REPLAY = [
    *("--warmup-steps", "0", "--batch-size", "16", "--replay-ratio", "0.2"),
    *("--actor-hidden", "8", "--critic-hidden", "8", "--threads", "1", "--log-every-iterations", "1"),
]
SMALL_BELIEF = [
    *("--warmup-steps", "0", "--tasks-per-step", "2", "--rows-per-task", "8", "--replay-ratio", "0.2"),
    *("--actor-hidden", "8", "--critic-hidden", "8", "--encoder-hidden", "8", "--threads", "1"),
]
SEQUENCE = ["--steps-per-task", "160", "--eval-every-iterations", "1"]
"""Of the two iterations of `SMALL`, four episodes each."""


DRAWN = ("bandit_rl2", "mt10_sac", "navigation_maml", "omniglot_maml", "pendulum_maml", "sinusoid_maml")
"""Whose pictures are looked at in the quick suite."""
QUICK = (
    *(*DRAWN, "navigation_pearl", "navigation_multi_task_ppo", "navigation_reptile", "ml1_reach_maml", "cartpole_maml"),
    *("cheetah_dir_maml", "cw10_sac", "digits_prototypical", "arrays", "images", "intents", "omniglot_matching"),
)
"""One of each kind; the others are of the thorough suite, which CI runs as well."""


def marks(name: str) -> list[pytest.MarkDecorator]:
    marks = [] if name in QUICK else [pytest.mark.thorough]
    return [*marks, pytest.mark.draws] if name in DRAWN or marks else marks


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in experiment_names()])
def test_experiment_runs(name: str, tmp_path: Path) -> None:
    if name.startswith(NEEDS_DATA) and not os.environ.get("METARL_DATA"):
        pytest.skip("METARL_DATA is not set")
    config = vars(load_experiment(name).config())
    small = SMALL_FEW_SHOT if isinstance(config.get("evaluation"), FewShotEvaluationConfig) else SMALL
    more = SMALL_MEMORY if isinstance(config.get("agent"), RL2Config) else []
    if isinstance(config.get("agent"), SACConfig):
        more = SMALL_REPLAY
    if isinstance(config.get("agent"), PEARLConfig):
        more = SMALL_BELIEF
    if name.startswith("ml1"):
        more = [*more, *ONE_KIND_OF_ACTION]
    if name.startswith("cw10"):
        more = [*more, "--sequence", "custom", "--env-names", "reach-v3", "--horizon-steps", "20", *SEQUENCE]
    if name == "images":
        more = [*SMALL_IMAGES, "--root", str(make(tmp_path / "images", "folder"))]
    if name == "arrays":
        write(tmp_path / "a.npz", (3, 2))
        more = [*SMALL_IMAGES[:-2], "--max-shots", "2", "--file", str(tmp_path / "a.npz")]
    assert main(["train", name, "--out", str(tmp_path / "run"), *small, *more]) == 0
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert len(rows) == 2 and all(row["meta_step_accepted"] in (0.0, 1.0) for row in rows)
    assert (tmp_path / "run" / "adaptation.png").stat().st_size > (10_000 if Drawing.is_on else 0)


def choices_of(config: Any) -> Iterator[tuple[Any, str]]:
    """Every dataclass within a config, with each of its fields that is one of a few values, or a tuple of such."""
    kinds = get_type_hints(type(config))
    for name in (field.name for field in dataclasses.fields(config)):
        kind, value = kinds[name], getattr(config, name)
        if get_origin(kind) is tuple:
            kind = get_args(kind)[0]
        if get_origin(kind) is Literal:
            yield config, name
        if dataclasses.is_dataclass(value):
            yield from choices_of(value)


@pytest.mark.parametrize("name", experiment_names())
def test_a_misspelt_choice_is_refused_in_python_too(name: str) -> None:
    """The command line has no such; a script would train on another split, or with another head, without a word."""
    for config, field in choices_of(load_experiment(name).config()):
        wrong = ("no such",) if isinstance(getattr(config, field), tuple) else "no such"
        with pytest.raises(ValueError, match="'no such' must be"):
            dataclasses.replace(config, **{field: wrong})


def test_reptile_does_not_train_on_after_its_meta_lr_is_0() -> None:
    settings = Chosen(
        TrainerConfig(iterations=5), ReptileConfig(meta_lr_iterations=4), FewShotEvaluationConfig(suites=("3w1s",))
    )
    with pytest.raises(UserError, match="meta_lr_iterations=4 must be >= the 5 iterations"):
        build_with(reptile, image_source(), settings)


@pytest.mark.parametrize("experiment", [arrays, images, intents])
def test_an_experiment_of_any_method_has_settings_of_each(experiment) -> None:
    configs = vars(experiment.MethodConfigs())
    assert {name: type(config) for name, config in configs.items()} == {
        name: type(entry.config) for name, entry in METHODS.items()
    }
    assert set(get_args(Method)) == set(METHODS)


@pytest.mark.parametrize("experiment", [arrays, images, intents])
def test_reptiles_meta_step_has_fallen_to_nothing_when_the_run_ends(experiment) -> None:
    config = experiment.config()
    assert config.methods.reptile.meta_lr_iterations == config.trainer.iterations


@pytest.mark.thorough
def test_ml25_is_scored_with_and_without_the_class_it_also_trains_on() -> None:
    config = ml10_maml.config()
    config = dataclasses.replace(config, rl=dataclasses.replace(config.rl, pool=PoolConfig(workers=0)))
    experiment = ml10_maml.build(dataclasses.replace(config, tasks=ML(benchmark="ML25")))
    experiment.close()
    assert experiment.settings.evaluation.also_without == ("basketball-v3",)
    evaluation = experiment.settings.evaluation
    assert (evaluation.first_come_envs, evaluation.first_come_training_envs) == (10, 2)
    experiment = ml10_maml.build(config)
    experiment.close()
    assert experiment.settings.evaluation.also_without == ()


@pytest.mark.thorough
def test_an_experiment_of_a_file_of_several_has_one_name_in_runs_and_two_on_the_command_line(tmp_path: Path) -> None:
    for name in ("navigation:fomaml", "navigation_fomaml"):
        assert main(["train", name, "--out", str(tmp_path / name[10:]), *SMALL]) == 0
    assert main(["train", "navigation:fomaml", "--out", str(tmp_path / "_fomaml"), "--resume", *SMALL]) == 0
    stored = [json.loads((tmp_path / run / "config.json").read_text()) for run in (":fomaml", "_fomaml")]
    assert stored[0] == stored[1] and stored[0]["experiment"] == "navigation_fomaml"


def test_an_experiment_of_a_file_of_several_is_a_module_too() -> None:
    module = importlib.import_module("metarl.experiments.navigation_anil")
    assert module.config() == load_experiment("navigation:anil").config() == navigation.VARIANTS["anil"].config()
    assert dataclasses.replace(module.Config(), tasks=Navigation(variant="sparse")).tasks.variant == "sparse"
    with pytest.raises(ImportError):
        importlib.import_module("metarl.experiments.navigation_ml")


def test_training_tasks_are_evaluated_in_rows_of_their_own(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(["train", "navigation_maml", "--training-tasks", "3", "--out", str(run), *SMALL]) == 0
    policies = json.loads((run / "evaluation.json").read_text())["policies"]
    assert set(policies) == {"meta-trained", "untrained", "on training tasks"}
    held_out, training = (policies[name]["suites"][""]["tasks"] for name in ("meta-trained", "on training tasks"))
    assert len(training) == 2 and not set(held_out) & set(training)  # --max-tasks 2
