"""Does a model look ahead? One training batch is used once more, on a few rows, and nothing is changed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

ROWS = 2  # sequences that are looked at
PLACES = 4  # last logits of a row that are asked what they see
PLAIN = (bool, int, float, str, type(None), Tensor)


@dataclass(frozen=True)
class Call:
    """What a model was called with; `ids` are the tokens, (B, T), where they are among the arguments."""

    arguments: tuple
    named: dict[str, Any]
    ids: Tensor | None


def future_gradient(
    model: nn.Module,
    call: Call,
    mask: Tensor,
    embeddings: list[nn.Module],
    head: nn.Module | None,
    logits_in: Callable[[Any], Tensor | None],
    learning: bool = False,
) -> float | None:
    """Return the largest gradient of logits with respect to embeddings of later tokens; 0 in a causal model.

    The model runs in evaluation mode, or with `learning` in the one it is in; modes and random states are put
    back, and no `.grad` is written. Only logits that count are asked, by `mask` (B, T): the beginning of a
    sequence may be read as a whole.

    Returns:
        None where embeddings or logits cannot be caught.
    """
    counted = mask[0].nonzero()[:, 0]
    T = mask.shape[1]
    early = counted[counted < T // 2]
    early = early if len(early) else counted[:1]
    if not len(early) or (split := max(T // 2, int(early[-1]) + 1)) >= T:
        return None
    gradients = _gradients(model, call, mask, embeddings, head, logits_in, (0, early), learning)
    later = [gradient[0, split:].abs().max().item() for gradient in gradients]
    return max(later, default=None)


def past_gradient(
    model: nn.Module,
    call: Call,
    mask: Tensor,
    embeddings: list[nn.Module],
    head: nn.Module | None,
    logits_in: Callable[[Any], Tensor | None],
) -> float | None:
    """Return the largest gradient of some logits with respect to embeddings of earlier tokens of their row.

    As `future_gradient`, whose arguments it has. 0 where no token reaches the predictions after it.
    """
    counted = mask[0].nonzero()[:, 0]
    at = counted[counted > 0][-PLACES:]
    if not len(at):
        return None
    gradients = _gradients(model, call, mask, embeddings, head, logits_in, (slice(None), at))
    earlier = [gradient[:, : int(at[0])].abs().max().item() for gradient in gradients]
    return max(earlier, default=None)


def _gradients(
    model: nn.Module,
    call: Call,
    mask: Tensor,
    embeddings: list[nn.Module],
    head: nn.Module | None,
    logits_in: Callable[[Any], Tensor | None],
    asked: tuple[int | slice, Tensor],
    learning: bool = False,
) -> list[Tensor]:
    """Return the gradients of some logits by the embeddings, (rows, T, d) each; none if not caught.

    Args:
        asked: rows and positions of the logits, of the first `ROWS` rows.
    """
    devices = [call.ids.device] if call.ids.is_cuda else []
    with torch.random.fork_rng(devices), torch.enable_grad(), left_as_it_is(model), not_compiled():
        if not learning:
            model.eval()
        rows = torch.arange(min(len(mask), ROWS), device=call.ids.device)
        embedded, logits = run_rows(model, call, embeddings, head, logits_in, rows)
        T = mask.shape[1]
        if logits is None or logits.ndim != 3 or len(logits) != len(rows) or logits.shape[1] < T:
            return []
        logits = logits[:, logits.shape[1] - T :]  # behind a prefix that is no token
        # any fixed mixture of logits, so that opposite effects do not cancel
        direction = torch.linspace(-1, 1, logits.shape[-1], device=logits.device)
        mixed = (logits[asked].float() * direction).sum()
        found = torch.autograd.grad(mixed, embedded, allow_unused=True)
    return [gradient for gradient in found if gradient is not None]


def not_compiled() -> AbstractContextManager:
    """Return a context in which nothing is compiled again for rows that are fewer than those of the run."""
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


@contextmanager
def left_as_it_is(model: nn.Module) -> Iterator[None]:
    """Put back what a forward pass may change: modes, buffers, and plain attributes such as counters."""
    plain = [
        (module, {name: value for name, value in vars(module).items() if isinstance(value, PLAIN)})
        for module in model.modules()
    ]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for module, values in plain:
            vars(module).update(values)
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)


def run_rows(
    model: nn.Module,
    call: Call,
    embeddings: list[nn.Module],
    head: nn.Module | None,
    logits_in: Callable[[Any], Tensor | None],
    rows: Tensor,
) -> tuple[list[Tensor], Tensor | None]:
    """Run some `rows` of a call; return the embeddings that the logits are made for, and the logits."""
    count = len(call.ids)
    arguments = tuple(_chosen(value, count, rows) for value in call.arguments)
    named = {name: _chosen(value, count, rows) for name, value in call.named.items()}
    embedded: list[tuple[Tensor, Tensor]] = []
    made: list[Tensor] = []

    def catch(_module: nn.Module, arguments: tuple, output: Tensor) -> Tensor:
        embedded.append((arguments[0], output.detach().requires_grad_(torch.is_grad_enabled())))
        return embedded[-1][1]

    handles = [table.register_forward_hook(catch, prepend=True) for table in embeddings]  # before any other
    if head is not None:
        handles.append(head.register_forward_hook(lambda *call: made.append(call[2])))
    try:
        output = model(*arguments, **named)
    finally:
        for handle in handles:
            handle.remove()
    logits = logits_in(output)
    if not embedded:
        return [], logits if logits is not None else made[-1] if made else None
    # an encoder reads all of its tokens, and a decoder only the past of its own
    newest = embedded[-1][0]
    return [table for ids, table in embedded if torch.equal(ids, newest)], (
        logits if logits is not None else made[-1] if made else None
    )


def _chosen(value: Any, count: int, rows: Tensor) -> Any:
    """Return some rows of an argument, also of what goes on from step to step, (B, …) or (layers, B, …)."""
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(_chosen(part, count, rows) for part in value)
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    if value.is_leaf and value.requires_grad:
        return value  # learnt, as a soft prompt is, and no row of it belongs to a row of the batch
    if value.shape[0] == count:
        return value[rows]
    second = value.is_floating_point() and value.ndim > 2 and value.shape[1] == count
    return value[:, rows].contiguous() if second else value
