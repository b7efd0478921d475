"""What is known of a run: its metrics by column, what its probes saw, and what its manifest declares."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minigpt.config import Config
from minigpt.logs import Columns, RunError
from minigpt.run_directory import Run


@dataclass(frozen=True)
class Evidence:
    """Everything that the tree may look at. What was not measured is absent, never assumed."""

    vocab_size: int | None = None
    config: Config | None = None  # what was asked for
    starts_from_checkpoint: bool = False  # declared by the manifest
    metrics: Columns = field(default_factory=Columns)
    start: dict[str, Any] = field(default_factory=dict)  # the probes before the first update

    @property
    def chance(self) -> float | None:
        """The loss of a uniform guess, ln V, in nats."""
        return math.log(self.vocab_size) if self.vocab_size else None

    def first(self, name: str) -> float | None:
        """Return a metric of step 0, or None where step 0 was not logged."""
        steps, values = self.metrics.column(name)
        return float(values[0]) if len(steps) and steps[0] == 0 else None


def evidence_of(run: Run | str | Path) -> Evidence:
    """Collect the evidence that a run, or the directory of one, holds. Its list of faults is not looked at.

    Raises:
        RunError: the directory is missing, torn or not a run, or has no finished step.
    """
    run = run if isinstance(run, Run) else Run(run)
    if not len(run.columns):
        raise RunError("run.no-metrics", path=run.path)
    start = next((probe for probe in run.probes if probe.get("kind") == "start"), {})
    return Evidence(
        vocab_size=run.config.vocab_size,
        config=run.config,
        starts_from_checkpoint=run.manifest.get("starts_from") is not None,
        metrics=run.columns,
        start=start,
    )
