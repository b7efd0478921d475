"""Batches as a pure function of (seed, step, micro-batch, rank), so resuming needs no position in data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from minigpt.config import Config


class Batch(NamedTuple):
    """One micro-batch; all three are (B, T)."""

    inputs: Tensor  # token ids
    targets: Tensor  # the token after each input
    mask: Tensor  # True where the target counts in the loss


def get_batch(
    tokens: Tensor, config: Config, step: int, micro: int = 0, rank: int = 0, world_size: int = 1
) -> Batch:
    """Return the windows of `tokens` that micro-batch `micro` of step `step` trains on.

    Args:
        tokens: (N,) ids, N > config.context.
        rank, world_size: of several processes, each takes every world_size-th row of the same batch.
    """
    rng = np.random.default_rng((config.seed, step, micro))
    starts = rng.integers(0, len(tokens) - config.context, size=config.batch_size)
    return windows(tokens, torch.from_numpy(starts[rank::world_size]), config.context)


def windows(tokens: Tensor, starts: Tensor, context: int) -> Batch:
    """Cut windows of `context` tokens at `starts` (B,), with the targets one token further on."""
    spans = tokens.unfold(0, context + 1, 1)[starts.to(tokens.device)]  # (B, T + 1)
    return Batch(spans[:, :-1], spans[:, 1:], torch.ones_like(spans[:, 1:], dtype=torch.bool))


def evaluation_batches(tokens: Tensor, config: Config, rank: int = 0, world_size: int = 1) -> Iterator[Batch]:
    """Yield the same evenly spread windows every time: `eval_batches` batches, or fewer of a short text."""
    count = min(config.eval_batches * config.batch_size, (len(tokens) - 1) // config.context)
    starts = torch.linspace(0, len(tokens) - config.context - 1, count).long()
    for chunk in starts[rank::world_size].split(config.batch_size):
        yield windows(tokens, chunk, config.context)
