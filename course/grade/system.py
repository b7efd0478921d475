"""System calls for the sandbox: limits, Landlock, mounts, the process table."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
from pathlib import Path

from course.grade.libc import NO_NEW_PRIVS, check, libc, prctl

FILE_BYTES = 64_000_000  # of one file, and of all that a question leaves lying about
FILES = 4096
MEMORY_BYTES = 1_500_000_000  # on top of what the imports have taken
CPU_SECONDS = 60
PROCESSES = 16
OPEN_FILES = 256

NEWNS, NEWUTS, NEWIPC = 0x20000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18


def limit(memory: int, processes: int, seconds: int = CPU_SECONDS) -> None:
    """Set the resource limits of this process, for good."""
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_NPROC: processes,
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


def landlock(readable: list[str], writable: str) -> None:
    """Let this process read below `readable` and write below `writable`, and nothing else, for good."""
    version = libc.syscall(444, None, 0, 1)
    if version < 1:
        raise OSError("landlock")
    everything = (1 << 13) - 1
    for needed, bit in ((2, 13), (3, 14), (5, 15)):
        everything |= (version >= needed) << bit
    fields = [everything, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0]
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("QQQ", *fields)
    rules = check(libc.syscall(444, attributes, size, 0))
    for path, access in [*((path, 0b1101) for path in readable), (writable, everything)]:
        if not os.path.exists(path):
            continue
        handle = os.open(path, os.O_PATH)
        access &= everything if os.path.isdir(path) else 0b111 | (1 << 14) & everything
        if path == "/dev/null":
            access |= 0b10
        check(libc.syscall(445, rules, 1, struct.pack("=Qi", access, handle), 0))
        os.close(handle)
    prctl(NO_NEW_PRIVS, 1)
    check(libc.syscall(446, rules, 0))
    os.close(rules)


def drop_capabilities() -> None:
    """Give up whatever root may do."""
    for capability in range(64):
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; refused where there is nothing to drop
    header, nothing = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0] * 6)
    check(libc.capset(header, nothing))


def show(source: str, target: str, read_only: bool) -> None:
    """Bind a file or folder to another place."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "w").close()
    mount(source, target, None, BIND | REC, None)
    if read_only:
        flags = os.statvfs(target).f_flag & (NOSUID | NODEV | 8)  # a user namespace may not lift these
        mount(None, target, None, BIND | REMOUNT | RDONLY | NOSUID | flags, None)


def mount(source, target, kind, flags, data) -> None:
    """mount(2)."""
    text = [None if word is None else word.encode() for word in (source, target, kind, data)]
    check(libc.mount(text[0], text[1], text[2], ctypes.c_ulong(flags), text[3]))


def tasks_of(uid: int) -> int:
    """How many processes and threads the user has."""
    found = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            found += len(os.listdir(f"/proc/{name}/task")) if os.stat(f"/proc/{name}").st_uid == uid else 0
        except OSError:
            continue
    return found


def children(above: int) -> list[int]:
    """The processes whose parent is `above`."""
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


def descendants(root: int) -> list[int]:
    """Children, their children, and so on."""
    found, waiting = [], [root]
    while waiting:
        below = children(waiting.pop())
        found += below
        waiting += below
    return found


def do(name: str, *arguments) -> None:
    """A system call by its name.

    Raises:
        OSError: the machine refuses.
    """
    if name == "pivot_root":
        check(libc.syscall(155 if platform.machine() == "x86_64" else 41, *arguments))
    else:
        check(getattr(libc, name)(*arguments))
