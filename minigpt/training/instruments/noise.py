"""The simple gradient noise scale, B_simple = tr Σ / ‖G‖² (McCandlish et al., 2018, appendix A.1).

With micro-batches of b tokens and all of them together of B tokens,

    ‖G‖²  ≈ (B · ‖g_B‖² − b · mean ‖g_b‖²) / (B − b)
    tr Σ  ≈ (mean ‖g_b‖² − ‖g_B‖²) / (1/b − 1/B)

are unbiased. A step of B_simple tokens has as much noise as signal: fewer cost steps, more cost tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from minigpt.data.batches import Batch
from minigpt.training.instruments.quiet import undisturbed

MOST, ROWS = 2, 8  # micro-batches, and rows of each: half a batch of the default size


def noise_scale(model: nn.Module, loss: Callable[..., Tensor], batches: Sequence[Batch]) -> dict[str, float]:
    """Return `scale` in tokens (absent where the noise hides the signal), `trace` and `signal`.

    Args:
        batches: at least two micro-batches of as many targets each.
    """
    sizes, total = [], None
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with undisturbed(model), torch.enable_grad():
        for batch in batches:
            value = loss(model(batch.inputs), batch.targets, batch.mask)
            gradient = torch.autograd.grad(value, parameters, allow_unused=True)
            gradient = [part for part in gradient if part is not None]
            sizes.append(_square(gradient))
            total = gradient if total is None else torch._foreach_add(total, gradient)
    whole = _square([part / len(batches) for part in total])
    tokens = int(batches[0].mask.sum())
    return from_squares(sum(sizes) / len(sizes), whole, tokens, tokens * len(batches))


def from_squares(small: float, whole: float, b: int, B: int) -> dict[str, float]:
    """Return the same from the mean ‖g_b‖² of micro-batches of b tokens and ‖g_B‖² of all B tokens."""
    signal = (B * whole - b * small) / (B - b)
    trace = (small - whole) / (1 / b - 1 / B)
    found = {"trace": trace, "signal": signal}
    return found | ({"scale": max(trace, 0.0) / signal} if signal > 0 else {})


def pieces(batches: Sequence[Batch]) -> list[Batch]:
    """Return up to `MOST` micro-batches of as many rows each, `ROWS` at most, of a step's micro-batches."""
    rows = Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))
    count = min(MOST, len(rows.mask))
    size = min(ROWS, len(rows.mask) // count)
    found = [Batch(*(part[at * size : (at + 1) * size] for part in rows)) for at in range(count)]
    return [piece for piece in found if piece.mask.any()]


def _square(gradient: Sequence[Tensor]) -> float:
    return torch.stack(torch._foreach_norm(list(gradient))).square().sum().item()
