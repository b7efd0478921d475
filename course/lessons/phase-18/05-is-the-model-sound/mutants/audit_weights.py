"""Right and wrong answers to `audit-weights`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

HEALTHY, SCALE, RESIDUAL, MEAN = (
    f"audit-weights/{aspect}" for aspect in ("healthy", "scale", "residual", "mean")
)


def _weights(
    residual="config.init_std / math.sqrt(2 * config.n_layer)",
    skip="p.ndim < 2",
    scale="not 0.8 < p.std() / std < 1.25",
    mean="p.mean().abs() > 5 * p.std() / math.sqrt(p.numel())",
):
    return f"""
def audit_weights(model, config):
    found = {{}}
    for name, p in model.named_parameters():
        if {skip}:
            continue
        std = {residual} if "c_proj" in name else config.init_std
        if {scale}:
            found[name] = "scale"
        elif {mean}:
            found[name] = "mean"
    return found
"""


ANSWERS = [
    Valid("audit-weights", "in-place-of-a-chain", _weights().replace("elif", "if name not in found and")),
    Valid(
        "audit-weights",
        "numpy",
        """
def audit_weights(model, config):
    found = {}
    for name, p in model.named_parameters():
        w = p.detach().numpy()
        residual = name.endswith("c_proj.weight")
        asked = config.init_std * ((2 * config.n_layer) ** -0.5 if residual else 1)
        if w.ndim > 1:
            if abs(np.log(w.std() / asked)) > np.log(1.25):
                found[name] = "scale"
            elif abs(w.mean()) / (w.std() / w.size**0.5) > 5:
                found[name] = "mean"
    return found
""",
    ),
    Mutant(
        "audit-weights",
        "one-rule-for-all",
        _weights(residual="config.init_std"),
        {
            HEALTHY: "residual-accused",
            SCALE: "residual-accused",
            RESIDUAL: "residual-missed",
            MEAN: "residual-accused",
        },
    ),
    Mutant(
        "audit-weights",
        "one-write-a-block",
        _weights(residual="config.init_std / math.sqrt(config.n_layer)"),
        dict.fromkeys((HEALTHY, SCALE, RESIDUAL, MEAN), "residual-accused"),
    ),
    Mutant(
        "audit-weights",
        "vectors-too",
        _weights(skip="False"),
        dict.fromkeys((HEALTHY, SCALE, RESIDUAL, MEAN), "vector-judged"),
    ),
    Mutant(
        "audit-weights",
        "only-wide",
        _weights(scale="p.std() / std > 1.25"),
        {SCALE: "narrow-missed", RESIDUAL: "narrow-missed"},
    ),
    Mutant(
        "audit-weights",
        "only-narrow",
        _weights(scale="p.std() / std < 0.8"),
        {SCALE: "wide-missed", RESIDUAL: "residual-missed"},
    ),
    Mutant(
        "audit-weights",
        "generous",
        _weights(scale="not 0.1 < p.std() / std < 10"),
        {SCALE: "wide-missed", RESIDUAL: "residual-missed"},
    ),
    Mutant(
        "audit-weights",
        "a-third-more",
        _weights(scale="not 0.75 < p.std() / std < 1.33"),
        {SCALE: "narrow-missed"},
    ),
    Mutant(
        "audit-weights",
        "a-little-strict",
        _weights(scale="not 0.85 < p.std() / std < 1.2"),
        {HEALTHY: "healthy-accused"},
    ),
    Mutant(
        "audit-weights",
        "four-errors",
        _weights(mean="p.mean().abs() > 4 * p.std() / math.sqrt(p.numel())"),
        dict.fromkeys((HEALTHY, SCALE, RESIDUAL, MEAN), "noise-accused"),
    ),
    Mutant(
        "audit-weights",
        "six-errors",
        _weights(mean="p.mean().abs() > 6 * p.std() / math.sqrt(p.numel())"),
        {MEAN: "mean-missed"},
    ),
    Mutant("audit-weights", "no-mean", _weights(mean="False"), {MEAN: "mean-missed"}),
    Mutant(
        "audit-weights",
        "mean-without-sign",
        _weights(mean="p.mean() > 5 * p.std() / math.sqrt(p.numel())"),
        {MEAN: "mean-missed"},
    ),
    Mutant("audit-weights", "fixed-limit", _weights(mean="p.mean().abs() > 0.02"), {MEAN: "mean-missed"}),
    Mutant(
        "audit-weights",
        "strict-limit",
        _weights(mean="p.mean().abs() > 0.001"),
        dict.fromkeys((HEALTHY, SCALE, RESIDUAL, MEAN), "noise-accused"),
    ),
    Mutant(
        "audit-weights",
        "list",
        _weights().replace("return found", "return list(found)"),
        dict.fromkeys((HEALTHY, SCALE, RESIDUAL, MEAN), "not-a-dict"),
    ),
    Mutant(
        "audit-weights",
        "booleans",
        _weights().replace('= "scale"', "= True").replace('= "mean"', "= True"),
        dict.fromkeys((SCALE, RESIDUAL, MEAN), "not-a-word"),
    ),
]
