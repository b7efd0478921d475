"""Do training and validation text share items? A validation loss means nothing when they do."""

from __future__ import annotations

import torch
from torch import Tensor

SHORTEST = 8  # tokens: shorter lines may stand on both sides by chance


def shared_lines(train: Tensor, validation: Tensor, newline: int) -> float | None:
    """Return the share of the validation lines that are also training lines.

    Args:
        train, validation: (N,) and (M,) token ids.
        newline: id of the line break.

    Returns:
        None when the validation text has no whole line of `SHORTEST` tokens.
    """
    known = set(_lines(train, newline))
    lines = _lines(validation, newline)
    return sum(line in known for line in lines) / len(lines) if lines else None


def _lines(tokens: Tensor, newline: int) -> list[bytes]:
    ends = (tokens == newline).nonzero()[:, 0].tolist()
    ids = tokens.to("cpu", torch.int32).numpy()
    starts = [0, *(end + 1 for end in ends)]
    return [
        ids[start:end].tobytes() for start, end in zip(starts, ends, strict=False) if end - start >= SHORTEST
    ]
