"""Sharpness: the largest eigenvalue of the Hessian of the loss, on demand.

    found = sharpness(model, loss, batch)      # 61.3; gradient descent is stable at a rate below 2 / 61.3

The power method on Hessian · vector, each by a central difference of two gradients, so that no layer needs
a second derivative. Gradient descent trains at the edge 2 / rate (Cohen et al., 2021); for Adam the figure
tells how the surface changes, not the rate that it can stand.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from minigpt.data.batches import Batch

STEP = 1e-2  # length of the move along the vector: in float32, between rounding and curvature


def sharpness(
    model: nn.Module, loss: Callable[..., Tensor], batch: Batch, iterations: int = 20, seed: int = 0
) -> float:
    """Return the eigenvalue of the Hessian with the largest absolute value, on a copy of the model.

    Args:
        iterations: of the power method; 20 are right to some percent.
    """
    with torch.random.fork_rng(devices=[]):
        twin = copy.deepcopy(model).eval()
        return largest_eigenvalue(
            twin, lambda: loss(twin(batch.inputs), batch.targets, batch.mask), iterations, seed
        )


def largest_eigenvalue(
    model: nn.Module, value: Callable[[], Tensor], iterations: int = 20, seed: int = 0
) -> float:
    """Return that of the Hessian of `value()` by what learns in `model`, a copy: its weights are moved."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    generator = torch.Generator().manual_seed(seed)
    vector = [torch.randn(p.shape, generator=generator).to(p.device) for p in parameters]
    found = 0.0
    for _ in range(iterations):
        length = torch.nn.utils.get_total_norm(vector)
        if not length > 0:
            return 0.0
        vector = [part / length for part in vector]
        product = _hessian_times(value, parameters, vector)
        found = sum((a * b).sum() for a, b in zip(vector, product, strict=True)).item()
        vector = product
    return found


def _hessian_times(
    value: Callable[[], Tensor], parameters: list[nn.Parameter], vector: list[Tensor]
) -> list[Tensor]:
    sides = []
    for sign in (1, -2):  # forth, and back to the other side
        _move(parameters, vector, sign * STEP)
        gradient = torch.autograd.grad(value(), parameters, allow_unused=True)
        pairs = zip(gradient, parameters, strict=True)
        sides.append([torch.zeros_like(p) if g is None else g for g, p in pairs])
    _move(parameters, vector, STEP)
    return [(one - other) / (2 * STEP) for one, other in zip(*sides, strict=True)]


@torch.no_grad()
def _move(parameters: list[nn.Parameter], vector: list[Tensor], by: float) -> None:
    for parameter, direction in zip(parameters, vector, strict=True):
        parameter.add_(direction, alpha=by)
