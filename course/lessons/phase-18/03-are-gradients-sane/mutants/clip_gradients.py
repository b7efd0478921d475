"""Right and wrong answers to `clip-gradients`; each wrong one names the checks it fails, and why."""

from functools import partial

from course.mutants import Mutant, Valid

LONG, SHORT, ZERO, LAZY, RETURNS = (
    f"clip-gradients/{aspect}" for aspect in ("long", "short", "zero", "generator", "returns")
)


def _clip(*lines, listed=True):
    given = "    parameters = [p for p in parameters if p.grad is not None]\n" if listed else ""
    return f"def clip_gradients(parameters, max_norm):\n{given}    " + "\n    ".join(lines)


def _scaled(factor):
    return _clip(NORM_OF_ALL, f"for p in parameters: p.grad *= {factor}", RETURN)


NORM_OF_ALL = "norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])"

RETURN = "return norm"

right_gradients = partial(Valid, "clip-gradients")
wrong_gradients = partial(Mutant, "clip-gradients")

ANSWERS = [
    right_gradients(
        "torch", _clip("return torch.nn.utils.clip_grad_norm_(parameters, max_norm)", listed=False)
    ),
    right_gradients(
        "only-when-long",
        _clip(
            NORM_OF_ALL,
            "if norm > max_norm:",
            "    for p in parameters: p.grad *= max_norm / norm",
            "return norm.item()",
        ),
    ),
    right_gradients(
        "new-tensors",
        _clip(
            NORM_OF_ALL,
            "for p in parameters: p.grad = p.grad * min(1.0, max_norm / (norm.item() + 1e-6))",
            RETURN,
        ),
    ),
    wrong_gradients(
        "only-renamed",
        _clip(
            NORM_OF_ALL,
            "for p in parameters:",
            "    g = p.grad",
            "    g = g * min(1.0, max_norm / (norm + 1e-6))",
            RETURN,
        ),
        {
            LONG: "not-in-place",
            **dict.fromkeys((SHORT, ZERO), "check.same-for-all"),
            LAZY: "generator-used-up",
        },
    ),
    wrong_gradients(
        "each-alone",
        _clip(NORM_OF_ALL, "for p in parameters: torch.nn.utils.clip_grad_norm_([p], max_norm)", RETURN),
        {LONG: "each-alone"},
    ),
    wrong_gradients(
        "each-to-the-limit",
        _scaled("max_norm / (p.grad.norm() + 1e-6)"),
        {LONG: "each-to-the-limit", SHORT: "scaled-up"},
    ),
    wrong_gradients(
        "by-value",
        _clip(NORM_OF_ALL, "for p in parameters: p.grad.clamp_(-max_norm, max_norm)", RETURN),
        {LONG: "by-value"},
    ),
    wrong_gradients("always", _scaled("max_norm / (norm + 1e-6)"), {SHORT: "scaled-up"}),
    wrong_gradients(
        "always-without-guard", _scaled("max_norm / norm"), {SHORT: "scaled-up", ZERO: "zero-gives-nan"}
    ),
    wrong_gradients(
        "length-one",
        _clip(NORM_OF_ALL, "if norm > max_norm:", "    for p in parameters: p.grad /= norm", RETURN),
        {LONG: "to-length-one"},
    ),
    wrong_gradients(
        "turned-round", _scaled("norm / max_norm if norm > max_norm else 1"), {LONG: "turned-round"}
    ),
    wrong_gradients(
        "twice-the-limit", _scaled("max_norm / norm if norm > 2 * max_norm else 1"), {LONG: "a-little-long"}
    ),
    wrong_gradients(
        "half-the-limit", _scaled("max_norm / norm if norm > 0.5 * max_norm else 1"), {SHORT: "scaled-up"}
    ),
    wrong_gradients(
        "a-thousandth", _scaled("torch.clamp(max_norm / (norm + 1e-3), max=1.0)"), {LONG: "clipped-off"}
    ),
    wrong_gradients(
        "large-epsilon",
        _scaled("torch.clamp(max_norm / (norm + 1), max=1.0)"),
        {LONG: "clipped-off", SHORT: "shortened"},
    ),
    wrong_gradients(
        "norm-after",
        _clip(
            "torch.nn.utils.clip_grad_norm_(parameters, max_norm)",
            "return torch.nn.utils.get_total_norm([p.grad for p in parameters])",
        ),
        {RETURNS: "norm-after"},
    ),
    wrong_gradients(
        "returns-whether",
        _clip("return torch.nn.utils.clip_grad_norm_(parameters, max_norm) > max_norm"),
        {RETURNS: "not-the-norm"},
    ),
    wrong_gradients(
        "generator-twice",
        _clip(
            "norm = global_norm(p.grad for p in parameters)",
            "for p in parameters:",
            "    if p.grad is not None: p.grad *= min(1.0, max_norm / (float(norm) + 1e-6))",
            RETURN,
            listed=False,
        ),
        {LAZY: "generator-used-up"},
    ),
    wrong_gradients(
        "some-noise",
        _clip(
            "norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)",
            "for p in parameters: p.grad += 1e-3 * (norm == 0)",
            RETURN,
        ),
        {ZERO: "zero-moved"},
    ),
]
