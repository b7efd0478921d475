"""The parts of a recipe, typed: what the trainer gives each one, and what it wants back.

A part is a function, or an object that can be called like one. The precision, the clipper and the guards may
remember something between steps: such an object offers `state_dict` and `load_state_dict`
(`minigpt.training.state.Stateful`), and checkpoints and snapshots hold its state. The trainer works on a copy
of it, so one recipe serves many runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from minigpt.config import Config
from minigpt.data.batches import Batch
from minigpt.data.dataset import Data
from minigpt.training.distributed import World
from minigpt.training.precision import Precision


class LoadData(Protocol):
    """Read and encode the text."""

    def __call__(self, config: Config) -> Data: ...


class GetBatch(Protocol):
    """Return a micro-batch as a function of its place alone: `step` is the data step, the batches' clock."""

    def __call__(
        self,
        tokens: Tensor,
        config: Config,
        step: int,
        micro: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> Batch: ...


class BuildModel(Protocol):
    """Return an uninitialised model that turns ids (B, T) into logits (B, T, V)."""

    def __call__(self, config: Config) -> nn.Module: ...


class InitWeights(Protocol):
    """Draw every parameter, in place."""

    def __call__(self, model: nn.Module, config: Config) -> None: ...


class BuildOptimizer(Protocol):
    """Return an optimizer whose groups have a `name` and an `lr_multiplier`."""

    def __call__(self, model: nn.Module, config: Config) -> torch.optim.Optimizer: ...


class BuildPrecision(Protocol):
    """Return the number format and the loss scaler for a kind of device."""

    def __call__(self, config: Config, device: str) -> Precision: ...


class LrAt(Protocol):
    """Return the learning rate of a step: `step` counts optimizer steps, the schedule's clock."""

    def __call__(self, step: int, config: Config) -> float: ...


class Loss(Protocol):
    """Return the mean loss over the targets that count, in nats per token; see `cross_entropy`."""

    def __call__(self, logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor: ...


class SeedStep(Protocol):
    """Seed torch's generator for a step, so that its randomness depends on (seed, step, rank) alone."""

    def __call__(self, config: Config, step: int, rank: int = 0) -> None: ...


class Accumulate(Protocol):
    """Add up the gradients of all micro-batches of a step and return their loss."""

    def __call__(
        self,
        model: nn.Module,
        loss: Callable[..., Tensor],
        batches: Sequence[Batch],
        precision: Precision,
        world: World,
    ) -> float: ...


class Clip(Protocol):
    """Unscale and limit the gradients; return their global norm before."""

    def __call__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, precision: Precision, max_norm: float
    ) -> float: ...


class Plasticity(Protocol):
    """Writes to weights beside the optimizer, at the end of a step; see `minigpt.training.plasticity`."""

    writes: list[str]  # names of the tensors that it may change

    def write(self) -> dict[str, float]:
        """Make the writes of a step, and return figures for its record."""

    def forget(self) -> None:
        """Drop what was seen of a step that is not taken."""


class BuildPlasticity(Protocol):
    """Return what writes to the weights of a model beside the optimizer; None where nothing does."""

    def __call__(self, model: nn.Module, config: Config) -> Plasticity | None: ...


class Step(Protocol):
    """Update the weights at this learning rate and clear the gradients."""

    def __call__(self, optimizer: torch.optim.Optimizer, precision: Precision, lr: float) -> None: ...
