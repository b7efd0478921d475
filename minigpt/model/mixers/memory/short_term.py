"""Short-term memory: the last S tokens of a document, in buffers of fixed size.

A token reads those that came 1 to S tokens before it, the older the fainter: its weight for a token of age a
is proportional to exp(query · key / √C − a / τ), with a learned τ in tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class ShortTermState:
    """The buffers of one layer, the newest token last."""

    keys: Tensor  # (B, S, C)
    values: Tensor  # (B, S, C)
    age: Tensor  # (S,) tokens since each was written; the newest has 0 until the next one is read
    count: Tensor  # (B,) slots that are filled

    @classmethod
    def empty(cls, batch: int, size: int, width: int, like: Tensor) -> ShortTermState:
        """Return buffers without a token."""
        keys = like.new_zeros(batch, size, width)
        age = torch.arange(size - 1, -1, -1, device=like.device)
        return cls(keys, keys.clone(), age, torch.zeros(batch, dtype=torch.long, device=like.device))

    def reset(self, rows: Tensor) -> None:
        """Forget everything in these rows."""
        self.count[rows] = 0

    def push(self, keys: Tensor, values: Tensor) -> None:
        """Take in (B, T, C) tokens; the oldest fall out."""
        size = self.keys.shape[1]
        self.keys = torch.cat([self.keys, keys.detach()], 1)[:, -size:]
        self.values = torch.cat([self.values, values.detach()], 1)[:, -size:]
        self.count = (self.count + keys.shape[1]).clamp(max=size)


def readable(
    length: int, size: int, state: ShortTermState | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return how old each key is for each of `length` new tokens, and whether it may be read.

    Returns:
        age: (T, K) tokens between key and query, with K = T, or S + T where a state precedes them.
        allowed: (1 or B, T, K), true for ages from 1 to S inside the document.
    """
    kept = 0 if state is None else state.keys.shape[1]
    places = torch.arange(-kept, length, device=device)
    age = torch.arange(length, device=device)[:, None] - places  # (T, K)
    allowed = ((age >= 1) & (age <= size))[None]
    if state is not None:
        filled = places >= -state.count[:, None]  # (B, K)
        allowed = allowed & filled[:, None]
    return age, allowed


def scores(query: Tensor, keys: Tensor, age: Tensor, allowed: Tensor, log_tau: Tensor) -> Tensor:
    """Return the logit (B, T, K) of each key for each query, the least number where not allowed."""
    products = query @ keys.mT
    faded = (-age * torch.exp(-log_tau))[None]  # (1, T, K): of ages, so the same in every row
    faded = faded.masked_fill(~allowed, torch.finfo(products.dtype).min)
    return torch.add(faded, products, alpha=1 / math.sqrt(query.shape[-1]))
