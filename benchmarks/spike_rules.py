"""Six rules for a spike on the same series: which alarms, when, and how often on runs that were healthy.

    python benchmarks/spikes.py rules

Reimplemented from their public sources as small rules on (loss, gradient norm), and read on 2026-11-29:

    OLMo-core      loss or norm > mean + 6 standard deviations of the last 128, once there are 64; spikes
                   stay in the window; skips the step (`SkipStepOptimizer`)
    Lightning      loss higher than the last one and at least 3 × the mean of the last 10; stops the run and
                   names this batch and the one before (`SpikeDetection`, rtol 2.0)
    llm-foundry    loss >= 2 × the mean of the last 100, five times in a row; stops (`KillLossSpike`)
    Megatron       loss >= 10 × the largest of the first 100; reruns the step (`is_unexpectedly_large`)
    seeds          loss > 5 × or norm > 3 × the mean of the last 100 (seed 000)
    minigpt        the guard of this project, `spike_on` as "loss" and as "loss_or_norm"; in a run it also
                   knows what single tokens cost, which these series do not tell
"""

from __future__ import annotations

import itertools
import random
import statistics
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from minigpt import Recipe, train
from minigpt.runs.thresholds import GRADIENT_SPIKE, LOSS_SPIKE, SPIKE_ENOUGH, SPIKE_STEPS
from minigpt.training.guards.spikes import Spikes
from minigpt.training.state import TrainerState

Series = list[tuple[float, float]]  # (loss, gradient norm) by step
BLOOM_AT = 400  # the loss of the rebuilt series


def olmo(series: Series) -> Iterable[int]:
    window: deque[tuple[float, float]] = deque(maxlen=128)
    for step, values in enumerate(series):
        if len(window) >= 64:
            columns = zip(*window, strict=True)
            limits = [statistics.fmean(column) + 6 * statistics.stdev(column) for column in columns]
            if any(value > limit for value, limit in zip(values, limits, strict=True)):
                yield step
        window.append(values)


def lightning(series: Series) -> Iterable[int]:
    window: deque[float] = deque(maxlen=10)
    last = 0.0
    for step, (loss, _) in enumerate(series):
        mean = statistics.fmean(window) if window else 0.0
        if step >= 1 and loss > last and abs(loss - mean) >= 2.0 * mean:
            yield step
            continue
        window.append(loss)
        last = loss


def llm_foundry(series: Series) -> Iterable[int]:
    window: deque[float] = deque(maxlen=100)
    in_a_row = 0
    for step, (loss, _) in enumerate(series):
        if len(window) == 100:
            in_a_row = in_a_row + 1 if loss >= 2 * statistics.fmean(window) else 0
            if in_a_row > 4:
                yield step
        window.append(loss)


def megatron(series: Series) -> Iterable[int]:
    largest = max(loss for loss, _ in series[:100])
    yield from (step for step, (loss, _) in enumerate(series) if step >= 100 and loss >= 10 * largest)


def seeds_rule(series: Series) -> Iterable[int]:
    windows: tuple[deque[float], deque[float]] = (deque(maxlen=SPIKE_STEPS), deque(maxlen=SPIKE_STEPS))
    for step, values in enumerate(series):
        spike = False
        for value, window, factor in zip(values, windows, (LOSS_SPIKE, GRADIENT_SPIKE), strict=True):
            if len(window) >= SPIKE_ENOUGH and value > factor * statistics.fmean(window):
                spike = True
            else:
                window.append(value)
        if spike:
            yield step


def ours(on: str) -> Callable[[Series], Iterable[int]]:
    """Return the guard as a rule: a step that it would not let pass is an alarm."""

    def rule(series: Series) -> Iterable[int]:
        guard, state = Spikes(rollbacks=10**6, on=on), TrainerState()
        for step, (loss, norm) in enumerate(series):
            decision = guard.decide({"loss": loss, "grad_norm": norm}, state)
            if decision and decision.undoes:
                yield step
            else:
                state.advance()

    return rule


RULES = {
    "OLMo-core": olmo, "Lightning": lightning, "llm-foundry": llm_foundry, "Megatron": megatron,
    "seeds 5x/3x": seeds_rule, "minigpt": ours("loss"), "minigpt, norm too": ours("loss_or_norm"),
}  # fmt: skip


def bloom(seed: int) -> Series:
    """Return 500 steps around 2.2 with a loss of 5.10, and a norm of 3.9 × four steps earlier.

    The chronicle of BLOOM gives these figures; the noise around them, 1 % of the loss and 10 % of the norm,
    is an assumption, and so is that the loss comes back by half the distance a step.
    """
    rng = random.Random(seed)
    series = [(2.2 * rng.gauss(1, 0.01), 0.2 * rng.lognormvariate(0, 0.1)) for _ in range(500)]
    series[BLOOM_AT - 4] = (series[BLOOM_AT - 4][0], 0.2 * 3.9)
    for later in range(8):
        loss, norm = series[BLOOM_AT + later]
        series[BLOOM_AT + later] = (loss + (5.10 - 2.2) * 0.5**later, norm)
    return series


def rules(seeds: int, folder: Path, config, forms, shuffled_targets) -> list[str]:
    """Return the table."""
    runs = itertools.count()

    def series_of(config, **parts) -> Series:
        recipe = Recipe(config)
        for name, part in parts.items():
            object.__setattr__(recipe, name, part)
        metrics = train(recipe, folder / str(next(runs))).metrics
        return [(record["loss"], record["grad_norm"]) for record in metrics]

    shapes = [bloom(seed) for seed in range(20)]
    bad, healthy = [], []
    for seed, place in itertools.product(range(seeds), range(4)):
        start = random.Random(1000 * seed + place).randrange(100, config.steps - 40)
        bad.append((start, series_of(config.replace(seed=seed), get_batch=shuffled_targets(start))))
    for form, seed in itertools.product(forms, range(seeds)):
        healthy.append(series_of(config.replace(seed=seed, **form)))
    lines = [
        f"{'rule':<18} BLOOM's shape: found, first step (norm at -4, loss at 0)"
        f" | bad shard found, at its step | healthy runs with an alarm"
    ]
    for name, rule in RULES.items():
        firsts = [next((s for s in rule(series) if s >= BLOOM_AT - 4), None) for series in shapes]
        found = [first - BLOOM_AT for first in firsts if first is not None]
        before = sum(any(s < BLOOM_AT - 4 for s in rule(series)) for series in shapes)
        when = f"{statistics.median(found):+.0f}" if found else "-"
        at = [next((s - start for s in rule(series) if s >= start), None) for start, series in bad]
        hits = [place for place in at if place is not None and place < 5]
        place = f"{statistics.median(hits):.0f}" if hits else "-"
        false = sum(any(True for _ in rule(series)) for series in healthy)
        lines.append(
            f"{name:<18} {len(found)}/{len(shapes)}, {when}, {before} false before"
            f" | {len(hits)}/{len(bad)}, {place} | {false}/{len(healthy)}"
        )
    return lines
