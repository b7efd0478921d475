"""Right and wrong answers to `effective-lr`."""

from course.mutants import Mutant, Valid

FIRST, LATER, DECAY, STILL = (f"effective-lr/{aspect}" for aspect in ("first", "later", "decay", "still"))


def _answer(
    m="state['exp_avg'] / (1 - beta1**t)",
    v="state['exp_avg_sq'] / (1 - beta2**t)",
    direction="m / (v.sqrt() + group['eps']) + group['weight_decay'] * before",
    moved="before - after",
    still="if not moved.any():\n        return 0.0",
    returned="((moved * direction).sum() / (direction * direction).sum()).item()",
):
    return f"""
def effective_lr(before, after, state, group):
    (beta1, beta2), t = group["betas"], state["step"].item()
    m = {m}
    v = {v}
    direction = {direction}
    moved = {moved}
    {still}
    return {returned}
"""


ANSWERS = [
    Valid("effective-lr", "median", _answer(returned="(moved / direction).median()")),
    Valid(
        "effective-lr",
        "lstsq",
        """
def effective_lr(before, after, state, group):
    t, (beta1, beta2) = state["step"], group["betas"]
    denominator = (state["exp_avg_sq"] / (1 - beta2**t)) ** 0.5 + group["eps"]
    update = state["exp_avg"] / (1 - beta1**t) / denominator + group["weight_decay"] * before
    solved = torch.linalg.lstsq(update.reshape(-1, 1), (before - after).reshape(-1, 1))
    return float(solved.solution)
""",
    ),
    Mutant(
        "effective-lr",
        "reads-the-label",
        "def effective_lr(before, after, state, group):\n    return group['lr']",
        {
            FIRST: "reads-the-label",
            LATER: "reads-the-label",
            DECAY: "reads-the-label",
            STILL: "reads-the-label",
        },
    ),
    Mutant(
        "effective-lr",
        "size-of-the-move",
        "def effective_lr(before, after, state, group):\n    return (before - after).abs().mean().item()",
        {
            LATER: "size-of-the-move",
            DECAY: "size-of-the-move",
            STILL: "size-of-the-move",
        },
    ),
    Mutant(
        "effective-lr",
        "decay-forgotten",
        _answer(direction="m / (v.sqrt() + group['eps'])"),
        {DECAY: "decay-forgotten", STILL: "decay-forgotten"},
    ),
    Mutant(
        "effective-lr",
        "not-corrected",
        _answer(m="state['exp_avg']", v="state['exp_avg_sq']"),
        {FIRST: "not-corrected", LATER: "not-corrected", DECAY: "not-corrected", STILL: "not-corrected"},
    ),
    Mutant(
        "effective-lr",
        "v-not-corrected",
        _answer(v="state['exp_avg_sq']"),
        {
            FIRST: "v-not-corrected",
            LATER: "v-not-corrected",
            DECAY: "v-not-corrected",
            STILL: "v-not-corrected",
        },
    ),
    Mutant(
        "effective-lr",
        "eps-forgotten",
        _answer(direction="m / v.sqrt() + group['weight_decay'] * before"),
        {LATER: "eps-forgotten"},
    ),
    Mutant(
        "effective-lr",
        "sign",
        _answer(moved="after - before"),
        {FIRST: "sign", LATER: "sign", DECAY: "sign", STILL: "sign"},
    ),
    Mutant("effective-lr", "zero-over-zero", _answer(still=""), {STILL: "check.not-finite"}),
    Mutant(
        "effective-lr",
        "in-place-m",
        _answer(m="state['exp_avg'].div_(1 - beta1**t)"),
        dict.fromkeys((FIRST, LATER, DECAY, STILL), "state-overwritten"),
    ),
    Mutant(
        "effective-lr",
        "in-place-v",
        _answer(
            v="state['exp_avg_sq'].div_(1 - beta2**t)",
            direction="m / (v.sqrt_() + group['eps']) + group['weight_decay'] * before",
        ),
        dict.fromkeys((FIRST, LATER, DECAY, STILL), "state-overwritten"),
    ),
]
