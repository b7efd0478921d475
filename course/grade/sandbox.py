"""What keeps a learner's code in: the strongest of what this machine allows.

    level = strongest()            # "namespaces", "landlock" or "none"
    room = Room(level, folders, scratch)
    room.enter()                   # in the zygote, once, after every import and before any learner's code
    pid = room.fork()              # a question: first process of its own process table
    room.confine(...)              # in the process that runs learner code: no way back

namespaces   a root of its own that shows Python, torch, minigpt and a private /tmp; no network; a process
             table that ends with the question. Root needs no user namespace, anybody else does.
landlock     the same files through Landlock; no sockets and no signals through seccomp.
Both         seccomp (x86-64 and aarch64), no new privileges, no shared memory that outlives its process,
             limits on memory, CPU seconds, processes, file size.

Everything is done with system calls through ctypes: no program has to be installed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from course.grade.calls import known, refuse_calls
from course.grade.libc import DUMPABLE, NO_NEW_PRIVS, PDEATHSIG, SUBREAPER, prctl
from course.grade.system import (
    BIND,
    CPU_SECONDS,
    FILE_BYTES,
    FILES,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWUSER,
    NEWUTS,
    NODEV,
    NOSUID,
    PRIVATE,
    PROCESSES,
    RDONLY,
    REC,
    REMOUNT,
    children,
    descendants,
    do,
    drop_capabilities,
    landlock,
    limit,
    mount,
    show,
    tasks_of,
)
from course.grade.unlinked import held

LEVELS = ("namespaces", "landlock", "none")

SCRATCH = "/scratch"  # the only place where learner code may write, where namespaces make a root of its own
FIRST_UID = 61_000  # as root: users that own nothing

_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/etc/fonts")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


@dataclass
class Room:
    """The sandbox of one zygote: its level, the folders that learner code may read, its temporary folder."""

    level: str
    readable: list[str]
    scratch: str
    root: bool = field(default_factory=lambda: _may_become_others())  # learner code runs as nobody's user
    count: int = 0
    own_table: int = -1
    proc: int | None = None  # the machine's /proc, for a question's clock; learner code never has it
    others: int = 0  # tasks of this user that are no question's: the kernel's limit counts them all

    def enter(self) -> None:
        """Build the view of the files and leave the network; the process must have one thread.

        Raises:
            OSError: the machine refuses.
        """
        self.others = 0 if self.root else tasks_of(os.geteuid())
        try:
            self.proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            pass  # then every question has its seconds and no more
        if self.level != "namespaces":
            prctl(SUBREAPER, 1)
            os.chmod(self.scratch, 0o711)  # every question has a folder of its own in it
            return
        new = NEWNS | NEWNET | NEWIPC | NEWUTS
        uid, gid = os.geteuid(), os.getegid()
        do("unshare", new if self.root else new | NEWUSER)
        if not self.root:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
            self._become_first()  # nobody but root may come back to the machine's own process table
        self.own_table = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self._build_root()

    def _become_first(self) -> None:
        """Go on as the first process of a table that this user owns; what was here only waits for it."""
        do("unshare", NEWPID)
        pid = os.fork()
        if pid:
            os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
        prctl(PDEATHSIG, signal.SIGKILL)

    def fork(self) -> int:
        """Fork a question; with namespaces it is process 1 of a table of its own and owns a fresh /tmp."""
        self.count += 1
        if self.level != "namespaces":
            pid = os.fork()
            if pid == 0:
                prctl(PDEATHSIG, signal.SIGKILL)
                prctl(SUBREAPER, 1)
                self.scratch = tempfile.mkdtemp(dir=self.scratch)
                os.chmod(self.scratch, 0o777)
            return pid
        do("unshare", NEWPID)
        pid = os.fork()
        if pid:
            do("setns", self.own_table, NEWPID)
            return pid
        prctl(PDEATHSIG, signal.SIGKILL)
        os.close(self.own_table)
        do("unshare", NEWNS)
        mount("tmpfs", SCRATCH, "tmpfs", NOSUID | NODEV, f"mode=1777,size={FILE_BYTES},nr_inodes={FILES}")
        self.scratch = SCRATCH
        return 0

    def settle(self) -> None:
        """In a question, before it spawns: learners' processes get process tables below its own."""
        if self.level == "namespaces":
            self.own_table = os.open("self/ns/pid", os.O_RDONLY, dir_fd=self.proc)

    def tell_scratch(self) -> None:
        """In a question: temporary folders of its own come into the scratch."""
        tempfile.tempdir = self.scratch

    def overfull(self, below: list[str]) -> str | None:
        """In a question: "disk" where more lies in the scratch than fits into that of namespaces.

        `below` are its processes: a file that was removed lies there as long as one of them holds it.
        """
        if self.level == "namespaces":  # a file system of its own sees to that
            return None
        size = 0 if self.proc is None else held(self.proc, below, self.scratch)
        count = 0
        for folder, folders, files in os.walk(self.scratch):
            count += len(folders) + len(files)
            for name in files:
                try:
                    size += os.lstat(os.path.join(folder, name)).st_blocks * 512
                except OSError:
                    continue
            if size > FILE_BYTES or count > FILES:
                return "disk"
        return "disk" if size > FILE_BYTES else None

    def spawn(self) -> int:
        """Fork a learner's process: all that it starts ends with it, and it shares memory with no other."""
        apart = self.level == "namespaces"
        if apart:
            do("unshare", NEWPID)
        pid = os.fork()
        if pid:
            if apart:
                do("setns", self.own_table, NEWPID)
            return pid
        prctl(PDEATHSIG, signal.SIGKILL)
        os.setsid()  # a signal to the whole group reaches nobody else
        if apart:
            os.close(self.own_table)
            do("unshare", NEWIPC)
        return 0

    def clear(self, keep: set[str], alive: set[int]) -> None:
        """In a question, after a learner's process: what it left running or lying about goes."""
        self.sweep(alive)
        for entry in os.scandir(self.scratch):
            if entry.path in keep:
                continue
            try:
                shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
            except OSError:
                pass

    def confine(self, memory: int, seconds: int = CPU_SECONDS) -> None:
        """Give up everything, for good; the process may address `memory` bytes and compute for `seconds`."""
        os.environ.update(HOME=self.scratch, TMPDIR=self.scratch)
        tempfile.tempdir = self.scratch
        os.chdir(self.scratch)
        if self.level == "none":
            limit(memory, PROCESSES + self.others, seconds)
            return
        try:
            Path("/proc/self/oom_score_adj").write_text("1000")
        except OSError:
            pass  # no /proc in here: then the parent has done it
        if self.root:
            uid = FIRST_UID + self.count % 1000
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        limit(memory, PROCESSES + self.others, seconds)
        prctl(NO_NEW_PRIVS, 1)
        if self.level == "namespaces" or self.root:
            prctl(DUMPABLE, 0)
        # else the question could not see what its processes hold; Landlock keeps others out
        if self.level == "landlock":
            landlock([*self.readable, *_SYSTEM, *_DEVICES], self.scratch)
        drop_capabilities()
        refuse_calls(shared_table=self.level != "namespaces")

    def sweep(self, alive: set[int]) -> None:
        """In the zygote, after a question: end what it left behind; `alive` are the questions still asked.

        A process table of its own ends by itself. Elsewhere orphans come to the zygote, whatever they did.
        """
        if self.level == "namespaces":
            return
        for _ in range(500):
            orphans = [pid for pid in children(os.getpid()) if pid not in alive]
            for pid in [*orphans, *(below for orphan in orphans for below in descendants(orphan))]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            for pid in orphans:
                os.waitpid(pid, 0)
            if not orphans:
                return

    def _build_root(self) -> None:
        mount(None, "/", None, REC | PRIVATE, None)
        new = self.scratch
        mount("tmpfs", new, "tmpfs", NOSUID | NODEV, "mode=755,size=16m")
        for path in (*_SYSTEM, *self.readable):
            if os.path.islink(path):
                os.makedirs(os.path.dirname(new + path), exist_ok=True)
                os.symlink(os.readlink(path), new + path)
            elif os.path.exists(path):
                show(path, new + path, read_only=True)
        for path in _DEVICES:
            show(path, new + path, read_only=False)
        os.symlink(SCRATCH, new + "/dev/shm")
        os.makedirs(new + SCRATCH)
        if not os.path.exists(new + "/tmp"):  # the course itself may lie under it
            os.symlink(SCRATCH, new + "/tmp")
        os.chdir(new)
        do("pivot_root", b".", b".")
        do("umount2", b".", 2)
        os.chdir("/")
        mount(None, "/", None, REMOUNT | BIND | RDONLY | NOSUID | NODEV, None)
        self.scratch = SCRATCH


