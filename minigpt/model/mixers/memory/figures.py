"""What is measured of memory while a run goes on: one object in the record of a step.

record["memory"] = memory_figures(model)
"""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from minigpt.model.mixers.memory.gate import entropy, one_takes_all
from minigpt.model.mixers.memory.homeostasis import Homeostasis


def memory_figures(model: nn.Module) -> dict[str, Any] | None:
    """Return the figures of the last training step, None for a model without memory.

    Returns:
        gate_entropy: by layer, ÷ ln (sources that have something to give); 1 is an even gate.
        gate_max_share: by layer, share of the tokens at which one source has more than 0.95.
        norm: by layer, ‖values of the long-term memory‖.
        writes: how often each layer's long-term memory was written so far.
        size: slots taken, by layer.
        capacity: slots there are.
        duplicates: by layer, share of the taken slots that say the same as an earlier one.
        clamped: by layer, share of the scales at their clamp; only with homeostasis.
    """
    layers = _layers(model)
    if not layers:
        return None
    stores = [layer.long_term for layer in layers]
    gates = [layer.seen for layer in layers if layer.seen is not None]
    found: dict[str, Any] = {
        "gate_entropy": _finite([entropy(*seen) for seen in gates]),
        "gate_max_share": _finite([one_takes_all(*seen) for seen in gates]),
        "norm": [store.values[: store.count].norm().item() for store in stores],
        "writes": [store.writes for store in stores],
        "size": [store.count for store in stores],
        "capacity": len(stores[0].keys),
        "duplicates": [store.duplicates().float().mean().item() if store.count else 0.0 for store in stores],
    }
    scaled = [module for module in model.modules() if isinstance(module, Homeostasis)]
    if scaled:
        found["clamped"] = [each.clamped() for each in scaled]
    return found


def memory_sizes(model: nn.Module) -> dict[str, float]:
    """Return the mean tokens in the short-term and the long-term memory of a layer, by seed 000's names."""
    layers = _layers(model)
    return {
        "stm_size": sum(layer.short_term_tokens for layer in layers) / len(layers),
        "ltm_size": sum(layer.long_term.count for layer in layers) / len(layers),
    }


def _layers(model: nn.Module) -> list:
    from minigpt.model.mixers.memory.mixer import Memory

    return [module for module in model.modules() if isinstance(module, Memory)]


def _finite(values: list[float]) -> list[float]:
    """Return no values at all where there was no choice to measure."""
    return values if all(map(math.isfinite, values)) else []
