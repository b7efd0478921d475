"""Right and wrong answers to `by-class`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

MEAN, WEIGHT, ERROR, SINGLE = (f"by-class/{aspect}" for aspect in ("mean", "weight", "error", "single"))


def _answer(
    mean="np.mean(means)",
    error="np.std(means, ddof=1) / math.sqrt(n) if n > 1 else math.inf",
    means="[np.mean(per_verb[verb]) for verb in per_verb if classes[verb] == name]",
    names="{classes[verb] for verb in per_verb}",
    end="return found",
):
    return f"""
def by_class(values, verbs, classes):
    per_verb = {{}}
    for value, verb in zip(values, verbs):
        per_verb.setdefault(verb, []).append(float(value))
    found = {{}}
    for name in {names}:
        means = {means}
        n = len(means)
        found[name] = ({mean}, {error})
    {end}
"""


ALL_FORMS = "[value for verb in per_verb if classes[verb] == name for value in per_verb[verb]]"

ANSWERS = [
    Valid(
        "by-class",
        "with-torch",
        """
def by_class(values, verbs, classes):
    values, found = torch.as_tensor(values), {}
    verbs = np.array(verbs)
    for name in sorted({classes[verb] for verb in verbs}):
        names = [verb for verb in np.unique(verbs) if classes[verb] == name]
        means = torch.stack([values[torch.from_numpy(verbs == verb)].mean() for verb in names])
        error = means.std() / len(means) ** 0.5 if len(means) > 1 else float("inf")
        found[name] = [means.mean(), error]
    return found
""",
    ),
    Valid(
        "by-class",
        "by-hand",
        """
def by_class(values, verbs, classes):
    sums, counts = {}, {}
    for value, verb in zip(values, verbs):
        sums[verb] = sums.get(verb, 0.0) + value
        counts[verb] = counts.get(verb, 0) + 1
    groups = {}
    for verb in sums:
        groups.setdefault(classes[verb], []).append(sums[verb] / counts[verb])
    found = {}
    for name, means in groups.items():
        mean = sum(means) / len(means)
        squares = sum((one - mean) ** 2 for one in means)
        n = len(means)
        found[name] = (mean, math.sqrt(squares / (n * (n - 1))) if n > 1 else math.inf)
    return found
""",
    ),
    Mutant(
        "by-class",
        "every-form",
        _answer(means=ALL_FORMS),
        {WEIGHT: "forms-weigh", ERROR: "forms-independent", SINGLE: "one-verb-sure"},
    ),
    Mutant(
        "by-class",
        "forms-in-the-mean",
        _answer(mean=f"np.mean({ALL_FORMS})"),
        {WEIGHT: "forms-weigh"},
    ),
    Mutant(
        "by-class",
        "population",
        _answer(error="np.std(means) / math.sqrt(n) if n > 1 else math.inf"),
        {ERROR: "population"},
    ),
    Mutant(
        "by-class",
        "spread",
        _answer(error="np.std(means, ddof=1) if n > 1 else math.inf"),
        {ERROR: "not-an-error"},
    ),
    Mutant(
        "by-class",
        "variance",
        _answer(error="np.var(means, ddof=1) / n if n > 1 else math.inf"),
        {ERROR: "variance"},
    ),
    Mutant(
        "by-class",
        "one-verb-nan",
        _answer(error="np.std(means, ddof=1) / math.sqrt(n) if n > 1 else math.nan"),
        {SINGLE: "one-verb-nan"},
    ),
    Mutant(
        "by-class",
        "one-verb-zero",
        _answer(error="np.std(means, ddof=1) / math.sqrt(n) if n > 1 else 0.0"),
        {SINGLE: "one-verb-sure"},
    ),
    Mutant(
        "by-class",
        "sums",
        _answer(mean="np.sum(means)"),
        {MEAN: "a-sum", WEIGHT: "a-sum"},
    ),
    Mutant(
        "by-class",
        "medians",
        _answer(mean="np.median(means)"),
        {MEAN: "a-median", WEIGHT: "a-median"},
    ),
    Mutant(
        "by-class",
        "means-alone",
        _answer(end="return {name: mean for name, (mean, error) in found.items()}"),
        {MEAN: "not-pairs", WEIGHT: "not-pairs", ERROR: "not-pairs", SINGLE: "not-pairs"},
    ),
    Mutant(
        "by-class",
        "all-classes",
        _answer(names="set(classes.values())"),
        {MEAN: "other-classes"},
    ),
    Mutant(
        "by-class",
        "all-verbs",
        _answer(means="[np.mean(per_verb[verb]) for verb in classes if classes[verb] == name]"),
        {MEAN: "check.raised-at"},
    ),
    Mutant(
        "by-class",
        "two-names",
        _answer(names='("regular", "irregular")'),
        {MEAN: "other-classes"},
    ),
]
