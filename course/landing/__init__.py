"""The page that JupyterLab opens on: `START.md`, English first, and `EMPIEZA.md`, Spanish first.

    write_pages(root)["es"]     # the path of EMPIEZA.md, just written
    refresh(root)               # again, where they are: a check was passed, a notebook was saved

Both are made from the lessons themselves (`lesson.yaml`) and from the learner's progress: at each start, when
a check is passed for the first time, and when a notebook is saved, since a written answer counts once it is
in its file. git ignores them. An extension in `labextensions/` makes JupyterLab show a page that is open as
it is now.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from course import progress
from course.lesson import ROOT, Lesson, all_lessons, by_phase
from course.messages import CourseError, message
from course.progress import Standing
from minigpt.messages import LANGUAGES

PAGES = {"en": "START.md", "es": "EMPIEZA.md"}
HARDEST = 5
COLUMNS = ("passed", "written", "minutes", "difficulty", "prerequisites")  # what a narrow window cuts is last


def write_pages(root: Path = ROOT) -> dict[str, Path]:
    """Write one page per language into `root`; return its path by language."""
    lessons = [
        lesson for lesson in all_lessons() if all(lesson.built(code, root).is_file() for code in LANGUAGES)
    ]
    pages = {code: root / name for code, name in PAGES.items()}
    for code, path in pages.items():
        path.write_text(page(lessons, code, root), encoding="utf-8")
    return pages


def refresh(root: Path = ROOT) -> None:
    """Write the pages again if `make learn` has written them before."""
    if all((root / name).is_file() for name in PAGES.values()):
        write_pages(root)


def saved(model: Mapping, root: Path = ROOT, **_: object) -> None:
    """Write the pages again once Jupyter has saved a notebook; what goes wrong here stops no saving."""
    if model.get("type") == "notebook":
        try:
            refresh(root)
        except (OSError, CourseError, ValueError):
            pass


def page(lessons: list[Lesson], first: str, root: Path = ROOT) -> str:
    """Return the page in Markdown: the path, then how to work; language `first` comes first throughout."""
    languages = [first, *(code for code in LANGUAGES if code != first)]
    standing = {lesson.id: progress.standing(lesson, root) for lesson in lessons}
    columns = [
        message("learn.column-lesson", first),
        *(message("learn.language-name", code) for code in languages),
        *(message(f"learn.column-{name}", first) for name in COLUMNS),
    ]
    tables = []
    for name, group in by_phase(lessons).items():
        rows = [_lesson_row(lesson, languages, standing[lesson.id], root) for lesson in group]
        tables.append(f"## {message(f'learn.{name}', first)}")
        tables.append(_table([columns, ["---"] * len(columns), *rows]))
    parts = [
        f"# {message('learn.title', first)}",
        "  \n".join(f"**{message('learn.promise', code)}**" for code in languages),
        _path(lessons, standing, first),
        *tables,
        *(message("learn.how", code).strip() for code in languages),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _table(rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _path(lessons: list[Lesson], standing: dict[str, Standing], code: str) -> str:
    """How long the path is and where on it the learner stands: the first lesson with something to do."""
    if not lessons:
        return ""
    hours = round(sum(lesson.minutes for lesson in lessons) / 60)
    ahead = [lesson for lesson in lessons if not standing[lesson.id].done]
    sentences = [message("learn.path", code, lessons=len(lessons), hours=hours)]
    if ahead and any(each.begun for each in standing.values()):
        far = standing[ahead[0].id]
        key = "next-written" if far.passed == far.checks else "next"
        sentences.append(message(f"learn.{key}", code, lesson=f"{ahead[0].id} · {ahead[0].title[code]}"))
    elif not ahead:
        sentences.append(message("learn.all-passed", code))
    return " ".join(sentences)


def _lesson_row(lesson: Lesson, languages: list[str], standing: Standing, root: Path) -> list[str]:
    paths = {code: lesson.built(code, root).relative_to(root).as_posix() for code in languages}
    links = [f"[{lesson.title[code]}]({path})" for code, path in paths.items()]
    difficulty = "●" * lesson.difficulty + "○" * (HARDEST - lesson.difficulty)
    done = (_count(standing.passed, standing.checks), _count(standing.written, standing.answers))
    needs = lesson.prerequisites[languages[0]]
    return [f"**{lesson.id}**", *links, *done, str(lesson.minutes), difficulty, needs]


def _count(done: int, of: int) -> str:
    """`3/14`, `14/14 ✓`, or nothing where there is nothing to do."""
    return f"{done}/{of}" + ("&nbsp;✓" if done == of else "") if of else ""
