"""The guards for anybody's loop: bad batches are left out, and damaged weights are put back.

    recovery = Recovery(model, optimizer, get_batch, scheduler=scheduler)
    for batch in recovery.batches(steps=1000):
        loss = loss_of(model, batch)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if recovery.step(loss, norm) == "continue":
            optimizer.step()
            scheduler.step()
        optimizer.zero_grad()

`step` is asked after the backward pass and before the update. It answers "continue", "skip" (this batch is
bad: make no update) or "roll back" (everything is put back to an earlier step already). A loop that skips or
goes back is, bit for bit, the loop that never saw those batches, as far as it depends on what `Recovery` was
given: model (with what it remembers beside its weights, where it offers `memory_state` and
`load_memory_state`), optimizer, scheduler, scaler, sampler, and the random states of torch, numpy and Python.

The rules are those of `minigpt.training.guards`: `finite` and `spikes`. Several processes take the same
decisions: the loss that is judged is the mean of all. For `Trainer` of Hugging Face and of Lightning there
are callbacks, `RecoveryCallback` in `minigpt.monitor.integrations`.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from minigpt.config.rules import BACK
from minigpt.model.state import has_memory, load_memory, memory_of
from minigpt.training.guards.finite import Finite
from minigpt.training.guards.guard import Decision, GuardError, ask, together
from minigpt.training.guards.spikes import Spikes
from minigpt.training.state import OUTLIVES_A_ROLLBACK, TrainerState

Answer = Literal["continue", "skip", "roll back"]


class Numbered:
    """A sampler of batches that a function returns by number."""

    def __init__(self, get_batch: Callable[[int], Any]):
        self._get_batch, self._number = get_batch, 0

    def __next__(self) -> Any:
        batch = self._get_batch(self._number)
        self._number += 1
        return batch

    def state_dict(self) -> dict[str, int]:
        """Return the number of the next batch."""
        return {"next": self._number}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take it over."""
        self._number = state["next"]


