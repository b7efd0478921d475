"""Gradient norms of an external loop, read when a backward pass has ended, before clipping.

Every update of every run pays for this, so it does the least that works: the list of parameters is made once,
and one callback of the autograd engine stands in for a hook on each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from minigpt.monitor.hook import Hook

FOLLOWED = 8  # parameters of which it is followed what is left of their gradients
COPIED = 65_536  # numbers that are copied together faster than they are gone through one tensor at a time


class Gradients:
    """The gradients of some parameters, and a call when a backward pass has ended.

    `on_ended(filled, afresh)` is told whether it left gradients, which `torch.autograd.grad` does not, and
    whether there was none when it began. One parameter is the witness of both: the last that a backward pass
    comes to, so that it has come to none when it comes to the logits.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        on_ended: Callable[[bool, bool], None],
        on_error: Callable[[Exception], None],
    ):
        self._parameters = list(parameters)
        few = sum(parameter.numel() for parameter in self._parameters) <= COPIED
        self._copied = few and all(map(_plain, self._parameters))
        self._on_ended, self._on_error = on_ended, on_error
        self._queued = self._filled = self._from_logits = False
        self._witness: nn.Parameter | None = None
        self._before: tuple[Tensor | None, int] = (None, 0)  # the witness's gradient and its version
        # twice, so that what reduces gradients among processes, and is queued in between, is done
        self._again = torch.distributed.is_available() and torch.distributed.is_initialized()
        self._handles: list = []
        self._steps: list[tuple[Tensor, Tensor]] = []  # norms after backward and at the step
        self.resting = False  # whether the witness alone tells of a backward pass
        self.closely = True  # a gradient of zeros counts as none; to see it may mean to wait for a GPU

    def call_at_the_end(self) -> None:
        """Ask to be called when the current backward pass, which has filled nothing yet, has ended."""
        if not self._from_logits:
            self._from_logits = True
            left = self._witness.grad if self._witness is not None else None
            self._before = (left, left._version if left is not None else 0)
            self._afresh = left is None or self.closely and not left.any()
        if not self._queued:
            self._queue()

    def watch_each(self) -> None:
        """Ask at every gradient that comes, for a model whose logits nobody has seen yet."""
        hook = Hook(self._note_filled, self._on_error)
        learning = [parameter for parameter in self._parameters if parameter.requires_grad]
        self._handles = [parameter.register_post_accumulate_grad_hook(hook) for parameter in learning]

    def watch_witness(self) -> bool:
        """Let the witness tell of a backward pass while `resting`; return whether there is one."""
        if self._witness is None or not self._witness.requires_grad:
            return False
        self._handles.append(self._witness.register_hook(Hook(self._note_witness, self._on_error)))
        return True

    def _note_witness(self, _gradient: Tensor) -> None:
        if self.resting:  # else the logits have told
            self.call_at_the_end()

    def remove(self) -> None:
        """Take every hook away."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def forget(self) -> None:
        """Expect no more of a backward pass that was broken off by an error."""
        self._queued = self._from_logits = False

    def _note_filled(self, parameter: nn.Parameter) -> None:
        if not self._queued:
            self._queue()
        self._filled = True
        self._last = parameter

    def _queue(self, again: bool = False) -> None:
        self._queued = True
        ended = self._end if again or not self._again else lambda: self._queue(again=True)
        torch.autograd.Variable._execution_engine.queue_callback(ended)

    def _end(self) -> None:
        self._queued = False
        try:
            filled, self._filled = self._filled or self._witness_changed(), False
            if filled and self._from_logits and self.closely:
                self._witness = self._last
            afresh, self._from_logits = self._from_logits and self._afresh, False
            self._on_ended(filled, afresh)
        except Exception as error:
            self._on_error(error)

    def _witness_changed(self) -> bool:
        witness = self._witness
        if witness is None:
            return False
        if not witness.requires_grad:  # frozen meanwhile: it tells nothing any more
            return True
        left, version = self._before
        return witness.grad is not left or left is not None and left._version != version

    def norm(self) -> Tensor | None:
        """Return the norm of all gradients, sparse ones left out, None without any; waits for no GPU."""
        gradients = [gradient for p in self._parameters if (gradient := p.grad) is not None]
        try:
            return self._norm(gradients)
        except RuntimeError:  # rarely, so not asked each time
            return self._norm([gradient for gradient in gradients if not gradient.is_sparse])

    def _norm(self, dense: list[Tensor]) -> Tensor | None:
        if not dense:
            return None
        found = torch.linalg.vector_norm(
            torch._C._nn.flatten_dense_tensors(dense) if self._copied else _norms(dense)
        )
        return found.detach() if found.requires_grad else found

    def note_step(self, before: Tensor | None) -> None:
        """Note what an optimizer finds as it steps, where the norm was `before` after the backward pass."""
        if before is not None and (now := self.norm()) is not None:
            self._steps.append((before, now))

    @property
    def emptied(self) -> bool:
        """Whether nothing was ever left of the gradients when the optimizer stepped."""
        return bool(self._steps) and all(before > 0 and now == 0 for before, now in self._steps)

    def first_norm(self) -> Tensor | None:
        """Return the norm of the first gradient."""
        dense = (g for p in self._parameters if (g := p.grad) is not None and not g.is_sparse)
        first = next(dense, None)
        return None if first is None else torch.linalg.vector_norm(first.detach().float())


class Leftovers:
    """What is left of gradients when the backward passes of the next step add to them, of a few parameters.

    A gradient that is cleared before any backward pass of a step is cleared, whatever happened before: a step
    may have been tried in vain, or the gradient may have been looked at for another purpose.
    """

    def __init__(self, parameters: list[nn.Parameter], on_error: Callable[[Exception], None]):
        learning = [parameter for parameter in parameters if parameter.requires_grad]
        followed = learning[:: max(len(learning) // FOLLOWED, 1)][:FOLLOWED]
        before, after = (Hook(call, on_error) for call in (self._before, self._after))
        self._left: dict[int, Tensor | float] = {}  # by parameter, in this backward pass
        self._least: dict[int, list[Tensor | float]] = {}  # by parameter, in each backward pass of this step
        self._steps: list[list[list[Tensor | float]]] = []
        self._handles = [
            handle
            for parameter in followed
            for handle in (
                parameter.register_hook(_Bound(before, parameter)),
                parameter.register_post_accumulate_grad_hook(after),
            )
        ]

    def _before(self, parameter: nn.Parameter, _gradient: Tensor) -> None:
        left = parameter.grad
        dense = left is not None and not left.is_sparse
        self._left[id(parameter)] = torch.linalg.vector_norm(left.detach().float()) if dense else 0.0

    def _after(self, parameter: nn.Parameter) -> None:
        if id(parameter) in self._left:
            self._least.setdefault(id(parameter), []).append(self._left.pop(id(parameter)))

    def end_step(self) -> None:
        """Begin with the next step."""
        self._steps.append(list(self._least.values()))
        self._least = {}

    def remove(self) -> None:
        """Take every hook away."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def largest(self) -> float | None:
        """Return the largest norm that any step but the first found, None where none was seen."""
        found = [min(map(float, passes)) for step in self._steps[1:] for passes in step]
        return max(found, default=None)


class _Bound:
    """A hook of a tensor that is told whose it is."""

    def __init__(self, hook: Hook, parameter: nn.Parameter):
        self._hook, self._parameter = hook, parameter

    def __call__(self, gradient: Tensor) -> None:
        self._hook(self._parameter, gradient)


def _plain(parameter: nn.Parameter) -> bool:
    on_cpu = parameter.device.type == "cpu" and parameter.dtype == torch.float32
    return on_cpu and type(parameter) is nn.Parameter


def _norms(gradients: list[Tensor]) -> Tensor:
    """(n,) norms in float32, on the device of the first gradient."""
    each = torch._foreach_norm([g if g.dtype == torch.float32 else g.float() for g in gradients])
    try:
        return torch.stack(each).detach()
    except RuntimeError:  # a model on several devices
        return torch.stack([one.detach().to(each[0].device) for one in each])
