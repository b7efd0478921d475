"""The page that JupyterLab opens on: `START.md`, English first, and `EMPIEZA.md`, Spanish first.

    write_pages(root)["es"]     # the path of EMPIEZA.md, just written

Both are made from the lessons themselves (`lesson.yaml`) at each start, so that they are never stale; git
ignores them.
"""

from __future__ import annotations

from pathlib import Path

from course.lesson import ROOT, Lesson, all_lessons
from course.messages import message
from minigpt.messages import LANGUAGES

PAGES = {"en": "START.md", "es": "EMPIEZA.md"}
HARDEST = 5


def write_pages(root: Path = ROOT) -> dict[str, Path]:
    """Write one page a language into `root`; return its path by language."""
    lessons = [
        lesson for lesson in all_lessons() if all(lesson.built(code, root).is_file() for code in LANGUAGES)
    ]
    pages = {code: root / name for code, name in PAGES.items()}
    for code, path in pages.items():
        path.write_text(page(lessons, code, root), encoding="utf-8")
    return pages


def page(lessons: list[Lesson], first: str, root: Path = ROOT) -> str:
    """Return the page in Markdown: the lessons, then how to work; language `first` comes first throughout."""
    languages = [first, *(code for code in LANGUAGES if code != first)]
    header = [message(f"learn.column-{name}", first) for name in ("lesson", "minutes", "difficulty")]
    columns = [header[0], *(message("learn.language-name", code) for code in languages), *header[1:]]
    rows = [columns, ["---"] * len(columns), *(_lesson_row(lesson, languages, root) for lesson in lessons)]
    parts = [
        f"# {message('learn.title', first)}",
        "  \n".join(f"**{message('learn.promise', code)}**" for code in languages),
        "\n".join(f"| {' | '.join(row)} |" for row in rows),
        *(message("learn.how", code).strip() for code in languages),
    ]
    return "\n\n".join(parts) + "\n"


def _lesson_row(lesson: Lesson, languages: list[str], root: Path) -> list[str]:
    paths = {code: lesson.built(code, root).relative_to(root).as_posix() for code in languages}
    links = [f"[{lesson.title[code]}]({path})" for code, path in paths.items()]
    difficulty = "●" * lesson.difficulty + "○" * (HARDEST - lesson.difficulty)
    return [f"**{lesson.id}**", *links, str(lesson.minutes), difficulty]
