"""Right and wrong answers to `read_log`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

LOSS, NORM, OTHERS, HEALTHY = (f"read-log/{aspect}" for aspect in ("loss", "norm", "others", "healthy"))


def _read(names='("loss", "grad_norm")', skip='"loss" not in found', found="step - every, step", start="0"):
    return f"""
def read_log(lines, every):
    step = {start}
    for line in lines:
        found = dict(re.findall(r"'(\\w+)': ([^,}}]+)", line))
        if {skip}:
            continue
        step += every
        if not all(math.isfinite(float(found.get(name, 0))) for name in {names}):
            return {found}
    return step, None
"""


ANSWERS = [
    Valid("read-log", "regular-expression", _read()),
    Valid(
        "read-log",
        "eval-with-names",
        """
def read_log(lines, every):
    records = [eval(line, {"nan": math.nan, "inf": math.inf}) for line in lines if line.startswith("{'loss'")]
    for number, record in enumerate(records):
        if not math.isfinite(record["loss"] + record["grad_norm"]):
            return number * every, (number + 1) * every
    return len(records) * every, None
""",
    ),
    Mutant("read-log", "loss-alone", _read('("loss",)'), {NORM: "too-late"}),
    Mutant("read-log", "every-line", _read(skip="False"), {OTHERS: "too-late", HEALTHY: "too-late"}),
    Mutant(
        "read-log",
        "counts-lines",
        _read(found="step // every - 1, step // every"),
        {LOSS: "lines-not-steps", NORM: "lines-not-steps", OTHERS: "lines-not-steps"},
    ),
    Mutant(
        "read-log",
        "first-line-is-step-0",
        _read(start="-every"),
        {LOSS: "from-zero", NORM: "from-zero", OTHERS: "from-zero", HEALTHY: "from-zero"},
    ),
    Mutant(
        "read-log",
        "nan-in-any-record",
        """
def read_log(lines, every):
    step = 0
    for line in lines:
        if line.startswith("{") and ("nan" in line or "inf" in line):
            return step, step + every
        step += every * line.startswith("{'loss'")
    return step, None
""",
        {OTHERS: "too-early", HEALTHY: "false-alarm"},
    ),
    Mutant(
        "read-log",
        "looks-at-nothing",
        """
def read_log(lines, every):
    count = sum(line.startswith("{'loss'") for line in lines)
    return count * every, None
""",
        {LOSS: "nothing-seen", NORM: "nothing-seen", OTHERS: "nothing-seen", HEALTHY: "check.same-for-all"},
    ),
    Mutant(
        "read-log",
        "same-step-twice",
        _read(found="step, step"),
        {LOSS: "good-off", NORM: "good-off", OTHERS: "good-off"},
    ),
]
