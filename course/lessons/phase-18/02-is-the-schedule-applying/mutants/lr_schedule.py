"""Right and wrong answers to `lr-schedule`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

FIRST, WARM, COSINE, LAST, EDGES = (
    f"lr-schedule/{aspect}" for aspect in ("first-step", "warm-up", "cosine", "last-step", "edges")
)

RIGHT_WARM_UP = "config.lr_max * (step + 1) / w"
RIGHT_PROGRESS = "min((step - max(w - 1, 0)) / max(last - max(w - 1, 0), 1), 1)"
RIGHT_SHAPE = "config.lr_min + 0.5 * (config.lr_max - config.lr_min) * (1 + math.cos(math.pi * p))"


def _schedule(warm_up=RIGHT_WARM_UP, progress=RIGHT_PROGRESS, shape=RIGHT_SHAPE, within="step < w"):
    return f"""
def lr_at(step, config):
    w, last = config.warmup_steps, config.steps - 1
    if {within}:
        return {warm_up}
    p = {progress}
    return {shape}
"""


def _wrong_schedule(name, fails, **parts):
    return Mutant("lr-schedule", name, _schedule(**parts), fails)


ANSWERS = [
    Valid(
        "lr-schedule",
        "torch",
        """
def lr_at(step, config):
    top = max(config.warmup_steps, 1) - 1
    if step < top:
        return config.lr_max * (step + 1) / config.warmup_steps
    share = torch.tensor((step - top) / max(config.steps - 1 - top, 1)).clamp(0, 1)
    return config.lr_min + (config.lr_max - config.lr_min) * torch.cos(torch.pi * share / 2) ** 2
""",
    ),
    Valid(
        "lr-schedule",
        "minimum-of-two",
        """
def lr_at(step, config):
    rise = np.interp(step, [-1, config.warmup_steps - 1], [0, 1]) if config.warmup_steps else 1.0
    angle = np.interp(step, [max(config.warmup_steps - 1, 0), config.steps - 1], [0, np.pi])
    fall = config.lr_min + (config.lr_max - config.lr_min) * (1 + np.cos(angle)) / 2
    return config.lr_max * rise if step < config.warmup_steps else fall
""",
    ),
    _wrong_schedule(
        "from-zero", {FIRST: "starts-at-zero", WARM: "one-step-late"}, warm_up="config.lr_max * step / w"
    ),
    _wrong_schedule(
        "from-zero-to-the-top",
        {FIRST: "starts-at-zero", WARM: "starts-at-zero"},
        warm_up="config.lr_max * step / (w - 1)",
    ),
    _wrong_schedule(
        "w-plus-one",
        {FIRST: "divides-by-w-plus-one", WARM: "divides-by-w-plus-one"},
        warm_up="config.lr_max * (step + 1) / (w + 1)",
    ),
    _wrong_schedule("no-warm-up", {FIRST: "no-warm-up", WARM: "no-warm-up"}, warm_up="config.lr_max"),
    _wrong_schedule(
        "from-lr-min",
        {FIRST: "warm-up-from-lr-min", WARM: "warm-up-from-lr-min"},
        warm_up="config.lr_min + (config.lr_max - config.lr_min) * (step + 1) / w",
    ),
    _wrong_schedule(
        "squared", {FIRST: "first-off", WARM: "warm-up-off"}, warm_up="config.lr_max * ((step + 1) / w) ** 2"
    ),
    _wrong_schedule(
        "stops-one-early", {WARM: "top-missed"}, warm_up="config.lr_max * (min(step, w - 2) + 1) / w"
    ),
    _wrong_schedule(
        "linear",
        {COSINE: "linear-not-cosine"},
        shape="config.lr_max + (config.lr_min - config.lr_max) * p",
    ),
    _wrong_schedule("top-twice", {COSINE: "top-twice"}, progress="min((step - w) / max(last - w, 1), 1)"),
    _wrong_schedule(
        "ends-late",
        {COSINE: "ends-late", LAST: "stops-short"},
        progress="min((step - w) / max(last + 1 - w, 1), 1)",
    ),
    _wrong_schedule(
        "whole-run",
        {COSINE: "warm-up-not-subtracted"},
        progress="min(step / last, 1)",
    ),
    _wrong_schedule(
        "to-zero",
        {COSINE: "down-to-zero", LAST: "zero-at-the-end"},
        shape="0.5 * config.lr_max * (1 + math.cos(math.pi * p))",
    ),
    _wrong_schedule(
        "constant",
        {COSINE: "never-decays", LAST: "top-at-the-end"},
        shape="config.lr_max",
    ),
    _wrong_schedule(
        "no-half",
        {COSINE: "half-forgotten", EDGES: "without-warm-up"},
        shape="config.lr_min + (config.lr_max - config.lr_min) * (1 + math.cos(math.pi * p))",
    ),
    _wrong_schedule(
        "lr-min-added",
        {COSINE: "lr-min-on-top", EDGES: "without-warm-up"},
        shape="config.lr_min + 0.5 * config.lr_max * (1 + math.cos(math.pi * p))",
    ),
    _wrong_schedule(
        "quarter",
        {COSINE: "quarter-cosine"},
        shape="config.lr_min + (config.lr_max - config.lr_min) * math.cos(math.pi * p / 2)",
    ),
    _wrong_schedule(
        "minus",
        {COSINE: "upside-down", LAST: "top-at-the-end", EDGES: "without-warm-up"},
        shape="config.lr_min + 0.5 * (config.lr_max - config.lr_min) * (1 - math.cos(math.pi * p))",
    ),
    _wrong_schedule(
        "no-pi",
        {COSINE: "pi-forgotten", LAST: "end-off"},
        shape="config.lr_min + 0.5 * (config.lr_max - config.lr_min) * (1 + math.cos(p))",
    ),
    _wrong_schedule(
        "root",
        {COSINE: "decay-off"},
        progress=f"({RIGHT_PROGRESS}) ** 0.5",
    ),
    _wrong_schedule(
        "never-clamped",
        {EDGES: "rises-again"},
        progress="(step - max(w - 1, 0)) / max(last - max(w - 1, 0), 1)",
    ),
    _wrong_schedule(
        "divides-by-nothing",
        {EDGES: "check.raised-at"},
        progress="(step - max(w - 1, 0)) / (last - max(w - 1, 0)) if step <= last else 1",
        within="step < w - 1",
    ),
]
