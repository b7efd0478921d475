"""The process that questions are forked from: torch and minigpt imported once, the lesson's setup run once.

Forked by `course.grade.cradle`, a fresh program, so that nothing of the judge is in its memory. It reads one
frame with the lesson's probe side, enters the sandbox, then forks a question for each request that
arrives with two pipe ends (`course.grade.question`).
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import types

import torch
import torch._dynamo  # AdamW imports it at first use: 1.2 s

from course.check import Check
from course.grade import wire
from course.grade.desk import warm_up
from course.grade.question import serve
from course.grade.sandbox import Room
from course.grade.system import MEMORY_BYTES

PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Serve one assignment; file descriptor 0 is the socket to the judge."""
    judge = socket.socket(fileno=os.dup(0))
    torch.set_num_threads(1)
    lesson = wire.receive(judge.fileno())
    room = Room(lesson["level"], lesson["readable"], lesson["scratch"])
    checks = _checks(lesson["probes"])
    namespace = _namespace(lesson["setup"])
    torch.set_num_threads(1)  # whatever the setup has set
    warm_up()
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page that it looks at
    memory = int(open("/proc/self/statm").read().split()[0]) * PAGE + MEMORY_BYTES
    if room.root or os.access("/proc/self/oom_score_adj", os.W_OK):
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")  # the judge is the last to go
    room.enter()
    wire.send(judge.fileno(), {"ready": True, "level": room.level, "memory": memory})
    _serve(judge, room, namespace, checks, memory)


def _serve(judge: socket.socket, room: Room, namespace: dict, checks: dict, memory: int) -> None:
    running: dict[int, int] = {}
    while True:
        select.select([judge], [], [], 0.5 if running else None)
        for number, pid in list(running.items()):
            if os.waitpid(pid, os.WNOHANG)[0]:
                del running[number]
        if not select.select([judge], [], [], 0)[0]:
            continue
        text, fds, _, _ = socket.recv_fds(judge, 200, 2)
        if not text:  # the judge is gone, in whatever way
            for pid in running.values():
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            room.sweep(set())
            return
        message = json.loads(text)
        number = message["number"]
        if "stop" in message:
            pid = running.pop(number, None)
            if pid:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            room.sweep(set(running.values()))
            judge.sendall(b".")
            continue
        pid = room.fork()
        if pid == 0:
            judge.close()
            serve(room, namespace, checks, memory, *fds)
        running[number] = pid
        for fd in fds:
            os.close(fd)


def _checks(sources: dict[str, str]) -> dict[str, Check]:
    checks = {}
    for name, source in sources.items():
        module = sys.modules[f"probes_{name}"] = types.ModuleType(f"probes_{name}")
        exec(compile(source, f"<{module.__name__}>", "exec"), module.__dict__)
        found = [item for item in vars(module).values() if isinstance(item, type) and issubclass(item, Check)]
        checks |= {check.name: check() for check in found if hasattr(check, "name")}
    return checks


def _namespace(setup: list[str]) -> dict:
    """Run the lesson's setup cells; opening the lesson, labels and checks mean nothing here."""
    import course.notebook

    course.notebook.lesson = lambda identity: None
    course.notebook.t = lambda key, **values: key
    course.notebook.check = lambda name, answer: None
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    namespace = module.__dict__
    for source in setup:
        exec(compile(source, "<setup>", "exec"), namespace)
    return namespace
