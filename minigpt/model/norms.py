"""The two normalisations that a block can use."""

from __future__ import annotations

from torch import nn

from minigpt.config import ModelConfig

NORM_EPS = 1e-5  # GPT-2's


def make_norm(config: ModelConfig, width: int) -> nn.Module:
    """Return a LayerNorm (Ba et al., 2016) or RMSNorm (Zhang & Sennrich, 2019) of the last dimension."""
    if config.norm == "rmsnorm":
        return nn.RMSNorm(width, eps=NORM_EPS)
    return nn.LayerNorm(width, eps=NORM_EPS, bias=config.bias)
