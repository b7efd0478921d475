"""Metaplasticity: slots that are read gain strength, and the threshold for it slides (BCM).

Bienenstock, Cooper & Munro (1982): a weight changes by φ(y, θ) = y (y − θ), with y the activity and θ the
running mean of y². What is read more than it used to be grows, what is read less shrinks; since θ grows
faster than y, nothing grows without bound. Here y is how much a slot was read, as a multiple of an even
share.
"""

from __future__ import annotations

from torch import Tensor

RATE = 0.1
LIMITS = (0.1, 2.0)  # of a strength; 1 is a fresh slot's


def strengthened(strength: Tensor, threshold: Tensor, reads: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Return the strengths (L,) and thresholds (L,) after slots were read `reads` (L,) times."""
    change = RATE * reads * (reads - threshold)
    slid = threshold + (reads.square() - threshold) / tau
    return (strength + change).clamp(*LIMITS), slid
