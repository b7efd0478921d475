"""One exercise of one submission: three kinds of process, and what each of them knows.

nursery   forked from the zygote; knows nothing of the submission. It forks learners' processes on request.
learner   forked from the nursery: the learner's code, and the arguments of the calls that it is asked for.
prober    the question itself: cases and probes, and never a line of the learner's code. It drives the
          learners step by step (`apart`) and sends the judge one frame a case.

So there is nothing in a learner's process that a forger could read a case from, and nothing that a probe
observes is observed there.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct

from course.check import Check
from course.grade import desk, wire
from course.grade.apart import Apart, Session
from course.grade.clock import Clock
from course.grade.sandbox import Room
from course.grade.watch import Watch, listen
from course.grade.weight import Weight
from course.probing import NotWritten, Unusable, run_probe
from course.workplace import shared_folders

_GONE_SECONDS = 5.0


class Channel:
    """Frames in a learner's process; whoever waits for it ends it."""

    def __init__(self, descriptor: int):
        self.descriptor = descriptor

    def send(self, value: object) -> None:
        """Write a frame."""
        wire.send(self.descriptor, value)

    def receive(self) -> object:
        """Read a frame."""
        return wire.receive(self.descriptor)


class Nursery:
    """The prober's handle on the process that forks learners' processes."""

    def __init__(self, room: Room, namespace: dict, memory: int, closed: tuple[int, ...]):
        self.room = room
        self.room.settle()
        self.socket, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.socket.close()
                for descriptor in closed:
                    os.close(descriptor)
                _nurse(theirs, room, namespace, memory)
            finally:
                os._exit(0)
        theirs.close()

    def learner(self, seconds: int, watched: bool) -> tuple[int, socket.socket]:
        """A fresh learner's process: its number and the socket to it."""
        mine, theirs = socket.socketpair()
        order = struct.pack("II", seconds, watched)
        socket.send_fds(self.socket, [order], [theirs.fileno()])
        theirs.close()
        answer = self.socket.recv(4)
        if len(answer) < 4:
            raise wire.Broken("ended")
        return struct.unpack("I", answer)[0], mine


def _nurse(orders: socket.socket, room: Room, namespace: dict, memory: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits: the prober knows when they are gone
    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, 8, 1)
        if not order:
            return
        seconds, watched = struct.unpack("II", order)
        pid = room.spawn()
        if pid == 0:
            try:
                orders.close()
                _learn(room, namespace, memory, seconds, descriptors[0], bool(watched))
            finally:
                os._exit(0)
        os.close(descriptors[0])
        orders.sendall(struct.pack("I", pid))


def _learn(room: Room, namespace: dict, memory: int, seconds: int, channel: int, watched: bool) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if watched:
        with socket.socket(fileno=os.dup(channel)) as line:
            listen(line, channel)
    nothing = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    for descriptor in range(3, 64):
        if descriptor != channel:
            try:
                os.close(descriptor)
            except OSError:
                pass
    room.confine(memory, seconds)
    desk.serve(Channel(channel), namespace)


class Question:
    """The prober's work on one order."""

    def __init__(self, room: Room, nursery: Nursery, checks: dict[str, Check], order: dict):
        self.room, self.nursery, self.checks, self.order = room, nursery, checks, order
        self.weight = Weight(room.proc)
        watched = room.proc, order["processor"], self._takes_too_much
        self.clock = Clock(order["seconds"], order["patience"], *watched)
        self.sessions: list[Session] = []
        self.alive: dict[int, socket.socket] = {}

    def _takes_too_much(self) -> str | None:
        """What a question takes that others need, as a word."""
        return "memory" if self.weight.too_much() else self.room.overfull(self.weight.below)

    def outcome(self, name: str, case: dict, seed: int) -> dict:
        """Run one case and return what `course.judging.judge` takes."""
        check = self.checks[name]
        try:
            answer = self._answer(check)
            found = run_probe(check, answer, case, seed)
        except Unusable as error:
            found = {"failure": {"key": error.key, "values": error.values | {"name": check.answer}}}
        except BaseException as error:
            if not hasattr(error, "failure"):
                raise
            found = dict(error.failure)
        finally:
            for pid in list(self.alive):
                self._end(pid)
        return found | {"printed": "".join(session.printed for session in self.sessions)[:2000]}

    def is_no_verdict(self, found: dict) -> bool:
        """Whether a program ended while the kernel was ending some for memory: perhaps this one."""
        ended = "grade.ended" in str(found.get("failure", {}).get("key"))
        return ended and self.weight.kernel_killed()

    def _answer(self, check: Check) -> object:
        self.sessions = []

        def open_session(kill_at: int = 0) -> Session:
            return self._open(check, kill_at)[0]

        first, kind = self._open(check, 0)
        if kind == "function":
            return Apart(open_session, first)
        return NotWritten(check.answer) if kind == "missing" else first.value()

    def _open(self, check: Check, kill_at: int) -> tuple[Session, str]:
        for pid in list(self.alive):
            if kill_at or len(self.alive) > 1:  # what an earlier call returned may still be asked
                self._end(pid)
        try:
            pid, line = self.nursery.learner(self.order["processor"] + 1, bool(kill_at))
            self.alive[pid] = line
            self.clock.watch(pid)
            watch = Watch(socket.recv_fds(line, 1, 1)[1][0], kill_at) if kill_at else None
            session = Session(line.fileno(), lambda: self._end(pid), self.clock, watch, check.random_state)
            self.sessions.append(session)
            return session, session.hello(self.order["cells"], check.exercise, check.answer)
        except wire.Broken as broken:
            raise Unusable(f"grade.{broken.reason}") from None

    def _end(self, pid: int) -> None:
        """End a learner's process with all that it started, and remove what it left."""
        line = self.alive.pop(pid)
        self.clock.forget(pid)
        for session in self.sessions:
            if session.watch is not None and session.socket == line.fileno():
                os.close(session.watch.listener)
                session.watch = None
        line.close()
        _kill(pid)
        self.room.clear(shared_folders(), {self.nursery.pid})


def _kill(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except OSError:  # gone
        return
    try:
        os.kill(pid, signal.SIGKILL)
        select.select([handle], [], [], _GONE_SECONDS)
    except OSError:
        pass
    finally:
        os.close(handle)


def serve(room: Room, namespace: dict, checks: dict, memory: int, read: int, write: int) -> None:
    """Answer one order, and end."""
    try:
        nursery = Nursery(room, namespace, memory, (read, write))  # before there is anything to know
        room.tell_scratch()
        order = wire.receive(read)
        question = Question(room, nursery, checks, order)
        failed: dict[str, dict] = {}  # that check is lost: its other cases are not asked, and end as that one
        for case in order["cases"]:
            name = case["check"]
            found = failed.get(name) or question.outcome(name, case["case"], case["seed"])
            if question.is_no_verdict(found):
                return  # the judge asks again
            if "failure" in found:
                failed[name] = found
            left = question.clock.left()
            wire.send(write, {"outcome": found, "given": question.clock.given, "busy": question.clock.busy})
            if left <= 0:
                break
    except BaseException as error:
        os.write(2, f"question: {type(error).__name__}: {error}\n".encode()[:500])
    finally:
        os._exit(0)
