"""A selective state space: each channel keeps a few leaky sums of what it has read (Gu & Dao, 2023).

A channel obeys τ ḣ = −h + B x in N copies, with N time constants τ, and its output is C · h. *Selective*
means that B, C and the length Δ of a step follow from the token: Δ near 0 skips it, a large Δ forgets what
came before. Held constant over a step, the equation has the solution

    h_t = a_t · h_{t−1} + (1 − a_t) · B_t x_t,     a_t = exp(−Δ_t / τ),

a recurrence that `minigpt.model.scan` computes for all tokens at once. Mamba takes Δ_t B_t x_t for the second
term, and learns ln 1/τ; written this way a unit's gain does not grow with its time constant.

Work and memory per new token do not depend on how many were read: generation is constant in length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minigpt.config import ModelConfig
from minigpt.model.roles import Role
from minigpt.model.scan import scan


@dataclass
class StateSpaceState:
    """What one layer remembers of the tokens it has read."""

    window: Tensor  # (B, E, conv_size − 1), the latest inputs of the convolution
    sums: Tensor  # (B, E, N), h

    def reset(self, rows: Tensor) -> None:
        """Forget everything in these rows."""
        self.window[rows] = 0.0
        self.sums[rows] = 0.0


class StateSpace(nn.Module):
    """E = state_space_expand · C channels, each with N = state_space_size leaky sums."""

    causal = True
    has_no_end = True  # its state is as large after any number of tokens
    parameter_roles = {
        "conv.weight": Role.FILTER,
        "log_tau": Role.TIME_CONSTANT,
        "skip": Role.GAIN,
        "c_proj.weight": Role.RESIDUAL,
    }

    def __init__(self, config: ModelConfig):
        super().__init__()
        width, size = config.state_space_expand * config.n_embd, config.state_space_size
        self.width, self.size, self.conv_size = width, size, config.state_space_conv
        self.c_in = nn.Linear(config.n_embd, 2 * width, bias=config.bias)  # input and gate in one product
        self.conv = nn.Conv1d(width, width, self.conv_size, groups=width)  # each channel by itself
        self.c_select = nn.Linear(width, 2 * size, bias=False)  # B and C
        self.c_delta = nn.Linear(width, width)  # Δ before the softplus; its bias 0 is a step of ln 2 tokens
        self.log_tau = nn.Parameter(torch.zeros(width, size))
        self.skip = nn.Parameter(torch.ones(width))
        self.c_proj = nn.Linear(width, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor, turns: Tensor | None = None, state: StateSpaceState | None = None) -> Tensor:
        """Return (B, T, C); positions follow from the recurrence, so `turns` are not needed."""
        x, gate = self.c_in(x).chunk(2, -1)  # each (B, T, E)
        x = F.silu(self._convolve(x, state))
        read, write = self.c_select(x).chunk(2, -1)  # C and B, each (B, T, N)
        delta = F.softplus(self.c_delta(x))  # (B, T, E), in tokens
        decay = torch.exp(-delta[..., None] * torch.exp(-self.log_tau))  # (B, T, E, N)
        drive = (1 - decay) * x[..., None] * write[..., None, :]  # (B, T, E, N)
        sums = scan(decay, drive, None if state is None else state.sums)
        if state is not None:
            state.sums = sums[:, -1].detach()
        y = (sums * read[..., None, :]).sum(-1) + self.skip * x  # (B, T, E)
        return self.c_proj(y * F.silu(gate))

    def _convolve(self, x: Tensor, state: StateSpaceState | None) -> Tensor:
        """Return (B, T, E): a weighted sum of each input and the conv_size − 1 before it."""
        inputs = x.transpose(1, 2)  # (B, E, T)
        if state is None:
            inputs = F.pad(inputs, (self.conv_size - 1, 0))
        else:
            inputs = torch.cat([state.window, inputs], -1)
            state.window = inputs[..., inputs.shape[-1] - self.conv_size + 1 :].detach()
        return self.conv(inputs).transpose(1, 2)

    def init_state(self, batch: int) -> StateSpaceState:
        """Return the state before the first token."""
        like = self.c_proj.weight
        window = like.new_zeros(batch, self.width, self.conv_size - 1)
        return StateSpaceState(window, like.new_zeros(batch, self.width, self.size))
