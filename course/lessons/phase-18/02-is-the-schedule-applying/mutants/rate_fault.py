"""Right and wrong answers to `rate-fault`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

EQUAL, FLAT, SCALED, LATE, LEAPS = (
    f"rate-fault/{aspect}" for aspect in ("equal", "flat", "scaled", "late", "leaps")
)

ALL, SCALE = "(realised == 0).all()", "np.ptp(realised / asked) < 1e-3 * (realised / asked)[0]"
LEAP = "np.abs(np.diff(realised)).max() > 3 * np.abs(np.diff(asked)).max()"
QUESTIONS = {
    "pass": "np.allclose(realised, asked, rtol=1e-3, atol=0)",
    "base-lr-zero": ALL,
    "scheduler-never-stepped": "np.ptp(realised) == 0",
    "warmup-off-by-one": "realised[0] == 0 and (realised[1:] > 0).all()",
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


ANSWERS = [
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
    *(
        Valid(
            "rate-fault",
            name,
            _rate_fault(lr_group_scale=f"np.allclose(realised, {c} * asked, rtol=1e-3, atol=0)"),
        )
        for name, c in (
            ("one-constant", "(realised / asked).mean()"),
            ("first-ratio", "(realised[0] / asked[0])"),
            ("top-to-top", "(realised.max() / asked.max())"),
        )
    ),
    _wrong_fault("only-step-0-asked", {LEAPS: "late-by-more"}, warmup_off_by_one="realised[0] == 0"),
    _wrong_fault(
        "allclose-as-it-comes",
        {SCALED: "margin-absolute"},
        **{"pass": "np.allclose(realised, asked, rtol=1e-3)"},
    ),
    _wrong_fault("three-and-a-half", {LEAPS: "leap-missed"}, lr_discontinuous=LEAP.replace("3", "3.5")),
    _wrong_fault("two-and-a-half", {LEAPS: "smooth-is-no-leap"}, lr_discontinuous=LEAP.replace("3", "2.5")),
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
    _wrong_fault(
        "late-first",
        {FLAT: "zero-throughout", LEAPS: "late-by-more"},
        _first("warmup-off-by-one") | {"warmup-off-by-one": "realised[0] == 0"},
    ),
    _wrong_fault("no-flat", {FLAT: "flat-missed"}, _without("scheduler-never-stepped")),
    _wrong_fault(
        "only-smaller", {SCALED: "scale-is-no-leap"}, lr_group_scale=f"{SCALE} and (realised <= asked).all()"
    ),
    _wrong_fault(
        "shape-alone",
        {SCALED: "scale-passes", LEAPS: "margin-too-wide"},
        **{"pass": "realised @ asked > 0.99999 * (realised @ realised * (asked @ asked)) ** 0.5"},
    ),
    _wrong_fault(
        "absolute-margin",
        {
            EQUAL: "check.same-for-all",
            FLAT: "flat-missed",
            SCALED: "scale-passes",
            LATE: "late-passes",
            LEAPS: "leap-missed",
        },
        **{"pass": "np.allclose(realised, asked, atol=1.0)"},
    ),
    _wrong_fault(
        "any-zero", dict.fromkeys((LATE, LEAPS), "one-zero-is-not-all"), base_lr_zero="(realised == 0).any()"
    ),
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
    _wrong_fault(
        "fifteen-percent",
        {LEAPS: "margin-too-wide"},
        **{"pass": "np.allclose(realised, asked, rtol=0.15, atol=0)"},
    ),
    _wrong_fault(
        "a-hundred-thousandth",
        {EQUAL: "factor-one", LEAPS: "not-one-factor"},
        **{"pass": "np.allclose(realised, asked, rtol=1e-5, atol=0)"},
        lr_group_scale=SCALE.replace("1e-3", "3e-3"),
    ),
    _wrong_fault("one-and-a-half", {LEAPS: "smooth-is-no-leap"}, lr_discontinuous=LEAP.replace("3", "1.5")),
    _wrong_fault(
        "loose-factor",
        {LEAPS: "not-one-factor"},
        lr_group_scale=SCALE.replace("1e-3", "1e-2"),
    ),
]
