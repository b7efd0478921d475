"""Right and wrong answers to `move`."""

from course.mutants import Mutant, Valid

MEAN, START, EXPONENT, CLAMP = (f"move/{aspect}" for aspect in ("mean", "start", "exponent", "clamp"))


def _answer(
    mean="mean + (activity - mean) / tau",
    corrected="mean / (1 - (1 - 1 / tau) ** steps)",
    scale="(scale * (target / corrected) ** (1 / tau)).clamp(0.1, 10.0)",
    kept="mean",
):
    return f"""
def move(scale, mean, steps, activity, target, tau):
    steps = steps + 1
    mean = {mean}
    corrected = {corrected}
    scale = {scale}
    return scale, {kept}, steps
"""


def _wrong(name, fails, **changed):
    return Mutant("move", name, _answer(**changed), fails)


ANSWERS = [
    Valid(
        "move",
        "from-the-prose",
        """
def move(scale, mean, steps, activity, target, tau):
    mean = mean + (activity - mean) / tau
    steps = steps + 1
    corrected = mean / (1 - (1 - 1 / tau) ** steps)
    scale = (scale * (target / corrected) ** (1 / tau)).clamp(0.1, 10)
    return scale, mean, steps
""",
    ),
    Valid(
        "move",
        "weighted",
        _answer(
            mean="(1 - 1 / tau) * mean + activity / tau",
            scale="torch.clamp(scale * torch.exp(torch.log(target / corrected) / tau), 0.1, 10.0)",
        ),
    ),
    _wrong(
        "as-published",
        {START: "windup", EXPONENT: "whole-at-once"},
        corrected="mean",
        scale="(scale * target / mean).clamp(0.1, 10.0)",
    ),
    _wrong("not-corrected", {START: "not-corrected"}, corrected="mean"),
    _wrong(
        "whole-at-once",
        {START: "whole-at-once", EXPONENT: "whole-at-once"},
        scale="(scale * target / corrected).clamp(0.1, 10.0)",
    ),
    _wrong(
        "upside-down",
        {START: "upside-down", EXPONENT: "upside-down", CLAMP: "upside-down"},
        scale="(scale * (corrected / target) ** (1 / tau)).clamp(0.1, 10.0)",
    ),
    _wrong("unclamped", {CLAMP: "unclamped"}, scale="scale * (target / corrected) ** (1 / tau)"),
    _wrong("corrected-kept", {MEAN: "corrected-kept", START: "corrected-kept"}, kept="corrected"),
]
