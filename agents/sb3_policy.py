"""Policies that stable-baselines3 saved, read without unpickling: their file cannot run code here.

An SB3 zip holds `policy.pth`, a torch archive: raw tensor data, and a pickle stream that says which bytes are which
tensor. Only that much of the stream is followed; any other instruction or name in it is refused. Of SB3's `data`, which
is JSON, the plain texts are read that tell the kind of the net, and the pickled objects in it are never looked at.
"""

from __future__ import annotations

import io
import json
import math
import pickletools  # a disassembler: it lists instructions and executes none
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarl.errors import UserError
from metarl.rl.policies import CategoricalMLP, GaussianMLP, Policy
from metarl.types import Params

DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "BoolStorage": np.dtype("?"),
}
TANH = "<class 'torch.nn.modules.activation.Tanh'>"
MARK = object()
MAX_BYTES = 1 << 30


class _Name(NamedTuple):
    """A global that the stream names; never looked up."""

    text: str


class _Storage(NamedTuple):
    dtype: np.dtype
    key: str


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
        with zipfile.ZipFile(path) as outer, zipfile.ZipFile(io.BytesIO(_read(outer, "policy.pth"))) as inner:
            (stream_name,) = [name for name in inner.namelist() if name.endswith("/data.pkl")]
            root = stream_name.removesuffix("data.pkl")
            state = _follow(_read(inner, stream_name), lambda key: _read(inner, f"{root}data/{key}"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; give a zip that SB3's save() wrote") from error
    except (zipfile.BadZipFile, KeyError, ValueError, IndexError, TypeError, EOFError) as error:
        raise UserError(f"{path} is not an SB3 policy zip, or is damaged ({error}); save it again with SB3") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: policy.pth is no state dict of tensors; save it again with SB3")
    return state


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    if (size := archive.getinfo(name).file_size) > MAX_BYTES:
        raise ValueError(f"{name} says it has {size} bytes")
    return archive.read(name)


def _follow(stream: bytes, read_storage: Any) -> Any:  # noqa: C901 (one case an instruction)
    """What the stream builds, from strings, numbers, tuples, dicts and tensors alone."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}

    def pop_to_mark() -> list[Any]:
        at = len(stack) - 1 - stack[::-1].index(MARK)
        items = stack[at + 1 :]
        del stack[at:]
        return items

    for instruction, argument, _ in pickletools.genops(stream):
        match instruction.name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                stack.append(MARK)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                stack.append(argument)
            case "NEWTRUE" | "NEWFALSE" | "NONE":
                stack.append({"NEWTRUE": True, "NEWFALSE": False, "NONE": None}[instruction.name])
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_DICT":
                stack.append({})
            case "TUPLE":
                stack.append(tuple(pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(instruction.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "GLOBAL":
                stack.append(_Name(str(argument)))
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_call(stack.pop(), arguments, read_storage))
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                stack[-1][key] = value
            case "SETITEMS":
                items = pop_to_mark()
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case "BUILD":
                stack.pop()  # an OrderedDict's attributes: versions of the modules, which say nothing here
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "STOP":
                return stack.pop()
            case other:
                raise ValueError(f"its stream has the instruction {other}, which tensors do not need")
    raise ValueError("its stream ends too early")


def _storage(reference: Any) -> _Storage:
    kind, storage_type, key, _device, _size = reference
    name = storage_type.text.removeprefix("torch ")
    if kind != "storage" or name not in DTYPES:
        raise ValueError(f"its stream refers to {kind!r} of {storage_type.text!r}")
    return _Storage(DTYPES[name], str(key))


def _call(function: Any, arguments: tuple[Any, ...], read_storage: Any) -> Any:
    if function == _Name("collections OrderedDict") and arguments == ():
        return {}
    if function == _Name("torch._utils _rebuild_tensor_v2"):
        storage, offset, shape, strides = arguments[:4]
        values = np.frombuffer(read_storage(storage.key), storage.dtype)
        last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        if min((offset, *shape, *strides), default=0) < 0 or (math.prod(shape) and last >= len(values)):
            raise ValueError(f"a tensor of shape {shape} lies outside its {len(values)} stored values")
        byte_strides = [stride * storage.dtype.itemsize for stride in strides]
        view = np.lib.stride_tricks.as_strided(values[offset:], shape, byte_strides)
        return torch.from_numpy(view.astype(storage.dtype.newbyteorder("=")))
    raise ValueError(f"its stream calls {getattr(function, 'text', function)!r}")


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
