"""What a model remembers: of the tokens it has just read, and of the whole run.

    state = model.init_state(batch=4)
    logits = model(prompt, state)          # (4, T, V)
    logits = model(next_tokens, state)     # continues where the prompt ended
    state.reset(finished)                  # rows in which a new document begins

Two kinds of memory, which never mix:

* A **layer state** lasts as long as one document. A mixer makes it (`init_state`), reads and writes it in its
  forward pass, and forgets it where a new document begins. Without a state, every row of the input is a
  document of its own: that is how training and evaluation call a model. The keys and values of attention are
  one such state.
* **Memory** lasts as long as the run, from one optimizer step to the next. A module that has one offers
  `memory_state` and `load_memory_state`; checkpoints and snapshots of the trainer hold it. It must change in
  training mode only, and on several processes in the same way on each. A module that also offers
  `commit_memory` writes when a step is taken, and not during a forward pass: then the rows of a batch cannot
  see one another through it, and the same batch gives the same logits twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn


class LayerState(Protocol):
    """What one mixer, or one feed-forward, remembers of the tokens it has read."""

    def reset(self, rows: Tensor) -> None:
        """Forget everything in the rows where `rows`, (B,) booleans, is true: a new document begins there."""


@runtime_checkable
class HasMemory(Protocol):
    """A module that remembers something from one optimizer step to the next."""

    def memory_state(self) -> dict[str, Tensor]:
        """Return the memory as tensors by name."""

    def load_memory_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `memory_state` returned; the tensors must be copied."""


@runtime_checkable
class CommitsMemory(HasMemory, Protocol):
    """A module whose forward passes propose what to remember, and which writes it once a step is taken."""

    def commit_memory(self, step: int, gather: Callable[[Tensor], Tensor]) -> None:
        """Write what the forward passes of `step` have proposed; `gather` as in `commit_memory` below."""


class KVCache:
    """Keys and values of one attention layer, (B, n_head, T so far, head_size) each."""

    def __init__(self, batch: int, n_head: int, context: int, head_size: int, like: Tensor):
        """Make room for `context` tokens, with the dtype and device of `like`."""
        self.keys = like.new_empty(batch, n_head, context, head_size)
        self.values = torch.empty_like(self.keys)
        self.length = 0  # tokens read
        self.first: Tensor | None = None  # (B,) where each row's document begins; None: all at 0

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Add T tokens.

        Returns:
            All keys, all values, and who sees whom: (T, T so far) booleans, or (B, 1, T, T so far) once some
            rows have begun a new document.
        """
        start, self.length = self.length, self.length + keys.shape[2]
        self.keys[:, :, start : self.length] = keys
        self.values[:, :, start : self.length] = values
        mask = torch.ones(keys.shape[2], self.length, dtype=torch.bool, device=keys.device).tril(start)
        if self.first is not None:
            same_document = torch.arange(self.length, device=keys.device) >= self.first[:, None]  # (B, S)
            mask = mask & same_document[:, None, None]
        return self.keys[:, :, : self.length], self.values[:, :, : self.length], mask

    def reset(self, rows: Tensor) -> None:
        """Hide what these rows have read so far."""
        if self.first is None:
            self.first = torch.zeros(len(self.keys), dtype=torch.long, device=self.keys.device)
        self.first[rows] = self.length


@dataclass
class BlockState:
    """The states of a block's two parts; None for a part that keeps none."""

    mixer: LayerState
    ffn: LayerState | None = None

    def reset(self, rows: Tensor) -> None:
        """Forget everything in these rows."""
        for part in (self.mixer, self.ffn):
            if part is not None:
                part.reset(rows)


class ModelState:
    """What a GPT remembers of the tokens it has read: `model(new_tokens, state)` continues from there."""

    def __init__(self, blocks: list[BlockState]):
        self.blocks = blocks
        self.length = 0  # tokens read, at most the model's context where anything there counts them
        self.first: Tensor | None = None  # (B,) where each row's document begins; None: all at 0

    def reset(self, rows: Tensor) -> None:
        """Begin a new document in the rows where `rows`, (B,) booleans, is true."""
        if self.first is None:
            self.first = torch.zeros(len(rows), dtype=torch.long, device=rows.device)
        self.first[rows] = self.length
        for block in self.blocks:
            block.reset(rows)


def memory_of(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of everything the model remembers from step to step, by module and name."""
    return {
        f"{prefix}.{name}": tensor.detach().clone()
        for prefix, module in _with_memory(model)
        for name, tensor in module.memory_state().items()
    }


def load_memory(model: nn.Module, memory: Mapping[str, Tensor], partly: bool = False) -> None:
    """Give every module the memory that `memory_of` returned.

    Args:
        partly: leave a module as it is where `memory` holds nothing for it.
    """
    for prefix, module in _with_memory(model):
        own = {
            name.removeprefix(f"{prefix}."): tensor.clone()
            for name, tensor in memory.items()
            if name.startswith(f"{prefix}.")
        }
        if own or not partly:
            module.load_memory_state(own)


def has_memory(model: nn.Module) -> bool:
    """Return whether anything in the model remembers from step to step."""
    return next(_with_memory(model), None) is not None


def _with_memory(model: nn.Module) -> Iterator[tuple[str, HasMemory]]:
    for prefix, module in model.named_modules():
        # asked of the class: `isinstance` with a protocol is slow, and this is asked in every step
        if hasattr(type(module), "memory_state") and hasattr(type(module), "load_memory_state"):
            yield prefix, module


def commit_memory(
    model: nn.Module, step: int, gather: Callable[[Tensor], Tensor] = lambda rows: rows
) -> None:
    """Let every module remember what the forward passes of a step have proposed.

    Args:
        step: the optimizer step that was taken, counted from 0.
        gather: turns rows (n, …) of this process into those of all processes, in the order of the batch.
    """
    for _, module in _with_memory(model):
        if isinstance(module, CommitsMemory):
            module.commit_memory(step, gather)
