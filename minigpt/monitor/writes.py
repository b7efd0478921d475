"""Does anything but the optimizer write the weights, if only once? Some numbers of a matrix, at every step.

What is put back before the next step (an average that is only evaluated, a look around as sharpness-aware
optimizers take it) is no write. Neither is a step back to a checkpoint that holds the moments as well, nor
one back along the way since the last one, as Lookahead takes it (Zhang et al., 2019).
`minigpt.monitor.state` looks at every tensor, now and then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from minigpt.monitor.optimizers import Optimizers, parameters_of
from minigpt.training.instruments.ownership import WIDTHS

NUMBERS = 16  # that are compared
ROUNDING = 1e-4  # of their size: what taking a weight away and putting it back may leave
ALONG = 1e-3  # of the way between two writes: how far beside it a step back along it may lie
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
        self._place = 0  # in memory, of the numbers that are compared
        self._view: Tensor | None = None
        self._array: np.ndarray | None = None  # the same numbers, on the CPU
        self._began: Tensor | bytes | None = None  # what was there at the start, and after the newest write
        self._left: Tensor | bytes | None = None  # what the newest step of the optimizer left there,
        self._version = -1  # how often the weight had been written by then,
        self._count: tuple[Any, int] = (None, -1)  # and the optimizer's own count of its steps
        self.stepped_back = False  # whether the newest write was a step back along the way since the last one
        self._steps = self._times = 0
        self._first: int | None = None

    def after_step(self) -> None:
        """The optimizer has made a step."""
        weight = self._weight
        if weight is None:
            return
        self._look(weight)
        self._left, self._version = self._numbers(), weight._version
        self._count = self._counted()

    def _look(self, weight: nn.Parameter) -> None:
        if self._place != weight.data_ptr():
            flat = weight.detach().reshape(-1)
            self._view = flat[:: max(1, len(flat) // NUMBERS)][:NUMBERS]
            self._place = weight.data_ptr()
            on_cpu = weight.device.type == "cpu"
            # NumPy, which knows no bfloat16, copies a few numbers much faster than PyTorch
            self._array = self._view.view(WIDTHS[weight.element_size()]).numpy() if on_cpu else None

    def _numbers(self) -> Tensor | bytes:
        return self._view.clone() if self._array is None else self._array.tobytes()

    def _counted(self) -> tuple[Any, int]:
        """Return the optimizer's count of steps as it is kept, and how often that tensor was written."""
        state = self._optimizers.main.state.get(self._weight)
        count = state.get("step") if isinstance(state, dict) else None
        return count, count._version if isinstance(count, Tensor) else -1

    def before_step(self, step: int) -> None:
        """The optimizer is about to make step `step`."""
        weight, self.stepped_back = self._weight, False
        if weight is None:
            return
        if self._left is None:
            self._look(weight)
            self._began = self._numbers()
            return
        self._steps += 1
        if self._array is None and self._place == weight.data_ptr() and self._version == weight._version:
            return  # a GPU is not waited for
        self._look(weight)
        now = self._numbers()
        if self._same(now, self._left):
            return
        self.stepped_back = self._along(now)
        if not self._went_back() and not self.stepped_back:
            self._times += 1
            self._first = step if self._first is None else self._first
        self._began = now

    def _same(self, now: Tensor | bytes, left: Tensor | bytes) -> bool:
        """Return whether numbers are what they were, up to rounding."""
        if isinstance(now, bytes) and now == left:
            return True
        if type(now) is not type(left) or len(now) != len(left):
            return True  # a model that was moved to another device, or is kept in other numbers
        now, left = self._floats(now), self._floats(left)
        return not (now - left).abs().max() > ROUNDING * left.abs().max()

    def _along(self, now: Tensor | bytes) -> bool:
        """Return whether numbers lie between those at the last write and those that the optimizer left."""
        now, began, left = (self._floats(each) for each in (now, self._began, self._left))
        if not len(now) == len(began) == len(left):
            return False
        way, back = left - began, now - began
        share = float(way @ back / way.square().sum().clamp(min=1e-30))
        return 0 < share < 1 and float((back - share * way).norm()) <= ALONG * float(way.norm())

    def _floats(self, numbers: Tensor | bytes) -> Tensor:
        if isinstance(numbers, bytes):
            numbers = torch.frombuffer(bytearray(numbers), dtype=self._view.dtype)
        return numbers.float().cpu()

    def _went_back(self) -> bool:
        """Return whether the moments went back, too."""
        (old, before), (new, after) = self._count, self._counted()
        return after != before if new is old else _number(new) != _number(old)

    def evidence(self) -> dict[str, Any] | None:
        """Return how often it was written, and when first; None where too few steps were seen."""
        if self._steps < FEWEST:
            return None
        return {"name": self._name, "times": self._times, "steps": self._steps, "first": self._first}


def own_count(optimizer: torch.optim.Optimizer, parameter: Tensor) -> float | None:
    """Return how many steps an optimizer has counted for a parameter, where that is known without waiting."""
    state = optimizer.state.get(parameter)
    return _number(state.get("step")) if isinstance(state, dict) else None


def _number(count: Any) -> float | None:
    on_cpu = isinstance(count, Tensor) and count.numel() == 1 and count.device.type == "cpu"
    return float(count) if isinstance(count, int | float) or on_cpu else None


def _plain(parameter: nn.Parameter) -> bool:
    dense = type(parameter) is nn.Parameter and parameter.layout is torch.strided
    return (
        dense
        and parameter.is_floating_point()
        and parameter.is_contiguous()
        and parameter.device.type != "meta"
    )
