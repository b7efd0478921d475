"""What a learner has passed: kept in one file, counted where a learner works, shown on the landing page."""

import math
from pathlib import Path

import pytest

from course import landing, notebook, progress
from course.landing import PAGES, page, refresh, write_pages
from course.lesson import Lesson, find_lesson
from course.messages import message
from minigpt.messages import LANGUAGES

NAMES = ["expected-loss/value", "expected-loss/growth", "init-weights/std"]


def test_a_check_is_recorded_once(tmp_path: Path):
    assert [progress.record("18-90", name, tmp_path) for name in (*NAMES, NAMES[0])] == [True] * 3 + [False]
    assert progress.passed(tmp_path) == {"18-90": set(NAMES)}
    assert len((tmp_path / progress.FILE).read_text(encoding="utf-8").splitlines()) == 3


def test_lines_that_are_none_are_passed_over(tmp_path: Path):
    progress.record("18-90", NAMES[0], tmp_path)
    with open(tmp_path / progress.FILE, "ab") as file:
        file.write(b'[1]\n{"lesson": []}\n\xff\n{"lesson": "18-90", "che')
    assert progress.passed(tmp_path)["18-90"] == {NAMES[0]}


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_page_says_how_far_the_learner_is_and_what_comes_next(built: Path, lessons, code):
    lesson = find_lesson("18-90")
    assert progress.check_names(lesson, built) == list(lesson.checks) == NAMES

    def shown() -> str:
        return page([lesson], code, built)

    title = f"18-90 · {lesson.title[code]}"
    release = lesson.built(code, built)
    stub = release.read_text(encoding="utf-8")
    try:
        assert "| 0/3 | 0/1 |" in shown() and lesson.prerequisites[code] in shown() and title not in shown()
        progress.record("18-90", NAMES[0], built)
        assert "| 1/3 | 0/1 |" in shown() and message("learn.next", code, lesson=title) in shown()
        for name in NAMES:
            progress.record("18-90", name, built)
        assert "| 3/3&nbsp;✓ | 0/1 |" in shown()
        assert message("learn.next-written", code, lesson=title) in shown()
        release.write_text(stub.replace('"✎"', '"Because."'), encoding="utf-8")
        assert "| 3/3&nbsp;✓ | 1/1&nbsp;✓ |" in shown() and message("learn.all-passed", code) in shown()
    finally:
        (built / progress.FILE).unlink()
        release.write_text(stub, encoding="utf-8")


def test_the_page_is_written_again_when_a_notebook_is_saved(lessons, tmp_path: Path):
    written = write_pages(tmp_path)["en"]
    for kind, again in (("file", False), ("notebook", True)):
        written.write_text("")
        landing.saved({"type": kind}, tmp_path, os_path="…")
        assert bool(written.read_text(encoding="utf-8")) == again


def test_the_page_is_written_again_only_where_it_is(built: Path, lessons, tmp_path: Path):
    refresh(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (written := write_pages(tmp_path)["en"]).write_text("")
    refresh(tmp_path)
    assert message("learn.title", "en") in written.read_text(encoding="utf-8")
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(PAGES.values())


@pytest.mark.parametrize("kind", [*LANGUAGES, "solutions"])
def test_a_check_counts_in_the_folder_of_a_release_alone(small, tmp_path, monkeypatch, kind):
    folder = small.built(kind, tmp_path).parent
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    built = Lesson.built
    monkeypatch.setattr(Lesson, "built", lambda self, name: built(self, name, tmp_path))
    recorded, refreshed = [], []
    monkeypatch.setattr(progress, "record", lambda *given: recorded.append(given) or True)
    monkeypatch.setattr(landing, "refresh", lambda: refreshed.append(1))
    with notebook.undisturbed():
        notebook.lesson("18-90")
        with pytest.raises(notebook.CheckFailed):
            notebook.check(NAMES[0], lambda vocab_size: 1.0)
        notebook.check(NAMES[0], math.log)
    expected = [("18-90", NAMES[0])] if kind in LANGUAGES else []
    assert recorded == expected and len(refreshed) == len(expected)
