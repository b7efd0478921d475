"""A run as a recipe: one config and the few parts that a training loop is made of.

The trainer composes parts and knows nothing of faults. A fault is a patch of one part, so a broken run is the
healthy recipe with one part exchanged, and any part can be exchanged by hand:

    recipe = Recipe(Config(steps=200))
    broken = recipe.with_fault("init-scale")
    mine = dataclasses.replace(recipe, lr_at=lambda step, config: 1e-3)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from minigpt.batches import Batch, get_batch
from minigpt.config import Config
from minigpt.data import load_data
from minigpt.loss import cross_entropy
from minigpt.model import build_model, init_weights
from minigpt.optim import build_optimizer
from minigpt.schedule import lr_at


def accumulate(model: nn.Module, loss: Callable[..., Tensor], batches: Sequence[Batch]) -> float:
    """Add up the gradient of all micro-batches of a step and return the loss of the whole.

    Each micro-batch counts by its number of unmasked targets, so k micro-batches give the gradient of the one
    big batch, also when their masks differ.
    """
    counts = [int(batch.mask.sum()) for batch in batches]
    total = max(sum(counts), 1)
    value = 0.0
    for batch, count in zip(batches, counts, strict=True):
        weight = count / total if len(batches) > 1 else 1.0
        part = loss(model(batch.inputs), batch.targets, batch.mask) * weight
        part.backward()
        value += part.item()
    return value


def clip(model: nn.Module, max_norm: float) -> float:
    """Scale the gradient to a norm of at most `max_norm` (Pascanu et al., 2013); return its norm before."""
    return torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm).item()


def step(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Update the weights at learning rate `lr`, then clear the gradients for the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@dataclass(frozen=True)
class Recipe:
    """A config, and the parts that the trainer composes. Each part is a plain function."""

    config: Config = field(default_factory=Config)
    load_data: Callable = load_data
    get_batch: Callable = get_batch
    build_model: Callable = build_model
    init_weights: Callable = init_weights
    build_optimizer: Callable = build_optimizer
    lr_at: Callable = lr_at
    loss: Callable = cross_entropy
    accumulate: Callable = accumulate
    clip: Callable = clip
    step: Callable = step
    faults: tuple[str, ...] = ()  # ids, with ":severity" where one was given, in the order applied

    def with_fault(self, fault: str, severity: float | None = None) -> Recipe:
        """Return this recipe with one part broken; faults compose.

        Args:
            fault: an id of `minigpt.faults.FAULTS`, or `"id:severity"`.

        Raises:
            MiniGPTError: no fault has that id (the nearest is suggested), or it has no severity to set.
        """
        from minigpt.faults import find_fault  # here, because faults are written in terms of parts

        found, severity = find_fault(fault, severity)
        patched = found.patch(getattr(self, found.part), self, severity)
        label = found.id if severity in (None, found.severity) else f"{found.id}:{severity:g}"
        return dataclasses.replace(self, **{found.part: patched}, faults=(*self.faults, label))
