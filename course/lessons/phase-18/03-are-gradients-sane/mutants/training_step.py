"""Right and wrong answers to `training-step`; each wrong one names the checks it fails, and why."""

from functools import partial

from course.mutants import Mutant, Valid

MEAN, FRESH, CLIPPED, NORM = (f"training-step/{aspect}" for aspect in ("mean", "fresh", "clipped", "returns"))


def _step(*lines):
    return "\n    ".join(("def training_step(model, optimizer, batches, max_norm):", *lines))


SHARE = "(loss_of(model, batch) / len(batches)).backward()"
EACH = f"for batch in batches: {SHARE}"
CLIP = "norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)"
CLEAR, STEP, RETURN = "optimizer.zero_grad()", "optimizer.step()", "return norm"

right_step = partial(Valid, "training-step")
wrong_step = partial(Mutant, "training-step")

ANSWERS = [
    right_step("clear-last", _step(EACH, CLIP, STEP, CLEAR, RETURN)),
    right_step(
        "by-model",
        _step(
            "model.zero_grad(set_to_none=True)",
            "sum(loss_of(model, batch) for batch in batches).div(len(batches)).backward()",
            "norm = clip_gradients(model.parameters(), max_norm)",
            STEP,
            RETURN,
        ),
    ),
    right_step(
        "divide-at-the-end",
        _step(
            CLEAR,
            "for batch in batches: loss_of(model, batch).backward()",
            "for p in model.parameters(): p.grad /= len(batches)",
            CLIP,
            STEP,
            RETURN,
        ),
    ),
    wrong_step("never-cleared", _step(EACH, CLIP, STEP, RETURN), {FRESH: "gradient-carried"}),
    wrong_step(
        "cleared-inside",
        _step("for batch in batches:", f"    {CLEAR}", f"    {SHARE}", CLIP, STEP, RETURN),
        {MEAN: "only-the-last-and-divided"},
    ),
    wrong_step(
        "cleared-inside-undivided",
        _step(
            "for batch in batches:",
            f"    {CLEAR}",
            "    loss_of(model, batch).backward()",
            CLIP,
            STEP,
            RETURN,
        ),
        {MEAN: "only-the-last"},
    ),
    wrong_step(
        "first-only",
        _step(CLEAR, "loss_of(model, batches[0]).backward()", CLIP, STEP, RETURN),
        {MEAN: "only-the-first"},
    ),
    wrong_step(
        "sum",
        _step(CLEAR, "for batch in batches: loss_of(model, batch).backward()", CLIP, STEP, RETURN),
        {MEAN: "sum-of-micro-batches"},
    ),
    wrong_step(
        "cleared-before-the-step",
        _step(EACH, CLIP, CLEAR, STEP, RETURN),
        dict.fromkeys((MEAN, FRESH, CLIPPED, NORM), "cleared-too-early"),
    ),
    wrong_step(
        "step-each-micro-batch",
        _step("for batch in batches:", f"    {CLEAR}", f"    {SHARE}", f"    {CLIP}", f"    {STEP}", RETURN),
        dict.fromkeys((MEAN, FRESH, CLIPPED), "steps-per-call"),
    ),
    wrong_step("clip-after", _step(CLEAR, EACH, STEP, CLIP, RETURN), {CLIPPED: "clip-too-late"}),
    wrong_step(
        "clip-each",
        _step(CLEAR, "for batch in batches:", f"    {SHARE}", f"    {CLIP}", STEP, RETURN),
        {CLIPPED: "clip-each-micro-batch"},
    ),
    wrong_step(
        "norm-after",
        _step(
            CLEAR,
            EACH,
            CLIP,
            STEP,
            "return torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])",
        ),
        {NORM: "norm-after"},
    ),
]
