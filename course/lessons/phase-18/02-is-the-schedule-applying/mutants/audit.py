"""Right and wrong answers to `audit`; each wrong one names the checks it fails, and why."""

from course.mutants import Mutant, Valid

AUDIT = [f"audit/{aspect}" for aspect in ("every-group", "micro-batches", "one-group-right", "two-faults")]
EVERY, UNIT, ONE_RIGHT, TWO = AUDIT


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
        dict.fromkeys((EVERY, ONE_RIGHT, TWO), "first-group-only"),
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
    Mutant(
        "audit",
        "one-explained-all-explained",
        _audit().replace(
            "for group in found:\n            if fault(group, longer)",
            "for group in found:\n            if min(fault(other, longer) for other in found)",
        ),
        {TWO: "flat-is-not-stretched"},
    ),
    _wrong_audit(
        "all-or-none",
        {TWO: "stretched-and-scaled"},
        stretched='and all(fault(g, longer) in ("pass", "lr-group-scale") for g in rates)',
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
    Mutant(
        "audit",
        "its-own-schedule",
        _audit().replace("schedule(step, settings)", "lr_at(step, settings)"),
        {EVERY: "own-schedule", UNIT: "own-schedule"},
    ),
    Mutant(
        "audit",
        "its-own-schedule-when-stretched",
        _audit().replace(
            "schedule(step, settings)", "(schedule if settings is config else lr_at)(step, settings)"
        ),
        {UNIT: "own-schedule"},
    ),
]
