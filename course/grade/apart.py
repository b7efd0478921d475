"""Call a learner's answer in a process of its own, as if it were here.

A probe runs in a process that no learner's code ever enters, the prober. Whenever it calls the answer, a
fresh learner's process is forked from one that has not seen the case, is given the arguments (`parcel`), and
sends plain data back (`flat`): the returned value, and what happened to tensors, modules and reporting
objects among the arguments. An object that it returns stays there, and its methods are called there. A
returned tensor that depends on the arguments answers `backward()` from there. What was given can be gone on
with there (`course.afterwards`); what an argument that stayed here is asked meanwhile is answered from here.

    answer = Apart(open_session)         # open_session(kill_at=0) -> Session
    check.probe(answer, case)
"""

from __future__ import annotations

import builtins
import select
import types
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from course.grade import wire
from course.grade.clock import Clock
from course.grade.flat import leaves, rebuild, write_back
from course.grade.parcel import Lazy, from_numbers, packed, random_states, set_random_states
from course.grade.watch import Watch
from course.plain import require_plain
from course.probing import Unusable

MAX_QUESTIONS = 1_000  # of one learner's process to objects that stayed here
MAX_ASKED = 10_000  # elements of an array in one of them


class Ended(Exception):
    """The learner's process was killed at the point that the probe had asked for."""


@dataclass
class Session:
    """One learner's process, as the prober sees it."""

    socket: int
    end: Callable[[], None]
    clock: Clock | None = None
    watch: Watch | None = None
    random_state: bool = False  # whether the random generators here follow those there
    printed: str = ""
    open: bool = True
    answer: str = ""
    there: list = field(default_factory=list)  # what its calls were given, in the learner's process too
    kept: list = field(default_factory=list)  # what stayed here of that
    questions: int = 0

    def hello(self, cells: list, exercise: str, answer: str) -> str:
        """Have the cells run; return whether the answer is "missing", a "value" or a "function"."""
        self.answer = answer
        wire.send(self.socket, {"cells": cells, "exercise": exercise, "answer": answer}, self.clock)
        reply = self._received()
        if "failure" in reply:
            raise _failure(reply)
        return reply["kind"]

    def call(
        self,
        args: tuple,
        kwargs: dict,
        number: int | None = None,
        method: str | None = None,
        again: bool = False,
    ) -> object:
        """Call the answer, or a method of an object that it returned; `again` on what it was given before."""
        args = tuple(Lazy(item) if isinstance(item, types.GeneratorType) else item for item in args)
        given = leaves([args, kwargs])
        parcel = packed((args, kwargs, given, random_states()), self.there if again else [], self.kept)
        self.there += [*args, *kwargs.values(), *given]
        if self.watch is not None:
            self.watch.armed = True
        output = self._ask({"ask": "call", "object": number, "method": method, "parcel": parcel})
        try:
            if self.random_state:
                set_random_states(from_numbers(output["random"]))
            write_back(given, output["given"])
            return rebuild(output["value"], given, self)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            raise Unusable("check.unreadable", what=type(error).__name__) from None

    def value(self) -> object:
        """An answer that is no function."""
        try:
            return rebuild(self._ask({"ask": "value"})["value"], [], self)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise Unusable("check.unreadable", what=type(error).__name__) from None

    @staticmethod
    def raised(reply: dict) -> Exception:
        """What the learner's code raised there, as an exception here."""
        return _failure(reply)

    def passes(self, model: object, settings: dict) -> dict:
        """What a module that was given does when somebody goes on with it."""
        places = [place for place, leaf in enumerate(self.there) if leaf is model]
        return self._ask({"ask": "passes", "place": places[0]} | settings)

    def draws(self) -> list:
        """The next number of each random generator there."""
        return self._ask({"ask": "draws"})["numbers"]

    def gradients(self, output: int, gradient: np.ndarray) -> list:
        """Gradients of a returned tensor with respect to the tensors that were given."""
        return self._ask({"ask": "gradient", "output": output, "gradient": gradient})["gradients"]

    def _ask(self, asked: dict) -> dict:
        try:
            wire.send(self.socket, asked, self.clock)
            reply = self._received()
        except wire.Broken as broken:
            raise Unusable(f"grade.{broken.reason}") from None
        self.printed = (self.printed + str(reply.get("printed", "")))[:2000]
        if "failure" in reply:
            raise _failure(reply)
        return reply["output"]

    def _received(self) -> dict:
        """The next frame that is a reply; what an answer asks of a kept object before that is answered."""
        reply = self._frame()
        while "asks" in reply:
            self.questions += 1
            if self.questions > MAX_QUESTIONS:
                raise wire.Broken("flood")
            if self.clock is not None and self.clock.left() <= 0:
                raise wire.Broken(self.clock.reason)
            wire.send(self.socket, self._served(reply), self.clock)
            reply = self._frame()
        return reply

    def _served(self, asked: dict) -> dict:
        """The answer of a kept object, or why there is none: whoever asks may ask anything."""
        try:
            kept, method = self.kept[asked["asks"]], asked["method"]
            arrays = [part for part in asked["arguments"] if type(part) is np.ndarray]
            if method not in kept.served or any(part.size > MAX_ASKED for part in arrays):
                raise ValueError(method)
            return {"answer": require_plain(getattr(kept, method)(*asked["arguments"]))}
        except Exception as error:
            return {"refused": f"{type(error).__name__}: {error}"[:300]}

    def _frame(self) -> dict:
        while self.watch is not None:
            left = self.clock.left() if self.clock else 60.0
            if left <= 0:
                raise wire.Broken(self.clock.reason)
            ready = select.select([self.socket, self.watch.listener], [], [], min(left, 0.2))[0]
            if self.socket in ready:
                break
            if ready and not self.watch.answer():
                self.end()
                raise Ended
        reply = wire.receive(self.socket, self.clock)
        if type(reply) is not dict:
            raise wire.Broken("frame")
        return reply


