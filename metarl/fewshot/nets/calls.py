"""What a module calls in its forward that its layers do not tell: normalisations by function, and random draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode, resolve_name

GAIN_AT = {
    "torch.nn.functional.layer_norm": 2,
    "torch.layer_norm": 2,
    "torch.native_layer_norm": 2,
    "aten.layer_norm": 2,
    "aten.native_layer_norm": 2,
    "torch.nn.functional.instance_norm": 3,
    "torch.instance_norm": 1,
    "aten.instance_norm": 1,
}
"""Place of the gain among the arguments: without one these are right, as `norm.wrong_under_vmap` says of layers."""


@dataclass(frozen=True)
class Calls:
    """What a user's net called that vmap, or a repeated run, cannot have."""

    wrong_under_vmap: list[str] = field(default_factory=list)
    """Normalisations whose meta-gradient is wrong there, as `torch.nn.functional.batch_norm`."""
    random: list[str] = field(default_factory=list)
    """Functions that drew from torch's global generator."""


def watch(call: Callable[[], Any]) -> tuple[Any, Calls]:
    """What `call` returns, and what torch functions it called on the way."""
    calls = Calls()
    with _Watch(calls):
        return call(), calls


class _Watch(TorchFunctionMode):
    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self._calls = calls

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        # not by name: attention and recurrent layers have dropout inside, which only its draws give away
        before = torch.get_rng_state()
        result = func(*args, **kwargs)
        name = resolve_name(func) or str(func)
        if not torch.equal(before, torch.get_rng_state()):
            self._calls.random.append(name)
        if _is_wrong(name.removesuffix(".default"), args, kwargs):
            self._calls.wrong_under_vmap.append(name)
        return result


def _is_wrong(name: str, args: Any, kwargs: Any) -> bool:
    if "batch_norm" in name.rpartition(".")[2]:
        return True
    place = GAIN_AT.get(name)
    if place is None:
        return False
    return (args[place] if len(args) > place else kwargs.get("weight")) is not None
