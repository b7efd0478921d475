"""How often the most likely token is the right one: what projects outside language modelling report."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from minigpt.config import Config
from minigpt.data.batches import evaluation_batches
from minigpt.training.instruments.quiet import undisturbed


@torch.no_grad()
def validation_accuracy(model: nn.Module, tokens: Tensor, config: Config) -> float:
    """Return the share of the next tokens that the model ranks first; mode and memory are left as they were.

    Args:
        tokens: (M,) ids of the validation side, of which as much is read as for the validation loss.
    """
    right = count = 0
    with undisturbed(model):
        for batch in evaluation_batches(tokens, config):
            hits = (model(batch.inputs).argmax(-1) == batch.targets) & batch.mask  # (B, T)
            right, count = right + int(hits.sum()), count + int(batch.mask.sum())
    return right / max(count, 1)


class Accuracy:
    """A callback that measures it once, at the end of a run."""

    value = float("nan")

    def on_end(self, trainer: Any) -> None:
        """Measure; NaN is kept where the run never began."""
        tokens = trainer.data.validation.to(trainer.world.device)
        self.value = validation_accuracy(trainer.model, tokens, trainer.config)
