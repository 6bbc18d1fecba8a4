"""A torch.nn.Module of one's own as a `Net`, so that every method here can train it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from metarl.errors import UserError
from metarl.fewshot.examples import Shape
from metarl.fewshot.nets import Statistics
from metarl.types import Params

BATCH_NORMS = nn.modules.batchnorm._BatchNorm


class ModuleNet:
    """Implements `Net` by `torch.func.functional_call`; the module itself is copied and never changed.

    Its parameters start from the values it has. Raises UserError for a module with batch normalisation, whose
    statistics cannot be told from outside and whose second derivatives are wrong under vmap (see `check_metagrad`).
    """

    def __init__(self, module: nn.Module, input_shape: Shape) -> None:
        for name, layer in module.named_modules():
            if isinstance(layer, BATCH_NORMS):
                raise UserError(
                    f"the module has batch normalisation ({name or 'itself'}), whose second derivatives are wrong "
                    "under vmap; use nn.GroupNorm, or metarl.fewshot.nets with norm='batch'"
                )
        self.input_shape = input_shape
        self._module = copy.deepcopy(module)
        with torch.no_grad():
            outputs = self._module(torch.zeros(2, *input_shape))
        if outputs.dim() != 2:
            raise UserError(
                f"the module gives {tuple(outputs.shape)} for 2 inputs, it must give (2, outputs); flatten it"
            )
        self.output_dim = outputs.shape[1]
        self._buffers = {name: b.detach().clone() for name, b in self._module.named_buffers()}

    def init(self, generator: torch.Generator) -> Params:
        """The module's own values: the generator is not needed."""
        return {name: p.detach().clone() for name, p in self._module.named_parameters()}

    def statistics_shapes(self) -> dict[str, Shape]:
        return {}

    def apply(
        self, params: Params, x: Tensor, *, groups: int = 1, statistics: Statistics | None = None
    ) -> tuple[Tensor, Statistics]:
        own = {name: params[name] for name, _ in self._module.named_parameters()}
        return torch.func.functional_call(self._module, {**own, **self._buffers}, (x,)), {}
