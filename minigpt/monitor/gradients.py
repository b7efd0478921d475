"""Gradient norms of a loop that is not ours, read when a backward pass ends and nobody has clipped yet.

Every update of every run pays for this, so it does the least that works: the list of parameters is made once,
and one callback of the autograd engine stands in for a hook on each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


class Gradients:
    """The gradients of some parameters, and a call when a backward pass has filled them."""

    def __init__(self, parameters: Iterable[nn.Parameter], on_filled: Callable[[], None]):
        self._parameters = list(parameters)
        self._on_filled = on_filled
        self._queued = False
        self._handles: list = []

    def call_at_the_end(self, _parameter: nn.Parameter | None = None) -> None:
        """Ask for the call when the backward pass that is going on has ended."""
        if not self._queued:
            self._queued = True
            torch.autograd.Variable._execution_engine.queue_callback(self._end)

    def watch_each(self) -> None:
        """Ask at every gradient that comes, for a model whose logits nobody has seen yet."""
        learning = [parameter for parameter in self._parameters if parameter.requires_grad]
        self._handles = [p.register_post_accumulate_grad_hook(self.call_at_the_end) for p in learning]

    def remove(self) -> None:
        """Take every hook away."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _end(self) -> None:
        self._queued = False
        self._on_filled()

    def norms(self) -> tuple[Tensor, Tensor | None]:
        """Return the norm of all gradients and that of the first, sparse ones left out; waits for no GPU."""
        each = _norms(self._dense())
        return torch.linalg.vector_norm(each), each[0] if len(each) else None

    def first_norm(self) -> Tensor | None:
        """Return the norm of the first gradient."""
        first = next(iter(self._dense()), None)
        return None if first is None else torch.linalg.vector_norm(first.detach().float())

    def _dense(self) -> Iterable[Tensor]:
        return (p.grad for p in self._parameters if p.grad is not None and not p.grad.is_sparse)


def total_norm(tensors: Iterable[Tensor]) -> Tensor:
    """Return the norm of all elements of `tensors` together, () in float32; 0 without a tensor."""
    return torch.linalg.vector_norm(_norms(tensors))


@torch.no_grad()
def _norms(tensors: Iterable[Tensor]) -> Tensor:
    """(n,) norms in float32, on the device of the first tensor."""
    each = [torch.linalg.vector_norm(t if t.dtype == torch.float32 else t.float()) for t in tensors]
    if len({norm.device for norm in each}) > 1:
        each = [norm.to(each[0].device) for norm in each]
    return torch.stack(each) if each else torch.zeros(0)
