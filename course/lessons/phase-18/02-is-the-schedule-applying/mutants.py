"""Right and wrong answers to lesson 18-02; each wrong one names the checks it fails and what it is told."""

from course.mutants import Mutant, Valid

FIRST, WARM, COSINE, LAST, EDGES = (
    f"lr-schedule/{aspect}" for aspect in ("first-step", "warm-up", "cosine", "last-step", "edges")
)
EQUAL, FLAT, SCALED, LATE, LEAPS = (
    f"rate-fault/{aspect}" for aspect in ("equal", "flat", "scaled", "late", "leaps")
)
AUDIT = [f"audit/{aspect}" for aspect in ("every-group", "micro-batches", "one-group-right", "two-faults")]
EVERY, UNIT, ONE_RIGHT, TWO = AUDIT

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


ALL, SCALE = "(realised == 0).all()", "np.ptp(realised / asked) < 1e-3 * (realised / asked)[0]"
LEAP = "np.abs(np.diff(realised)).max() > 3 * np.abs(np.diff(asked)).max()"
QUESTIONS = {
    "pass": "np.allclose(realised, asked, rtol=1e-3, atol=0)",
    "base-lr-zero": ALL,
    "scheduler-never-stepped": "np.ptp(realised) == 0",
    "warmup-off-by-one": "realised[0] == 0",
    "lr-group-scale": SCALE,
    "lr-discontinuous": LEAP,
}


def _rate_fault(questions=QUESTIONS, otherwise="unknown", **changed):
    lines = ["def rate_fault(realised, asked):"]
    asked = questions | {name.replace("_", "-"): text for name, text in changed.items()}
    for name, text in asked.items():
        lines += [f"    if {text}:", f'        return "{name}"']
    return "\n".join([*lines, f'    return "{otherwise}"' if otherwise else ""])


def _first(name):
    return {name: QUESTIONS[name]} | QUESTIONS


def _without(*left_out):
    return {name: text for name, text in QUESTIONS.items() if name not in left_out}


def _wrong_fault(name, fails, questions=QUESTIONS, otherwise="unknown", **changed):
    return Mutant("rate-fault", name, _rate_fault(questions, otherwise, **changed), fails)


def _audit(
    again='k > 1 and "pass" not in found.values()',
    stretched='in ("pass", "lr-group-scale")',
    k="config.accumulation",
    groups="rates",
    count="len(rates[group])",
    name="schedule-step-unit",
    back="found",
):
    return f"""
def audit(rates, config, schedule):
    def fault(group, settings):
        asked = np.array([schedule(step, settings) for step in range({count})])
        return rate_fault(np.array(rates[group]), asked)

    k = {k}
    longer = config.replace(steps=k * config.steps, warmup_steps=k * config.warmup_steps)
    found = {{group: fault(group, config) for group in {groups}}}
    if {again}:
        for group in found:
            if fault(group, longer) {stretched}:
                found[group] = "{name}"
    return {back}
"""


def _wrong_audit(mutant, fails, **parts):
    return Mutant("audit", mutant, _audit(**parts), fails)


