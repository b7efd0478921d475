"""What becomes of an object that an answer had in hand: its owner goes on with it, and sees what it does.

    found = go_on(answer, model, inputs, seed)     # {"output", "gradient", "calls"}: forward and backward
    call = in_one_place(answer)                    # each call of this one on the objects of the calls before
    drawn = draws(answer)                          # the next number of each common random generator

When a submission is graded the object is in the learner's process, where these are done with it; of what
comes back nothing is believed, the judge computes what an object in good order would give. An object that
says of itself that it is as it was would not do.
"""

from __future__ import annotations

import random
import sys
import sysconfig
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

_NOT_MINE = (
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("purelib"),
    str(Path(torch.__file__).parent),
    str(Path(__file__).parent),
    "<frozen ",
)
MAX_CALLS = 2_000


def go_on(answer: object, model: torch.nn.Module, inputs: np.ndarray, seed: int, part: str = "") -> dict:
    """What the model, or the part of it so named, does when somebody trains on: see `passes`."""
    if hasattr(answer, "go_on"):
        return answer.go_on(model, {"inputs": inputs, "seed": seed, "part": part})
    return passes(model, inputs, seed, part)


def in_one_place(answer: Callable) -> Callable:
    """The answer, each call of it where the first one was: what that had done to an argument is still so."""
    first = [answer]

    def call(*args: object, **kwargs: object) -> object:
        return (first.pop() if first else getattr(answer, "again", answer))(*args, **kwargs)

    return call


def draws(answer: object) -> list[float]:
    """The next number of Python's, NumPy's and torch's generators; they stay where they are."""
    return answer.draws() if hasattr(answer, "draws") else drawn()


def passes(model: torch.nn.Module, inputs: np.ndarray, seed: int, part: str = "") -> dict:
    """Run forward and backward from torch's `seed`, in the mode that the model is in.

    Returns:
        output: what came out. gradient: norm and largest size, by parameter, of the gradient of its mean
        square and whatever was there before. calls: names of the Python functions that ran, apart from those
        of torch, Python and the course.
    """
    module, calls = model.get_submodule(part), []
    given = torch.from_numpy(np.array(inputs))
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), noting(calls):
        torch.manual_seed(seed)
        output = module(given)
        if output.requires_grad:
            output.square().mean().backward()
    left = {name: p.grad.double() for name, p in module.named_parameters() if p.grad is not None}
    sizes = {name: np.array([g.norm().item(), g.abs().max().item()]) for name, g in left.items()}
    return {"output": output.detach().double().numpy(), "gradient": sizes, "calls": calls}


def drawn() -> list[float]:
    """What `draws` gives, here."""
    python, in_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        found = [random.random(), float(np.random.random()), float(torch.rand(()))]
    random.setstate(python)
    np.random.set_state(in_numpy)
    return found


@contextmanager
def noting(calls: list[str]):
    """Note every call of a Python function that is neither torch's nor Python's own."""

    def note(frame: object, event: str, argument: object) -> None:
        code = frame.f_code
        if event == "call" and not code.co_filename.startswith(_NOT_MINE) and len(calls) < MAX_CALLS:
            calls.append(code.co_name)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(before)
