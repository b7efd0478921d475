"""Right and wrong answers to `start-verdict`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

HEALTHY, HIGH, LOW, NAN = (f"start-verdict/{aspect}" for aspect in ("healthy", "high", "low", "nan"))


def _verdict(*lines):
    return "\n    ".join(("def start_verdict(loss, vocab_size):", *lines))


BANDS = (
    'if delta < -0.5: return "too-low"',
    'if delta <= 0.5: return "pass"',
    'if delta <= 1.76: return "warn"',
    'return "too-high"',
)
DELTA = "delta = loss - math.log(vocab_size)"
UNKNOWN = 'if math.isnan(loss): return "unknown"'

ANSWERS = [
    Valid("start-verdict", "chain", _verdict(DELTA, UNKNOWN, *BANDS)),
    Valid(
        "start-verdict",
        "unknown-last",
        _verdict(
            DELTA,
            'if delta > 1.76: return "too-high"',
            'if delta > 0.5: return "warn"',
            'if delta >= -0.5: return "pass"',
            'return "too-low" if delta < -0.5 else "unknown"',
        ),
    ),
    Mutant("start-verdict", "no-nan", _verdict(DELTA, *BANDS), {NAN: "nan-named"}),
    Mutant(
        "start-verdict",
        "nan-falls-through",
        _verdict(
            DELTA,
            'if delta < -0.5: return "too-low"',
            'if delta > 1.76: return "too-high"',
            'return "warn" if delta > 0.5 else "pass"',
        ),
        {NAN: "nan-passes"},
    ),
    Mutant(
        "start-verdict",
        "limits-of-512",
        _verdict(
            UNKNOWN,
            'if loss < 5.738: return "too-low"',
            'if loss <= 6.738: return "pass"',
            'return "warn" if loss <= 7.998 else "too-high"',
        ),
        dict.fromkeys((HEALTHY, HIGH, LOW), "fixed-limits"),
    ),
    Mutant(
        "start-verdict",
        "absolute",
        _verdict(
            UNKNOWN,
            "delta = abs(loss - math.log(vocab_size))",
            'if delta <= 0.5: return "pass"',
            'return "warn" if delta <= 1.76 else "too-high"',
        ),
        {LOW: "low-is-not-high"},
    ),
    Mutant(
        "start-verdict",
        "only-high",
        _verdict(
            UNKNOWN,
            DELTA,
            'if delta <= 0.5: return "pass"',
            'return "warn" if delta <= 1.76 else "too-high"',
        ),
        {LOW: "low-is-not-fine"},
    ),
    Mutant(
        "start-verdict",
        "no-warning",
        _verdict(
            UNKNOWN,
            DELTA,
            'if delta < -0.5: return "too-low"',
            'return "pass" if delta <= 1.76 else "too-high"',
        ),
        {HIGH: "high-let-through"},
    ),
    Mutant(
        "start-verdict",
        "no-tolerance",
        _verdict(
            UNKNOWN,
            DELTA,
            'if delta < 0: return "too-low"',
            'return "warn" if delta <= 1.76 else "too-high"',
        ),
        {HEALTHY: "chance-refused"},
    ),
    Mutant(
        "start-verdict",
        "never-warns",
        _verdict(
            UNKNOWN,
            DELTA,
            'if delta < -0.5: return "too-low"',
            'return "pass" if delta <= 0.5 else "too-high"',
        ),
        {HIGH: "wrong-band"},
    ),
    Mutant(
        "start-verdict",
        "two-for-1.76",
        _verdict(UNKNOWN, DELTA, *BANDS[:2], 'return "warn" if delta <= 2 else "too-high"'),
        {HIGH: "wrong-band"},
    ),
    Mutant(
        "start-verdict",
        "a-little-wide",
        _verdict(UNKNOWN, DELTA, 'if delta < -0.55: return "too-low"', *BANDS[1:]),
        {LOW: "low-is-not-fine"},
    ),
    Mutant(
        "start-verdict",
        "a-little-narrow",
        _verdict(UNKNOWN, DELTA, BANDS[0], 'if delta <= 0.45: return "pass"', *BANDS[2:]),
        {HEALTHY: "chance-refused"},
    ),
    Mutant(
        "start-verdict",
        "infinity-unknown",
        _verdict('if not math.isfinite(loss): return "unknown"', DELTA, *BANDS),
        {HIGH: "infinity-is-known"},
    ),
    Mutant(
        "start-verdict",
        "own-words",
        _verdict(UNKNOWN, DELTA, 'return "ok" if abs(delta) <= 0.5 else "bad"'),
        dict.fromkeys((HEALTHY, HIGH, LOW), "not-a-verdict"),
    ),
]
