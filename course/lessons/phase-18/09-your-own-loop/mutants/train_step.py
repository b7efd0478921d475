"""Right and wrong answers to `train_step`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

WHOLE, FRESH, CLIP, LOSS = (f"train-step/{aspect}" for aspect in ("whole", "fresh", "clip", "loss"))


def _step(before="optimizer.zero_grad()", inside="pass", share="loss / len(batches)", clip=True, end="value"):
    cut = "torch.nn.utils.clip_grad_norm_(model.parameters(), clip)" if clip else "pass"
    return f"""
def train_step(model, optimizer, batches, clip):
    {before}
    value = 0.0
    for inputs, targets in batches:
        {inside}
        loss = model(inputs, targets)[1]
        part = {share}
        part.backward()
        value += part.item()
    {cut}
    optimizer.step()
    return {end}
"""


ANSWERS = [
    Valid("train-step", "once-before", _step()),
    Valid(
        "train-step",
        "glued-together",
        """
def train_step(model, optimizer, batches, clip):
    model.zero_grad(set_to_none=True)
    inputs, targets = (torch.cat(parts) for parts in zip(*batches))
    loss = model(inputs, targets)[1]
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    optimizer.zero_grad()
    return loss.detach()
""",
    ),
    Mutant(
        "train-step",
        "clears-in-between",
        _step(inside="optimizer.zero_grad()"),
        {WHOLE: "last-alone", FRESH: "last-alone", CLIP: "last-alone"},
    ),
    Mutant(
        "train-step",
        "no-division",
        _step(share="loss"),
        {WHOLE: "sum-of-means", FRESH: "sum-of-means", LOSS: "loss-sum"},
    ),
    Mutant("train-step", "never-clears", _step(before="pass"), {FRESH: "stale-kept"}),
    Mutant("train-step", "no-clipping", _step(clip=False), {CLIP: "not-clipped"}),
    Mutant("train-step", "last-loss", _step(end="part.item()"), {LOSS: "loss-last"}),
    Mutant(
        "train-step",
        "divides-twice",
        _step(share="loss / len(batches) ** 2"),
        {WHOLE: "divided-twice", FRESH: "divided-twice", LOSS: "loss-twice"},
    ),
    Mutant(
        "train-step",
        "no-step",
        _step().replace("optimizer.step()", "pass"),
        {WHOLE: "not-stepped", FRESH: "not-stepped", CLIP: "not-stepped"},
    ),
]
