"""How well Adam's second moment fits the gradient of this step: RMSₜ = √mean(g²/v) (Wortsman et al., 2023).

It is about 1 while v follows g². Where gradients grow faster than β₂ lets v follow, the update is RMSₜ times
what the rate says, and a spike may come some steps later.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UpdateSizes:
    """Measures at the optimizer's next step, on its hooks; `take` returns what was seen, and forgets it."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer):
        self._names = {parameter: name for name, parameter in model.named_parameters()}
        self._optimizer = optimizer
        self.due = False
        self._gradients: dict[nn.Parameter, Tensor] = {}
        self._found: dict[str, float] = {}
        self._handles = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
        ]

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()

    def take(self) -> dict[str, Any]:
        """Return the largest figure, whose it is, and all of them; empty where nothing was measured."""
        found, self._found = self._found, {}
        if not found:
            return {}
        name = max(found, key=lambda name: found[name])
        return {"rms": found[name], "name": name, "tensors": found}

    def _before(self, optimizer: torch.optim.Optimizer, *_call: Any) -> None:
        if self.due:  # the step may write into a gradient (decay that is not decoupled): keep the tensors
            # matrices: the few numbers of a gain are noisy in a healthy run
            self._gradients = {p: p.grad for p in self._names if p.grad is not None and p.ndim > 1}

    @torch.no_grad()
    def _after(self, optimizer: torch.optim.Optimizer, *_call: Any) -> None:
        if not self.due:
            return
        self.due = False
        figures = {}
        betas = {p: group.get("betas") for group in optimizer.param_groups for p in group["params"]}
        for parameter, gradient in self._gradients.items():
            figure = rms(gradient, optimizer.state.get(parameter, {}), betas.get(parameter))
            if figure is not None:
                figures[self._names[parameter]] = figure
        self._gradients = {}
        if figures:
            values = torch.stack(list(figures.values())).tolist()
            self._found = dict(zip(figures, values, strict=True))


def rms(gradient: Tensor, state: dict[str, Any], betas: tuple[float, float] | None) -> Tensor | None:
    """Return √mean(g²/v) of one tensor, v corrected for its start; None where Adam keeps nothing of it."""
    if betas is None or "exp_avg_sq" not in state or "step" not in state:
        return None
    v = state["exp_avg_sq"]
    if v.shape != gradient.shape or gradient.is_sparse:
        return None
    correction = 1 - float(betas[1]) ** float(state["step"])
    # rows that never had a gradient, as those of tokens that never came, would be 0 / 0
    v = F.threshold(v.float(), 1e-16 * correction, math.inf)  # what is not above it becomes infinite
    return gradient.float().square().div_(v).mean().mul_(correction).sqrt_()
