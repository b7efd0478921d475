"""Right and wrong answers to `expected-loss`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

VALUE, ANY, ONE = (f"expected-loss/{aspect}" for aspect in ("course", "any", "one"))


def _expected(expression):
    return f"def expected_loss(vocab_size):\n    return {expression}"


ANSWERS = [
    Valid("expected-loss", "minus-log-of-probability", _expected("-math.log(1 / vocab_size)")),
    Valid("expected-loss", "torch", _expected("torch.log(torch.tensor(float(vocab_size)))")),
    Valid("expected-loss", "numpy", _expected("np.log(vocab_size)")),
    Valid(
        "expected-loss",
        "cross-entropy",
        _expected("F.cross_entropy(torch.zeros(1, vocab_size), torch.tensor([0]))"),
    ),
    Mutant(
        "expected-loss",
        "bits",
        _expected("math.log2(vocab_size)"),
        dict.fromkeys((VALUE, ANY, ONE), "in-bits"),
    ),
    Mutant(
        "expected-loss",
        "decades",
        _expected("math.log10(vocab_size)"),
        dict.fromkeys((VALUE, ANY, ONE), "in-decades"),
    ),
    Mutant(
        "expected-loss",
        "log-probability",
        _expected("math.log(1 / vocab_size)"),
        dict.fromkeys((VALUE, ANY, ONE), "minus-sign"),
    ),
    Mutant(
        "expected-loss",
        "probability",
        _expected("1 / vocab_size"),
        {VALUE: "a-probability", ANY: "a-probability", ONE: "one-is-certain"},
    ),
    Mutant(
        "expected-loss",
        "perplexity",
        _expected("vocab_size"),
        {VALUE: "a-perplexity", ANY: "a-perplexity", ONE: "one-is-certain"},
    ),
    Mutant(
        "expected-loss",
        "constant",
        _expected("math.log(512)"),
        {VALUE: "ignores-vocabulary", ANY: "ignores-vocabulary", ONE: "one-is-certain"},
    ),
    Mutant(
        "expected-loss",
        "square-root",
        _expected("math.sqrt(vocab_size)"),
        {VALUE: "not-ln-v", ANY: "not-ln-v", ONE: "one-is-certain"},
    ),
    Mutant(
        "expected-loss",
        "no-return",
        "def expected_loss(vocab_size):\n    math.log(vocab_size)",
        dict.fromkeys((VALUE, ANY, ONE), "check.returned-none"),
    ),
]
