"""Is the meta-gradient of a net right? It is silently wrong for torch's own batch and layer norm under vmap."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from metarl.errors import NonFiniteError, UserError
from metarl.fewshot.losses import cross_entropy, squared_error
from metarl.fewshot.methods.gradient import ATTENTION_REMEDY, first_line, is_attention
from metarl.fewshot.nets.calls import Calls, watch
from metarl.fewshot.nets.module_net import NORM_REMEDY
from metarl.fewshot.nets.norm import wrong_under_vmap
from metarl.learn import params as P
from metarl.learn.inner_loop import Backend, adapt_tasks
from metarl.types import Params

STEP = 1e-5
"""Of the finite differences, in float64."""
DIRECTIONS = 4
LOOP_REMEDY = "use backend='loop'"


@dataclass(frozen=True)
class MetaGradReport:
    """What was found of a net's meta-gradient."""

    ok: bool
    message: str
    """One sentence: what is right, or what is wrong and what to do."""
    loop_error: float
    """Largest relative error of the loop's directional derivatives against finite differences; inf if there are
    none."""
    vmap_error: float
    """Largest difference between vmap's and the loop's meta-gradient, relative to the largest entry; inf if vmap
    raised or was not tried."""

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class _MetaLoss:
    """Of a module's params: the query's mean loss after inner steps on the supports."""

    model: nn.Module
    loss_of: Callable[[Tensor, Tensor], Tensor]
    supports: list[dict[str, Tensor]]
    query: dict[str, Tensor]
    inner_lr: float

    def __call__(self, params: Params, backend: Backend) -> Tensor:
        phis = adapt_tasks(self._of_task, params, self.supports, inner_lr=self.inner_lr, backend=backend)
        if backend == "vmap":
            return torch.func.vmap(self._of_task)(phis, self.query).mean()
        tasks = zip(P.unstack(phis), P.unstack(self.query), strict=True)
        return torch.stack([self._of_task(phi, data) for phi, data in tasks]).mean()

    def gradient(self, params: Params, backend: Backend) -> Tensor:
        leaves = P.trainable(params)
        return P.flatten(P.gradient(self(leaves, backend), leaves))

    def _of_task(self, params: Params, batch: dict[str, Tensor]) -> Tensor:
        return self.loss_of(torch.func.functional_call(self.model, params, (batch["x"],)), batch["y"])


