"""The `course` command: one clear sentence and a non-zero exit for every mistake, in the user's language."""

import pytest

from course import cli, lesson


def run(capsys, *arguments):
    status = cli.main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_check_prints_counts(lessons, capsys):
    status, out, err = run(capsys, "check", "18-90")
    assert (status, err) == (0, "")
    assert "2 exercises, 3 checks, 4 right and 8 wrong answers" in out


@pytest.mark.parametrize("word", ["18-91", "small-modle"])
def test_an_unknown_lesson_gets_the_nearest_suggested(lessons, capsys, word):
    for command in ("build", "check"):
        status, out, err = run(capsys, command, word)
        assert (status, out) == (1, "") and err.count("\n") == 1
        assert word in err and ("18-90" in err or "small-model" in err)


def test_a_message_speaks_the_language_asked_for(lessons, capsys):
    assert "No hay ninguna lección" in run(capsys, "check", "--lang", "es", "x")[2]
    status, _, err = run(capsys, "check", "--lang", "fr")
    assert status == 1 and "fr" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "--chekc"], "“--check”"),
        (["biuld"], "“build”"),
        (["build", "--check", "--stamp"], "--stamp and --check cannot be given together"),
        (["build", "--lang"], "“course build --help”"),
        (["check", "--mutat"], "“--mutate”"),
        (["build", "--check=yes"], "--check takes no value"),
        (["grade", "--workers", "x"], "“x”"),
        (["grade", "--workers", "0"], "“0”"),
        (["--lang", "es", "build", "--chekc"], "«--check»"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(lessons, capsys, arguments, said):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "") and err.count("\n") == 1 and said in err


def test_without_a_command_every_command_is_listed(capsys):
    status, out, err = run(capsys, "--lang", "es")
    assert (status, err) == (2, "") and all(f"\n  {name} " in out for name in cli.COMMANDS)


@pytest.mark.parametrize("arguments", [["--lang", "es", "build", "--help"], ["build", "--help", "--lang=es"]])
def test_help_speaks_the_language_asked_for(capsys, arguments):
    status, out, _ = run(capsys, *arguments)
    assert status == 0 and out.startswith("uso: course build") and "muestra esta ayuda" in out
    assert "--stamp" in out and "usage" not in out


def test_ctrl_c_is_one_sentence(lessons, capsys, monkeypatch):
    def interrupted(lesson):
        raise KeyboardInterrupt

    monkeypatch.setattr("course.trial.run", interrupted)
    status, _, err = run(capsys, "check", "18-90", "--lang", "es")
    assert (status, err.strip()) == (130, "Interrumpido.")


def test_a_stale_translation_fails_the_build_until_it_is_stamped(copied, capsys):
    file = copied / "lesson.py"
    file.write_text(
        file.read_text(encoding="utf-8").replace("knows nothing gives", "knows nothing at all gives")
    )
    status, out, err = run(capsys, "build", "18-90")
    assert (status, out) == (1, "") and err.count("\n") == 1
    assert "lesson.py, line 6" in err and "“why”" in err and "stale" in err
    assert run(capsys, "build", "--stamp", "18-90")[0] == 0
    assert run(capsys, "check", "18-90")[0] == 0


def test_build_check_fails_and_names_what_is_missing(lessons, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(lesson, "ROOT", tmp_path)
    status, _, err = run(capsys, "build", "--check", "18-90")
    assert status == 1 and err.count("Run “course build”") == 3


def test_no_lessons_at_all_is_said(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LESSONS", str(tmp_path))
    assert run(capsys, "build")[0] == 1
