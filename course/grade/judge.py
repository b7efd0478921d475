"""Grade one submission: draw cases, ask the workshop, judge what comes back, give points.

    result = grade(student, submission, release, workshop, secret)     # plain data, ready for a result file

Points only for a complete record: every case of a check was answered and every judgement passed. The seed of
a submission's cases follows from the course's secret, assignment, student and release, so a regrade draws the
same, and nobody can look them up.
"""

from __future__ import annotations

import hashlib
import hmac

from nbformat import NotebookNode

from course.cells import needed
from course.check import Check
from course.grade.answer import Answers
from course.grade.calls import known
from course.grade.delegation import delegates
from course.grade.normalise import HandedIn
from course.grade.workshop import PATIENCE, Workshop
from course.judging import draw_cases, draw_contrasts, explain, judge, looks_at_nothing, tie_of, untied
from course.lesson import Lesson
from course.messages import CourseError, message
from course.plain import whole


def seed_of(secret: bytes, assignment: str, student: str, revision: str) -> int:
    """The seed of all the cases of one submission: nobody without the course's secret can compute it."""
    text = "\0".join((assignment, student, revision))
    return int.from_bytes(hmac.digest(secret, text.encode(), "sha256")[:6], "big")


def probe_seed(seed: int, check: str, index: int) -> int:
    """What torch is seeded with where a case is probed: `torch.initial_seed()` tells it to the answer.

    So nothing may follow from it: from a submission's seed all its cases do, with what they expect.
    """
    text = f"{seed}/{check}/{index}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def grade(
    student: str, handed_in: HandedIn, release: NotebookNode, workshop: Workshop, secret: bytes = b""
) -> dict:
    """Grade what was handed in; return points, verdicts and notes (message key, values) as plain data."""
    lesson = workshop.lesson
    code = handed_in.language or "en"
    seed = seed_of(secret, lesson.assignment, student, lesson.revision)
    result = {"student": student, "language": code, "seed": seed, "level": workshop.level, "checks": {}}
    result["filtered"] = known()
    result["problem"] = handed_in.problem
    result["retry"] = handed_in.problem is not None and handed_in.problem[0] == "grade.failed"
    result["timestamp"] = handed_in.timestamp
    result["notes"] = list(handed_in.notes)
    result["cells"] = handed_in.cells
    result["waited"] = {}
    answers = Answers(handed_in, release, lesson.checks)
    for exercise in dict.fromkeys(check.exercise for check in lesson.checks.values()):
        checks = [check for check in lesson.checks.values() if check.exercise == exercise]
        refused = answers.refused(exercise)
        if refused:
            failure = {"key": refused[0], "values": refused[1]}
            outcome = {check.name: [{"failure": failure}] for check in checks}
        else:
            helper = delegates(handed_in.cells.get(exercise, ""))
            if helper:
                result["notes"].append(("grade.delegates", {"exercise": exercise, "what": helper}))
            patience = PATIENCE - sum(result["waited"].values())
            outcome, given, busy = _ask(checks, answers, exercise, seed, workshop, patience)
            if given:
                result["waited"][exercise] = given
            if busy:  # no verdict stands on that: the next run grades it again
                result["notes"].append(("grade.busy", {"exercise": exercise}))
                result["retry"] = True
        for check in checks:
            result["checks"][check.name] = verdict_of(check, outcome[check.name], seed, lesson, code)
    _hold_together(result, lesson, code)
    points = {cell.id: cell.metadata.nbgrader.points for cell in release.cells if _is_check(cell)}
    for name, verdict in result["checks"].items():
        verdict["points"] = float(points[name.replace("/", "_")]) if verdict["passed"] else 0.0
    result["points"] = sum(verdict["points"] for verdict in result["checks"].values())
    result["maximum"] = float(sum(points.values()))
    return result


def cases_of(check: Check, seed: int, workshop: Workshop) -> list[dict]:
    """The cases as a question gets them: only what the probe reads."""
    keys = workshop.keys(check)
    cases = []
    drawn = draw_cases(check, seed)
    for index, case in enumerate([*drawn, *draw_contrasts(check, seed, drawn)]):
        read = keys if keys is not None else case.keys() - {"expected"}
        sent = {name: value for name, value in case.items() if name in read}
        cases.append({"check": check.name, "case": sent, "seed": probe_seed(seed, check.name, index)})
    return cases


