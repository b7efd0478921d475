"""The parts of one optimizer step: seed, accumulate, clip, update.

    seed_step → for every micro-batch: forward, loss, backward → unscale, clip → step, update the scaler,
    clear

They work alike on one process or many, in fp32 or with loss scaling.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from minigpt.config import Config
from minigpt.data.batches import Batch
from minigpt.training.distributed import World
from minigpt.training.precision import Precision


def seed_step(config: Config, step: int, rank: int = 0) -> None:
    """Make the randomness of a step (dropout) a function of (seed, step, rank), as its batches are.

    A resumed run therefore draws what the uninterrupted one would have drawn. `torch.manual_seed` would do,
    but writes down the whole call stack each time for a GPU that may never be used.
    """
    seed = int(np.random.SeedSequence((config.seed, step, rank)).generate_state(1, np.uint64)[0] >> 1)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(seed)
    elif config.device == "mps":
        torch.mps.manual_seed(seed)


def accumulate(
    model: nn.Module,
    loss: Callable[..., Tensor],
    batches: Sequence[Batch],
    precision: Precision,
    world: World,
) -> float:
    """Add up the gradient of all micro-batches of a step and return the loss of the whole.

    Each micro-batch counts by its number of unmasked targets, so k micro-batches on n processes give the
    gradient of the one big batch, also when their masks differ.
    """
    counts = [int(batch.mask.sum()) for batch in batches]
    (total,) = world.sum(sum(counts))
    value = 0.0
    for index, (batch, count) in enumerate(zip(batches, counts, strict=True)):
        alone = len(batches) == 1 and world.size == 1
        share = 1.0 if alone else count / max(total, 1)
        with world.without_sync(model, last=index == len(batches) - 1):
            with precision.autocast():
                part = loss(model(batch.inputs), batch.targets, batch.mask)
            precision.scaler.scale(part * share * world.size).backward()  # DDP divides by the processes
        value += part.item() * share
    return world.sum(value)[0]


def clip(model: nn.Module, optimizer: torch.optim.Optimizer, precision: Precision, max_norm: float) -> float:
    """Unscale, then cut the gradient to a norm of at most `max_norm` (Pascanu et al., 2013).

    Returns:
        The global norm before clipping; not finite when an fp16 gradient overflowed.
    """
    precision.scaler.unscale_(optimizer)
    return torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm).item()


def step(optimizer: torch.optim.Optimizer, precision: Precision, lr: float) -> None:
    """Update the weights at learning rate `lr` times each group's multiplier, then clear the gradients.

    With loss scaling an overflowed gradient skips the update, and the scaler is told all the same.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_multiplier", 1.0)
    precision.scaler.step(optimizer)
    precision.scaler.update()
    optimizer.zero_grad(set_to_none=True)


def gradient_shares(model: nn.Module, most: int = 3) -> dict[str, float]:
    """Return the shares of the squared gradient norm, the largest first, by the module that holds the tensor.

    A module whose gradient is not finite has all of it: the first such one is the only one named.
    """
    squares: dict[str, float] = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            module = name.rpartition(".")[0]
            squares[module] = squares.get(module, 0.0) + parameter.grad.float().square().sum().item()
    broken = next((name for name, square in squares.items() if not math.isfinite(square)), None)
    if broken is not None:
        return {broken: 1.0}
    total = sum(squares.values())
    ordered = sorted(squares.items(), key=lambda item: -item[1])[:most]
    return {name: round(square / total, 4) for name, square in ordered} if total else {}


def drop(optimizer: torch.optim.Optimizer, precision: Precision) -> None:
    """Make no update: tell the scaler, which has unscaled the gradients, and clear them."""
    if precision.scaler.is_enabled():
        precision.scaler.update()
    optimizer.zero_grad(set_to_none=True)
