"""Interrupt a learner's process at the n-th change that it makes to a file, from outside.

In the learner's process, before its code runs: `listener = listen(socket)`; the kernel then holds every
system call that opens a file for writing, writes, renames or removes, until the prober, who holds the
listener, lets it go on, or kills the process: just as a power cut would leave the files.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import platform
import socket
import struct
from dataclasses import dataclass

from course.grade.calls import arch_word
from course.grade.libc import NO_NEW_PRIVS, check, libc, prctl

_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # ioctls of a listener
_CONTINUE = 1
_CHANGES_A_FILE = 0x1 | 0x2 | 0x40 | 0x200  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC

# By machine: calls that always change something; opens with their flags' argument; writes to a descriptor
_ALWAYS = {
    "x86_64": (82, 264, 316, 87, 263, 86, 265, 88, 266, 85, 76, 77, 437, 326, 40, 275, 285),
    "aarch64": (38, 276, 35, 37, 36, 45, 46, 437, 285, 71, 76, 47),
}
_OPENS = {"x86_64": ((257, 2), (2, 1)), "aarch64": ((56, 2),)}
_WRITES = {"x86_64": (1, 18, 20, 296, 328), "aarch64": (64, 68, 66, 70, 287)}


@dataclass
class Watch:
    """The prober's end: let changes pass, the `kill_at`-th apart."""

    listener: int
    kill_at: int
    armed: bool = False
    seen: int = 0

    def answer(self) -> bool:
        """Let one change pass; False, and it never happens, if it is the one to be killed at."""
        call = bytearray(80)
        try:
            fcntl.ioctl(self.listener, _RECEIVE, call)
        except OSError:  # whoever asked is gone by now
            return True
        self.seen += self.armed
        if self.armed and self.seen == self.kill_at:
            return False
        try:
            number = struct.unpack_from("Q", call)[0]
            fcntl.ioctl(self.listener, _SEND, struct.pack("QqiI", number, 0, 0, _CONTINUE))
        except OSError:
            pass
        return True


def supported() -> bool:
    """Whether this machine's system calls are known."""
    return platform.machine() in _ALWAYS


def listen(channel: socket.socket, number: int) -> None:
    """In the learner's process: have its changes held from now on, and hand the listener over the channel.

    `number` is the descriptor that its replies go to: writing there is no change of a file.

    Raises:
        OSError: the kernel cannot.
    """
    machine = platform.machine()

    def load(offset: int) -> bytes:
        return struct.pack("HBBI", 0x20, 0, 0, offset)

    def equal(value: int, yes: int, no: int) -> bytes:
        return struct.pack("HBBI", 0x15, yes, no, value)

    hold, allow = struct.pack("HBBI", 6, 0, 0, 0x7FC00000), struct.pack("HBBI", 6, 0, 0, 0x7FFF0000)
    code = [load(4), equal(arch_word(), 1, 0), allow, load(0)]
    for call in _ALWAYS[machine]:
        code += [equal(call, 0, 1), hold]
    for call, argument in _OPENS[machine]:
        flags = struct.pack("HBBI", 0x45, 0, 1, _CHANGES_A_FILE)  # any of these bits
        code += [equal(call, 0, 4), load(16 + 8 * argument), flags, hold, allow]
    for call in _WRITES[machine]:
        code += [equal(call, 0, 4), load(16), equal(number, 0, 1), allow, hold]
    code += [allow]
    program = ctypes.create_string_buffer(b"".join(code))
    filters = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))
    prctl(NO_NEW_PRIVS, 1)
    seccomp = 317 if machine == "x86_64" else 277
    listener = check(libc.syscall(seccomp, 1, 8, ctypes.c_char_p(filters)))
    channel.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])
    os.close(listener)
