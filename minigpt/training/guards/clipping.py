"""Clippers that learn their limit from the run: each is a `clip` part, with a state.

    fixed       at most `clip_norm` (Pascanu et al., 2013); in `minigpt.training.step`
    percentile  at most the 10th percentile of all norms so far (AutoClip: Seetharaman et al., 2020)
    zscore      a norm z > 2.5 standard deviations above its running mean comes down to 2.5² / z of them
                (ZClip: Kumar et al., 2025)
    per_tensor  each tensor at most 1.05 × its own running norm (AdaGC: Wang et al., 2025)
    spike       `clip_norm`, and a tenth of it where the norm is above 3 × its running mean (seed 000)

All of them also keep to `clip_norm`, return the global norm before clipping, and leave a norm that is not
finite out of what they remember.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from minigpt.config.rules import CLIPPERS_LEARN
from minigpt.runs.thresholds import GRADIENT_SPIKE
from minigpt.training.precision import Precision


class Clipper:
    """Unscales, measures, asks for the limit of this step, and cuts."""

    def __call__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, precision: Precision, max_norm: float
    ) -> float:
        """Cut the gradient; return its global norm before."""
        precision.scaler.unscale_(optimizer)
        parameters = [p for p in model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
        value = norm.item()
        if math.isfinite(value):
            self.cut(parameters, value, max_norm)
        return value

    def cut(self, parameters: list[nn.Parameter], norm: float, max_norm: float) -> None:
        """Cut gradients of a finite global norm."""
        limit = min(self.limit(norm, max_norm), max_norm)
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, torch.tensor(norm))

    def limit(self, norm: float, max_norm: float) -> float:
        """Return the limit of this step, and remember its norm."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return what it remembers as plain data."""
        return {name: list(value) if isinstance(value, list) else value for name, value in vars(self).items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        for name, value in state.items():
            setattr(self, name, list(value) if isinstance(value, list) else value)


class Percentile(Clipper):
    """AutoClip: the limit is a percentile of the norms of the whole run."""

    def __init__(self, percent: float = 10.0):
        self.percent = percent
        self.norms: list[float] = []  # sorted

    def limit(self, norm: float, max_norm: float) -> float:
        bisect.insort(self.norms, norm)
        return self.norms[int((len(self.norms) - 1) * self.percent / 100)]


class ZScore(Clipper):
    """ZClip: an outlier is brought near the running mean of the norm, not to a fixed limit."""

    def __init__(self, threshold: float = 2.5, beta: float = 0.97, warm: int = CLIPPERS_LEARN["zscore"]):
        self.threshold, self.beta, self.warm = threshold, beta, warm
        self.first: list[float] = []  # norms of the warm-up
        self.mean = self.variance = 0.0

    def limit(self, norm: float, max_norm: float) -> float:
        if len(self.first) < self.warm:
            self.first.append(min(norm, max_norm))
            self.mean = sum(self.first) / len(self.first)
            self.variance = sum((value - self.mean) ** 2 for value in self.first) / len(self.first)
            return max_norm
        deviation = math.sqrt(self.variance)
        z = (norm - self.mean) / max(deviation, 1e-12)
        limit = self.mean + self.threshold**2 / z * deviation if z > self.threshold else norm
        kept = min(norm, limit)
        self.mean = self.beta * self.mean + (1 - self.beta) * kept
        self.variance = self.beta * self.variance + (1 - self.beta) * (kept - self.mean) ** 2
        return limit


class PerTensor(Clipper):
    """AdaGC: each tensor against the running norm of its own gradient."""

    def __init__(self, factor: float = 1.05, beta: float = 0.98, warm: int = CLIPPERS_LEARN["per_tensor"]):
        self.factor, self.beta, self.warm = factor, beta, warm
        self.steps = 0
        self.usual: list[float] = []  # of each tensor with a gradient, in the model's order

    def cut(self, parameters: list[nn.Parameter], norm: float, max_norm: float) -> None:
        norms = [p.grad.norm().item() for p in parameters]
        self.steps += 1
        if self.steps <= self.warm or len(self.usual) != len(norms):
            torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, torch.tensor(norm))
            kept = [value * min(1.0, max_norm / max(norm, 1e-12)) for value in norms]
            known = self.usual if len(self.usual) == len(kept) else kept
            self.usual = [min(pair) for pair in zip(known, kept, strict=True)]
            return
        for index, (parameter, value) in enumerate(zip(parameters, norms, strict=True)):
            scale = min(1.0, self.factor * self.usual[index] / max(value, 1e-12))
            parameter.grad.mul_(scale)
            self.usual[index] = self.beta * self.usual[index] + (1 - self.beta) * scale * value


class Spike(Clipper):
    """A tenth of `clip_norm` where the norm is `GRADIENT_SPIKE` × its running mean or more."""

    def __init__(self, harder: float = 10.0, beta: float = 0.99):
        self.harder, self.beta = harder, beta
        self.mean = 0.0

    def limit(self, norm: float, max_norm: float) -> float:
        if self.mean and norm > GRADIENT_SPIKE * self.mean:
            return max_norm / self.harder
        self.mean = self.beta * self.mean + (1 - self.beta) * norm if self.mean else norm
        return max_norm


CLIPPERS: dict[str, type[Clipper]] = {
    "percentile": Percentile,
    "zscore": ZScore,
    "per_tensor": PerTensor,
    "spike": Spike,
}
