"""An adapted policy as one function for other runtimes: ONNX, or torch.export's own file.

    memoryless    (obs (1, O)) -> (action (1, A))
    with a memory (obs, prev_action (1, A), prev_reward (1,), prev_ended (1,), state (1, S)) -> (action, state)

Where actions are sampled there is an input more, `noise`. What each input is, and what it is at first, stands beside it
in a JSON file. Nothing of metarl is needed to run either.
"""

from __future__ import annotations

import io
import json
import logging
import math
import re
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from metarl.errors import UserError, place_of, sentence_of
from metarl.files import new_directory, replace_file
from metarl.learn import params as P
from metarl.learner import Actor, ActorInput, RLBehaviour
from metarl.rl.recurrent.memory_behaviour import MemoryBehaviour
from metarl.types import EnvSpec, Phi

SUFFIXES = {".onnx": "ONNX", ".pt2": "torch.export"}
TOLERANCE = 1e-5
CHECKED_STEPS = 20


@dataclass(frozen=True)
class Exported:
    """A policy as a module, what it takes, and what that is at the first step."""

    module: nn.Module
    first: dict[str, Tensor]
    """Inputs by name; of `noise` and `obs` the shape alone counts."""
    outputs: tuple[str, ...]
    noise: str | None
    """N(0, 1) or U(0, 1)."""


