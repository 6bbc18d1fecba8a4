"""Make a trained agent of the zoo from a finished run: its weights in 16 bits, and the scores of just these."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import msgspec
import torch

from metarl.config import NAMES_FILES, marked_names
from metarl.errors import UserError
from metarl.files import inside, read_plain, replace_file
from metarl.runs.checkpoint import save_checkpoint
from metarl.runs.directory import CHECKPOINTS, CONFIG, MAX_CONFIG_BYTES, VERSIONS, read_run_config
from metarl.runs.find import about as about_experiment
from metarl.runs.load import Run, load_learner, open_run
from metarl.runs.published import PUBLISHED, published
from metarl.zoo.card import CARD, Card, check_words, digests, scores_of, write_card

Evaluate = Callable[[Any, int], dict[str, Any]]


def add_entry(
    run_dir: Path, folder: Path, *, name: str = "", about: str = "", licence: str = "MIT", evaluate: Evaluate
) -> Card:
    """FOLDER/NAME, made of a run of an experiment that an installed package brings along. Raises UserError.

    `evaluate(experiment, seed)` scores the rounded weights, by policy, so that the card tells of what it comes with.
    """
    stored = read_run_config(run_dir)
    if stored.experiment.endswith(".py"):
        raise UserError(
            f"{run_dir} is a run of {stored.experiment!r:.100}, and nobody else has that file; install it as a package "
            "of experiments (docs/agents.md), and train it by its name"
        )
    name = name or stored.experiment
    about = about or about_experiment(stored.experiment)
    check_words(name, about, licence)
    target = inside(folder, name)
    if target.exists():
        raise UserError(f"{target} is there already; give another --name, or remove it")
    run = open_run(run_dir)
    torch.set_num_threads(run.config.trainer.threads)  # as `metarl evaluate` has them: sums round by it
    try:
        state = _state(run)
        _make(target)
        try:
            for file in (CONFIG, VERSIONS):
                content = read_plain(inside(run_dir, file), max_bytes=MAX_CONFIG_BYTES)
                if file == CONFIG:
                    content = without_folders(content, marked_names(run.config, NAMES_FILES))
                replace_file(target / file, content)
            checkpoint = save_checkpoint(target / CHECKPOINTS, state["iteration"], state)
            load_learner(run.experiment, state, checkpoint)
            results = evaluate(run.experiment, run.config.trainer.seed)
            card = _card(run, results, target, name=name, about=about, licence=licence, checkpoint=checkpoint)
            replace_file(target / CARD, write_card(card))
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
    finally:
        run.experiment.close()
    return card


def _make(target: Path) -> None:
    try:
        target.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}; give another --into") from error


def without_folders(stored: bytes, names: Collection[str]) -> bytes:
    """config.json, with files by their last name alone: where they lie on one's own machine is nobody else's matter."""
    content = msgspec.json.decode(stored)
    for name in names:
        *path, leaf = name.split(".")
        part = content["config"]
        for key in path:
            part = part[key]
        part[leaf] = Path(part[leaf]).name
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def _state(run: Run) -> dict[str, Any]:
    state, behaviour = run.state, run.experiment.learner.behaviour()
    kept = {key: state[key] for key in ("iteration", "env_steps", "seconds", "data") if key in state}
    return kept | {PUBLISHED: published(behaviour)}


def _card(
    run: Run, results: dict[str, Any], target: Path, *, name: str, about: str, licence: str, checkpoint: Path
) -> Card:
    names = [CONFIG, VERSIONS, checkpoint.relative_to(target).as_posix()]
    return Card(
        name=name,
        about=about,
        experiment=run.name,
        seed=run.config.trainer.seed,
        iterations=run.state["iteration"],
        training_env_steps=run.state["env_steps"],
        training_seconds=round(run.state["seconds"], 1),
        tasks={suite: len(scores.tasks) for suite, scores in results["meta-trained"].suites.items()},
        scores=[score for policy, result in results.items() for score in scores_of(policy, result)],
        notes=list(results["meta-trained"].notes),
        licence=licence,
        files=digests(target, names),
    )
