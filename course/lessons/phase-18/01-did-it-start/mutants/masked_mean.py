"""Right and wrong answers to `masked-mean`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

FULL, PADDING, EMPTY, LEAK, GRADIENT = (
    f"masked-mean/{aspect}" for aspect in ("full", "padding", "empty", "leak", "gradient")
)


def _masked(*lines):
    return "\n    ".join(("def masked_mean(losses, mask):", *lines))


ANSWERS = [
    Valid("masked-mean", "indexing", _masked("return losses[mask].sum() / max(int(mask.sum()), 1)")),
    Valid(
        "masked-mean",
        "masked-fill",
        _masked("return losses.masked_fill(~mask, 0.0).sum() / torch.clamp(mask.sum(), min=1)"),
    ),
    Valid(
        "masked-mean",
        "early-return",
        _masked("if not mask.any(): return losses[mask].sum()", "return losses[mask].mean()"),
    ),
    Mutant(
        "masked-mean",
        "plain-mean",
        _masked("return losses.mean()"),
        {
            PADDING: "mask-ignored",
            EMPTY: "empty-not-zero",
            LEAK: "masked-nan-leaks",
            GRADIENT: "gradient-on-padding",
        },
    ),
    Mutant(
        "masked-mean",
        "sum",
        _masked("return losses[mask].sum()"),
        {FULL: "sum-not-mean", PADDING: "sum-not-mean"},
    ),
    Mutant(
        "masked-mean",
        "over-every-position",
        _masked("return torch.where(mask, losses, 0.0).mean()"),
        {PADDING: "divides-by-all"},
    ),
    Mutant(
        "masked-mean",
        "over-batch",
        _masked("return losses[mask].sum() / len(losses)"),
        {FULL: "divides-by-batch", PADDING: "divides-by-batch"},
    ),
    Mutant(
        "masked-mean",
        "over-length",
        _masked("return losses[mask].sum() / losses.shape[1]"),
        {FULL: "divides-by-length", PADDING: "divides-by-length"},
    ),
    Mutant(
        "masked-mean",
        "mean-of-means",
        _masked(
            "kept = torch.where(mask, losses, 0.0).sum(1)", "return (kept / mask.sum(1).clamp(min=1)).mean()"
        ),
        {PADDING: "mean-of-means"},
    ),
    Mutant(
        "masked-mean",
        "plus-one",
        _masked("return losses[mask].sum() / (mask.sum() + 1)"),
        {FULL: "one-too-many", PADDING: "one-too-many"},
    ),
    Mutant(
        "masked-mean",
        "inverted",
        _masked("return losses[~mask].sum() / (~mask).sum().clamp(min=1)"),
        {
            FULL: "mean-off-target",
            PADDING: "mask-inverted",
            EMPTY: "empty-not-zero",
            LEAK: "masked-nan-leaks",
            GRADIENT: "gradient-on-padding",
        },
    ),
    Mutant(
        "masked-mean",
        "no-guard",
        _masked("return losses[mask].mean()"),
        {EMPTY: "empty-gives-nan"},
    ),
    Mutant(
        "masked-mean",
        "multiplies",
        _masked("return (losses * mask).sum() / mask.sum().clamp(min=1)"),
        {EMPTY: "empty-leaks", LEAK: "masked-nan-leaks"},
    ),
    Mutant(
        "masked-mean",
        "swallows",
        _masked("return torch.nan_to_num(losses)[mask].sum() / mask.sum().clamp(min=1)"),
        {LEAK: "nan-swallowed"},
    ),
    Mutant(
        "masked-mean",
        "hidden-division",
        _masked(
            "total, count = (losses.nan_to_num() * mask).sum() + losses[mask].sum() * 0, mask.sum()",
            "return torch.where(count > 0, total / count, 0.0)",
        ),
        {GRADIENT: "gradient-not-finite"},
    ),
    Mutant(
        "masked-mean",
        "made-up-zero",
        _masked("return losses[mask].mean() if mask.any() else torch.tensor(0.0)"),
        {GRADIENT: "empty-cut-off"},
    ),
    Mutant(
        "masked-mean",
        "item",
        _masked("return losses[mask].sum().item() / max(mask.sum().item(), 1)"),
        {GRADIENT: "cut-off"},
    ),
    Mutant(
        "masked-mean",
        "detached",
        _masked("return losses.detach()[mask].sum() / mask.sum().clamp(min=1)"),
        {GRADIENT: "cut-off"},
    ),
    Mutant(
        "masked-mean",
        "empty-by-zero",
        _masked("if not mask.any(): return losses.sum() * 0", "return losses[mask].mean()"),
        {EMPTY: "empty-leaks"},
    ),
    Mutant(
        "masked-mean",
        "counts-what-is-left",
        _masked(
            "kept = torch.where(mask, losses, 0.0)", "return kept.sum() / kept.count_nonzero().clamp(min=1)"
        ),
        {PADDING: "zeros-not-counted"},
    ),
]
