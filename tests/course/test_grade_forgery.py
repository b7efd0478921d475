"""No probe can be forged: whatever code runs in a learner's process, it earns nothing.

A forger replaces, in the learner's process, everything that the course has there, before and while an answer
is called: the probes and their tools, the frames, the wire, the reports on arguments. It looks for a case or
an expected value in every frame and every object. Its answer itself does nothing, and earns nothing.

Another one stands beside a wrong answer and lies about what that did (`benchmarks/forged.py`, which tries all
of them; here one a check, and all where a check asks what becomes of an object that the answer had).
"""

import importlib.util
import sys

import nbformat
import pytest

from course.grade.judge import grade
from course.grade.normalise import HandedIn, answers
from course.grade.sandbox import strongest
from course.grade.workshop import Workshop
from course.lesson import ROOT, all_lessons

pytestmark = pytest.mark.skipif(strongest() == "none", reason="this machine has no sandbox")

LOOT = """
import gc, sys
def _loot():
    words = {"expected", "spikes", "per_step", "records", "leaks", "lost", "factors", "shifts", "verdict",
             "share", "old", "new", "seed", "mix", "case", "right", "uninterrupted", "slips"}
    frame, places = sys._getframe(), []
    while frame:
        places.append(dict(frame.f_locals))
        frame = frame.f_back
    places += [o for o in gc.get_objects() if type(o) is dict and words & {k for k in o if type(k) is str}]
    found = {}
    for place in places:
        for key, value in list(place.items()):
            if type(key) is not str:
                continue
            if key in words and value is not None and key not in found:
                found[key] = value
            if key == "case" and type(value) is dict:
                found.update(value)
    return found
def _any(*args, **kwargs):
    loot = _loot()
    for key in ("expected", "spikes", "per_step", "records", "leaks", "lost", "verdict", "right"):
        if key in loot:
            return loot[key]
    return None
"""
PATCH = """
import sys, types
def _patch():
    for name, module in list(sys.modules.items()):
        if name.startswith("probes_"):
            for key, value in list(vars(module).items()):
                if isinstance(value, type):
                    for member in ("probe", "report", "accept", "judge", "_loaded", "_found", "step"):
                        if hasattr(value, member):
                            try: setattr(value, member, _any)
                            except Exception: pass
                elif isinstance(value, types.FunctionType):
                    setattr(module, key, _any)
    import course.probing, course.plain, course.workplace
    for module in (course.probing, course.plain, course.workplace):
        for key in ("number", "array", "given", "files_in", "interrupted"):
            if hasattr(module, key): setattr(module, key, _any)
    from course.grade import flat, desk
    unchanged = {}
    def state_of(leaf):
        return unchanged.get(id(leaf)) or _state_of(leaf)
    if flat.state_of.__name__ == "state_of" and not hasattr(flat, "_mine"):
        global _state_of
        _state_of, flat._mine = flat.state_of, True
        loads = desk.unpacked
        def unpacked(chunks, *rest):
            args, kwargs, given, states = loads(chunks, *rest)
            unchanged.clear()
            for leaf in given:
                try: unchanged[id(leaf)] = _state_of(leaf)
                except Exception: pass
            return args, kwargs, given, states
        desk.unpacked = unpacked
        flat.state_of = desk.state_of = state_of
class _Now:
    _patch()
"""
FUNCTION = "def {name}(*args, **kwargs):\n    {body}\n"
CLASS = """class {name}:
    def __init__(self, *args, **kwargs): pass
    def __getattr__(self, method):
        if method.startswith("__"): raise AttributeError(method)
        return lambda *args, **kwargs: {value}
"""


def forged(name: str, is_class: bool) -> str:
    if is_class:
        return LOOT + CLASS.format(name=name, value="_any()") + PATCH
    return LOOT + FUNCTION.format(name=name, body="return _any()") + PATCH


@pytest.fixture(scope="module")
def forging():
    spec = importlib.util.spec_from_file_location("forging", ROOT / "benchmarks" / "forged.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["forging"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.id)
def test_replacing_every_probe_earns_nothing(lesson, forging):
    release = nbformat.read(lesson.built("en"), as_version=4)
    solution = nbformat.read(lesson.built("solutions"), as_version=4)
    classes = {name for name, cell in answers(solution).items() if "class " in cell.source[:7]}
    names = {check.exercise: check.answer for check in lesson.checks.values()}
    cells = {exercise: forged(name, exercise in classes) for exercise, name in names.items()}
    with Workshop(lesson, release) as workshop:
        result = grade("eva", HandedIn(cells=cells), release, workshop, b"a course's secret")
        tried = {found.check: found for found in forging.forge(lesson, workshop, quick=True)}
    assert [name for name, verdict in result["checks"].items() if verdict["passed"]] == []
    assert tried.keys() == lesson.checks.keys() and all(found.tried for found in tried.values())
    assert [(name, found.passed) for name, found in tried.items() if found.passed] == []
