"""Right and wrong answers to `steps-to-target`."""

from course.mutants import Mutant, Valid

CONSTANT, WARM_UP, NOISE, NEVER = (
    f"steps-to-target/{aspect}" for aspect in ("constant", "warm-up", "noise", "never")
)


def _answer(
    paid="np.cumsum(rates) - rates",
    line="slope, start = np.polyfit(paid[:n], losses, 1)",
    returned="int(reached[0]) if len(reached) else None",
):
    return f"""
def steps_to_target(losses, rates, target):
    n = len(losses)
    paid = {paid}
    {line}
    reached = np.flatnonzero(start + slope * paid <= target)
    return {returned}
"""


ANSWERS = [
    Valid(
        "steps-to-target",
        "from-the-prose",
        """
def steps_to_target(losses, rates, target):
    paid = np.concatenate([[0.0], np.cumsum(rates)[:-1]])
    slope, height = np.polyfit(paid[: len(losses)], losses, 1)
    for step, sum_paid in enumerate(paid):
        if height + slope * sum_paid <= target:
            return step
    return None
""",
    ),
    Valid(
        "steps-to-target",
        "by-hand",
        """
def steps_to_target(losses, rates, target):
    paid = [0.0]
    for rate in rates[:-1]:
        paid.append(paid[-1] + float(rate))
    x, y = np.array(paid[: len(losses)]), np.array(losses)
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    for step, sum_of_rates in enumerate(paid):
        if y.mean() + slope * (sum_of_rates - x.mean()) <= target:
            return step
""",
    ),
    Mutant(
        "steps-to-target",
        "by-iterations",
        _answer(paid="np.arange(len(rates))"),
        {WARM_UP: "by-iterations"},
    ),
    Mutant(
        "steps-to-target",
        "last-rate-for-ever",
        """
def steps_to_target(losses, rates, target):
    n = len(losses)
    rates = np.concatenate([rates[:n], np.full(len(rates) - n, rates[n - 1])])
    paid = np.cumsum(rates) - rates
    slope, start = np.polyfit(paid[:n], losses, 1)
    reached = np.flatnonzero(start + slope * paid <= target)
    return int(reached[0]) if len(reached) else None
""",
        {WARM_UP: "by-last-rate"},
    ),
    Mutant(
        "steps-to-target", "paid-too-early", _answer(paid="np.cumsum(rates)"), {WARM_UP: "paid-too-early"}
    ),
    Mutant(
        "steps-to-target",
        "two-points",
        _answer(line="slope, start = (losses[-1] - losses[0]) / (paid[n - 1] - paid[0]), losses[0]"),
        {NOISE: "two-points"},
    ),
    Mutant(
        "steps-to-target",
        "from-now",
        _answer(returned="int(reached[0]) - n if len(reached) else None"),
        {CONSTANT: "from-now", WARM_UP: "from-now", NOISE: "from-now", NEVER: "from-now"},
    ),
    Mutant(
        "steps-to-target",
        "last-step-for-never",
        _answer(returned="int(reached[0]) if len(reached) else len(rates) - 1"),
        {NEVER: "never-comes"},
    ),
    Mutant(
        "steps-to-target",
        "future-only",
        """
def steps_to_target(losses, rates, target):
    paid = np.cumsum(rates) - rates
    slope, start = np.polyfit(paid[: len(losses)], losses, 1)

    reached = [t for t in range(len(losses), len(rates)) if start + slope * paid[t] <= target]
    return reached[0] if reached else None
""",
        {"steps-to-target/constant": "future-alone", "steps-to-target/noise": "future-alone"},
    ),
    Mutant(
        "steps-to-target",
        "through-first",
        """
def steps_to_target(losses, rates, target):
    paid = np.cumsum(rates) - rates
    slope, start = (np.polyfit(paid[: len(losses)], losses, 1)[0], losses[0])

    reached = np.flatnonzero(start + slope * paid <= target)
    return int(reached[0]) if len(reached) else None
""",
        {"steps-to-target/noise": "step-off"},
    ),
    Mutant(
        "steps-to-target",
        "seen-loss-itself",
        """
def steps_to_target(losses, rates, target):
    paid = np.cumsum(rates) - rates
    slope, start = np.polyfit(paid[: len(losses)], losses, 1)

    hit = np.flatnonzero(np.array(losses) <= target)
    if len(hit):
        return int(hit[0])
    reached = np.flatnonzero(start + slope * paid <= target)
    return int(reached[0]) if len(reached) else None
""",
        {"steps-to-target/noise": "a-single-loss"},
    ),
]
