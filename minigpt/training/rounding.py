"""Weights kept in bfloat16 between steps, to the nearest number or by chance.

    round_after_each_step(optimizer, stochastic=False)

The tensors stay float32 and hold only numbers that bfloat16 has: the run computes what one with bf16 weights
and float32 moments would. To the nearest, an update smaller than half the distance to the next number is
lost, every time. By chance, with a probability equal to the part of the distance that it covers, it survives
on average (Gupta et al., 2015). The chance is torch's generator, which each step seeds again: a resumed run
rounds alike.
"""

from __future__ import annotations

import torch
from torch import Tensor

LOW_BITS = 16  # of a float32, that bfloat16 has not


def to_nearest(values: Tensor) -> Tensor:
    """Return float32 values rounded to the nearest that bfloat16 has."""
    return values.bfloat16().float()


def by_chance(values: Tensor) -> Tensor:
    """Return float32 values rounded to one of the two nearest that bfloat16 has, right on average."""
    bits = values.view(torch.int32)
    chance = torch.randint(0, 1 << LOW_BITS, bits.shape, dtype=torch.int32, device=bits.device)
    return ((bits + chance) & ~((1 << LOW_BITS) - 1)).view(torch.float32)


def round_after_each_step(optimizer: torch.optim.Optimizer, stochastic: bool) -> None:
    """Round all weights of an optimizer after each of its steps, in place."""
    rounded = by_chance if stochastic else to_nearest

    @torch.no_grad()
    def round_weights(optimizer: torch.optim.Optimizer, *_call: object) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.copy_(rounded(parameter))

    optimizer.register_step_post_hook(round_weights)
