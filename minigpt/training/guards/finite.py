"""No update from a loss or gradient that is NaN or infinite: the whole window of micro-batches is dropped.

Half of a window is not the gradient of the batch: to skip the one bad micro-batch and to step with the rest
would be a step of another size in another direction. So all of it goes, the scaler is told, and the same step
tries the next batch. With loss scaling an infinite gradient beside a finite loss is an ordinary overflow: it
is left to the scaler, which skips the update and lowers its scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from minigpt.training.guards.guard import Decision, GuardError
from minigpt.training.state import TrainerState


class Finite:
    """Drops a step whose loss or gradient is not finite, at most `most` times in a row."""

    name = "finite"
    moments = ("gradients",)

    def __init__(self, most: int = 10, scaled: bool = False):
        """With `scaled`, gradients that overflow are the loss scaler's business."""
        self.most, self.scaled = most, scaled
        self.in_a_row = 0

    def decide(self, record: Mapping[str, Any], state: TrainerState) -> Decision | None:
        """Drop the step if its loss, or its gradient norm, is not a finite number.

        Raises:
            GuardError: it has happened too often in a row: then it is not the batches.
        """
        loss, norm = record["loss"], record["grad_norm"]
        if math.isfinite(loss) and (self.scaled or math.isfinite(norm)):
            self.in_a_row = 0
            return None
        self.in_a_row += 1
        if self.in_a_row > self.most:
            raise GuardError("guards.never-finite", step=state.step, times=self.in_a_row)
        return Decision(drop=True, seen={"loss": loss, "grad_norm": norm})

    def state_dict(self) -> dict[str, Any]:
        """Return what it remembers."""
        return {"in_a_row": self.in_a_row}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what it remembered."""
        self.in_a_row = state["in_a_row"]
