"""A task's params in the groups that a lane reads: where a name belongs, and what it may be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym

from metarl.envs.any_gym.make import keywords_of
from metarl.envs.any_gym.ranges import Range
from metarl.errors import UserError, nearest

GROUPS = ("kwargs", "attributes", "model", "options", "own")


def placed(params: Mapping[str, Any], group_of: Callable[[str], str]) -> dict[str, Any]:
    """{"g": 12} -> {"kwargs": {"g": 12}}, if that is the group of g; a group that is given is taken as it is.

    Raises UserError for a group without names.
    """
    groups: dict[str, Any] = {}
    for name in GROUPS:
        if name in params and name != "own" and not isinstance(params[name], Mapping):
            raise UserError(f"{name}={params[name]!r} must hold names and values; write e.g. {{{name!r}: {{'g': 12}}}}")
        if name in params:
            groups[name] = params[name] if name == "own" else dict(params[name])
    for name, value in params.items():
        if name not in GROUPS:
            groups.setdefault(group_of(name), {})[name] = value
    return groups


def check_values(reference: str, groups: Mapping[str, Any], ranges: Mapping[str, Mapping[str, Range]]) -> None:
    """Raises UserError for a value of a kind or size that its range, by group and name, never draws."""
    for group, values in ranges.items():
        for name in values.keys() & groups.get(group, {}).keys():
            if fault := values[name].fault(groups[group][name]):
                raise UserError(f"env {reference!r}: {name}={groups[group][name]!r} {fault}")


def check_attribute(reference: str, env: gym.Env, name: str, fix: str) -> None:
    """Raises UserError unless the unwrapped env has this attribute."""
    attributes = [attribute for attribute in dir(env.unwrapped) if not attribute.startswith("__")]
    if name not in attributes:
        close = nearest(name, [*keywords_of(reference), *attributes])
        raise UserError(f"env {reference!r} has neither a constructor keyword nor an attribute {name!r}{close}; {fix}")


def id_of(params: Mapping[str, Any]) -> str:
    """Readable where that is short: 'g=9.8123,l=0.5120'."""
    pairs = [
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}"
        for group, values in params.items()
        if isinstance(values, Mapping) and group != "own"
        for name, value in values.items()
    ]
    text = ",".join(pairs)
    if "own" not in params and text and len(text) <= 60:
        return text
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:10]
