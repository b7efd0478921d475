"""The process that questions are forked from: torch and minigpt imported once, the lesson's setup run once.

Started by `course.grade.workshop` as a fresh program, so that nothing of the judge is in its memory. It reads
one frame with the lesson's probe side, enters the sandbox, then forks a question for each request that
arrives with two pipe ends. A question reads one frame (cells and cases), and answers one frame a case.
"""

from __future__ import annotations

import gc
import json
import linecache
import os
import select
import signal
import socket
import sys
import types
from dataclasses import dataclass, field

import torch
import torch._dynamo  # AdamW imports it at first use: 1.2 s

from course.check import Check
from course.grade import wire
from course.grade.apart import Apart, serve_gradients, value_of
from course.grade.clock import Clock
from course.grade.sandbox import Room
from course.grade.system import MEMORY_BYTES
from course.probing import NotWritten, Unusable, run_probe

PAGE = os.sysconf("SC_PAGE_SIZE")
APART_SEED = 0x5EED


@dataclass
class Channel:
    """Frames to and from one child, and in the child what `backward()` will need."""

    read: int
    write: int
    clock: Clock | None = None  # in the child none: whoever waits for it ends it
    outputs: list = field(default_factory=list)
    given: list = field(default_factory=list)

    def send(self, value: object) -> None:
        """Write a frame."""
        wire.send(self.write, value, self.clock)

    def receive(self) -> object:
        """Read a frame."""
        return wire.receive(self.read, self.clock)


class _Call(Check):
    """Runs a task on the answer with the manners of `run_probe`: prints kept, failures named."""

    allow_nonfinite = True

    def __init__(self, answer: str, task, channel: Channel):
        self.answer, self.task, self.channel = answer, task, channel

    def probe(self, answer: object, case: dict) -> object:
        return self.task(answer, self.channel)


class Question:
    """One exercise of one submission: its cells, its cases, the processes that answer them."""

    def __init__(self, room: Room, namespace: dict, checks: dict[str, Check], memory: int, order: dict):
        self.room, self.namespace, self.checks, self.memory = room, namespace, checks, memory
        self.order = order
        self.clock = Clock(order["seconds"], order["patience"], room.proc)
        self.printed = ""
        self.open: list[int] = []
        self.children: list[int] = []

    def outcome(self, name: str, case: dict, seed: int, mode: str) -> dict:
        """Run one case and return what `course.judging.judge` takes."""
        check = self.checks[name]
        self.printed = ""
        try:
            if mode == "beside":
                return self._in_child(lambda answer, _: run_probe(check, answer, case, seed), seed, check)[1]
            remote = self._remote(check, seed)
            answer = value_of(remote) if mode == "value" else Apart(remote)
            found = run_probe(check, answer, case, seed)
            return found | {"printed": self.printed}
        except Unusable as error:
            return _failed(error.key, error.values | {"name": check.answer})
        finally:
            self._close()

    def _remote(self, check: Check, seed: int):
        def remote(task):
            def call(answer, channel):
                return run_probe(_Call(check.answer, task, channel), answer, {}, seed ^ APART_SEED)

            channel, reply = self._in_child(call, seed, check)
            self.printed = (self.printed + str(reply.get("printed", "")))[:2000]
            if "failure" in reply:
                values = {k: v for k, v in reply["failure"]["values"].items() if k != "name"}
                raise Unusable(reply["failure"]["key"], **values)
            return channel, reply["output"]

        return remote

    def _in_child(self, call, seed: int, check: Check) -> tuple[Channel, dict]:
        asked, ask = os.pipe()
        heard, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(ask)
                os.close(heard)
                self._child(call, Channel(asked, tell), check)
            finally:
                os._exit(0)
        os.close(asked)
        os.close(tell)
        self.open += [ask, heard]
        self.children.append(pid)
        self.clock.watch(pid)
        channel = Channel(heard, ask, self.clock)
        try:
            reply = channel.receive()
        except wire.Broken as broken:
            raise Unusable(f"grade.{broken.reason}") from None
        if type(reply) is not dict:
            raise Unusable("grade.frame")
        return channel, reply

    def _child(self, call, channel: Channel, check: Check) -> None:
        keep = {channel.read, channel.write}
        nothing = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        for fd in range(3, 64):
            if fd not in keep:
                try:
                    os.close(fd)
                except OSError:
                    pass
        self.room.confine(self.memory)
        failure = self._run_cells(check)
        name = check.answer
        if failure and name not in self.namespace:
            channel.send(failure)
            return
        answer = self.namespace.get(name, NotWritten(name))
        channel.send(call(answer, channel))
        serve_gradients(channel, channel.outputs, channel.given)

    def _run_cells(self, check: Check) -> dict | None:
        """Run the learner's cells; return the failure of the exercise's own."""
        failure = None
        for name, *parts in self.order["cells"]:
            source = "".join(parts)
            file = f"<{name}>"
            linecache.cache[file] = (len(source), None, source.splitlines(True), file)
            try:
                exec(compile(source, file, "exec"), self.namespace)
            except NotImplementedError:
                continue
            except BaseException as error:  # SystemExit too
                if name == check.exercise:
                    what = f"{type(error).__name__}: {error}"[:300]
                    failure = _failed("check.raised", {"name": check.answer, "what": what})
        return failure

    def _close(self) -> None:
        """End the children of a case."""
        for fd in self.open:
            os.close(fd)
        for pid in self.children:
            self.clock.forget(pid)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.open, self.children = [], []


def main() -> None:
    """Serve one assignment; file descriptor 0 is the socket to the judge."""
    judge = socket.socket(fileno=os.dup(0))
    torch.set_num_threads(1)
    lesson = wire.receive(judge.fileno())
    room = Room(lesson["level"], lesson["readable"], lesson["scratch"])
    checks = _checks(lesson["probes"])
    namespace = _namespace(lesson["setup"])
    run_probe(_Call("warm", lambda answer, _: {"seeded": True}, None), None, {}, 0)
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
            _question(room, namespace, checks, memory, *fds)
        running[number] = pid
        for fd in fds:
            os.close(fd)


def _question(room: Room, namespace: dict, checks: dict, memory: int, read: int, write: int) -> None:
    try:
        order = wire.receive(read)
        question = Question(room, namespace, checks, memory, order)
        for case in order["cases"]:
            found = question.outcome(case["check"], case["case"], case["seed"], case["mode"])
            left = question.clock.left()
            wire.send(write, {"outcome": found, "given": question.clock.given, "busy": question.clock.busy})
            if left <= 0:
                break
    except BaseException as error:
        os.write(2, f"question: {type(error).__name__}: {error}\n".encode()[:500])
    finally:
        os._exit(0)


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


def _failed(key: str, values: dict) -> dict:
    return {"failure": {"key": key, "values": values}, "printed": ""}


if __name__ == "__main__":
    main()