class Recovery:
    """Watches loss and gradient norm of a loop, and keeps copies of it that it can go back to."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        sampler: Any = None,
        scheduler: Any = None,
        scaler: torch.amp.GradScaler | None = None,
        every: int = 10,
        keep: int = 4,
        z: float = 6.0,
        rollbacks: int = 3,
    ):
        """Args:
        sampler: a function from the number of a batch to the batch; or an iterator of batches with
            `state_dict` and `load_state_dict`. Not needed by a caller of `begin` that gives batches itself,
            by their number `state.data_step`.
        every: steps between two copies.
        keep: copies that are kept, the newest ones.
        z: robust standard deviations of the loss above what is usual that are a spike.
        rollbacks: how often it may go back before it gives up with a sentence.

        Raises:
            GuardError: the sampler is neither, a number cannot be, or the copies do not reach far enough.
        """
        _refuse_impossible(every, keep, z, rollbacks)
        is_sampler = hasattr(sampler, "state_dict") and hasattr(sampler, "__next__")
        if not (is_sampler or sampler is None or callable(sampler)):
            raise GuardError("guards.bad-sampler", given=type(sampler).__name__)
        self.sampler = sampler if is_sampler or sampler is None else Numbered(sampler)
        self.model, self.optimizer, self.scaler = model, optimizer, scaler
        parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
        parts["sampler"] = self.sampler
        self._remembers = has_memory(model)
        self._parts = {name: part for name, part in parts.items() if part is not None}
        self._every, self._keep = every, keep
        scaled = scaler is not None and scaler.is_enabled()
        self.guards = (Finite(scaled=scaled), Spikes(z=z, rollbacks=rollbacks))
        self.state = TrainerState(parts={guard.name: guard for guard in self.guards})
        self.decisions: list[dict[str, Any]] = []  # what was undone, in order
        self._drawn = 0  # batches drawn from the sampler
        self._ring: list[dict[str, Any]] = []
        self._before: dict[str, Any] = {}

    def batches(self, steps: int) -> Iterator[Any]:
        """Yield the batches of `steps` updates, without the bad ones, and again those after a rollback.

        Raises:
            GuardError: there is no sampler, or it ends before the updates are made.
        """
        if self.sampler is None:
            raise GuardError("guards.no-sampler")
        while self.state.step < steps:
            self._copy_if_due()
            while self._drawn < self.state.data_step:  # those between are left out
                self._draw(steps)
            batch = self._draw(steps)
            self._note()
            yield batch

    def _draw(self, steps: int) -> Any:
        try:
            batch = next(self.sampler)
        except StopIteration:
            raise GuardError("guards.sampler-ended", step=self.state.step, steps=steps) from None
        self._drawn += 1
        return batch

    def begin(self) -> None:
        """Take a copy if one is due; call it before the forward pass, once its batch is there."""
        self._copy_if_due()
        self._note()

    def oldest(self) -> int:
        """Return the number of the first batch that may be wanted again."""
        return min((kept["state"]["data_step"] for kept in self._ring), default=self.state.data_step)

    def step(self, loss: torch.Tensor | float, grad_norm: torch.Tensor | float) -> Answer:
        """Say what to do with the gradients that are there; unless "continue", they are cleared.

        Args:
            loss: of the whole step on this process, in nats.
            grad_norm: its global gradient norm before clipping, unscaled.

        Raises:
            GuardError: it has gone back as often as it may, nothing is finite, no copy is old enough, or the
                batch came from elsewhere and nothing was kept before it.
        """
        record = {"step": self.state.step, "loss": self._mean(loss), "grad_norm": _number(grad_norm)}
        decision = together(ask(self.guards, "gradients", record, self.state))
        if not decision.undoes:
            self.state.advance()
            return "continue"
        self.decisions.append(record | {"batch": self.state.data_step, "done": decision.done})
        self.optimizer.zero_grad(set_to_none=True)
        self._tell_scaler(overflowed=not math.isfinite(record["grad_norm"]))
        if decision.drop:
            return self._skip(decision)
        return self._go_back(decision)

    def _mean(self, loss: torch.Tensor | float) -> float:
        """Return the mean loss of all processes, so that they decide alike."""
        value = _number(loss)
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return value
        total = torch.tensor(value, dtype=torch.float32, device=next(self.model.parameters()).device)
        torch.distributed.all_reduce(total)
        return total.item() / torch.distributed.get_world_size()

    def _tell_scaler(self, overflowed: bool) -> None:
        """Let the scaler forget that this step was unscaled, and lower its scale as after any overflow."""
        if self.scaler is not None and self.scaler.is_enabled():
            self.scaler.update(
                self.scaler.get_scale() * (self.scaler.get_backoff_factor() if overflowed else 1)
            )

    def _skip(self, decision: Decision) -> Answer:
        if not self._before:
            raise GuardError("guards.not-begun", step=self.state.step)
        _set_random_states(self._before["random"])
        with torch.no_grad():
            for name, buffer in self.model.named_buffers():
                buffer.copy_(self._before["buffers"][name])
        self._load_memory(self._before)
        self.state.try_again((self.state.data_step, *decision.skip))
        return "skip"

    def _go_back(self, decision: Decision) -> Answer:
        reachable = [kept for kept in self._ring if kept["state"]["step"] <= decision.roll_back_to]
        if not self._ring:
            raise GuardError("guards.no-copy-yet", to=decision.roll_back_to)
        if not reachable:
            oldest = self._ring[0]["state"]["step"]
            raise GuardError("guards.no-copy", to=decision.roll_back_to, oldest=oldest)
        self._ring, kept = reachable, reachable[-1]
        for name, part in self._parts.items():
            part.load_state_dict(copy.deepcopy(kept["parts"][name]))
        self._load_memory(kept)
        _set_random_states(kept["random"])
        self._drawn = kept["drawn"]
        self.state.load_state_dict(kept["state"], keep=OUTLIVES_A_ROLLBACK)
        self.state.rollbacks += 1
        self.state.try_again(decision.skip)
        return "roll back"

    def _note(self) -> None:
        """Keep what a skip puts back."""
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        self._before = {"random": _random_states(), "buffers": buffers, "memory": self._memory()}

    def _memory(self) -> dict[str, torch.Tensor]:
        return memory_of(self.model) if self._remembers else {}

    def _load_memory(self, kept: dict[str, Any]) -> None:
        """Put back what the model remembers; what the last forward pass proposed to remember is forgotten."""
        if self._remembers:
            load_memory(self.model, kept["memory"])

    def _copy_if_due(self) -> None:
        if self.state.step % self._every:
            return
        kept = {
            "state": self.state.state_dict(),
            "parts": {name: copy.deepcopy(part.state_dict()) for name, part in self._parts.items()},
            "memory": self._memory(),
            "random": _random_states(),
            "drawn": self._drawn,
        }
        earlier = [one for one in self._ring if one["state"]["step"] < self.state.step]
        self._ring = [*earlier, kept][-self._keep :]


def _refuse_impossible(every: int, keep: int, z: float, rollbacks: int) -> None:
    """Refuse numbers that cannot be, before a loop counts on them.

    Raises:
        GuardError: names the first one.
    """
    for name, given, least in (("every", every, 1), ("keep", keep, 1), ("rollbacks", rollbacks, 0)):
        if given < least:
            raise GuardError("guards.too-small", name=name, given=given, least=least)
    if not (math.isfinite(z) and z > 0):
        raise GuardError("guards.bad-z", given=z)
    if rollbacks and (reach := (keep - 1) * every) < BACK:
        raise GuardError("guards.short-reach", far=BACK, keep=keep, every=every, reach=reach)


def _number(value: torch.Tensor | float) -> float:
    return value.detach().item() if isinstance(value, torch.Tensor) else float(value)


def _random_states() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "numpy": np.random.get_state(),
        "python": random.getstate(),
    }


def _set_random_states(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None:
        torch.cuda.set_rng_state_all(states["cuda"])
    np.random.set_state(states["numpy"])
    random.setstate(states["python"])
