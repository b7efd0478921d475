"""Right and wrong answers to `noise-scale`."""

from course.mutants import Mutant, Valid

NO_NOISE, VALUE, NO_SIGNAL = (f"noise-scale/{aspect}" for aspect in ("no-noise", "value", "no-signal"))


def _answer(
    s="gradients.var(dim=0).sum()", signal="mean - s / k", noise="s * tokens / signal", guard="signal > 0"
):
    return f"""
def noise_scale(gradients, tokens):
    k = len(gradients)
    mean = gradients.mean(dim=0).square().sum()
    s = {s}
    signal = {signal}
    return ({noise}).item() if {guard} else math.inf
"""


def _wrong(name, fails, **changed):
    return Mutant("noise-scale", name, _answer(**changed), fails)


ANSWERS = [
    Valid(
        "noise-scale",
        "from-the-prose",
        """
def noise_scale(gradients, tokens):
    k = len(gradients)
    s = float(gradients.var(dim=0).sum())
    signal = float(gradients.mean(0).square().sum()) - s / k
    return s * tokens / signal if signal > 0 else math.inf
""",
    ),
    Valid(
        "noise-scale",
        "two-batch-sizes",
        """
def noise_scale(gradients, tokens):
    small, big = tokens, tokens * len(gradients)
    norm_small = gradients.square().sum(dim=1).mean()
    norm_big = gradients.mean(dim=0).square().sum()
    signal = (big * norm_big - small * norm_small) / (big - small)
    spread = (norm_small - norm_big) / (1 / small - 1 / big)
    return math.inf if signal <= 0 else float(spread / signal)
""",
    ),
    _wrong(
        "noise-in-the-signal",
        {NO_NOISE: "noise-in-the-signal", VALUE: "noise-in-the-signal", NO_SIGNAL: "signal-invented"},
        signal="mean",
    ),
    _wrong(
        "in-micro-batches",
        {NO_NOISE: "in-micro-batches", VALUE: "in-micro-batches", NO_SIGNAL: "in-micro-batches"},
        noise="s / signal",
    ),
    _wrong(
        "divided-by-k",
        {NO_NOISE: "divided-by-k", VALUE: "divided-by-k", NO_SIGNAL: "divided-by-k"},
        s="gradients.var(dim=0, unbiased=False).sum()",
    ),
    _wrong(
        "mean-over-coordinates",
        {NO_NOISE: "mean-not-sum", VALUE: "mean-not-sum", NO_SIGNAL: "mean-not-sum"},
        s="gradients.var(dim=0).mean()",
    ),
    _wrong("signal-below-zero", {NO_SIGNAL: "signal-invented"}, guard="True"),
    Mutant(
        "noise-scale",
        "overwrites",
        """
def noise_scale(gradients, tokens):
    k = len(gradients)
    mean = gradients.mean(dim=0)
    gradients -= mean
    s = gradients.square().sum() / (k - 1)
    signal = mean.square().sum() - s / k
    return (s * tokens / signal).item() if signal > 0 else math.inf
""",
        {
            "noise-scale/no-noise": "gradients-overwritten",
            "noise-scale/value": "gradients-overwritten",
            "noise-scale/no-signal": "gradients-overwritten",
        },
    ),
]
