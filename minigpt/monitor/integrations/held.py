"""What both recovery callbacks share: an update that the trainer makes all the same, without any effect.

A callback cannot keep a trainer from calling `optimizer.step()` and `scheduler.step()`. So an undone step is
left without gradients, which the optimizers of torch take as nothing to do; and what its scheduler and its
loss scaler then count is put back afterwards. The batches since the oldest copy are kept, to be given again.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import nn

from minigpt.monitor.recovery import Answer, Recovery


class Held:
    """A `Recovery` inside somebody's trainer."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedulers: list[Any],
        scaler: Any,
        settings: dict[str, Any],
    ):
        """`schedulers` are those that the trainer steps after each update."""
        self._optimizer, self._schedulers, self._scaler = optimizer, schedulers, scaler
        self.recovery = Recovery(model, optimizer, None, Several(schedulers), scaler, **settings)
        self.recovery.scaler = None  # its trainer updates it
        self.windows: dict[int, list[Any]] = {}  # by number, the micro-batches of a step
        self._after: dict[str, Any] | None = None  # what the trainer's own calls must not change

    @property
    def number(self) -> int:
        """The number of the batch that this step trains on."""
        return self.recovery.state.data_step

    def begin(self) -> None:
        """Take a copy if one is due, and forget the batches that no copy can want again."""
        self.recovery.begin()
        oldest = self.recovery.oldest()
        self.windows = {number: kept for number, kept in self.windows.items() if number >= oldest}

    def step(self, loss: float, grad_norm: float) -> Answer:
        """Ask the guards, before the trainer updates.

        Raises:
            GuardError: as `Recovery.step`.
        """
        answer = self.recovery.step(loss, grad_norm)
        if answer != "continue":
            overflowed = answer == "skip" and not math.isfinite(grad_norm)  # then its scaler backs off
            self._after = {
                "schedulers": copy.deepcopy([each.state_dict() for each in self._schedulers]),
                "rates": [group["lr"] for group in self._optimizer.param_groups],
                "scaler": None if overflowed or self._scaler is None else self._scaler.state_dict(),
            }
        return answer

    def put_back(self) -> bool:
        """After the trainer's update: undo what it counted, if the step was undone; say whether it was."""
        if self._after is None:
            return False
        for scheduler, state in zip(self._schedulers, self._after["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        for group, rate in zip(self._optimizer.param_groups, self._after["rates"], strict=True):
            group["lr"] = rate
        if self._after["scaler"]:
            self._scaler.load_state_dict(self._after["scaler"])
        self._after = None
        return True


class Several:
    """Schedulers as one."""

    def __init__(self, parts: list[Any]):
        self._parts = parts

    def state_dict(self) -> dict[str, Any]:
        """Return the states in order."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them over."""
        for part, its in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(its)


def gradient_norm(model: nn.Module, scaler: Any = None) -> float:
    """Return the global gradient norm; with a scaler, that of gradients which are still scaled."""
    norms = [p.grad.detach().float().norm() for p in model.parameters() if p.grad is not None]
    norm = torch.stack(norms).norm().item() if norms else 0.0
    return norm / scaler.get_scale() if scaler is not None else norm
