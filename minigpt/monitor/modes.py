"""Is dropout on while a model learns, and off while it is evaluated?

Looks at the `training` flag of one part that acts differently in the two modes, and at that of the whole
model, at every forward pass. A part may be kept in evaluation mode on purpose; a whole model that has dropout
and never uses it was put into evaluation mode by somebody else: by an evaluation before the first step, or by
the call that loaded it.
"""

from __future__ import annotations

from typing import Any

from torch import nn

FEWEST = 5  # steps in a mode before it counts as the one that was left on


class Modes:
    """Counts forward passes by mode, with gradients and without."""

    def __init__(self, model: nn.Module):
        parts = [(name, module) for name, module in model.named_modules() if _acts_differently(module)]
        # a part that is frozen may be kept in evaluation mode on purpose
        learning = [
            pair for pair in parts if any(p.requires_grad for p in _home(model, pair[0]).parameters())
        ]
        self.name, self._part = (learning or parts or [("", None)])[0]
        self._model = model
        self._whole_off = 0  # steps that were made while the whole model was in evaluation mode
        rates = [(_rate(module), name) for name, module in learning or parts]
        self._rate, self._highest = max(rates, default=(0.0, ""))
        self._learning: list[bool] = []  # by step, whether it was made in training mode
        self._now: bool | None = None
        self._looked: bool | None = None  # whether the newest pass without gradients was in training mode
        self._evaluations: list[bool] = []

    def note(self, with_gradients: bool) -> None:
        """Note a forward pass."""
        if self._part is None:
            return
        if with_gradients:
            self._now = self._part.training
        else:
            self._looked = self._part.training

    def end_step(self) -> None:
        """Close a step."""
        if self._now is not None:
            self._learning.append(self._now)
            self._whole_off += not (self._now or self._model.training)
            self._now = None

    def note_evaluation(self) -> None:
        """A validation loss came, of the passes without gradients just before it."""
        if self._looked is not None:
            self._evaluations.append(self._looked)
            self._looked = None

    def evidence(self) -> dict[str, Any] | None:
        """Return in which modes it learnt and was evaluated, None where the two modes do not differ."""
        if self._part is None or len(self._learning) < FEWEST:
            return None
        steps, off = len(self._learning), self._learning.count(False)
        left = next((step for step, training in enumerate(self._learning) if not training), None)
        return {
            "name": self.name,
            "steps": steps,
            "off": off / steps,
            "left_at": left,
            "began_on": self._learning[0],
            "whole_off": self._whole_off / steps,
            "rate": self._rate if off < steps else 0.0,  # the highest, of what was in use
            "highest": self._highest,
            "evaluations": len(self._evaluations),
            "evaluated_on": self._evaluations.count(True),
        }


def _acts_differently(module: nn.Module) -> bool:
    return _rate(module) > 0


def _rate(module: nn.Module) -> float:
    """Return the share of its input that a module drops in training mode."""
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return float(module.p)
    rate = getattr(module, "dropout", 0.0)
    return rate if isinstance(rate, float) and 0.0 < rate < 1.0 else 0.0


def _home(model: nn.Module, name: str) -> nn.Module:
    """Return the module that a part belongs to."""
    return model.get_submodule(name.rpartition(".")[0]) if name else model
