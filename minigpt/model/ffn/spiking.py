"""A feed-forward of spiking units: leaky integrate-and-fire neurons, whose time is the row of tokens.

A unit adds up its input, leaks, and fires when it reaches its threshold θ; a spike costs it θ:

    v_t = a · v_{t−1} − θ s_{t−1} + I_t,     s_t = 1 if v_t ≥ θ else 0,     a = exp(−1 / τ)

A step has the derivative 0 nearly everywhere, so nothing would learn. In the backward pass the step is taken
for a smooth one: ds/dv = 1 / (1 + |v − θ|)², the *surrogate gradient* (Neftci, Mostafa & Zenke, 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minigpt.config import ModelConfig
from minigpt.model.norms import make_norm
from minigpt.model.roles import Role


class Spike(torch.autograd.Function):
    """1 where a potential is at or above its threshold, with the surrogate gradient of a fast sigmoid."""

    @staticmethod
    def forward(ctx, above: Tensor) -> Tensor:
        ctx.save_for_backward(above)
        return (above >= 0).to(above.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (above,) = ctx.saved_tensors
        return grad / (1 + above.abs()) ** 2


@dataclass
class SpikingState:
    """Potentials of one layer's units, (B, width), spikes already paid for."""

    potential: Tensor

    def reset(self, rows: Tensor) -> None:
        """Put the units of these rows to rest."""
        self.potential[rows] = 0.0


class Spiking(nn.Module):
    """Four times wider in between. The units' inputs are normalised, or none would fire."""

    parameter_roles = {
        "log_tau": Role.TIME_CONSTANT,
        "threshold": Role.THRESHOLD,
        "c_proj.weight": Role.RESIDUAL,
    }

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.width = 4 * config.n_embd
        self.c_fc = nn.Linear(config.n_embd, self.width, bias=config.bias)
        self.norm = make_norm(config, self.width)
        self.log_tau = nn.Parameter(torch.zeros(self.width))
        self.threshold = nn.Parameter(torch.ones(self.width))
        self.c_proj = nn.Linear(self.width, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor, state: SpikingState | None = None) -> Tensor:
        return self.c_proj(self.spikes_and_potentials(x, state)[0])

    def spikes_and_potentials(self, x: Tensor, state: SpikingState | None = None) -> tuple[Tensor, Tensor]:
        """Return the spikes that x (B, T, C) causes, and the potentials behind them, (B, T, width)."""
        current = self.norm(self.c_fc(x))
        spikes, potentials, last = self._run(current, None if state is None else state.potential)
        if state is not None:
            state.potential = last.detach()
        return spikes, potentials

    def fire(self, current: Tensor, potential: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the spikes (B, T, width) that such a current causes, and the last potential (B, width)."""
        spikes, _, last = self._run(current, potential)
        return spikes, last

    def _run(self, current: Tensor, potential: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        decay = torch.exp(-torch.exp(-self.log_tau))
        potential = torch.zeros_like(current[:, 0]) if potential is None else potential
        spikes, potentials = [], []
        for step in range(current.shape[1]):
            potentials.append(decay * potential + current[:, step])
            spikes.append(Spike.apply(potentials[-1] - self.threshold))
            potential = potentials[-1] - self.threshold * spikes[-1]
        return torch.stack(spikes, 1), torch.stack(potentials, 1), potential

    def init_state(self, batch: int) -> SpikingState:
        """Return the state of units at rest."""
        return SpikingState(self.c_proj.weight.new_zeros(batch, self.width))
