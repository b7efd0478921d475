"""Who lies in a ward: six runs drawn from a name, for each capstone. `course.patients` asks, and judges do.

    charts = drawn("18-08", "ada lovelace")      # letter → Drawn(faults, kind, seed)
    broken("18-08", "ada lovelace", "A")         # the recipe, without the names of its faults

One of six is healthy, one has two faults in two parts of the loop, four have one. In 18-08 all six have the
same config. In 19-10 there are three kinds of run; three of the single faults belong to the dynamics, one of
each kind, and the fourth to Phase 18.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
from dataclasses import dataclass
from functools import lru_cache

from minigpt import Config, Recipe
from minigpt.faults import Fault, find_fault

LETTERS = "ABCDEF"

# ---------------------------------------------------------------------- 18-08

FIRST = Config(
    n_layer=2, n_head=2, n_embd=32, context=32, batch_size=8, accumulation=2, steps=60, warmup_steps=10,
    lr_max=3e-3, lr_min=3e-4, eval_every=30, eval_batches=1, checkpoint_every=0, keep_checkpoints=1,
    device="cpu",
)  # fmt: skip

# Faults that the tree finds in so short a run, and at what severity.
SINGLES = (
    *("init-scale", "head-bias", "not-untrained:40", "weight-mean", "residual-scale", "frozen-parameters"),
    *("loss-reduction", "target-shift", "degenerate-data", "loss-mask-empty", "data-leak"),
    *("future-leak", "missing-norm"),
    *("scheduler-never-stepped", "base-lr-zero", "lr-discontinuous", "schedule-step-unit"),
    *("warmup-off-by-one", "lr-group-scale", "diverging", "decay-groups", "no-bias-correction"),
    *("always-clipping", "missing-zero-grad", "lost-optimizer-state"),
    *("accumulation-sum", "accumulation-token-weighting"),
)

# Two of these at once, in two parts of the loop, and the tree names one, then the other. The three left out
# leave so little of a run that nothing else can be seen in it.
PAIRABLE = tuple(
    fault for fault in SINGLES if fault not in ("degenerate-data", "loss-mask-empty", "base-lr-zero")
)
# An optimizer that forgets its steps never gets far enough to show that it counts them wrongly.
MASKED = {"lost-optimizer-state", "no-bias-correction"}

# ---------------------------------------------------------------------- 19-10

_SHORT = FIRST.replace(accumulation=1, instruments_every=20, noise_every=0, stop_on_non_finite=False)
KINDS = {
    # At a rate of 1e-2, or on smaller batches, a healthy run has nearly as many spikes as a sick one.
    "plain": _SHORT.replace(steps=160, batch_size=16, warmup_steps=15, lr_max=5e-3, lr_min=5e-4),
    "memory": _SHORT.replace(
        mixer="memory", short_term_size=8, memory_temperature=4.0, homeostasis=True, homeostasis_target=0.5,
        warmup_steps=6, lr_max=5e-3, lr_min=5e-4,
    ),
    "half": _SHORT.replace(precision="fp16", steps=40),
}  # fmt: skip

# By kind: faults of the dynamics, faults of Phase 18, and two at once, of which the trees name one, then the
# other.
DYNAMICS = {
    "plain": (
        *("rate-burst", "bad-shard", "no-warmup:0.5", "attention-logit-growth"),
        *("dead-gate", "memory-leak-across-batches", "partial-window", "undeclared-stdp"),
    ),
    "memory": (
        *("memory-gate-collapse", "memory-feedback", "memory-saturation", "short-term-memory-kept"),
        *("memory-written-in-evaluation", "memory-batch-selection", "random-consolidation"),
        *("homeostasis-windup",),
    ),
    "half": ("clip-before-unscale", "scaler-not-updated", "fp16-overflow", "fp16-underflow"),
}
OF_PHASE_18 = {
    "plain": ("target-shift", "missing-zero-grad", "decay-groups", "future-leak", "warmup-off-by-one"),
    "memory": ("target-shift", "missing-zero-grad", "decay-groups", "init-scale", "lr-group-scale"),
    "half": ("target-shift", "no-bias-correction", "decay-groups", "data-leak", "always-clipping"),
}
PAIRS = (
    ("plain", "rate-burst", "dead-gate"),
    ("plain", "rate-burst", "undeclared-stdp"),
    ("plain", "memory-leak-across-batches", "rate-burst"),
    ("plain", "dead-gate", "bad-shard"),
    ("plain", "undeclared-stdp", "bad-shard"),
    ("memory", "random-consolidation", "partial-window"),
    ("memory", "homeostasis-windup", "partial-window"),
    ("memory", "memory-gate-collapse", "undeclared-stdp"),
    ("half", "clip-before-unscale", "scaler-not-updated"),
    ("half", "scaler-not-updated", "dead-gate"),
    ("half", "fp16-underflow", "dead-gate"),
)
PRACTICE = "florence nightingale"  # whose second patient the lesson treats together with the learner,
SHOWN = ("plain", "rate-burst", "dead-gate")  # and so nobody else's two faults


@dataclass(frozen=True)
class Drawn:
    """What one patient of a ward is."""

    faults: tuple[str, ...]
    kind: str
    seed: int


@lru_cache(maxsize=256)
def drawn(lesson: str, name: str) -> dict[str, Drawn]:
    """Return the six of a ward by letter; `name` is a `course.patients.plain_name`."""
    text = name if lesson == "18-08" else f"{lesson}\0{name}"
    rng = random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))
    six = WARDS[lesson](rng, name)
    rng.shuffle(six)
    return {
        letter: Drawn(faults, kind, rng.randrange(1, 10_000))
        for letter, (faults, kind) in zip(LETTERS, six, strict=True)
    }


def faults_of(lesson: str, name: str, letter: str) -> list[Fault]:
    """Return the faults that were drawn for a patient; none for the healthy one."""
    return [_fault(fault) for fault in drawn(lesson, name)[letter].faults]


def broken(lesson: str, name: str, letter: str) -> Recipe:
    """Return a patient's recipe as it fell ill, with an empty list of faults."""
    recipe = Recipe(healthy_config(lesson, name, letter))
    for fault in drawn(lesson, name)[letter].faults:
        recipe = recipe.with_fault(fault)
    return dataclasses.replace(recipe, faults=())


