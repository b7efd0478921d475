"""Plasticity rules: how a weight between two units changes with what fires before what.

    change = pair(pre, post, tau=4.0)     # (O, I) for pre (B, T, I) and post (B, T, O), spikes as 0 and 1

All are means over sequences and tokens. A *trace* is what is left of a unit's spikes: each adds 1, and decays
with exp(−1/τ) a token. A trace "before t" holds the spikes up to t − 1. Spikes of the same token pair with
nothing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from minigpt.model.scan import scan

A_PLUS, A_MINUS = 1.0, 1.05  # depression wins a little, so that chance coincidences do not build up
A_TRIPLET = 1.0  # of a post–pre–post triplet
SLOW = 4.0  # × τ, the second trace of a triplet
TARGET_RATE = 0.2  # spikes a token that homeostasis aims at
SCALING = 1.0  # strength of homeostatic scaling, beside a pair's 1


def traces(spikes: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Return the traces of spikes (B, T, N) before each token and after it."""
    decay = torch.full_like(spikes, math.exp(-1 / tau))
    after = scan(decay, spikes)
    return after - spikes, after


def window(delay: Tensor | float, tau: float) -> Tensor:
    """Return the change that one pair of spikes asks for, post − pre = `delay` tokens (Bi & Poo, 1998)."""
    delay = torch.as_tensor(delay, dtype=torch.float64)
    size = torch.exp(-delay.abs() / tau)
    return torch.where(delay > 0, A_PLUS * size, torch.where(delay < 0, -A_MINUS * size, 0.0))


def pair(pre: Tensor, post: Tensor, tau: float) -> Tensor:
    """Return the change by pair STDP (Song, Miller & Abbott, 2000): the sum of `window` over all pairs."""
    before_pre, _ = traces(pre, tau)
    before_post, _ = traces(post, tau)
    return A_PLUS * _meet(post, before_pre) - A_MINUS * _meet(before_post, pre)


def triplet(pre: Tensor, post: Tensor, tau: float) -> Tensor:
    """Return the change by the minimal triplet rule (Pfister & Gerstner, 2006).

    A post spike strengthens more where the unit had fired before: pairs at a high rate count for more.
    """
    before_pre, _ = traces(pre, tau)
    before_post, _ = traces(post, tau)
    slow_post, _ = traces(post, SLOW * tau)
    stronger = post * (A_PLUS + A_TRIPLET * slow_post)
    return _meet(stronger, before_pre) - A_MINUS * _meet(before_post, pre)


def bcm(pre: Tensor, post: Tensor, tau: float, threshold: Tensor) -> Tensor:
    """Return the change by Bienenstock, Cooper & Munro (1982): y (y − θ) · pre.

    Args:
        threshold: (O,) θ, the mean of y² so far; see `rates`.
    """
    y = rates(post, tau)
    return _meet(y * (y - threshold), pre)


def rates(post: Tensor, tau: float) -> Tensor:
    """Return the recent rate of spikes (B, T, O), in spikes a token."""
    return traces(post, tau)[1] * (1 - math.exp(-1 / tau))


def scaling(weight: Tensor, mean_rate: Tensor) -> Tensor:
    """Return the change by synaptic scaling (Turrigiano, 1998): inputs of a unit that fires too much shrink.

    Args:
        weight: (O, I).
        mean_rate: (O,) spikes a token, over the last steps.
    """
    return SCALING * (TARGET_RATE - mean_rate)[:, None] * weight


def _meet(post: Tensor, pre: Tensor) -> Tensor:
    """Return the mean over sequences and tokens of post ⊗ pre, (O, I)."""
    return torch.einsum("bto,bti->oi", post, pre) / (post.shape[0] * post.shape[1])
