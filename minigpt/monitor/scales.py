"""How large the weights of a fresh model are: tables that are added together, and linear layers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn


@torch.no_grad()
def scales_of(model: nn.Module) -> dict[str, Any] | None:
    """Return the root mean square of every embedding table, and the gain of every linear layer.

    A gain is the root mean square × √(inputs): by how much the layer changes the size of what it is given.
    Layers that begin at zero, and those that share their weight with a table, are left out.
    """
    tables, gains, widths = {}, {}, set()
    shared = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, nn.Parameter) or weight.device.type == "meta" or not weight.requires_grad:
            continue
        if isinstance(module, nn.Embedding):
            tables[name] = float(weight.float().square().mean().sqrt())
            widths.add(weight.shape[1])
        elif isinstance(module, nn.Linear) and id(weight) not in shared and weight.any():
            gains[name] = float(weight.float().square().mean().sqrt()) * math.sqrt(weight.shape[1])
    found: dict[str, Any] = {"gains": gains} if gains else {}
    if len(tables) > 1 and len(widths) == 1:
        found["tables"] = tables
    return found or None
