"""Judge a blind patient's chart: its leaves, its evidence, its repair. The judge trains by itself.

    leaves_fault(patient, chart)       # None, or what is wrong; `chart` is a `course.charts.as_plain`

Evidence is a question and a value that it showed of this patient: not one that it shows of all six, nor, of a
sick one, a value that it shows of the healthy one too. It counts as it was measured and as it was printed:
"100 %" or 100 for a share of 1.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from course.check import Wrong, wrong
from course.grade.ward import leaves, sick_parts, sick_settings
from course.patients import PARTS, SETTINGS, Patient, ward
from minigpt.diagnosis import Finding, Verdict
from minigpt.diagnosis.report import seen_key
from minigpt.faults import FAULTS
from minigpt.messages import CATALOGUE, LANGUAGES, MiniGPTError, nearest

LEAVES = sorted({fault.leaf for fault in FAULTS.values()})
NEAR = 0.02  # relative: a figure may be rounded to two or three digits
_MINUS = str.maketrans({"−": "-", ",": "", "\u00a0": "", "\u202f": "", " ": ""})


def leaves_fault(patient: Patient, chart: dict) -> Wrong | None:
    """Return what is wrong with the diagnosis: the right leaves, all of them and no other."""
    given, true = set(chart["leaves"]), leaves(patient)
    for leaf in chart["leaves"]:
        if leaf not in LEAVES:
            return wrong("charts.no-such-leaf", leaf=leaf, hint=nearest(leaf, LEAVES))
    if given == true:
        return None
    if not true:
        return wrong("charts.healthy-called-sick", leaf=min(given), name=chart["name"])
    if not given:
        return wrong("charts.sick-called-healthy")
    if given < true:
        return wrong("charts.one-more-behind", leaf=min(given))
    other = min(given - true)
    if given > true:
        return wrong("charts.one-too-many", leaf=other)
    return wrong("charts.other-leaf", leaf=other, name=chart["name"])


def evidence_fault(patient: Patient, chart: dict) -> Wrong | None:
    """Return what is wrong with the evidence: the deciding question, and a value of this patient's own."""
    walk = patient.walk()
    end, question, given = walk.end, chart["question"], chart["figure"]
    findings = {finding.question: finding for finding in walk.findings}
    if question not in findings:
        return wrong("charts.no-such-question", question=question or "–")
    if end is not None and question != end.question:
        return wrong("charts.other-question", question=question)
    finding = findings[question]
    if finding.verdict is Verdict.NOT_MEASURED:
        return wrong("charts.not-measured", question=question)
    if given is None:
        return wrong("charts.no-figure", question=question)
    named = [name for name in finding.values if _fits(given, finding, name)]
    if not named:
        return wrong("charts.other-figure", actual=given, question=question)
    if _says_nothing(patient, question).issuperset(named):
        return wrong("charts.says-nothing", actual=given, question=question)
    return None


def repair_fault(patient: Patient, chart: dict) -> Wrong | None:
    """Return what is wrong with the repair: only what is broken is replaced, and the run is healthy then."""
    sick, parts, settings = sick_parts(patient), chart["parts"], chart["settings"]
    changeable = SETTINGS[patient.lesson]
    for part in parts:
        if part not in PARTS:
            return wrong("charts.no-such-part", part=part, hint=nearest(part, PARTS))
    for setting, value in settings.items():
        if setting not in changeable:
            return wrong("charts.no-such-setting", setting=setting, settings=", ".join(changeable))
        if value is None:
            return wrong("charts.setting-without-value", setting=setting)
    healthy = [part for part in parts if part not in sick]
    if healthy:
        return wrong("charts.healthy-part-exchanged", part=healthy[0])
    if right := sorted(settings.keys() - sick_settings(patient)):
        return wrong("charts.healthy-setting-changed", setting=right[0])
    try:
        walk = patient.walk(parts, settings)
    except MiniGPTError as error:
        return wrong("charts.setting-refused", why=str(error))
    if walk.end is not None:
        return wrong("charts.still-sick", leaf=walk.leaf or "–", question=walk.end.question)
    return None


def _fits(given: float | str, finding: Finding, name: str) -> bool:
    """Whether what was given is the value of that name, as it was measured or as it was printed."""
    value = finding.values[name]
    if value is None:
        return False
    if isinstance(value, str):
        told = given.strip().casefold() if isinstance(given, str) else None
        return told == value.casefold() and value != "–"
    number = _number(given)
    if number is None:
        return False
    figures = [float(value), *_printed(finding, name)]
    return any(math.isclose(number, figure, rel_tol=NEAR, abs_tol=1e-9) for figure in figures)


def _number(given: float | str) -> float | None:
    """Return a figure that was copied as it was printed: `"100 %"`, `"1,234"`, `"−0.3"`."""
    if not isinstance(given, str):
        return float(given)
    try:
        return float(given.translate(_MINUS).removesuffix("%"))
    except ValueError:
        return None


def _printed(finding: Finding, name: str) -> Iterator[float]:
    """Yield the numbers that its sentences print for a value: 100 where a share of 1 stands as 100 %."""
    for code in LANGUAGES:
        for _, field, spec, _ in string.Formatter().parse(CATALOGUE.template(seen_key(finding), code)):
            if field == name and spec:
                number = _number(format(finding.values[name], spec))
                if number is not None:
                    yield number


@lru_cache(maxsize=1024)
def _says_nothing(patient: Patient, question: str) -> frozenset[str]:
    """Return the values of a question that are the same for all six, or that the healthy one has as well."""
    asked = {other: _asked(other, question) for other in ward(patient.name, patient.lesson).values()}
    own = asked[patient]
    others = [values for other, values in asked.items() if other != patient and values]
    healthy = [values for other, values in asked.items() if other != patient and values and not leaves(other)]
    sick = bool(leaves(patient))

    def shown(values: Mapping[str, Any], name: str) -> object:
        """What was measured at another step is another value: a rate is the right one at step 0 alone."""
        value = values.get(name)
        return (value, values.get("step")) if sick and isinstance(value, float) else value

    return frozenset(
        name
        for name in own
        for group in (others, healthy)
        if group and all(shown(values, name) == shown(own, name) for values in group)
    )


def _asked(patient: Patient, question: str) -> Mapping[str, Any]:
    return next((f.values for f in patient.walk().findings if f.question == question), {})
