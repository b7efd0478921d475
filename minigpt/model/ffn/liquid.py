"""A feed-forward of liquid units: their time constant follows from what they read (Hasani et al., 2021).

A unit obeys ẋ = −(1/τ + f) x + f A, where the conductance f > 0 is computed from the token and A is where it
pulls the unit to. A large f makes the unit quick and drives it to A; a small one lets it relax to 0 in τ
tokens. The *closed form* (Hasani et al., 2022) takes the place of an ODE solver: f reads the input alone
and is held during a token, so the equation is linear, and with the rate r = 1/τ + f its exact solution is

    x_t = e^{−r} x_{t−1} + (1 − e^{−r}) · f A / r,

a recurrence that `minigpt.model.scan` computes for all tokens at once.
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
class LiquidState:
    """Values of one layer's units, (B, width)."""

    value: Tensor

    def reset(self, rows: Tensor) -> None:
        """Put the units of these rows to rest."""
        self.value[rows] = 0.0


class Liquid(nn.Module):
    """Twice as wide in between; conductance and target take a matrix each."""

    parameter_roles = {"log_tau": Role.TIME_CONSTANT, "c_proj.weight": Role.RESIDUAL}

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.width = 2 * config.n_embd
        self.c_fc = nn.Linear(config.n_embd, 2 * self.width, bias=config.bias)  # conductance and target
        self.log_tau = nn.Parameter(torch.zeros(self.width))
        self.c_proj = nn.Linear(self.width, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor, state: LiquidState | None = None) -> Tensor:
        conductance, target = self.c_fc(x).chunk(2, -1)  # each (B, T, width)
        values = self.relax(F.softplus(conductance), target, None if state is None else state.value)
        if state is not None:
            state.value = values[:, -1].detach()
        return self.c_proj(values)

    def relax(self, conductance: Tensor, target: Tensor, value: Tensor | None = None) -> Tensor:
        """Return the units' values (B, T, width) after each token, from `value` (B, width) or from rest."""
        rate = torch.exp(-self.log_tau) + conductance
        decay = torch.exp(-rate)
        return scan(decay, (1 - decay) * conductance * target / rate, value)

    def init_state(self, batch: int) -> LiquidState:
        """Return the state of units at rest."""
        return LiquidState(self.c_proj.weight.new_zeros(batch, self.width))
