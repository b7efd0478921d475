"""Folders in which a learner's code writes, and a power cut in the middle of it: tools for probes.

    with workplace() as folder:                        # Path; removed afterwards
        answer(folder / "checkpoint.bin").write(data)
        put(elsewhere, files_in(folder))               # its files, and nothing else
    cut = interrupted(answer, lambda: answer(path).write(data), at=3)

Beside a learner's code (in a notebook) the power cut is an exception that comes up at the n-th file that is
opened for writing, renamed or removed. In grading, the learner's process is killed there from outside.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 10_000_000  # of one file
_OPEN: set[str] = set()


@contextmanager
def workplace() -> Iterator[Path]:
    """A fresh folder that everybody may write to."""
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o777)
    _OPEN.add(folder)
    try:
        yield Path(folder)
    finally:
        _OPEN.discard(folder)
        shutil.rmtree(folder, ignore_errors=True)


def shared_folders() -> set[str]:
    """The folders that are open now."""
    return set(_OPEN)


def files_in(folder: Path) -> dict[str, bytes]:
    """Names and content of the plain files of a folder; links, pipes and what is too large are left out."""
    found = {}
    for name in sorted(os.listdir(folder)):
        try:
            handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue
        with open(handle, "rb") as file:
            facts = os.fstat(handle)
            if stat.S_ISREG(facts.st_mode) and facts.st_size <= MAX_BYTES:
                found[name] = file.read(MAX_BYTES)
    return found


def put(folder: Path, files: dict[str, bytes]) -> None:
    """Make these the only files of the folder."""
    for entry in os.scandir(folder):
        shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
    for name, content in files.items():
        (folder / name).write_bytes(content)
        os.chmod(folder / name, 0o666)


def interrupted(answer: object, action: Callable[[], object], at: int) -> bool:
    """Run an action that calls the answer; end it at the n-th change of a file. Whether it came to that."""
    if hasattr(answer, "interrupted"):
        return answer.interrupted(action, at)
    with _watch(at) as watch:
        action()
    return watch.events >= at


class _Cut(BaseException):
    """The power cut: no `except Exception` catches it."""


@dataclass
class _Watch:
    at: int
    events: int = 0


_WATCHING: list[_Watch] = []
_HOOKED: list[bool] = []


@contextmanager
def _watch(at: int) -> Iterator[_Watch]:
    watch = _Watch(at)
    if not _HOOKED:  # an audit hook stays for good; it does nothing while nobody watches
        sys.addaudithook(_hear)
        _HOOKED.append(True)
    _WATCHING.append(watch)
    try:
        yield watch
    except _Cut:
        pass
    finally:
        _WATCHING.remove(watch)


def _hear(event: str, args: tuple) -> None:
    if not _WATCHING or event not in ("open", "os.rename", "os.remove"):
        return
    if event == "open" and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
        return
    path = args[1] if event == "os.rename" else args[0]
    if not isinstance(path, (str, bytes, os.PathLike)):
        return
    folder = os.path.realpath(os.path.dirname(os.fsdecode(path)))
    if not any(folder == os.path.realpath(place) for place in _OPEN):
        return
    for watch in tuple(_WATCHING):
        watch.events += 1
        if watch.events == watch.at:
            raise _Cut
