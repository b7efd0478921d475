"""The learning rate at every step: linear warm-up, then one of five shapes.

Warm-up: lr(t) = lr_max · (t + 1) / W for t < W, so the first step already learns and lr(W − 1) = lr_max.
"""

from __future__ import annotations

import math

from minigpt.config import Config


def _cosine(progress: float, config: Config) -> float:
    """Half a cosine from lr_max to lr_min (Loshchilov & Hutter, 2017)."""
    return config.lr_min + 0.5 * (config.lr_max - config.lr_min) * (1 + math.cos(math.pi * progress))


def _linear(progress: float, config: Config) -> float:
    """A straight line from lr_max to lr_min."""
    return config.lr_max + (config.lr_min - config.lr_max) * progress


def _constant(progress: float, config: Config) -> float:
    return config.lr_max


def _stable_then_decay(progress: float, config: Config) -> float:
    """Warm-up–stable–decay (Hu et al., 2024): lr_max, then a straight line over the last `decay_share`."""
    start = 1 - config.decay_share
    return config.lr_max if progress <= start else _linear((progress - start) / config.decay_share, config)


def _step(progress: float, config: Config) -> float:
    """Times `drop_factor` at every one of `drops` evenly spaced places, never below lr_min."""
    drops = min(int(progress * (config.drops + 1)), config.drops)
    return max(config.lr_max * config.drop_factor**drops, config.lr_min)


SHAPES = {
    "cosine": _cosine,
    "linear": _linear,
    "constant": _constant,
    "wsd": _stable_then_decay,
    "step": _step,
}


def lr_at(step: int, config: Config) -> float:
    """Return the learning rate of step `step`, counted from 0; the shape ends at the last step of the run."""
    warmup, last = config.warmup_steps, config.steps - 1
    if step < warmup:
        return config.lr_max * (step + 1) / warmup
    start = max(warmup - 1, 0)
    progress = min((step - start) / max(last - start, 1), 1.0)
    return SHAPES[config.schedule](progress, config)
