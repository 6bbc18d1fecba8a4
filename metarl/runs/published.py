"""What acts, without what learns: a behaviour's tensors in 16 bits, for a trained agent that is given to others.

A checkpoint of a run holds the learner: optimiser, critics, moments. This one holds what `behaviour()` hands out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metarl.errors import UserError
from metarl.learn import params as P
from metarl.learner import Behaviour
from metarl.types import Metrics, TaskData

PUBLISHED = "behaviour"
"""Of a checkpoint's state: stands there in place of the learner's."""


def published(behaviour: Behaviour) -> dict[str, Any]:
    """Its fields of tensors (theta, a net's statistics), floats rounded to float16.

    Raises UserError for a behaviour without theta, and for numbers beyond float16.
    """
    parts = _tensor_fields(behaviour)
    if not parts:
        raise UserError(f"{type(behaviour).__name__} has no weights to publish; give a run of an agent that learns")
    return {"version": behaviour.version, "parts": {name: _halved(part, name) for name, part in parts.items()}}


def restored(behaviour: Any, state: Mapping[str, Any]) -> Any:
    """A behaviour of the same config with what `published` kept of another, in its own precision and on its device.

    Raises UserError where the two do not fit.
    """
    parts, ours = dict(state["parts"]), _tensor_fields(behaviour)
    if parts.keys() != ours.keys():
        raise UserError(f"it holds {', '.join(parts) or 'nothing'} and not {', '.join(ours)}; use the config it is of")
    new = {}
    for name, expected in ours.items():
        found = {
            key: tensor.to(expected[key].dtype) if key in expected else tensor for key, tensor in parts[name].items()
        }
        P.check_tensors_match(expected, found, what=name)
        new[name] = {key: found[key].to(tensor.device) for key, tensor in expected.items()}
    return dataclasses.replace(behaviour, version=int(state["version"]), **new)


@dataclass(frozen=True)
class ActsOnly:
    """A MetaLearner that has stopped learning."""

    acting: Any

    def behaviour(self) -> Any:
        return self.acting

    def meta_update(self, batch: Sequence[TaskData]) -> Metrics:
        raise UserError("these are weights to act with, not to go on learning from; train the experiment anew")

    def state_dict(self) -> dict[str, Any]:
        return {PUBLISHED: published(self.acting)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        raise UserError("these are weights to act with; open the run that they are of")


def _tensor_fields(behaviour: Any) -> dict[str, dict[str, Tensor]]:
    if not dataclasses.is_dataclass(behaviour):
        return {}
    found = {field.name: getattr(behaviour, field.name) for field in dataclasses.fields(behaviour)}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, dict) and value and all(isinstance(part, Tensor) for part in value.values())
    }


def _halved(part: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    halved = {name: tensor.detach().cpu() for name, tensor in part.items()}
    halved = {name: t.to(torch.float16) if t.is_floating_point() else t for name, t in halved.items()}
    if not P.is_finite({name: t.float() for name, t in halved.items()}):
        raise UserError(f"{what} holds numbers that float16 has not (above 65504); it cannot be published")
    return halved
