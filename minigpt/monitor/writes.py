"""Does anything but the optimizer write the weights, if only once? Some numbers of a matrix, at every step.

What is put back before the next step (an average that is only evaluated, a look around as sharpness-aware
optimizers take it) is no write. Neither is a step back to a checkpoint that holds the moments as well.
`minigpt.monitor.state` looks at every tensor, now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.monitor.optimizers import Optimizers, parameters_of

NUMBERS = 16  # that are compared
ROUNDING = 1e-4  # of their size: what taking a weight away and putting it back may leave
FEWEST = 20  # steps after which it is known how often somebody writes


class Writes:
    """Watches one matrix that the optimizer moves."""

    def __init__(self, model: nn.Module, optimizers: Optimizers, declared: Sequence[str]):
        """Prepare.

        Args:
            declared: prefixes of the names of parameters that the loop writes on purpose.
        """
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        names = {key: name for key, name in names.items() if not name.startswith(tuple(declared) or "\0")}
        held = parameters_of(optimizers.main)
        alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
        found = [p for p in held if alone and id(p) in names and p.ndim > 1 and _plain(p)]
        self._optimizers = optimizers
        self._weight = found[len(found) // 2] if found else None
        self._name = names[id(self._weight)] if found else ""
        self._view: Tensor | None = None
        self._copy: Tensor | None = None
        self._place = 0
        self._version = -1
        self._steps = self._times = 0
        self._first: int | None = None
        self._count: float | None = None  # the optimizer's own, at its newest step

    @torch.no_grad()
    def after_step(self) -> None:
        """The optimizer has made a step."""
        weight = self._weight
        if weight is None:
            return
        if self._view is None or self._place != weight.data_ptr():
            self._look(weight)
            self._copy = self._view.clone()
        else:
            self._copy.copy_(self._view)
        self._version = weight._version
        self._count = own_count(self._optimizers.main, weight)

    def _look(self, weight: nn.Parameter) -> None:
        flat = weight.detach().reshape(-1)
        self._view = flat[:: max(1, len(flat) // NUMBERS)][:NUMBERS]
        self._place = weight.data_ptr()

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        """The optimizer is about to make step `step`."""
        weight = self._weight
        if weight is None or self._copy is None:
            return
        self._steps += 1
        moved = self._place != weight.data_ptr()
        if not moved and weight.device.type != "cpu" and weight._version == self._version:
            return  # a GPU is not waited for
        if moved:
            self._look(weight)
        if torch.equal(self._view, self._copy):
            return
        change = (self._view - self._copy).float().abs().max()
        if own_count(self._optimizers.main, weight) != self._count:
            return  # moments and weights went back together
        if change > ROUNDING * self._copy.float().abs().max():
            self._times += 1
            self._first = step if self._first is None else self._first

    def evidence(self) -> dict[str, Any] | None:
        """Return how often it was written, and when first; None where too few steps were seen."""
        if self._steps < FEWEST:
            return None
        return {"name": self._name, "times": self._times, "steps": self._steps, "first": self._first}


def own_count(optimizer: torch.optim.Optimizer, parameter: Tensor) -> float | None:
    """Return how many steps an optimizer has counted for a parameter, where that is known without waiting."""
    state = optimizer.state.get(parameter)
    count = state.get("step") if isinstance(state, dict) else None
    return float(count) if isinstance(count, int | float) or _on_cpu(count) else None


def _on_cpu(count: Any) -> bool:
    return isinstance(count, Tensor) and count.numel() == 1 and count.device.type == "cpu"


def _plain(parameter: nn.Parameter) -> bool:
    dense = type(parameter) is nn.Parameter and parameter.layout is torch.strided
    return (
        dense
        and parameter.is_floating_point()
        and parameter.is_contiguous()
        and parameter.device.type != "meta"
    )
