"""What a submission's checks have to agree on: the capstone's six charts are those of one ward."""

import pytest

from course import notebook
from course.grade.judge import _hold_together
from course.grade.ward import leaves
from course.judging import explain, judge, run_check
from course.lesson import find_lesson
from course.patients import ward

NAME, OTHER = "Ada Lovelace", "Katherine Johnson"


def healthy_chart(name):
    letter = next(letter for letter, patient in ward(name).items() if not leaves(patient))
    chart = {"name": name, "leaves": [], "evidence": ["1.1", 6.2], "parts": [], "settings": {}}
    return f"patient-{letter.lower()}/leaf", chart


@pytest.fixture
def capstone():
    with notebook.undisturbed():
        notebook.lesson("18-08")
        notebook._ties.clear()
        yield find_lesson("18-08")


def test_a_chart_of_somebody_else_s_ward_is_refused_in_the_notebook(capstone, capsys):
    notebook.check("my-name/given", NAME)
    notebook.check(*healthy_chart(NAME.upper()))
    with pytest.raises(notebook.CheckFailed, match="katherine johnson"):
        notebook.check(*healthy_chart(OTHER))
    notebook.check("my-name/given", OTHER)  # whoever corrects the name goes on with the new one
    notebook.check(*healthy_chart(OTHER))
    assert capsys.readouterr().out.count("✓") == 4


def test_the_grader_takes_the_points_of_a_chart_of_somebody_else_s_ward(capstone):
    verdicts = {}
    for name, answer in (("my-name/given", NAME), healthy_chart(NAME), healthy_chart(OTHER)):
        found = run_check(capstone.checks[name], answer)
        assert found.wrong is None
        verdicts[name] = {"passed": True, "key": None, "text": "", "tie": found.tie}
    result = {"checks": verdicts, "notes": []}
    _hold_together(result, capstone, "es")
    assert [verdict["passed"] for verdict in verdicts.values()] == [True, True, False]
    assert "katherine johnson" in verdicts[healthy_chart(OTHER)[0]]["text"]
    assert result["notes"] == [("grade.tie", {"tie": "ada lovelace"})]


def test_a_name_with_half_a_character_is_told_whole(capstone):
    assert run_check(capstone.checks["my-name/given"], NAME + "\ud800").tie == "ada lovelace?"


@pytest.mark.parametrize("word", ["code", "key", "self"])
def test_a_forged_failure_that_names_what_a_message_takes_for_its_own_costs_its_check_alone(capstone, word):
    check = capstone.checks["my-name/given"]
    forged = {"failure": {"key": "check.raised", "values": {word: "en", "what": "x"}}, "printed": ""}
    fault = judge(check, {}, forged)
    assert fault.key == "check.unreadable" and explain(fault, check, {}, capstone.texts, "es")
