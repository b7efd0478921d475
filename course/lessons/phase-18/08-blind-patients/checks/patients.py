"""Checks of `patient-a` to `patient-f`: their charts. The judge trains patient and repair by itself."""

import math

from course.check import Check, number, wrong
from course.grade.ward import leaves, sick_parts
from course.patients import PARTS, SETTINGS, ward
from minigpt.diagnosis import Verdict
from minigpt.faults import FAULTS
from minigpt.messages import MiniGPTError, nearest

LEAVES = sorted({fault.leaf for fault in FAULTS.values()})

NEAR = 0.02  # relative: a figure may be rounded to two or three digits


class _Chart(Check):
    """One patient's chart, a dict of plain data; it names its ward, so the judge needs nothing else."""

    letter: str
    written_out = True

    def cases(self, rng):
        yield {"letter": self.letter}

    def probe(self, answer, case):
        if not isinstance(answer, dict):
            return {"chart": {}}
        name = answer.get("name")
        chart = {"name": name[:200] if isinstance(name, str) else ""}
        for key in ("leaves", "parts"):
            items = answer.get(key, ())
            chart[key] = [str(item)[:60] for item in ([items] if isinstance(items, str) else items or ())]
        evidence = answer.get("evidence") or ()
        evidence = [evidence] if isinstance(evidence, str) else list(evidence)
        chart["question"] = str(evidence[0])[:20] if evidence else ""
        chart["figure"] = number(evidence[1]) if len(evidence) > 1 else None
        settings = answer.get("settings") or {}
        chart["settings"] = {str(key)[:60]: number(settings[key]) for key in settings}
        return {"chart": chart}

    def judge(self, case, output):
        chart = output["chart"]
        if not chart or not chart["name"].strip():
            return wrong("not-a-chart")
        patient = ward(chart["name"])[case["letter"]]
        return self._leaves(patient, chart) or self.found(patient, chart)

    def _leaves(self, patient, chart):
        given, true = set(chart["leaves"]), leaves(patient)
        for leaf in chart["leaves"]:
            if leaf not in LEAVES:
                return wrong("no-such-leaf", leaf=leaf, hint=nearest(leaf, LEAVES))
        if given == true:
            return None
        if not true:
            return wrong("healthy-called-sick", leaf=min(given))
        if not given:
            return wrong("sick-called-healthy")
        if given < true:
            return wrong("one-more-behind", leaf=min(given))
        return wrong("one-too-many" if given > true else "other-leaf", leaf=min(given - true))

    def tie(self, output):
        return output["chart"]["name"].casefold()

    def found(self, patient, chart):
        """What is wrong with the chart besides its leaves, or None."""
        raise NotImplementedError


class _Leaf(_Chart):
    def found(self, patient, chart):
        return None


class _Evidence(_Chart):
    def found(self, patient, chart):
        walk = patient.walk()
        end, question = walk.end, chart["question"]
        findings = {finding.question: finding for finding in walk.findings}
        if question not in findings:
            return wrong("no-such-question", question=question or "–")
        if end is not None and question != end.question:
            return wrong("other-question", question=question)
        finding = findings[question]
        if end is None and finding.verdict is Verdict.NOT_MEASURED:
            return wrong("not-measured", question=question)
        figures = [float(value) for value in finding.values.values() if type(value) in (int, float)]
        given = chart["figure"]
        if given is None:
            return wrong("no-figure", question=question)
        if not any(math.isclose(given, figure, rel_tol=NEAR, abs_tol=1e-9) for figure in figures):
            return wrong("other-figure", actual=given, question=question)
        return None


class _Repair(_Chart):
    def found(self, patient, chart):
        sick, parts, settings = sick_parts(patient), chart["parts"], chart["settings"]
        for part in parts:
            if part not in PARTS:
                return wrong("no-such-part", part=part, hint=nearest(part, PARTS))
        for setting in settings:
            if setting not in SETTINGS:
                return wrong("no-such-setting", setting=setting, settings=", ".join(SETTINGS))
        healthy = [part for part in parts if part not in sick]
        if healthy:
            return wrong("healthy-part-exchanged", part=healthy[0])
        if settings and "config" not in sick:
            return wrong("healthy-setting-changed", setting=min(settings))
        try:
            walk = patient.walk(parts, settings)
        except MiniGPTError as error:
            return wrong("setting-refused", why=str(error))
        if walk.end is not None:
            return wrong("still-sick", leaf=walk.leaf or "–", question=walk.end.question)
        return None


class LeafA(_Leaf):
    name, answer, letter = "patient-a/leaf", "patient_a", "A"


class EvidenceA(_Evidence):
    name, answer, letter = "patient-a/evidence", "patient_a", "A"


class RepairA(_Repair):
    name, answer, letter = "patient-a/repair", "patient_a", "A"


class LeafB(_Leaf):
    name, answer, letter = "patient-b/leaf", "patient_b", "B"


class EvidenceB(_Evidence):
    name, answer, letter = "patient-b/evidence", "patient_b", "B"


class RepairB(_Repair):
    name, answer, letter = "patient-b/repair", "patient_b", "B"


class LeafC(_Leaf):
    name, answer, letter = "patient-c/leaf", "patient_c", "C"


class EvidenceC(_Evidence):
    name, answer, letter = "patient-c/evidence", "patient_c", "C"


class RepairC(_Repair):
    name, answer, letter = "patient-c/repair", "patient_c", "C"


class LeafD(_Leaf):
    name, answer, letter = "patient-d/leaf", "patient_d", "D"


class EvidenceD(_Evidence):
    name, answer, letter = "patient-d/evidence", "patient_d", "D"


class RepairD(_Repair):
    name, answer, letter = "patient-d/repair", "patient_d", "D"


class LeafE(_Leaf):
    name, answer, letter = "patient-e/leaf", "patient_e", "E"


class EvidenceE(_Evidence):
    name, answer, letter = "patient-e/evidence", "patient_e", "E"


class RepairE(_Repair):
    name, answer, letter = "patient-e/repair", "patient_e", "E"


class LeafF(_Leaf):
    name, answer, letter = "patient-f/leaf", "patient_f", "F"


class EvidenceF(_Evidence):
    name, answer, letter = "patient-f/evidence", "patient_f", "F"


class RepairF(_Repair):
    name, answer, letter = "patient-f/repair", "patient_f", "F"
