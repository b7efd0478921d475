"""Right and wrong answers to `adaptive-norms`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

START, SPIKE, BURST, FOLLOWS = (
    f"adaptive-norms/{aspect}" for aspect in ("start", "spike", "burst", "follows")
)


def _norms(
    past="found[-window:]",
    usual="np.median(past)",
    known="len(found) >= enough",
    kept="min(norm, limit)",
    defaults="factor=2.0, window=50, enough=10",
):
    return f"""
def adaptive_norms(norms, {defaults}):
    found = []
    for place, norm in enumerate(norms):
        past = {past}
        limit = factor * {usual} if {known} else math.inf
        found.append({kept})
    return found
"""


ANSWERS = [
    Valid("adaptive-norms", "numpy", _norms()),
    Valid(
        "adaptive-norms",
        "in-place",
        """
import statistics


def adaptive_norms(norms, factor=2.0, window=50, enough=10):
    norms = list(norms)
    for n in range(enough, len(norms)):
        norms[n] = min(norms[n], factor * statistics.median(norms[max(0, n - window):n]))
    return np.array(norms)
""",
    ),
    Mutant("adaptive-norms", "raw-history", _norms("norms[:place][-window:]"), {BURST: "burst-raises-limit"}),
    Mutant(
        "adaptive-norms",
        "mean",
        _norms(usual="np.mean(past)"),
        {
            START: "mean-not-median",
            SPIKE: "mean-not-median",
            BURST: "mean-not-median",
            FOLLOWS: "mean-not-median",
        },
    ),
    Mutant(
        "adaptive-norms",
        "whole-run",
        _norms("found"),
        {START: "whole-run", SPIKE: "whole-run", BURST: "whole-run", FOLLOWS: "nothing-clipped"},
    ),
    Mutant(
        "adaptive-norms",
        "at-once",
        _norms(known="found"),
        {START: "clips-too-early", BURST: "clips-too-early"},
    ),
    Mutant(
        "adaptive-norms",
        "never",
        _norms(known="False"),
        {
            START: "nothing-clipped",
            SPIKE: "nothing-clipped",
            BURST: "nothing-clipped",
            FOLLOWS: "nothing-clipped",
        },
    ),
    Mutant(
        "adaptive-norms",
        "the-limit",
        _norms(kept="limit"),
        {
            START: "limit-not-norm",
            SPIKE: "limit-not-norm",
            BURST: "limit-not-norm",
            FOLLOWS: "limit-not-norm",
        },
    ),
    Mutant(
        "adaptive-norms",
        "default-factor",
        _norms(defaults="factor=3.0, window=50, enough=10"),
        {START: "defaults-off-here"},
    ),
    Mutant(
        "adaptive-norms",
        "default-window",
        _norms(defaults="factor=2.0, window=20, enough=10"),
        {START: "defaults-off-here"},
    ),
    Mutant(
        "adaptive-norms",
        "default-enough",
        _norms(defaults="factor=2.0, window=50, enough=5"),
        {START: "defaults-off-here"},
    ),
]
