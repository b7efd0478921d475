"""Writing a run directory (`minigpt.runs.run` reads it), so that a kill or a full disk spoils nothing.

    writer = RunWriter("experiments/first")
    writer.manifest(describe_run(config))
    writer.metric({"step": 0, "loss": 6.24})

Records are written unbuffered, whole lines at a time: whoever reads meanwhile sees whole lines, and a kill
can cut the last one at most. While a writer is open the folder is locked, so two processes never write to one
run.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import torch

from minigpt.config import Config
from minigpt.messages import reason_of
from minigpt.runs.jsonl import RunError
from minigpt.runs.run import strict, write_atomically

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

if TYPE_CHECKING:
    from minigpt.data.tokenizer import Tokenizer


LOGS = ("metrics.jsonl", "probes.jsonl", "events.jsonl")


class RunWriter:
    """Writes a run directory during the run."""

    def __init__(self, path: str | Path, resume: bool = False):
        """Make the folder, or reopen it to resume.

        Raises:
            RunError: the folder already holds files (and this is not a resume), another process writes to it,
                or it cannot be written.
        """
        self.path = Path(path)
        self.records = dict.fromkeys(LOGS, 0)  # lines written so far, by log
        self._logs: dict[str, FileIO] = {}
        with self._writing():
            used = self.path.is_dir() and any(not file.name.startswith(".") for file in self.path.iterdir())
            if used and not resume:
                raise RunError("run.exists", path=path)
            self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.path) if fcntl else None

    @contextmanager
    def _writing(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            path = error.filename or self.path / name
            raise RunError("run.cannot-write", path=path, detail=reason_of(error)) from error

    def manifest(self, content: dict[str, Any]) -> None:
        """Write the manifest whole; with it the folder becomes a run."""
        with self._writing():
            write_atomically(
                self.path / "manifest.json", json.dumps(strict(content), indent=2, ensure_ascii=False) + "\n"
            )

    def metric(self, *records: dict[str, Any]) -> None:
        """Append the record of one step, or of several at once."""
        self._append("metrics.jsonl", *records)

    def probe(self, *records: dict[str, Any]) -> None:
        """Append what one probe saw, or several."""
        self._append("probes.jsonl", *records)

    def event(self, record: dict[str, Any]) -> None:
        """Append one decision of a guard."""
        self._append("events.jsonl", record)

    def tokenizer(self, tokenizer: Tokenizer) -> None:
        """Keep the tokenizer beside the weights: neither is of use without the other."""
        self.whole("tokenizer.json", tokenizer.to_json())

    def whole(self, name: str, text: str) -> None:
        """Write a file of the folder whole."""
        with self._writing(name):
            write_atomically(self.path / name, text)

    def _append(self, name: str, *records: dict[str, Any]) -> None:
        lines = b"".join(map(_line, records))
        with self._writing(name):
            if name not in self._logs:
                self._logs[name] = (self.path / name).open("ab", buffering=0)
            while lines:  # a disk that fills up takes part of them, and refuses the rest
                lines = lines[self._logs[name].write(lines) :]
        self.records[name] += len(records)

    def sync(self) -> None:
        """Force the logs to disk, so that no checkpoint is ever ahead of them."""
        with self._writing():
            for log in self._logs.values():
                os.fsync(log.fileno())

    def rewind(self, step: int, records: Mapping[str, int] | None = None) -> None:
        """Drop what a resumed run is about to write again.

        Args:
            step: without `records`, everything from the first record of this step or a later one on.
            records: how many lines of each log stay, as a checkpoint remembers it.
        """
        for name in LOGS:
            if log := self._logs.pop(name, None):
                log.close()
            with self._writing():
                if (self.path / name).exists():
                    most = None if records is None else records.get(name, 0)
                    length, self.records[name] = _kept(self.path / name, step, most)
                    os.truncate(self.path / name, length)

    def close(self) -> None:
        """Close the logs and release the folder."""
        for log in self._logs.values():
            log.close()
        self._logs.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def require_unlocked(path: Path) -> None:
    """Check that no other process is writing to a run.

    Raises:
        RunError: one is.
    """
    if fcntl:
        os.close(_locked(path))


def _locked(path: Path) -> int:
    """Return a handle that holds the folder's lock; the system releases it when the process ends.

    Raises:
        RunError: another process holds it.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise RunError("run.in-use", path=path) from error
    except OSError:
        pass  # a file system without locks: the run continues without one
    return handle


def _line(record: dict[str, Any]) -> bytes:
    line = orjson.dumps(record) + b"\n"
    if b"null" in line:  # perhaps a NaN: rare, so that looking for one first would only cost
        line = orjson.dumps(strict(record)) + b"\n"
    return line


def _kept(log: Path, step: int, most: int | None) -> tuple[int, int]:
    """Return how many bytes, and how many whole lines, of a log stay: `most` lines, or those before the first
    record of step `step` or later."""
    length = lines = 0
    with log.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if most is not None and lines == most:
                break
            try:
                record = orjson.loads(line)
                if not line.endswith(b"\n") or most is None and record["step"] >= step:
                    break
            except (ValueError, TypeError, KeyError) as error:
                if not line.endswith(b"\n"):  # torn by a kill
                    break
                raise RunError("run.bad-line", path=log, line=number) from error
            length, lines = length + len(line), lines + 1
    return length, lines


def describe_run(config: Config | None, **more: Any) -> dict[str, Any]:
    """Return the manifest of a run that starts now; without a config for an external loop."""
    return {
        "format": 1,
        "started": now(),
        "config": config.to_dict() if config else None,
        "seed": config.seed if config else None,
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


def now() -> str:
    """Return the time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


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
