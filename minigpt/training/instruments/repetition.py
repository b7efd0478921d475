"""Does the same data come again, in the same order? By a checksum of each step's batches."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

CHECKED, ROWS = 512, 4  # tokens of a batch, and rows, that stand for all of it where there are more
WORKERS = 16  # that may load data, each all of it: then a batch comes once from each, soon one after another
FEWEST = 8  # steps in a row that repeat earlier ones before that is no accident


def checksum(ids: Tensor) -> int:
    """Return a checksum of token ids, (B, T), on the CPU."""
    every = min(ids.numel() // CHECKED, len(ids) // ROWS)
    rows = ids.numpy()[:: max(1, every)]
    return zlib.crc32(np.ascontiguousarray(rows))  # `tobytes` is slow where rows have gaps


def repetition(sums: Sequence[tuple[int, ...]], stream: bool) -> dict[str, Any] | None:
    """Return how many steps repeat earlier ones in the same order, and after how many.

    Args:
        sums: by step, the checksums of its micro-batches.
        stream: whether a batch goes on where the one before it ended; such data has one order only.
    """
    if len(sums) < 2 * FEWEST:
        return None
    found = {"steps": len(sums), "period": 0, "repeated": 0, "stream": stream}
    last: dict[tuple[int, ...], int] = {}
    gaps = []
    for step, batch in enumerate(sums):
        gaps.append(step - last[batch] if batch in last else 0)
        last[batch] = step
    if len(last) > WORKERS:  # fewer come soon again in any order
        found["near"] = sum(0 < gap <= WORKERS for gap in gaps) / len(gaps)
    usual = max(set(gaps) - {0}, key=gaps.count, default=0)
    if usual:
        run = longest = 0
        for gap in gaps:
            run = run + 1 if gap == usual else 0
            longest = max(longest, run)
        found |= {"period": usual, "repeated": longest}
    return found
