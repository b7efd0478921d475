"""The judge's handle on the sandbox: ask a question, get its outcomes, whatever the learner's code does.

    with Workshop(lesson, level) as workshop:
        outcomes = workshop.ask(cells, cases)      # [(outcome, …)], one a case that was answered

Several threads may ask at once; each question is a process of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

from nbformat import NotebookNode

from course.cells import names_of
from course.grade import wire
from course.grade.clock import Clock
from course.grade.cradle import born
from course.grade.probe_side import probe_sides
from course.grade.sandbox import strongest
from course.grade.scratch import claim, release
from course.lesson import ROOT, Lesson
from course.messages import CourseError
from course.plain import MAX_TEXT

QUESTION_SECONDS = 30
PROCESSOR_SECONDS = 10  # that the learner's code of one question may compute; honest ones need about one
PATIENCE = 90.0  # seconds that all questions of one submission may wait for a busy machine, on top of theirs
START_SECONDS = 120
GRACE = 2.0
MAX_STARTS = 20  # of a zygote in one run
MAX_ASKED = 3  # times, where the kernel kills the question for memory or somebody else does

_SETUP = r'^# %% id="([a-z0-9-]+)".*\bsetup=true'


class SandboxGone(CourseError):
    """The zygote ended in the middle of a run: nobody's fault, so it must cost nobody points."""


class Workshop:
    """One zygote and the questions in progress."""

    def __init__(
        self,
        lesson: Lesson,
        release: NotebookNode,
        level: str | None = None,
        seconds: float = QUESTION_SECONDS,
    ):
        self.seconds = seconds
        self.lesson, self.release = lesson, release
        self.level = level or strongest()
        self.sides = probe_sides(lesson.folder / "checks")
        marked = re.findall(_SETUP, (lesson.folder / "lesson.py").read_text(encoding="utf-8"), re.MULTILINE)
        self.setup = [cell.source for cell in release.cells if cell.id in marked]
        self.given = set().union(*(names_of(cell)[0] for cell in self.setup))
        self.scratch, self._claim = claim()
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self.process, self.starts = None, 0

    def __enter__(self) -> Workshop:
        """Start the zygote.

        Raises:
            CourseError: it does not come up.
        """
        self._log = open(os.path.join(self.scratch, "log"), "wb")  # noqa: SIM115 (closed in __exit__)
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        mine, theirs = socket.socketpair()
        try:
            self.process = born(theirs, self._log, self.scratch)
        except OSError:
            raise self._unborn("ended") from None
        finally:
            theirs.close()
        self.socket = mine
        self.starts += 1
        room = os.path.join(self.scratch, f"room-{self.starts}")
        os.mkdir(room)
        order = {"level": self.level, "readable": _readable(), "scratch": room, "setup": self.setup}
        order["probes"] = {name: side.source for name, side in self.sides.items()}
        try:
            wire.send(mine.fileno(), order)
            wire.receive(mine.fileno(), Clock(START_SECONDS))
        except wire.Broken as broken:
            raise self._unborn(broken.reason) from None

    def _unborn(self, reason: str) -> CourseError:
        text = Path(self.scratch, "log").read_text(errors="replace")[-300:]
        return CourseError("grade.no-zygote", reason=reason, log=text)

    def _restart(self, socket_of_the_dead: socket.socket) -> None:
        """Start another zygote for the one that was killed, unless another thread has done it.

        Raises:
            SandboxGone: that has happened too often: something here ends them.
        """
        with self._lock:
            if self.socket is not socket_of_the_dead:
                return
            if self.starts >= MAX_STARTS:
                raise SandboxGone("grade.sandbox-gone")
            self._stop()
            self._start()

    def _stop(self) -> None:
        if self.process is None:
            return
        self.socket.close()  # the zygote ends its questions, then itself
        try:
            self.process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._log.close()
        release(self.scratch, self._claim)

    def keys(self, check: object) -> frozenset[str] | None:
        """The parts of a case that the check's probe reads."""
        side = self.sides[type(check).__module__.rpartition(".")[2]]
        return side.keys.get(type(check).__name__)

    def ask(self, cells: list[list[str]], cases: list[dict], patience: float = PATIENCE) -> list[dict]:
        """Run the cases on the cells and return the outcomes in order; missing ones say why at the end.

        Beside what `course.judging.judge` reads, an outcome says how many seconds of `patience` the question
        was `given` until then, and with `busy` whether it was stopped because there were no more.

        Raises:
            SandboxGone: the zygote is no longer there.
        """
        for again in itertools.count(1):  # a question leaves nothing behind, so it can be asked again
            zygote = self.socket
            try:
                outcomes, ended = self._ask(zygote, cells, cases, patience)
            except SandboxGone:
                self._restart(zygote)
                continue
            if not ended or again >= MAX_ASKED:
                return outcomes

    def _ask(
        self, zygote: socket.socket, cells: list[list[str]], cases: list[dict], patience: float
    ) -> tuple[list[dict], bool]:
        """The outcomes, and whether the question ended by itself: no learner's code can end a prober."""
        number = next(self._numbers)
        asked, ask = os.pipe()
        heard, tell = os.pipe()
        clock = Clock(self.seconds + patience + GRACE)
        outcomes: list[dict] = []
        reason = None
        try:
            self._order(zygote, {"number": number}, [asked, tell])
        except SandboxGone:
            os.close(ask)
            os.close(heard)
            raise
        finally:
            os.close(asked)
            os.close(tell)
        try:
            cut = [[n, *(s[i : i + MAX_TEXT] for i in range(0, len(s), MAX_TEXT))] for n, s in cells]
            order = {"cells": cut, "cases": cases, "seconds": self.seconds, "patience": patience}
            order["processor"] = min(PROCESSOR_SECONDS, int(self.seconds) or 1)
            wire.send(ask, order, clock)
            while len(outcomes) < len(cases):
                frame = wire.receive(heard, clock)
                outcomes.append(frame["outcome"] | {name: frame[name] for name in ("given", "busy")})
        except (wire.Broken, KeyError, TypeError) as error:
            reason = error.reason if isinstance(error, wire.Broken) else "frame"
            outcomes.append({"failure": {"key": f"grade.{reason}", "values": {}}, "printed": ""})
        finally:
            os.close(ask)
            os.close(heard)
            self._order(zygote, {"number": number, "stop": True})
        return outcomes, bool(outcomes) and reason == "ended"

    def _order(self, zygote: socket.socket, order: dict, pipes: list[int] | None = None) -> None:
        """Tell the zygote something and wait until it has done it."""
        with self._lock:
            try:
                if (
                    zygote is not self.socket
                ):  # that one is gone, and another thread has started its successor
                    raise SandboxGone("grade.sandbox-gone")
                socket.send_fds(zygote, [json.dumps(order).encode()], pipes or [])
                done = "stop" not in order or zygote.recv(1)
            except OSError:
                done = False
        if not done:
            raise SandboxGone("grade.sandbox-gone")


def _readable() -> list[str]:
    """What learner code may read: Python, its packages, minigpt, what a notebook imports of the course."""
    here = ROOT / "course"
    found = [sys.base_prefix, sys.prefix, str(ROOT / "minigpt"), str(here / "messages")]
    found += [os.path.realpath(path) for path in found]  # an environment may be a link to another place
    return [*dict.fromkeys(found), *map(str, sorted(here.glob("*.py")))]
