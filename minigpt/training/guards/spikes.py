"""Spikes of loss and gradient norm: a bad batch is dropped, damaged weights are rolled back.

Both figures are known after the gradients and before the update, when a bad batch has done no harm yet. So a
spike first costs only its own batch: the step is dropped and the next batch tried. If the next batches look
bad as well, it is not the batches: the weights are damaged. Then the run goes back to a snapshot from before,
and the batches trained on since are skipped, as PaLM's authors did by hand (Chowdhery et al., 2022, section
5.1), at most `rollbacks` times.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from minigpt.training.guards.detector import Usual
from minigpt.training.guards.guard import Decision, GuardError
from minigpt.training.state import TrainerState

WATCHED = ("loss", "grad_norm")
ENOUGH = 32  # ordinary steps before anything is called a spike
PATIENCE = 8  # bad batches in a row before the weights are blamed
MARGIN = 10  # steps to go back: damage begins before it shows


class Spikes:
    """Robust z-scores of loss and gradient norm, each against its own last `window` ordinary steps."""

    name = "spikes"
    moments = ("gradients",)

    def __init__(self, z: float = 6.0, window: int = 128, rollbacks: int = 3):
        """Call `z` robust standard deviations above the median a spike."""
        self.z, self.rollbacks = z, rollbacks
        self.usual = {name: Usual(window, min(ENOUGH, window)) for name in WATCHED}
        self.suspects = 0  # bad batches in a row
        self.trained: deque[int] = deque(maxlen=MARGIN)  # data steps of the last updates

    def decide(self, record: Mapping[str, Any], state: TrainerState) -> Decision | None:
        """Drop a bad batch; roll back once too many in a row were bad.

        Raises:
            GuardError: it has rolled back as often as it may.
        """
        if not all(math.isfinite(record[name]) for name in WATCHED):
            return None  # the guard `finite` judges it, or the loss scaler
        far = {name: self.usual[name].distance(record[name]) for name in WATCHED}
        seen = {name: round(z, 2) for name, z in far.items() if z is not None and z >= self.z}
        if not seen:
            self.suspects = 0
            self.trained.append(state.data_step)
            for name in WATCHED:
                self.usual[name].add(record[name])
            return None
        self.suspects += 1
        figures = {"z": seen} | {
            name: {"seen": record[name], "usual": self.usual[name].level} for name in seen
        }
        if self.suspects <= PATIENCE:
            return Decision(drop=True, seen=figures)
        self.suspects = 0
        if state.rollbacks >= self.rollbacks:
            raise GuardError("guards.gave-up", step=state.step, times=self.rollbacks)
        target = max(0, state.step - len(self.trained))
        return Decision(roll_back_to=target, skip=tuple(self.trained), seen=figures)

    def state_dict(self) -> dict[str, Any]:
        """Return what it remembers."""
        return {
            "usual": {name: usual.state_dict() for name, usual in self.usual.items()},
            "suspects": self.suspects,
            "trained": list(self.trained),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what it remembered."""
        for name, usual in self.usual.items():
            usual.load_state_dict(state["usual"][name])
        self.suspects = state["suspects"]
        self.trained.clear()
        self.trained.extend(state["trained"])
