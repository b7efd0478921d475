"""Right and wrong answers to `parameters`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

COURSE, SHAPE, HEAD = (f"parameters/{aspect}" for aspect in ("course", "any-shape", "head"))


def _parameters(name, slip, total, head="0 if config.tied_head else V * C", **fails):
    code = f"""
def count_parameters(config):
    V, T, L, C = config.vocab_size, config.context, config.n_layer, config.n_embd
    return {total} + ({head})
"""
    fails = dict.fromkeys((COURSE, SHAPE), slip) if slip else fails.get("fails")
    return Mutant("parameters", name, code, fails) if fails else Valid("parameters", name, code)


ALL = "V * C + T * C + L * (12 * C * C + 2 * C) + C"

ANSWERS = [
    Valid(
        "parameters",
        "built",
        """
def count_parameters(config):
    with torch.device("meta"):
        return sum(weight.numel() for weight in build_model(config).parameters())
""",
    ),
    _parameters("other-order", "", "C * (V + T + 1 + L * (2 + 3 * C + C + 4 * C + 4 * C))"),
    _parameters("head-too", "head-counted-twice", ALL + " + V * C"),
    _parameters("no-positions", "positions-forgotten", ALL + " - T * C"),
    _parameters(
        "no-embedding",
        "",
        ALL + " - V * C",
        fails={COURSE: "count-off", SHAPE: "embedding-forgotten"},
    ),
    _parameters("no-norms", "norms-forgotten", "V * C + T * C + L * 12 * C * C"),
    _parameters("no-last-norm", "last-norm-forgotten", ALL + " - C"),
    _parameters("one-norm", "one-norm-a-block", ALL + " - L * C"),
    _parameters("first-block", "one-block", "V * C + T * C + 12 * C * C + 2 * C + C"),
    _parameters("three-c", "projection-forgotten", ALL + " - L * C * C"),
    _parameters("square", "one-projection-for-three", ALL + " - 2 * L * C * C"),
    _parameters("up-only", "", ALL + " - 4 * L * C * C", fails={COURSE: "count-off", SHAPE: "mlp-one-way"}),
    _parameters("with-biases", "biases-counted", ALL + " + 11 * L * C + C"),
    _parameters("three-more", "count-off", ALL + " + 3 * L * C * C"),
    _parameters("written-down", "ignores-the-config", "135488"),
    _parameters("always-tied", "", ALL, head="0", fails={HEAD: "head-ignored"}),
    _parameters(
        "other-case",
        "",
        ALL,
        head="V * C if config.tied_head else 0",
        fails={COURSE: "head-counted-twice", SHAPE: "head-counted-twice", HEAD: "head-the-wrong-way-round"},
    ),
    _parameters("square-head", "", ALL, head="0 if config.tied_head else C * C", fails={HEAD: "head-off"}),
]
