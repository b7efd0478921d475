"""What is known of a run: its metrics by column, what its probes saw, and what its manifest declares."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minigpt.config import Config
from minigpt.runs.external import Asked
from minigpt.runs.jsonl import Columns, RunError
from minigpt.runs.run import Run


@dataclass(frozen=True)
class Evidence:
    """Everything that the tree may look at. What was not measured is absent, never assumed."""

    vocab_size: int | None = None
    config: Config | Asked | None = None  # what was asked for
    starts_from_checkpoint: bool = False  # declared by the manifest
    metrics: Columns = field(default_factory=Columns)
    start: dict[str, Any] = field(default_factory=dict)  # the probes before the first update
    rehearsal: dict[str, Any] = field(default_factory=dict)  # what the loop's parts did on a copy
    baselines: dict[str, Any] = field(default_factory=dict)  # losses of models that know less
    audits: dict[str, dict[str, Any]] = field(default_factory=dict)  # the first one of each kind

    @property
    def chance(self) -> float | None:
        """The loss of a uniform guess, ln V, in nats."""
        return math.log(self.vocab_size) if self.vocab_size else None

    def audit(self, kind: str) -> dict[str, Any]:
        """Return the first audit of a kind, empty where there is none."""
        return self.audits.get(kind, {})

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
    first: dict[str, dict[str, Any]] = {}
    for probe in run.probes:
        first.setdefault(probe.get("kind", ""), probe)
    if run.config is None:  # a monitor adds what it learns of the loop
        rehearsals = [probe for probe in run.probes if probe.get("kind") == "rehearsal"]
        first |= {"rehearsal": rehearsals[-1]} if rehearsals else {}
    config = run.config or _asked(run.manifest.get("asked") or {}, first.get("rehearsal", {}))
    start = first.pop("start", {})
    return Evidence(
        vocab_size=start.get("vocab_size", config.vocab_size),  # a monitor has counted the logits
        config=config,
        starts_from_checkpoint=run.manifest.get("starts_from") is not None,
        metrics=run.columns,
        start=start,
        rehearsal=first.pop("rehearsal", {}),
        baselines=first.pop("baselines", {}),
        audits=first,
    )


def _asked(declared: dict[str, Any], rehearsal: dict[str, Any]) -> Asked:
    """Return what is known of the settings of a loop that was watched."""
    steps, rates = rehearsal.get("schedule") or ((), ())
    beta1, beta2 = rehearsal.get("betas") or (Asked.beta1, Asked.beta2)
    return Asked(
        vocab_size=declared.get("vocab_size"),
        warmup_steps=declared.get("warmup_steps", 0),
        freeze=tuple(declared.get("freeze", ())),
        groups=declared.get("multipliers") or {},
        schedule=(tuple(steps), tuple(rates)) if rates else None,
        accumulation=rehearsal.get("accumulation", 1),
        clip_norm=rehearsal.get("clip_norm"),
        weight_decay=rehearsal.get("weight_decay", 0.0),
        beta1=beta1,
        beta2=beta2,
    )
