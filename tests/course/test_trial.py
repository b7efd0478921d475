"""`course check`: tells checks that tell answers apart from checks that do not."""

import os

import pytest

from course import open_lesson, trial
from course.lesson import find_lesson
from minigpt.messages import language, use_language

STD_CHECK, LOSS_CHECK = "checks/init_weights.py", "checks/expected_loss.py"
INIT, LOSS = "mutants/init_weights.py", "mutants/expected_loss.py"


def edit(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def findings():
    return trial.run(find_lesson("18-90")).findings


def test_a_sound_lesson_has_no_findings_and_is_counted(small):
    report = trial.run(small)
    assert report.findings == []
    assert report.counts == {"exercises": 2, "checks": 3, "right": 4, "wrong": 8}
    assert "8" in report.summary()


@pytest.mark.parametrize(
    ("file", "old", "new", "sentences"),
    [
        # a check that accepts anything is found by the stub, by its mutants and by another exercise's answers
        (
            STD_CHECK,
            'return wrong("std-is-one", expected=0.02, actual=output["std"])',
            "return None",
            ["“unit” of init-weights should get std-is-one"],
        ),
        (
            LOSS_CHECK,
            "if close(actual, expected)",
            "if actual == 0",
            ["“solution”", "“entropy”"],
        ),
        (
            INIT,
            '"init-weights/std": "std-is-one"',
            '"init-weights/std": "std-off"',
            ["should get std-off from check init-weights/std, but got std-is-one"],
        ),
        (
            LOSS,
            ', "expected-loss/growth": "does-not-grow"',
            "",
            ["“constant” of expected-loss should pass check expected-loss/growth, but got does-not-grow"],
        ),
        (INIT, 'fails={"init-weights/std": "std-is-one"},', "", ["names no check", "should pass"]),
        (LOSS, '"expected-loss/value": "log-', '"expected-loss/valeu": "log-', ["valeu", "should pass"]),
        (INIT, 'Valid(\n        "init-weights"', 'Valid(\n        "init"', ["exercise init ", "0 other"]),
        (INIT, "weight.normal_()", "weight.normal_(", ["“unit” of init-weights could not be tried"]),
        ("messages.es.yaml", "La dispersión es 1, cincuenta veces mayor de lo debido.", "{std}", []),
    ],
)
def test_what_is_off_is_told(copied, file, old, new, sentences):
    edit(copied / file, old, new)
    if not sentences:
        edit(copied / "messages.en.yaml", "The spread is 1, which is fifty times too large.", "{std}")
        sentences = ["message std-is-one of check init-weights/std cannot be written"]
    found = findings()
    for sentence in sentences:
        assert any(sentence in each for each in found), found


def test_the_same_words_in_both_languages_are_told(copied):
    for name in ("messages.en.yaml", "messages.es.yaml"):
        for key in ("std-is-one:", "init-weights/std:"):
            text = (copied / name).read_text(encoding="utf-8").splitlines()
            text = [f"{key} OK" if line.startswith(key) else line for line in text]
            (copied / name).write_text("\n".join(text), encoding="utf-8")
    edit(
        copied / STD_CHECK,
        'wrong("std-is-one", expected=0.02, actual=output["std"])',
        'wrong("std-is-one")',
    )
    assert any("the same in both languages" in each for each in findings())


def test_a_trial_leaves_language_and_open_lesson_alone(small, tmp_path, monkeypatch):
    folder = tmp_path / "phase-18" / "es"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    use_language("en")
    for opened in (None, find_lesson("18-90")):
        monkeypatch.setattr(open_lesson, "opened", opened)
        trial.run(small)
        assert language() == os.environ["MINIGPT_LANG"] == "en" and open_lesson.opened is opened


def test_an_answer_that_satisfies_another_exercise_is_told(copied):
    edit(copied / STD_CHECK, "        answer(weight)\n", "        weight.normal_(0, 0.02)\n")
    assert any("satisfies check init-weights/std of another exercise" in each for each in findings())
