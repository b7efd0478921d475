"""In a learner's process: run the cells, then do what the prober asks for, one frame a request.

    serve(channel, namespace, hello)

hello      {"cells", "exercise", "answer"}: what to run, the name that is asked for; answered with its kind
call       call the answer, or a method of an object that an earlier call returned
value      the answer itself, as plain data
gradient   of a tensor that was returned, with respect to the tensors that were given
passes     of a module that was given: what it does when somebody goes on with it (`course.afterwards`)
draws      the next numbers of the common random generators

While it is called, an answer may ask something of an object that stayed with the prober (`course.kept`).

Nothing that this process says is believed: it can be made to say anything. It knows its
arguments and no more.
"""

from __future__ import annotations

import linecache
from dataclasses import dataclass, field

import torch

from course.afterwards import drawn, passes
from course.grade import wire
from course.grade.flat import array_of, flatten, state_of, tensors_of
from course.grade.parcel import as_numbers, random_states, set_random_states, unpacked
from course.probing import NotWritten, raised, run_probe

MANNERS_SEED = 0x5EED


class _Manners:
    """Runs a task with the manners of `run_probe`: prints kept, failures named."""

    allow_nonfinite = True

    def __init__(self, answer: str, task):
        self.answer, self.task = answer, task

    def probe(self, answer: object, case: dict) -> object:
        return self.task(answer)


def warm_up() -> None:
    """What a first call costs once, done before anybody is forked."""
    run_probe(_Manners("warm", lambda answer: {"seeded": True}), None, {}, 0)


@dataclass
class Desk:
    """The answer, and what its calls have returned and were given."""

    name: str
    answer: object
    channel: object
    objects: list = field(default_factory=list)
    outputs: list = field(default_factory=list)
    given: list = field(default_factory=list)
    there: list = field(default_factory=list)  # all that any call was given
    left: tuple = ()  # where the last call left the random generators

    def reply(self, asked: dict) -> dict:
        """Do what is asked."""
        task = getattr(self, f"_{asked['ask']}")
        return run_probe(_Manners(self.name, lambda answer: task(asked)), self.answer, {}, MANNERS_SEED)

    def _call(self, asked: dict) -> dict:
        args, kwargs, given, states = unpacked(asked["parcel"], self.there, self._question)
        set_random_states(states)
        target = self.answer if asked["object"] is None else self.objects[asked["object"]]
        call = target if asked["method"] is None else getattr(target, asked["method"])
        self.given = given
        self.there += [*args, *kwargs.values(), *given]
        value = flatten(call(*args, **kwargs), given, self.outputs, self.objects, self._blame)
        states = [state_of(leaf) for leaf in given]
        self.left = random_states()
        return {"value": value, "given": states, "random": as_numbers(self.left)}

    def _value(self, asked: dict) -> dict:
        return {"value": flatten(self.answer, [], [], self.objects, self._blame)}

    def _blame(self, error: BaseException) -> dict:
        return raised(self.name, self.answer, error, above=1)["failure"]

    def _gradient(self, asked: dict) -> dict:
        output = self.outputs[asked["output"]]
        gradient = torch.from_numpy(asked["gradient"]).to(output.dtype)
        with_respect_to = [tensor for tensor in tensors_of(self.given) if tensor.requires_grad]
        found = torch.autograd.grad(output, with_respect_to, gradient, retain_graph=True, allow_unused=True)
        return {"gradients": [None if g is None else array_of(g) for g in found]}

    def _passes(self, asked: dict) -> dict:
        return passes(self.there[asked["place"]], asked["inputs"], asked["seed"], asked["part"])

    def _draws(self, asked: dict) -> dict:
        set_random_states(self.left)
        return {"numbers": drawn()}

    def _question(self, index: int, method: str, arguments: list) -> object:
        """Ask something of an object that stayed with the prober."""
        self.channel.send({"asks": index, "method": method, "arguments": arguments})
        reply = self.channel.receive()
        if "refused" in reply:
            raise RuntimeError(reply["refused"])
        return reply["answer"]


def serve(channel: object, namespace: dict) -> None:
    """Answer until nobody asks any more."""
    hello = channel.receive()
    name = hello["answer"]
    failure = _run_cells(namespace, hello["cells"], hello["exercise"], name)
    if failure and name not in namespace:
        channel.send(failure)
        return
    answer = namespace.get(name, NotWritten(name))
    missing = isinstance(answer, NotWritten) or answer is Ellipsis
    channel.send({"kind": "missing" if missing else "function" if callable(answer) else "value"})
    desk = Desk(name, answer, channel)
    while True:
        try:
            asked = channel.receive()
        except wire.Broken:
            return
        channel.send(desk.reply(asked))


def _run_cells(namespace: dict, cells: list, exercise: str, answer: str) -> dict | None:
    """Run the learner's cells; return the failure of the exercise's own."""
    failure = None
    for name, *parts in cells:
        source = "".join(parts)
        file = f"<{name}>"
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        try:
            exec(compile(source, file, "exec"), namespace)
        except NotImplementedError:
            continue
        except BaseException as error:  # SystemExit too
            if name == exercise:
                what = f"{type(error).__name__}: {error}"[:300]
                failure = {"failure": {"key": "check.raised", "values": {"name": answer, "what": what}}}
    return failure
