"""The learning rate at every step: linear warm-up, then a cosine (Loshchilov & Hutter, 2017)."""

from __future__ import annotations

import math

from minigpt.config import Config


def lr_at(step: int, config: Config) -> float:
    """Return the learning rate of step `step`, counted from 0.

    Warm-up: lr(t) = lr_max · (t + 1) / W for t < W, so the first step already learns and lr(W − 1) = lr_max.
    After it the cosine falls from lr_max at step W − 1 to lr_min at the last step of the run.
    """
    warmup, last = config.warmup_steps, config.steps - 1
    if step < warmup:
        return config.lr_max * (step + 1) / warmup
    start = max(warmup - 1, 0)
    progress = min((step - start) / max(last - start, 1), 1.0)
    return config.lr_min + 0.5 * (config.lr_max - config.lr_min) * (1 + math.cos(math.pi * progress))
