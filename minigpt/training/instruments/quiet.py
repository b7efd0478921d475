"""Calling a model so that nothing of the run notices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from minigpt.model.state import load_memory, memory_of


@contextmanager
def undisturbed(model: nn.Module, training: bool = False) -> Iterator[None]:
    """Put mode, memory and torch's random state of the CPU and the model's device back afterwards."""
    was_training, memory = model.training, memory_of(model)
    device = next(model.parameters()).device
    devices = [device] if device.type == "cuda" else []
    model.train(training)
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        model.train(was_training)
        _put_back(model, memory, training)


def _put_back(model: nn.Module, memory: Mapping[str, Tensor], training: bool) -> None:
    if not memory:
        return
    now = memory_of(model)
    changed = any(not torch.equal(now[name], tensor) for name, tensor in memory.items() if name in now)
    # a pass in training mode may have proposed what to remember, which no memory shows yet
    if changed or training:
        load_memory(model, memory)


@torch.no_grad()
def quietly(model: nn.Module, inputs: Tensor) -> Tensor:
    """Return the logits of `inputs`, (B, T, V), in evaluation mode."""
    with undisturbed(model):
        return model(inputs)
