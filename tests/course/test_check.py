"""The check contract: whatever a learner's answer does, the check says one clear thing about it."""

import sys
import textwrap

import numpy as np
import pytest
import torch

from course.check import Check, array, load_checks, number, wrong
from course.judging import draw_cases, explain, judge, run_check, shown_apart, visible_seed
from course.messages import CourseError, LessonTexts
from course.probing import NotWritten, run_probe
from minigpt.messages import LANGUAGES


class Double(Check):
    name = "double/value"
    answer = "double"

    def cases(self, rng):
        yield {"number": 3.0, "label": "three"}
        yield {"number": float(rng.uniform(10, 20)), "label": "other"}

    def probe(self, answer, case):
        return {"value": number(answer(case["number"]))}

    def judge(self, case, output):
        if output["value"] == case["number"] ** 2:
            return wrong("squared", expected=2 * case["number"], actual=output["value"], word="square")
        if output["value"] != 2 * case["number"]:
            return wrong("other", expected=2 * case["number"], actual=output["value"])
        return None


class Doubled(Double):
    def probe(self, answer, case):
        return {"values": array(answer(torch.ones(2, 3)), shape=(2, 3))}

    def judge(self, case, output):
        return None if (output["values"] == 2).all() else wrong("other", actual=output["values"])


@pytest.fixture
def texts(tmp_path):
    for code, said in (("en", "you {word} {number}: {label}"), ("es", "{word} con {number} ({label})")):
        text = f'double/value: title {code}\nsquared: "{said}"\nother: "other {code}"\n'
        (tmp_path / f"messages.{code}.yaml").write_text(text)
    return LessonTexts(tmp_path)


def key(answer, check=None):
    result = run_check(check or Double(), answer)
    return result.wrong and result.wrong.key


def raises(x):
    raise ValueError("too small")


def exits(x):
    sys.exit()


def not_written(x):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda x: 2 * x, None),
        (lambda x: torch.tensor([[2 * x]], dtype=torch.float64, requires_grad=True), None),
        (lambda x: np.float64(2 * x), None),
        (lambda x: x**2, "squared"),
        (lambda x: 6.0, "other"),
        (lambda x: None, "check.returned-none"),
        (lambda x: "six", "check.not-a-number"),
        (lambda x: torch.ones(2), "check.not-a-number"),
        (lambda x: object(), "check.not-a-number"),
        (lambda x: float("nan"), "check.not-finite"),
        (lambda x: float("inf"), "check.not-finite"),
        (lambda x, y: x, "check.raised"),
        (6.0, "check.raised"),
        (..., "check.not-written"),
        (NotWritten("double"), "check.not-written"),
        (not_written, "check.not-written"),
        (raises, "check.raised-at"),
        (exits, "check.raised-at"),
    ],
)
def test_every_kind_of_answer_gets_its_message_in_both_languages(answer, expected, texts):
    result = run_check(Double(), answer)
    assert (result.wrong and result.wrong.key) == expected
    if expected:
        said = {explain(result.wrong, Double(), result.case, texts, code) for code in LANGUAGES}
        assert len(said) == len(LANGUAGES)


def test_an_array_of_another_shape_or_kind_is_named():
    assert key(lambda x: 2 * x, Doubled()) is None
    assert key(lambda x: (2 * x).tolist(), Doubled()) is None
    assert key(lambda x: 2 * x.T, Doubled()) == "check.wrong-shape"
    assert key(lambda x: {"a": 1}, Doubled()) == "check.not-an-array"
    assert key(lambda x: [[1], [1, 2]], Doubled()) == "check.not-an-array"


def test_an_explanation_has_title_misconception_expected_and_actual(texts):
    result = run_check(Double(), lambda x: x**2)
    lines = explain(result.wrong, Double(), result.case, texts, "en").splitlines()
    assert lines == ["✗ title en", "you square 3.0: three", "expected: 6", "yours: 9"]


def test_an_error_names_the_line_of_the_learner(texts):
    result = run_check(Double(), raises)
    said = " ".join(explain(result.wrong, Double(), result.case, texts, "en").split())
    assert 'raise ValueError("too small")' in said and "ValueError: too small" in said


def test_prints_are_kept_apart_and_change_nothing(capfd):
    def chatty(x):
        print("working")
        print("oops", file=sys.stderr)
        return 2 * x

    result = run_check(Double(), chatty)
    assert result.wrong is None and "working" in result.printed and "oops" in result.printed
    assert capfd.readouterr() == ("", "")


