"""The validation loss: the same windows every time, split over the processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minigpt.config import Config
from minigpt.data.batches import evaluation_batches
from minigpt.training.distributed import World
from minigpt.training.parts import Loss
from minigpt.training.precision import Precision


@torch.no_grad()
def validation_loss(
    model: nn.Module, loss: Loss, tokens: Tensor, config: Config, precision: Precision, world: World
) -> float:
    """Return the mean loss on the validation side, in nats per token; the model is left in training mode.

    Args:
        tokens: (M,) ids of the validation side.
    """
    model.eval()
    total, count = 0.0, 0
    for batch in evaluation_batches(tokens.to(world.device), config, world.rank, world.size):
        counted = int(batch.mask.sum())
        with precision.autocast():
            value = loss(model(batch.inputs), batch.targets, batch.mask)
        total += value.item() * counted
        count += counted
    model.train()
    total, count = world.sum(total, count)
    return total / max(count, 1)
