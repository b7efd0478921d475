"""Right and wrong answers to `adam-update`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

MOMENTS, FIRST, LATER, EPSILON = (
    f"adam-update/{aspect}" for aspect in ("moments", "first", "later", "epsilon")
)


def _adam(m="beta1 * m + (1 - beta1) * grad", v="beta2 * v + (1 - beta2) * grad**2", **parts):
    parts = {"mh": "m / (1 - beta1**t)", "vh": "v / (1 - beta2**t)", "end": "return update, m, v"} | parts
    update = parts.get("update", "lr * mh / (vh.sqrt() + eps)")
    lines = (f"m = {m}", f"v = {v}", f"mh = {parts['mh']}", f"vh = {parts['vh']}", f"update = {update}")
    head = "def adam_update(grad, m, v, t, lr, beta1, beta2, eps):"
    return "\n    ".join((head, *lines, parts["end"]))


ANSWERS = [
    Valid(
        "adam-update",
        "in-place",
        """
def adam_update(grad, m, v, t, lr, beta1, beta2, eps):
    m.lerp_(grad, 1 - beta1)
    v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    size = v.sqrt() / math.sqrt(1 - beta2**t) + eps
    return lr / (1 - beta1**t) * m / size, m, v
""",
    ),
    Valid(
        "adam-update",
        "the-papers-faster-form",
        _adam(
            update="lr * math.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (v**0.5 + eps)",
            end="return [update, m, v]",
        ),
    ),
    Mutant(
        "adam-update",
        "no-correction",
        _adam(mh="m", vh="v"),
        {FIRST: "not-corrected", LATER: "not-corrected"},
    ),
    Mutant("adam-update", "m-as-it-is", _adam(mh="m"), {FIRST: "m-not-corrected", LATER: "m-not-corrected"}),
    Mutant("adam-update", "v-as-it-is", _adam(vh="v"), {FIRST: "v-not-corrected", LATER: "v-not-corrected"}),
    Mutant(
        "adam-update",
        "t-from-zero",
        _adam(mh="m / (1 - beta1**(t - 1))", vh="v / (1 - beta2**(t - 1))"),
        {FIRST: "counted-from-zero", LATER: "counted-one-less"},
    ),
    Mutant(
        "adam-update",
        "t-plus-one",
        _adam(mh="m / (1 - beta1**(t + 1))", vh="v / (1 - beta2**(t + 1))"),
        {FIRST: "counted-one-more", LATER: "counted-one-more"},
    ),
    Mutant(
        "adam-update",
        "corrected-kept",
        _adam(end="return update, mh, vh"),
        {MOMENTS: "corrected-kept"},
    ),
    Mutant(
        "adam-update",
        "added",
        _adam(update="-lr * mh / (vh.sqrt() + eps)"),
        {FIRST: "wrong-sign", LATER: "wrong-sign"},
    ),
    Mutant(
        "adam-update",
        "no-rate",
        _adam(update="mh / (vh.sqrt() + eps)"),
        {FIRST: "no-lr", LATER: "no-lr", EPSILON: "epsilon-off"},
    ),
    Mutant(
        "adam-update",
        "no-root",
        _adam(update="lr * mh / (vh + eps)"),
        {FIRST: "no-root", LATER: "no-root", EPSILON: "epsilon-off"},
    ),
    Mutant(
        "adam-update",
        "epsilon-inside",
        _adam(update="lr * mh / (vh + eps).sqrt()"),
        {EPSILON: "epsilon-inside"},
    ),
    Mutant("adam-update", "no-epsilon", _adam(update="lr * mh / vh.sqrt()"), {EPSILON: "no-epsilon"}),
    Mutant("adam-update", "whole-grad", _adam(m="beta1 * m + grad"), {MOMENTS: "gradient-whole"}),
    Mutant(
        "adam-update",
        "betas-swapped",
        _adam(m="beta2 * m + (1 - beta2) * grad", v="beta1 * v + (1 - beta1) * grad**2"),
        {MOMENTS: "betas-swapped"},
    ),
    Mutant(
        "adam-update",
        "weights-swapped",
        _adam(m="(1 - beta1) * m + beta1 * grad"),
        {MOMENTS: "weights-swapped"},
    ),
    Mutant(
        "adam-update",
        "v-not-squared",
        _adam(v="beta2 * v + (1 - beta2) * grad.abs()"),
        {MOMENTS: "not-squared"},
    ),
    Mutant(
        "adam-update",
        "forgets",
        _adam(m="(1 - beta1) * grad", v="(1 - beta2) * grad**2"),
        {MOMENTS: "forgets"},
    ),
    Mutant(
        "adam-update",
        "old-moments-back",
        _adam(m="beta1 * m + (1 - beta1) * grad", end="return update, old_m, old_v").replace(
            "    m = ", "    old_m, old_v = m, v\n    m = ", 1
        ),
        {MOMENTS: "moment-unchanged"},
    ),
    Mutant(
        "adam-update",
        "update-alone",
        _adam(end="return update"),
        dict.fromkeys((MOMENTS, FIRST, LATER, EPSILON), "not-three"),
    ),
    Mutant(
        "adam-update",
        "clears-the-gradient",
        _adam(end="grad.zero_()\n    return update, m, v"),
        {MOMENTS: "gradient-changed"},
    ),
    Mutant(
        "adam-update",
        "its-own-epsilon",
        _adam(update="lr * mh / (vh.sqrt() + 1e-8)"),
        {EPSILON: "epsilon-fixed"},
    ),
    Mutant(
        "adam-update",
        "its-own-betas",
        _adam(m="0.9 * m + 0.1 * grad", v="0.99 * v + 0.01 * grad**2"),
        {MOMENTS: "betas-fixed"},
    ),
    Mutant("adam-update", "corrects-for-0.9", _adam(mh="m / (1 - 0.9**t)"), {LATER: "update-off"}),
    Mutant(
        "adam-update",
        "epsilon-added-behind",
        _adam(update="lr * mh / vh.sqrt() + eps"),
        {EPSILON: "no-epsilon"},
    ),
    Mutant(
        "adam-update",
        "epsilon-as-a-floor",
        _adam(update="lr * mh / vh.sqrt().clamp(min=eps)"),
        {EPSILON: "epsilon-off"},
    ),
]
