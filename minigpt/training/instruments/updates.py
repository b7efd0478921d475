"""How well Adam's second moment fits the gradient of this step: RMSₜ = √mean(g²/v) (Wortsman et al., 2023).

It is about 1 while v follows g². Where gradients grow faster than β₂ lets v follow, the update is RMSₜ times
what the rate says, and a spike may come some steps later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

LEAST = 1e-16  # of a second moment
AT_ONCE = 2**22  # numbers of which copies are made together


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

    def _after(self, optimizer: torch.optim.Optimizer, *_call: Any) -> None:
        if not self.due:
            return
        self.due = False
        figures = fit_of_second_moments(self._gradients, optimizer)
        self._gradients = {}
        if figures:
            values = torch.stack(list(figures.values())).tolist()
            self._found = dict(zip((self._names[p] for p in figures), values, strict=True))


@torch.no_grad()
def fit_of_second_moments(
    gradients: Mapping[nn.Parameter, Tensor], optimizer: torch.optim.Optimizer
) -> dict[nn.Parameter, Tensor]:
    """Return √mean(g²/v) of every tensor of which Adam keeps a second moment, v corrected for its start."""
    found: dict[nn.Parameter, Tensor] = {}
    waiting: list[tuple[nn.Parameter, Tensor, Tensor, float]] = []
    together = 0
    for group in optimizer.param_groups:
        decay = group["betas"][1] if "betas" in group else None
        for parameter in group["params"] if decay is not None else ():
            gradient, state = gradients.get(parameter), optimizer.state.get(parameter)
            if gradient is None or not isinstance(state, dict) or not {"exp_avg_sq", "step"} <= state.keys():
                continue
            v = state["exp_avg_sq"]
            if v.shape != gradient.shape or gradient.is_sparse:
                continue
            corrected = 1 - float(decay) ** float(state["step"])
            waiting.append((parameter, gradient.float(), v.float(), corrected))
            together += v.numel()
            if together > AT_ONCE:
                found |= _fits(waiting)
                waiting, together = [], 0
    return found | _fits(waiting)


def _fits(entries: list[tuple[nn.Parameter, Tensor, Tensor, float]]) -> dict[nn.Parameter, Tensor]:
    if not entries:
        return {}
    parameters, gradients, moments, corrections = zip(*entries, strict=True)
    # rows that never had a gradient, as those of tokens that never came, would be 0 / 0
    roots = torch._foreach_clamp_min(moments, [LEAST * correction for correction in corrections])
    torch._foreach_sqrt_(roots)
    norms = torch._foreach_norm(torch._foreach_div(gradients, roots))
    # the correction of v for its start is a number, so it waits until the tensors are one number each
    sizes = [math.sqrt(c / g.numel()) for g, c in zip(gradients, corrections, strict=True)]
    return dict(zip(parameters, torch._foreach_mul(norms, sizes), strict=True))
