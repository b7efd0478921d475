"""Functions of a model whose backward pass somebody wrote: `torch.autograd.Function` in Python."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

AGAIN = re.compile(r"checkpoint|\.apply\(")


def functions_by_hand(result: Tensor) -> set[type]:
    """Return the classes of all such functions on the way to a result, but for our own."""
    found, seen, waiting = set(), set(), [result.grad_fn]
    while waiting:
        step = waiting.pop()
        if step is None or step in seen:
            continue
        seen.add(step)
        if isinstance(step, torch.autograd.function.BackwardCFunction):
            found.add(step._forward_cls)
        waiting += [before for before, _ in step.next_functions]
    return {function for function in found if not function.__module__.startswith("minigpt.")}


def computes_again(model: nn.Module) -> bool:
    """Return whether the code of a model speaks of checkpoints or such functions: a part may run twice."""
    kinds = {type(module) for module in model.modules()}
    foreign = [kind for kind in kinds if not kind.__module__.startswith(("torch.", "minigpt."))]
    return any(map(_speaks_of_it, foreign))


def _speaks_of_it(kind: type) -> bool:
    try:
        return bool(AGAIN.search(inspect.getsource(kind.forward)))
    except (OSError, TypeError):  # typed in by hand, or compiled
        return False


def returns_its_input(functions: set[type], run: Callable[[], Any]) -> bool:
    """Return whether one of the functions hands on what it is given: then it is there for the gradient alone.

    Examples are a gradient that is scaled (fairseq) or reversed (Ganin et al., 2016), with intent.
    """
    handed_on: set[type] = set()
    with _noted(functions, handed_on):
        run()
    return bool(handed_on)


@contextmanager
def _noted(functions: set[type], handed_on: set[type]) -> Iterator[None]:
    """Note which functions return their first tensor; their `forward` is put back."""
    kept = {function: function.__dict__.get("forward") for function in functions}

    def noting(function: type, forward: Callable[..., Any]) -> staticmethod:
        def noted(*args: Any) -> Any:
            out = forward(*args)
            given = next((value for value in args if isinstance(value, Tensor)), None)
            if isinstance(out, Tensor) and given is not None and out.shape == given.shape:
                if torch.equal(out, given):
                    handed_on.add(function)
            return out

        return staticmethod(noted)

    try:
        for function in functions:
            if kept[function] is not None:
                function.forward = noting(function, function.forward)
        yield
    finally:
        for function, forward in kept.items():
            if forward is not None:
                function.forward = forward
