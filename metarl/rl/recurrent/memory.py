"""Memories as pure functions of (params, inputs, state): one step for rollouts, whole sequences for learning.

A memory's state is one flat vector a lane, so that stored states need not know its kind. All ways of running it give
the same numbers (a test holds them to 1e-6). GRU and LSTM are torch's cells and fused kernels; an actor, whose
parameters do not change, may carry on what it has computed of the state (`for_acting`, `act`).

    S  state size        H  output size        I  input size
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from metarl.types import Params

MemoryKind = Literal["gru", "lstm", "attention"]
NUM_HEADS = 4
"""Of an attention memory."""


class Memory(Protocol):
    """What a recurrent policy needs of its memory."""

    @property
    def state_dim(self) -> int: ...

    @property
    def output_dim(self) -> int: ...

    def init(self, generator: torch.Generator) -> Params: ...

    def step(self, params: Params, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x (L, I), state (L, S) -> output (L, H), next state (L, S)."""
        ...

    def sequence(self, params: Params, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x (T, L, I), state (L, S) -> outputs (T, L, H), the state after the last step (L, S)."""
        ...

    def for_acting(self, params: Params, state: Tensor) -> Any:
        """What `act` carries on instead of the state (L, S), under the same params."""
        ...

    def act(self, params: Params, x: Tensor, carried: Any) -> tuple[Tensor, Any]:
        """`step` without gradients: x (L, I) -> output (L, H), what to carry on; `carried` stays as it is."""
        ...


def _init_gates(num_gates: int, input_dim: int, hidden_dim: int, generator: torch.Generator) -> Params:
    """Xavier input weights, orthogonal recurrent ones (Saxe et al. 2014) for each gate, zero biases.

    Stored as torch's kernels want them: (gates * H, in).
    """
    bound = math.sqrt(6.0 / (input_dim + hidden_dim))
    w_in = (torch.rand(num_gates * hidden_dim, input_dim, generator=generator) * 2 - 1) * bound
    recurrent = [_orthogonal(hidden_dim, generator) for _ in range(num_gates)]
    zeros = torch.zeros(num_gates * hidden_dim)
    return {"w_in": w_in, "w_rec": torch.cat(recurrent), "b_in": zeros, "b_rec": zeros.clone()}


def _orthogonal(size: int, generator: torch.Generator) -> Tensor:
    """Uniform over rotations and reflections: QR of a Gaussian matrix, signs fixed (Mezzadri 2007)."""
    q, r = torch.linalg.qr(torch.randn(size, size, generator=generator))
    return q * r.diagonal().sign()


_ONE_LAYER = (True, 1, 0.0, True, False, False)
"""Biases, one layer, no dropout, training (or cuDNN refuses to go backward), one direction, time first."""


def _kernel_weights(params: Params) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return params["w_in"], params["w_rec"], params["b_in"], params["b_rec"]


@dataclass(frozen=True)
class GRU:
    """Gated recurrent unit (Cho et al. 2014), in the variant that cuDNN and torch compute."""

    input_dim: int
    hidden_dim: int

    @property
    def state_dim(self) -> int:
        return self.hidden_dim

    @property
    def output_dim(self) -> int:
        return self.hidden_dim

    def init(self, generator: torch.Generator) -> Params:
        return _init_gates(3, self.input_dim, self.hidden_dim, generator)

    def step(self, params: Params, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """n = tanh(W x + r * (U h)), h' = n + z * (h - n), with gates r and z."""
        state = torch.gru_cell(x, state, *_kernel_weights(params))
        return state, state

    def sequence(self, params: Params, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        start = state.unsqueeze(0).contiguous()  # cuDNN takes no slice of a larger state
        outputs, last = torch.gru(x, start, _kernel_weights(params), *_ONE_LAYER)
        return outputs, last.squeeze(0)

    def for_acting(self, params: Params, state: Tensor) -> Tensor:
        return state

    def act(self, params: Params, x: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        return self.step(params, x, carried)


@dataclass(frozen=True)
class LSTM:
    """Long short-term memory (Hochreiter and Schmidhuber 1997; Gers et al. 2000). Its state is [h, c]."""

    input_dim: int
    hidden_dim: int

    @property
    def state_dim(self) -> int:
        return 2 * self.hidden_dim

    @property
    def output_dim(self) -> int:
        return self.hidden_dim

    def init(self, generator: torch.Generator) -> Params:
        params = _init_gates(4, self.input_dim, self.hidden_dim, generator)
        params["b_in"][self.hidden_dim : 2 * self.hidden_dim] = 1.0  # remember at first (Jozefowicz et al. 2015)
        return params

    def step(self, params: Params, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """c' = f * c + i * g, h' = o * tanh(c')."""
        hidden, cell = torch.lstm_cell(x, state.chunk(2, dim=-1), *_kernel_weights(params))
        return hidden, torch.cat([hidden, cell], dim=-1)

    def sequence(self, params: Params, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        start = [part.unsqueeze(0).contiguous() for part in state.chunk(2, dim=-1)]
        outputs, hidden, cell = torch.lstm(x, start, _kernel_weights(params), *_ONE_LAYER)
        return outputs, torch.cat([hidden, cell], dim=-1).squeeze(0)

    def for_acting(self, params: Params, state: Tensor) -> Tensor:
        return state

    def act(self, params: Params, x: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        return self.step(params, x, carried)


class Cache(NamedTuple):
    """Keys and values of an attention's last W inputs, d = H / heads, and whether there were such inputs."""

    keys: Tensor  # (L, heads, W, d)
    values: Tensor  # (L, heads, W, d)
    exists: Tensor  # (L, W) bool


@dataclass(frozen=True)
class Attention:
    """One causal transformer block (Vaswani et al. 2017) over the last `window` inputs, the present one among them.

    Its state is those inputs, each with a 1 behind it (0: there was none yet). Without an encoder before it they do not
    depend on the parameters, so truncating back-propagation at a chunk's start loses nothing. How long ago an input
    was is a learned bias for each head and distance (Raffel et al. 2020, section 2.1, without the buckets).
    """

    input_dim: int
    hidden_dim: int
    window: int
    num_heads: int = NUM_HEADS

    @property
    def state_dim(self) -> int:
        return self.window * (self.input_dim + 1)

    @property
    def output_dim(self) -> int:
        return self.hidden_dim

    def init(self, generator: torch.Generator) -> Params:
        def xavier(n_in: int, n_out: int) -> Tensor:
            return (torch.rand(n_in, n_out, generator=generator) * 2 - 1) * math.sqrt(6.0 / (n_in + n_out))

        h = self.hidden_dim
        return {
            "w_in": xavier(self.input_dim, h),
            "b_in": torch.zeros(h),
            "w_qkv": torch.cat([xavier(h, h) for _ in range(3)], dim=1),
            "w_heads": xavier(h, h),
            "w_up": xavier(h, 2 * h),
            "b_up": torch.zeros(2 * h),
            "w_down": xavier(2 * h, h),
            "distance_bias": torch.zeros(self.num_heads, self.window),
        }

    def step(self, params: Params, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        outputs, state = self._block(params, x.unsqueeze(0), state)
        return outputs.squeeze(0), state

    def sequence(self, params: Params, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        outputs = []
        for piece in x.split(self.window):  # all at once would take memory for T^2 pairs
            output, state = self._block(params, piece, state)
            outputs.append(output)
        return torch.cat(outputs), state

    def _block(self, params: Params, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x (T, L, I) with T <= window; keys are the state's inputs and x, each query sees the window behind it."""
        steps, lanes = x.shape[:2]
        flagged = torch.cat([x, x.new_ones(steps, lanes, 1)], dim=-1).transpose(0, 1)
        tokens = torch.cat([state.view(lanes, self.window, -1), flagged], dim=1)  # (L, window + T, I + 1)
        embedded, heads = self._heads(params, tokens[..., :-1])
        attended = torch.nn.functional.scaled_dot_product_attention(
            heads[0][:, :, self.window :], heads[1], heads[2], attn_mask=self._bias(params, tokens[..., -1], steps)
        )
        hidden = self._output(params, embedded[:, self.window :], attended.transpose(1, 2).flatten(2))
        return hidden.transpose(0, 1), tokens[:, steps:].reshape(lanes, -1)

    def for_acting(self, params: Params, state: Tensor) -> Cache:
        tokens = state.view(len(state), self.window, -1)
        _, (_, keys, values) = self._heads(params, tokens[..., :-1])
        return Cache(keys, values, tokens[..., -1] > 0)

    def act(self, params: Params, x: Tensor, carried: Cache) -> tuple[Tensor, Cache]:
        """Only x is embedded: W times less than a step embeds."""
        embedded, (query, key, value) = self._heads(params, x.unsqueeze(1))
        new = Cache(
            torch.cat([carried.keys[:, :, 1:], key], dim=2),
            torch.cat([carried.values[:, :, 1:], value], dim=2),
            torch.cat([carried.exists[:, 1:], torch.ones_like(carried.exists[:, :1])], dim=1),
        )
        bias = params["distance_bias"].flip(-1).unsqueeze(1)  # the last of the window is x itself, at distance 0
        bias = bias.masked_fill(~new.exists[:, None, None, :], -math.inf)
        attended = torch.nn.functional.scaled_dot_product_attention(query, new.keys, new.values, attn_mask=bias)
        return self._output(params, embedded, attended.transpose(1, 2).flatten(2)).squeeze(1), new

    def _heads(self, params: Params, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """inputs (L, N, I) -> embedded (L, N, H); queries, keys and values (3, L, heads, N, d)."""
        embedded = torch.tanh(inputs @ params["w_in"] + params["b_in"])
        heads = (embedded @ params["w_qkv"]).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return embedded, heads

    def _output(self, params: Params, embedded: Tensor, attended: Tensor) -> Tensor:
        """(L, T, H) both -> (L, T, H)."""
        hidden = embedded + attended @ params["w_heads"]
        return hidden + torch.tanh(hidden @ params["w_up"] + params["b_up"]) @ params["w_down"]

    def _bias(self, params: Params, exists: Tensor, steps: int) -> Tensor:
        """What is added to the attention of query t for key j, (L, heads, T, window + T); -inf out of sight."""
        query = torch.arange(self.window, self.window + steps, device=exists.device).unsqueeze(1)
        distance = query - torch.arange(self.window + steps, device=exists.device)
        in_sight = (distance >= 0) & (distance < self.window)
        bias = params["distance_bias"][:, distance.clamp(0, self.window - 1)]
        return bias.masked_fill(~(in_sight & (exists > 0)[:, None, None, :]), -math.inf)


def make_memory(kind: MemoryKind, *, input_dim: int, hidden_dim: int, window: int) -> Memory:
    """`window` is the attention's: how many steps back it sees."""
    if kind == "attention":
        return Attention(input_dim, hidden_dim, window)
    return {"gru": GRU, "lstm": LSTM}[kind](input_dim, hidden_dim)


MEMORY_KINDS: tuple[MemoryKind, ...] = ("gru", "lstm", "attention")
