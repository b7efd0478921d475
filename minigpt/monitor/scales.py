"""How large the weights of a fresh model are: tables that are added together, and linear layers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn


@torch.no_grad()
def scales_of(model: nn.Module) -> dict[str, Any] | None:
    """Return the root mean square of every embedding table, and gain and mean of every linear layer.

    A gain is the root mean square × √(inputs): by how much the layer changes the size of what it is given.
    A mean is in root mean squares: 1 where all weights are alike.
    Layers that begin at zero, and those that share their weight with a table, are left out.
    """
    tables, gains, means, widths = {}, {}, {}, set()
    shared = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, nn.Parameter) or weight.device.type == "meta" or not weight.requires_grad:
            continue
        if isinstance(module, nn.Embedding):
            tables[name] = float(weight.float().square().mean().sqrt())
            widths.add(weight.shape[1])
        elif isinstance(module, nn.Linear) and id(weight) not in shared and weight.any():
            size = float(weight.float().square().mean().sqrt())
            gains[name] = size * math.sqrt(weight.shape[1])
            means[name] = abs(float(weight.float().mean())) / size
    found: dict[str, Any] = {"gains": gains, "means": means} if gains else {}
    norms = [m.weight for m in model.modules() if "norm" in type(m).__name__.lower() and _is_vector(m)]
    if len(norms) > 1:  # training moves them all
        found["norms_untouched"] = all(bool((weight == 1).all()) for weight in norms)
    if len(tables) > 1 and len(widths) == 1:
        found["tables"] = tables
    return found or None


def _is_vector(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, nn.Parameter) and weight.ndim == 1 and weight.device.type != "meta"
