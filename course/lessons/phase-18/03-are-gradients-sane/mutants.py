"""Right and wrong answers to lesson 18-03; each wrong one names the checks it fails and what it is told."""

from functools import partial

from course.mutants import Mutant, Valid

ONE, MANY, MISSING = (f"global-norm/{aspect}" for aspect in ("one", "many", "missing"))
LONG, SHORT, ZERO, LAZY, RETURNS = (
    f"clip-gradients/{aspect}" for aspect in ("long", "short", "zero", "generator", "returns")
)
SPIKE, CALM, BEHIND, NAN = (f"find-spikes/{aspect}" for aspect in ("one", "calm", "behind", "nan"))
MEAN, FRESH, CLIPPED, NORM = (f"training-step/{aspect}" for aspect in ("mean", "fresh", "clipped", "returns"))


def _norm(expression):
    given = "    tensors = [tensor for tensor in tensors if tensor is not None]\n"
    return f"def global_norm(tensors):\n{given}    return {expression}\n"


def _clip(*lines, listed=True):
    given = "    parameters = [p for p in parameters if p.grad is not None]\n" if listed else ""
    return f"def clip_gradients(parameters, max_norm):\n{given}    " + "\n    ".join(lines)


def _scaled(factor):
    return _clip(NORM_OF_ALL, f"for p in parameters: p.grad *= {factor}", RETURN)


def _spikes(typical="float(np.median(window))", keep="not spike", judge="spike = {test}", first=5):
    """A finder whose parts can be exchanged."""
    test = f"not math.isfinite(norm) or (len(usual) >= {first} and norm > factor * {typical})"
    return f"""
def find_spikes(norms, factor=5.0, window=20):
    usual, found, size = [], [], window
    for step, norm in enumerate(norms):
        window = usual[-size:]
        {judge.format(test=test)}
        if spike:
            found.append(step)
        if {keep}:
            usual.append(norm)
    return found
"""


def _step(*lines):
    return "\n    ".join(("def training_step(model, optimizer, batches, max_norm):", *lines))


NORM_OF_ALL = "norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])"
SHARE = "(loss_of(model, batch) / len(batches)).backward()"
EACH = f"for batch in batches: {SHARE}"
CLIP = "norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)"
CLEAR, STEP, RETURN = "optimizer.zero_grad()", "optimizer.step()", "return norm"

right_norm = partial(Valid, "global-norm")
wrong_norm = partial(Mutant, "global-norm")
right_gradients = partial(Valid, "clip-gradients")
wrong_gradients = partial(Mutant, "clip-gradients")
right_spikes = partial(Valid, "find-spikes")
wrong_spikes = partial(Mutant, "find-spikes")
right_step = partial(Valid, "training-step")
wrong_step = partial(Mutant, "training-step")

