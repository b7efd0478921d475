"""Checks of `patient-a` to `patient-f`: their charts. The judge trains patient and repair by itself."""

from course.charts import as_plain
from course.check import Check, wrong
from course.grade.charts import evidence_fault, leaves_fault, repair_fault
from course.patients import ward


class _Chart(Check):
    """One patient's chart, a dict of plain data; it names its ward, so the judge needs nothing else."""

    letter: str
    written_out = True

    def cases(self, rng):
        yield {"letter": self.letter}

    def probe(self, answer, case):
        return {"chart": as_plain(answer)}

    def judge(self, case, output):
        chart = output["chart"]
        if not chart or not chart["name"].strip():
            return wrong("charts.not-a-chart")
        patient = ward(chart["name"], "18-08")[case["letter"]]
        return leaves_fault(patient, chart) or self.found(patient, chart)

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
        return evidence_fault(patient, chart)


class _Repair(_Chart):
    def found(self, patient, chart):
        return repair_fault(patient, chart)


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
