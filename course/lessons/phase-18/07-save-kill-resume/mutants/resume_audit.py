"""Right and wrong answers to `resume-audit`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

NOTHING, OPTIMIZER, SCHEDULE, SCALER, SEVERAL = (
    f"resume-audit/{aspect}" for aspect in ("nothing", "optimizer", "schedule", "scaler", "several")
)


def _audit(
    update='first["update"] > 0.9',
    rate='not math.isclose(first["lr"], asked, rel_tol=1e-3)',
    scale='not 0.5 <= first["scale"] / last["scale"] <= 2',
    returns="lost",
):
    return f"""
def resume_audit(last, first, asked):
    lost = []
    if {update}:
        lost.append("optimizer")
    if {rate}:
        lost.append("schedule")
    if {scale}:
        lost.append("scaler")
    return {returns}
"""


ANSWERS = [
    Valid("resume-audit", "set", _audit(returns="set(lost)")),
    Valid(
        "resume-audit",
        "comprehension",
        """
def resume_audit(last, first, asked):
    signs = {
        "scaler": abs(math.log2(first["scale"] / last["scale"])) > 1.5,
        "schedule": abs(first["lr"] / asked - 1) > 0.001,
        "optimizer": first["update"] > 0.9,
    }
    return [name for name, lost in signs.items() if lost]
""",
    ),
    Mutant(
        "resume-audit",
        "compares-with-last-rate",
        _audit(rate='first["lr"] != last["lr"]'),
        dict.fromkeys((NOTHING, OPTIMIZER, SCALER), "schedule-false-alarm"),
    ),
    Mutant(
        "resume-audit",
        "scale-must-stand-still",
        _audit(scale='first["scale"] != last["scale"]'),
        dict.fromkeys((NOTHING, OPTIMIZER, SCHEDULE), "scaler-false-alarm"),
    ),
    Mutant(
        "resume-audit",
        "update-must-be-small",
        _audit(update='first["update"] < 0.01'),
        dict.fromkeys((OPTIMIZER, SEVERAL), "optimizer-missed"),
    ),
    Mutant(
        "resume-audit",
        "only-slower",
        _audit(rate='first["lr"] < 0.99 * asked'),
        dict.fromkeys((SCHEDULE, SEVERAL), "schedule-missed"),
    ),
    Mutant(
        "resume-audit",
        "no-scaler",
        _audit(scale="False"),
        dict.fromkeys((SCALER, SEVERAL), "scaler-missed"),
    ),
    Mutant("resume-audit", "first-found", _audit(returns="lost[:1]"), {SEVERAL: "scaler-missed"}),
    Mutant(
        "resume-audit",
        "one-string",
        _audit(returns='", ".join(lost)'),
        dict.fromkeys((NOTHING, OPTIMIZER, SCHEDULE, SCALER, SEVERAL), "not-a-list-of-parts"),
    ),
    Mutant(
        "resume-audit",
        "always-optimizer",
        _audit(update="True"),
        dict.fromkeys((NOTHING, SCHEDULE, SCALER), "optimizer-false-alarm"),
    ),
]
