"""A check that a constant, or a table by the shape of the input, satisfies is found; so is a missing case."""

import pytest

from course.check import Check, close, number, wrong
from course.judging import run_check
from course.mutation import changes
from course.tables import constant_that_suffices, seen_suffices, shape_of, table_suffices


class Half(Check):
    """Asks for half of a number; `draw` says of which."""

    name, answer = "half/value", "half"

    def __init__(self, draw, contrasts=()):
        self.draw, self.more = draw, contrasts

    def cases(self, rng):
        yield {"x": self.draw(rng)}

    def contrasts(self, rng, cases):
        return [{"x": x} for x in self.more]

    def probe(self, answer, case):
        return {"half": number(answer(case["x"]))}

    def judge(self, case, output):
        return None if close(output["half"], case["x"] / 2) else wrong("half-off")


def half(x):
    return x / 2


def test_a_table_satisfies_a_check_that_asks_for_one_answer_and_no_other():
    assert table_suffices(Half(lambda rng: 4.0), half)
    assert not table_suffices(Half(lambda rng: float(rng.uniform(1, 9))), half)
    assert not table_suffices(Half(lambda rng: 4.0, contrasts=[6.0]), half)


def test_a_table_of_what_the_notebook_shows_satisfies_a_check_that_draws_nothing():
    fixed, drawn = Half(lambda rng: 4.0), Half(lambda rng: float(rng.uniform(1, 9)))
    assert seen_suffices(fixed, [fixed], half)
    assert not seen_suffices(drawn, [drawn], half)
    other = Half(lambda rng: 4.0, contrasts=[6.0])
    assert seen_suffices(other, [other], half), "its contrast is the same for everybody, too"


def test_a_constant_that_satisfies_a_check_is_named():
    assert constant_that_suffices(Half(lambda rng: 2.0)) == "1.0"
    assert constant_that_suffices(Half(lambda rng: 2.0, contrasts=[6.0])) is None


class Sorted(Half):
    """Asks for a list in order, and draws one that is in order."""

    def cases(self, rng):
        yield {"x": [1.0, float(rng.uniform(2, 9))]}

    def probe(self, answer, case):
        return {"half": [number(item) for item in answer(case["x"])]}

    def judge(self, case, output):
        return None if output["half"] == case["x"] else wrong("half-off")


def test_an_argument_that_satisfies_a_check_as_it_came_is_named():
    assert constant_that_suffices(Sorted(None)) == "args[0]"
    assert constant_that_suffices(Half(lambda rng: float(rng.uniform(2, 9)))) is None


def test_an_answer_that_treats_a_contrast_like_a_case_looks_at_nothing():
    check = Half(lambda rng: 4.0, contrasts=[6.0])
    assert run_check(check, half).wrong is None
    assert run_check(check, lambda x: 2.0).wrong.key == "check.same-for-all"
    assert run_check(check, lambda x: 2.0 if x == 4 else 1 / 0).wrong is None, (
        "a contrast is not judged otherwise"
    )


def test_two_inputs_of_one_shape_are_alike_and_two_of_different_lengths_are_not():
    assert shape_of([1.0, "abc", {"a": [1, 2]}]) == shape_of([7.5, "xyz", {"a": [8, 9]}])
    assert shape_of([[1, 2]]) != shape_of([[1, 2, 3]])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 3", ["x = 3 → x = 4", "x = 3 → x = 2"]),
        ("x = 0.5", ["x = 0.5 → x = 1.0", "x = 0.5 → x = 0.25"]),
        ("y = a < b", ["y = a < b → y = a >= b", "y = a < b → y = a <= b"]),
        ("y = a in b", ["y = a in b → y = a not in b"]),
        ("y = True", []),
    ],
)
def test_every_constant_and_comparison_is_changed_in_each_way(source, expected):
    assert [change for change, _ in changes(source)] == expected
