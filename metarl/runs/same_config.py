"""What a run's numbers depend on besides its seed: runs that have it in common are seeds of one experiment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metarl.config import config_from_dict, config_to_dict
from metarl.errors import UserError
from metarl.runs.find import load_experiment

WITHOUT_EFFECT = (
    "workers",
    "device",
    "deadline_seconds",
    "max_tries",
    "eval_every_iterations",
    "log_every_iterations",
    "checkpoint_every_iterations",
    "keep_checkpoints",
    "first_come_envs",
    "first_come_training_envs",
)
"""Settings that do not change what an iteration computes on a CPU."""
MAX_DEPTH = 50
OF_TRAINING = ("object_jitter", "distort", "stepping")
"""Settings of tasks and data that held-out tasks do not depend on."""


def settings_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """{dotted name: value} of a run's config.json, its seed and what has no effect left out.

    Fields that came into being after the run have their default, which is what it did.
    """
    name, config = str(stored["experiment"]), stored["config"]
    if not name.endswith(".py"):  # a file of one's own is not run for this
        config = with_defaults(name, config)
    flat = {**experiment_key(stored), **flatten(json.loads(json.dumps(config)))}
    return {
        name: value
        for name, value in flat.items()
        if name != "trainer.seed" and name.rpartition(".")[2] not in WITHOUT_EFFECT
    }


def experiment_key(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What tells an experiment from another: of a .py file its contents too, wherever it lay."""
    name, source = str(stored["experiment"]), stored.get("source")
    if not name.endswith(".py"):
        return {"experiment": name, "experiment's SHA-256": None}
    return {"experiment": Path(name).name, "experiment's SHA-256": source["sha256"] if source else None}


def tested_on(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Of `settings_of`, what the held-out tasks and their data are made of: the same ids may stand for others."""
    return {
        name: value
        for name, value in settings_of(stored).items()
        if name.startswith(("tasks.", "data.")) and name.rpartition(".")[2] not in OF_TRAINING
    }


def with_defaults(experiment: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """As it is where the experiment is no more, or has other fields than it had."""
    try:
        return config_to_dict(config_from_dict(type(load_experiment(experiment).config()), config))
    except UserError:
        return config


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """'agent.lr was 0.1, now 0.2' of each setting that differs."""
    return [
        f"{name} was {old.get(name, 'absent')!r}, now {new.get(name, 'absent')!r}"
        for name in {**old, **new}
        if name not in old or name not in new or old[name] != new[name]
    ]


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """{dotted name: value}. Raises UserError for one that is nested too deep."""
    return dict(_flat(config, ()))


def _flat(config: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if len(above) > MAX_DEPTH:
        raise UserError(f"a config is nested deeper than {MAX_DEPTH} levels; restore config.json")
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, (*above, name))
        else:
            yield ".".join((*above, name)), value
