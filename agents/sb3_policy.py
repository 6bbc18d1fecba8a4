"""Policies that stable-baselines3 saved, read without running anything: their file cannot run code here.

An SB3 zip holds `policy.pth`, which torch reads as weights alone: tensors and the containers they stand in. Of SB3's
`data`, which is JSON, the plain texts are read that tell the kind of the net; the pickled objects in it stay closed.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from metarl.errors import UserError
from metarl.rl.policies import CategoricalMLP, GaussianMLP, Policy
from metarl.types import Params

TANH = "<class 'torch.nn.modules.activation.Tanh'>"
MAX_BYTES = 1 << 30


def read_sb3_policy(path: Path) -> tuple[Policy, Params]:
    """The actor of an on-policy SB3 agent (PPO, A2C, TRPO) with an MLP of tanh layers, as our policy and its weights.

    Raises UserError for a file that is no such zip, is damaged, holds anything but tensors, or another kind of policy.
    SB3 clips sampled actions to the action space and so must the env that the policy acts in. Where it was trained
    behind a VecNormalize its observations must be normalised as there: the zip does not say.
    """
    tensors = read_sb3_tensors(path)
    _check_kind(path)
    return _to_policy(tensors, path)


def _check_kind(path: Path) -> None:
    """Refuse a net of other layers, or with noise that depends on the state: its tensors look like those of ours."""
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(_read(archive, "data"))
        activation, use_sde = data["policy_kwargs"].get("activation_fn", TANH), data.get("use_sde", False)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} does not say what its net is ({error!r}); save it again with SB3") from error
    if activation != TANH or use_sde:
        what = "state-dependent noise (use_sde)" if use_sde else f"layers of {activation}"
        raise UserError(f"{path} has a policy with {what}, and only tanh and Gaussian noise are read; use SB3 itself")


def read_sb3_tensors(path: Path) -> dict[str, Tensor]:
    """The state dict of an SB3 zip's policy."""
    try:
        with zipfile.ZipFile(path) as archive:
            content = io.BytesIO(_read(archive, "policy.pth"))
        state = torch.load(content, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; give a zip that SB3's save() wrote") from error
    except Exception as error:  # zipfile and torch name no common type; torch's advice is to run what the file says
        raise UserError(f"{path} is not an SB3 zip of tensors alone, or is damaged; save it again with SB3") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: policy.pth is no state dict of tensors; save it again with SB3")
    return state


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    if (size := archive.getinfo(name).file_size) > MAX_BYTES:
        raise ValueError(f"{name} says it has {size} bytes")
    return archive.read(name)


def _to_policy(tensors: dict[str, Tensor], path: Path) -> tuple[Policy, Params]:
    prefix = "mlp_extractor.policy_net."
    layers = sorted({int(name.removeprefix(prefix).split(".")[0]) for name in tensors if name.startswith(prefix)})
    names = [f"{prefix}{layer}" for layer in layers] + ["action_net"]
    if "action_net.weight" not in tensors:
        found = ", ".join(list(tensors)[:3])
        raise UserError(
            f"{path} holds no actor with an action_net, as PPO, A2C and TRPO have (it has {found}, ...); "
            "evaluate such a policy with SB3 itself"
        )
    params: Params = {}
    for i, name in enumerate(names):
        params[f"w{i}"] = tensors[f"{name}.weight"].T.contiguous()
        params[f"b{i}"] = tensors[f"{name}.bias"]
    obs_dim, action_dim = params["w0"].shape[0], params[f"w{len(layers)}"].shape[1]
    hidden = tuple(params[f"w{i}"].shape[1] for i in range(len(layers)))
    if "log_std" not in tensors:
        return CategoricalMLP(obs_dim, action_dim, hidden), params
    params["log_std"] = tensors["log_std"]
    return GaussianMLP(obs_dim, action_dim, hidden, min_std=1e-6, max_std=1e3), params
