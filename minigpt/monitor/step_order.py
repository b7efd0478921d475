"""Is each gradient clipped before its step, and used for one step?

What is left of one gradient after a step is kept in sight. If it is smaller when the next forward pass
begins, somebody has clipped it too late; if it is the same, untouched, at the next step, it is used twice.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from minigpt.monitor.optimizers import parameters_of

LOOKED_AT = 8  # first steps
SMALLER = 0.999  # norm after ÷ before, below which it was clipped


class StepOrder:
    """Follows the gradient of one small parameter over the first steps."""

    def __init__(self) -> None:
        self._held: tuple[nn.Parameter, Tensor, int, Tensor] | None = (
            None  # with version and norm at its step
        )
        self._norm: Tensor | None = None  # of what is held, when it was looked at again
        self._steps = self._again = 0
        self._clipped: list[tuple[Tensor, Tensor]] = []  # norms at a step and after it

    def note_forward(self) -> None:
        """A forward pass with gradients begins."""
        if self._held is not None and self._norm is None:
            self._norm = torch.linalg.vector_norm(self._held[1])

    def _compare(self) -> None:
        """Compare what is held with what has been used now: some pass forward and backward within a step."""
        if self._held is None:
            return
        (parameter, held, version, norm), self._held = self._held, None
        self._again += parameter.grad is held and held._version == version
        if self._norm is None and parameter.grad is not held:
            self._norm = torch.linalg.vector_norm(held)
        if self._norm is not None:
            self._clipped.append((norm, self._norm))
        self._norm = None

    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """The main optimizer has stepped, and its gradients are there still."""
        self._compare()
        if self._steps >= LOOKED_AT:
            return
        self._steps += 1
        filled = [p for p in parameters_of(optimizer) if p.grad is not None and type(p.grad) is Tensor]
        filled = [p for p in filled if p.grad.layout is torch.strided]
        if filled:
            parameter = min(filled, key=Tensor.numel)
            gradient = parameter.grad.detach() if parameter.grad.requires_grad else parameter.grad
            self._held = parameter, gradient, gradient._version, torch.linalg.vector_norm(gradient)

    def evidence(self) -> dict[str, Any] | None:
        """Return of how many gradients it is known, and how many were clipped too late or used again."""
        if self._steps < LOOKED_AT:
            return None
        pairs = [(float(before), float(after)) for before, after in self._clipped]
        late = [after / before for before, after in pairs if 0 < after < SMALLER * before]
        return {
            "steps": self._steps,
            "again": self._again,
            "late": len(late),
            "least": min(late, default=1.0),
        }
