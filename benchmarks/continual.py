"""Tasks in sequence, and the cost of blocks that are not attention.

    python benchmarks/continual.py                 # all of them
    python benchmarks/continual.py tasks           # forgetting, and what cures it
    python benchmarks/continual.py blocks          # training time of each block, and what bounds it
    python benchmarks/continual.py generation      # time a token up to 8 × the context
    python benchmarks/continual.py plasticity      # does a local rule help, or harm?

Times are of one thread. The tasks are the preset `two-tasks`: conjugation, then Python, 200 steps each of 8
sequences of 64 tokens. Fixed beforehand: forgetting is the first task's last loss − its best; `alone` trains
on the second task only, for its 200 steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from minigpt.config import Config
from minigpt.config.presets import load_preset
from minigpt.data.dataset import load_data
from minigpt.model.generation import generate
from minigpt.model.gpt import GPT, build_model, flops_per_token, init_weights
from minigpt.training.loss import cross_entropy
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train

RUNS = {
    "nothing": {},
    "replay 25%": {"replay": 0.25},
    "EWC 100": {"ewc": 100.0},
    "EWC 10,000": {"ewc": 10_000.0},
    "EWC 10^6": {"ewc": 1e6},
}
BLOCKS = {
    "attention + MLP": {},
    "memory + MLP": {"mixer": "memory"},
    "state space + MLP": {"mixer": "state_space"},
    "attention + spiking": {"activation": "spiking"},
    "attention + liquid": {"activation": "liquid"},
    "two streams + MLP": {"mixer": "two_streams"},
    "two streams, cross-attention": {"mixer": "two_streams", "cross_attention_heads": 4, "gate_heads": 4},
}
PLASTIC = {
    "none": {},
    "pair": {"plasticity": "pair"},
    "pair, 100 ×": {"plasticity": "pair", "plasticity_rate": 0.1},
    "triplet": {"plasticity": "triplet"},
    "homeostatic": {"plasticity": "homeostatic"},
    "bcm": {"plasticity": "bcm"},
    "pair, a rate per weight, 100 ×": {
        "plasticity": "pair",
        "plasticity_rate": 0.1,
        "meta_plasticity": True,
    },
}


def tasks(seeds: int) -> None:
    """Print both tasks' losses after both, for each way to learn them."""
    print(f"{'':12}{'first, its best':>16}{'at the end':>12}{'forgotten':>11}{'second':>9}{'seconds':>9}")
    for name, settings in RUNS.items():
        rows = []
        for seed in range(seeds):
            started = time.perf_counter()
            run = trained(Config.from_dict(load_preset("two-tasks")).replace(seed=seed, **settings))
            first, second = (run.column(f"tasks.{task}")[1] for task in ("conjugations", "python"))
            rows.append(
                (first.min(), first[-1], first[-1] - first.min(), second[-1], time.perf_counter() - started)
            )
        best, last, forgotten, second, seconds = (
            statistics.fmean(column) for column in zip(*rows, strict=True)
        )
        print(f"{name:12}{best:16.2f}{last:12.2f}{forgotten:11.2f}{second:9.2f}{seconds:9.1f}")
    alone = [second_alone(seed) for seed in range(seeds)]
    print(f"{'alone':12}{'':39}{statistics.fmean(alone):9.2f}")