def check_metagrad(
    model: nn.Module,
    x: Tensor | ArrayLike,
    y: Tensor | ArrayLike,
    *,
    num_tasks: int = 2,
    inner_steps: int = 2,
    inner_lr: float = 0.1,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> MetaGradReport:
    """Compare second-order MAML gradients of a module: vmap, a Python loop, and finite differences, in float64.

    x (N, ...) is one task's inputs, with labels y (N,), or the targets (N, outputs) of a regression; the tasks of the
    check are noisy copies of it, of whole numbers (as an nn.Embedding takes them) rows drawn anew. The model is copied,
    never changed, and stays in the mode it is in. Raises UserError for x and y that are no task for it.
    """
    model = copy.deepcopy(model).to("cpu", torch.float64)
    params = {name: p.detach().clone() for name, p in model.named_parameters()}
    if not params:
        raise UserError("the model has no parameters, so that there is no gradient to check; give one with a layer")
    inputs, targets = _inputs(x), _tensor(y, "y")
    outputs, calls = _outputs(model, inputs)
    loss_of = _loss_for(outputs, targets)
    if calls.random:
        return _failed(
            f"the model is random: it calls {calls.random[0]}, which draws anew at each call; call model.eval() first "
            "and give dropout training=self.training, or take it out"
        )
    generator = torch.Generator().manual_seed(seed)
    support, query = (_tasks(inputs, targets, num_tasks, generator) for _ in range(2))
    meta = _MetaLoss(model, loss_of, [support] * inner_steps, query, inner_lr)

    try:
        loop = meta.gradient(params, "loop")
    except RuntimeError as error:
        return _failed(_loop_fails(error, model))
    if not torch.isfinite(loop).all():
        return _failed(
            f"the meta-gradient has NaN or infinity after {inner_steps} inner steps; lower inner_lr={inner_lr}, scale "
            "the inputs, or look for a function without a derivative in the model, as a root of 0"
        )
    loop_error = _error_of(loop, lambda params: meta(params, "loop"), params, generator)
    if not loop_error <= 1e-3:  # a ReLU's kink within the step is no error
        return _failed(
            f"even a loop over tasks differs from finite differences by {loop_error:.1e}: the model is random or "
            "changes in place when called; make it a pure function of parameters and input",
            loop_error,
        )
    try:
        vmap_error = float((meta.gradient(params, "vmap") - loop).abs().max() / loop.abs().max().clamp(min=1e-30))
    except (RuntimeError, NotImplementedError) as error:
        return _failed(_vmap_fails(error, model, calls), loop_error)
    if not vmap_error <= tolerance:  # NaN is no agreement
        causes = _causes(model, calls)
        named = f" ({', '.join(causes)} {'is' if len(causes) == 1 else 'are'} the cause)" if causes else ""
        return _failed(
            f"under vmap the meta-gradient is off by {_percent(vmap_error)} of its largest entry without any error "
            f"raised{named}; {NORM_REMEDY if causes else LOOP_REMEDY}",
            loop_error,
            vmap_error,
        )
    return MetaGradReport(
        True, f"loop, vmap and finite differences agree (vmap to {vmap_error:.0e})", loop_error, vmap_error
    )


def _failed(message: str, loop_error: float = float("inf"), vmap_error: float = float("inf")) -> MetaGradReport:
    return MetaGradReport(False, message, loop_error, vmap_error)


def _tensor(values: Tensor | ArrayLike, name: str) -> Tensor:
    try:
        tensor = values if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{name} is no tensor or array of numbers ({first_line(error)}); give each example as equally many numbers"
        ) from None
    if tensor.dim() == 0 or len(tensor) == 0:
        raise UserError(f"{name} has the shape {tuple(tensor.shape)}, which must be (N, ...); give a few examples")
    if not torch.isfinite(tensor).all():
        raise NonFiniteError(f"{name} has NaN or infinity; remove or repair it")
    return tensor.detach().cpu()


def _inputs(x: Tensor | ArrayLike) -> Tensor:
    """Whole numbers as an nn.Embedding takes them stay; bytes of an image become float64 as all others."""
    inputs = _tensor(x, "x")
    return inputs if inputs.dtype in (torch.int32, torch.int64) else inputs.double()


def _outputs(model: nn.Module, x: Tensor) -> tuple[Tensor, Calls]:
    try:
        with torch.no_grad():
            outputs, calls = watch(lambda: model(x))
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        hint = "" if x.is_floating_point() else ", and x.float() where it takes no whole numbers"
        raise UserError(
            f"the model does not take x of shape {tuple(x.shape)} in {x.dtype} ({first_line(error)}); give inputs of "
            f"the shape it was built for{hint}"
        ) from error
    if not isinstance(outputs, Tensor) or outputs.dim() != 2 or len(outputs) != len(x):
        found = tuple(outputs.shape) if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        raise UserError(f"the model gives {found} for {len(x)} inputs, it must give ({len(x)}, outputs); flatten it")
    if not torch.isfinite(outputs).all():
        raise NonFiniteError("the model's outputs for x have NaN or infinity; scale the inputs or fix its parameters")
    return outputs, calls


