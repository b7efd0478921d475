"""Right and wrong answers to `gate`."""

from course.mutants import Mutant, Valid

SOURCES, TEMPERATURE, EVENNESS, ONE = (
    f"gate/{aspect}" for aspect in ("sources", "temperature", "evenness", "one-takes-all")
)


def _answer(
    weights="(logits / temperature).softmax(dim=-1)",
    nats="torch.special.entr(weights).sum(dim=-1)",
    most="math.log(logits.shape[-1])",
):
    return f"""
def balanced_gate(logits, temperature):
    weights = {weights}
    nats = {nats}
    return weights, nats.mean() / {most}
"""


def _wrong(name, fails, **changed):
    return Mutant("gate", name, _answer(**changed), fails)


ANSWERS = [
    Valid(
        "gate",
        "from-the-prose",
        """
def balanced_gate(logits, temperature):
    weights = (logits / temperature).softmax(dim=-1)
    nats = torch.special.entr(weights).sum(dim=-1)
    return weights, nats.mean() / math.log(logits.shape[-1])
""",
    ),
    Valid("gate", "clamped", _answer(nats="-(weights * weights.clamp(min=1e-30).log()).sum(-1)")),
    _wrong(
        "as-published",
        {SOURCES: "over-tokens", TEMPERATURE: "over-tokens", EVENNESS: "over-tokens", ONE: "zero-log"},
        weights="(logits / temperature).softmax(dim=1)",
        nats="-(weights * weights.log()).sum(dim=1)",
        most="math.log(logits.shape[1])",
    ),
    _wrong(
        "no-temperature",
        {TEMPERATURE: "no-temperature", EVENNESS: "no-temperature"},
        weights="logits.softmax(dim=-1)",
    ),
    _wrong("in-nats", {EVENNESS: "nats", ONE: "nats"}, most="1.0"),
    _wrong("zero-log", {ONE: "zero-log"}, nats="-(weights * weights.log()).sum(dim=-1)"),
    _wrong(
        "logarithm-of-the-tokens",
        {EVENNESS: "wrong-logarithm", ONE: "wrong-logarithm"},
        most="math.log(logits.shape[1])",
    ),
    Mutant(
        "gate",
        "logits-in-place",
        """
def balanced_gate(logits, temperature):
    logits /= temperature
    w = logits.softmax(dim=-1)
    return w, torch.special.entr(w).sum(dim=-1).mean() / math.log(logits.shape[-1])
""",
        {"gate/temperature": "logits-overwritten"},
    ),
]
