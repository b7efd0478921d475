"""Arguments on their way into a learner's process: a pickle, written by the prober and read by the learner.

    chunks = packed((args, kwargs), there, kept)      # in the prober
    args, kwargs = unpacked(chunks, there, ask)       # in the learner's process, which is trusted by nobody

This is the one pickle of the grader and it goes one way only: whoever reads it already runs a learner's code
and has nothing to lose. What comes back is plain data (`course.grade.wire`). Parameters of a module, and an
optimizer's references to them, stay the same objects; gradients come along. What an earlier call was given is
`there` already, and is named by its place; of an object that stays at home (`kept`) a stand-in goes out.
"""

from __future__ import annotations

import io
import pickle
import random
from collections.abc import Callable

import numpy as np
import torch

from course.kept import Kept, StandIn
from course.plain import MAX_ARRAY

_BY_NUMPY = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
_BY_NUMPY |= {torch.float16, torch.float32, torch.float64}


def packed(value: object, there: list, kept: list) -> list[np.ndarray]:
    """The value as bytes, in arrays that are small enough for a frame; what stays at home goes to `kept`."""
    buffer = io.BytesIO()
    _Pickler(buffer, there, kept).dump(value)
    data = np.frombuffer(buffer.getvalue(), dtype=np.uint8)
    return [data[start : start + MAX_ARRAY] for start in range(0, len(data), MAX_ARRAY)]


def unpacked(chunks: list[np.ndarray], there: list, ask: Callable) -> object:
    """What `packed` was given; stand-ins call `ask`."""
    return _Unpickler(io.BytesIO(b"".join(chunk.tobytes() for chunk in chunks)), there, ask).load()


def random_states() -> tuple:
    """The states of the three random generators that a learner's code may draw from."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state().numpy()


def set_random_states(states: tuple) -> None:
    """Go on drawing where `random_states` was taken."""
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(torch.from_numpy(np.array(states[2])))


def as_numbers(states: tuple) -> dict[str, np.ndarray]:
    """What `random_states` returned as plain arrays, which a learner's process may send."""
    python, in_numpy, in_torch = states
    place = [*in_numpy[1], in_numpy[2]]
    return {"python": np.array(python[1], float), "numpy": np.array(place, float), "torch": in_torch}


def from_numbers(numbers: dict[str, np.ndarray]) -> tuple:
    """The states in arrays of `as_numbers`; half of a pair of normal draws that was kept is forgotten."""
    python = 3, tuple(int(number) for number in numbers["python"]), None
    *keys, place = (int(number) for number in numbers["numpy"])
    return python, ("MT19937", np.array(keys, np.uint32), place), numbers["torch"].astype(np.uint8)


class Lazy(list):
    """What a generator would give; it arrives as a generator."""


_BY_VALUE = (type(None), bool, int, float, str, bytes, tuple)


class _Pickler(pickle.Pickler):
    def __init__(self, buffer: io.BytesIO, there: list, kept: list):
        super().__init__(buffer, protocol=5)
        self.there, self.kept = there, kept

    def persistent_id(self, value: object):
        if type(value) not in _BY_VALUE:
            for index, item in enumerate(self.there):
                if item is value:
                    return "there", index
        if not isinstance(value, Kept):
            return None
        places = [index for index, item in enumerate(self.kept) if item is value]
        if not places:
            self.kept.append(value)
        return "kept", places[0] if places else len(self.kept) - 1, value.served

    def reducer_override(self, value: object):
        if isinstance(value, torch.Tensor) and value.dtype in _BY_NUMPY:
            numbers = value.detach().cpu().numpy()
            grad = None if not value.is_leaf or value.grad is None else value.grad.detach().cpu().numpy()
            kind = isinstance(value, torch.nn.Parameter)
            return _tensor, (np.array(numbers), kind, value.requires_grad, grad)
        if isinstance(value, torch.Generator):
            return _generator, (value.get_state().numpy(),)
        if type(value) is Lazy:
            return _lazily, (list(value),)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, buffer: io.BytesIO, there: list, ask: Callable):
        super().__init__(buffer)
        self.there, self.ask, self.stand_ins = there, ask, {}

    def persistent_load(self, name: tuple):
        if name[0] == "there":
            return self.there[name[1]]
        return self.stand_ins.setdefault(name[1], StandIn(*name[1:], self.ask))


def _tensor(numbers: np.ndarray, parameter: bool, requires_grad: bool, grad: np.ndarray | None):
    tensor = torch.from_numpy(numbers)
    if parameter:
        tensor = torch.nn.Parameter(tensor, requires_grad=requires_grad)
    elif requires_grad:
        tensor.requires_grad_()
    if grad is not None:
        tensor.grad = torch.from_numpy(np.array(grad))
    return tensor


def _generator(state: np.ndarray) -> torch.Generator:
    generator = torch.Generator()
    generator.set_state(torch.from_numpy(np.array(state)))
    return generator


def _lazily(items: list):
    yield from items
