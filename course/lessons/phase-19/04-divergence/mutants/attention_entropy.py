"""Right and wrong answers to `attention-entropy`."""

from course.mutants import Mutant, Valid

NAMES = UNIFORM, ONE, HEADS = tuple(
    f"attention-entropy/{aspect}" for aspect in ("uniform", "one-token", "heads")
)


def _answer(
    entropy="-torch.special.xlogy(weights, weights).sum(dim=3)",
    seen="torch.arange(2, T + 1).log()",
    mean="(entropy[:, :, 1:] / seen).mean(dim=(0, 2))",
):
    return f"""
def attention_entropy(weights):
    T = weights.shape[2]
    entropy = {entropy}
    seen = {seen}
    return {mean}
"""


def _wrong(name, fails, **changed):
    return Mutant("attention-entropy", name, _answer(**changed), fails)


ANSWERS = [
    Valid(
        "attention-entropy",
        "from-the-prose",
        """
def attention_entropy(weights):
    T = weights.shape[-1]
    entropy = torch.special.entr(weights).sum(-1)[:, :, 1:]
    visible = torch.arange(2, T + 1).log()
    return (entropy / visible).mean(dim=(0, 2))
""",
    ),
    Valid("attention-entropy", "entr", _answer(entropy="torch.special.entr(weights).sum(dim=-1)")),
    _wrong(
        "zero-log-zero",
        dict.fromkeys(NAMES, "zero-log-zero"),
        entropy="-(weights * weights.log()).sum(dim=3)",
    ),
    _wrong("by-the-length", dict.fromkeys(NAMES, "by-the-length"), seen="torch.tensor(float(T)).log()"),
    _wrong("not-normalised", dict.fromkeys(NAMES, "not-normalised"), seen="1.0"),
    _wrong(
        "first-row-counted",
        dict.fromkeys(NAMES, "first-row-counted"),
        mean="(entropy[:, :, 1:] / seen).sum(dim=2).mean(dim=0) / T",
    ),
    _wrong("sign", dict.fromkeys(NAMES, "sign"), entropy="torch.special.xlogy(weights, weights).sum(dim=3)"),
    Mutant(
        "attention-entropy",
        "nonzero-counts",
        """
def attention_entropy(weights):
    e = -torch.special.xlogy(weights, weights).sum(dim=3)
    v = (weights > 0).sum(dim=3).clamp(min=2)
    return (e / v.log())[:, :, 1:].mean(dim=(0, 2))
""",
        {"attention-entropy/heads": "only-what-has-weight"},
    ),
]
