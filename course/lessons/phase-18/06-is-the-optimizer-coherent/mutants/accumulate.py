"""Right and wrong answers to `accumulate`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

EQUAL, UNEQUAL, LOSS, MEMORY = (f"accumulate/{aspect}" for aspect in ("equal", "unequal", "loss", "memory"))


def _accumulate(share="count / total", body=None, end="return value"):
    body = body or ("part = loss(model(batch.inputs), batch.targets, batch.mask) * share", "part.backward()")
    return "\n    ".join(
        (
            "def accumulate(model, loss, batches):",
            "counts = [int(batch.mask.sum()) for batch in batches]",
            "k, total, value = len(batches), max(sum(counts), 1), 0.0",
            "for batch, count in zip(batches, counts):",
            f"    share = {share}",
            *(f"    {line}" for line in body),
            "    value += part.item()",
            end,
        )
    )


ANSWERS = [
    Valid("accumulate", "shares", _accumulate()),
    Valid(
        "accumulate",
        "sums-then-divides",
        """
def accumulate(model, loss, batches):
    summed, total = 0.0, 0
    for batch in batches:
        count = batch.mask.sum()
        part = loss(model(batch.inputs), batch.targets, batch.mask) * count
        part.backward()
        summed, total = summed + part.detach(), total + count
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad /= total.clamp(min=1)
    return summed / total.clamp(min=1)
""",
    ),
    Mutant(
        "accumulate",
        "missing-k",
        _accumulate("1.0"),
        {EQUAL: "sum-of-means", UNEQUAL: "sum-of-means", LOSS: "loss-sum"},
    ),
    Mutant(
        "accumulate",
        "each-alike",
        _accumulate("1 / k"),
        {UNEQUAL: "mean-of-means", LOSS: "loss-mean-of-means"},
    ),
    Mutant(
        "accumulate",
        "divides-twice",
        _accumulate("count / total / k"),
        {EQUAL: "divided-twice", UNEQUAL: "divided-twice", LOSS: "loss-divided"},
    ),
    Mutant(
        "accumulate",
        "sum-of-sums",
        _accumulate("count"),
        {EQUAL: "nothing-divided", UNEQUAL: "nothing-divided", LOSS: "loss-total"},
    ),
    Mutant(
        "accumulate",
        "over-positions",
        _accumulate("count / sum(b.mask.numel() for b in batches)"),
        {UNEQUAL: "padding-divides", LOSS: "loss-off"},
    ),
    Mutant(
        "accumulate",
        "clears-in-between",
        _accumulate(
            body=(
                "model.zero_grad()",
                "part = loss(model(batch.inputs), batch.targets, batch.mask) * share",
                "part.backward()",
            )
        ),
        {EQUAL: "last-alone", UNEQUAL: "last-alone"},
    ),
    Mutant(
        "accumulate",
        "no-backward",
        _accumulate(body=("part = loss(model(batch.inputs), batch.targets, batch.mask) * share",)),
        {EQUAL: "no-gradient", UNEQUAL: "no-gradient", MEMORY: "no-gradient"},
    ),
    Mutant(
        "accumulate",
        "one-backward-at-the-end",
        """
def accumulate(model, loss, batches):
    total = max(sum(batch.mask.sum() for batch in batches), 1)
    value = sum(loss(model(b.inputs), b.targets, b.mask) * b.mask.sum() / total for b in batches)
    value.backward()
    return value.item()
""",
        {MEMORY: "holds-all"},
    ),
    Mutant(
        "accumulate",
        "glued-together",
        """
def accumulate(model, loss, batches):
    inputs, targets, mask = (torch.cat(parts) for parts in zip(*batches))
    value = loss(model(inputs), targets, mask)
    value.backward()
    return value.item()
""",
        {MEMORY: "holds-all"},
    ),
    Mutant("accumulate", "loss-of-the-last", _accumulate(end="return part.item()"), {LOSS: "loss-last"}),
    Mutant("accumulate", "returns-nothing", _accumulate(end="pass"), {LOSS: "check.returned-none"}),
    Mutant(
        "accumulate",
        "no-floor",
        """
def accumulate(model, loss, batches):
    total, value = sum(batch.mask.sum() for batch in batches), 0.0
    for batch in batches:
        part = loss(model(batch.inputs), batch.targets, batch.mask) * batch.mask.sum() / total
        part.backward()
        value += part.item()
    return value
""",
        {LOSS: "empty-divides"},
    ),
]
