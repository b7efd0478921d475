"""The recurrence h_t = decay_t · h_{t−1} + drive_t, all steps of a sequence at once or one after the other.

    states = scan(decay, drive)        # (B, T, …), in ⌈log₂ T⌉ passes over the whole sequence
    states = scan_loop(decay, drive)   # the same, as it is written on paper

Two steps of such a recurrence are one step again: first (a₁, b₁), then (a₂, b₂) is (a₂ a₁, a₂ b₁ + b₂). So
spans of 1, 2, 4, … steps can be combined pairwise (Hillis & Steele, 1986; Blelloch, 1990).
"""

from __future__ import annotations

import torch
from torch import Tensor


def scan_loop(decay: Tensor, drive: Tensor, start: Tensor | None = None) -> Tensor:
    """Return h_1 … h_T, one step after the other.

    Args:
        decay, drive: (B, T, …), of equal shape.
        start: (B, …) h_0; zeros where it is None.

    Returns:
        (B, T, …).
    """
    state = torch.zeros_like(drive[:, 0]) if start is None else start
    states = []
    for step in range(drive.shape[1]):
        state = decay[:, step] * state + drive[:, step]
        states.append(state)
    return torch.stack(states, 1)


def scan(decay: Tensor, drive: Tensor, start: Tensor | None = None) -> Tensor:
    """Return what `scan_loop` returns, up to rounding, in ⌈log₂ T⌉ passes."""
    if start is not None:
        drive = torch.cat([drive[:, :1] + decay[:, :1] * start[:, None], drive[:, 1:]], 1)
    span = 1  # decay and drive of step t stand for the steps t − span + 1 … t
    while span < drive.shape[1]:
        later = decay[:, span:]
        drive = torch.cat([drive[:, :span], later * drive[:, :-span] + drive[:, span:]], 1)
        decay = torch.cat([decay[:, :span], later * decay[:, :-span]], 1)
        span *= 2
    return drive
