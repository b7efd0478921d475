"""Right and wrong answers to `lr-sensitivity`."""

from course.mutants import Mutant, Valid

VALUE, CAPPED, DIVERGED = (f"lr-sensitivity/{aspect}" for aspect in ("value", "capped", "diverged"))


def _answer(
    capped="[min(x, start) if math.isfinite(x) else start for x in losses]",
    result="sum(capped) / len(capped) - min(capped)",
):
    return f"""
def lr_sensitivity(losses, start):
    capped = {capped}
    return {result}
"""


def _wrong(name, fails, **changed):
    return Mutant("lr-sensitivity", name, _answer(**changed), fails)


ANSWERS = [
    Valid(
        "lr-sensitivity",
        "from-the-prose",
        """
def lr_sensitivity(losses, start):
    capped = [min(loss, start) if math.isfinite(loss) else start for loss in losses]
    return sum(capped) / len(capped) - min(capped)
""",
    ),
    Valid(
        "lr-sensitivity",
        "comparison",
        """
def lr_sensitivity(losses, start):
    capped = torch.tensor([x if x < start else start for x in losses], dtype=torch.float64)
    return (capped - capped.min()).mean()
""",
    ),
    _wrong(
        "not-capped",
        {CAPPED: "not-capped"},
        capped="[x if math.isfinite(x) else start for x in losses]",
    ),
    _wrong(
        "left-out",
        {DIVERGED: "diverged-left-out"},
        capped="[min(x, start) for x in losses if math.isfinite(x)]",
    ),
    _wrong(
        "range",
        {VALUE: "range-not-mean", CAPPED: "range-not-mean", DIVERGED: "range-not-mean"},
        result="max(capped) - min(capped)",
    ),
    _wrong(
        "mean-alone",
        {VALUE: "best-not-taken-off", CAPPED: "best-not-taken-off", DIVERGED: "best-not-taken-off"},
        result="sum(capped) / len(capped)",
    ),
    Mutant(
        "lr-sensitivity",
        "best-of-raw",
        """
def lr_sensitivity(losses, start):
    best = min(l for l in losses if math.isfinite(l))
    return sum(min(l, start) if math.isfinite(l) else start for l in losses) / len(losses) - best
""",
        {"lr-sensitivity/capped": "best-not-capped", "lr-sensitivity/diverged": "check.raised-at"},
    ),
    Mutant(
        "lr-sensitivity",
        "in-place",
        """
def lr_sensitivity(losses, start):
    for i, l in enumerate(losses):
        if not l <= start:
            losses[i] = start
    return sum(losses) / len(losses) - min(losses)
""",
        {"lr-sensitivity/capped": "list-overwritten", "lr-sensitivity/diverged": "list-overwritten"},
    ),
]
