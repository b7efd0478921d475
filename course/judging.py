"""Judge's side of a check: draw cases, judge outputs, and say what was wrong in the learner's language.

    result = run_check(check, answer)       # visible cases, all in this process
    if result.wrong: print(explain(result.wrong, check, result.case, texts))

A grader that runs learners' code elsewhere calls `draw_cases` and `judge` here and `course.probing.run_probe`
there.
"""

from __future__ import annotations

import textwrap
import zlib
from dataclasses import dataclass

import numpy as np

from course.check import Check, Wrong, wrong
from course.messages import WIDTH, CourseError, LessonTexts, message
from course.plain import NotPlain, require_plain, same, whole
from course.probing import run_probe
from minigpt.messages import in_digits

DIGITS = 4  # significant ones of a number in a hint


@dataclass(frozen=True)
class Result:
    """What one check found: `wrong` is None when every case passed; `case` is the one that failed."""

    wrong: Wrong | None
    case: dict
    cases: int
    printed: str
    tie: str | None = None


def visible_seed(check: Check) -> int:
    """The seed of the cases that a learner sees: fixed, and different from check to check."""
    return zlib.crc32(check.name.encode())


def draw_cases(check: Check, seed: int) -> list[dict]:
    """Return the check's cases for a seed.

    Raises:
        CourseError: there are none, or one is not a dict of plain data.
    """
    cases = list(check.cases(np.random.default_rng(seed)))
    return _plain_cases(check, cases)


def draw_contrasts(check: Check, seed: int, cases: list[dict]) -> list[dict]:
    """Return the inputs that must not all be answered as one of the cases is; often none.

    Raises:
        CourseError: one is not a dict of plain data.
    """
    contrasts = list(check.contrasts(np.random.default_rng([seed, 1]), cases))
    return _plain_cases(check, contrasts) if contrasts else []


def _plain_cases(check: Check, cases: list[dict]) -> list[dict]:
    for case in cases:
        try:
            require_plain(case)
        except NotPlain as error:
            raise CourseError("check.case-not-plain", check=check.name, what=str(error)) from None
    if not cases or not all(type(case) is dict for case in cases):
        raise CourseError("check.no-cases", check=check.name)
    return cases


def judge(check: Check, case: dict, outcome: dict) -> Wrong | None:
    """Judge what `run_probe` returned; it may come from an untrusted process, so none of it is believed."""
    try:
        failure = require_plain(outcome).get("failure")
        if failure is None:
            return _verdict(check, case, outcome["output"])
        values = {"name": check.answer} | failure["values"]
        if values.keys() & {"key", "code", "self"}:  # `message` takes these for its own
            raise ValueError("values")
        message(failure["key"], **values)  # the judge's own text, with every value that it asks for
        return Wrong(failure["key"], values.pop("expected", None), values.pop("actual", None), values)
    except CourseError:
        raise
    except Exception as error:  # not what `run_probe` and `probe` make
        return Wrong("check.unreadable", values={"name": check.answer, "what": type(error).__name__})


def _gist(check: Check, outcome: dict) -> object:
    """Of a contrast's output, which nobody has judged: an answer that raises there is no constant."""
    try:
        return check.gist(require_plain(outcome)["output"])
    except Exception:
        return {"failure": True}


def _verdict(check: Check, case: dict, output: object) -> Wrong | None:
    fault = check.judge(case, output)
    if fault is not None and not isinstance(fault, Wrong):
        raise CourseError("check.judge-returned", check=check.name, what=type(fault).__name__)
    return fault


def run_check(check: Check, answer: object, seed: int | None = None) -> Result:
    """Run every case, stopping at the first that fails."""
    seed = visible_seed(check) if seed is None else seed
    cases = draw_cases(check, seed)
    contrasts = draw_contrasts(check, seed, cases)
    printed, outcomes = "", []
    for index, case in enumerate([*cases, *contrasts]):
        outcomes.append(run_probe(check, answer, case, (seed + index) % 2**63))
        printed += outcomes[-1]["printed"]
        fault = judge(check, case, outcomes[-1]) if index < len(cases) else None
        if fault is not None:
            return Result(fault, case, len(cases), printed)
    fault = looks_at_nothing(check, outcomes[: len(cases)], outcomes[len(cases) :])
    return Result(fault, cases[-1], len(cases), printed, tie_of(check, outcomes[len(cases) - 1]))


def looks_at_nothing(check: Check, outcomes: list[dict], contrasts: list[dict]) -> Wrong | None:
    """The failure of an answer that passed every case, but answers each contrast as it does a case."""
    given = [check.gist(outcome["output"]) for outcome in outcomes]
    others = [_gist(check, outcome) for outcome in contrasts]
    if not others or not all(any(same(other, output) for output in given) for other in others):
        return None
    return wrong("check.same-for-all", name=check.answer)


def tie_of(check: Check, outcome: dict) -> str | None:
    """What a passed check says has to be the same all over the submission: cut to a line, and only text."""
    tie = check.tie(outcome["output"])
    return " ".join(whole(tie).split())[:200] if type(tie) is str else None


def untied(check: Check, tie: str, first: str) -> Wrong:
    """The failure of a check that passed, but for something else than the first one of the submission."""
    return Wrong("check.untied", values={"name": check.answer, "tie": tie, "first": first})


def explain(fault: Wrong, check: Check, case: dict, texts: LessonTexts, code: str | None = None) -> str:
    """Return the failure as a few lines: what was checked, the likely misconception, expected and actual."""
    values = {key: value for key, value in case.items() if type(value) in (bool, int, float, str)}
    expected, actual = shown_apart(fault.expected, fault.actual)
    values |= fault.values | {"expected": expected, "actual": actual}
    lines = [message("check.failed", code, title=texts.text(check.name, code))]
    lines += texts.text(fault.key, code, **values).splitlines()
    if fault.expected is not None:
        lines.append(message("check.expected", code, value=expected))
    if fault.actual is not None:
        lines.append(message("check.actual", code, value=actual))
    return "\n".join(textwrap.fill(line, WIDTH, subsequent_indent="  ") for line in lines)


def shown_apart(expected: object, actual: object) -> tuple[str, str]:
    """Write two values as `show` does, with more digits where they would read alike and are not equal."""
    for digits in (DIGITS, *range(DIGITS + 2, 18, 2), 17):
        both = show(expected, digits), show(actual, digits)
        if both[0] != both[1]:
            return both
    return show(expected), show(actual)


def show(value: object, digits: int = DIGITS) -> str:
    """Write plain data briefly: a few significant digits, a few elements; 135,488 and not 1.355e+05."""
    if type(value) is float:
        return in_digits(value, f".{digits}g")
    if type(value) is np.ndarray:
        return np.array2string(value, precision=digits, threshold=8, edgeitems=3, separator=", ")
    if type(value) is list:
        shown = ", ".join(show(item, digits) for item in value[:8])
        return f"[{shown}{', …' if len(value) > 8 else ''}]"
    return str(value)
