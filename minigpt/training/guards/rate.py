"""A learning rate that jumps: the step is taken at the last ordinary rate.

A schedule moves a little from step to step, or down. A rate that is suddenly several times the last one comes
from a bug, a wrong resume or a typing error in a restart, and a few steps of it undo hundreds. The rate that
a step is about to use is known before it: the guard holds it at the last ordinary one for as long as the jump
lasts. The first `warm` steps, where rates may grow fast, are not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigpt.config.rules import RATE_STEPS
from minigpt.training.guards.guard import Decision
from minigpt.training.state import TrainerState


class Rate:
    """Scales a step whose rate is more than `jump` × the last ordinary one."""

    name = "rate"
    moments = ("gradients",)

    def __init__(self, jump: float = 3.0, warm: int = RATE_STEPS):
        self.jump, self.warm = jump, warm
        self.usual = 0.0  # the last ordinary rate

    def decide(self, record: Mapping[str, Any], state: TrainerState) -> Decision | None:
        """Compare the rate of this step with the last ordinary one."""
        rate = record["rate"]
        if state.step < self.warm or not self.usual or rate <= self.jump * self.usual:
            self.usual = rate
            return None
        return Decision(scale_step=self.usual / rate, seen={"rate": rate, "usual": self.usual})

    def state_dict(self) -> dict[str, Any]:
        """Return what it remembers."""
        return {"usual": self.usual}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what it remembered."""
        self.usual = state["usual"]
