"""What a watched loop tells of its parts, written whenever something of it is new.

The trainer measures the same in a rehearsal before its first step (`minigpt.training.rehearsal`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from minigpt.monitor.adam import AdamTwin
from minigpt.monitor.arguments import Asked, rates_asked
from minigpt.monitor.first_step import FirstStep
from minigpt.monitor.gradients import Gradients, Leftovers
from minigpt.monitor.observers import Observers
from minigpt.monitor.optimizers import Optimizers
from minigpt.monitor.records import Records
from minigpt.runs.schema import REHEARSAL_STEPS
from minigpt.runs.writer import RunWriter

RESUMES = re.compile(
    r"same run|mism[oa] (run|entrenamiento)|resum|reanud|continu|^(step|epoch|iteration|checkpoint)[ -]?\d",
    re.IGNORECASE,
)
MOST_MICROS = 16  # micro-batches a step, as many as a schedule may have been stepped for by mistake


class Rehearsal:
    """Collects the evidence on the loop's parts from whatever observes them."""

    def __init__(
        self,
        asked: Asked,
        *,
        run_dir: Path,
        writer: RunWriter,
        optimizers: Optimizers,
        gradients: Gradients,
        leftovers: Leftovers,
        observers: Observers,
        records: Records,
        first_step: FirstStep,
        twin: AdamTwin,
    ):
        self._asked, self._run_dir, self._writer = asked, run_dir, writer
        self._optimizers, self._gradients, self._leftovers = optimizers, gradients, leftovers
        self._observers, self._records = observers, records
        self._first_step, self._twin = first_step, twin
        self._accumulated: dict[str, float | None] = {"equal": None, "unequal": None}
        self._accumulation = 1
        self._written: dict[str, Any] = {}
        self._observed: dict[str, Any] = {}

    def note_first_step(self) -> None:
        """Note how micro-batches were added up, as the first step shows."""
        first = self._first_step
        self._accumulated, self._accumulation = first.accumulation_ratio, max(len(first.micros), 1)

    def write(self, steps: int, ended: bool) -> None:
        """Write what was learnt of the loop's parts, unless nothing is new.

        Args:
            steps: optimizer steps seen.
            ended: whether the loop came to its own end.
        """
        if steps == 0 and not self._observers.passes.total:
            return  # backward passes without any step are a finding by themselves
        at = {"step": max(steps - 1, 0)}
        observed = self._observers.evidence(steps, self._run_dir)
        if ended:
            observed["ended"] = True
        if observed != self._observed:
            self._observed = observed
            self._writer.probe(at | {"kind": "observed"} | observed)
        if steps == 0:
            return
        record = self._evidence(steps)
        if record != self._written:
            self._written = record
            self._writer.probe({"step": steps - 1, "kind": "rehearsal"} | record)

    def _evidence(self, steps: int) -> dict[str, Any]:
        frozen = self._optimizers.frozen(steps >= REHEARSAL_STEPS, self._gradients.emptied)
        record: dict[str, Any] = {
            "accumulation_ratio": self._accumulated,
            "decaying": self._optimizers.decaying(),
            "decay_split": self._optimizers.splits_decay,
            "frozen": frozen,
            "idle": self._observers.ownership.idle(frozen),
            "resumes": bool(RESUMES.search(self._asked.starts_from or "")),
            "resumed_moments": self._optimizers.began_with_moments,
            "counter_stands": self._optimizers.counter_stands,
            "weight_decay": self._optimizers.weight_decay,
            "accumulation": self._accumulation,
        }
        if (carried := self._leftovers.largest()) is not None:
            record["carried_gradient"] = carried
        if (counted := self._optimizers.counted) is not None:
            record["steps_counted"] = counted
        if self._twin.betas and any(self._twin.ratios):
            record |= {"first_updates": self._twin.ratios, "betas": self._twin.betas}
        if self._twin.epsilon is not None:
            record["epsilon"] = self._twin.epsilon
        if (downhill := self._downhill()) is not None:
            record["downhill"] = downhill
        if (clip_norm := self._records.clip_norm) is not None:
            record["clip_norm"] = clip_norm
        if self._asked.schedule:
            # as far as this run would come if it counted micro-batches
            far = steps * max(self._accumulation, MOST_MICROS) + 1
            record["schedule"] = rates_asked(self._asked.schedule, far)
        return record

    def _downhill(self) -> float | None:
        """Return the share of the weights that the first updates moved against their gradient."""
        downhill = self._twin.downhill
        if self._first_step.negated and not self._asked.starts_from:  # to unlearn, people negate on purpose
            downhill = 1 - (1.0 if downhill is None else downhill)
        return downhill
