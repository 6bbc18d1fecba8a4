"""Is the meta-gradient of a net right? It is silently wrong for torch's own batch and layer norm under vmap."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metarl import params as P
from metarl.fewshot.losses import cross_entropy
from metarl.fewshot.norm import wrong_under_vmap
from metarl.inner_loop import Backend, adapt_tasks
from metarl.types import Params

STEP = 1e-5
"""Of the finite differences, in float64."""


@dataclass(frozen=True)
class MetaGradReport:
    ok: bool
    message: str
    """One sentence: what is right, or what is wrong and what to do."""
    loop_error: float
    """Largest relative error of the loop's directional derivatives against finite differences."""
    vmap_error: float
    """Largest difference between vmap's and the loop's meta-gradient, relative to the largest entry; inf if vmap
    raised."""

    def __str__(self) -> str:
        return self.message


def check_metagrad(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    num_tasks: int = 2,
    inner_steps: int = 2,
    inner_lr: float = 0.1,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> MetaGradReport:
    """Compare second-order MAML gradients of a module: vmap, a Python loop, and finite differences, in float64.

    x (N, ...) and labels y (N,) are one task's support set; the tasks of the check are noisy copies of it, half of
    each its query set. The model is copied, never changed. Works for any module that maps x to class scores.
    """
    model = copy.deepcopy(model).double().train()
    params = {name: p.detach().clone() for name, p in model.named_parameters()}
    generator = torch.Generator().manual_seed(seed)
    support, query = (
        {
            "x": x.double() + 0.1 * torch.randn(num_tasks, *x.shape, generator=generator, dtype=torch.float64),
            "y": y.expand(num_tasks, -1),
        }
        for _ in range(2)
    )

    def loss(params: Params, batch: dict[str, Tensor]) -> Tensor:
        return cross_entropy(torch.func.functional_call(model, params, (batch["x"],)), batch["y"])

    def meta_loss(params: Params, backend: Backend) -> Tensor:
        phis = adapt_tasks(loss, params, [support] * inner_steps, inner_lr=inner_lr, backend=backend)
        if backend == "vmap":
            return torch.func.vmap(loss)(phis, query).mean()
        tasks = zip(P.unstack(phis), P.unstack(query), strict=True)
        return torch.stack([loss(phi, data) for phi, data in tasks]).mean()

    def meta_gradient(backend: Backend) -> Tensor:
        leaves = P.trainable(params)
        grads = torch.autograd.grad(meta_loss(leaves, backend), list(leaves.values()), allow_unused=True)
        return P.flatten(
            {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(leaves.items(), grads, strict=True)}
        )

    try:
        loop = meta_gradient("loop")
    except RuntimeError as error:
        return MetaGradReport(
            False,
            f"torch.func cannot run the model ({_first_line(error)}); set track_running_stats=False in batch norm "
            "layers and change nothing in place",
            float("inf"),
            float("inf"),
        )
    vector, loop_error = P.flatten(params), 0.0
    for _ in range(4):
        direction = torch.randn(vector.shape, generator=generator, dtype=torch.float64)
        direction /= direction.norm()
        with torch.no_grad():
            ends = [meta_loss(P.unflatten(vector + s * STEP * direction, params), "loop") for s in (1, -1)]
        slope = float(ends[0] - ends[1]) / (2 * STEP)
        loop_error = max(loop_error, abs(slope - float(loop @ direction)) / max(float(loop.norm()), 1e-12))
    if loop_error > 1e-3:  # a ReLU's kink within the step is no error
        return MetaGradReport(
            False,
            f"even a loop over tasks differs from finite differences by {loop_error:.1e}: the model is random "
            "(dropout) or changes in place when called; make it a pure function of parameters and input",
            loop_error,
            float("nan"),
        )
    try:
        vmap_error = float((meta_gradient("vmap") - loop).abs().max() / loop.abs().max().clamp(min=1e-30))
    except (RuntimeError, NotImplementedError) as error:
        return MetaGradReport(
            False,
            f"a loop over tasks is right, but vmap cannot run the model ({_first_line(error)}); use "
            "backend='loop', or cells written out in place of nn.LSTM",
            loop_error,
            float("inf"),
        )
    if vmap_error > tolerance:
        return MetaGradReport(
            False,
            f"under vmap the meta-gradient is off by {vmap_error:.1%} of its largest entry without any error raised"
            f"{_suspects(model)}; use metarl.fewshot.norm, nn.GroupNorm or backend='loop'",
            loop_error,
            vmap_error,
        )
    return MetaGradReport(
        True, f"loop, vmap and finite differences agree (vmap to {vmap_error:.0e})", loop_error, vmap_error
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]


def _suspects(model: nn.Module) -> str:
    """' (nn.BatchNorm2d 1: ...)' for the layers that torch differentiates wrongly."""
    found = [
        f"{type(layer).__name__} {name or 'itself'}" for name, layer in model.named_modules() if wrong_under_vmap(layer)
    ]
    return f" (torch's own {', '.join(found)} is the cause)" if found else ""
