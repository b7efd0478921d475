"""What keeps a learner's code in: the strongest of what this machine allows.

    level = strongest()            # "namespaces", "landlock" or "none"
    room = Room(level, folders)
    room.enter()                   # in the zygote, once, after every import and before any learner's code
    pid = room.fork()              # a question: first process of its own process table
    room.confine(...)              # in the process that runs learner code: no way back

namespaces   a root of its own that shows Python, torch, minigpt and a private /tmp; no network; a process
             table that ends with the question. Root needs no user namespace, anybody else does.
landlock     the same files through Landlock; no sockets and no signals through seccomp.
Both         seccomp (x86-64), no new privileges, limits on memory, CPU seconds, processes, file size.

Everything is done with system calls through ctypes: no program has to be installed.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

LEVELS = ("namespaces", "landlock", "none")

FILE_BYTES = 64_000_000
MEMORY_BYTES = 1_500_000_000  # on top of what the imports have taken
CPU_SECONDS = 60
PROCESSES = 16
OPEN_FILES = 256
SCRATCH = "/scratch"  # the only place where learner code may write, where namespaces make a root of its own
FIRST_UID = 61_000  # as root: users that own nothing

_libc = ctypes.CDLL(None, use_errno=True)
_NEWNS, _NEWUTS, _NEWIPC = 0x20000, 0x4000000, 0x8000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
_PDEATHSIG, _DUMPABLE, _SECCOMP, _SUBREAPER, _NO_NEW_PRIVS = 1, 4, 22, 36, 38
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/etc/fonts")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")

# x86-64 numbers: sockets, other processes' memory, mounts and namespaces, keys, kernel interfaces, io_uring
_DENIED = (41, 42, 49, 50, 101, 310, 311, 312, 155, 161, 165, 166, 272, 308, 428, 429, 430, 431, 432, 442)
_DENIED += (248, 249, 250, 298, 303, 304, 321, 323, 425, 426, 427, 246, 175, 313, 434, 438)
_SIGNALS = (62, 129, 200, 234, 297, 424)  # where processes share a table


@dataclass
class Room:
    """The sandbox of one zygote: its level, the folders that learner code may read, its temporary folder."""

    level: str
    readable: list[str]
    scratch: str = field(default_factory=lambda: tempfile.mkdtemp(prefix="grade-"))
    root: bool = field(default_factory=lambda: _may_become_others())  # learner code runs as nobody's user
    count: int = 0
    own_table: int = -1

    def enter(self) -> None:
        """Build the view of the files and leave the network; the process must have one thread.

        Raises:
            OSError: the machine refuses.
        """
        if self.level != "namespaces":
            _prctl(_SUBREAPER, 1)
            os.chmod(self.scratch, 0o711)  # every question has a folder of its own in it
            return
        new = _NEWNS | _NEWNET | _NEWIPC | _NEWUTS
        uid, gid = os.geteuid(), os.getegid()
        _do("unshare", new if self.root else new | _NEWUSER)
        if not self.root:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        self.own_table = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self._build_root()

    def fork(self) -> int:
        """Fork a question; with namespaces it is process 1 of a table of its own and owns a fresh /tmp."""
        self.count += 1
        if self.level != "namespaces":
            pid = os.fork()
            if pid == 0:
                _prctl(_PDEATHSIG, signal.SIGKILL)
                _prctl(_SUBREAPER, 1)
                self.scratch = tempfile.mkdtemp(dir=self.scratch)
                os.chmod(self.scratch, 0o777)
            return pid
        _do("unshare", _NEWPID)
        pid = os.fork()
        if pid:
            _do("setns", self.own_table, _NEWPID)
            return pid
        _prctl(_PDEATHSIG, signal.SIGKILL)
        os.close(self.own_table)
        _do("unshare", _NEWNS)
        _mount("tmpfs", SCRATCH, "tmpfs", _NOSUID | _NODEV, f"mode=1777,size={FILE_BYTES},nr_inodes=4096")
        self.scratch = SCRATCH
        return 0

    def confine(self, memory: int) -> None:
        """Give up everything, for good; `memory` is what the process may address, in bytes."""
        os.environ.update(HOME=self.scratch, TMPDIR=self.scratch)
        tempfile.tempdir = self.scratch
        os.chdir(self.scratch)
        if self.level == "none":
            _limit(memory)
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
        _limit(memory)
        _prctl(_NO_NEW_PRIVS, 1)
        _prctl(_DUMPABLE, 0)
        if self.level == "landlock":
            _landlock([*self.readable, *_SYSTEM, *_DEVICES], self.scratch)
        _drop_capabilities()
        _seccomp(_DENIED if self.level == "namespaces" else _DENIED + _SIGNALS)

    def sweep(self, alive: set[int]) -> None:
        """In the zygote, after a question: end what it left behind; `alive` are the questions still asked.

        A process table of its own ends by itself. Elsewhere orphans come to the zygote, whatever they did.
        """
        if self.level == "namespaces":
            return
        for _ in range(500):
            orphans = [pid for pid in _children(os.getpid()) if pid not in alive]
            for pid in [*orphans, *(below for orphan in orphans for below in _descendants(orphan))]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            for pid in orphans:
                os.waitpid(pid, 0)
            if not orphans:
                return

    def _build_root(self) -> None:
        _mount(None, "/", None, _REC | _PRIVATE, None)
        new = self.scratch
        _mount("tmpfs", new, "tmpfs", _NOSUID | _NODEV, "mode=755,size=16m")
        for path in (*_SYSTEM, *self.readable):
            if os.path.islink(path):
                os.symlink(os.readlink(path), new + path)
            elif os.path.exists(path):
                _show(path, new + path, read_only=True)
        for path in _DEVICES:
            _show(path, new + path, read_only=False)
        os.symlink(SCRATCH, new + "/dev/shm")
        os.makedirs(new + SCRATCH)
        if not os.path.exists(new + "/tmp"):  # the course itself may lie under it
            os.symlink(SCRATCH, new + "/tmp")
        os.chdir(new)
        _do("pivot_root", b".", b".")
        _do("umount2", b".", 2)
        os.chdir("/")
        _mount(None, "/", None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV, None)
        self.scratch = SCRATCH


@cache
def strongest() -> str:
    """The strongest level that this machine allows, tried out by another program: this may have threads."""
    command = [sys.executable, "-m", "course.grade.sandbox"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    return done.stdout.strip() if done.stdout.strip() in LEVELS else "none"


def _try_out() -> str:
    for level in LEVELS[:-1]:
        folder = tempfile.mkdtemp(prefix="grade-")
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


def _limit(memory: int) -> None:
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: CPU_SECONDS,
        resource.RLIMIT_NPROC: PROCESSES,
        resource.RLIMIT_FSIZE: FILE_BYTES,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for name, value in limits.items():
        hard = resource.getrlimit(name)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (value, value))


def _landlock(readable: list[str], writable: str) -> None:
    version = _libc.syscall(444, None, 0, 1)
    if version < 1:
        raise OSError("landlock")
    everything = (1 << 13) - 1
    for needed, bit in ((2, 13), (3, 14), (5, 15)):
        everything |= (version >= needed) << bit
    fields = [everything, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0]
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("QQQ", *fields)
    rules = _check(_libc.syscall(444, attributes, size, 0))
    for path, access in [*((path, 0b1101) for path in readable), (writable, everything)]:
        if not os.path.exists(path):
            continue
        handle = os.open(path, os.O_PATH)
        access &= everything if os.path.isdir(path) else 0b111 | (1 << 14) & everything
        if path == "/dev/null":
            access |= 0b10
        _check(_libc.syscall(445, rules, 1, struct.pack("=Qi", access, handle), 0))
        os.close(handle)
    _prctl(_NO_NEW_PRIVS, 1)
    _check(_libc.syscall(446, rules, 0))
    os.close(rules)


def _drop_capabilities() -> None:
    for capability in range(64):
        _libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; refused where there is nothing to drop
    header, nothing = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0] * 6)
    _check(_libc.capset(header, nothing))


def _seccomp(denied: tuple[int, ...]) -> None:
    if platform.machine() != "x86_64":
        return

    def jump_equal(value: int, yes: int, no: int) -> bytes:
        return struct.pack("HBBI", 0x15, yes, no, value)

    def refuse(number: int) -> bytes:
        return struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | number)

    load, allow = (lambda offset: struct.pack("HBBI", 0x20, 0, 0, offset)), 0x7FFF0000
    code = [load(4), jump_equal(0xC000003E, 1, 0), refuse(1), load(0)]
    code += [struct.pack("HBBI", 0x35, 0, 1, 0x40000000), refuse(38)]  # the x32 numbers
    for number in denied:
        code += [jump_equal(number, 0, 1), refuse(1)]
    code += [jump_equal(435, 0, 1), refuse(38)]  # clone3: its flags cannot be read here; glibc falls back
    code += [jump_equal(56, 0, 3), load(16), struct.pack("HBBI", 0x45, 0, 1, 0x7E020000), refuse(1)]
    code += [struct.pack("HBBI", 0x06, 0, 0, allow)]
    program = ctypes.create_string_buffer(b"".join(code))
    filters = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))
    _prctl(_NO_NEW_PRIVS, 1)
    _check(_libc.prctl(_SECCOMP, 2, ctypes.c_char_p(filters), 0, 0))


def _show(source: str, target: str, read_only: bool) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "w").close()
    _mount(source, target, None, _BIND | _REC, None)
    if read_only:
        flags = os.statvfs(target).f_flag & (_NOSUID | _NODEV | 8)  # a user namespace may not lift these
        _mount(None, target, None, _BIND | _REMOUNT | _RDONLY | _NOSUID | flags, None)


def _mount(source, target, kind, flags, data) -> None:
    text = [None if word is None else word.encode() for word in (source, target, kind, data)]
    _check(_libc.mount(text[0], text[1], text[2], ctypes.c_ulong(flags), text[3]))


def _children(above: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                facts = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(facts[1]) == above:
                found.append(int(name))
    return found


def _descendants(root: int) -> list[int]:
    found, waiting = [], [root]
    while waiting:
        children = _children(waiting.pop())
        found += children
        waiting += children
    return found


def _do(name: str, *arguments) -> None:
    if name == "pivot_root":
        _check(_libc.syscall(155 if platform.machine() == "x86_64" else 41, *arguments))
    else:
        _check(getattr(_libc, name)(*arguments))


def _prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, value, 0, 0, 0))


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


if __name__ == "__main__":
    print(_try_out())
