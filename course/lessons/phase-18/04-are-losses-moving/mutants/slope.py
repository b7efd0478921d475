"""Right and wrong answers to `slope`; each wrong one names the checks it fails, and why."""

from functools import partial

from course.mutants import Mutant, Valid

LINE, NOISE, TOO_SHORT = (f"slope/{aspect}" for aspect in ("line", "noise", "short"))

right_slope, wrong_slope = partial(Valid, "slope"), partial(Mutant, "slope")


def _slope(expression, smoothed="smooth(losses, beta)", guard=True):
    check = "    if len(losses) <= later:\n        return math.nan\n" if guard else ""
    return (
        "def slope(losses, beta=0.98, early=50, later=200):\n"
        f"{check}    means = {smoothed}\n    return {expression}"
    )


PER_100 = "(means[later] - means[early]) / (later - early) * 100"

ANSWERS = [
    right_slope("by-hand", _slope(PER_100)),
    right_slope(
        "own-mean",
        """
def slope(losses, beta=0.98, early=50, later=200):
    weight, mean, at = 0.0, 0.0, {}
    for step, loss in enumerate(losses):
        weight = beta * weight + (1 - beta)
        mean = beta * mean + (1 - beta) * loss
        at[step] = mean / weight
    return (at[later] - at[early]) * 100 / (later - early) if later in at else float("nan")
""",
    ),
    right_slope(
        "numpy",
        "def slope(losses, beta=0.98, early=50, later=200):\n    if later >= len(losses):\n"
        "        return float('nan')\n    means = np.array(smooth(losses, beta))\n"
        "    return np.polyfit([early, later], means[[early, later]], 1)[0] * 100",
    ),
    wrong_slope(
        "fall-is-positive",
        _slope(PER_100.replace("[later] - means[early]", "[early] - means[later]")),
        {LINE: "wrong-sign"},
    ),
    wrong_slope("per-step", _slope(PER_100.removesuffix(" * 100")), {LINE: "per-step"}),
    wrong_slope("difference", _slope("means[later] - means[early]"), {LINE: "not-per-100"}),
    wrong_slope(
        "over-later", _slope(PER_100.replace("(later - early)", "later")), {LINE: "divides-by-later"}
    ),
    wrong_slope("raw", _slope(PER_100, "losses"), {LINE: "not-smoothed", NOISE: "slope-of-noise"}),
    wrong_slope("no-guard", _slope(PER_100, guard=False), {TOO_SHORT: "check.raised-at"}),
    wrong_slope(
        "last-instead",
        _slope("(means[min(later, len(means) - 1)] - means[early]) / (later - early) * 100", guard=False),
        {TOO_SHORT: "short-is-unknown"},
    ),
    wrong_slope(
        "one-step-short",
        _slope(PER_100, guard=False).replace(
            "    means", "    if later + 1 >= len(losses): return math.nan\n    means"
        ),
        {TOO_SHORT: "last-step-is-there"},
    ),
    wrong_slope(
        "fit-through-all",
        _slope("100 * np.polyfit(range(early, later + 1), means[early : later + 1], 1)[0]"),
        {LINE: "not-a-fit"},
    ),
    wrong_slope(
        "other-defaults", _slope(PER_100).replace("early=50", "early=100"), {LINE: "defaults-changed"}
    ),
    wrong_slope("per-1000", _slope(f"10 * {PER_100}"), {LINE: "slope-off", NOISE: "slope-of-noise"}),
]
