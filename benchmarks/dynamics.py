"""Case D and its kin, measured: what memory does to a run, what was published against it, what helps.

    python benchmarks/dynamics.py [oscillation gate overhead] [--seeds 5] [--first-seed 0]

Every run is real: a small memory GPT on the course's corpus. The bars: a swing of the loss of 4 or more
before and below 1.5 after, and the seed's own figures of 10–15 % more time and 5 % more memory.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from minigpt import Config, Recipe, train
from minigpt.config.presets import load_preset
from minigpt.data.batches import get_batch
from minigpt.data.dataset import load_data
from minigpt.diagnosis.climbed import SWING, swing
from minigpt.model.gpt import build_model, init_weights, parameter_count
from minigpt.model.mixers.memory.homeostasis import Homeostasis
from minigpt.runs.run import Run
from minigpt.training.allocator import keep_freed_memory
from minigpt.training.optim import build_optimizer

MEMORY = Config(**load_preset("memory")).replace(device="cpu", eval_every=0, checkpoint_every=0)
# The seed's model before its repair: a softmax gate, no norm behind what memory adds. Scales of four layers
# multiply, so the logits swing by 10^4 and more; with two layers, or a mean over 1000 steps, nothing swings.
BEFORE = MEMORY.replace(
    context=16, n_layer=4, n_embd=16, short_term_size=8, steps=300, lr_max=3e-3, lr_min=3e-3,
    schedule="constant", memory_gate="softmax", memory_temperature=1.0, memory_norm=False,
    residual_weight=0.0, memory_dropout=0.0, homeostasis=True, homeostasis_target=10.0, homeostasis_tau=50.0,
)  # fmt: skip
PUBLISHED = {
    "memory_gate": "sigmoid",
    "use_stop_gradient": True,
    "residual_weight": 0.1,
    "memory_dropout": 0.1,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # of models this small two threads are slower, on a busy machine many times
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.parts:
            started = time.perf_counter()
            PARTS[name](
                Path(folder) / name, range(arguments.first_seed, arguments.first_seed + arguments.seeds)
            )
            print(f"  ({time.perf_counter() - started:.0f} s)")
    return 0


def hasty(normed: bool) -> Callable:
    """Return a `build_model` whose homeostasis makes up the whole difference at every step."""

    def build(config):
        model = build_model(config)
        for module in model.modules():
            if isinstance(module, Homeostasis):
                module.exponent, module.corrected = 1.0, False
        return model if normed else _without_last_norm(model)

    return build


def _without_last_norm(model):
    model.ln_f = torch.nn.Identity()
    return model


def careful(config):
    """Return a model of the same shape with the homeostasis of this project."""
    return _without_last_norm(build_model(config))


def oscillation(folder: Path, seeds: range) -> None:
    """Homeostasis that overcorrects, with the published cures, with a norm, and with its real cure."""
    cases = {
        "broken": ({}, hasty(normed=False)),
        "published cures alone": (PUBLISHED, hasty(normed=False)),
        "a norm behind it": ({}, hasty(normed=True)),
        "exponent 1/τ, corrected mean": ({}, careful),
        "the same, and a norm": ({}, build_model),
    }
    for name, (changes, model) in cases.items():
        swings, highest, clamped, losses, started = [], [], [], [], time.perf_counter()
        for seed in seeds:
            run = _run(BEFORE.replace(**changes, seed=seed), _folder(folder, name, seed), build_model=model)
            loss = run.column("loss")[1]
            swings.append(swing(loss))
            highest.append(loss[SWING:].max())
            losses.append(loss[-20:].mean())
            clamped.append(np.mean([r["memory"]["clamped"] for r in run.metrics[100:] if "memory" in r]))
        print(
            f"{name:30} swing {_each(swings)}  highest loss {_each(highest)}"
            f"  scales at their clamp {np.mean(clamped):4.0%}"
            f"  loss at the end {np.mean(losses):.2f}{_each_took(started, len(seeds))}"
        )
    print("  the bar: at least 4 broken, below 1.5 cured")


def gate(folder: Path, seeds: range) -> None:
    """The gate's entropy ÷ ln k, the lowest layer's, after 300 steps."""
    cases = {
        "softmax": {"memory_gate": "softmax", "memory_temperature": 1.0},
        "sigmoid, the published cure": {"memory_gate": "sigmoid", "memory_temperature": 1.0},
        "sigmoid, temperature 4": {"memory_gate": "sigmoid", "memory_temperature": 4.0},
        "softmax, temperature 4": {"memory_gate": "softmax", "memory_temperature": 4.0},
    }
    for name, changes in cases.items():
        entropies, shares, losses, started = [], [], [], time.perf_counter()
        for seed in seeds:
            config = MEMORY.replace(**changes, lr_max=1e-2, lr_min=1e-3, seed=seed)
            run = _run(config, _folder(folder, name, seed))
            last = run.metrics[-1]["memory"]
            entropies.append(min(last["gate_entropy"]))
            shares.append(max(last["gate_max_share"]))
            losses.append(run.column("loss")[1][-20:].mean())
        print(
            f"{name:30} entropy {_each(entropies)}  one takes all at {np.mean(shares):4.0%} of the tokens"
            f"  loss {np.mean(losses):.2f}{_each_took(started, len(seeds))}"
        )


def overhead(folder: Path, seeds: range) -> None:
    """Processor time of a step and bytes kept, beside the same model without memory, measured by turns.

    Freed memory is kept, as the trainer does.
    """
    keep_freed_memory()
    plain = Config(steps=40, device="cpu")
    forms = {
        "attention": plain,
        "memory": plain.replace(mixer="memory"),
        "memory, all mechanisms": plain.replace(
            mixer="memory", homeostasis=True, complementary=True, metaplasticity=True
        ),
    }
    tokens = load_data(plain).train
    steps = {name: _Steps(config, tokens) for name, config in forms.items()}
    for _ in range(30):
        for step in steps.values():
            step()
    usual = steps["attention"]
    for name, step in steps.items():
        print(
            f"{name:30} {1000 * step.seconds:6.1f} ms a step ({step.seconds / usual.seconds - 1:+.0%})"
            f"  {step.bytes / 1e6:.2f} MB kept ({step.bytes / usual.bytes - 1:+.0%})"
        )
    print("  the seed promises 10–15 % more time and 5 % more memory")


class _Steps:
    """Steps of one model, timed."""

    def __init__(self, config: Config, tokens: torch.Tensor):
        from minigpt.model.state import commit_memory, memory_of

        torch.manual_seed(0)
        self.config, self.tokens, self.commit = config, tokens, commit_memory
        self.model = build_model(config)
        init_weights(self.model, config)
        self.optimizer = build_optimizer(self.model, config)
        self.times: list[float] = []
        memory = sum(t.numel() * t.element_size() for t in memory_of(self.model).values())
        self.bytes = 3 * 4 * parameter_count(self.model) + memory

    def __call__(self) -> None:
        batch = get_batch(self.tokens, self.config, len(self.times))
        started = time.process_time()
        logits = self.model(batch.inputs)
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten()).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.commit(self.model, len(self.times))
        self.times.append(time.process_time() - started)

    @property
    def seconds(self) -> float:
        """Median over all steps but the first five."""
        return float(np.median(self.times[5:]))


def _run(config: Config, path: Path, **parts) -> Run:
    return train(dataclasses.replace(Recipe(config), **parts), path)


def _folder(parent: Path, name: str, seed: int) -> Path:
    return parent / f"{name.replace('/', ' ')}-{seed}"


def _each_took(started: float, runs: int) -> str:
    return f"  {(time.perf_counter() - started) / runs:.1f} s a run"


def _each(values: list[float]) -> str:
    return " ".join(f"{value:5.2f}" for value in values)


PARTS = {"oscillation": oscillation, "gate": gate, "overhead": overhead}

if __name__ == "__main__":
    sys.exit(main())
