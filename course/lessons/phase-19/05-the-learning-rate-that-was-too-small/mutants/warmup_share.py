"""Right and wrong answers to `warmup-share`."""

from course.mutants import Mutant, Valid

EPOCHS, CALLS, UNIT, DONE = (f"warmup-share/{aspect}" for aspect in ("epochs", "calls", "unit", "done"))


def _answer(
    calls="iteration // accumulation",
    length="share * batches_per_epoch * epochs",
    told="length / accumulation if told_in == 'steps' else length",
    returned="min(calls / length, 1.0)",
):
    return f"""
def warmup_share(iteration, batches_per_epoch, epochs, accumulation, share, told_in):
    calls = {calls}
    length = {length}
    length = {told}
    return {returned}
"""


ANSWERS = [
    Valid(
        "warmup-share",
        "from-the-prose",
        """
def warmup_share(iteration, batches_per_epoch, epochs, accumulation, share, told_in):
    calls = iteration // accumulation
    length = share * batches_per_epoch * epochs
    if told_in == "steps":
        length = length / accumulation
    return min(1.0, calls / length)
""",
    ),
    Valid(
        "warmup-share",
        "whole-run-first",
        """
def warmup_share(iteration, batches_per_epoch, epochs, accumulation, share, told_in):
    per_step = accumulation if told_in == "micro-batches" else 1
    updates = batches_per_epoch * epochs / accumulation
    done = (iteration - iteration % accumulation) / accumulation
    part = done / (updates * share * per_step)
    return 1 if part > 1 else part
""",
    ),
    Mutant(
        "warmup-share",
        "as-published",
        """
def warmup_share(iteration, batches_per_epoch, epochs, accumulation, share, told_in):
    warmup = share * batches_per_epoch
    return iteration / warmup
""",
        {EPOCHS: "as-printed", CALLS: "as-printed", UNIT: "as-printed", DONE: "beyond-the-end"},
    ),
    Mutant(
        "warmup-share",
        "one-epoch",
        _answer(length="share * batches_per_epoch"),
        {EPOCHS: "as-printed", CALLS: "one-epoch", UNIT: "as-printed", DONE: "share-off"},
    ),
    Mutant(
        "warmup-share",
        "counts-micro-batches",
        _answer(calls="iteration"),
        {CALLS: "k-times-too-much", UNIT: "k-times-too-much"},
    ),
    Mutant("warmup-share", "half-a-call", _answer(calls="iteration / accumulation"), {CALLS: "half-a-call"}),
    Mutant("warmup-share", "unit-ignored", _answer(told="length"), {UNIT: "unit-ignored"}),
    Mutant(
        "warmup-share",
        "always-in-steps",
        _answer(told="length / accumulation"),
        {CALLS: "k-times-too-much", UNIT: "k-times-too-much"},
    ),
    Mutant("warmup-share", "no-end", _answer(returned="calls / length"), {DONE: "beyond-the-end"}),
    Mutant(
        "warmup-share",
        "per-cent",
        _answer(returned="100 * min(calls / length, 1.0)"),
        {EPOCHS: "in-per-cent", CALLS: "in-per-cent", UNIT: "in-per-cent", DONE: "beyond-the-end"},
    ),
]
