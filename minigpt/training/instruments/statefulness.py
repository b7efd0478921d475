"""Does a model remember what it should not? Deterministic experiments on a copy.

    same_batch         one batch, another one, and the first again: the largest difference of its logits
    row_alone          a row alone against the same row in its batch
    evaluation_writes  whether evaluation changed what lasts from step to step
    rng_writes         whether two random seeds, with dropout off, lead to other memories

Differences are in standard deviations of the logits. A model without memory gives 0, rounding apart; it is
asked all the same, for a state may hide in an attribute that nobody declared.
"""

from __future__ import annotations

import copy
import random
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.model.state import commit_memory, memory_of

ROWS = 4
PASSES = 50  # steps without an update: a write of a chance of 10 % is missed by half a percent of such series


def statefulness(model: nn.Module, inputs: Tensor, others: Tensor) -> dict[str, Any]:
    """Return the evidence of `minigpt.runs.schema.Statefulness`.

    Args:
        inputs, others: two batches of token ids, (B, T) each.
    """
    inputs, others = inputs[:ROWS], others[:ROWS]
    devices = [inputs.device] if inputs.is_cuda else []
    with torch.random.fork_rng(devices), torch.no_grad():
        twin = copy.deepcopy(model).eval()
        before = memory_of(twin) | _buffers(twin)
        first = twin(inputs)
        twin(others)
        again = twin(inputs)
        alone = twin(inputs[:1])
        spread = first.float().std().clamp(min=1e-12)
        found: dict[str, Any] = {
            "same_batch": ((again - first).abs().max() / spread).item(),
            "row_alone": ((alone - again[:1]).abs().max() / spread).item(),
            "evaluation_writes": _differ(before, memory_of(twin) | _buffers(twin)),
        }
        if memory_of(model):
            one, other = (_after_passes(model, (inputs, others), seed) for seed in (1, 2))
            found["rng_writes"] = _differ(one, other)
    return found


def _after_passes(model: nn.Module, batches: tuple[Tensor, Tensor], seed: int) -> dict[str, Tensor]:
    twin = copy.deepcopy(model).train()
    for module in twin.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    python_state = random.getstate()
    random.seed(seed)
    torch.manual_seed(seed)
    for index in range(PASSES):
        twin(batches[index % 2])
        commit_memory(twin, index)
    random.setstate(python_state)
    return memory_of(twin)


def _buffers(model: nn.Module) -> dict[str, Tensor]:
    return {f"buffer {name}": buffer.clone() for name, buffer in model.named_buffers()}


def _differ(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    if one.keys() != other.keys():
        return True
    return any(not torch.equal(tensor, other[name]) for name, tensor in one.items())
