"""Where zygotes come from: a program that has imported everything, once for all sandboxes of a process.

    process = born(socket, log, scratch)      # a zygote at the other end of `socket`; it writes to `log`
    process.pid, process.wait(120), process.kill()

The program knows nothing but its imports, those of the lessons' setup cells included, and each zygote is
forked from it: a command that grades twenty lessons imports torch once. It ends when the process that started
it does.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import BinaryIO

from course.grade.kernels import as_here
from course.lesson import ROOT

# A fork copies a table entry for each page: with every object in huge pages it costs a third.
_FEW_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "PYTHONMALLOC": "malloc"}
MAX_TRIES = 3  # where somebody ends the program
_NEEDED = (  # by setup cells, most of them by every lesson's
    "course.notebook",
    "course.live_plot",
    "course.picture",
    "course.predictions",
    "course.widgets",
    "matplotlib.figure",
    "minigpt.diagnosis.report",
    "minigpt.faults",
    "rich.console",
)

_cradles: dict[tuple, tuple[subprocess.Popen, socket.socket]] = {}  # by process and environment
_turn = threading.Lock()


@dataclass
class Process:
    """A zygote, which is no child of this process."""

    pid: int
    handle: int

    def wait(self, seconds: float | None = None) -> None:
        """Until it has ended.

        Raises:
            TimeoutExpired: it has not within those seconds.
        """
        if not select.select([self.handle], [], [], seconds)[0]:
            raise subprocess.TimeoutExpired("zygote", seconds or 0.0)

    def kill(self) -> None:
        """End it, if it is still there."""
        try:
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def __del__(self) -> None:
        os.close(self.handle)


def born(theirs: socket.socket, log: BinaryIO, scratch: str) -> Process:
    """Fork a zygote.

    Raises:
        OSError: the program that forks them does not come up.
    """
    environment = {"PATH": os.defpath, "MPLBACKEND": "agg", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= as_here() | _FEW_PAGES
    key = os.getpid(), tuple(sorted(environment.items()))
    with _turn:
        for _ in range(MAX_TRIES):
            try:
                if key not in _cradles:
                    _cradles[key] = _start(environment | _at_home(scratch), log)
                line = _cradles[key][1]
                socket.send_fds(line, [os.fsencode(scratch)], [theirs.fileno(), log.fileno()])
                number, handles, _, _ = socket.recv_fds(line, 4, 1)
                return Process(struct.unpack("I", number)[0], handles[0])
            except (OSError, struct.error):
                if key in _cradles:
                    _end(*_cradles.pop(key))
    raise OSError("zygote")


def _at_home(folder: str) -> dict[str, str]:
    return {"HOME": folder, "MPLCONFIGDIR": folder}


def _start(environment: dict[str, str], log: BinaryIO) -> tuple[subprocess.Popen, socket.socket]:
    mine, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "course.grade.cradle"],
            stdin=theirs,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )
    return process, mine


def _end(process: subprocess.Popen, line: socket.socket) -> None:
    line.close()
    process.kill()
    process.wait()


def main() -> None:
    """Fork a zygote for each folder that arrives with a socket and a file for what it says."""
    judge = socket.socket(fileno=os.dup(0))
    from course.grade import zygote

    zygote.torch.set_num_threads(1)
    for name in _NEEDED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page that it looks at
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits here
    nothing = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    while True:
        scratch, descriptors, _, _ = socket.recv_fds(judge, 4096, 2)
        if not scratch:
            return
        pid = os.fork()
        if pid == 0:
            judge.close()
            _become(zygote.main, os.fsdecode(scratch), *descriptors)
        handle = os.pidfd_open(pid)
        socket.send_fds(judge, [struct.pack("I", pid)], [handle])
        for descriptor in (handle, *descriptors):
            os.close(descriptor)


def _become(zygote, scratch: str, line: int, log: int) -> None:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for descriptor, target in ((line, 0), (log, 1), (log, 2)):
            os.dup2(descriptor, target)
        os.close(line)
        os.close(log)
        os.environ.update(_at_home(scratch))
        zygote()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
