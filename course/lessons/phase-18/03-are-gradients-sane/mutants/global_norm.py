"""Right and wrong answers to `global-norm`; each wrong one names the checks it fails, and why."""

from functools import partial

from course.mutants import Mutant, Valid

ONE, MANY, MISSING = (f"global-norm/{aspect}" for aspect in ("one", "many", "missing"))


def _norm(expression):
    given = "    tensors = [tensor for tensor in tensors if tensor is not None]\n"
    return f"def global_norm(tensors):\n{given}    return {expression}\n"


right_norm = partial(Valid, "global-norm")
wrong_norm = partial(Mutant, "global-norm")

ANSWERS = [
    right_norm("norm-of-norms", _norm("math.sqrt(sum(t.norm().item() ** 2 for t in tensors))")),
    right_norm(
        "one-long-vector", _norm("torch.cat([t.flatten() for t in tensors]).norm() if tensors else 0.0")
    ),
    right_norm("torch", _norm("torch.nn.utils.get_total_norm(tensors)")),
    right_norm("hypot", _norm("math.hypot(*(t.norm().item() for t in tensors))")),
    wrong_norm(
        "sum-of-norms",
        _norm("sum(t.norm().item() for t in tensors)"),
        {MANY: "norms-summed", MISSING: "norms-summed"},
    ),
    wrong_norm(
        "mean-of-norms",
        _norm("sum(t.norm().item() for t in tensors) / max(len(tensors), 1)"),
        {MANY: "norms-averaged", MISSING: "norms-averaged"},
    ),
    wrong_norm(
        "largest-norm",
        _norm("max((t.norm().item() for t in tensors), default=0.0)"),
        {MANY: "largest-norm", MISSING: "largest-norm"},
    ),
    wrong_norm(
        "squares",
        _norm("sum(t.square().sum().item() for t in tensors)"),
        dict.fromkeys((ONE, MANY, MISSING), "no-root"),
    ),
    wrong_norm(
        "absolute",
        _norm("sum(t.abs().sum().item() for t in tensors)"),
        dict.fromkeys((ONE, MANY, MISSING), "sum-of-sizes"),
    ),
    wrong_norm(
        "root-mean-square",
        _norm("torch.cat([t.flatten() for t in tensors]).square().mean().sqrt() if tensors else 0.0"),
        dict.fromkeys((ONE, MANY, MISSING), "root-mean-square"),
    ),
    wrong_norm(
        "largest-element",
        _norm("max((t.abs().max().item() for t in tensors), default=0.0)"),
        dict.fromkeys((ONE, MANY, MISSING), "largest-element"),
    ),
    wrong_norm(
        "spectral",
        _norm(
            "math.sqrt(sum(torch.linalg.norm(t.flatten(1) if t.ndim > 1 else t, 2) ** 2 for t in tensors))"
        ),
        {ONE: "spectral", MANY: "norm-off", MISSING: "norm-off"},
    ),
    wrong_norm(
        "squares-in-place",
        _norm("math.sqrt(sum(t.pow_(2).sum().item() for t in tensors))"),
        dict.fromkeys((ONE, MANY, MISSING), "gradients-changed"),
    ),
    wrong_norm(
        "returns-in-the-loop",
        "def global_norm(tensors):\n    for tensor in tensors:\n"
        "        if tensor is not None:\n            return tensor.norm()\n    return 0.0",
        {MANY: "one-tensor", MISSING: "one-tensor"},
    ),
    wrong_norm(
        "none-forgotten",
        "def global_norm(tensors):\n    return math.sqrt(sum(t.norm().item() ** 2 for t in tensors))",
        {MISSING: "check.raised-at"},
    ),
    wrong_norm(
        "one-for-none",
        _norm("torch.nn.utils.get_total_norm(tensors) if tensors else 1.0"),
        {MISSING: "nothing-is-zero"},
    ),
]
