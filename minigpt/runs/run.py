"""A run on disk: what it was asked, what it measured, and its checkpoints. `minigpt.runs.writer` writes it.

    experiments/<run>/manifest.json   config, versions, data hashes, hardware, argv
                      metrics.jsonl   one object a step
                      events.jsonl    what guards decided, where there are any
                      probes.jsonl    what the active probes saw
                      tokenizer.json  checkpoints/

The logs are append-only, flushed at every step, readable during the run and after a kill: a torn last
line is dropped.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from minigpt.config import Config, ConfigError
from minigpt.runs.jsonl import Columns, RunError, last_attempts, read_jsonl


class Run:
    """A run directory, read."""

    def __init__(self, path: str | Path):
        """Open the run at `path`.

        Raises:
            RunError: there is no such folder, it holds no run, or its manifest cannot be read.
        """
        self.path = Path(path)
        if not os.path.isdir(path):  # nor if it may not be looked at
            raise RunError("run.missing", path=path)
        if not os.path.isfile(self.path / "manifest.json"):
            raise RunError("run.not-a-run", path=path)
        try:
            self.manifest: dict[str, Any] = json.loads(
                (self.path / "manifest.json").read_text(encoding="utf-8")
            )
            settings = self.manifest["config"]
            # an external loop was monitored: it has no config
            self.config = None if settings is None else Config.from_dict(settings)
        except (ValueError, KeyError, TypeError, OSError, ConfigError) as error:
            raise RunError("run.bad-manifest", path=self.path / "manifest.json", detail=error) from error

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Every record in the order written, with what a guard undid. Long runs are better read by column."""
        return read_jsonl(self.path / "metrics.jsonl")

    @cached_property
    def columns(self) -> Columns:
        """The metrics by column, without what a guard undid; read once."""
        columns = self.all_columns
        return Columns(last_attempts(self.metrics)) if "attempt" in columns else columns

    @cached_property
    def all_columns(self) -> Columns:
        """The metrics by column, with what a guard undid; read once."""
        return Columns.read(self.path / "metrics.jsonl")

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps at which a metric was logged, and its values; `lr.decay` names a group's rate."""
        return self.columns.column(name)

    @property
    def events(self) -> list[dict[str, Any]]:
        """One record a decision of a guard, in the order written."""
        return read_jsonl(self.path / "events.jsonl")

    @property
    def probes(self) -> list[dict[str, Any]]:
        """One record a probe, in the order written, without what a guard undid."""
        return last_attempts(read_jsonl(self.path / "probes.jsonl"))


def strict(value: Any) -> Any:
    """Return plain data that strict JSON can hold: a NaN or infinity becomes its name."""
    if isinstance(value, dict):
        return {key: strict(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [strict(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def write_atomically(path: Path, text: str) -> None:
    """Write a file under a temporary name, flush it to disk, and rename it: readers see all of it or none."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
