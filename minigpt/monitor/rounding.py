"""Do updates reach the weights, or does half precision round them away?

In bfloat16 two neighbours of 1 lie 0.4 to 0.8 % apart, so an update of 0.1 % vanishes, step after step. A few
coordinates of weights in half precision are compared before and after updates.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

TENSORS, COORDINATES = 12, 512
KNOWN_STATE = {"step", "exp_avg", "exp_avg_sq", "momentum_buffer", "max_exp_avg_sq", "square_avg", "sum"}
HALVES = (torch.bfloat16, torch.float16)


class Rounding:
    """Follows some coordinates of weights in half precision."""

    def __init__(self, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer):
        halves = [p for p in parameters if p.dtype in HALVES and p.requires_grad]
        self._optimizer = optimizer
        self._followed = halves[:: max(len(halves) // TENSORS, 1)][:TENSORS]
        gains = [p for p in halves if p.ndim == 1 and bool((p.detach().float() == 1).all())]
        self._gains = gains[:TENSORS]
        self._start = [self._sample(p).clone() for p in self._gains]
        self._before: list[Tensor] = []
        self._lost = self._asked = self._steps = 0

    @property
    def applies(self) -> bool:
        """Whether there are such weights."""
        return bool(self._followed)

    @staticmethod
    def _sample(parameter: Tensor) -> Tensor:
        flat = parameter.detach().reshape(-1)
        return flat[:: max(flat.numel() // COORDINATES, 1)][:COORDINATES]

    @torch.no_grad()
    def before(self) -> None:
        """Note the weights before an update."""
        self._before = [self._sample(p).clone() for p in self._followed]

    @torch.no_grad()
    def after(self) -> None:
        """Compare them after it."""
        self._steps += 1
        for parameter, old in zip(self._followed, self._before, strict=False):
            if parameter.grad is None:
                continue
            asked = self._sample(parameter.grad) != 0
            self._lost += int((asked & (self._sample(parameter) == old)).sum())
            self._asked += int(asked.sum())
        self._before = []

    def evidence(self) -> dict[str, Any] | None:
        """Return the share of updates that moved nothing, and of gains that are where they began."""
        state = next(iter(self._optimizer.state.values()), {})
        more = {name for name, value in state.items() if isinstance(value, Tensor)} if state else set()
        if not self._asked or not more <= KNOWN_STATE:  # a compensation or a copy in full precision
            return None
        still = [
            (self._sample(p) == old).float().mean().item()
            for p, old in zip(self._gains, self._start, strict=True)
        ]
        return {
            "lost": self._lost / self._asked,
            "gains_still": sum(still) / len(still) if still else None,
            "looked_at": self._steps,
            "dtype": str(self._followed[0].dtype).removeprefix("torch."),
        }
