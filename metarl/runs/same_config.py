"""What a run's numbers depend on besides its seed: runs that have it in common are seeds of one experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metarl.config import OF_TRAINING, WITHOUT_EFFECT, config_from_dict, config_to_dict, is_one_of, marked_names
from metarl.errors import UserError
from metarl.experiment import RLSettings, TrainerConfig
from metarl.runs.find import load_experiment

MAX_DEPTH = 50


def settings_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """{dotted name: value} of a run's config.json, its seed and what has no effect left out.

    Fields that came into being after the run have their default, which is what it did.
    """
    own = own_config(str(stored["experiment"]))
    without_effect = _marked_anywhere(own, WITHOUT_EFFECT)
    flat = {**experiment_key(stored), **flatten(with_defaults(own, stored["config"]))}
    return {
        name: value for name, value in flat.items() if name != "trainer.seed" and not is_one_of(name, without_effect)
    }


def own_config(experiment: str) -> Any:
    """What the experiment's config() returns; None for a file of your own, which is not run for this, and for an
    experiment that is no more."""
    if experiment.endswith(".py"):
        return None
    try:
        return load_experiment(experiment).config()
    except UserError:
        return None


def _marked_anywhere(own: Any, mark: str) -> set[str]:
    """Of a config, or of those parts that an experiment of your own has under these names as well."""
    if own is not None:
        return marked_names(own, mark)
    parts = {"trainer": TrainerConfig(), "rl": RLSettings()}
    return {f"{part}.{name}" for part, config in parts.items() for name in marked_names(config, mark)}


def experiment_key(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What tells an experiment from another: of a .py file its contents too, wherever it lay."""
    name, source = str(stored["experiment"]), stored.get("source")
    if not name.endswith(".py"):
        return {"experiment": name, "experiment's SHA-256": None}
    return {"experiment": Path(name).name, "experiment's SHA-256": source["sha256"] if source else None}


def tested_on(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Of `settings_of`, what the held-out tasks and their data are made of: the same ids may stand for others."""
    of_training = _marked_anywhere(own_config(str(stored["experiment"])), OF_TRAINING)
    return {
        name: value
        for name, value in settings_of(stored).items()
        if name.startswith(("tasks.", "data.")) and not is_one_of(name, of_training)
    }


def with_defaults(own: Any, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """As it is where there is no config of the experiment's own, or where that has other fields than it had."""
    if own is None:
        return config
    try:
        return config_to_dict(config_from_dict(type(own), config))
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
