"""Change every constant and comparison of a reference solution, one at a time: does a check notice?

    course check --mutate 18-01

A change that no check of its exercise notices is a finding: draw a case on the other side of that number or,
if the changed answer is as right as the first, list it in `mutants/equivalent.yaml` with the reason:

    masked-mean:
      "return kept.sum() / mask.sum().clamp(min=1) → return kept.sum() / mask.sum().clamp(min=2)": reason
"""

from __future__ import annotations

import ast
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from course.lesson import Lesson
from course.messages import message
from course.notebook import undisturbed
from course.trial import Report, Trial

SECONDS = 20  # of computing that a changed answer may take: a changed bound can make a loop endless

_NEGATED = {
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_NUDGED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}


def changes(source: str) -> Iterator[tuple[str, str]]:
    """Every changed source, and what was changed in a line: "before → after"."""
    before = ast.unparse(ast.parse(source))
    for index, node in enumerate(ast.walk(ast.parse(source))):
        for variant in range(_variants(node)):
            tree = ast.parse(source)
            _change(list(ast.walk(tree))[index], variant)
            after = ast.unparse(ast.fix_missing_locations(tree))
            lines = zip(before.splitlines(), after.splitlines(), strict=False)
            yield " → ".join(next((a.strip(), b.strip()) for a, b in lines if a != b)), after


def _variants(node: ast.AST) -> int:
    if isinstance(node, ast.Constant):
        return 2 if type(node.value) in (int, float) else 0
    if isinstance(node, ast.Compare):
        return len(node.ops) + sum(type(op) in _NUDGED for op in node.ops)
    return 0


def _change(node: ast.AST, variant: int) -> None:
    if isinstance(node, ast.Constant):
        whole = type(node.value) is int or node.value == 0
        node.value = (
            node.value + (1, -1)[variant] if whole else float(f"{node.value * (2, 0.5)[variant]:.6g}")
        )
        return
    tables = [(place, _NEGATED) for place in range(len(node.ops))]
    tables += [(place, _NUDGED) for place, op in enumerate(node.ops) if type(op) in _NUDGED]
    place, table = tables[variant]
    node.ops[place] = table[type(node.ops[place])]()


def mutate(lesson: Lesson) -> tuple[Report, str]:
    """Change the lesson's reference solutions; return what was not caught, and a sentence with the counts."""
    report, counts = Report(lesson.assignment), {"mutated": 0, "caught": 0, "equivalent": 0}
    listed = _listed(lesson)
    with undisturbed():
        trial = Trial(lesson)
        for exercise, cell in trial.exercises.items():
            known, met = listed.get(exercise, {}), set()
            for change, code in changes(cell.text):
                counts["mutated"] += 1
                if _caught(trial, exercise, code):
                    counts["caught"] += 1
                elif change in known:
                    met.add(change)
                    counts["equivalent"] += 1
                else:
                    report.add("not-caught", exercise=exercise, change=change)
            for change in known.keys() - met:
                report.add("equivalent-unknown", exercise=exercise, change=change)
    return report, message("trial.mutated", lesson=lesson.assignment, **counts)


def _listed(lesson: Lesson) -> dict[str, dict[str, str]]:
    file = lesson.folder / "mutants" / "equivalent.yaml"
    return yaml.safe_load(file.read_text(encoding="utf-8")) or {} if file.is_file() else {}


def _caught(trial: Trial, exercise: str, code: str) -> bool:
    try:
        with _limit():
            return not trial.passes(exercise, code)
    except (Exception, _TooLong):
        return True


class _TooLong(BaseException):
    """The changed answer did not end."""


@contextmanager
def _limit() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _TooLong

    usual = signal.signal(signal.SIGVTALRM, stop)  # by the processor's clock: on a busy machine too
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, usual)
