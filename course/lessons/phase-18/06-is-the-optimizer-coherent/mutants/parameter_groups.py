"""Right and wrong answers to `parameter-groups`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

COMPLETE, ONCE, FROZEN, MATRICES, VECTORS = (
    f"parameter-groups/{aspect}" for aspect in ("complete", "once", "frozen", "matrices", "vectors")
)


def _groups(*lines, loop="for p in model.parameters():", keep="p.requires_grad", matrix="p.ndim >= 2"):
    body = lines or (
        'return [{"params": a, "weight_decay": weight_decay}, {"params": b, "weight_decay": 0.0}]',
    )
    return "\n    ".join(
        (
            "def parameter_groups(model, weight_decay):",
            "a, b = [], []",
            loop,
            f"    if {keep}:",
            f"        (a if {matrix} else b).append(p)",
            *body,
        )
    )


ANSWERS = [
    Valid(
        "parameter-groups",
        "one-group-a-parameter",
        """
def parameter_groups(model, weight_decay):
    learning = [p for p in model.parameters() if p.requires_grad]
    return [{"params": [p], "weight_decay": weight_decay if p.dim() > 1 else 0} for p in learning]
""",
    ),
    Valid(
        "parameter-groups",
        "by-module-without-repeats",
        """
def parameter_groups(model, weight_decay):
    found = {id(p): p for module in model.modules() for p in module._parameters.values() if p is not None}
    learning = [p for p in found.values() if p.requires_grad]
    return (
        dict(params=[p for p in learning if len(p.shape) >= 2], weight_decay=weight_decay, name="decay"),
        dict(params=[p for p in learning if len(p.shape) < 2], weight_decay=0.0, name="no_decay"),
    )
""",
    ),
    Mutant(
        "parameter-groups",
        "one-group",
        _groups('return [{"params": a + b, "weight_decay": weight_decay}]'),
        {VECTORS: "vector-decays"},
    ),
    Mutant(
        "parameter-groups",
        "nothing-said",
        _groups('return [{"params": a, "weight_decay": weight_decay}, {"params": b}]'),
        {VECTORS: "decay-left-out"},
    ),
    Mutant(
        "parameter-groups",
        "swapped",
        _groups(matrix="p.ndim < 2"),
        {MATRICES: "matrix-spared", VECTORS: "vector-decays"},
    ),
    Mutant(
        "parameter-groups",
        "biases-only",
        _groups(matrix="n[-4:] != 'bias'", loop="for n, p in model.named_parameters():"),
        {VECTORS: "gains-decay"},
    ),
    Mutant(
        "parameter-groups",
        "by-name",
        _groups(
            matrix="not (n.endswith('bias') or 'ln_' in n)", loop="for n, p in model.named_parameters():"
        ),
        {VECTORS: "rule-by-name"},
    ),
    Mutant("parameter-groups", "linear-only", _groups(matrix="p.ndim == 2"), {MATRICES: "matrix-spared"}),
    Mutant(
        "parameter-groups",
        "fixed-decay",
        _groups('return [{"params": a, "weight_decay": 0.01}, {"params": b, "weight_decay": 0.0}]'),
        {MATRICES: "decay-ignored"},
    ),
    Mutant(
        "parameter-groups",
        "default-decay",
        _groups('return [{"params": a}, {"params": b, "weight_decay": 0.0}]'),
        {MATRICES: "decay-left-out"},
    ),
    Mutant("parameter-groups", "frozen-too", _groups(keep="True"), {FROZEN: "frozen-inside"}),
    Mutant(
        "parameter-groups",
        "module-by-module",
        _groups(loop="for p in [q for module in model.modules() for q in module.parameters(recurse=False)]:"),
        {ONCE: "tied-twice"},
    ),
    Mutant(
        "parameter-groups",
        "all-and-then-some",
        _groups(
            'return [{"params": a + b, "weight_decay": weight_decay}, {"params": b, "weight_decay": 0.0}]'
        ),
        {ONCE: "twice", VECTORS: "vector-decays"},
    ),
    Mutant(
        "parameter-groups",
        "blocks-only",
        _groups(loop="for p in model.h.parameters():"),
        {COMPLETE: "missing"},
    ),
    Mutant(
        "parameter-groups",
        "names",
        _groups(
            'return [{"params": a, "weight_decay": weight_decay}, {"params": b, "weight_decay": 0.0}]',
            loop="for n, p in model.named_parameters():",
        ).replace(".append(p)", ".append(n)"),
        {COMPLETE: "not-parameters", **dict.fromkeys((ONCE, FROZEN, MATRICES, VECTORS), "all-missing")},
    ),
    Mutant(
        "parameter-groups",
        "two-lists",
        _groups("return a, b"),
        dict.fromkeys((COMPLETE, ONCE, FROZEN, MATRICES, VECTORS), "not-groups"),
    ),
]
