"""Right and wrong answers to `first-nonfinite`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

LEAF, INSIDE, KINDS, HEALTHY, TIDY = (
    f"first-nonfinite/{aspect}" for aspect in ("leaf", "inside", "kinds", "healthy", "tidy")
)


def _search(
    condition="good(given) and not good(output)",
    one="bool(torch.isfinite(value).all())",
    other="True",
    sequence="(tuple, list)",
    many="all(good(part) for part in value)",
    modules="model.named_modules()",
    end="return names[0] if names else None",
    remove="handle.remove()",
    before="pass",
):
    return f"""
def first_nonfinite(model, inputs):
    names = []

    def good(value):
        if isinstance(value, {sequence}):
            return {many}
        return {one} if isinstance(value, torch.Tensor) else {other}

    def watch(name):
        def hook(module, given, output):
            if {condition}:
                names.append(name)
        return hook

    {before}
    handles = [module.register_forward_hook(watch(name)) for name, module in {modules}]
    with torch.no_grad():
        model(inputs)
    for handle in handles:
        {remove}
    {end}
"""


ANSWERS = [
    Valid("first-nonfinite", "no-grad", _search()),
    Valid(
        "first-nonfinite",
        "sums-and-raises",
        """
class Found(Exception):
    pass


def first_nonfinite(model, inputs):
    def bad(value):
        if isinstance(value, (tuple, list)):
            return any(bad(part) for part in value)
        return value is not None and not math.isfinite(float(value.double().sum()))

    def hook(module, given, output):
        if bad(output) and not any(bad(value) for value in given):
            raise Found(names[module])

    names = {module: name for name, module in model.named_modules()}
    handles = [module.register_forward_hook(hook) for module in model.modules()]
    try:
        model(inputs)
    except Found as found:
        return str(found)
    finally:
        for handle in handles:
            handle.remove()
""",
    ),
    Mutant(
        "first-nonfinite",
        "looks-at-outputs-alone",
        _search("not good(output)"),
        {INSIDE: "innocent-child"},
    ),
    Mutant(
        "first-nonfinite",
        "only-nan",
        _search(one="not bool(torch.isnan(value).any())"),
        {KINDS: "only-nan"},
    ),
    Mutant(
        "first-nonfinite",
        "tensors-alone",
        _search(many="True if not isinstance(value[0], torch.Tensor) or len(value) > 1 else good(value[0])"),
        {INSIDE: "second-input", KINDS: "only-nan"},
    ),
    Mutant(
        "first-nonfinite",
        "the-last-one",
        _search(end="return names[-1] if names else None"),
        {LEAF: "outermost", INSIDE: "outermost", KINDS: "only-nan", TIDY: "outermost"},
    ),
    Mutant(
        "first-nonfinite",
        "leaves-alone",
        _search(modules="[(n, m) for n, m in model.named_modules() if not list(m.children())]"),
        {INSIDE: "not-found", KINDS: "only-nan"},
    ),
    Mutant("first-nonfinite", "hooks-stay", _search(remove="pass"), {TIDY: "hooks-left"}),
    Mutant("first-nonfinite", "eval-for-good", _search(before="model.eval()"), {TIDY: "mode-changed"}),
    Mutant(
        "first-nonfinite",
        "always-somebody",
        _search(end="return names[0] if names else 'head'"),
        {HEALTHY: "false-alarm"},
    ),
    Mutant(
        "first-nonfinite",
        "one-level",
        _search(many="all(bool(part.isfinite().all()) for part in value if isinstance(part, torch.Tensor))"),
        {KINDS: "part-unseen"},
    ),
    Mutant(
        "first-nonfinite",
        "first-part",
        _search(many="good(value[0])"),
        {INSIDE: "second-input", KINDS: "part-unseen"},
    ),
    Mutant("first-nonfinite", "tuples-not-lists", _search(sequence="tuple"), {KINDS: "part-unseen"}),
    Mutant(
        "first-nonfinite",
        "train-at-end",
        _search(before="model.eval()", end="model.train()\n    return names[0] if names else None"),
        {TIDY: "mode-changed-too"},
    ),
    Mutant(
        "first-nonfinite",
        "first-input",
        _search("good(given[0]) and not good(output)"),
        {INSIDE: "second-input"},
    ),
    Mutant(
        "first-nonfinite",
        "no-root",
        _search(end="return next((name for name in names if name), None)"),
        {INSIDE: "whole-model"},
    ),
    Mutant(
        "first-nonfinite",
        "any",
        _search(one="bool(torch.isfinite(value).any())"),
        {KINDS: "one-number-unseen"},
    ),
]
