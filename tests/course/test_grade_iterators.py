"""What can be read only once gets one verdict: a check in the notebook and in grading agree."""

import nbformat
import pytest

from course.grade.judge import cases_of, verdict_of
from course.grade.sandbox import strongest
from course.grade.workshop import Workshop
from course.judging import run_check
from course.lesson import find_lesson

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")

RIGHT = """
import itertools, json
def right(text):
    return [json.loads(line) for line in text.splitlines()]
def read_log(text):
"""
RETURNS = {
    "a generator function": "    yield from right(text)",
    "a generator of what may raise": "    return (json.loads(line) for line in text.splitlines())",
    "a map": "    return map(dict, right(text))",
    "a map of what may raise": "    return map(json.loads, text.splitlines())",
    "a zip": "    return zip(right(text), right(text))",
    "the iterator of a list": "    return iter(right(text))",
    "a chain": "    return itertools.chain(right(text))",
    "iterators in a list": "    return [iter(record) for record in right(text)]",
    "one that exits": "    yield exit()",
    "one without end": "    return itertools.repeat({})",
    "a list": "    return right(text)",
}


@pytest.fixture(scope="module")
def workshop():
    lesson = find_lesson("18-00")
    with Workshop(lesson, nbformat.read(lesson.built("en"), as_version=4)) as workshop:
        yield workshop


@pytest.mark.parametrize("kind", RETURNS)
def test_what_is_read_once_is_judged_in_grading_as_in_the_notebook(kind, workshop):
    lesson, source, namespace = workshop.lesson, RIGHT + RETURNS[kind], {}
    exec(source, namespace)
    checks = [check for check in lesson.checks.values() if check.exercise == "read-log"]
    here, there = {}, {}
    for check in checks:
        found = run_check(check, namespace["read_log"], 7)
        here[check.name] = found.wrong and found.wrong.key
        outcomes = workshop.ask([["read-log", source]], cases_of(check, 7, workshop))
        there[check.name] = verdict_of(check, outcomes, 7, lesson, "en")["key"]
    assert there == here
    assert ("read-log/damaged" in {name for name, key in there.items() if key is None}) is (
        kind in ("a list", "a map", "a zip", "the iterator of a list", "a chain", "iterators in a list")
    )
