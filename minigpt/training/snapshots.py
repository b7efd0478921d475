"""Copies of the last minutes of a run, in memory, which a guard can roll back to.

They are taken every `snapshot_every` steps, before the step is tried, and hold all that a step changes:
weights and buffers, moments, memory, torch's random state and the trainer's state. The newest `snapshots` of
them stay. A checkpoint holds them too: a resumed run can go back as far as the uninterrupted one. Where none
of them is old enough, the newest intact checkpoint that is takes their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.model.state import load_memory, memory_of
from minigpt.runs import checkpoint
from minigpt.runs.checkpoint import MEMORY, CheckpointError, load_moments, moments_of, weights_of
from minigpt.training.state import OUTLIVES_A_ROLLBACK, TrainerState

RNG = "torch"
RNG_NOW = "now/torch"  # beside the snapshots in a checkpoint: the next one holds it
IN_CHECKPOINT = "snapshot/"  # begins the names of all that, there


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment. Tensors are named "weights/…", "moments/…", "memory/…" and "rng/torch"."""

    state: dict[str, Any]  # as `TrainerState.state_dict` returns it
    tensors: dict[str, Tensor]

    @property
    def step(self) -> int:
        """Steps done."""
        return self.state["step"]

    @classmethod
    def take(
        cls,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        state: TrainerState,
        instead_of: Snapshot | None = None,
    ) -> Snapshot:
        """Copy everything, into the memory of another one that nobody needs any more where that fits."""
        kinds = {
            "weights": weights_of(model),
            "moments": moments_of(model, optimizer),
            "memory": memory_of(model),
            "rng": {RNG: torch.get_rng_state()},
        }
        now = {f"{kind}/{name}": tensor for kind, named in kinds.items() for name, tensor in named.items()}
        with torch.no_grad():
            if instead_of is None or _shapes(instead_of.tensors) != _shapes(now):
                return cls(state.state_dict(), {name: tensor.clone() for name, tensor in now.items()})
            torch._foreach_copy_([instead_of.tensors[name] for name in now], list(now.values()))
        return cls(state.state_dict(), instead_of.tensors)

    @classmethod
    def of_checkpoint(cls, path: Path) -> Snapshot:
        """Read the run as it was when a checkpoint was written.

        Raises:
            CheckpointError: it is damaged, or a newer version wrote it.
        """
        state, weights, training = checkpoint.read(path)
        tensors = {f"weights/{name}": tensor for name, tensor in weights.items()}
        tensors |= {f"moments/{name}": tensor for name, tensor in training.items() if "/" not in name}
        tensors |= {name: tensor for name, tensor in training.items() if name.startswith(MEMORY)}
        random = training.get(f"{IN_CHECKPOINT}{RNG_NOW}")  # of a run that has guards
        return cls(state, tensors | ({} if random is None else {f"rng/{RNG}": random}))

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer, state: TrainerState) -> None:
        """Put everything back, except for what the guards have decided since."""
        with torch.no_grad():
            for name, tensor in weights_of(model).items():
                tensor.copy_(self._named("weights")[name])
        load_moments(model, optimizer, {name: t.clone() for name, t in self._named("moments").items()})
        load_memory(model, self._named("memory"))
        for random in self._named("rng").values():
            torch.set_rng_state(random.cpu())
        state.load_state_dict(self.state, keep=OUTLIVES_A_ROLLBACK)

    def _named(self, kind: str) -> dict[str, Tensor]:
        prefix = f"{kind}/"
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple]:
    return {name: (tensor.shape, tensor.dtype, tensor.device) for name, tensor in tensors.items()}


class Snapshots:
    """The newest ones, oldest first."""

    def __init__(self, every: int, keep: int, checkpoints: Path):
        self.every, self.keep, self._checkpoints = every, keep, checkpoints
        self._ring: list[Snapshot] = []
        self._random: Tensor | None = None  # of a run that is resumed, at its next step

    def take_if_due(self, model: nn.Module, optimizer: torch.optim.Optimizer, state: TrainerState) -> None:
        """Take one where the number of steps done is a multiple of `every`; the oldest one goes."""
        if self._random is not None:
            torch.set_rng_state(self._random)
            self._random = None
        if state.step % self.every == 0:
            self._ring = [snapshot for snapshot in self._ring if snapshot.step < state.step]
            oldest = None
            while len(self._ring) >= self.keep:  # more than one where a run is resumed with fewer
                oldest = self._ring.pop(0)
            self._ring.append(Snapshot.take(model, optimizer, state, instead_of=oldest))

    def steps(self) -> list[int]:
        """Return the steps that one can go back to."""
        return [snapshot.step for snapshot in self._ring]

    def reach(self, step: int) -> bool:
        """Return whether there is a snapshot, or an intact checkpoint, at or before `step`."""
        return any(kept <= step for kept in self.steps()) or self._checkpoint(step) is not None

    def back_to(self, step: int) -> Snapshot:
        """Return the newest snapshot at or before `step`, else a checkpoint; forget those after it."""
        self._ring = [snapshot for snapshot in self._ring if snapshot.step <= step]
        if not self._ring:
            self._ring = [Snapshot.of_checkpoint(self._checkpoint(step))]
        return self._ring[-1]

    def _checkpoint(self, step: int) -> Path | None:
        """Return the newest intact checkpoint at or before `step`."""
        for path in reversed(checkpoint.find(self._checkpoints)):
            if checkpoint.steps_in(path) <= step:
                try:
                    checkpoint.verify(path)
                except CheckpointError:
                    continue
                return path
        return None

    def saved(self) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
        """Return the states and the tensors of all of them, for a checkpoint."""
        states = [snapshot.state for snapshot in self._ring]
        tensors = {
            f"{snapshot.step}/{name}": tensor
            for snapshot in self._ring
            for name, tensor in snapshot.tensors.items()
        }
        return states, tensors | ({RNG_NOW: torch.get_rng_state()} if states else {})

    def load(self, states: list[dict[str, Any]], tensors: Mapping[str, Tensor]) -> None:
        """Take over what `saved` returned."""
        self._random = tensors.get(RNG_NOW)
        self._ring = []
        for state in states:
            prefix = f"{state['step']}/"
            own = {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }
            self._ring.append(Snapshot(state, own))
