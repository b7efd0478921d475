"""Faults of a memory that lasts from step to step, and of what regulates it. All need `mixer` memory.

Each replaces one rule of `minigpt.model.mixers.memory` by what public code does, or did.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING

from minigpt.faults.fault import Fault

if TYPE_CHECKING:
    from torch import Tensor

    from minigpt.model.mixers.memory import Memory

SHARP = 0.01  # temperature of a gate that lets one source take all
FEEDBACK = 0.3  # of what the memory reads from itself is added to it at each write
KEPT = 0.25  # of the rows that a selection over the batch leaves at each position


def _each_layer(change: Callable[[Memory], None]) -> Callable:
    """Return a patch of `build_model` that changes every memory of the model."""

    def patch(build_model, recipe, severity):
        from minigpt.model.mixers.memory import Memory

        def model_with_another_memory(config):
            model = build_model(config)
            for module in model.modules():
                if isinstance(module, Memory):
                    change(module)
            return model

        return model_with_another_memory

    return patch


def _collapsing_gate(build_model, recipe, severity):
    def sharpen(layer: Memory) -> None:
        layer.gate.kind, layer.gate.temperature = "softmax", severity

    return _each_layer(sharpen)(build_model, recipe, severity)


def _writes_every_step(layer: Memory) -> None:
    """Consolidate after each step, by whatever rule the config asks for otherwise."""
    layer.due = lambda step: True


def _feedback(layer: Memory) -> None:
    def write_back(self, keys, values, step):
        type(self).write(self, keys, values, step)
        taken = self.keys[: self.count]
        weights = (taken @ taken.mT / taken.shape[1] ** 0.5).softmax(-1)
        self.values[: self.count] += FEEDBACK * (weights @ self.values[: self.count])

    layer.long_term.write = MethodType(write_back, layer.long_term)
    _writes_every_step(layer)


def _saturation(layer: Memory) -> None:
    def write_the_first_again(self, keys, values, step):
        type(self).write(self, keys[:1].expand_as(keys), values[:1].expand_as(values), step)

    layer.long_term.novel = False
    layer.long_term.write = MethodType(write_the_first_again, layer.long_term)
    _writes_every_step(layer)


def _leak(layer: Memory) -> None:
    """Keep the short-term memory from batch to batch, as a list on the module does."""

    def read_with_what_was_kept(self, query, keys, values, state):
        kept = self.kept if state is None else state
        if kept is None or len(kept.short.keys) != len(query):
            kept = self.init_state(len(query))
        if state is None:
            self.kept = kept
        read, weights, some = type(self)._read_short_term(self, query, keys, values, kept)
        return read, weights[..., -keys.shape[1] :], some

    layer.kept = None
    layer._read_short_term = MethodType(read_with_what_was_kept, layer)


def _written_in_evaluation(layer: Memory) -> None:
    """Write in every forward pass, whatever the mode, and do not wait for the step."""

    def read_and_write(self, query, keys, values, state):
        self.long_term.write(keys[:1, -1].detach().float(), values[:1, -1].detach().float(), step=0)
        return type(self)._read_short_term(self, query, keys, values, state)

    layer._read_short_term = MethodType(read_and_write, layer)


def _random_consolidation(layer: Memory) -> None:
    layer.due = lambda step: random.random() < 0.1  # Python's generator, which no run seeds


def _dead_gate(layer: Memory) -> None:
    def cut_off(self, x, there):
        return type(self).forward(self, x, there).detach()

    layer.gate.forward = MethodType(cut_off, layer.gate)


def _batch_selection(layer: Memory) -> None:
    def over_the_batch(weights: Tensor) -> Tensor:
        clear = weights.amax(-1) * (weights > 0).sum(-1)  # (B, T), how clearly a token prefers one slot
        kept = clear.topk(max(1, round(KEPT * len(clear))), dim=0).indices
        return weights * clear.new_zeros(clear.shape).scatter(0, kept, 1.0)[..., None]

    layer.select = layer.long_term.select = over_the_batch


def _windup(build_model, recipe, severity):
    from minigpt.model.mixers.memory.homeostasis import Homeostasis

    def model_that_overcorrects(config):
        model = build_model(config)
        for module in model.modules():
            if isinstance(module, Homeostasis):
                module.exponent, module.corrected = 1.0, False
        return model

    return model_that_overcorrects


def _without_memory(config, severity) -> str | None:
    return None if config.mixer == "memory" else "mixer"


def _without_homeostasis(config, severity) -> str | None:
    return _without_memory(config, severity) or (None if config.homeostasis else "homeostasis")


def _fault(id: str, leaf: str, change: Callable[[Memory], None]) -> Fault:
    return Fault(id, "build_model", leaf, _each_layer(change), idle=_without_memory)


MEMORY_FAULTS = (
    Fault(
        "memory-gate-collapse",
        "build_model",
        "memory-gate-collapse",
        _collapsing_gate,
        severity=SHARP,  # temperature
        idle=_without_memory,
    ),
    _fault("memory-feedback", "memory-feedback", _feedback),
    _fault("memory-saturation", "memory-saturation", _saturation),
    _fault("short-term-memory-kept", "memory-leak-across-batches", _leak),
    _fault("memory-written-in-evaluation", "memory-leak-across-batches", _written_in_evaluation),
    _fault("memory-batch-selection", "memory-leak-across-batches", _batch_selection),
    _fault("random-consolidation", "random-consolidation", _random_consolidation),
    _fault("memory-dead-gate", "dead-gate", _dead_gate),
    Fault("homeostasis-windup", "build_model", "homeostasis-windup", _windup, idle=_without_homeostasis),
)
