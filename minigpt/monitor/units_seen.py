"""The units of anybody's feed-forwards: which are never active, and how many directions a block's output has.

    UnitsSeen(model, vocab_size=50257).ask(100, hooks)     # [{"kind": "units", "inactive": [0.0, 0.02], …}]

A feed-forward is known by its shape: a layer that leads from a wider layer back to the stream, beside one
that leads there, and not in an attention. The newest batch is run once more, in evaluation mode, and all that
a pass may change is put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from minigpt.model.state import load_memory, memory_of
from minigpt.monitor.future import left_as_it_is, not_compiled, run_rows
from minigpt.monitor.hooks import ModelHooks
from minigpt.monitor.layers import MIXING, compiled, find_layers, token_table
from minigpt.training.instruments.units import FeedForward, UnitsReader

TOKENS = 4096  # that are run again, in whole rows
FEWEST = 32  # positions that an expert must be given to count
RANKED = 2e9  # multiplications for the ranks of all blocks; of wide models fewer blocks are ranked
CONTAINERS = (nn.ModuleList, nn.Sequential, nn.ModuleDict)


class UnitsSeen:
    """Asks one model for its units."""

    def __init__(self, model: nn.Module, vocab_size: int):
        layers = find_layers(model, vocab_size)
        ends = [
            token_table(model, layers),
            *(getattr(head, "weight", None) for head in layers.heads.values()),
        ]
        self._widths = {end.shape[-1] for end in ends if end is not None}  # that the stream may have
        self._model = model
        self._asked_at = -1  # the step at which the model was asked last

    def ask(self, step: int, hooks: ModelHooks) -> list[dict[str, Any]]:
        """Return the probe of this step; none without a feed-forward, or if the model cannot be called."""
        if step <= self._asked_at:
            return []
        self._asked_at = step
        try:
            found = self._read(hooks)
        except Exception:  # an external model may raise anything: a probe never ends a run
            return []
        return [{"step": step, "kind": "units"} | found] if found else []

    def _read(self, hooks: ModelHooks) -> dict[str, list[float]]:
        call, model = hooks.last_call(), hooks.language_model
        if call is None or not (parts := feed_forwards(model, self._widths)):
            return {}
        rows = torch.arange(min(len(call.ids), max(1, TOKENS // call.ids.shape[1])), device=call.ids.device)
        devices, before = [call.ids.device] if call.ids.is_cuda else [], memory_of(self._model)
        with torch.random.fork_rng(devices), torch.no_grad(), hooks.asleep(), not_compiled():
            with left_as_it_is(model), UnitsReader(model, parts, FEWEST) as units:
                model.eval()
                run_rows(model, call, [], None, hooks.logits_in, rows)
        after = memory_of(self._model)
        if any(not torch.equal(tensor, after[name]) for name, tensor in before.items()):
            load_memory(self._model, before)
        return units.found()


def feed_forwards(model: nn.Module, widths: set[int]) -> list[FeedForward]:
    """Return the feed-forwards of a model, by block.

    Args:
        widths: that the stream may have.
    """
    modules = dict(model.named_modules())
    inside = compiled(modules)
    found: dict[nn.Module | None, list[nn.Module]] = {}
    ups: dict[nn.Module | None, set[tuple[int, int]]] = {}
    downs = []
    for name, module in modules.items():
        if (shape := _linear(module)) is None or name in inside:
            continue
        block, within = _block(name, modules)
        ups.setdefault(block, set()).add(shape)
        if shape[1] in widths and shape[0] > shape[1] and not _mixes(within):
            downs.append((module, shape, block))
    for module, (hidden, width), block in downs:
        # gate and hidden units may come from one layer
        if {(width, hidden), (width, 2 * hidden)} & ups[block]:
            found.setdefault(block, []).append(module)
    ranked = _ranked([block for block in found if block is not None], max(widths, default=1))
    return [
        FeedForward(tuple(projections), block if block in ranked else None)
        for block, projections in found.items()
    ]


def _linear(module: nn.Module) -> tuple[int, int] | None:
    """Return how many numbers a linear layer takes and gives; None for another module."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    weight = getattr(module, "weight", None)
    if type(module).__name__ == "Conv1D" and weight is not None and weight.ndim == 2:  # of transformers
        return weight.shape[0], weight.shape[1]
    return None


def _block(name: str, modules: dict[str, nn.Module]) -> tuple[nn.Module | None, dict[str, nn.Module]]:
    """Return the block that a layer lies in, and what lies around the layer within it.

    A block is the outermost part in a list of parts, and no list itself; None where there are no such lists.
    """
    around = dict(_parents(name, modules))
    for path, module in around.items():
        parent = modules[path.rpartition(".")[0]] if path else None
        if isinstance(parent, CONTAINERS) and not isinstance(module, CONTAINERS):
            return module, {
                inner.removeprefix(path): part for inner, part in around.items() if len(inner) > len(path)
            }
    return None, {path: part for path, part in around.items() if path}


def _parents(name: str, modules: dict[str, nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    """Yield what a module lies in, the outermost first, by path."""
    parts = name.split(".")
    for depth in range(len(parts)):
        path = ".".join(parts[:depth])
        yield path, modules[path]


def _mixes(within: dict[str, nn.Module]) -> bool:
    return any(MIXING.search(path) or MIXING.search(type(part).__name__) for path, part in within.items())


def _ranked(blocks: list[nn.Module], width: int) -> set[nn.Module]:
    """Return as many blocks, from all depths, as may be ranked: it takes the cube of the width for each."""
    most = int(RANKED / width**3)
    return set(blocks[:: -(-len(blocks) // most)]) if most and blocks else set()