def second_alone(seed: int) -> float:
    """Return the second task's loss where nothing was learnt before, with the tokens of the first."""
    config = Config.from_dict(load_preset("two-tasks")).replace(seed=seed)
    data = load_data(config)
    alone = config.replace(tasks="", steps=config.steps // 2)
    second = dataclasses.replace(
        data, train=data.tasks[1].train, validation=data.tasks[1].validation, tasks=()
    )
    recipe = dataclasses.replace(Recipe(alone), load_data=lambda _config: second)
    with tempfile.TemporaryDirectory() as folder:
        return float(train(recipe, Path(folder) / "run").column("val_loss")[1][-1])


def trained(config: Config):
    """Return the run of a config, read, its folder gone."""
    with tempfile.TemporaryDirectory() as folder:
        run = train(Recipe(config), Path(folder) / "run")
        _ = run.columns
        return run


def blocks() -> None:
    """Print the time of a forward and backward pass, operations a second, and calls of torch."""
    batch, context = 8, 64
    print(f"B {batch}, T {context}, n_embd 64, 2 layers, one thread")
    print(f"{'':30}{'ms':>8}{'× attention':>13}{'parameters':>12}{'GFLOP/s':>9}{'calls':>8}  bound by")
    base = None
    for name, settings in BLOCKS.items():
        config = Config(context=context, batch_size=batch, **settings)
        model = build_model(config)
        init_weights(model, config)
        idx = torch.randint(512, (batch, context))
        step = partial(forward_and_backward, model, idx)
        seconds = median_seconds(step)
        base = base or seconds
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            step()
        events = seen.key_averages()
        calls = sum(event.count for event in events if event.key.startswith("aten::"))
        total = sum(event.self_cpu_time_total for event in events)
        largest = sorted(events, key=lambda event: -event.self_cpu_time_total)[:3]
        bound = ", ".join(
            f"{e.key.removeprefix('aten::')} {e.self_cpu_time_total / total:.0%}" for e in largest
        )
        flops = flops_per_token(model) * batch * context / seconds / 1e9
        parameters = sum(parameter.numel() for parameter in model.parameters())
        row = f"{name:30}{1000 * seconds:8.1f}{seconds / base:13.2f}{parameters:12,}"
        print(f"{row}{flops:9.1f}{calls:8,}  {bound}")


def forward_and_backward(model: GPT, idx: torch.Tensor) -> None:
    """Make the gradients of one batch."""
    model.zero_grad(set_to_none=True)
    cross_entropy(model(idx), idx, torch.ones_like(idx, dtype=torch.bool)).backward()


def median_seconds(work, times: int = 9) -> float:
    """Return the median time of some calls, after one that warms up."""
    work()
    found = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def generation() -> None:
    """Print the milliseconds a token, by how many were written before."""
    context = 32
    lengths = [context * factor for factor in (1, 2, 4, 8)]
    print(f"context {context}; ms a token in the last quarter of a text of so many tokens")
    print(f"{'':24}" + "".join(f"{length:>9}" for length in lengths))
    for name, settings in {
        "attention": {},
        "state space": {"mixer": "state_space", "positions": "rotary"},
    }.items():
        config = Config(context=context, **settings)
        model = build_model(config).eval()
        init_weights(model, config)
        row = []
        for length in lengths:
            idx, part = torch.randint(512, (1, 1)), length // 4
            whole = median_seconds(partial(generate, model, idx, length - 1), 5)
            most = median_seconds(partial(generate, model, idx, length - part - 1), 5)
            row.append(1000 * (whole - most) / part)
        print(f"{name:24}" + "".join(f"{value:9.2f}" for value in row))


def plasticity(seeds: int) -> None:
    """Print the validation loss of spiking units with each rule beside the optimizer."""
    print(f"{'':34}{'validation loss':>16}{'write ÷ weight':>16}{'spikes a token':>16}")
    for name, settings in PLASTIC.items():
        found = []
        for seed in range(seeds):
            config = Config(activation="spiking", batch_size=8, context=32, steps=300, seed=seed, **settings)
            run = trained(config)
            change, rate = (run.column(f"plasticity.{figure}")[1] for figure in ("change", "rate"))
            found.append(
                (
                    run.column("val_loss")[1][-1],
                    *((change.mean(), rate.mean()) if len(change) else (0, math.nan)),
                )
            )
        loss, change, rate = (statistics.fmean(column) for column in zip(*found, strict=True))
        print(f"{name:34}{loss:16.3f}{change:16.1e}{rate:16.3f}")


MEASUREMENTS = {
    "tasks": tasks,
    "blocks": lambda _seeds: blocks(),
    "generation": lambda _seeds: generation(),
    "plasticity": plasticity,
}


def main() -> None:
    """Run one of the measurements, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=MEASUREMENTS, nargs="?")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    load_data(Config(tasks="conjugations,python"))  # read once, so that no run pays for it
    for name in [arguments.what] if arguments.what else MEASUREMENTS:
        MEASUREMENTS[name](arguments.seeds)


if __name__ == "__main__":
    main()
