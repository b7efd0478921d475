"""Complementary learning: a fast store for what is new, a slow average for what comes again.

McClelland, McNaughton & O'Reilly (1995): what a slow learner took in at once would overwrite what it knows. A
token whose key is close to a slot's moves that slot a little; any other takes a slot of its own at once.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

NEAR = 0.9  # cosine of two keys


def nearest(key: Tensor, keys: Tensor, likeness: float = NEAR) -> int | None:
    """Return the slot of `keys` (n, C) closest to `key` (C,), None where no cosine exceeds `likeness`."""
    if not len(keys):
        return None
    cosines = F.cosine_similarity(keys, key[None], dim=-1)
    best = int(cosines.argmax())
    return best if cosines[best] > likeness else None
