"""A torch.nn.Module of your own as a `Net`, so that every method here can train it."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from metarl.errors import UserError
from metarl.fewshot.examples import Shape
from metarl.fewshot.nets.calls import Calls, watch
from metarl.fewshot.nets.net import Statistics
from metarl.fewshot.nets.norm import wrong_under_vmap
from metarl.learn import params as P
from metarl.learner import CPU
from metarl.types import Params


class ModuleNet:
    """Implements `Net` by `torch.func.functional_call`; the module itself is copied and never changed.

    Its parameters start from the values it has, and what is frozen (`requires_grad=False`) stays as it is. Raises
    UserError for a module that has, or calls, a normalisation with wrong second derivatives under vmap (see
    `check_metagrad`) or active dropout, is frozen altogether, or does not take float32 of `input_shape`.
    """

    def __init__(self, module: nn.Module, input_shape: Shape) -> None:
        check_layers(module)
        self.input_shape = input_shape
        self._module = copy.deepcopy(module)
        try:
            with torch.no_grad():
                outputs, calls = watch(lambda: self._module(torch.zeros(2, *input_shape)))
        except (RuntimeError, ValueError, IndexError) as error:
            raise UserError(
                f"the module does not take 2 float32 inputs of input_shape={input_shape} "
                f"({str(error).strip().partition(chr(10))[0]}); give the shape it was built for"
            ) from error
        check_calls(calls)
        if outputs.dim() != 2:
            raise UserError(
                f"the module gives {tuple(outputs.shape)} for 2 inputs, it must give (2, outputs); flatten it"
            )
        self.output_dim = outputs.shape[1]
        params = dict(self._module.named_parameters())
        self._trained = tuple(name for name, p in params.items() if p.requires_grad)
        if not self._trained:
            raise UserError("all of the module is frozen, so that there is nothing to train; give a head to learn")
        frozen = {name: p for name, p in params.items() if not p.requires_grad}
        fixed = dict(self._module.named_buffers()) | frozen
        self._fixed = {CPU: {name: x.detach().clone() for name, x in fixed.items()}}

    def init(self, generator: torch.Generator) -> Params:
        """The module's own values: the generator is not needed."""
        params = dict(self._module.named_parameters())
        return {name: params[name].detach().clone() for name in self._trained}

    def statistics_shapes(self) -> dict[str, Shape]:
        return {}

    def apply(
        self, params: Params, x: Tensor, *, groups: int = 1, statistics: Statistics | None = None
    ) -> tuple[Tensor, Statistics]:
        own = {name: params[name] for name in self._trained}
        return torch.func.functional_call(self._module, {**own, **self._fixed_on(x.device)}, (x,)), {}

    def _fixed_on(self, device: torch.device) -> Params:
        """Buffers and frozen weights, copied once to where the inputs are: trained params are there already."""
        if device not in self._fixed:
            # in another thread, where no vmap or grad of the caller's is: a copy made inside one is wrapped for it
            with ThreadPoolExecutor(1) as thread:
                self._fixed[device] = thread.submit(P.to, self._fixed[CPU], device).result()
        return self._fixed[device]


NORM_REMEDY = "use nn.GroupNorm (of 1 group for a layer norm) or the functions of metarl.fewshot.nets.norm"


def check_calls(calls: Calls) -> None:
    """Raises UserError naming a function that the forward calls and no layer shows, by the rules of `check_layers`."""
    if calls.wrong_under_vmap:
        raise UserError(
            f"the module calls {calls.wrong_under_vmap[0]}, whose second derivatives are wrong under vmap; "
            f"{NORM_REMEDY}"
        )
    if calls.random:
        raise UserError(
            f"the module calls {calls.random[0]}, which draws at random, for queries too; call module.eval() first and "
            "give dropout training=self.training, or take it out"
        )


def check_layers(module: nn.Module) -> None:
    """Raises UserError naming a layer that would be wrong without a word, or weights that are not float32."""
    for name, layer in module.named_modules():
        kind = f"nn.{type(layer).__name__} ({name or 'itself'})"
        if wrong_under_vmap(layer):
            raise UserError(f"the module has {kind}, whose second derivatives are wrong under vmap; {NORM_REMEDY}")
        if isinstance(layer, nn.modules.dropout._DropoutNd) and layer.training and layer.p > 0:
            raise UserError(
                f"the module has {kind} with p={layer.p} in training mode, which would drop features of queries too; "
                "call module.eval() first, or take it out"
            )
    for name, p in module.named_parameters():
        if p.dtype != torch.float32:
            raise UserError(f"the module's {name} is {p.dtype}, inputs are torch.float32; call module.float() first")
