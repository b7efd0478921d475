"""Where a dashboard's figures come from: a run directory, or a run that Weights & Biases recorded offline."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minigpt.config import Config, ConfigError
from minigpt.diagnosis import Walk, evidence_of, walk
from minigpt.runs.importers.wandb_run import read_wandb
from minigpt.runs.jsonl import Columns, RunError, last_attempts
from minigpt.runs.run import Run

NAMES = {  # minigpt's name of a column: what loggers call it
    "loss": ("loss", "train.loss", "train_loss", "training_loss", "loss.train"),
    "val_loss": (
        "val_loss",
        "val.loss",
        "eval.loss",
        "eval_loss",
        "valid_loss",
        "validation.loss",
        "loss.val",
    ),
    "grad_norm": ("grad_norm", "train.grad_norm", "gradient_norm", "grad.norm"),
}
RATES = ("lr", "learning_rate", "train.lr", "train.learning_rate")


@dataclass
class Source:
    """One run to draw."""

    name: str
    path: Path
    columns: Columns
    probes: list[dict[str, Any]] = field(default_factory=list)
    config: Config | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    walk: Walk | None = None
    events: list[dict[str, Any]] = field(default_factory=list)  # what guards decided
    undone: list[dict[str, Any]] = field(default_factory=list)  # what a guard rolled back

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return steps and values of a column by minigpt's name, whatever the log calls it."""
        known = (other for other in NAMES.get(name, (name,)) if other in self.columns)
        return self.columns.column(next(known, name))

    def rates(self) -> dict[str, str]:
        """Return the columns that hold learning rates, by parameter group."""
        groups = {name.removeprefix("lr."): name for name in self.columns.names() if name.startswith("lr.")}
        return groups or {name: name for name in RATES if name in self.columns}

    def probed(self, kind: str) -> list[dict[str, Any]]:
        """Return the records of one kind of probe."""
        return [probe for probe in self.probes if probe.get("kind") == kind]

    @property
    def steps_done(self) -> int:
        """How many steps are logged."""
        steps, _ = self.columns.column("step")
        return int(steps.max()) + 1 if len(steps) else 0

    @property
    def finished(self) -> bool:
        """Whether the last step of the run was logged, or a loop that a monitor saw came to its own end."""
        if self.config is not None:
            return self.steps_done >= self.config.steps
        return any(probe.get("ended") for probe in self.probed("observed")[-1:])


def from_run(path: str | Path, may_be_empty: bool = False) -> Source:
    """Read a run directory and walk the stability check over it.

    Args:
        may_be_empty: a run that has just begun has no step yet.

    Raises:
        RunError: the directory is missing, torn or not a run, or has no finished step.
    """
    run = Run(path)
    if not len(run.columns) and not may_be_empty:
        raise RunError("run.no-metrics", path=run.path)
    found = walk(evidence_of(run), whole=True) if len(run.columns) else None
    facts = (run.path.resolve().name, run.path, run.columns, run.probes, run.config, run.manifest)
    return Source(*facts, walk=found, events=run.events, undone=_undone(run))


def _undone(run: Run) -> list[dict[str, Any]]:
    """Return the records that a later attempt replaced."""
    if "attempt" not in run.all_columns:
        return []
    records = run.metrics
    kept = {id(record) for record in last_attempts(records)}
    return [record for record in records if id(record) not in kept and type(record.get("step")) is int]


def from_wandb(path: str | Path) -> Source:
    """Read an offline W&B run. If its config is minigpt's, schedule and chance level are drawn too.

    Raises:
        WandbError: the folder holds no readable run.
    """
    run = read_wandb(path)
    try:
        config = Config.from_dict(run.config)
    except (ConfigError, TypeError):
        config = None
    return Source(run.name, Path(path), run.columns, config=config, manifest={"config": run.config})


def named_apart(sources: Iterable[Source]) -> list[Source]:
    """Return the sources, each run once, with the parent folder before names that are not unique."""
    unique = list({source.path.resolve(): source for source in sources}.values())
    names = [source.name for source in unique]
    for source in unique:
        if names.count(source.name) > 1:
            source.name = f"{source.path.resolve().parent.name}/{source.name}"
    return unique


def flat_manifest(manifest: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return a manifest as rows of dotted name and value."""
    rows: list[tuple[str, str]] = []
    for name, value in manifest.items():
        if isinstance(value, dict):
            rows += flat_manifest(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            rows.append((prefix + name, text))
    return rows