def require_reference(exercise: str, solutions: dict[str, str], workshop: Workshop) -> None:
    """Grade the reference solution of one exercise.

    Raises:
        CourseError: it fails a check, so that check says nothing about anybody's answer.
    """
    lesson = workshop.lesson
    checks = [check for check in lesson.checks.values() if check.exercise == exercise]
    cases = [case for check in checks for case in cases_of(check, 1, workshop)]
    outcomes = _by_check(
        checks, cases, workshop.ask(needed(solutions, exercise, workshop.given), cases, PATIENCE)
    )
    for check in checks:
        verdict = verdict_of(check, outcomes[check.name], 1, lesson, "en")
        if not verdict["passed"]:
            raise CourseError("grade.reference-fails", check=check.name, why=verdict["text"])


def _ask(checks, answers, exercise, seed, workshop, patience) -> tuple[dict[str, list[dict]], float, bool]:
    """The outcomes by check, the seconds given on top, and whether those were too few."""
    cases = [case for check in checks for case in cases_of(check, seed, workshop)]
    outcomes = workshop.ask(answers.cells(exercise, workshop.given), cases, patience)
    given = max((outcome.get("given", 0.0) for outcome in outcomes), default=0.0)
    return _by_check(checks, cases, outcomes), given, any(outcome.get("busy") for outcome in outcomes)


def _by_check(checks: list[Check], cases: list[dict], outcomes: list[dict]) -> dict[str, list[dict]]:
    by_check: dict[str, list[dict]] = {check.name: [] for check in checks}
    for case, outcome in zip(cases, outcomes, strict=False):
        by_check[case["check"]].append(outcome)
    if outcomes and "failure" in outcomes[-1]:
        for found in by_check.values():
            found += [] if found else outcomes[-1:]  # the question ended before this check: say why
    return by_check


def verdict_of(check: Check, outcomes: list[dict], seed: int, lesson: Lesson, code: str) -> dict:
    """Judge a check's record; without an outcome for every case there are no points."""
    cases = draw_cases(check, seed)
    contrasts = draw_contrasts(check, seed, cases)
    printed = ""
    for case, outcome in zip(cases, outcomes, strict=False):
        if isinstance(outcome.get("printed"), str):
            printed += whole(outcome["printed"])[: 2_000 - len(printed)]
        fault = judge(check, case, outcome)
        if fault is not None:
            text = whole(explain(fault, check, case, lesson.texts, code))
            return {"passed": False, "key": fault.key, "text": text, "printed": printed}
    if len(outcomes) != len(cases) + len(contrasts):
        text = message("grade.ended", code)
        return {"passed": False, "key": "grade.ended", "text": text, "printed": printed}
    fault = looks_at_nothing(check, outcomes[: len(cases)], outcomes[len(cases) :])
    if fault is not None:
        text = whole(explain(fault, check, cases[-1], lesson.texts, code))
        return {"passed": False, "key": fault.key, "text": text, "printed": printed}
    text = message("check.passed", code, title=lesson.texts.text(check.name, code))
    tie = tie_of(check, outcomes[len(cases) - 1])
    return {"passed": True, "key": None, "text": text, "printed": printed} | ({"tie": tie} if tie else {})


def _hold_together(result: dict, lesson: Lesson, code: str) -> None:
    """Fail what passed for something else than the first check of the submission did; tell what that was."""
    ties = {name: verdict["tie"] for name, verdict in result["checks"].items() if "tie" in verdict}
    first = next(iter(ties.values()), None)
    if first is not None:
        result["notes"].append(("grade.tie", {"tie": first}))
    for name, tie in ties.items():
        if tie != first:
            fault = untied(lesson.checks[name], tie, first)
            text = whole(explain(fault, lesson.checks[name], {}, lesson.texts, code))
            result["checks"][name] |= {"passed": False, "key": fault.key, "text": text}


def _is_check(cell: NotebookNode) -> bool:
    facts = cell.metadata.get("nbgrader", {})
    return bool(facts.get("grade")) and not facts.get("solution")
