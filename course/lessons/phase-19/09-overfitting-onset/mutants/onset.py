"""Right and wrong answers to `onset`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

FINDS, NOISE, TRAINING, PAST = (f"onset/{aspect}" for aspect in ("finds", "noise", "training", "past"))


def _answer(
    start="best = 0",
    against="best",
    lower="best = now",
    error="change.std(ddof=1) / math.sqrt(len(change))",
    when="change.mean() > errors * error and training[now] < training[best]",
    found="return now",
):
    return f"""
def onset(training, validation, errors=3.0):
    {start}
    for now in range(1, len(validation)):
        change = validation[now] - validation[{against}]
        if change.mean() < 0:
            {lower}
            continue
        error = {error}
        if {when}:
            {found}
    return None
"""


ANSWERS = [
    Valid(
        "onset",
        "with-torch",
        """
def onset(training, validation, errors=3.0):
    validation = torch.as_tensor(validation)
    means = validation.mean(1).tolist()
    for now in range(1, len(means)):
        best = min(range(now), key=means.__getitem__)
        rise = validation[now] - validation[best]
        if training[now] < training[best] and rise.mean() > errors * rise.std() / len(rise) ** 0.5:
            return now
""",
    ),
    Valid(
        "onset",
        "as-a-ratio",
        """
def onset(training, validation, errors=3.0):
    lowest = np.array(validation[0])
    trained = training[0]
    for now, row in enumerate(np.array(validation)):
        change = row - lowest
        if change.mean() < 0:
            lowest, trained = row, training[now]
        elif change.any() and training[now] < trained:
            n = len(change)
            if np.sqrt(n) * change.mean() / np.std(change, ddof=1) > errors:
                return now
    return None
""",
    ),
    Mutant(
        "onset",
        "any-rise",
        _answer(when="change.mean() > 0 and training[now] < training[best]"),
        {NOISE: "no-error", TRAINING: "alarm-early", PAST: "alarm-early"},
    ),
    Mutant(
        "onset",
        "not-paired",
        _answer(
            error="math.sqrt((validation[now].var(ddof=1) + validation[best].var(ddof=1)) / len(change))"
        ),
        {FINDS: "alarm-missed", NOISE: "not-paired", TRAINING: "alarm-missed", PAST: "alarm-missed"},
    ),
    Mutant(
        "onset",
        "spread",
        _answer(error="change.std(ddof=1)"),
        {FINDS: "alarm-missed", NOISE: "alarm-missed", TRAINING: "alarm-missed", PAST: "alarm-missed"},
    ),
    Mutant(
        "onset",
        "population",
        _answer(error="change.std() / math.sqrt(len(change))"),
        {NOISE: "population-error"},
    ),
    Mutant(
        "onset",
        "training-ignored",
        _answer(when="change.mean() > errors * error"),
        {TRAINING: "training-ignored"},
    ),
    Mutant(
        "onset",
        "training-from-the-start",
        _answer(when="change.mean() > errors * error and training[now] < training[0]"),
        {TRAINING: "training-from-start"},
    ),
    Mutant(
        "onset",
        "looks-ahead",
        """
def onset(training, validation, errors=3.0):
    best = int(validation.mean(1).argmin())
    for now in range(best + 1, len(validation)):
        change = validation[now] - validation[best]
        error = change.std(ddof=1) / math.sqrt(len(change))
        if change.mean() > errors * error and training[now] < training[best]:
            return now
    return None
""",
        {PAST: "looks-ahead"},
    ),
    Mutant(
        "onset",
        "against-the-first",
        _answer(lower="pass"),
        {FINDS: "alarm-missed", NOISE: "not-paired", TRAINING: "alarm-missed", PAST: "against-the-first"},
    ),
    Mutant(
        "onset",
        "names-the-minimum",
        _answer(found="return best"),
        {FINDS: "names-the-minimum", NOISE: "alarm-early", TRAINING: "alarm-early", PAST: "alarm-early"},
    ),
    Mutant(
        "onset",
        "equal-counts",
        _answer(when="change.mean() >= errors * error and training[now] < training[best]"),
        {PAST: "equal-is-no-rise"},
    ),
    Mutant(
        "onset",
        "errors-ignored",
        """
def onset(training, validation, errors=3.0):
    best = 0
    for now in range(1, len(validation)):
        change = validation[now] - validation[best]
        if change.mean() < 0:
            best = now
            continue
        error = change.std(ddof=1) / math.sqrt(len(change))
        if change.mean() > 3.0 * error and training[now] < training[best]:
            return now
    return None
""",
        {"onset/noise": "errors-ignored"},
    ),
    Mutant(
        "onset",
        "returns-false",
        """
def onset(training, validation, errors=3.0):
    best = 0
    for now in range(1, len(validation)):
        change = validation[now] - validation[best]
        if change.mean() < 0:
            best = now
            continue
        error = change.std(ddof=1) / math.sqrt(len(change))
        if change.mean() > errors * error and training[now] < training[best]:
            return now
    return -1
""",
        {
            "onset/finds": "none-is-none",
            "onset/noise": "none-is-none",
            "onset/training": "none-is-none",
            "onset/past": "none-is-none",
        },
    ),
    Mutant(
        "onset",
        "training-last",
        """
def onset(training, validation, errors=3.0):
    best = 0
    for now in range(1, len(validation)):
        change = validation[now] - validation[best]
        if change.mean() < 0:
            best = now
            continue
        error = change.std(ddof=1) / math.sqrt(len(change))
        if change.mean() > errors * error and training[now] < training[now - 1]:
            return now
    return None
""",
        {"onset/training": "training-of-the-last"},
    ),
]
