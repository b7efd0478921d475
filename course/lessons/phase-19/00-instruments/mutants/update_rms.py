"""Right and wrong answers to `update-rms`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

LATE, EARLY, MISSING = (f"update-rms/{aspect}" for aspect in ("late", "early", "missing"))


def _rms(
    second="state['exp_avg_sq'] / (1 - beta2 ** state['step'])",
    value="(w.grad ** 2 / v).mean() ** 0.5",
    skip="w.grad is None",
    plain="float",
):
    return f"""
def update_rms(optimizer):
    found = []
    for group in optimizer.param_groups:
        beta2 = group["betas"][1]
        for w in group["params"]:
            if {skip}:
                continue
            state = optimizer.state[w]
            v = {second}
            found.append({plain}({value}))
    return found
"""


ANSWERS = [
    Valid("update-rms", "plain", _rms()),
    Valid(
        "update-rms",
        "by-state",
        """
def update_rms(optimizer):
    betas = {w: group["betas"][1] for group in optimizer.param_groups for w in group["params"]}
    with torch.no_grad():
        return [
            (w.grad.square() * (1 - betas[w] ** float(s["step"])) / s["exp_avg_sq"]).mean().sqrt().item()
            for w, s in optimizer.state.items()
            if w.grad is not None
        ]
""",
    ),
    Mutant(
        "update-rms",
        "tensors",
        _rms(plain=""),
        {LATE: "a-tensor", EARLY: "a-tensor", MISSING: "a-tensor"},
    ),
    Mutant(
        "update-rms",
        "as-it-stands",
        _rms("state['exp_avg_sq']"),
        {EARLY: "not-corrected", MISSING: "not-corrected"},
    ),
    Mutant(
        "update-rms",
        "without-a-root",
        _rms(value="(w.grad ** 2 / v).mean()"),
        {LATE: "no-root-here", EARLY: "no-root-here", MISSING: "no-root-here"},
    ),
    Mutant(
        "update-rms",
        "mean-of-the-sizes",
        _rms(value="(w.grad.abs() / v ** 0.5).mean()"),
        {LATE: "mean-of-ratios", EARLY: "mean-of-ratios", MISSING: "mean-of-ratios"},
    ),
    Mutant(
        "update-rms",
        "nothing-left-out",
        _rms(skip="False"),
        {MISSING: "check.raised-at"},
    ),
    Mutant(
        "update-rms",
        "group-0",
        """
def update_rms(optimizer):
    found = []
    group = optimizer.param_groups[0]
    for w in group["params"]:
        if w.grad is not None:
            s = optimizer.state[w]
            v = s["exp_avg_sq"] / (1 - group["betas"][1] ** s["step"].item())
            found.append((w.grad.square() / v).mean().sqrt().item())
    return found
""",
        {
            "update-rms/late": "first-group-alone",
            "update-rms/early": "first-group-alone",
            "update-rms/missing": "first-group-alone",
        },
    ),
    Mutant(
        "update-rms",
        "defaults-beta",
        """
def update_rms(optimizer):
    found = []
    b = optimizer.defaults["betas"][1]
    for group in optimizer.param_groups:
      for w in group["params"]:
        if w.grad is not None:
            s = optimizer.state[w]
            v = s["exp_avg_sq"] / (1 - b ** s["step"].item())
            found.append((w.grad.square() / v).mean().sqrt().item())
    return found
""",
        {"update-rms/late": "one-beta", "update-rms/early": "one-beta", "update-rms/missing": "one-beta"},
    ),
    Mutant(
        "update-rms",
        "in-place-v",
        """
def update_rms(optimizer):
    found = []
    for group in optimizer.param_groups:
      b = group["betas"][1]
      for w in group["params"]:
        if w.grad is not None:
            s = optimizer.state[w]
            v = s["exp_avg_sq"]
            v /= 1 - b ** s["step"].item()
            found.append((w.grad.square() / v).mean().sqrt().item())
    return found
""",
        {"update-rms/early": "state-overwritten", "update-rms/missing": "state-overwritten"},
    ),
    Mutant(
        "update-rms",
        "in-place-g",
        """
def update_rms(optimizer):
    found = []
    for group in optimizer.param_groups:
      b = group["betas"][1]
      for w in group["params"]:
        if w.grad is not None:
            s = optimizer.state[w]
            v = s["exp_avg_sq"] / (1 - b ** s["step"].item())
            found.append((w.grad.square_() / v).mean().sqrt().item())
    return found
""",
        {
            "update-rms/late": "state-overwritten",
            "update-rms/early": "state-overwritten",
            "update-rms/missing": "state-overwritten",
        },
    ),
]
