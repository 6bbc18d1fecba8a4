"""A policy with a memory: encoder -> memory -> action distribution and, if asked for, a value.

Its input is what RL² (Duan et al. 2016, section 2.2) feeds: the observation and the real previous transition,
encoded as [action (one-hot if discrete), reward, ended].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarl.rl.distributions import ActionDistribution, Categorical, Gaussian
from metarl.rl.normalizers import mean_and_std
from metarl.rl.pictures import PictureEncoder
from metarl.rl.policies import MAX_STD, clamped, init_mlp, linear, mlp, projected
from metarl.rl.recurrent.memory import Memory, MemoryKind, make_memory
from metarl.types import EnvSpec, Params

REWARD = -2
"""Where the previous reward stands in the input."""
SMALLEST_STD = 1e-3
"""Of a normalised input; one that hardly varies is not blown up."""
LARGEST_INPUT = 10.0
"""Normalised inputs are clipped to it, because one far out saturates the memory."""
NOT_LEARNED = ("input.mean", "input.std")


class Acting(NamedTuple):
    """What an actor carries on from step to step."""

    memory: Any  # the memory's own
    last: Tensor  # (L, I + 1) as in `RecurrentPolicy.state_dim`


@dataclass(frozen=True, kw_only=True)
class RecurrentPolicy:
    """A policy and value function over a memory of the trial, for RL²."""

    spec: EnvSpec
    memory_kind: MemoryKind = "gru"
    hidden_dim: int = 256
    attention_window: int = 100
    """Steps that an attention memory looks back."""
    encoder: tuple[int, ...] = ()
    """tanh layers between the input and the memory."""
    init_std: float = 1.0
    min_std: float = 1e-3
    max_std: float = MAX_STD
    reward_scale: float = 1.0
    """The previous reward is fed times this: a memory's gates saturate on large numbers."""
    normalize_inputs: bool = False
    """Observations and rewards are fed less params["input.mean"], over params["input.std"]: see `input_scales`."""
    input_changes: bool = False
    """Also feed how observation and reward changed since the step before, 0 over the end of an episode."""
    value_head: bool = True

    @property
    def previous_dim(self) -> int:
        """Size of an encoded transition."""
        return self.spec.action_dim + 2

    @property
    def input_dim(self) -> int:
        return self.spec.obs_dim + self.previous_dim

    @property
    def features_dim(self) -> int:
        """Of what encoder and memory are fed."""
        return self.input_dim + (self.spec.obs_dim + 1 if self.input_changes else 0)

    @property
    def picture(self) -> PictureEncoder | None:
        """Of observations that are pictures; how they changed are channels more."""
        if self.spec.picture is None:
            return None
        height, width, channels = self.spec.picture
        return PictureEncoder(height, width, channels * (2 if self.input_changes else 1))

    @property
    def encoded_dim(self) -> int:
        """Of the features, those of a picture by their encoding."""
        if self.picture is None:
            return self.features_dim
        pixels = self.spec.obs_dim * (2 if self.input_changes else 1)
        return self.features_dim - pixels + self.picture.output_dim

    @property
    def memory(self) -> Memory:
        return make_memory(
            self.memory_kind,
            input_dim=(self.encoded_dim, *self.encoder)[-1],
            hidden_dim=self.hidden_dim,
            window=self.attention_window,
        )

    @property
    def state_dim(self) -> int:
        """The memory's state and, for the changes, the last input with a 1 behind it (0: there was none yet)."""
        return self.memory.state_dim + (self.input_dim + 1 if self.input_changes else 0)

    def init(self, generator: torch.Generator) -> Params:
        memory = self.memory
        modules = {"memory": memory.init(generator)}
        if self.picture is not None:
            modules["picture"] = self.picture.init(generator)
        if self.encoder:
            modules["encoder"] = init_mlp((self.encoded_dim, *self.encoder), generator)
        # a small last layer: the first actions come from the noise, not from the random net
        modules["policy"] = init_mlp((memory.output_dim, self.spec.action_dim), generator, last_gain=0.1)
        if self.value_head:
            modules["value"] = init_mlp((memory.output_dim, 1), generator, last_gain=0.1)
        params = {f"{module}.{name}": p for module, own in modules.items() for name, p in own.items()}
        if not self.spec.discrete:
            params["log_std"] = torch.full((self.spec.action_dim,), math.log(self.init_std))
        if self.normalize_inputs:
            params |= {"input.mean": torch.zeros(self.features_dim), "input.std": torch.ones(self.features_dim)}
        return params

    def input_scales(self, moments: Tensor) -> Params:
        """params["input.mean"] and ["input.std"] from the sums [n, x, x^2] over n rows x of `features`, (3, F).

        Actions and ends of episodes are left as they are: they are of order 1, and an end is so rare that its own
        spread would make a blow of it.
        """
        mean, std = mean_and_std(moments, smallest_std=SMALLEST_STD)
        as_it_is = torch.zeros(self.features_dim, dtype=torch.bool)
        as_it_is[self.spec.obs_dim : self.input_dim] = True
        as_it_is[self.input_dim + REWARD] = False
        return {
            "input.mean": mean.masked_fill(as_it_is, 0.0).float(),
            "input.std": std.masked_fill(as_it_is, 1.0).float(),
        }

    def encode_transitions(self, actions: Tensor, rewards: Tensor, ended: Tensor) -> Tensor:
        """actions (..., A) or (...) int64, rewards and ended (...) -> (..., A + 2)."""
        if self.spec.discrete:
            actions = torch.nn.functional.one_hot(actions, self.spec.action_dim).to(rewards.dtype)
        tail = torch.stack([rewards * self.reward_scale, ended.to(rewards.dtype)], dim=-1)
        return torch.cat([actions, tail], dim=-1)

    def step(self, params: Params, obs: Tensor, previous: Tensor, state: Tensor) -> tuple[ActionDistribution, Tensor]:
        """obs (L, O), previous (L, A + 2), state (L, S) -> a distribution for each lane, the next state."""
        memory, last = self._split(state)
        features, last = self.features(torch.cat([obs, previous], dim=-1).unsqueeze(0), last)
        x = self._encode(params, features.squeeze(0))
        output, memory = self.memory.step(_module(params, "memory"), x, memory)
        return self.dist(params, output), torch.cat([memory, last], dim=-1)

    def for_acting(self, params: Params, state: Tensor) -> Acting:
        """What `act` carries on instead of the state (L, S), under the same params."""
        memory, last = self._split(state)
        return Acting(self.memory.for_acting(_module(params, "memory"), memory), last)

    def act(self, params: Params, obs: Tensor, previous: Tensor, carried: Acting) -> tuple[ActionDistribution, Acting]:
        """`step` without gradients: obs (L, O), previous (L, A + 2) -> a distribution a lane, what to carry on."""
        features, last = self.features(torch.cat([obs, previous], dim=-1).unsqueeze(0), carried.last)
        x = self._encode(params, features.squeeze(0))
        output, memory = self.memory.act(_module(params, "memory"), x, carried.memory)
        return self.dist(params, output), Acting(memory, last)

    def sequence(self, params: Params, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """inputs (T, L, O + A + 2), state (L, S) -> the memory's outputs (T, L, H), last state (L, S)."""
        memory, last = self._split(state)
        features, last = self.features(inputs, last)
        outputs, memory = self.memory.sequence(_module(params, "memory"), self._encode(params, features), memory)
        return outputs, torch.cat([memory, last], dim=-1)

    def features(self, inputs: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """inputs (T, L, I) and the input before them, `last` (L, I + 1) -> features (T, L, F), the new `last`.

        Without `input_changes` features are the inputs and `last` is (L, 0).
        """
        if not self.input_changes:
            return inputs, last
        flagged = torch.cat([inputs, inputs.new_ones(*inputs.shape[:2], 1)], dim=-1)
        before = torch.cat([last.unsqueeze(0), flagged[:-1]])
        changed = inputs - before[..., :-1]
        changed = torch.cat([changed[..., : self.spec.obs_dim], changed[..., REWARD : REWARD + 1]], dim=-1)
        goes_on = before[..., -1:] * (1 - inputs[..., -1:])  # the last entry of an input: an episode has ended
        return torch.cat([inputs, changed * goes_on], dim=-1), flagged[-1]

    def dist(self, params: Params, outputs: Tensor) -> ActionDistribution:
        """The memory's outputs (..., L, H) -> action distributions (..., L, A)."""
        mean = linear(outputs, params["policy.w0"], params["policy.b0"])
        if self.spec.discrete:
            return Categorical(mean)
        log_std = clamped(params["log_std"], min_std=self.min_std, max_std=self.max_std)
        return Gaussian(mean, log_std.expand_as(mean))

    def project(self, params: Params) -> Params:
        """As `Policy.project`."""
        return params if self.spec.discrete else projected(params, min_std=self.min_std, max_std=self.max_std)

    def value(self, params: Params, outputs: Tensor) -> Tensor:
        """(..., L, H) -> (..., L)."""
        return linear(outputs, params["value.w0"], params["value.b0"]).squeeze(-1)

    def _split(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """The memory's part (L, S_m), and the last input."""
        size = self.memory.state_dim
        return state[..., :size], state[..., size:]

    def _encode(self, params: Params, x: Tensor) -> Tensor:
        if self.normalize_inputs:
            x = ((x - params["input.mean"]) / params["input.std"]).clamp(-LARGEST_INPUT, LARGEST_INPUT)
        if self.picture is not None:
            x = self._encode_picture(self.picture, params, x)
        if not self.encoder:
            return x
        return torch.tanh(mlp(_module(params, "encoder"), x, len(self.encoder)))

    def _encode_picture(self, encoder: PictureEncoder, params: Params, x: Tensor) -> Tensor:
        """Features (..., F) with their pixels (H W C), and the change of each, in place of what is seen in them."""
        size = self.spec.obs_dim
        seen, others = [x[..., :size]], [x[..., size : self.input_dim]]
        if self.input_changes:
            seen.append(x[..., self.input_dim : self.input_dim + size])
            others.append(x[..., self.input_dim + size :])
        pixels = torch.cat([part.unflatten(-1, (encoder.height, encoder.width, -1)) for part in seen], dim=-1)
        return torch.cat([encoder.encode(_module(params, "picture"), pixels.flatten(-3)), *others], dim=-1)


def _module(params: Params, module: str) -> Params:
    prefix = module + "."
    return {name.removeprefix(prefix): p for name, p in params.items() if name.startswith(prefix)}
