"""Everything that changes during a run, beside the weights and the optimizer's moments.

    state.step         optimizer steps done: the clock of the schedule
    state.data_step    the batch that comes next: the clock of the data
    state.attempt      how often the run has gone back, or tried a step again with another batch

Without guards both clocks show the same number and the attempt is 0. A checkpoint holds the whole state, so
that a resumed run is the uninterrupted one. A rollback restores it too, except for what the guards have
decided: the attempt, the batches skipped, the scale of the rate and the count of decisions.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, Protocol

ATOMS = (int, float, str, bool, NoneType)  # nobody can change these
OUTLIVES_A_ROLLBACK = ("attempt", "skips", "lr_scale", "decisions", "rollbacks", "furthest", "tries")


class Stateful(Protocol):
    """A part of the loop that remembers something between steps: a loss scaler, a clipper, a guard."""

    def state_dict(self) -> dict[str, Any]:
        """Return what it remembers as plain data, for JSON."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""


def copied(plain: Any) -> Any:
    """Return a copy of plain data, as often as snapshots need one; `copy.deepcopy` takes much longer."""
    if isinstance(plain, dict):
        return {name: copied(value) for name, value in plain.items()}
    if isinstance(plain, list | tuple):
        return type(plain)([value if type(value) is float else copied(value) for value in plain])
    return plain if isinstance(plain, ATOMS) else copy.deepcopy(plain)


def is_stateful(part: object) -> bool:
    """Return whether a part offers what `Stateful` asks for."""
    return hasattr(part, "state_dict") and hasattr(part, "load_state_dict")


@dataclass
class TrainerState:
    """What a checkpoint holds beside the tensors."""

    step: int = 0  # optimizer steps done
    data_step: int = 0  # whose batch comes next
    attempt: int = 0  # rollbacks and dropped steps so far
    skips: list[int] = field(default_factory=list)  # data steps that are never given (again), in order
    lr_scale: float = 1.0  # × the schedule
    best_val_loss: float = math.inf
    evaluations_without_better: int = 0
    decisions: dict[str, int] = field(default_factory=dict)  # by guard, how often it has acted
    rollbacks: int = 0  # how often the run has gone back
    furthest: int = 0  # the most steps that were ever done
    tries: int = 0  # attempts since the run last got further than ever
    parts: dict[str, Stateful] = field(default_factory=dict)  # the parts that remember something

    @property
    def data_offset(self) -> int:
        """How many more batches were given out than steps were done: 0 until a guard skips one."""
        return self.data_step - self.step

    def advance(self) -> None:
        """Count one step as done."""
        self.step += 1
        self._give_batch(self.data_step + 1)
        if self.step > self.furthest:
            self.furthest, self.tries = self.step, 0

    def compare(self, val_loss: float) -> None:
        """Take the loss of an evaluation, and count those without a better one."""
        better = val_loss < self.best_val_loss
        self.evaluations_without_better = 0 if better else self.evaluations_without_better + 1
        self.best_val_loss = min(val_loss, self.best_val_loss)

    def try_again(self, skip: Iterable[int]) -> None:
        """Count one more attempt, which leaves out some batches."""
        self.attempt += 1
        self.tries += 1
        self.skips = sorted({*self.skips, *skip})
        self._give_batch(self.data_step)

    def _give_batch(self, data_step: int) -> None:
        """Make `data_step`, or the first one after it that is not skipped, the next."""
        while data_step in self.skips:
            data_step += 1
        self.data_step = data_step

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state as plain data, for JSON."""
        plain = {name: value for name, value in vars(self).items() if name != "parts"}
        plain |= {"skips": list(self.skips), "decisions": dict(self.decisions)}
        parts = {name: copied(part.state_dict()) for name, part in self.parts.items()}
        return plain | {"parts": parts}

    def load_state_dict(self, state: Mapping[str, Any], keep: Iterable[str] = ()) -> None:
        """Take over a state, except for the fields in `keep`.

        The four fields of a checkpoint of minigpt's first version are understood too.
        """
        kept = {name: getattr(self, name) for name in keep}
        old = {
            "data_step": state["step"],
            "furthest": state["step"],
            "evaluations_without_better": state.get("looks_without_better", 0),
            "parts": {"scaler": state.get("scaler")},
        }
        given = old | dict(state)
        for name, value in vars(TrainerState()).items():
            if name != "parts":
                setattr(self, name, type(value)(given.get(name, value)))
        for name, part in self.parts.items():
            if given["parts"].get(name):
                part.load_state_dict(copied(given["parts"][name]))
        for name, value in kept.items():
            setattr(self, name, value)
