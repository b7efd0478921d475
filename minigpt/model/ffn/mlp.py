"""The feed-forward of GPT-2: two linear layers with a GELU (Hendrycks & Gimpel, 2016) in between."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from minigpt.config import ModelConfig
from minigpt.model.roles import Role


class MLP(nn.Module):
    """Four times wider in between."""

    parameter_roles = {"c_proj.weight": Role.RESIDUAL}

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.approximate = "tanh" if config.activation == "gelu_tanh" else "none"
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate=self.approximate))
