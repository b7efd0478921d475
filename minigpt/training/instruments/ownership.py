"""Who writes the weights? Checksums at the end of a step and before the next update must be the same.

A clamp after the step, a local learning rule in the forward pass, weights that are loaded or averaged in: the
optimizer's moments and its decay know nothing of them. The sums are of the bits, so that no change is too
small; averages that are kept in a copy change nothing here. Writes that the recipe declares (plasticity)
stand between `compare` and `note`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

MOST = 8  # names that are kept

WIDTHS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes of an element


@torch.no_grad()
def checksums(parameters: list[nn.Parameter]) -> Tensor:
    """Return one whole number for each tensor, (n,): the sum of its bits."""
    return torch.stack([_whole_numbers(p.detach()).sum(dtype=torch.int64) for p in parameters])


def _whole_numbers(tensor: Tensor) -> Tensor:
    """Return the bits of a tensor as integers, of 8 bytes where that can be: those are quicker to sum."""
    size = tensor.element_size()
    if tensor.is_contiguous() and tensor.numel() * size % 8 == 0 == tensor.storage_offset() * size % 8:
        return tensor.view(-1).view(torch.int64)
    return tensor.view(WIDTHS[size])


class Ownership:
    """Compares the weights after one update with those before the next, at the optimizer's hooks."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer):
        self._names = [name for name, _ in model.named_parameters()]
        self._parameters = list(model.parameters())
        self.due = True  # whether the weights are summed after the next update
        self.changed: list[str] = []
        self._after_update: Tensor | None = None
        self._open = False  # whether a comparison stopped for declared writes
        self._handles = [
            optimizer.register_step_pre_hook(self.compare),
            optimizer.register_step_post_hook(self._after),
        ]

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()

    def forget(self) -> None:
        """A guard put other weights back: the stretch that is open tells nothing."""
        self._after_update = None

    def take(self) -> dict[str, Any]:
        """Return the tensors that changed in a stretch since this was asked last."""
        found, self.changed = {"changed": self.changed[:MOST]}, []
        return found

    def compare(self, *_call: Any) -> None:
        """Compare the weights with those that were noted, and forget these."""
        self._open = self._after_update is not None
        if self._after_update is None:
            return
        now = checksums(self._parameters)
        if not torch.equal(now, self._after_update):
            differ = (now != self._after_update).nonzero().flatten().tolist()
            self.changed += [self._names[at] for at in differ if self._names[at] not in self.changed]
        self._after_update = None

    def note(self) -> None:
        """Note the weights after declared writes, where a comparison was open before them."""
        if self._open:
            self._open, self._after_update = False, checksums(self._parameters)

    def _after(self, *_call: Any) -> None:
        if self.due:
            self.due, self._after_update = False, checksums(self._parameters)
