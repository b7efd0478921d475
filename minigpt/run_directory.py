"""A run on disk: what it was asked, what it measured, and its checkpoints.

    experiments/<run>/manifest.json   config, versions, data hashes, hardware, argv
                      metrics.jsonl   one object a step
                      probes.jsonl    what the active probes saw
                      tokenizer.json  checkpoints/

The logs are append-only, flushed at every step, readable while the run goes on and after a kill: a torn last
line is dropped.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from minigpt.config import Config
from minigpt.logs import Columns, RunError, read_jsonl

if TYPE_CHECKING:
    from minigpt.tokenizer import Tokenizer


class Run:
    """A run directory, read."""

    def __init__(self, path: str | Path):
        """Open the run at `path`.

        Raises:
            RunError: there is no such folder, it holds no run, or its manifest cannot be read.
        """
        self.path = Path(path)
        if not self.path.is_dir():
            raise RunError("run.missing", path=path)
        if not (self.path / "manifest.json").is_file():
            raise RunError("run.not-a-run", path=path)
        try:
            self.manifest: dict[str, Any] = json.loads(
                (self.path / "manifest.json").read_text(encoding="utf-8")
            )
            self.config = Config.from_dict(self.manifest["config"])
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise RunError("run.bad-manifest", path=self.path / "manifest.json", detail=error) from error

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One record a step, in the order written. Long runs are better read by column."""
        return read_jsonl(self.path / "metrics.jsonl")

    @cached_property
    def columns(self) -> Columns:
        """The metrics by column, read once: what a long run is looked at through."""
        return Columns.read(self.path / "metrics.jsonl")

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps at which a metric was logged, and its values; `lr.decay` names a group's rate."""
        return self.columns.column(name)

    @property
    def probes(self) -> list[dict[str, Any]]:
        """One record a probe, in the order written."""
        return read_jsonl(self.path / "probes.jsonl")


class RunWriter:
    """Writes a run directory while the run goes on."""

    def __init__(self, path: str | Path, resume: bool = False):
        """Make the folder, or reopen it to resume.

        Raises:
            RunError: the folder is already in use (and this is not a resume), or cannot be written.
        """
        self.path = Path(path)
        if not resume and self.path.is_dir() and any(self.path.iterdir()):
            raise RunError("run.exists", path=path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._metrics = (self.path / "metrics.jsonl").open("a", encoding="utf-8")
            self._probes = (self.path / "probes.jsonl").open("a", encoding="utf-8")
        except OSError as error:
            raise RunError("run.cannot-write", path=path, detail=error.strerror) from error

    def manifest(self, content: dict[str, Any]) -> None:
        """Write the manifest whole."""
        write_atomically(
            self.path / "manifest.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        )

    def metric(self, record: dict[str, Any]) -> None:
        """Append the record of one step."""
        self._append(self._metrics, record)

    def probe(self, record: dict[str, Any]) -> None:
        """Append what one probe saw."""
        self._append(self._probes, record)

    def save_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Keep the tokenizer beside the weights: neither is of use without the other."""
        tokenizer.save(self.path / "tokenizer.json")

    def _append(self, file: TextIO, record: dict[str, Any]) -> None:
        try:
            file.write(json.dumps(strict(record)) + "\n")
            file.flush()
        except OSError as error:
            raise RunError("run.cannot-write", path=file.name, detail=error.strerror) from error

    def rewind(self, step: int) -> None:
        """Drop the records of step `step` and later, which a resumed run is about to write again."""
        for name in ("_metrics", "_probes"):
            file = getattr(self, name)
            file.close()
            path = Path(file.name)
            kept = [record for record in read_jsonl(path) if record["step"] < step]
            write_atomically(path, "".join(json.dumps(strict(record)) + "\n" for record in kept))
            setattr(self, name, path.open("a", encoding="utf-8"))

    def close(self) -> None:
        """Close the logs."""
        self._metrics.close()
        self._probes.close()


class SilentWriter:
    """Stands in for the writer on every process but the first."""

    def __init__(self, path: Path):
        self.path = path

    def ignore(self, *_arguments: object) -> None:
        """Write nothing."""

    manifest = metric = probe = save_tokenizer = rewind = ignore

    def close(self) -> None:
        """Close nothing."""


def open_writer(path: str | Path, resume: bool, main: bool) -> RunWriter | SilentWriter:
    """Return the writer of the main process, or its stand-in on the others."""
    return RunWriter(path, resume) if main else SilentWriter(Path(path))


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


def describe_run(config: Config, **more: Any) -> dict[str, Any]:
    """Return the manifest of a run that starts now."""
    import torch  # here, because reading a run needs no torch and should not wait for it

    return {
        "format": 1,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config.to_dict(),
        "seed": config.seed,
        "versions": {
            "minigpt": version("minigpt-break-and-fix"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "git_sha": _git_sha(),
        "hardware": {
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
        },
        "argv": sys.argv,
        **more,
    }


def _git_sha() -> str | None:
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
