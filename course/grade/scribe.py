"""Makes pages of what learners wrote, in a process of its own that has a limit: no text can hold up a class.

    with Scribe() as scribe:
        scribe.written("**why**", {})     # one line of HTML; as text where obeying it would take too long
        scribe.colours("x = 1")           # whether showing code in colours ends soon

The process starts with the first text and is replaced when one was too much for it. `shared()` is one for
all pages of this process, whatever the lesson.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import select
import subprocess
import sys
import threading
import time
from functools import cache

from course.grade.inert import Tangled, as_text, inert
from course.lesson import ROOT

CPU_SECONDS = 3  # of processor time for one text; an honest one takes some milliseconds
WALL_SECONDS = 60  # of the clock, for a machine that is busy with others
MEMORY = 2**31  # bytes, modules included
LEXER = "ipython3"  # what the course's notebooks name in their metadata


class Scribe:
    """The process and the way to it; callers take turns."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._turn = threading.Lock()

    def __enter__(self) -> Scribe:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def written(self, markdown: str, pictures: dict | None = None) -> str:
        """Return what was written as HTML that does nothing."""
        with self._turn:
            made = self._ask({"markdown": markdown, "pictures": pictures or {}})
        return made if isinstance(made, str) else as_text(markdown)

    def colours(self, code: str) -> bool:
        """Whether nbgrader's pages can colour this code within the limit."""
        with self._turn:
            return self._ask({"code": code}) is True

    def _ask(self, order: dict) -> object:
        """The answer; None where there was none in time."""
        line = json.dumps(order).encode() + b"\n"
        for _ in range(2):  # a process that somebody else ended is no fault of the text
            if self._process is None:
                self._start()
            try:
                self._process.stdin.write(line)
                self._process.stdin.flush()
                answer = self._line()
            except BrokenPipeError:
                self._end()
                continue
            if not answer.endswith(b"\n"):
                self._end()
                return None
            return json.loads(answer)
        return None

    def _line(self) -> bytes:
        """The next line; without its end where time is up or the process is gone."""
        pipe, received, end = self._process.stdout, b"", time.monotonic() + WALL_SECONDS
        while not received.endswith(b"\n"):
            if not select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
                break
            part = pipe.read1(2**20)
            if not part:
                break
            received += part
        return received

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "course.grade.scribe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        self._line()  # it says that it is ready: its imports are no text's fault

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None


def shared() -> Scribe:
    """The scribe of this process."""
    return _of(os.getpid())


@cache
def _of(process: int) -> Scribe:
    scribe = Scribe()
    atexit.register(scribe.__exit__)
    return scribe


def answer(order: dict) -> object:
    """What the process makes of one order."""
    if "code" in order:
        from nbconvert.filters.highlight import Highlight2HTML

        return bool(Highlight2HTML(pygments_lexer=LEXER)(order["code"]))
    try:
        return inert(order["markdown"], order["pictures"])
    except Tangled:
        return None


def main() -> None:
    """Answer one JSON line with one JSON line; the kernel ends a text that takes too long."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, limits[1]))
    answer({"code": "x = 1"})
    answer({"markdown": "*x*", "pictures": {}})
    _say(True)
    for line in sys.stdin.buffer:
        used = resource.getrusage(resource.RUSAGE_SELF)
        end = int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (end, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        try:
            made = answer(json.loads(line))
        except Exception:  # whatever mistune, pygments or bleach raise on a text
            made = None
        _say(made)


def _say(value: object) -> None:
    sys.stdout.buffer.write(json.dumps(value).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
