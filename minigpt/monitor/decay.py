"""How hard weight decay pulls at the matrices, and how far they have shrunk.

Decay that stands beside the update, and that of SGD, takes rate × decay of a weight in each step. Inside the
gradient of an optimizer that divides by the size of gradients it acts otherwise: what has hardly any other
gradient shrinks by about the rate in each step, whatever the decay, down to nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from minigpt.monitor.optimizers import parameters_of

MOST = 8  # matrices that are followed
PLAIN = ("SGD",)  # optimizers that do not divide by the size of gradients


class DecayWatch:
    """Looks at some steps, and follows the size of some matrices.

    Tables of tokens are left out: rows that never come shrink inside Adam whatever the decay.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer):
        tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
        whole = [p for p in parameters_of(optimizer) if type(p.detach()) is Tensor]  # not one shard of it
        matrices = [p for p in whole if p.ndim >= 2 and id(p) not in tables and p.device.type != "meta"]
        self._sampled = matrices[:: max(1, len(matrices) // MOST)][:MOST]
        self._sizes: list[float] | None = None  # before the first step
        self._pulls: list[float] = []
        self._taken = 0.0  # rate × decay, added up over the steps
        self._before = (0, 0.0)  # the step of the newest look, and rate × decay there
        self._coupled = False
        self._shrunk: float | None = None

    def note(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Look at a step that is about to be made; between two looks the pull is a straight line."""
        strongest = max((_pull(group) for group in optimizer.param_groups), default=0.0)
        at, pull = self._before
        self._taken += (step - at) * (pull + strongest) / 2
        self._before = (step, strongest)
        if self._sizes is None:
            self._sizes = _sizes(self._sampled)
            ours = type(optimizer).__module__.startswith(
                "torch.optim"
            )  # others may do with it what they like
            self._coupled = type(optimizer).__name__ not in PLAIN and any(
                (group.get("decoupled_weight_decay") is False or not ours)
                and _number(group.get("weight_decay"))
                for group in optimizer.param_groups
            )
        else:
            self._pulls.append(strongest)
            ratios = [
                now / before for now, before in zip(_sizes(self._sampled), self._sizes, strict=True) if before
            ]
            self._shrunk = sorted(ratios)[len(ratios) // 2] if ratios else None

    def evidence(self) -> dict[str, Any] | None:
        """Return the usual pull of a step, and how far the matrices have shrunk; None before a look."""
        if not self._pulls:
            return None
        return {
            "pull": sorted(self._pulls)[len(self._pulls) // 2],
            "taken": self._taken,
            "inside": self._coupled,
            "shrunk": self._shrunk,
        }


def _pull(group: dict[str, Any]) -> float:
    """Return the share of a weight that the decay of one step takes."""
    found = _number(group.get("d")) or 1.0  # the rate that Prodigy and D-Adaptation found, × lr
    pull = found * _number(group.get("lr")) * _number(group.get("weight_decay"))
    momentum = _number(group.get("momentum"))
    return pull / (1 - momentum) if 0 < momentum < 1 else pull


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | Tensor) else 0.0


@torch.no_grad()
def _sizes(tensors: list[Tensor]) -> list[float]:
    return [float(torch.linalg.vector_norm(t.detach().float())) for t in tensors]