def test_an_answer_that_spoils_its_input_spoils_no_case_of_the_judge():
    class Given(Double):
        def cases(self, rng):
            yield {"values": [1.0, 2.0]}

        def probe(self, answer, case):
            return {"value": number(answer(case["values"]))}

        def judge(self, case, output):
            return None if case["values"] == [1.0, 2.0] else wrong("other")

    assert key(lambda values: values.clear() or 1, Given()) is None


def test_a_check_leaves_torch_as_it_found_it_and_seeds_every_run_alike():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    drawn = []
    for _ in range(2):
        run_check(Double(), lambda x: drawn.append(torch.rand(1).item()) or 2 * x)
    assert torch.equal(before, torch.get_rng_state())
    assert drawn[:2] == drawn[2:] and drawn[0] != drawn[1]


def test_cases_come_from_the_seed():
    assert draw_cases(Double(), 1) == draw_cases(Double(), 1) != draw_cases(Double(), 2)
    assert visible_seed(Double()) != visible_seed(type("Other", (Double,), {"name": "double/other"})())


def test_a_case_that_is_not_plain_is_the_authors_mistake():
    class Odd(Double):
        def cases(self, rng):
            yield {"weights": torch.zeros(2)}

    with pytest.raises(CourseError, match="Tensor"):
        draw_cases(Odd(), 1)


def test_a_judge_that_returns_neither_none_nor_wrong_is_the_authors_mistake():
    class Odd(Double):
        def judge(self, case, output):
            return True

    with pytest.raises(CourseError, match="bool"):
        run_check(Odd(), lambda x: 2 * x)


@pytest.mark.parametrize(
    "outcome",
    [
        {},
        {"output": {}},
        {"output": {"value": "6"}},
        {"output": {"value": object()}},
        {"failure": {"key": "squared", "values": {}}},
        {"failure": {"key": "check.wrong-shape", "values": {}}},
        {"failure": "no"},
    ],
)
def test_the_judge_passes_nothing_that_the_probe_did_not_make(outcome):
    assert judge(Double(), {"number": 3.0}, outcome) is not None


def test_probe_and_judge_may_run_apart():
    outcome = run_probe(Double(), lambda x: 2 * x, {"number": 4.0}, seed=1)
    assert outcome == {"output": {"value": 8.0}, "printed": ""}
    assert judge(Double(), {"number": 4.0}, outcome) is None


def test_mistakes_in_a_file_of_checks_are_named(tmp_path):
    good = textwrap.dedent(
        """
        from course.check import Check
        class _Base(Check):
            answer = "f"
        class A(_Base):
            name = "one/a"
        class B(_Base):
            name = "one/b"
        """
    )
    for index, (text, sentence) in enumerate(
        [
            (good.replace("one/b", "one/a"), "two checks"),
            (good.replace("one/b", "one"), "B needs a name"),
            (good + "1 / 0", "ZeroDivisionError"),
        ]
    ):
        folder = tmp_path / f"bad{index}"
        folder.mkdir()
        (folder / "one.py").write_text(text)
        with pytest.raises(CourseError, match=sentence):
            load_checks(folder)


def test_the_files_of_a_folder_share_what_they_import_from_each_other(tmp_path):
    base = "from course.check import Check\nclass _Base(Check):\n    answer = 'f'\n"
    (tmp_path / "shared.py").write_text(base)
    check = "from .shared import _Base\nclass A(_Base):\n    name = '{0}/a'\n"
    for name in ("two", "one"):
        (tmp_path / f"{name}.py").write_text(check.format(name))
    assert list(load_checks(tmp_path)) == ["one/a", "two/a"]
    (tmp_path / "two.py").write_text(check.format("one"))
    with pytest.raises(CourseError, match="two checks"):
        load_checks(tmp_path)
    with pytest.raises(CourseError, match="missing"):
        load_checks(tmp_path / "nowhere")


def test_two_numbers_that_read_alike_are_written_apart():
    assert shown_apart(0.5, 0.25) == ("0.5", "0.25")
    assert shown_apart(1.0, 0.9999991) == ("1", "0.999999")
    assert shown_apart([1.0, 2.00001], [1.0, 2.00002]) == ("[1, 2.00001]", "[1, 2.00002]")
    assert shown_apart(135488.0, 2048.0) == ("135,488", "2048")
    assert shown_apart(21820.4, 21820.3) == ("21820.4", "21820.3")
    assert shown_apart(2.0, 2.0) == ("2", "2") and shown_apart(None, 3) == ("None", "3")
