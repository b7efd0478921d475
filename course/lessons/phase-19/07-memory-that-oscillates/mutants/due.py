"""Right and wrong answers to `due`."""

from course.mutants import Mutant, Valid

REPEATS, GENERATORS, CHANCE, SEEDS = (
    f"due/{aspect}" for aspect in ("repeats", "generators", "chance", "seeds")
)


def _answer(body):
    return f"def due(seed, step, chance):\n    {body}"


ANSWERS = [
    Valid(
        "due",
        "from-the-prose",
        """
def due(seed, step, chance):
    return bool(np.random.default_rng([seed, step]).random() < chance)
""",
    ),
    Valid(
        "due",
        "own-generator",
        _answer("import random; return random.Random(f'{seed} {step}').random() < chance"),
    ),
    Mutant(
        "due",
        "as-published",
        _answer("import random; return random.random() < chance"),
        {REPEATS: "hidden-generator", GENERATORS: "generator-moved"},
    ),
    Mutant(
        "due",
        "seeds-the-common-generator",
        _answer("np.random.seed(100_003 * seed + step); return np.random.random() < chance"),
        {GENERATORS: "generator-moved"},
    ),
    Mutant(
        "due",
        "seed-plus-step",
        _answer("return np.random.default_rng(seed + step).random() < chance"),
        {SEEDS: "seed-plus-step"},
    ),
    Mutant(
        "due",
        "step-alone",
        _answer("return np.random.default_rng(step).random() < chance"),
        {SEEDS: "same-for-every-seed"},
    ),
    Mutant(
        "due",
        "the-other-steps",
        _answer("return np.random.default_rng((seed, step)).random() > chance"),
        {CHANCE: "chance-off"},
    ),
    Mutant(
        "due",
        "the-step-itself",
        _answer("return step"),
        dict.fromkeys((REPEATS, GENERATORS, CHANCE, SEEDS), "never-or-always"),
    ),
    Mutant(
        "due",
        "31-times",
        """
def due(seed, step, chance):
    return bool(np.random.default_rng(31 * seed + step).random() < chance)
""",
        {"due/seeds": "seed-plus-step"},
    ),
]
