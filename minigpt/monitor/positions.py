"""Does the model know which place each token has, where it is told by a table or by `position_ids`?"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minigpt.monitor.future import Call
from minigpt.runs.thresholds import POSITIONS

FEWEST = 8  # tokens in a row, before it is odd that two places are all there is


@torch.no_grad()
def one_place(model: nn.Module, call: Call | None) -> str | None:
    """Return what tells all tokens of a row the same place, after the first backward pass; else None.

    That is a table of positions of which one row alone has a gradient, or `position_ids` that are a mask: one
    number for all tokens, and perhaps another for padding.
    """
    if call is None or call.ids is None or call.ids.ndim != 2 or call.ids.shape[1] < FEWEST:
        return None
    told = call.named.get("position_ids")
    if isinstance(told, Tensor) and told.ndim in (1, 2) and told.shape[-1] == call.ids.shape[1]:
        if all(len(row.unique()) <= 2 for row in told.reshape(-1, told.shape[-1])[:FEWEST]):
            return "position_ids"
    for name, module in model.named_modules():
        named = isinstance(module, nn.Embedding) and any(part in name.lower() for part in POSITIONS)
        if named and module.num_embeddings >= call.ids.shape[1]:
            gradient = module.weight.grad
            if gradient is not None and gradient.layout is torch.strided and int(gradient.any(-1).sum()) == 1:
                return name
    return None
