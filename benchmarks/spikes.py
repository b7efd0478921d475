"""Guards against bad batches, rate bursts and values that are not finite: what they undo, and false alarms.

    python benchmarks/spikes.py [shards bursts finite clean clippers overhead rules] [--seeds 5] [--write]

Every run is real: a small GPT on the course's corpus. The controls see the same runs: no guard at all, and
the rules of the seeds, which call a loss above 5 × or a gradient norm above 3 × its running mean a spike.
`rules` stands in `benchmarks/spike_rules.py`. With --write the figures go into RESULTS.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from machine import write
from safetensors.torch import load_file
from spike_rules import rules

from minigpt import Config, Recipe, train
from minigpt.data.batches import get_batch
from minigpt.runs import checkpoint
from minigpt.runs.jsonl import read_jsonl
from minigpt.training.schedule import lr_at

CONFIG = Config(
    n_layer=2, n_head=2, n_embd=32, context=32, batch_size=8, steps=240, warmup_steps=20, eval_every=0,
    eval_batches=4, checkpoint_every=0, lr_max=1e-2, lr_min=1e-3, device="cpu",
)  # fmt: skip
GUARDS = {"guard_finite": True, "guard_spikes": True, "guard_rate": True}
SHARD = 5  # bad batches in a row
BURST, BURST_STEPS = 0.3, 5
REAL = 0.5  # nats
FIRST_SEED = [400]  # of the clean runs: a set that was looked at tunes, the next one measures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED[0], help="of the clean runs")
    parser.add_argument("--write", action="store_true", help="append the figures to RESULTS.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    FIRST_SEED[0] = arguments.first_seed
    for name in arguments.parts:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            lines = PARTS[name](Path(folder), arguments.seeds)
        lines.append(f"({time.perf_counter() - started:.0f} s)")
        print("\n".join(lines), flush=True)
        if arguments.write:
            write(f"Guards: `benchmarks/spikes.py {name}`", lines)
    return 0


def shards(folder: Path, seeds: int) -> list[str]:
    """Five batches with shuffled targets at a random place after step 100, four places a seed."""
    equal = dropped = 0
    seeds_rule = {"loss > 5 x": 0, "norm > 3 x": 0}
    unguarded = []
    for number, (seed, place) in enumerate(itertools.product(range(seeds), range(4))):
        start = random.Random(1000 * seed + place).randrange(100, CONFIG.steps - 40)
        config = CONFIG.replace(seed=seed)

        bad = shuffled_targets(start)

        def never(tokens, config, step, *rest, start=start):
            return get_batch(tokens, config, step + SHARD if step >= start else step, *rest)

        guarded = run(config.replace(**GUARDS), folder / f"guarded-{number}", get_batch=bad)
        clean = run(config, folder / f"clean-{number}", get_batch=never)
        bare = run(config, folder / f"bare-{number}", get_batch=bad)
        events = read_jsonl(guarded.path / "events.jsonl")
        left_out = {batch for event in events for batch in (*event["batches"], *event.get("skip", ()))}
        dropped += left_out == set(range(start, start + SHARD))
        equal += same(guarded, clean)
        hit = [r for r in bare.metrics if start <= r["step"] < start + SHARD]
        seeds_rule["loss > 5 x"] += any("loss_spike" in r for r in hit)
        seeds_rule["norm > 3 x"] += any("grad_spike" in r for r in hit)
        unguarded.append(max(r["loss"] for r in bare.metrics[start : start + 30]) - mean_loss(clean))
    total = 4 * seeds
    return [
        f"bad shards: {dropped}/{total} left out exactly; {equal}/{total} equal to the run without them",
        f"  without a guard the loss rises by {min(unguarded):.2f} to {max(unguarded):.2f} nats",
        "  the seeds' rules on the same runs: "
        + ", ".join(f"{k} {v}/{total}" for k, v in seeds_rule.items()),
    ]


def shuffled_targets(start: int):
    """Return a `get_batch` of which `SHARD` batches from data step `start` on have shuffled targets."""

    def bad(tokens, config, step, *rest):
        batch = get_batch(tokens, config, step, *rest)
        if not start <= step < start + SHARD:
            return batch
        generator = torch.Generator().manual_seed(step)
        order = torch.randperm(batch.targets.numel(), generator=generator)
        return batch._replace(targets=batch.targets.flatten()[order].view_as(batch.targets))

    return bad


def bursts(folder: Path, seeds: int) -> list[str]:
    """Five steps at a rate of 0.3, at four places a seed."""
    held, free = [], []
    for number, (seed, place) in enumerate(itertools.product(range(seeds), range(4))):
        start = random.Random(7000 * seed + place).randrange(60, 160)
        config = CONFIG.replace(seed=seed)

        def burst(step, config, start=start):
            return BURST if start <= step < start + BURST_STEPS else lr_at(step, config)

        plain = run(config, folder / f"plain-{number}")
        guarded = run(config.replace(**GUARDS), folder / f"guarded-{number}", lr_at=burst)
        bare = run(config, folder / f"bare-{number}", lr_at=burst)
        held.append(mean_loss(guarded) / mean_loss(plain) - 1)
        free.append(mean_loss(bare) / mean_loss(plain) - 1)
    within = sum(abs(share) <= 0.02 for share in held)
    worst = max(held, key=abs)
    return [
        f"rate bursts: {within}/{len(held)} end within 2 % of the undisturbed loss (worst {worst:+.2%})",
        f"  without a guard: {min(free):+.0%} to {max(free):+.0%}",
    ]


def finite(folder: Path, seeds: int) -> list[str]:
    """A value that is not finite in micro-batch i of 4, for all i."""
    return [_finite(folder, precision) for precision in ("fp32", "fp16")]


def _finite(folder: Path, precision: str) -> str:
    right = total = 0
    config = CONFIG.replace(accumulation=4, batch_size=2, steps=40, guard_finite=True, precision=precision)
    for micro, value in itertools.product(range(4), (math.nan, math.inf)):
        calls = itertools.count()

        def poisoned(logits, targets, mask, calls=calls, micro=micro, value=value):
            loss = PLAIN.loss(logits, targets, mask)
            return loss * value if TRAINING[0] and next(calls) == 4 * 20 + micro else loss

        guarded = run(config, folder / f"{precision}-{total}", accumulate=counting(poisoned))
        event = read_jsonl(guarded.path / "events.jsonl")
        at = event[0]["batches"][0] if event else -1

        def never(tokens, config, step, *rest, at=at):
            return get_batch(tokens, config, step + (step >= at), *rest)

        now = [0]

        def watched_rate(step, config, now=now):
            now[0] = step
            return lr_at(step, config)

        def told_once(optimizer, precision, lr, at=at, now=now):
            """The scaler backs off at a window that is dropped: so must that of the run without it."""
            PLAIN.step(optimizer, precision, lr)
            if now[0] == at - 1:
                scaler = precision.scaler
                scaler.update(scaler.get_scale() * scaler.get_backoff_factor())

        parts = {"get_batch": never}
        if precision == "fp16":
            parts |= {"lr_at": watched_rate, "step": told_once}
        bare = config.replace(guard_finite=False)
        right += len(event) == 1 and same(guarded, run(bare, folder / f"{precision}-bare-{total}", **parts))
        total += 1
    return f"non-finite micro-batches, {precision}: {right}/{total} cost their own window and nothing else"


FORMS = [
    {}, {"batch_size": 2}, {"batch_size": 1, "accumulation": 2}, {"lr_max": 2e-2}, {"dropout": 0.3},
    {"warmup_steps": 0, "lr_max": 3e-3}, {"schedule": "wsd"}, {"schedule": "step"}, {"norm": "rmsnorm"},
    {"norm_position": "post", "lr_max": 3e-3}, {"activation": "swiglu"}, {"positions": "rotary"},
    {"tied_head": False}, {"qk_norm": True}, {"beta2": 0.95}, {"weight_decay": 0.0}, {"clip_norm": 0.1},
    {"n_layer": 4}, {"schedule": "constant"}, {"mixer": "state_space", "n_layer": 1},
]  # fmt: skip


def clean(folder: Path, seeds: int) -> list[str]:
    """Ordinary runs, awkward ones among them: how many see an alarm without a reason?

    The reason is looked for in the same run without guards: two losses in a row that rise by `REAL` nats.
    """
    false, real, rolled, runs = [], 0, Counter(), 0
    for form, seed in itertools.product(FORMS, range(FIRST_SEED[0], FIRST_SEED[0] + 2 * seeds)):
        config = CONFIG.replace(seed=seed, **form)
        events = read_jsonl(run(config.replace(**GUARDS), folder / str(runs)).path / "events.jsonl")
        runs += 1
        if not events:
            continue
        step = events[0]["step"]
        bare = [record["loss"] for record in run(config, folder / f"bare-{runs}").metrics]
        rise = max(min(bare[at : at + 2]) for at in range(step, step + 5))
        rise -= statistics.median(bare[step - 5 : step])
        rolled[rise >= REAL] += any("roll back" in event["done"] for event in events)
        if rise >= REAL:
            real += 1
        else:
            false.append(f"  {form} {seed}, step {step}: {rise:+.2f} nats, {json.dumps(events[0]['seen'])}")
    clean = runs - real
    share = len(false) / clean
    return [
        f"clean runs: {len(false)}/{clean} with an alarm ({share:.1%}), {rolled[False]} rolled back "
        f"({len(FORMS)} forms, seeds from {FIRST_SEED[0]})",
        f"  {real} more have a spike of their own, which lasts without a guard; {rolled[True]} rolled back",
        *false[:10],
    ]


def clippers(folder: Path, seeds: int) -> list[str]:
    """The five clippers, no guard: mean loss at the end of clean runs, and of runs with trouble."""
    lines = ["clipper      undisturbed  bad shard  gradient x 1e4 every 25 steps  (mean final loss, nats)"]
    for name in ("fixed", "percentile", "zscore", "per_tensor", "spike"):
        ends: list[list[float]] = [[], [], []]
        for seed in range(seeds):
            config = CONFIG.replace(seed=seed, clipper=name)
            path = folder / f"{name}-{seed}"
            plain = Recipe(config)
            damaged = dataclasses.replace(plain, clip=plain.clipper).with_fault("gradient-spikes")
            ends[0].append(mean_loss(run(config, path / "0")))
            ends[1].append(mean_loss(run(config, path / "1", get_batch=shuffled_targets(150))))
            ends[2].append(mean_loss(train(damaged, path / "2")))
        cells = [f"{sum(values) / len(values):.3f}" for values in ends]
        lines.append(f"{name:<12} {cells[0]:<12} {cells[1]:<10} {cells[2]}")
    return lines


def overhead(folder: Path, seeds: int) -> list[str]:
    """Processor time of a run with all guards, snapshots included, against the same run without, in turn."""
    config = Config(steps=80, eval_every=0, checkpoint_every=0, eval_batches=1, device="cpu")
    ratios = []
    for number in range(2 * seeds):
        spent = {}
        for guarded in (True, False) if number % 2 else (False, True):
            started = time.process_time()
            run(config.replace(**GUARDS) if guarded else config, folder / f"{number}-{guarded}")
            spent[guarded] = time.process_time() - started
        ratios.append(spent[True] / spent[False] - 1)
    ratios.sort()
    middle = f"{ratios[len(ratios) // 4]:+.1%} to {ratios[-1 - len(ratios) // 4]:+.1%}"
    return [
        f"overhead of all guards at 2 x 64: {statistics.median(ratios):+.1%} of processor time "
        f"(median of {len(ratios)} pairs, middle half {middle})"
    ]


PLAIN, TRAINING = Recipe(), [False]


def counting(loss):
    """Return an accumulation whose loss knows that it is the run's, not the rehearsal's."""

    def accumulate(model, _loss, batches, precision, world):
        TRAINING[0] = model.training
        try:
            return PLAIN.accumulate(model, loss, batches, precision, world)
        finally:
            TRAINING[0] = False

    return accumulate


def run(config: Config, path: Path, **parts):
    return train(dataclasses.replace(Recipe(config), **parts), path)


def mean_loss(run) -> float:
    last = run.metrics[-20:]
    return sum(record["loss"] for record in last) / len(last)


def same(one, other) -> bool:
    a, b = (
        load_file(checkpoint.find(run.path / "checkpoints")[-1] / "weights.safetensors")
        for run in (one, other)
    )
    return all(torch.equal(tensor, b[name]) for name, tensor in a.items())


PARTS = {
    "shards": shards, "bursts": bursts, "finite": finite, "clean": clean, "clippers": clippers,
    "overhead": overhead,
    "rules": lambda folder, seeds: rules(seeds, folder, CONFIG, FORMS, shuffled_targets),
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
