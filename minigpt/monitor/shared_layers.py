"""Are the layers of a stack one layer, entered several times?

`[Block()] * 6` makes one block and six names for it. Weights that are shared on purpose are most often shared
in the forward pass, by calling one layer again; so a list whose every entry leads to the same weights is
taken for a mistake, and one whose entries share some of them now and then is not.
"""

from __future__ import annotations

from typing import Any

from torch import nn


def shared_layers(model: nn.Module) -> dict[str, Any] | None:
    """Return the list whose entries share a matrix, and how many they are; None where there is no list."""
    asked = False
    for name, stack in model.named_modules():
        if not name or not isinstance(stack, nn.ModuleList | nn.Sequential) or len(stack) < 2:
            continue
        outside = {  # a head or a table that every layer refers to
            id(parameter)
            for whole, parameter in model.named_parameters(remove_duplicate=False)
            if not whole.startswith(f"{name}.")
        }
        entries = [{id(p) for p in entry.parameters() if p.ndim >= 2} - outside for entry in stack]
        if not all(entries) or len({type(entry) for entry in stack}) > 1:
            continue
        asked = True
        if set.intersection(*entries):
            return {"name": name, "count": len(entries)}
    return {"name": "–", "count": 0} if asked else None