@cache
def strongest() -> str:
    """The strongest level that this machine allows, tried out by another program: this may have threads."""
    command = [sys.executable, "-m", "course.grade.sandbox"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    return done.stdout.strip() if done.stdout.strip() in LEVELS else "none"


def _try_out() -> str:
    for level in LEVELS[:-1]:
        if level == "landlock" and not known():  # sockets and signals would be open
            continue
        folder = tempfile.mkdtemp(prefix="sandbox-")
        pid = os.fork()
        if pid == 0:
            try:
                room = Room(level, [os.path.dirname(os.__file__)], folder)
                room.enter()
                child = room.fork()
                if child == 0:
                    room.confine(1 << 40)
                    os._exit(0 if not os.path.exists("/etc/hostname") or level != "namespaces" else 1)
                os._exit(os.waitpid(child, 0)[1] != 0)
            except BaseException:
                os._exit(1)
        works = os.waitpid(pid, 0)[1] == 0
        shutil.rmtree(folder, ignore_errors=True)
        if works:
            return level
    return "none"


def _may_become_others() -> bool:
    """Whether this is root, and of a machine or container that has the users of the sandbox."""
    if os.geteuid() != 0:
        return False
    try:
        ranges = [map(int, line.split()) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    except OSError:
        return True
    return any(first <= FIRST_UID and FIRST_UID + 1000 <= first + count for first, _, count in ranges)


if __name__ == "__main__":
    print(_try_out())
