"""Consolidation: which tokens go from the short-term to the long-term memory, and at which steps.

Of each row the token that was read most is a candidate; the most-read candidates of a batch are written.
Steps are chosen by count, or by a chance that depends on (seed, step) alone: in both cases a run that is
repeated or resumed writes the same. Seed 000's own code drew from a generator that nobody seeds; the fault
`random-consolidation` does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from minigpt.config import Config

OWN_STREAM = 18_000  # keeps these draws apart from those of batches and dropout


@dataclass
class Staged:
    """What a forward pass proposes: the most-read token of each row, and what was read of the long term."""

    keys: Tensor  # (B, C)
    values: Tensor  # (B, C)
    use: Tensor  # (B,) sum of the weights that later tokens gave it
    slots: Tensor  # (L,) sum of the weights that each slot was read with
    tokens: int  # that read


def stage(keys: Tensor, values: Tensor, weights: Tensor, slots: Tensor) -> Staged:
    """Choose the candidates of (B, T, C) keys and values, read with `weights` (B, queries, T)."""
    use, place = weights.sum(1).max(-1)  # each (B,)
    index = place[:, None, None].expand(-1, 1, keys.shape[-1])
    chosen_keys, chosen_values = keys.gather(1, index)[:, 0], values.gather(1, index)[:, 0]
    return Staged(chosen_keys, chosen_values, use, slots, weights.shape[0] * weights.shape[1])


def together(parts: list[Staged], gather) -> Staged:
    """Return the proposals of all micro-batches and all processes as one; the same on every process."""
    tokens = gather(torch.tensor([[float(part.tokens)] for part in parts], device=parts[0].use.device)).sum()
    return Staged(
        torch.cat([gather(part.keys) for part in parts]),
        torch.cat([gather(part.values) for part in parts]),
        torch.cat([gather(part.use) for part in parts]),
        torch.cat([gather(part.slots[None]) for part in parts]).sum(0),
        int(tokens),
    )


def most_read(staged: Staged, count: int) -> tuple[Tensor, Tensor]:
    """Return keys and values of the `count` most-read candidates, the first of equals first."""
    best = staged.use.argsort(descending=True, stable=True)[:count]
    return staged.keys[best], staged.values[best]


def chance(seed: int, step: int) -> float:
    """Return a number in [0, 1) that (seed, step) decides."""
    return float(np.random.default_rng((seed, step, OWN_STREAM)).random())


def due(config: Config, step: int) -> bool:
    """Return whether the long-term memory is written after `step` (by `interval` or `random`)."""
    if config.consolidation == "random":
        return chance(config.seed, step) < config.consolidation_chance
    return (step + 1) % config.consolidation_every == 0
