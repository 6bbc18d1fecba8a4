"""The linear feature baseline of Duan et al. (2016), fitted per task, all tasks at once."""

from __future__ import annotations

import torch
from torch import Tensor

from metarl.errors import NonFiniteError

OBS_CLIP = 10.0


def features(obs: Tensor, steps: Tensor) -> Tensor:
    """[o, o^2, t/100, (t/100)^2, (t/100)^3, 1] in float64; obs (..., O), steps (...,) -> (..., 2 O + 4).

    The observation is clipped to +-10 as in rllab: one wild value would otherwise own the fit.
    """
    o = obs.double().clamp(-OBS_CLIP, OBS_CLIP)
    t = (steps.double() / 100.0).unsqueeze(-1)
    return torch.cat([o, o.square(), t, t.square(), t**3, torch.ones_like(t)], dim=-1)


def fit_linear_baseline(obs: Tensor, returns: Tensor, mask: Tensor, *, ridge: float = 1e-5) -> Tensor:
    """w = (F'F + ridge I)^-1 F'G over each task's valid steps.

    obs (..., N, T, O), returns and mask (..., N, T) -> weights (..., 2 O + 4) float64.
    """
    f = features(obs, torch.arange(obs.shape[-2]).expand(mask.shape)) * mask.unsqueeze(-1)
    f = f.flatten(-3, -2)
    g = (returns.double() * mask).flatten(-2).unsqueeze(-1)
    gram, moments = f.mT @ f, f.mT @ g
    if not (torch.isfinite(gram).all() and torch.isfinite(moments).all()):
        raise NonFiniteError("NaN or infinity in the observations or returns that the baseline is fitted to")
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype)
    while True:
        weights = torch.linalg.lstsq(gram + ridge * eye, moments).solution.squeeze(-1)
        if torch.isfinite(weights).all():
            return weights
        if ridge > 1e6:
            raise NonFiniteError(f"the linear baseline has no finite fit, not even with ridge={ridge:.0e}")
        ridge *= 10  # constant observations make the Gram matrix singular to working precision


def predict_values(weights: Tensor, obs: Tensor, last_obs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """V(s_t) as (..., N, T) and V(last_obs) as (..., N), in the dtype of obs.

    last_obs is seen at the step after the episode's last.
    """
    steps = torch.arange(obs.shape[-2]).expand(mask.shape)
    values = (features(obs, steps) * weights[..., None, None, :]).sum(-1)
    last_values = (features(last_obs, mask.sum(-1)) * weights[..., None, :]).sum(-1)
    return values.to(obs.dtype), last_values.to(obs.dtype)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns) over valid steps; 0 where the returns do not vary."""
    target, residual = returns[mask].double(), (returns.double() - values)[mask]
    variance = float(target.var(correction=0)) if target.numel() else 0.0
    return 1.0 - float(residual.var(correction=0)) / variance if variance > 1e-12 else 0.0
