"""A rehearsal of the loss scaler: what the parts do with a scaled loss, an overflow, a bad micro-batch.

Nothing here is statistics. Clipping must see the true norm; an infinite gradient must lower the scale; a
window with one micro-batch that is not finite must not leave a finite gradient of the others. The parts run
on a copy, with a real scaler, in float32: the order of the calls is the same in every format.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from minigpt.data.batches import Batch
from minigpt.training.distributed import World
from minigpt.training.precision import Precision, build_precision, full_precision

if TYPE_CHECKING:
    from minigpt.training.recipe import Recipe

SCALE = 2.0**10
ROWS = 4


def rehearse_scaling(recipe: Recipe, model: nn.Module, batch: Batch) -> dict[str, Any]:
    """Return the evidence of the dynamics tree's questions 7.3 and 7.4; `model` is a copy.

    Returns:
        clip_ratio: the norm that clipping returns under a scaled loss ÷ that without a scale.
        updates: whether the scale reacts to an overflow; None for a device without a scaler.
        whole_window: whether a window with one micro-batch that is not finite is no step of the others.
        zeros, zeros_fp32: shares of gradients that are exactly 0 in fp16 and fp32; only where the config asks
            for fp16.
    """
    rows = Batch(*(part[batch.mask.any(1)][:ROWS] for part in batch))
    if len(rows.mask) < 2:
        return {}
    device = next(model.parameters()).device.type
    if device == "mps":
        return {}
    found: dict[str, Any] = {}
    if _scales(recipe, model, rows, device):
        found["clip_ratio"] = _clip_ratio(recipe, model, rows, device)
        found["updates"] = _updates(recipe, model, rows, device)
    found["whole_window"] = _whole_window(recipe, model, rows, device)
    if recipe.config.precision == "fp16":
        half = _zeros(recipe, model, rows, build_precision(recipe.config, device))
        found |= {"zeros": half, "zeros_fp32": _zeros(recipe, model, rows, full_precision(device))}
    return {name: value for name, value in found.items() if value is not None}


def _scaled(device: str) -> Precision:
    return Precision(torch.float32, device, torch.amp.GradScaler(device, init_scale=SCALE))


def _gradient(
    recipe: Recipe, model: nn.Module, batches: list[Batch], precision: Precision, loss: Any = None
) -> None:
    model.zero_grad(set_to_none=True)
    world = World(device=str(next(model.parameters()).device))
    recipe.accumulate(model, loss or recipe.loss, batches, precision, world)


def _scales(recipe: Recipe, model: nn.Module, rows: Batch, device: str) -> bool:
    """Return whether the loss is scaled at all: a part of one's own need not, and none is unscaled then."""
    precision = _scaled(device)
    _gradient(recipe, model, [rows], precision)
    try:
        precision.scaler.unscale_(recipe.build_optimizer(model, recipe.config))
    except AssertionError:  # how torch says that nothing was scaled
        return False
    return True


def _clip_ratio(recipe: Recipe, model: nn.Module, rows: Batch, device: str) -> float | None:
    norms = []
    for precision in (_scaled(device), full_precision(device)):
        optimizer = recipe.build_optimizer(model, recipe.config)
        _gradient(recipe, model, [rows], precision)
        norms.append(recipe.clip(model, optimizer, precision, math.inf))
    return norms[0] / norms[1] if norms[1] > 0 and all(map(math.isfinite, norms)) else None


def _updates(recipe: Recipe, model: nn.Module, rows: Batch, device: str) -> bool | None:
    precision, optimizer = _scaled(device), recipe.build_optimizer(model, recipe.config)
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    _gradient(recipe, model, [rows], precision)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    if not gradients:
        return None
    for gradient in gradients:
        gradient.fill_(math.inf)
    try:
        recipe.clip(model, optimizer, precision, recipe.config.clip_norm)
        recipe.step(optimizer, precision, recipe.config.lr_max)
        return precision.scaler.get_scale() < SCALE
    finally:
        with torch.no_grad():
            for parameter, weight in zip(model.parameters(), weights, strict=True):
                parameter.copy_(weight)


def _whole_window(recipe: Recipe, model: nn.Module, rows: Batch, device: str) -> bool:
    half = len(rows.mask) // 2
    halves = [Batch(*(part[:half] for part in rows)), Batch(*(part[half : 2 * half] for part in rows))]
    calls = []

    def once_bad(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        calls.append(None)
        value = recipe.loss(logits, targets, mask)
        return value * math.nan if len(calls) == 1 else value

    _gradient(recipe, model, halves, full_precision(device), once_bad)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    finite = all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
    some = any(bool(gradient.any()) for gradient in gradients)
    return not (finite and some)


def _zeros(recipe: Recipe, model: nn.Module, rows: Batch, precision: Precision) -> float:
    _gradient(recipe, model, [rows], precision)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    total = sum(gradient.numel() for gradient in gradients)
    return sum(int((gradient == 0).sum()) for gradient in gradients) / max(total, 1)
