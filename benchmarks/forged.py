"""Wrong answers whose process lies about what they did: does any pass a check that it should fail?

    python benchmarks/forged.py                    # every lesson, every wrong answer of its mutants/
    python benchmarks/forged.py --lessons 18-05

Beside each wrong answer runs a forger, which replaces what the course has in the learner's process: reports
on arguments say that nothing has happened to them, random generators are said to stand where they stood,
what a model does afterwards is made up, and so are the answers of objects that stayed with the judge. Printed
for each check: how many wrong answers were tried, and which of them passed. Bar: none.

A wrong answer is refused by the first case that it fails, so the case that the forger before failed is asked
alone; whoever passes it is asked all of them at once, as in grading. Forgers that differ in nothing that a
check has are tried once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import nbformat

from course.cells import needed
from course.check import Check
from course.grade.judge import cases_of, verdict_of
from course.grade.workshop import Workshop
from course.judging import draw_cases, judge
from course.kept import Kept
from course.lesson import Lesson, all_lessons, find_lesson
from course.mutants import Mutant, load_answers
from course.source import read_source

FORGER = """
def _forge():
    import copy, sys
    from course import afterwards, kept, probing
    from course.grade import desk, flat, parcel
    state_of, unpacked, told = flat.state_of, desk.unpacked, {}
    numbers = []
    def remember(chunks, *rest):
        found = unpacked(chunks, *rest)
        numbers[:] = [found[3]]
        for leaf in found[2]:
            try: told.setdefault(id(leaf), copy.deepcopy(state_of(leaf)))
            except Exception: pass
        return found
    def as_it_was(leaf):
        now, before = state_of(leaf), told.get(id(leaf))
        return before if before is not None and %(untouched)s else now
    desk.unpacked, desk.random_states = remember, lambda: numbers[0]
    desk.state_of = flat.state_of = as_it_was
    made_up = {"output": flat.np.zeros((1,)), "gradient": {}, "calls": []}
    desk.passes = afterwards.passes = lambda *args: made_up
    desk.drawn = afterwards.drawn = lambda: [0.5, 0.5, 0.5]
    afterwards.go_on = lambda *args, **kwargs: made_up
    if %(mute)s: kept.StandIn._asking = staticmethod(lambda *args: lambda *asked: None)
    for name in ("number", "array", "given"):
        setattr(probing, name, lambda value, *rest: value)
    for name, module in list(sys.modules.items()):
        for value in list(vars(module).values()) if name.startswith("probes_") else ():
            if isinstance(value, type):
                for member in ("probe", "judge", "_judge", "gist"):
                    if hasattr(value, member):
                        setattr(value, member, lambda *args, **kwargs: None)
_forge()
"""
FORGERS = {
    "nothing happened to any argument": FORGER % {"untouched": "True", "mute": "True"},
    "nothing happened but what an object of the lesson's own reports": FORGER
    % {"untouched": "'report' not in now", "mute": "True"},
    "the same, and what stays with the judge may be asked": FORGER
    % {"untouched": "'report' not in now", "mute": "False"},
}


@dataclass
class Tried:
    """What came of the wrong answers to one check."""

    check: str
    tried: int = 0
    passed: list[str] = field(default_factory=list)


def wrong_answers(lesson: Lesson, check: str) -> list[Mutant]:
    """Those that the check must refuse, those first that it alone refuses."""
    answers = [answer for answer in load_answers(lesson.folder / "mutants") if check in answer.fails]
    return sorted(answers, key=lambda answer: len(answer.fails))


def looks_afterwards(check: Check) -> bool:
    """Whether the check, or another of its file, asks what becomes of an object that the answer had."""
    return bool({"go_on", "in_one_place", "draws", "Kept"} & set(vars(sys.modules[type(check).__module__])))


def forgers(check: Check) -> list[str]:
    """Those that may do something different: reports and what stays with the judge are in few checks."""
    kinds = [kind for kind in vars(sys.modules[type(check).__module__]).values() if isinstance(kind, type)]
    every, reports, answered = FORGERS.values()
    found = [every]
    if any(hasattr(kind, "report") and hasattr(kind, "accept") for kind in kinds):
        found.append(reports)
    if len(found) > 1 or any(issubclass(kind, Kept) for kind in kinds):
        found.append(answered)
    return found


def forge(lesson: Lesson, workshop: Workshop, quick: bool = False, seed: int = 7) -> Iterator[Tried]:
    """Try to forge every check of a lesson with every wrong answer.

    With `quick` one forger, and one wrong answer a check; all where it looks at what becomes of an object.
    """
    cells = read_source(lesson.folder / "lesson.py")
    solutions = {cell.name: cell.text for cell in cells if cell.role == "solution"}
    for name, check in lesson.checks.items():
        found = Tried(name)
        most = 1 if quick and not looks_afterwards(check) else None
        question = Asked(check, workshop, seed)
        for answer in wrong_answers(lesson, name)[:most]:
            found.tried += 1
            for forger in forgers(check)[-1 if quick else 0 :]:
                if question.passes(solutions | {answer.exercise: answer.code + forger}):
                    found.passed.append(answer.name)
                    break
        yield found


class Asked:
    """One check and its cases, drawn once."""

    def __init__(self, check: Check, workshop: Workshop, seed: int):
        self.check, self.workshop, self.seed = check, workshop, seed
        self.cases, self.asked = draw_cases(check, seed), cases_of(check, seed, workshop)
        self.failed = 0  # the case that the last one failed

    def passes(self, code: dict[str, str]) -> bool:
        """Whether a submission with these cells, by exercise, passes the check."""
        cells = needed(code, self.check.exercise, self.workshop.given)
        one = self.workshop.ask(cells, [self.asked[self.failed]])
        if not one or judge(self.check, self.cases[self.failed], one[0]) is not None:
            return False
        outcomes = self.workshop.ask(cells, self.asked)
        pairs = zip(self.cases, outcomes, strict=False)
        wrong = (index for index, pair in enumerate(pairs) if judge(self.check, *pair) is not None)
        self.failed = next(wrong, self.failed)
        return verdict_of(self.check, outcomes, self.seed, self.workshop.lesson, "en")["passed"]


def main() -> int:
    """Try all; return 1 if anything passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lessons", nargs="+", metavar="ID", help="these lessons (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer wrong answers, and one forger")
    options = parser.parse_args()
    lessons = [find_lesson(name) for name in options.lessons] if options.lessons else all_lessons()
    checks = tried = passed = 0
    for lesson in lessons:
        with Workshop(lesson, nbformat.read(lesson.built("en"), as_version=4)) as workshop:
            for found in forge(lesson, workshop, options.quick):
                checks, tried, passed = checks + 1, tried + found.tried, passed + len(found.passed)
                print(f"{lesson.id} {found.check:34} {found.tried:3}", *found.passed, flush=True)
    print(f"{checks} checks, {tried} wrong answers with a forger beside them: {passed} pass")
    return int(passed > 0)


if __name__ == "__main__":
    sys.exit(main())
