"""Does the optimizer move weights as Adam's rule says? A few coordinates are followed beside it.

From the gradients alone the moments of any coordinate are known, and so is its update, with bias correction
(Kingma & Ba, 2015, algorithm 1) or without. The size of the real update ÷ the right one is 1, or
(1 − β1^t) / √(1 − β2^t) where nobody corrected.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from minigpt.runs.schema import LEAST_GRADIENT, REHEARSAL_STEPS

TENSORS = 8
COORDINATES = 1024  # of each tensor


class AdamTwin:
    """Follows some coordinates of a few matrices through the first updates."""

    def __init__(self) -> None:
        self.ratios: list[float | None] = []  # |update| ÷ the right one; None where the rate was 0
        self.downhill: float | None = None  # share of coordinates that first went against the gradient
        self.betas: tuple[float, float] | None = None
        self.epsilon: tuple[float, float] | None = None  # it, and its share of the denominator in the middle
        self._followed: list[_Followed] | None = None

    @property
    def done(self) -> bool:
        """Whether there is nothing more to follow."""
        return len(self.ratios) >= REHEARSAL_STEPS or self._followed == []

    @torch.no_grad()
    def before(self, optimizer: torch.optim.Optimizer) -> None:
        """Note the weights before an update."""
        if self._followed is None:
            self._followed = _choose(optimizer)
            if self._followed:
                self.betas = tuple(map(float, self._followed[0].group["betas"]))
        for followed in self._followed:
            followed.note()

    @torch.no_grad()
    def after(self) -> None:
        """Compare the weights after the update with Adam's rule."""
        pairs = [pair for followed in self._followed or [] if (pair := followed.compare()) is not None]
        if not pairs:
            if self._followed:
                self.ratios.append(None)
            return
        moved, right = (torch.cat(side) for side in zip(*pairs, strict=True))  # (n,) each
        self.ratios.append((moved.abs() / right.abs()).median().item() if len(moved) else None)
        self._look_at_epsilon()
        if self.downhill is None and moved.any():  # some optimizers let their first step pass
            self.downhill = (moved * right > 0).float().mean().item()

    def _look_at_epsilon(self) -> None:
        shares = [followed.share_of_epsilon() for followed in self._followed or ()]
        shares = [share for share in shares if len(share)]
        if shares:
            epsilon = float(self._followed[0].group["eps"])
            self.epsilon = epsilon, torch.cat(shares).median().item()


class _Followed:
    """The coordinates of one tensor, and the moments that they should have."""

    def __init__(self, parameter: nn.Parameter, group: dict[str, Any]):
        self.parameter, self.group = parameter, group
        self.stride = max(parameter.numel() // COORDINATES, 1)
        self.old = self._sample(parameter)
        self.m, self.v = torch.zeros_like(self.old), torch.zeros_like(self.old)
        self.t = 0

    def _sample(self, tensor: Tensor) -> Tensor:
        return tensor.detach().reshape(-1)[:: self.stride][:COORDINATES].float().clone()

    def note(self) -> None:
        self.old = self._sample(self.parameter)

    def compare(self) -> tuple[Tensor, Tensor] | None:
        """Return the real move ÷ lr and the right one, tiny gradients left out; None without a rate."""
        if self.parameter.grad is None or self.parameter.grad.is_sparse:
            return None
        group, gradient = self.group, self._sample(self.parameter.grad)
        lr, (beta1, beta2), decay = float(group["lr"]), map(float, group["betas"]), group["weight_decay"]
        decoupled = group.get("decoupled_weight_decay", True)
        seen = gradient if decoupled else gradient + decay * self.old
        self.t += 1
        self.m = beta1 * self.m + (1 - beta1) * seen
        self.v = beta2 * self.v + (1 - beta2) * seen.square()
        if lr <= 0:
            return None
        right = (self.m / (1 - beta1**self.t)) / ((self.v / (1 - beta2**self.t)).sqrt() + group["eps"])
        start = self.old * (1 - lr * decay) if decoupled else self.old
        moved = (start - self._sample(self.parameter)) / lr
        plain = (gradient.abs() > LEAST_GRADIENT) & (right.abs() > 0.1)
        return moved[plain], right[plain]

    def share_of_epsilon(self) -> Tensor:
        """Return ε ÷ (√v̂ + ε) of each coordinate that has had a gradient."""
        if not self.t:
            return self.v[:0]
        root = (self.v[self.v > 0] / (1 - float(self.group["betas"][1]) ** self.t)).sqrt()
        return self.group["eps"] / (root + self.group["eps"])


def _choose(optimizer: torch.optim.Optimizer) -> list[_Followed]:
    """Return fresh matrices in full precision of the groups that look like Adam's."""
    found = []
    for group in optimizer.param_groups:
        for parameter in group["params"] if _like_adam(group) else []:
            fits = parameter.ndim >= 2 and parameter.dtype == torch.float32 and parameter.requires_grad
            state = optimizer.state.get(parameter, {})
            moments = state.get("exp_avg") if isinstance(state, dict) else parameter
            if fits and (moments is None or not moments.any()):  # else the first update was long ago
                found.append((parameter, group))
    step = max(len(found) // TENSORS, 1)
    return [_Followed(*pair) for pair in found[::step][:TENSORS]]


def _like_adam(group: dict[str, Any]) -> bool:
    betas, others = group.get("betas"), [group.get(name) for name in ("lr", "eps", "weight_decay")]
    return (
        isinstance(betas, tuple | list)
        and len(betas) == 2
        and all(isinstance(value, int | float | Tensor) for value in (*betas, *others))
        and not (group.get("amsgrad") or group.get("maximize"))
    )
