"""Whether a check could be passed without doing the exercise: by a table of answers, or by a constant.

    table_suffices(check, answer)                 # answer: the reference solution
    seen_suffices(check, its_exercise, answer)    # by the input itself, of the cases that every learner sees
    constant_that_suffices(check)                 # one of a few values, or an argument; None if none does

The first table is filled from what the reference solution answers on many draws: for every combination of
types, lengths and shapes, the answer that it gave most often. A check that such a table passes on fresh draws
asks for nothing but a constant or two: its cases need different answers, or `contrasts`. The second holds the
cases that the notebook shows: a check that it passes draws nothing, and asks everybody the same.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import torch

from course.check import Check
from course.judging import run_check, visible_seed

DRAWS, TRIALS = 12, 3
CONSTANTS = (
    *(0.0, 1.0, -1.0, True, False, math.nan, math.inf, "", "pass", "unknown", "healthy", [], {}),
    *((0.0, 0.0), (1.0, 1.0), (0.0, 0.0, 0.0), [0.0], [1.0], [True], [False], ([], [])),
)

ARGUMENTS = (0, 1, -1)


def table_suffices(check: Check, answer: object) -> bool:
    """Whether a table filled on `DRAWS` draws passes `TRIALS` others."""
    return _suffices(check, answer, [(check, seed) for seed in range(DRAWS)], shape_of)


def seen_suffices(check: Check, its_exercise: Iterable[Check], answer: object) -> bool:
    """Whether the answers to every visible case of an exercise, looked up by the input, pass fresh draws."""
    seen = [(other, visible_seed(other)) for other in its_exercise]
    return _suffices(check, answer, seen, repr)


def constant_that_suffices(check: Check) -> str | None:
    """The first of `CONSTANTS`, written out, that passes `TRIALS` draws of a check that calls its answer.

    Or an argument, handed back as it came: it is no more work.
    """
    if check.written_out:
        return None
    tried = [(repr(value), made(value)) for value in CONSTANTS for made in (_function, _class)]
    tried += [(f"args[{place}]", _argument(place)) for place in ARGUMENTS]
    for text, answer in tried:
        if all(run_check(check, answer, seed).wrong is None for seed in range(TRIALS)):
            return text
    return None


def _argument(place: int) -> Callable[..., object]:
    return lambda *args, **kwargs: args[place]


def _function(constant: object) -> Callable[..., object]:
    return lambda *args, **kwargs: copy.deepcopy(constant)


def _class(constant: object) -> type:
    """A class whose every method gives the constant."""

    class Always:
        def __init__(self, *args: object, **kwargs: object):
            pass

        def __getattr__(self, name: str) -> object:
            if name.startswith("__"):
                raise AttributeError(name)
            return _function(constant)

    return Always


def _suffices(
    check: Check,
    answer: object,
    seen: list[tuple[Check, int]],
    key_of: Callable[[object], str],
) -> bool:
    """Whether a table filled on what was `seen`, by `key_of` the input, passes fresh draws."""
    if not callable(answer) or isinstance(answer, type):
        return False
    counts: dict[str, Counter] = {}
    values: dict[tuple[str, str], object] = {}

    def record(*args: object, **kwargs: object) -> object:
        key = key_of([args, kwargs])
        value = answer(*args, **kwargs)
        try:
            kept = copy.deepcopy(value)
        except (TypeError, RuntimeError):  # a tensor with a graph: no table holds one
            return value
        counts.setdefault(key, Counter())[repr(kept)] += 1
        values[key, repr(kept)] = kept
        return value

    def look_up(*args: object, **kwargs: object) -> object:
        key = key_of([args, kwargs])
        key = key if key in counts else next(iter(counts))
        return copy.deepcopy(values[key, counts[key].most_common(1)[0][0]])

    for other, seed in seen:
        run_check(other, record, seed)
    return bool(counts) and all(
        run_check(check, look_up, DRAWS + seed).wrong is None for seed in range(TRIALS)
    )


def shape_of(value: object) -> str:
    """Types, lengths and shapes of a value, and none of its numbers and letters."""
    name = type(value).__name__
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f"{name}{tuple(value.shape)}{value.dtype}"
    if isinstance(value, torch.nn.Module):
        return f"{name}{[tuple(parameter.shape) for parameter in value.parameters()]}"
    if isinstance(value, (str, bytes)):
        return f"{name}{len(value)}"
    if isinstance(value, dict):
        return f"{name}{ {key: shape_of(item) for key, item in value.items()} }"
    if isinstance(value, (list, tuple)):
        return f"{name}{[shape_of(item) for item in value]}"
    return name
