"""Does the bisection name the module in which a run first became not finite?

    python benchmarks/bisection.py [--runs 20] [--seed 0] [--write]

Each run is a small GPT on the course's corpus, in which one module drawn at random breaks at a random step:
one number of its output, or one of the gradient that goes back into it, becomes infinite or NaN there. The
run ends with that; the module that its record names is compared with the one that was planted. As a control,
the first module whose own output or gradient holds such a number is looked up in the order of the
parameters, as a look over all gradients would.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import random
import sys
import tempfile
import time
from pathlib import Path

import torch
from machine import write
from torch import nn

from minigpt import Config, Recipe, train
from minigpt.data.batches import get_batch
from minigpt.model.gpt import build_model
from minigpt.runs.run import Run
from minigpt.training.trainer import NotFiniteError

CONFIG = Config(
    n_layer=3, n_head=2, n_embd=32, context=32, batch_size=4, steps=60, warmup_steps=6, eval_every=0,
    eval_batches=1, checkpoint_every=0, device="cpu",
)  # fmt: skip
PHASES = ("forward", "backward")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="append the figures to RESULTS.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        lines = bisect(Path(folder), arguments.runs, arguments.seed)
    lines.append(f"({time.perf_counter() - started:.0f} s)")
    print("\n".join(lines))
    if arguments.write:
        write("Where a run broke: `benchmarks/bisection.py`", lines)
    return 0


def bisect(folder: Path, runs: int, seed: int) -> list[str]:
    """Plant a break in so many runs, in both phases by turns."""
    rng = random.Random(seed)
    places = {phase: breakable(phase) for phase in PHASES}
    right = by_gradient = 0
    wrong = []
    for number, phase in zip(range(runs), itertools.cycle(PHASES)):
        place, step = rng.choice(places[phase]), rng.randrange(3, CONFIG.steps)
        value = rng.choice([math.inf, math.nan])
        seen: list[str] = []
        found = found_in(folder / str(number), place, phase, step, value, rng.random(), seed + number, seen)
        right += found == (place, phase)
        by_gradient += seen == [place]
        if found != (place, phase):
            wrong.append(f"  planted {place} ({phase}, step {step}), named {found}")
    return [
        f"module and phase named: {right}/{runs}",
        *wrong,
        f"  the first parameter with a gradient that is not finite names it in {by_gradient}/{runs}",
    ]


def breakable(phase: str) -> list[str]:
    """Return the modules that one can plant a break in: leaves; backward, those that pass a gradient on."""
    leaves = [
        (name, module) for name, module in build_model(CONFIG).named_modules() if not list(module.children())
    ]
    return [
        name
        for name, module in leaves
        if not isinstance(module, nn.Embedding) or (phase == "forward" and name == "wte")
    ]


def found_in(
    path: Path, place: str, phase: str, step: int, value: float, where: float, seed: int, seen: list[str]
) -> tuple[str, str] | None:
    """Return the module and phase that the record of a run names in which `place` breaks at `step`."""
    recipe = Recipe(CONFIG.replace(seed=seed))
    clock = [0]

    def batch_at(tokens, config, data_step, *rest):
        clock[0] = data_step
        return get_batch(tokens, config, data_step, *rest)

    def broken(config):
        model = recipe.build_model(config)

        def plant(module, given, output):
            breaks = clock[0] >= step and module.training
            return Spoil.apply(output, phase, value, where) if breaks else output

        model.get_submodule(place).register_forward_hook(plant)
        return model

    def clip(model, *rest):
        norm = recipe.clip(model, *rest)
        if not math.isfinite(norm):
            broken = (
                name.rpartition(".")[0]
                for name, parameter in model.named_parameters()
                if parameter.grad is not None and not torch.isfinite(parameter.grad).all()
            )
            seen[:] = [next(broken, "")]
        return norm

    try:
        train(dataclasses.replace(recipe, build_model=broken, get_batch=batch_at, clip=clip), path)
    except NotFiniteError:
        pass
    for probe in Run(path).probes:
        if probe["kind"] == "non-finite":
            return probe.get("module"), probe.get("phase")
    return None


class Spoil(torch.autograd.Function):
    """The identity, but for one number of the result or of the gradient."""

    @staticmethod
    def forward(ctx, given, phase, value, where):
        ctx.spoils = (phase, value, where)
        return _spoilt(given, value, where) if phase == "forward" else given.clone()

    @staticmethod
    def backward(ctx, gradient):
        phase, value, where = ctx.spoils
        return (_spoilt(gradient, value, where) if phase == "backward" else gradient), None, None, None


def _spoilt(tensor: torch.Tensor, value: float, where: float) -> torch.Tensor:
    """Return a copy in which one number is `value`, at that share of the way through it."""
    copied = tensor.clone(memory_format=torch.contiguous_format)
    copied.view(-1)[int(where * copied.numel())] = value
    return copied


if __name__ == "__main__":
    sys.exit(main())