ANSWERS = [
    # 1
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
    # 2a
    Valid("rate-fault", "table", _rate_fault()),
    Valid(
        "rate-fault",
        "ratios",
        """
def rate_fault(realised, asked):
    if np.isnan(realised).any():
        return "unknown"
    ratio = realised / asked
    if ratio.max() == 0:
        return "base-lr-zero"
    if ratio.max() - ratio.min() < 1e-3 * ratio.max():
        return "pass" if abs(ratio.mean() - 1) < 1e-3 else "lr-group-scale"
    if len(set(realised.tolist())) == 1:
        return "scheduler-never-stepped"
    if realised[0] == 0 and realised[1] > 0:
        return "warmup-off-by-one"
    leaps = max(abs(b - a) for a, b in zip(realised, realised[1:]))
    return "lr-discontinuous" if leaps > 3 * max(abs(np.diff(asked))) else "unknown"
""",
    ),
    _wrong_fault("exactly", {EQUAL: "factor-one"}, **{"pass": "(realised == asked).all()"}),
    _wrong_fault(
        "exact-everywhere",
        {EQUAL: "compares-exactly"},
        lr_group_scale=f"{SCALE} and abs(realised[0] / asked[0] - 1) > 0.01",
        **{"pass": "(realised == asked).all()"},
    ),
    _wrong_fault("no-scale", {SCALED: "scale-missed"}, _without("lr-group-scale")),
    _wrong_fault("scale-first", {EQUAL: "factor-one"}, _first("lr-group-scale")),
    _wrong_fault("flat-first", {FLAT: "zero-is-flat-too"}, _first("scheduler-never-stepped")),
    _wrong_fault("late-first", {FLAT: "zero-throughout"}, _first("warmup-off-by-one")),
    _wrong_fault("no-flat", {FLAT: "flat-missed"}, _without("scheduler-never-stepped")),
    _wrong_fault(
        "only-smaller", {SCALED: "scale-is-no-leap"}, lr_group_scale=f"{SCALE} and (realised <= asked).all()"
    ),
    _wrong_fault(
        "shape-alone",
        {SCALED: "scale-passes"},
        **{"pass": "realised @ asked > 0.99999 * (realised @ realised * (asked @ asked)) ** 0.5"},
    ),
    _wrong_fault(
        "absolute-margin",
        {FLAT: "flat-missed", SCALED: "scale-passes", LATE: "late-passes", LEAPS: "leap-missed"},
        **{"pass": "np.allclose(realised, asked, atol=1.0)"},
    ),
    _wrong_fault("any-zero", {LATE: "one-zero-is-not-all"}, base_lr_zero="(realised == 0).any()"),
    _wrong_fault("no-late", {LATE: "late-missed"}, _without("warmup-off-by-one")),
    _wrong_fault("no-leap", {LEAPS: "leap-missed"}, _without("lr-discontinuous")),
    _wrong_fault(
        "everything-leaps",
        {LEAPS: "smooth-is-no-leap"},
        _without("lr-discontinuous"),
        otherwise="lr-discontinuous",
    ),
    _wrong_fault(
        "everything-is-scale",
        {LEAPS: "not-one-factor", SCALED: "scale-is-no-leap"},
        {
            name: QUESTIONS[name]
            for name in (*_without("lr-group-scale", "lr-discontinuous"), "lr-discontinuous")
        },
        otherwise="lr-group-scale",
    ),
    _wrong_fault("own-words", {LEAPS: "not-a-fault-name"}, otherwise="strange"),
    _wrong_fault(
        "no-return",
        dict.fromkeys((SCALED, LATE, LEAPS), "check.returned-none"),
        {name: QUESTIONS[name] for name in ("pass", "base-lr-zero", "scheduler-never-stepped")},
        otherwise=None,
    ),
    # 2b
    Valid("audit", "second-look", _audit()),
    Valid(
        "audit",
        "by-hand",
        """
def audit(rates, config, schedule):
    k, answer, right = config.accumulation, {}, False
    longer = config.replace(steps=config.steps * k, warmup_steps=config.warmup_steps * k)
    for group, values in rates.items():
        asked = np.array([schedule(step, config) for step, _ in enumerate(values)])
        answer[group] = rate_fault(np.array(values), asked)
        right = right or answer[group] == "pass"
    for group, values in rates.items():
        if not right and k > 1 and any(values) and len(set(values)) > 1:
            ratio = [value / schedule(step, longer) for step, value in enumerate(values)]
            if max(ratio) < 1.001 * min(ratio):
                answer[group] = "schedule-step-unit"
    return answer
""",
    ),
    _wrong_audit("first-group", dict.fromkeys(AUDIT, "group-missing"), groups="list(rates)[:1]"),
    _wrong_audit(
        "one-for-all",
        {EVERY: "first-group-only", ONE_RIGHT: "first-group-only"},
        back="dict.fromkeys(found, next(iter(found.values())))",
    ),
    _wrong_audit("no-second-look", {UNIT: "axis-not-tried", TWO: "stretched-and-scaled"}, again="False"),
    _wrong_audit(
        "always-four",
        {UNIT: "axis-not-tried", ONE_RIGHT: "one-right-group", TWO: "stretched-and-scaled"},
        k="4",
    ),
    _wrong_audit("right-group-ignored", {ONE_RIGHT: "one-right-group"}, again="k > 1"),
    _wrong_audit(
        "without-accumulation", {ONE_RIGHT: "one-right-group"}, again='"pass" not in found.values()'
    ),
    _wrong_audit("not-scaled", {TWO: "stretched-and-scaled"}, stretched='== "pass"'),
    _wrong_audit(
        "unknown-alone", {UNIT: "warm-up-looks-scaled"}, again='k > 1 and "unknown" in found.values()'
    ),
    _wrong_audit(
        "whole-runs-only",
        dict.fromkeys((EVERY, UNIT, ONE_RIGHT), "check.raised-at"),
        count="config.steps",
    ),
    _wrong_audit("one-word", dict.fromkeys(AUDIT, "not-a-dict"), back="min(found.values())"),
    _wrong_audit("own-words", {UNIT: "not-a-fault-name", TWO: "not-a-fault-name"}, name="stretched"),
    _wrong_audit("a-group-for-all", dict.fromkeys(AUDIT, "group-invented"), back='found | {"all": "pass"}'),
    _wrong_audit(
        "zero-is-flat",
        {EVERY: "group-misjudged"},
        back='{g: w.replace("base-lr-zero", "scheduler-never-stepped") for g, w in found.items()}',
    ),
]
