"""Rotary positions (Su et al., 2021): each pair of channels of a query or key turns with its position."""

from __future__ import annotations

import torch
from torch import Tensor

ROTARY_BASE = 10_000.0  # Su et al., 2021


def rotations(start: int, length: int, head_size: int, device: torch.device) -> Tensor:
    """Return the rotary angles of positions start … start + length − 1 as complex numbers of modulus 1.

    Pair i of a head turns by position · base^(−2i / head_size) (Su et al., 2021, equation 15).

    Returns:
        (length, 1, head_size / 2), the 1 standing for the heads.
    """
    pairs = torch.arange(0, head_size, 2, dtype=torch.float32, device=device)
    positions = torch.arange(start, start + length, dtype=torch.float32, device=device)
    angles = torch.outer(positions, ROTARY_BASE ** (-pairs / head_size))
    return torch.polar(torch.ones_like(angles), angles)[:, None]


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turn each pair of neighbouring channels of x (B, T, n_head, head_size) by its position's angle."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))  # (B, T, n_head, head_size / 2)
    return torch.view_as_real(pairs * turns).flatten(-2).type_as(x)
