"""Right and wrong answers to `smooth`; each wrong one names the checks it fails, and why."""

from functools import partial

from course.mutants import Mutant, Valid

CONSTANT, JUMP, PAST = (f"smooth/{aspect}" for aspect in ("constant", "jump", "past"))

right_smooth, wrong_smooth = partial(Valid, "smooth"), partial(Mutant, "smooth")


def _smooth(update="beta * mean + (1 - beta) * loss", start="losses[0]", kept="mean"):
    return f"""
def smooth(losses, beta):
    mean, means = {start}, []
    for step, loss in enumerate(losses):
        mean = {update}
        means.append({kept})
    return means
"""


ANSWERS = [
    right_smooth("from-the-first", _smooth()),
    right_smooth("difference", _smooth("mean + (1 - beta) * (loss - mean)")),
    right_smooth("bias-corrected", _smooth(start="0.0", kept="mean / (1 - beta ** (step + 1))")),
    right_smooth(
        "accumulate",
        "import itertools\ndef smooth(losses, beta):\n"
        "    return list(itertools.accumulate(losses, lambda m, x: beta * m + (1 - beta) * x))",
    ),
    right_smooth(
        "weighted-sum",
        """
def smooth(losses, beta):
    means = []
    for end in range(1, len(losses) + 1):
        weights = beta ** np.arange(end)[::-1]
        means.append((weights * np.array(losses[:end])).sum() / weights.sum())
    return np.array(means)
""",
    ),
    wrong_smooth("from-zero", _smooth(start="0.0"), {CONSTANT: "starts-at-zero"}),
    wrong_smooth(
        "corrected-for-nothing",
        _smooth(kept="mean / (1 - beta ** (step + 1))"),
        {CONSTANT: "corrected-for-nothing"},
    ),
    wrong_smooth("swapped", _smooth("(1 - beta) * mean + beta * loss"), {JUMP: "beta-swapped"}),
    wrong_smooth(
        "copy",
        "def smooth(losses, beta):\n    return list(losses)",
        {CONSTANT: "nothing-smoothed", JUMP: "nothing-smoothed", PAST: "nothing-smoothed"},
    ),
    wrong_smooth(
        "one-behind",
        "def smooth(losses, beta):\n    mean, means = losses[0], []\n    for loss in losses:\n"
        "        means.append(mean)\n        mean = beta * mean + (1 - beta) * loss\n    return means",
        {JUMP: "one-behind"},
    ),
    wrong_smooth(
        "mean-of-all",
        "def smooth(losses, beta):\n"
        "    return [float(np.mean(losses[: step + 1])) for step in range(len(losses))]",
        {JUMP: "jump-off"},
    ),
    wrong_smooth(
        "window-in-the-middle",
        "def smooth(losses, beta):\n    return [float(np.mean(losses[max(0, step - 5) : step + 6]))"
        " for step in range(len(losses))]",
        {JUMP: "jump-off", PAST: "sees-the-future"},
    ),
    wrong_smooth(
        "overwrites",
        "def smooth(losses, beta):\n    for step in range(1, len(losses)):\n"
        "        losses[step] = beta * losses[step - 1] + (1 - beta) * losses[step]\n    return losses",
        {PAST: "list-overwritten"},
    ),
    wrong_smooth("adds-up", _smooth("beta * mean + loss"), {CONSTANT: "constant-moves", JUMP: "jump-off"}),
]
