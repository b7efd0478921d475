"""Is each score compared with its own target, or every score with every target?

One number for each row, (N, 1), and targets (N,) are broadcast against each other to (N, N). Then what pulls
at a score follows from that score alone, g = w · (s − mean of the targets): a straight line, where targets of
its own would scatter it. That is so as well where all targets are one number; so it counts only if the number
to which the scores are drawn changes from batch to batch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.monitor.hook import Hook
from minigpt.monitor.layers import compiled

FEWEST = 8  # scores of a batch that show a line,
BATCHES, MOST = 4, 8  # batches that show it, and that are looked at
SCATTER = 1e-6  # of the pulls beside the line, squared, in all of their variance: rounding
CHANGES = 1e-3  # of the number that scores are drawn to, or of 1


class Scores:
    """The scores of some batches, and what pulled at them."""

    def __init__(self, model: nn.Module, on_error: Callable[[Exception], None]):
        """Look at what the whole model returns in its first calls with gradients."""
        self._on_error = on_error
        self._drawn_to: list[float | None] = []  # by batch, the target that all scores share, if they do
        self._calls, self._handle = 0, None
        if "" not in compiled(dict(model.named_modules())):
            self._handle = model.register_forward_hook(Hook(self._after_forward, on_error))

    @property
    def seen(self) -> bool:
        """Whether a gradient came to one number for each row or place."""
        return bool(self._drawn_to)

    def remove(self) -> None:
        """Look no more."""
        if self._handle is not None:
            self._handle.remove()

    def _after_forward(self, _model: nn.Module, _arguments: tuple, output: Any) -> None:
        if not torch.is_grad_enabled():
            return
        self._calls += 1
        if self._calls >= MOST:
            self.remove()
        scores = getattr(output, "logits", output)
        if not isinstance(scores, Tensor) or not scores.requires_grad or scores.numel() < FEWEST:
            return
        if scores.ndim == 1 or scores.shape[-1] == 1:
            scores.register_hook(Hook(partial(self._arrive, scores.detach()), self._on_error))

    @torch.no_grad()
    def _arrive(self, scores: Tensor, gradient: Tensor) -> None:
        scores, pulls = scores.flatten().double(), gradient.flatten().double()
        found = [_line(made, pulls) for made in (scores, scores.sigmoid())]  # as squares and entropies pull
        self._drawn_to.append(next((target for target in found if target is not None), None))

    def evidence(self) -> dict[str, Any] | None:
        """Return the share of the batches whose scores share a target, and how far apart these are."""
        if len(self._drawn_to) < BATCHES:
            return None
        shared = [target for target in self._drawn_to if target is not None]
        apart = max(shared) - min(shared) if shared else 0.0
        one = apart <= CHANGES * max(1.0, *map(abs, shared)) if shared else True
        return {
            "batches": len(self._drawn_to),
            "shared": 0.0 if one else len(shared) / len(self._drawn_to),
            "apart": apart,
        }


def _line(made: Tensor, pulls: Tensor) -> float | None:
    """Return where a line through pulls, (n,), is 0; None where they do not lie on one that rises."""
    middle, level = made.mean(), pulls.mean()
    across, up = made - middle, pulls - level
    together, own, whole = (across * up).sum(), across.square().sum(), up.square().sum()
    if together <= 0 or whole * own - together.square() > SCATTER * whole * own:
        return None
    return float(middle - level * own / together)
