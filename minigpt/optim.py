"""AdamW with two groups: tensors with two or more dimensions decay, gains and biases do not."""

from __future__ import annotations

import torch
from torch import nn

from minigpt.config import Config


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Split the trainable parameters into the groups `decay` and `no_decay`.

    Decay pulls weights towards 0. A norm's gain belongs at 1 and a bias wherever the data want it, so tensors
    with fewer than two dimensions are left alone (seed 003, Q6.1).
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"name": "decay", "params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"name": "no_decay", "params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build_optimizer(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Return AdamW over the model's decay groups."""
    return torch.optim.AdamW(
        decay_groups(model, config.weight_decay),
        lr=config.lr_max,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,
    )
