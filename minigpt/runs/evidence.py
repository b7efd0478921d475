"""The evidence of a run: its metrics by column, what its probes saw, and what its manifest declares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from minigpt.config import Config
from minigpt.runs.external import Asked, asked_of
from minigpt.runs.jsonl import Columns, RunError
from minigpt.runs.run import Run
from minigpt.runs.schema import PROBES, Baselines, Event, Probe, Rehearsal, Source, Start

P = TypeVar("P", bound=Probe)
STAGES = 20  # a column with more of them counts something else


@dataclass(frozen=True)
class Evidence:
    """Everything that a judge may look at. What was not measured is absent (None or empty), never assumed."""

    source: Source = Source.LOG  # who measured
    vocab_size: int | None = None
    config: Config | Asked | None = None  # what was asked for
    starts_from_checkpoint: bool = False  # declared by the manifest
    metrics: Columns = field(default_factory=Columns)
    start: Start = Start()  # before the first update
    rehearsal: Rehearsal = Rehearsal()  # what the parts of the loop did
    baselines: Baselines = Baselines()  # losses of models that know less
    audits: Mapping[str, tuple[Probe, ...]] = field(default_factory=dict)  # other probes by kind, as written
    events: tuple[Event, ...] = ()  # what guards decided

    @property
    def chance(self) -> float | None:
        """The loss of a uniform guess, ln V, in nats."""
        return math.log(self.vocab_size) if self.vocab_size else None

    def audit(self, kind: type[P]) -> P:
        """Return the first probe of a kind; without one, an empty one."""
        return next(iter(self.audits.get(kind.kind, ())), kind())

    def tasks_apart(self, steps: NDArray[np.int64]) -> list[slice]:
        """Return the stretches of these steps, in order, in which a run learnt one of its tasks.

        A loss leaps where another task begins, and means nothing by it. A log may have a column of stages.
        """
        config = self.config
        if isinstance(config, Config):
            tasks = len(config.task_names())
            begins = [-(-task * config.steps // tasks) for task in range(1, tasks)]
        else:
            told, stages = self.metrics.column("stage")
            begins = told[1:][np.diff(stages) != 0].tolist()
        if not 0 < len(begins) < STAGES:
            return [slice(0, len(steps))]
        at = [0, *np.searchsorted(steps, begins).tolist(), len(steps)]
        return [slice(a, b) for a, b in zip(at, at[1:], strict=False) if a < b]

    def validated(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return steps and finite losses of validation, of the last task alone: each has its own text."""
        looks, losses = self.metrics.column("val_loss")
        finite = np.isfinite(losses)
        looks, losses = looks[finite], losses[finite]
        if not len(looks):
            return looks, losses
        last_task = self.tasks_apart(looks)[-1]
        return looks[last_task], losses[last_task]

    @property
    def tasks_untold(self) -> bool:
        """Whether a loop learnt several tasks and nobody said where one ends: its loss may leap there."""
        named = [name for name in self.metrics.names() if name.startswith("tasks.")]
        return len(named) > 1 and not isinstance(self.config, Config)

    def first(self, name: str) -> float | None:
        """Return a metric of step 0, or None where step 0 was not logged."""
        steps, values = self.metrics.column(name)
        return float(values[0]) if len(steps) and steps[0] == 0 else None


def evidence_of(run: Run | str | Path) -> Evidence:
    """Return the evidence in a run, or in the directory of one. Its list of faults is not looked at.

    Raises:
        RunError: the directory is missing, torn or not a run, has no finished step, or holds a probe that is
            not as `minigpt.runs.schema` says.
    """
    run = run if isinstance(run, Run) else Run(run)
    waiting = any(probe.get("passes") for probe in run.probes)  # a loop that never made a step
    if not len(run.columns) and not waiting:
        raise RunError("run.no-metrics", path=run.path)
    probes = _probes(run)
    monitored = run.config is None
    start = _one(probes.pop(Start.kind, ()), Start)
    # a monitor learns of the loop as it goes, and writes the whole again; a trainer rehearses once
    rehearsal = _one(probes.pop(Rehearsal.kind, ())[-1 if monitored else 0 :], Rehearsal)
    config = run.config or asked_of(run.manifest.get("asked") or {}, rehearsal)
    return Evidence(
        source=Source.MONITOR if monitored else Source.TRAINER,
        vocab_size=start.vocab_size or config.vocab_size,  # a monitor has counted the logits
        config=config,
        starts_from_checkpoint=run.manifest.get("starts_from") is not None,
        metrics=run.columns,
        start=start,
        rehearsal=rehearsal,
        baselines=_one(probes.pop(Baselines.kind, ()), Baselines),
        audits=probes,
        events=tuple(Event.read(record, run.path / "events.jsonl") for record in run.events),
    )


def _one(found: tuple[Probe, ...], kind: type[P]) -> P:
    return found[0] if found else kind()


def _probes(run: Run) -> dict[str, tuple[Any, ...]]:
    """Return the probes of every kind that this version knows."""
    found: dict[str, list[Probe]] = {}
    for record in run.probes:
        kind = PROBES.get(record.get("kind", ""))
        if kind is not None:
            found.setdefault(kind.kind, []).append(kind.read(record, run.path / "probes.jsonl"))
    return {kind: tuple(probes) for kind, probes in found.items()}
