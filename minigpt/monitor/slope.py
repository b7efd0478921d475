"""Is the gradient the slope? Weights are moved a little along it, and the logits must follow.

A backward pass written by hand can be wrong, and a tensor detached by mistake leaves a way out. Both train,
only worse, and no figure of a run shows it. So some matrices are moved along their own gradient, there and
back, and what changes is compared with what the gradient says, as derivatives are checked everywhere.

    slope(weights, gradients, value, size)   # {"slope": 0.5, "at": 2}: the third has half of its slope
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

CHANGE = 1e-3  # of the value's size, which a move is to make, so that rounding is far below it
FARTHEST = 0.01  # of the size of a matrix
NEARER = (1.0, 0.5, 0.25)  # moves of which all have to tell the same
ROUNDING = 1e-6  # of the value's size
ALIKE = 0.02  # spread of those, and what rounding may make of them
CLOSE = 0.002  # difference for all matrices at once of which each is asked
OFF = 0.1  # for one matrix
# operations that make steps of what is smooth; the gradient there is another than the slope, and meant to be
STEPS = frozenset(
    "gt ge lt le __gt__ __ge__ __lt__ __le__ sign sgn round floor ceil trunc heaviside signbit floor_divide "
    "__floordiv__ bernoulli bool int long".split()
)


class StepsSeen(TorchFunctionMode):
    """Notes whether what depends on weights is made into steps, as spikes are and rounded numbers."""

    found = False

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.found = self.found or getattr(function, "__name__", "") in STEPS and _depends_on_weights(args)
        return function(*args, **(kwargs or {}))


def _depends_on_weights(args: tuple) -> bool:
    tensors = [value for value in args if isinstance(value, Tensor) and value.is_floating_point()]
    return any(value.requires_grad or not torch.is_grad_enabled() for value in tensors)


@torch.no_grad()
def slope(
    weights: Sequence[Tensor], gradients: Sequence[Tensor], value: Callable[[], Tensor], size: float
) -> dict[str, Any]:
    """Return what the value changes ÷ what the gradients say, for the matrix of which it is least 1.

    Args:
        value: computes the number whose gradients are given, () in float64, with the weights as they are.
        size: what the value would be if its terms were added up at random, so that its rounding is known.

    Returns:
        `slope`, 1.0 if the gradients are right, and with another one the place `at` of the matrix, the last
        one if several are off. Nothing where that cannot be told: logits by chance, in steps, hardly moved.
    """
    before = value()
    together = _ratio(weights, gradients, value, size)
    found: dict[str, Any] = {} if together is None else {"slope": 1.0}
    if together is None or abs(together - 1) < CLOSE:
        return found
    for place, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
        ratio = _ratio([weight], [gradient], value, size)
        if ratio is not None and abs(ratio - 1) > OFF:
            found = {"slope": ratio, "at": place}
    return found if value() == before else {}


def _ratio(
    weights: Sequence[Tensor], gradients: Sequence[Tensor], value: Callable[[], Tensor], size: float
) -> float | None:
    """Return the change of the value along the gradients ÷ the one they tell, None where it is not smooth."""
    pairs = [(w, g) for w, g in zip(weights, gradients, strict=True) if w.any() and g.any()]
    if not pairs:
        return None
    sizes = [[float(torch.linalg.vector_norm(one.double())) for one in pair] for pair in pairs]
    usual = sorted(w * g for w, g in sizes)[len(sizes) // 2]  # none shall drown the others
    shares = [min(w * g, usual) for w, g in sizes]
    ways = [
        gradient * (share / g**2) for (_, gradient), (_, g), share in zip(pairs, sizes, shares, strict=True)
    ]
    told = sum(shares)
    far = min(CHANGE * size / told, FARTHEST)
    if ROUNDING * size > ALIKE * told * far * NEARER[-1]:
        return None
    kept = [w.detach().clone() for w, _ in pairs]
    seen = []
    try:
        for nearer in NEARER:
            ends = []
            for sign in (1.0, -1.0):
                for (w, _), way, old in zip(pairs, ways, kept, strict=True):
                    w.copy_(old + sign * nearer * far * way)
                ends.append(float(value()))
            seen.append((ends[0] - ends[1]) / (2 * nearer * far * told))
    finally:
        for (w, _), old in zip(pairs, kept, strict=True):
            w.copy_(old)
    smooth = max(seen) - min(seen) <= ALIKE * max(1.0, *(abs(one) for one in seen))
    return seen[-1] if smooth and abs(seen[-1]) > ALIKE else None
