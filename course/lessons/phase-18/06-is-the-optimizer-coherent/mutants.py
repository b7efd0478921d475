"""Right and wrong answers to lesson 18-06; each wrong one names the checks it fails and what it is told."""

from course.mutants import Mutant, Valid

COMPLETE, ONCE, FROZEN, MATRICES, VECTORS = (
    f"parameter-groups/{aspect}" for aspect in ("complete", "once", "frozen", "matrices", "vectors")
)
MOMENTS, FIRST, LATER, EPSILON = (
    f"adam-update/{aspect}" for aspect in ("moments", "first", "later", "epsilon")
)
EQUAL, UNEQUAL, LOSS, MEMORY = (f"accumulate/{aspect}" for aspect in ("equal", "unequal", "loss", "memory"))


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


def _adam(m="beta1 * m + (1 - beta1) * grad", v="beta2 * v + (1 - beta2) * grad**2", **parts):
    parts = {"mh": "m / (1 - beta1**t)", "vh": "v / (1 - beta2**t)", "end": "return update, m, v"} | parts
    update = parts.get("update", "lr * mh / (vh.sqrt() + eps)")
    lines = (f"m = {m}", f"v = {v}", f"mh = {parts['mh']}", f"vh = {parts['vh']}", f"update = {update}")
    head = "def adam_update(grad, m, v, t, lr, beta1, beta2, eps):"
    return "\n    ".join((head, *lines, parts["end"]))


def _accumulate(share="count / total", body=None, end="return value"):
    body = body or ("part = loss(model(batch.inputs), batch.targets, batch.mask) * share", "part.backward()")
    return "\n    ".join(
        (
            "def accumulate(model, loss, batches):",
            "counts = [int(batch.mask.sum()) for batch in batches]",
            "k, total, value = len(batches), max(sum(counts), 1), 0.0",
            "for batch, count in zip(batches, counts):",
            f"    share = {share}",
            *(f"    {line}" for line in body),
            "    value += part.item()",
            end,
        )
    )


ANSWERS = [
    # 1
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
    # 2
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
    # 3
    Valid("accumulate", "shares", _accumulate()),
    Valid(
        "accumulate",
        "sums-then-divides",
        """
def accumulate(model, loss, batches):
    summed, total = 0.0, 0
    for batch in batches:
        count = batch.mask.sum()
        part = loss(model(batch.inputs), batch.targets, batch.mask) * count
        part.backward()
        summed, total = summed + part.detach(), total + count
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad /= total.clamp(min=1)
    return summed / total.clamp(min=1)
""",
    ),
    Mutant(
        "accumulate",
        "missing-k",
        _accumulate("1.0"),
        {EQUAL: "sum-of-means", UNEQUAL: "sum-of-means", LOSS: "loss-sum"},
    ),
    Mutant(
        "accumulate",
        "each-alike",
        _accumulate("1 / k"),
        {UNEQUAL: "mean-of-means", LOSS: "loss-mean-of-means"},
    ),
    Mutant(
        "accumulate",
        "divides-twice",
        _accumulate("count / total / k"),
        {EQUAL: "divided-twice", UNEQUAL: "divided-twice", LOSS: "loss-divided"},
    ),
    Mutant(
        "accumulate",
        "sum-of-sums",
        _accumulate("count"),
        {EQUAL: "nothing-divided", UNEQUAL: "nothing-divided", LOSS: "loss-total"},
    ),
    Mutant(
        "accumulate",
        "over-positions",
        _accumulate("count / sum(b.mask.numel() for b in batches)"),
        {UNEQUAL: "padding-divides", LOSS: "loss-off"},
    ),
    Mutant(
        "accumulate",
        "clears-in-between",
        _accumulate(
            body=(
                "model.zero_grad()",
                "part = loss(model(batch.inputs), batch.targets, batch.mask) * share",
                "part.backward()",
            )
        ),
        {EQUAL: "last-alone", UNEQUAL: "last-alone"},
    ),
    Mutant(
        "accumulate",
        "no-backward",
        _accumulate(body=("part = loss(model(batch.inputs), batch.targets, batch.mask) * share",)),
        {EQUAL: "no-gradient", UNEQUAL: "no-gradient", MEMORY: "no-gradient"},
    ),
    Mutant(
        "accumulate",
        "one-backward-at-the-end",
        """
def accumulate(model, loss, batches):
    total = max(sum(batch.mask.sum() for batch in batches), 1)
    value = sum(loss(model(b.inputs), b.targets, b.mask) * b.mask.sum() / total for b in batches)
    value.backward()
    return value.item()
""",
        {MEMORY: "holds-all"},
    ),
    Mutant(
        "accumulate",
        "glued-together",
        """
def accumulate(model, loss, batches):
    inputs, targets, mask = (torch.cat(parts) for parts in zip(*batches))
    value = loss(model(inputs), targets, mask)
    value.backward()
    return value.item()
""",
        {MEMORY: "holds-all"},
    ),
    Mutant("accumulate", "loss-of-the-last", _accumulate(end="return part.item()"), {LOSS: "loss-last"}),
    Mutant("accumulate", "returns-nothing", _accumulate(end="pass"), {LOSS: "check.returned-none"}),
]
