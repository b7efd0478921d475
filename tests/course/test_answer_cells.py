"""Which statements of a notebook an answer runs, and what becomes of cells that are not quite Python."""

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import course.cells
from course.cells import Program, both_sides, parse, plain_python, syntax_error

NOTEBOOK = [
    (
        "own-1",
        "import math\nFACTOR = 2\nprint(FACTOR)\nhistory = train()\ndef helper(x):\n    return x * FACTOR",
    ),
    (
        "first",
        "display(1)\nx = train()\ndef first(x):\n    return helper(x)\nprint(first(3))\nfirst.calls = 0",
    ),
    ("second", "def second(history):\n    return first(history)"),
    ("own-9", "FACTOR = 99\ndef first(x):\n    return 0\nlate = 1"),
]
ANSWERS = {"first": {"first"}, "second": {"second"}}


def lines(cells):
    return {name: [line for line in source.split("\n") if line] for name, source in cells}


def test_definitions_and_what_they_use_are_run_and_experiments_are_not():
    found = lines(Program(NOTEBOOK, ANSWERS).cells("first"))
    assert found["own-1"] == ["FACTOR = 2", "def helper(x):", "    return x * FACTOR"]
    assert found["first"] == ["def first(x):", "    return helper(x)", "first.calls = 0"]
    assert found.keys() == {"own-1", "first"}, "what is redefined after the answer is not its own"


def test_an_answer_brings_the_answers_that_it_uses_and_a_local_name_brings_nobody():
    found = lines(Program(NOTEBOOK, ANSWERS).cells("second"))
    assert found["first"][0] == "def first(x):" and "history = train()" not in found["own-1"]
    assert "own-9" not in found


def test_lines_keep_their_numbers():
    (_, source) = Program(NOTEBOOK, ANSWERS).cells("first")[1]
    assert source.split("\n")[2] == "def first(x):"


def test_a_name_that_only_a_later_cell_makes_is_found_there():
    program = Program([("a", "def a():\n    return late"), ("own-2", "late = 1\nother = 2")], {"a": {"a"}})
    assert lines(program.cells("a"))["own-2"] == ["late = 1"] and program.unseen("a") == set()
    assert Program([("a", "def a():\n    return late")], {"a": {"a"}}).unseen("a") == {"late"}


def test_an_answer_that_is_made_in_an_unusual_way_runs_whole():
    source = "exec('def a(): return 1')\nprint(2)"
    assert lines(Program([("a", source)], {"a": {"a"}}).cells("a"))["a"] == source.split("\n")


@pytest.mark.parametrize(
    "source",
    [
        "f?\nx = 1",
        "%%time\nx = 1",
        "!ls\nx = 1",
        "files = !ls\nx = 1",
        "\ufeffx = 1",
        ">>> x = 1",
        "x = 1\r\n",
    ],
)
def test_what_a_notebook_allows_is_python(source):
    assert syntax_error(source) is None and "x = 1" in plain_python(source)


def test_a_cell_of_another_language_makes_nothing():
    assert plain_python("%%bash\nx=1 (") == "" and syntax_error("%%html\n<b>") is None


def test_a_merge_has_two_sides():
    text = "a\n<<<<<<< HEAD\nb\n||||||| base\nz\n=======\nc\n>>>>>>> other\nd\n"
    assert both_sides(text) == ["a\nb\nd\n", "a\nc\nd\n"] and both_sides("a << b") == []
    assert plain_python("<<<<<<< HEAD\nx = (\n=======\nx = 1\n>>>>>>> b\n") == "x = 1\n"


@pytest.mark.parametrize(
    "source", ["(" * 5_000, "-" * 100_000 + "1", "x=a" + ".b" * 90_000, "\0", "f'{" * 3_000]
)
def test_no_source_raises(source):
    Program([("a", source)], {"a": {"a"}}).cells("a")
    assert syntax_error(source) is None or syntax_error(source).msg


def test_threads_may_parse_at_once():
    """A collection in the middle of a tree lets some versions of Python mix up two threads' depths."""

    class Dies:
        def __init__(self):
            self.me = self

        def __del__(self):
            for _ in range(50):
                pass

    def parses(_):
        for _ in range(30):
            for _ in range(30):
                Dies()
            parse(source)

    source = Path(course.cells.__file__).read_text(encoding="utf-8")
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(50)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(parses, range(4)))
    finally:
        gc.set_threshold(*threshold)
        sys.setswitchinterval(interval)
