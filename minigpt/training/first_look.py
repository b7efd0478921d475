"""A first look at what a run is made of: its first batches, the rows of one, and who holds its weights.

    first_look(model, optimizer, batch_at, steps=200, accumulation=1)

Batches are a function of their place, so those of the first steps can be drawn before the run. The model is a
copy in evaluation mode, and torch's random state is put back.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.data.batches import Batch
from minigpt.model.state import memory_of
from minigpt.training.instruments.outside import leaves_of, outside
from minigpt.training.instruments.repetition import checksum, repetition
from minigpt.training.instruments.rows import rows_apart
from minigpt.training.instruments.target_kinds import TargetKinds

DRAWN = 24  # steps whose batches are drawn

BatchAt = Callable[[int, int], Batch]  # (step, micro-batch) -> batch


def first_look(
    model: nn.Module, optimizer: torch.optim.Optimizer, batch_at: BatchAt, steps: int, accumulation: int
) -> dict[str, Any]:
    """Return the evidence of `minigpt.runs.schema.Observed` that can be had before the first step.

    Args:
        batch_at: returns a micro-batch, (B, T), as the run trains on it.
        steps: in the run.
        accumulation: micro-batches in a step.
    """
    with torch.random.fork_rng(devices=[]):
        held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        twin, held = copy.deepcopy((model, held))  # together, so that it is known who holds what
        twin.eval()
        first = [batch_at(0, micro) for micro in range(accumulation)]
        found = {
            **_of_batches(batch_at, min(steps, DRAWN), accumulation),
            "later": _of_rows(twin, torch.cat([batch.inputs for batch in first])),
            "outside": outside(twin, leaves_of(twin(first[0].inputs[:1])), held),
        }
    return {name: value for name, value in found.items() if value}


def _of_batches(batch_at: BatchAt, steps: int, accumulation: int) -> dict[str, Any]:
    kinds, sums, twice = TargetKinds(), [], 0
    for batches in _drawn(batch_at, steps, accumulation):
        for batch in batches:
            kinds.add(batch.inputs, batch.mask.bool(), batch.targets)  # a mask may hold weights, NaN too
        sums.append(tuple(checksum(batch.inputs.cpu()) for batch in batches))
        twice += len(set(sums[-1])) < accumulation
    batches = repetition(sums, kinds.is_stream)
    if batches:
        batches["accumulated_twice"] = twice / len(sums)
    return {"kinds": kinds.evidence(), "batches": batches}


def _drawn(batch_at: BatchAt, steps: int, accumulation: int) -> Iterator[list[Batch]]:
    """Yield the micro-batches of each step, up to one that cannot be drawn: the run itself will tell."""
    for step in range(steps):
        try:
            yield [batch_at(step, micro) for micro in range(accumulation)]
        except Exception:
            return


@torch.no_grad()
def _of_rows(model: nn.Module, inputs: Tensor) -> dict[str, float] | None:
    """Ask whether rows are told apart; of a memory that is declared, `statefulness` asks more."""
    others = (inputs != inputs[0]).any(1).nonzero()
    if not len(others) or memory_of(model):
        return None
    pair = inputs[[0, int(others[0])]]
    return rows_apart(lambda *rows: model(pair[list(rows)]))
