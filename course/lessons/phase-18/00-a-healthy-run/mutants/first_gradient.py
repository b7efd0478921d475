"""Right and wrong answers to `first-gradient`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

HEALTHY, ODD, BROKEN, NOT_MEASURED = [
    f"first-gradient/{aspect}" for aspect in ("healthy", "odd", "broken", "not-measured")
]


def _gradient(name, fails, *questions, find="next((r for r in records if r['step'] == 0), {})"):
    lines = [
        "def first_gradient(records):",
        f"norm = {find}.get('grad_norm')",
        "if norm is None: return 'not measured'",
        *(questions or QUESTIONS),
    ]
    code = "\n    ".join(lines)
    return Mutant("first-gradient", name, code, fails) if fails else Valid("first-gradient", name, code)


QUESTIONS = (
    "if not 0.001 <= norm <= 100: return 'fail'",
    "if norm > 10 or norm < 0.1: return 'warn'",
    "return 'pass'",
)

ANSWERS = [
    _gradient("questions", {}),
    _gradient(
        "bands",
        {},
        "bands = {(0.1, 10): 'pass', (0.001, 100): 'warn'}",
        "return next((word for (low, high), word in bands.items() if low <= norm <= high), 'fail')",
    ),
    _gradient(
        "last-record",
        {
            HEALTHY: "other-steps",
            ODD: "odd-passes",
            BROKEN: "large-let-through",
            NOT_MEASURED: "begins-later",
        },
        find="records[-1]",
    ),
    _gradient("first-record", {NOT_MEASURED: "begins-later"}, find="records[0]"),
    _gradient(
        "no-lower-limit",
        {ODD: "small-passes", BROKEN: "small-let-through"},
        "return 'fail' if not norm <= 100 else 'warn' if norm > 10 else 'pass'",
    ),
    _gradient("two-words", {ODD: "odd-refused"}, "return 'pass' if 0.1 <= norm <= 10 else 'fail'"),
    _gradient("no-warning", {ODD: "odd-passes"}, "return 'pass' if 0.001 <= norm <= 100 else 'fail'"),
    _gradient(
        "narrow", {HEALTHY: "healthy-refused"}, QUESTIONS[0], "return 'pass' if 1 <= norm <= 10 else 'warn'"
    ),
    _gradient("own-words", {HEALTHY: "not-a-verdict"}, *QUESTIONS[:2], "return 'fine'"),
    _gradient(
        "step-0-taken-for-granted",
        {NOT_MEASURED: "check.raised-at"},
        find="[r for r in records if r['step'] == 0][0]",
    ),
    _gradient(
        "made-up-norm",
        {NOT_MEASURED: "no-norm"},
        find="next(({'grad_norm': 1.0} | r for r in records if r['step'] == 0), {})",
    ),
    _gradient(
        "zero-is-no-norm",
        {BROKEN: "zero-not-measured"},
        "if not norm: return 'not measured'",
        *QUESTIONS,
    ),
    _gradient(
        "first-record-taken-for-granted",
        {NOT_MEASURED: "check.raised-at"},
        find="(records[0] if records[0]['step'] == 0 else {})",
    ),
    _gradient(
        "empty-log-passes",
        {NOT_MEASURED: "empty-log"},
        find="({'grad_norm': 1.0} if not records else next((r for r in records if r['step'] == 0), {}))",
    ),
    _gradient(
        "nan-is-no-norm",
        {BROKEN: "nan-not-measured"},
        "if math.isnan(norm): return 'not measured'",
        *QUESTIONS,
    ),
    _gradient(
        "nan-passes",
        {BROKEN: "nan-let-through"},
        "if norm > 100 or norm < 0.001: return 'fail'",
        "if norm > 10 or norm < 0.1: return 'warn'",
        "return 'pass'",
    ),
    _gradient(
        "infinity-is-no-norm",
        {BROKEN: "large-let-through"},
        "if math.isinf(norm): return 'not measured'",
        *QUESTIONS,
    ),
]
