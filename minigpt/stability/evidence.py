"""What is known of a run: its metrics by column, what its probes saw, and what its manifest declares."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minigpt.run_directory import Run, RunError


@dataclass(frozen=True)
class Evidence:
    """Everything that the tree may look at. What was not measured is absent, never assumed."""

    vocab_size: int | None = None
    starts_from_checkpoint: bool = False  # declared by the manifest
    metrics: list[dict[str, Any]] = field(default_factory=list)  # by step
    start: dict[str, Any] = field(default_factory=dict)  # the probes before the first update

    @property
    def chance(self) -> float | None:
        """The loss of a uniform guess, ln V, in nats."""
        return math.log(self.vocab_size) if self.vocab_size else None

    def first(self, name: str) -> float | None:
        """Return a metric of step 0, or None where step 0 was not logged."""
        if self.metrics and self.metrics[0].get("step") == 0:
            return self.metrics[0].get(name)
        return None


def evidence_of(path: str | Path) -> Evidence:
    """Collect the evidence that a run directory holds. The manifest's list of faults is not looked at.

    Raises:
        RunError: the directory is missing, torn or not a run, or has no finished step.
    """
    run = Run(path)
    metrics = run.metrics
    if not metrics:
        raise RunError("run.no-metrics", path=run.path)
    start = next((probe for probe in run.probes if probe.get("kind") == "start"), {})
    return Evidence(
        vocab_size=run.config.vocab_size,
        starts_from_checkpoint=run.manifest.get("starts_from") is not None,
        metrics=metrics,
        start=start,
    )
