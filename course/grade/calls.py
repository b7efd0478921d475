"""Numbers of system calls by machine, and the filter that refuses them (seccomp).

x86-64 and aarch64 are known. Elsewhere `known()` is false, nothing is filtered, and the report says so.
"""

from __future__ import annotations

import ctypes
import platform
import struct

from course.grade.libc import NO_NEW_PRIVS, SECCOMP, check, libc, prctl

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86-64, aarch64); from Linux 5.1 on the numbers of new calls are the same everywhere
_NUMBERS = {
    # sockets
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    # other processes' memory
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    # memory that outlives a question, or that no limit counts
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "semget": (64, 190), "semctl": (66, 191), "msgget": (68, 186),
    "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180),
    # mounts and namespaces
    "pivot_root": (155, 41), "chroot": (161, 51), "mount": (165, 40), "umount2": (166, 39),
    "unshare": (272, 97), "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "mount_setattr": (442, 442),
    # keys and kernel interfaces
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "perf_event_open": (298, 241),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "bpf": (321, 280),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "kexec_load": (246, 104), "init_module": (175, 105),
    "finit_module": (313, 273),
}  # fmt: skip
# where processes share a table: signals, whatever slows or limits somebody else, and what could hold a
# removed file out of sight, on its way from one end to the other
_SHARED_TABLE = {
    "socketpair": (53, 199),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "setpriority": (141, 140),
    "ioprio_set": (251, 30), "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
}  # fmt: skip
# allowed for the process itself, which they name 0
_OWN_ONLY = {"prlimit64": (302, 261), "sched_setaffinity": (203, 122)}
_CLONE, _CLONE3 = (56, 220), 435
_NEW_NAMESPACES = 0x7E020000


def known() -> bool:
    """Whether the numbers of this machine's system calls are known."""
    return platform.machine() in _ARCH


def arch_word() -> int:
    """What the kernel calls this machine in a filter."""
    return _ARCH[platform.machine()]


def refuse_calls(shared_table: bool) -> None:
    """Refuse the system calls above and new namespaces, for good; `shared_table`: no signals either."""
    if not known():
        return
    column = list(_ARCH).index(platform.machine())

    def jump_equal(value: int, yes: int, no: int) -> bytes:
        return struct.pack("HBBI", 0x15, yes, no, value)

    def refuse(number: int) -> bytes:
        return struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | number)

    def load(offset: int) -> bytes:
        return struct.pack("HBBI", 0x20, 0, 0, offset)

    allow = struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)
    code = [load(4), jump_equal(arch_word(), 1, 0), refuse(1), load(0)]
    if platform.machine() == "x86_64":
        code += [struct.pack("HBBI", 0x35, 0, 1, 0x40000000), refuse(38)]  # the x32 numbers
    for numbers in [*_NUMBERS.values(), *(_SHARED_TABLE.values() if shared_table else ())]:
        code += [jump_equal(numbers[column], 0, 1), refuse(1)]
    for numbers in _OWN_ONLY.values():
        code += [jump_equal(numbers[column], 0, 4), load(16), jump_equal(0, 0, 1), allow, refuse(1)]
    code += [jump_equal(_CLONE3, 0, 1), refuse(38)]  # its flags cannot be read here; glibc falls back
    clone = [load(16), struct.pack("HBBI", 0x45, 0, 1, _NEW_NAMESPACES), refuse(1)]
    code += [jump_equal(_CLONE[column], 0, 3), *clone, allow]
    program = ctypes.create_string_buffer(b"".join(code))
    filters = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))
    prctl(NO_NEW_PRIVS, 1)
    check(libc.prctl(SECCOMP, 2, ctypes.c_char_p(filters), 0, 0))
