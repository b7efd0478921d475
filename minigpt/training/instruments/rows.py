"""Does a row's result depend on its neighbours in the batch, or on its own place among them?

rows_apart(lambda *rows: model(ids[list(rows)]))      # {"mixing": 3e-7}: rounding
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

RESTLESS = 0.01  # change of logits, in their spread, that is no rounding


def rows_apart(run: Callable[..., Tensor | None]) -> dict[str, float] | None:
    """Return how much a row's logits change, relative to their spread.

    Args:
        run: gives the logits, (n, T, V), of n of two rows in the order asked for, in evaluation mode; None
            where it cannot.

    Returns:
        `mixing`, with its neighbour and place; or `restless`, by chance alone, where the model throws dice in
        evaluation mode. Empty where it remembers what it was asked, or all logits are alike; None where they
        could not be had.
    """
    seed = torch.initial_seed()
    torch.manual_seed(seed)
    first, swapped, twice = run(0, 1), run(1, 0), run(1, 1)
    again = run(0, 1)  # last, so that a model which remembers the calls between answers otherwise
    torch.manual_seed(seed)
    replayed = run(0, 1)
    if any(one is None for one in (first, again, swapped, twice)) or not torch.isfinite(first).all():
        return None
    spread = first.std().item()
    noise = (first - again).abs().max().item()
    changes = [
        (swapped[1] - first[0]).abs().max(),
        (swapped[0] - first[1]).abs().max(),
        (twice[0] - first[1]).abs().max(),
        (twice[1] - first[1]).abs().max(),
    ]
    change = float(max(changes))
    if spread <= 0:
        return {}
    if noise > 0.01 * change and noise > 0:
        by_chance = noise > RESTLESS * spread and torch.equal(first, replayed)
        return {"restless": noise / spread} if by_chance else {}
    return {"mixing": change / spread}