class _Memoryless(nn.Module):
    """What an actor without memory does, its weights held as constants."""

    def __init__(self, actor: Actor, spec: EnvSpec, phi: Phi, shown: Tensor) -> None:
        super().__init__()
        self._actor, self._spec, self._shown = actor, spec, shown
        self._memory = actor.start([phi], 1)

    def forward(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        spec, lanes = self._spec, obs.shape[0]
        obs = torch.cat([obs, self._shown.expand(lanes, -1)], -1)
        previous = torch.zeros(lanes, dtype=torch.int64) if spec.discrete else torch.zeros(lanes, spec.action_dim)
        inputs = ActorInput(obs, previous, torch.zeros(lanes), torch.zeros(lanes, dtype=torch.bool))
        return self._actor.act(self._memory, inputs, torch.zeros(lanes, 0) if noise is None else noise)[0]


class _WithMemory(nn.Module):
    """A recurrent policy's step, its state in and out as one flat vector."""

    def __init__(self, behaviour: MemoryBehaviour, shown: Tensor) -> None:
        super().__init__()
        self._policy, self._theta = behaviour.policy, P.to(P.detach(behaviour.theta), torch.device("cpu"))
        self._shown = shown

    def forward(
        self,
        obs: Tensor,
        prev_action: Tensor,
        prev_reward: Tensor,
        prev_ended: Tensor,
        state: Tensor,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        obs = torch.cat([obs, self._shown.expand(obs.shape[0], -1)], -1)
        previous = self._policy.encode_transitions(prev_action, prev_reward, prev_ended)
        dist, state = self._policy.step(self._theta, obs, previous, state)
        return dist.mode() if noise is None else dist.sample(noise), state


def exported(behaviour: RLBehaviour, phi: Phi, *, shown: Sequence[float] = (), sampled: bool = False) -> Exported:
    """`shown` are the last numbers of each observation, which the function then adds itself.

    Raises UserError for an agent that is no function of its observation and state.
    """
    spec, extra = behaviour.spec, torch.tensor([list(shown)], dtype=torch.float32)
    actor = behaviour.actor(deterministic=not sampled)
    if actor.noise_dim and not sampled:
        raise UserError("this agent acts at random, and a policy that is exported does not; export it with --sampled")
    noise = {"noise": torch.zeros(1, actor.noise_dim)} if sampled else {}
    kind = ("U(0, 1)" if actor.uniform_noise else "N(0, 1)") if sampled else None
    first = {"obs": torch.zeros(1, spec.obs_dim - extra.shape[1])}
    if isinstance(behaviour, MemoryBehaviour):
        first |= _first_of_memory(behaviour, phi)
        return Exported(_WithMemory(behaviour, extra), first | noise, ("action", "next_state"), kind)
    if behaviour.keeps_memory:
        raise UserError(
            f"{type(behaviour).__name__} keeps a memory of a kind that has no flat state; export an agent of "
            "metarl.agents.rl2"
        )
    return Exported(_Memoryless(actor, spec, phi, extra), first | noise, ("action",), kind)


def _first_of_memory(behaviour: MemoryBehaviour, phi: Phi) -> dict[str, Tensor]:
    """The transition before the first step, undone of its encoding, and the state."""
    spec, previous = behaviour.spec, phi["previous"].unsqueeze(0)
    action = previous[:, : spec.action_dim]
    return {
        "prev_action": action.argmax(-1) if spec.discrete else action,
        "prev_reward": previous[:, -2] / behaviour.policy.reward_scale,
        "prev_ended": previous[:, -1] > 0.5,
        "state": phi["state"].unsqueeze(0),
    }


def write(policy: Exported, path: Path) -> float:
    """The file, and a JSON file of its name beside it; the largest difference from torch over some steps.

    NaN where the runtime that would tell is not installed. Raises UserError.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"--out {path} must end in {' or '.join(SUFFIXES)}")
    arguments = tuple(policy.first.values())
    logging.getLogger("torch.fx").setLevel(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()):  # where it fails, it prints all that it had traced
            program = torch.export.export(policy.module, arguments, strict=False)
    except Exception as error:  # whatever an agent's own code does that cannot be traced
        raise UserError(
            f"this agent's policy cannot be traced by torch.export{place_of(error)}: {sentence_of(error):.200}; "
            "compute with tensors alone there, or export another agent"
        ) from error
    try:
        # in a folder of its own first: an earlier export stays until this one is whole and compared
        with new_directory(path.parent), tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as scratch:
            new = Path(scratch) / path.name
            difference = _written(policy, program, new)
            if difference > TOLERANCE:
                raise UserError(
                    f"{path} would differ from torch by {difference:.2g}, more than {TOLERANCE}; not written"
                )
            replace_file(path.with_suffix(".json"), json.dumps(_about(policy), indent=1).encode())
            new.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give another --out") from error
    return difference


def _written(policy: Exported, program: Any, path: Path) -> float:
    """The largest difference from torch of what is written."""
    if path.suffix == ".pt2":
        torch.export.save(program, path)
        module = torch.export.load(path).module()
        return _difference(policy, lambda inputs: _as_tuple(module(*inputs.values())))
    _write_onnx(policy, program, path)
    return _onnx_difference(policy, path)


def _write_onnx(policy: Exported, program: Any, path: Path) -> None:
    try:
        import onnxscript  # noqa: F401  # torch imports it late, and then raises a chain of its own errors
    except ImportError as error:
        raise UserError("exporting to ONNX needs onnx and onnxscript; pip install 'metarl-suite[export]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own deprecations
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it says what it lacks of torchvision
        try:
            torch.onnx.export(
                program,
                (),
                str(path),
                input_names=list(policy.first),
                output_names=list(policy.outputs),
                external_data=False,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise UserError(
                f"this agent's policy cannot be written for ONNX ({_part(error)}); write that part otherwise, or give "
                f"--out {path.with_suffix('.pt2').name}"
            ) from error


def _part(error: BaseException) -> str:
    """What ONNX has nothing for, as torch names it: 'it has no aten.linalg_eig'; else the reason that was first."""
    while error.__cause__ is not None:
        error = error.__cause__
    found = re.search(r"op='([\w.]+)'", str(error))
    return f"it has no {found[1]}" if found else f"{sentence_of(error):.200}"


def _onnx_difference(policy: Exported, path: Path) -> float:
    try:
        import onnxruntime
    except ImportError:
        return math.nan
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    return _difference(
        policy,
        lambda inputs: tuple(
            torch.from_numpy(x) for x in session.run(None, {name: x.numpy() for name, x in inputs.items()})
        ),
    )


@torch.no_grad()
def _difference(policy: Exported, run: Any) -> float:
    """The largest of any output over some steps of random observations, the state carried on."""
    rng, largest = torch.Generator().manual_seed(0), 0.0
    inputs = dict(policy.first)
    for _ in range(CHECKED_STEPS):
        inputs["obs"] = torch.randn(inputs["obs"].shape, generator=rng)
        if "noise" in inputs:
            shape = inputs["noise"].shape
            draw = torch.rand if policy.noise == "U(0, 1)" else torch.randn
            inputs["noise"] = draw(shape, generator=rng)
        wanted, found = _as_tuple(policy.module(*inputs.values())), run(inputs)
        largest = max(
            largest, *(float((a.double() - b.double()).abs().max()) for a, b in zip(wanted, found, strict=True))
        )
        if "state" in inputs:
            inputs["state"], inputs["prev_action"] = wanted[1], wanted[0]
            inputs["prev_reward"] = torch.randn(1, generator=rng)
    return largest


def _as_tuple(outputs: Any) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _about(policy: Exported) -> dict[str, Any]:
    """For people and for the program that runs it."""
    first = {name: tensor for name, tensor in policy.first.items() if name not in ("obs", "noise")}
    return {
        "inputs": {
            name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
            for name, tensor in policy.first.items()
        },
        "outputs": list(policy.outputs),
        "first": {name: tensor.tolist() for name, tensor in first.items()},
        "noise": policy.noise,
        "action": "continuous ones are in [-1, 1] and to be clipped: -1 and 1 are the ends of the env's range",
    }
