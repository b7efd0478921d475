"""A lesson's source: every mistake in it is one sentence that names file, line and cell."""

import pytest

from course.messages import CourseError
from course.source import read_source, stamped, text_hash

ENGLISH = '# %% [markdown] id="why" lang="en"\n# Why\n\n'
SPANISH = f'# %% [markdown] id="why" lang="es" of="{text_hash("Why")}"\n# Por qué\n\n'
CODE = '# %% id="setup" setup=true\nx = 1\n\n'
SOLUTION = '# %% solution="sum"\ndef f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\n\n'
CHECK = '# %% check="sum/value" points=2\ncheck("sum/value", f)\n\n'
ANSWER = '# %% [markdown] answer="explain" points=2 lang="en"\n# Because.\n#\n# ---\n# 2 points: so.\n\n'


def read(tmp_path, text):
    (tmp_path / "lesson.py").write_text(text, encoding="utf-8")
    return read_source(tmp_path / "lesson.py")


def test_a_source_becomes_cells_with_both_languages(tmp_path):
    why, setup, solution, check = read(
        tmp_path, '"""Docstring."""\n\n' + ENGLISH + SPANISH + CODE + SOLUTION + CHECK
    )
    assert (why.role, why.texts, why.line) == ("prose", {"en": "Why", "es": "Por qué"}, 3)
    assert (setup.role, setup.text, setup.setup) == ("code", "x = 1", True)
    assert (solution.role, solution.name) == ("solution", "sum")
    assert (check.role, check.points, check.grade_id) == ("check", 2, "sum_value")


def test_a_third_language_is_one_more_cell(tmp_path, monkeypatch):
    monkeypatch.setattr("course.source.LANGUAGES", ("en", "es", "pt"))
    portuguese = SPANISH.replace('"es"', '"pt"').replace("Por qué", "Por quê")
    why, _ = read(tmp_path, ENGLISH + SPANISH + portuguese + CODE)
    assert why.texts == {"en": "Why", "es": "Por qué", "pt": "Por quê"}
    for text, key in ((ENGLISH + SPANISH + CODE, "source.missing"), (ENGLISH + SPANISH * 2, "source.orphan")):
        with pytest.raises(CourseError) as caught:
            read(tmp_path, text)
        assert caught.value.key == key
    unstamped = tmp_path / "lesson.py"
    unstamped.write_text(ENGLISH + SPANISH + portuguese.replace(text_hash("Why"), ""), encoding="utf-8")
    assert stamped(unstamped).count(f'of="{text_hash("Why")}"') == 2


@pytest.mark.parametrize(
    ("text", "key", "line", "cell"),
    [
        (CODE + ENGLISH, "source.missing", 4, "why"),
        (ENGLISH + CODE + SPANISH, "source.missing", 1, "why"),
        (CODE + SPANISH, "source.orphan", 4, "why"),
        (ENGLISH + SPANISH.replace("why", "how"), "source.orphan", 4, "how"),
        (ENGLISH.replace("Why", "Why?") + SPANISH, "source.stale", 4, "why"),
        (CODE + CODE, "source.twice", 4, "setup"),
        (CODE.replace("id=", "name="), "source.no-name", 1, "?"),
        (CODE.replace('"setup"', '"Set up"'), "source.no-name", 1, "Set up"),
        (CODE.replace("setup=true", "setpu=true"), "source.attribute", 1, "setup"),
        (ENGLISH.replace('lang="en"', 'lang="fr"'), "source.language", 1, "why"),
        (ENGLISH.replace(' lang="en"', ""), "source.language-missing", 1, "why"),
        (CODE.replace("x = 1", ""), "source.no-text", 1, "setup"),
        (CHECK.replace(" points=2", ""), "source.points", 1, "sum/value"),
        (CHECK.replace("points=2", "points=0"), "source.points", 1, "sum/value"),
        (CHECK.replace("f)", "f)\nprint()"), "source.check-line", 1, "sum/value"),
        (CHECK.replace('check("sum/value", f', 'check("sum/other", f'), "source.check-line", 1, "sum/value"),
        (SOLUTION.replace("### END SOLUTION", ""), "source.solution", 1, "sum"),
        (SOLUTION.replace("### END SOLUTION", "### END SOLUTOIN"), "source.solution", 1, "sum"),
        (SOLUTION.replace("    return 1\n", ""), "source.solution", 1, "sum"),
        (CODE.replace("x = 1", "### BEGIN HIDDEN TESTS\nx = 1"), "source.marker", 1, "setup"),
        (ANSWER.replace("# ---\n", ""), "source.rubric", 1, "explain"),
    ],
)
def test_a_mistake_names_file_line_and_cell(tmp_path, text, key, line, cell):
    with pytest.raises(CourseError) as caught:
        read(tmp_path, text)
    assert (caught.value.key, caught.value.values["line"], caught.value.values["cell"]) == (key, line, cell)
    assert "lesson.py" in str(caught.value) and str(caught.value).count("\n") == 0


def test_a_misspelt_attribute_gets_the_nearest_suggested(tmp_path):
    with pytest.raises(CourseError, match="“setup”"):
        read(tmp_path, CODE.replace("setup=true", "setpu=true"))


def test_a_file_without_cells_or_not_in_utf8_is_refused(tmp_path):
    with pytest.raises(CourseError, match="no cell"):
        read(tmp_path, "x = 1\n")
    (tmp_path / "latin.py").write_bytes('# %% id="a"\nx = "ñ"\n'.encode("latin-1"))
    with pytest.raises(CourseError, match="UTF-8"):
        read_source(tmp_path / "latin.py")


def test_a_stamp_makes_stale_and_unstamped_translations_current_and_changes_nothing_else(tmp_path):
    text = ENGLISH.replace("Why", "Why?") + SPANISH + CODE
    (tmp_path / "lesson.py").write_text(text, encoding="utf-8")
    (tmp_path / "lesson.py").write_text(stamped(tmp_path / "lesson.py"), encoding="utf-8")
    assert read_source(tmp_path / "lesson.py")[0].texts["en"] == "Why?"
    expected = text.replace(text_hash("Why"), text_hash("Why?"))
    assert (tmp_path / "lesson.py").read_text(encoding="utf-8") == expected
