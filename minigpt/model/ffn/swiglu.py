"""SwiGLU (Shazeer, 2020): a feed-forward whose inner values pass through a gate."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from minigpt.config import ModelConfig
from minigpt.model.roles import Role


class SwiGLU(nn.Module):
    """8/3 times wider in between instead of 4 times, so that three matrices cost what two did.

    The width is rounded up to a multiple of 16.
    """

    parameter_roles = {"c_proj.weight": Role.RESIDUAL}

    def __init__(self, config: ModelConfig):
        super().__init__()
        width = 16 * math.ceil(8 * config.n_embd / 3 / 16)
        self.c_gate = nn.Linear(config.n_embd, width, bias=config.bias)
        self.c_fc = nn.Linear(config.n_embd, width, bias=config.bias)
        self.c_proj = nn.Linear(width, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.silu(self.c_gate(x)) * self.c_fc(x))
