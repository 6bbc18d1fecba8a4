"""The linear feature baseline of Duan et al. (2016), fitted per task, all tasks at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d

from metarl.errors import NonFiniteError

OBS_CLIP = 10.0
MOST_ENTRIES = 512
"""Of an observation that are features: the fit's cost grows with their square and cube, 32 GB for 84 x 84 pixels."""
SMALLEST_SPREAD = 1e-3
"""A feature that varies less (an object at rest) is not scaled up to the size of the others, rounding and all."""


def features(obs: Tensor, steps: Tensor) -> Tensor:
    """[o, o^2, t/100, (t/100)^2, (t/100)^3, 1] in float64; obs (..., O), steps (...,) -> (..., 2 O + 4).

    The observation is clipped to +-10 as in rllab: one wild value would otherwise own the fit. Of a picture, or
    another of more than MOST_ENTRIES entries, o are the means of so many groups of neighbours.
    """
    o = obs.double().clamp(-OBS_CLIP, OBS_CLIP)
    if o.shape[-1] > MOST_ENTRIES:
        o = adaptive_avg_pool1d(o.reshape(1, -1, o.shape[-1]), MOST_ENTRIES).reshape(*o.shape[:-1], MOST_ENTRIES)
    t = (steps.double() / 100.0).unsqueeze(-1)
    return torch.cat([o, o.square(), t, t.square(), t**3, torch.ones_like(t)], dim=-1)


def fit_linear_baseline(obs: Tensor, returns: Tensor, mask: Tensor, *, ridge: float = 1e-5) -> Tensor:
    """Ridge regression of returns on standardised features over each task's valid steps.

    z = (f - mean f) / max(std f, SMALLEST_SPREAD),  w = (Z'Z/n + ridge I)^-1 Z'(G - mean G)/n; returned as weights of
    the raw features, the constant among them.

    obs (..., N, T, O), returns and mask (..., N, T) -> weights (..., 2 O + 4) float64. rllab solves the raw normal
    equations instead; where an object rests they are singular, and torch.linalg.lstsq, which still answers, gives
    another answer at every call (measured: relative 1e-8 in the weights, 1e-4 in the return after one inner step).
    """
    valid = mask.flatten(-2).double().unsqueeze(-1)  # (..., N T, 1)
    n = valid.sum(-2, keepdim=True).clamp(min=1.0)
    f = features(obs, torch.arange(obs.shape[-2]).expand(mask.shape)).flatten(-3, -2)[..., :-1]  # the constant apart
    g = returns.double().flatten(-2).unsqueeze(-1)
    f, g = torch.where(valid > 0, f, 0.0), torch.where(valid > 0, g, 0.0)
    f_mean, g_mean = f.sum(-2, keepdim=True) / n, g.sum(-2, keepdim=True) / n
    z = (f - f_mean) * valid
    spread = (z.square().sum(-2, keepdim=True) / n).sqrt().clamp(min=SMALLEST_SPREAD)
    z = z / spread
    gram, moments = z.mT @ z / n, z.mT @ ((g - g_mean) * valid) / n
    if not (torch.isfinite(gram).all() and torch.isfinite(moments).all()):
        raise NonFiniteError("NaN or infinity in the observations or returns that the baseline is fitted to")
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype)
    weights = torch.cholesky_solve(moments, torch.linalg.cholesky(gram + ridge * eye)).mT / spread
    constant = g_mean - (f_mean * weights).sum(-1, keepdim=True)
    return torch.cat([weights, constant], dim=-1).squeeze(-2)


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
