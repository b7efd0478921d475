"""Backward passes and steps: does every micro-batch reach a step, and does the rate hold still within one?"""

from __future__ import annotations

import math
from typing import Any

import torch

MOST = 40  # steps that are looked at


class Passes:
    """Counts backward passes, and those whose gradient was cleared before any step."""

    def __init__(self) -> None:
        self.total = 0
        self._pending: list[tuple[int | None, bool]] = []  # of this step: what was read, and whether afresh
        self._rates: list[float] = []
        self._cleared: list[int] = []  # by step, passes that were lost
        self._unsteady = 0

    @property
    def looking(self) -> bool:
        """Whether it is still of interest which batch a pass is made for."""
        return len(self._cleared) < MOST

    def note(self, batch: int | None, afresh: bool, optimizer: torch.optim.Optimizer) -> None:
        """Note a backward pass that left gradients; `batch` tells one batch from another."""
        self.total += 1
        if self.looking:
            self._pending.append((batch, afresh))
            self._rates.append(float(optimizer.param_groups[0].get("lr") or 0.0))

    def end_step(self) -> None:
        """Close a step."""
        if not self._pending:
            return
        last = max((n for n, (_, afresh) in enumerate(self._pending) if afresh), default=0)
        kept = {batch for batch, _ in self._pending[last:]}
        # the same batch again is how some optimizers look around before they step
        lost = [batch for batch, _ in self._pending[:last] if batch is not None and batch not in kept]
        self._cleared.append(len(lost))
        rates = self._rates
        self._unsteady += len(rates) > 1 and max(rates) > min(rates) * (1 + 1e-9)
        self._pending, self._rates = [], []

    def evidence(self, steps: int) -> dict[str, Any]:
        """Return how many passes there were, and how many were lost."""
        looked_at = max(len(self._cleared), 1)
        losing = sum(lost > 0 for lost in self._cleared)
        usual = sorted(self._cleared)[len(self._cleared) // 2] if self._cleared else 0
        return {
            "passes": self.total,
            "steps": steps,
            "losing_share": losing / looked_at if len(self._cleared) else math.nan,
            "lost_each": usual,
            "looked_at": len(self._cleared),
            "unsteady_share": self._unsteady / looked_at,
        }
