"""Right and wrong answers to `guarded-step`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

CLEAN, LOSS, GRADIENT, AFTER, RETURNS = (
    f"guarded-step/{aspect}" for aspect in ("clean", "loss", "gradient", "afterwards", "returns")
)


def _step(*lines):
    head = "def guarded_step(model, optimizer, loss_of, batches, max_norm):"
    return "\n    ".join((head, *lines))


NORM = "norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)"
BACKWARD = "    (loss / len(batches)).backward()"
EACH = ("for batch in batches:", "    loss = loss_of(model, batch)")
SUM = ("total = 0.0", *EACH, BACKWARD, "    total += loss.item()")
END = (
    "good = math.isfinite(total) and math.isfinite(norm)",
    "if good:",
    "    optimizer.step()",
    "optimizer.zero_grad()",
    "return good",
)


ANSWERS = [
    Valid("guarded-step", "one-question-at-the-end", _step("optimizer.zero_grad()", *SUM, NORM, *END)),
    Valid(
        "guarded-step",
        "leaves-at-once",
        _step(
            *EACH,
            "    if not torch.isfinite(loss):",
            "        optimizer.zero_grad()",
            "        return False",
            "    (loss / len(batches)).backward()",
            "gradients = [p.grad for p in model.parameters() if p.grad is not None]",
            "if not all(g.isfinite().all() for g in gradients):",
            "    optimizer.zero_grad()",
            "    return False",
            NORM,
            "optimizer.step()",
            "optimizer.zero_grad()",
            "return True",
        ),
    ),
    Mutant(
        "guarded-step",
        "no-guard",
        _step(*SUM, NORM, "optimizer.step()", "optimizer.zero_grad()", "return True"),
        {
            LOSS: "stepped-on-nan",
            GRADIENT: "gradient-not-asked",
            AFTER: "leftover",
            RETURNS: "says-updated",
        },
    ),
    Mutant(
        "guarded-step",
        "skips-the-micro-batch",
        _step(
            *EACH,
            "    if torch.isfinite(loss):",
            f"    {BACKWARD}",
            NORM,
            "good = math.isfinite(norm)",
            *END[1:],
        ),
        {LOSS: "partial-window", RETURNS: "says-updated"},
    ),
    Mutant(
        "guarded-step",
        "divides-by-the-rest",
        _step(
            "losses = [loss_of(model, batch) for batch in batches]",
            "kept = [loss for loss in losses if torch.isfinite(loss)]",
            "for loss in kept:",
            "    (loss / len(kept)).backward()",
            NORM,
            "good = math.isfinite(norm)",
            *END[1:],
        ),
        {LOSS: "partial-window", RETURNS: "says-updated"},
    ),
    Mutant(
        "guarded-step",
        "asks-the-gradient-alone",
        _step(*SUM, NORM, "good = math.isfinite(norm)", *END[1:]),
        {LOSS: "loss-not-asked", RETURNS: "says-updated"},
    ),
    Mutant(
        "guarded-step",
        "asks-the-loss-alone",
        _step(*SUM, NORM, "good = math.isfinite(total)", *END[1:]),
        {GRADIENT: "gradient-not-asked", AFTER: "dropped-after", RETURNS: "says-updated"},
    ),
    Mutant(
        "guarded-step",
        "asks-for-nan-alone",
        _step(*SUM, NORM, "good = not (math.isnan(total) or math.isnan(norm))", *END[1:]),
        {LOSS: "loss-not-asked", RETURNS: "says-updated"},
    ),
    Mutant(
        "guarded-step",
        "zeros-for-nan",
        _step(
            *SUM,
            "good = True",
            "for p in model.parameters():",
            "    good = good and bool(p.grad.isfinite().all()) and math.isfinite(total)",
            "    if not good:",
            "        p.grad.zero_()",
            NORM,
            "optimizer.step()",
            "optimizer.zero_grad()",
            "return good",
        ),
        {LOSS: "zeros-are-a-step", GRADIENT: "zeros-are-a-step"},
    ),
    Mutant(
        "guarded-step",
        "leaves-the-gradient",
        _step(
            *EACH,
            "    if not torch.isfinite(loss):",
            "        return False",
            "    (loss / len(batches)).backward()",
            NORM,
            "good = math.isfinite(norm)",
            "if good:",
            "    optimizer.step()",
            "optimizer.zero_grad()",
            "return good",
        ),
        {AFTER: "leftover"},
    ),
    Mutant(
        "guarded-step",
        "clips-never",
        _step(
            *SUM,
            "norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9)",
            *END,
        ),
        {CLEAN: "not-clipped", GRADIENT: "not-clipped"},
    ),
    Mutant(
        "guarded-step",
        "adds-the-means",
        _step("total = 0.0", *EACH, "    loss.backward()", "    total += loss.item()", NORM, *END),
        {
            CLEAN: "sum-of-micro-batches",
            LOSS: "sum-of-micro-batches",
            GRADIENT: "sum-of-micro-batches",
            AFTER: "sum-of-micro-batches",
        },
    ),
    Mutant(
        "guarded-step",
        "returns-nothing",
        _step("optimizer.zero_grad()", *SUM, NORM, *END[:-1]),
        {RETURNS: "check.returned-none"},
    ),
    Mutant(
        "guarded-step",
        "zero-first-only",
        _step("optimizer.zero_grad()", *SUM, NORM, *(line for line in END if "zero_grad" not in line)),
        {AFTER: "gradient-left"},
    ),
]