ANSWERS = [
    # 1a
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
    # 1b
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
        {LONG: "not-in-place", LAZY: "generator-used-up"},
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
    # 2
    right_spikes("median", _spikes()),
    right_spikes("mean-of-the-usual", _spikes(typical="(sum(window) / len(window))")),
    right_spikes("spikes-stay-in-the-median", _spikes(keep="math.isfinite(norm)")),
    right_spikes(
        "numpy",
        """
def find_spikes(norms, factor=5.0, window=20):
    norms, found = np.array(norms), []
    for step in range(len(norms)):
        before = norms[max(0, step - window) : step]
        before = before[np.isfinite(before)]
        if not np.isfinite(norms[step]) or (len(before) >= 5 and norms[step] > factor * np.median(before)):
            found.append(step)
    return np.array(found)
""",
    ),
    wrong_spikes(
        "limit-of-100",
        "def find_spikes(norms, factor=5.0, window=20):\n"
        "    return [s for s, norm in enumerate(norms) if not norm <= 100]",
        {SPIKE: "spike-missed", BEHIND: "hides-behind", NAN: "nan-poisons"},
    ),
    wrong_spikes(
        "mean-with-spikes",
        _spikes(typical="(sum(window) / len(window))", keep="math.isfinite(norm)"),
        {BEHIND: "hides-behind"},
    ),
    wrong_spikes(
        "whole-run",
        "def find_spikes(norms, factor=5.0, window=20):\n"
        "    usual = np.median([norm for norm in norms if math.isfinite(norm)])\n"
        "    return [s for s, norm in enumerate(norms) if not norm <= factor * usual]",
        {CALM: "start-is-no-spike"},
    ),
    wrong_spikes(
        "factor-of-one",
        _spikes().replace("norm > factor *", "norm > 1.2 *"),
        {SPIKE: "false-alarm", CALM: "noise-is-no-spike", BEHIND: "false-alarm", NAN: "false-alarm"},
    ),
    wrong_spikes(
        "from-one",
        _spikes().replace("found.append(step)", "found.append(step + 1)"),
        dict.fromkeys((SPIKE, BEHIND, NAN), "counted-from-one"),
    ),
    wrong_spikes(
        "norms",
        _spikes().replace("found.append(step)", "found.append(norm)"),
        {SPIKE: "norms-not-steps", BEHIND: "norms-not-steps", NAN: "check.not-finite"},
    ),
    wrong_spikes(
        "count",
        _spikes().replace("return found", "return len(found)"),
        dict.fromkeys((SPIKE, CALM, BEHIND, NAN), "a-count"),
    ),
    wrong_spikes(
        "flags",
        _spikes().replace("return found", "return [step in found for step in range(len(norms))]"),
        dict.fromkeys((SPIKE, CALM, BEHIND, NAN), "a-flag-a-step"),
    ),
    wrong_spikes(
        "nan-passes",
        _spikes(keep="math.isfinite(norm)").replace("not math.isfinite(norm) or", "math.isfinite(norm) and"),
        {NAN: "nan-missed"},
    ),
    wrong_spikes("nan-in-the-window", _spikes(keep="True"), {NAN: "nan-poisons"}),
    # 3
    right_step("clear-last", _step(EACH, CLIP, STEP, CLEAR, RETURN)),
    right_step(
        "by-model",
        _step(
            "model.zero_grad(set_to_none=True)",
            "sum(loss_of(model, batch) for batch in batches).div(len(batches)).backward()",
            "norm = clip_gradients(model.parameters(), max_norm)",
            STEP,
            RETURN,
        ),
    ),
    right_step(
        "divide-at-the-end",
        _step(
            CLEAR,
            "for batch in batches: loss_of(model, batch).backward()",
            "for p in model.parameters(): p.grad /= len(batches)",
            CLIP,
            STEP,
            RETURN,
        ),
    ),
    wrong_step("never-cleared", _step(EACH, CLIP, STEP, RETURN), {FRESH: "gradient-carried"}),
    wrong_step(
        "cleared-inside",
        _step("for batch in batches:", f"    {CLEAR}", f"    {SHARE}", CLIP, STEP, RETURN),
        {MEAN: "only-the-last-and-divided"},
    ),
    wrong_step(
        "cleared-inside-undivided",
        _step(
            "for batch in batches:",
            f"    {CLEAR}",
            "    loss_of(model, batch).backward()",
            CLIP,
            STEP,
            RETURN,
        ),
        {MEAN: "only-the-last"},
    ),
    wrong_step(
        "first-only",
        _step(CLEAR, "loss_of(model, batches[0]).backward()", CLIP, STEP, RETURN),
        {MEAN: "only-the-first"},
    ),
    wrong_step(
        "sum",
        _step(CLEAR, "for batch in batches: loss_of(model, batch).backward()", CLIP, STEP, RETURN),
        {MEAN: "sum-of-micro-batches"},
    ),
    wrong_step(
        "cleared-before-the-step",
        _step(EACH, CLIP, CLEAR, STEP, RETURN),
        dict.fromkeys((MEAN, FRESH, CLIPPED, NORM), "cleared-too-early"),
    ),
    wrong_step(
        "step-each-micro-batch",
        _step("for batch in batches:", f"    {CLEAR}", f"    {SHARE}", f"    {CLIP}", f"    {STEP}", RETURN),
        dict.fromkeys((MEAN, FRESH, CLIPPED), "steps-per-call"),
    ),
    wrong_step("clip-after", _step(CLEAR, EACH, STEP, CLIP, RETURN), {CLIPPED: "clip-too-late"}),
    wrong_step(
        "clip-each",
        _step(CLEAR, "for batch in batches:", f"    {SHARE}", f"    {CLIP}", STEP, RETURN),
        {CLIPPED: "clip-each-micro-batch"},
    ),
    wrong_step(
        "norm-after",
        _step(
            CLEAR,
            EACH,
            CLIP,
            STEP,
            "return torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])",
        ),
        {NORM: "norm-after"},
    ),
]
