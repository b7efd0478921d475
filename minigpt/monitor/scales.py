"""How large the tables are that a fresh model adds together: tokens, positions, kinds of segment."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


@torch.no_grad()
def embedding_scales(model: nn.Module) -> dict[str, Any] | None:
    """Return the root mean square of every embedding table, None where there are fewer than two."""
    found = {
        name: float(module.weight.detach().float().square().mean().sqrt())
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding)
        and module.weight.requires_grad
        and module.weight.device.type != "meta"
    }
    widths = {module.embedding_dim for name, module in model.named_modules() if name in found}
    return {"tables": found} if len(found) > 1 and len(widths) == 1 else None