def _loss_for(outputs: Tensor, y: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy for labels, the squared error for targets. Raises UserError for what is neither."""
    if y.is_floating_point():
        if y.shape != outputs.shape:
            raise UserError(
                f"y is {y.dtype} of shape {tuple(y.shape)}, which must be targets of the outputs' shape "
                f"{tuple(outputs.shape)} or whole-numbered labels; give y.long() for labels"
            )
        return squared_error
    if y.shape != outputs.shape[:1]:
        raise UserError(f"y has the shape {tuple(y.shape)}, which must be ({len(outputs)},); give one label an input")
    low, high, ways = int(y.min()), int(y.max()), outputs.shape[1]
    if low < 0 or high >= ways:
        raise UserError(
            f"y has labels from {low} to {high}, but the model has {ways} outputs, which must be one for each of 0 to "
            f"{max(high, 0)}; number the labels from 0 or give it more outputs"
        )
    return cross_entropy


def _tasks(x: Tensor, y: Tensor, num_tasks: int, generator: torch.Generator) -> dict[str, Tensor]:
    """(num_tasks, N, ...) each."""
    y = y.double() if y.is_floating_point() else y.long()
    if not x.is_floating_point():
        rows = torch.randint(len(x), (num_tasks, len(x)), generator=generator)
        return {"x": x[rows], "y": y[rows]}
    noise = torch.randn(num_tasks, *x.shape, generator=generator, dtype=torch.float64)
    return {"x": x + 0.1 * noise, "y": y.expand(num_tasks, *y.shape)}


def _error_of(
    gradient: Tensor, loss_of: Callable[[Params], Tensor], params: Params, generator: torch.Generator
) -> float:
    """Largest difference to finite differences in random directions, relative to the gradient's norm."""
    vector, errors = P.flatten(params), []
    for _ in range(DIRECTIONS):
        direction = torch.randn(vector.shape, generator=generator, dtype=torch.float64)
        direction /= direction.norm()
        with torch.no_grad():
            ends = [loss_of(P.unflatten(vector + s * STEP * direction, params)) for s in (1, -1)]
        errors.append((ends[0] - ends[1]) / (2 * STEP) - gradient @ direction)
    return float(torch.stack(errors).abs().max() / gradient.norm().clamp(min=1e-12))  # NaN if any is


def _loop_fails(error: RuntimeError, model: nn.Module) -> str:
    if is_attention(error):
        return f"the attention has no second derivative here ({first_line(error)}); {ATTENTION_REMEDY}"
    if "in-place" in str(error):
        batch_norms = [_named(name, layer) for name, layer in _moving_averages(model) if wrong_under_vmap(layer)]
        if batch_norms:
            return f"{', '.join(batch_norms)} changes its moving averages in place; {NORM_REMEDY}"
        if others := [_named(name, layer) for name, layer in _moving_averages(model)]:
            return f"{', '.join(others)} changes its moving averages in place; set track_running_stats=False"
        return f"the model changes in place when called ({first_line(error)}); keep nothing from call to call"
    return f"torch.func cannot run the model ({first_line(error)})"


def _vmap_fails(error: Exception, model: nn.Module, calls: Calls) -> str:
    if is_attention(error):
        remedy = ATTENTION_REMEDY
    elif _causes(model, calls):
        remedy = NORM_REMEDY  # for the loop would do, but ModuleNet takes no such net
    elif any(isinstance(layer, nn.RNNBase) for layer in model.modules()):
        remedy = f"{LOOP_REMEDY}, or cells written out in place of nn.LSTM"
    else:
        remedy = LOOP_REMEDY
    return f"a loop over tasks is right, but vmap cannot run the model ({first_line(error)}); {remedy}"


def _moving_averages(model: nn.Module) -> list[tuple[str, nn.Module]]:
    kept = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
    return [(n, m) for n, m in model.named_modules() if isinstance(m, kept) and m.track_running_stats and m.training]


def _causes(model: nn.Module, calls: Calls) -> list[str]:
    """What torch differentiates wrongly: layers by name, or else what the forward calls."""
    layers = [_named(name, layer) for name, layer in model.named_modules() if wrong_under_vmap(layer)]
    return layers or list(dict.fromkeys(calls.wrong_under_vmap))


def _named(name: str, layer: nn.Module) -> str:
    return f"{type(layer).__name__} {name or 'itself'}"


def _percent(share: float) -> str:
    """Two digits that say something: 73%, 0.0012%."""
    return f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g}%"
