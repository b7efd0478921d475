"""Two streams in one mixer, spiking units and a selective state space, that read each other.

`config.integration` says who reads whom:

    sequential      the state space reads what the spiking units say
    parallel        neither reads the other
    bidirectional   as sequential, and then the spiking stream reads the state space

What the state space reads of the spiking units is `config.spikes_read`, by seed 001's names:

    temporal        their spikes, each at its token
    rate            the mean of their spikes over about `RATE_TAU` tokens
    potential       the potentials that decide on the spikes

A stream reads the other one by a matrix, token by token, or with `cross_attention_heads` by causal attention:
its queries, the other's keys and values. Both streams are added up, or with `gate_heads` mixed by a gate that
follows from them, one for each group of channels: g · spiking + (1 − g) · state space.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minigpt.config import ModelConfig
from minigpt.model.ffn.spiking import Spiking
from minigpt.model.mixers.state_space import StateSpace
from minigpt.model.roles import Role
from minigpt.model.scan import scan
from minigpt.model.state import KVCache, LayerState

RATE_TAU = 20.0  # tokens over which a rate is taken; the seed's public code has the same


@dataclass
class TwoStreamsState:
    """The states of both streams, and of each reading where it is attention."""

    spiking: LayerState
    state_space: LayerState
    rate: Tensor  # (B, C), what the units have said lately, where their rate is read
    readings: dict[str, KVCache] = field(default_factory=dict)

    def reset(self, rows: Tensor) -> None:
        """Forget everything in these rows."""
        for state in (self.spiking, self.state_space, *self.readings.values()):
            state.reset(rows)
        self.rate[rows] = 0.0


class CrossAttention(nn.Module):
    """Causal attention of one stream to another: a token reads the other's tokens up to its own."""

    parameter_roles = {"c_proj.weight": Role.RESIDUAL}

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.n_head, self.context = config.cross_attention_heads, config.context
        self.c_query = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.c_other = nn.Linear(config.n_embd, 2 * config.n_embd, bias=config.bias)  # keys and values
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, own: Tensor, other: Tensor, state: KVCache | None = None) -> Tensor:
        """Return what `own` (B, T, C) reads in `other` (B, T, C)."""
        B, T, C = own.shape
        q = self.c_query(own).view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        k, v = self.c_other(other).view(B, T, 2, self.n_head, C // self.n_head).permute(2, 0, 3, 1, 4)
        mask = None
        if state is not None:
            k, v, mask = state.extend(k, v)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))

    @property
    def mixing_flops(self) -> int:
        """Operations for one token: queries · keys and weights · values."""
        return 4 * self.c_proj.in_features * self.context

    def init_state(self, batch: int) -> KVCache:
        """Return an empty cache."""
        weight = self.c_proj.weight
        return KVCache(batch, self.n_head, self.context, weight.shape[0] // self.n_head, weight)


class Projection(nn.Linear):
    """One stream reads the other token by token."""

    parameter_roles = {"weight": Role.RESIDUAL}

    def __init__(self, config: ModelConfig):
        super().__init__(config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, own: Tensor, other: Tensor, state: None = None) -> Tensor:
        """Return (B, T, C)."""
        return super().forward(other)


class TwoStreams(nn.Module):
    """A spiking stream and a state-space stream."""

    causal = True

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.spiking, self.state_space = Spiking(config), StateSpace(config)
        reading = CrossAttention if config.cross_attention_heads else Projection
        readers = {"sequential": ["state_space"], "bidirectional": ["state_space", "spiking"]}
        self.readings = nn.ModuleDict({to: reading(config) for to in readers.get(config.integration, [])})
        self.gate_heads, self.spikes_read = config.gate_heads, config.spikes_read
        if self.gate_heads:
            self.c_gate = nn.Linear(2 * config.n_embd, self.gate_heads)

    def forward(self, x: Tensor, turns: Tensor | None = None, state: TwoStreamsState | None = None) -> Tensor:
        """Return (B, T, C); positions follow from the recurrences, so `turns` are not needed."""
        spikes, heard = self._fire(x, state)
        given = x + self._read("state_space", x, heard, state)
        sums = self.state_space(given, None, state and state.state_space)
        spikes = spikes + self._read("spiking", spikes, sums, state)
        if not self.gate_heads:
            return spikes + sums
        gate = self.c_gate(torch.cat([spikes, sums], -1)).sigmoid()  # (B, T, gate_heads)
        gate = gate.repeat_interleave(x.shape[-1] // self.gate_heads, -1)  # (B, T, C)
        return gate * spikes + (1 - gate) * sums

    def _fire(self, x: Tensor, state: TwoStreamsState | None) -> tuple[Tensor, Tensor]:
        """Return what the spiking units say, and what of it the state space reads, (B, T, C) each."""
        spikes, potentials = self.spiking.spikes_and_potentials(x, state and state.spiking)
        said = self.spiking.c_proj(spikes)
        if self.spikes_read == "potential":
            return said, self.spiking.c_proj(potentials)
        if self.spikes_read == "temporal":
            return said, said
        keep = math.exp(-1 / RATE_TAU)
        rates = scan(torch.full_like(said, keep), (1 - keep) * said, state and state.rate)
        if state is not None:
            state.rate = rates[:, -1].detach()
        return said, rates

    def _read(self, to: str, own: Tensor, other: Tensor, state: TwoStreamsState | None) -> Tensor | float:
        if to not in self.readings:
            return 0.0
        return self.readings[to](own, other, None if state is None else state.readings.get(to))

    def init_state(self, batch: int) -> TwoStreamsState:
        """Return the states before the first token."""
        caches = {to: r.init_state(batch) for to, r in self.readings.items() if isinstance(r, CrossAttention)}
        rate = self.spiking.c_proj.weight.new_zeros(batch, self.spiking.c_proj.out_features)
        return TwoStreamsState(
            self.spiking.init_state(batch), self.state_space.init_state(batch), rate, caches
        )
