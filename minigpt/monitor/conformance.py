"""Questions that are asked of the model itself again while it learns: a mask may hold only at the start.

Does a row's result depend on its neighbours in the batch, or on its own place among them? And does the model
still see only the past? A few rows of the newest batch are run once more, in evaluation mode; modes, buffers
and random states are put back (`minigpt.monitor.future`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.model.state import load_memory, memory_of
from minigpt.monitor.attention_seen import ScoresSeen
from minigpt.monitor.future import Call, left_as_it_is, not_compiled, run_rows
from minigpt.training.instruments.rows import rows_apart

SINGLE = {torch.float32: 1e-3, torch.float64: 1e-3}  # relative change of logits that rounding does not make
HALF = 0.1
DUE = (10, 100, 300)  # steps with which the questions are asked again; then
EVERY = 1000


def due(step: int) -> bool:
    """Return whether the questions are asked again with this step, counted from 0."""
    return step in DUE or step % EVERY == 0 and step > 0


def mixing(
    model: nn.Module,
    call: Call,
    embeddings: list[nn.Module],
    head: nn.Module | None,
    logits_in: Callable[[Any], Tensor | None],
) -> dict[str, float]:
    """Return what `rows_apart` says of two rows of the newest batch, and what `ScoresSeen` saw of attention.

    Nothing where rows cannot be told apart, or the model remembers what it was asked.
    """
    ids = call.ids
    rows, length = ids.shape
    others = [value for value in (*call.arguments, *call.named.values()) if value is not ids]
    ambiguous = rows == length and any(isinstance(other, Tensor) and other.ndim for other in others)
    if rows < 2 or ambiguous or torch.equal(ids[0], ids[1]):
        return {}
    devices, before = [ids.device] if ids.is_cuda else [], memory_of(model)

    def run(*order: int) -> Tensor | None:
        at = torch.tensor(order, device=ids.device)
        _, logits = run_rows(model, call, embeddings, head, logits_in, at)
        fits = logits is not None and logits.ndim == 3 and len(logits) == len(order)
        return logits.float() if fits else None

    with torch.random.fork_rng(devices), torch.no_grad(), left_as_it_is(model), not_compiled():
        model.eval()
        changes = rows_apart(run)
        with ScoresSeen() as seen:  # by itself, for torch rounds otherwise while it is looked at
            run(0, 1)
    after = memory_of(model)
    if any(not torch.equal(tensor, after[name]) for name, tensor in before.items()):
        load_memory(model, before)
        return {}  # it writes to its memory in evaluation, which is another fault, and rows may meet there
    return {} if changes is None else seen.figures() | changes


def tolerance(model: nn.Module) -> float:
    """Return the change of logits that may be rounding."""
    kinds = {parameter.dtype for parameter in model.parameters()}
    half = torch.is_autocast_enabled() or torch.is_autocast_enabled("cpu")
    return max(HALF if half else 0.0, *(SINGLE.get(kind, HALF) for kind in kinds))
