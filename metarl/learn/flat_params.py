"""Parameters in one vector: Adam's step and a target's step are then one operation, however many layers there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from metarl.learn import params as P
from metarl.types import Params


class FlatParams:
    """A vector with Adam's moments (Kingma and Ba 2015), changed in place: hand out `copy()`, not views of it."""

    def __init__(self, params: Params, *, lr: float, device: torch.device) -> None:
        self._like = {name: torch.empty(p.shape, device="meta") for name, p in params.items()}
        self.vector = P.flatten(params).to(device).requires_grad_()
        self._adam = torch.optim.Adam([self.vector], lr=lr, fused=True)

    def views(self, dtype: torch.dtype = torch.float32) -> Params:
        """By name, differentiable in the vector; another dtype is cast to once for all layers."""
        return P.unflatten(self.vector.to(dtype), self._like)

    def copy(self) -> Params:
        """On the CPU, by name, each tensor with memory of its own."""
        return {name: p.clone() for name, p in P.unflatten(self.vector.detach().cpu(), self._like).items()}

    def step(self, loss: Tensor) -> None:
        """One step of Adam down the gradient of a scalar; nothing else gets a gradient."""
        step_together([self], loss)

    def set_lr(self, lr: float) -> None:
        """Of the steps from now on; Adam's moments stay."""
        self._adam.param_groups[0]["lr"] = lr

    def load(self, params: Params) -> None:
        """Of the names and shapes that it has."""
        with torch.no_grad():
            self.vector.copy_(P.flatten({name: params[name] for name in self._like}))

    def state_dict(self) -> dict[str, Any]:
        """Adam's; the parameters are `copy()`."""
        state = self._adam.state[self.vector]
        if not state:
            return {"num_steps": 0}
        return {
            "num_steps": int(state["step"]),
            "first": state["exp_avg"].cpu().clone(),
            "second": state["exp_avg_sq"].cpu().clone(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._adam.state.clear()
        if not state["num_steps"]:
            return
        moments = {name: state[name] for name in ("first", "second")}
        P.check_tensors_match(dict.fromkeys(moments, self.vector), moments, what="Adam's state")
        device = self.vector.device
        self._adam.state[self.vector] = {
            "step": torch.tensor(float(state["num_steps"]), device=device),
            "exp_avg": moments["first"].to(device).clone(),
            "exp_avg_sq": moments["second"].to(device).clone(),
        }


def step_together(nets: Sequence[FlatParams], loss: Tensor) -> None:
    """One step of Adam of each down the gradient of one scalar; nothing else gets a gradient."""
    for net, gradient in zip(nets, torch.autograd.grad(loss, [net.vector for net in nets]), strict=True):
        net.vector.grad = gradient
        net._adam.step()
