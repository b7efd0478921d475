"""The records of the steps, each with the losses that belong to it, and of probes, written once a second."""

from __future__ import annotations

import time
from typing import Any

from torch import Tensor

from minigpt.monitor.first_step import FirstStep
from minigpt.runs.writer import RunWriter

CLIPPED = 0.999  # a norm after clipping ÷ before, below which the step counts as clipped
WAIT = 1.0  # buffering time before writing and syncing the GPU, in seconds


class Records:
    """Steps that wait for their losses, and finished ones that wait to be written."""

    def __init__(self, writer: RunWriter, first_step: FirstStep, sign: int):
        """Prepare; `sign` is −1 where the loss is maximised."""
        self._writer, self._first_step, self._sign = writer, first_step, sign
        self._pending: dict[str, Any] | None = None  # a step that waits for its loss
        self._losses: list[Tensor | float] = []
        self._finished: list[tuple[dict[str, Any], list[Tensor | float]]] = []  # steps with their losses
        self._probes: list[dict[str, Any]] = []  # that wait to be written
        self._written_at = 0.0
        self._shares_add_up = False
        self._clip_norms: list[float] = []

    @property
    def waiting(self) -> bool:
        """Whether a step waits for its loss."""
        return self._pending is not None

    @property
    def clip_norm(self) -> float | None:
        """The usual norm of gradients that were clipped."""
        return sorted(self._clip_norms)[len(self._clip_norms) // 2] if self._clip_norms else None

    def note_loss(self, loss: Tensor | float) -> None:
        """Note a loss of the step that waits, else of the step in progress."""
        if not isinstance(loss, Tensor):
            loss = float(loss)
        elif loss.is_cpu:
            loss = loss.item()
        else:  # which is waited for later
            loss = loss.detach().clone()
        self._losses.append(loss)

    def note(self, figures: dict[str, float]) -> None:
        """Note figures of the step that waits, and let it go."""
        self._pending |= figures
        self.finish()

    def note_probes(self, probes: list[dict[str, Any]]) -> None:
        """Note what probes saw; it is written with the steps."""
        self._probes += probes

    def end_step(self, record: dict[str, Any]) -> None:
        """Take a new step, which waits for its losses unless all of them were given."""
        self._pending = record
        if len(self._losses) >= record["micros"]:
            self.finish()

    def finish(self) -> None:
        """Take the losses given so far for those of the step that waits for some."""
        if self._pending is None:
            return
        self._finished.append((self._pending, self._losses))
        self._pending, self._losses = None, []
        if time.perf_counter() - self._written_at > WAIT:
            self.write()

    def write(self) -> None:
        """Write every finished step; only here is a GPU waited for."""
        records = [self._record(step, [float(loss) for loss in losses]) for step, losses in self._finished]
        probes, self._finished, self._probes = self._probes, [], []
        self._writer.metric(*records)
        if probes:
            self._writer.probe(*probes)
        self._written_at = time.perf_counter()

    def _record(self, record: dict[str, Any], losses: list[float]) -> dict[str, Any]:
        micros = record.pop("micros")
        if record["step"] == 0:
            self._shares_add_up = self._first_step.shares_add_up([self._sign * loss for loss in losses])
        if losses:
            record["loss"] = self._sign * sum(losses) * (1 if self._shares_add_up else 1 / len(losses))
            if self._shares_add_up:
                record["loss"] *= micros / len(losses)
        before, after = record.pop("clip", (None, None))
        if record["grad_norm"] is None:
            del record["grad_norm"]
        else:
            record["grad_norm"] = float(record["grad_norm"])
            if before is not None and after is not None:
                factor = float(after) / float(before) if float(before) > 0 else 1.0
                record["clipped"] = factor < CLIPPED
                if record["clipped"]:
                    self._clip_norms.append(factor * record["grad_norm"])
        return record
