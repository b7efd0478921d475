"""Five questions at the start of a lesson: from one file a phase into both notebooks."""

import shutil

import pytest
import yaml

from course.build import make
from course.landing import page
from course.lesson import ROOT, all_lessons, by_phase, find_lesson, lessons_folder
from course.messages import CourseError
from course.recall import NUMBER, questions
from course.site.page import index_page
from minigpt.messages import LANGUAGES

RIGHT = [
    {
        "about": "18-01",
        "ask": {"en": f"Question {n}?", "es": f"¿Pregunta {n}?"},
        "answer": {"en": f"Answer {n}.", "es": f"Respuesta {n}."},
    }
    for n in range(NUMBER)
]


@pytest.fixture
def asking(copied):
    """The small lesson, and a function that writes its questions."""

    def write(entries):
        file = copied.parent / "recall.yaml"
        file.write_text(yaml.safe_dump({"18-90": entries}, allow_unicode=True), encoding="utf-8")
        return find_lesson("18-90")

    return write


def test_the_questions_stand_below_the_header_in_both_languages_and_their_answers_are_folded(asking):
    _, releases = make(asking(RIGHT))
    for code, release in releases.items():
        header, chart, recall = release.cells[:3]
        assert [header.id, chart.id, recall.id] == ["lesson-header", "lesson-map", "lesson-recall"]
        assert recall.source.count("<details>") == NUMBER and "(18-01)" in recall.source
        assert all(entry[key][code] in recall.source for entry in RIGHT for key in ("ask", "answer"))


def test_a_lesson_without_questions_has_no_such_cell_and_the_same_revision(asking, copied):
    bare = find_lesson("18-90").revision
    lesson = asking([])
    assert lesson.revision == bare
    assert all(cell.id != "lesson-recall" for cell in make(lesson)[0].cells)
    changed = [dict(entry, about="18-02") for entry in RIGHT]
    assert len({bare, asking(RIGHT).revision, asking(changed).revision}) == 3


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda entries: entries[1:], "4 questions, and should have 5"),
        (lambda entries: [dict(entries[0], about="18-90"), *entries[1:]], "about an earlier lesson"),
        (lambda entries: [dict(entries[0], ask={"en": "?"}), *entries[1:]], "in every language"),
        (lambda entries: [{"about": "18-01"}, *entries[1:]], "cannot be read"),
        (lambda entries: "five", "cannot be read"),
    ],
)
def test_what_is_wrong_with_the_file_is_said_in_one_sentence(asking, spoil, said):
    with pytest.raises(CourseError, match=said):
        _ = asking(spoil(RIGHT)).recall


def test_a_spanish_question_keeps_to_the_glossary(asking):
    spoilt = dict(RIGHT[0], ask={"en": "A batch?", "es": "¿Un lote?"})
    with pytest.raises(CourseError, match="lote"):
        make(asking([spoilt, *RIGHT[1:]]))


def test_a_phase_that_has_no_lesson_yet_breaks_nothing(copied):
    later = copied.parent.parent / "phase-19"
    later.mkdir()
    (later / "recall.yaml").write_text("19-00:\n", encoding="utf-8")
    assert [lesson.id for lesson in all_lessons()] == ["18-90"]
    assert questions(later, "19-00") == [] and list(by_phase(all_lessons())) == ["phase-18"]


@pytest.mark.parametrize("code", LANGUAGES)
def test_page_and_site_list_the_lessons_by_phase(copied, code, tmp_path):
    later = copied.parent.parent / "phase-19" / copied.name
    shutil.copytree(copied, later)
    file = later / "lesson.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("18-90", "19-90"), encoding="utf-8")
    text = index_page(all_lessons(), code)
    places = [text.index(word) for word in (" 18 · ", "18-90", " 19 · ", "19-90")]
    assert places == sorted(places) and text.count("<ol") == 2
    assert "phase-" not in page([], code)


def test_the_questions_of_this_course_are_about_lessons_that_come_before():
    for lesson in all_lessons():
        assert {question.about for question in lesson.recall} <= {
            other.id for other in all_lessons() if other.id < lesson.id
        } | ANNOUNCED
    assert lessons_folder().is_relative_to(ROOT)


ANNOUNCED = {f"19-{number:02}" for number in range(11)} - {lesson.id for lesson in all_lessons()}