class Apart:
    """Stands for a function or class that the learner wrote; every call has a process of its own."""

    def __init__(self, open_session: Callable[..., Session], spare: Session | None = None):
        self._open, self._spare, self.kill_at = open_session, spare, 0
        self._last = spare

    def __call__(self, *args: object, **kwargs: object) -> object:
        session, self._spare = self._spare, None
        if session is None or self.kill_at:
            session = self._open(kill_at=self.kill_at)
        self._last = session
        return session.call(args, kwargs)

    def again(self, *args: object, **kwargs: object) -> object:
        """Call it where the last call was; see `course.afterwards`."""
        return self._last.call(args, kwargs, again=True)

    def go_on(self, model: object, settings: dict) -> dict:
        """What a model that the last call was given does afterwards."""
        return self._last.passes(model, settings)

    def draws(self) -> list:
        """The next number of each random generator where the last call was."""
        return self._last.draws()

    def interrupted(self, action: Callable[[], object], kill_at: int) -> bool:
        """Run an action, kill the learner's process at the n-th change of a file; whether it came to that."""
        self.kill_at = kill_at
        try:
            action()
        except Ended:
            return True
        finally:
            self.kill_at = 0
        return False


def _failure(reply: dict) -> Exception:
    """What the learner's code raised, as an exception of the same builtin kind that carries the report."""
    try:
        failure = reply["failure"]
        values = {k: v for k, v in failure["values"].items() if k != "name"}
        raised = [str(name) for name in failure.get("raised", ())][:20]
        if not raised:
            return Unusable(failure["key"], **values)
        kind = next((getattr(builtins, n) for n in raised if _is_exception(n)), RuntimeError)
        text = str(values.get("what", ""))
        error = type(kind.__name__, (kind,), {"__str__": lambda self: text})()
        error.failure = {"failure": {"key": failure["key"], "values": failure["values"]}}
        return error
    except (KeyError, TypeError, AttributeError):
        return Unusable("check.unreadable", what="failure")


def _is_exception(name: str) -> bool:
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, UnicodeError)
