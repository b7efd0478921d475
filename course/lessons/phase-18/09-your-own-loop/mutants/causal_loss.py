"""Right and wrong answers to `causal_loss`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

SHIFT, IGNORED, EMPTY = (f"causal-loss/{aspect}" for aspect in ("shift", "ignored", "empty"))


def _loss(logits="logits[:, :-1]", labels="labels[:, 1:]", divisor="max((labels != -100).sum().item(), 1)"):
    return f"""
def causal_loss(logits, labels):
    logits, labels = {logits}, {labels}
    summed = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum")
    return summed / {divisor}
"""


ANSWERS = [
    Valid("causal-loss", "sum-then-divides", _loss()),
    Valid(
        "causal-loss",
        "labels-moved-left",
        """
def causal_loss(logits, labels):
    labels = F.pad(labels, (0, 1), value=-100)[:, 1:]
    losses = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    return losses.sum() / (labels != -100).sum().clamp(min=1)
""",
    ),
    Mutant(
        "causal-loss",
        "twice",
        _loss("logits[:, :-2]", "labels[:, 2:]"),
        {SHIFT: "shifted-twice", IGNORED: "shifted-twice"},
    ),
    Mutant(
        "causal-loss",
        "never",
        _loss("logits", "labels"),
        {SHIFT: "not-shifted", IGNORED: "not-shifted", EMPTY: "not-shifted"},
    ),
    Mutant(
        "causal-loss",
        "wrong-way",
        _loss("logits[:, 1:]", "labels[:, :-1]"),
        {SHIFT: "backwards", IGNORED: "backwards", EMPTY: "backwards"},
    ),
    Mutant("causal-loss", "all-places", _loss(divisor="labels.numel()"), {IGNORED: "ignored-divide"}),
    Mutant("causal-loss", "sum", _loss(divisor="1"), {SHIFT: "summed", IGNORED: "summed"}),
    Mutant(
        "causal-loss",
        "no-floor",
        """
def causal_loss(logits, labels):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
""",
        {EMPTY: "empty-divides"},
    ),
]