def healthy_config(lesson: str, name: str, letter: str) -> Config:
    """Return what a patient's config was before it fell ill."""
    chart = drawn(lesson, name)[letter]
    return CONFIGS[lesson][chart.kind].replace(seed=chart.seed)


def _first(rng: random.Random, name: str) -> list[tuple[tuple[str, ...], str]]:
    """Draw the six of 18-08."""
    pair = _two_parts(rng)
    singles = rng.sample([fault for fault in SINGLES if fault not in pair], 4)
    return [((), ""), (pair, ""), *(((fault,), "") for fault in singles)]


def _two_parts(rng: random.Random) -> tuple[str, ...]:
    while True:
        pair = rng.sample(PAIRABLE, 2)
        if len({_fault(fault).part for fault in pair}) == 2 and {*pair} != MASKED:
            return tuple(sorted(pair, key=SINGLES.index))


def _second(rng: random.Random, name: str) -> list[tuple[tuple[str, ...], str]]:
    """Draw the six of 19-10."""
    chosen = rng.choice(PAIRS)
    if chosen == SHOWN and name != PRACTICE:
        chosen = rng.choice([pair for pair in PAIRS if pair != SHOWN])
    kind, *pair = chosen
    six = [((), rng.choice(list(KINDS))), (tuple(pair), kind)]
    groups = [(kind, DYNAMICS[kind]) for kind in KINDS]
    earlier = rng.choice(list(OF_PHASE_18))
    for kind, faults in [*groups, (earlier, OF_PHASE_18[earlier])]:
        taken = {_fault(fault).leaf for chosen, _ in six for fault in chosen}
        six.append(((rng.choice([fault for fault in faults if _fault(fault).leaf not in taken]),), kind))
    return six


def _fault(name: str) -> Fault:
    return find_fault(name)[0]


CONFIGS = {"18-08": {"": FIRST}, "19-10": KINDS}
WARDS = {"18-08": _first, "19-10": _second}
