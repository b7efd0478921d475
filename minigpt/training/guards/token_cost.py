"""What a batch would cost a model that knows nothing but how frequent each token is.

A batch of rare tokens has a high loss, and no harm comes of it. Early in a run, while a model knows little
more than frequencies itself, that is most of the noise of its loss: taken off, what is left over is two or
three times quieter, and a bad batch stands out that was hidden before (`benchmarks/spikes.py shards`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from minigpt.data.batches import Batch
from minigpt.training.distributed import World
from minigpt.training.guards.guard import Guard


class TokenCost:
    """The mean of −ln (share of the training text) over the targets of a step."""

    def __init__(self, tokens: Tensor, vocab_size: int):
        """Count `tokens` (N,); one that never occurs counts as one that occurs once."""
        counts = torch.bincount(tokens, minlength=vocab_size).clamp(min=1).double()
        self._cost = (counts.sum() / counts).log().float()  # (V,)

    @classmethod
    def wanted_by(cls, guards: Iterable[Guard], tokens: Tensor, vocab_size: int) -> TokenCost | None:
        """Return one where a guard has `needs_token_cost`, else None."""
        needed = any(getattr(guard, "needs_token_cost", False) for guard in guards)
        return cls(tokens, vocab_size) if needed else None

    def of(self, batches: Sequence[Batch], world: World) -> float:
        """Return the mean over all micro-batches and processes, in nats."""
        costs = sum((self._cost[batch.targets] * batch.mask).sum().item() for batch in batches)
        total, count = world.sum(costs, sum(int(batch.mask.sum()) for batch in batches))
        return total / max(count, 1)
