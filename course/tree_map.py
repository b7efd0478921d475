"""The map above a lesson: the sections of the stability check in their order, this lesson's lit.

    tree_map(lesson, lessons, "es", link=page_name)     # HTML, to stand in a Markdown cell

Everything in it comes from the trees: a box a section, a dot a question, and a dot is full where the question
can end in a leaf that this lesson is about (the `-lesson` text of the leaf says so). The section with most
full dots is lit. A lesson that no leaf names uses the whole check, and the sentence below says that instead.
It is a table of plain text, so it follows light and dark, grows with the letters, and can be read aloud.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from html import escape
from itertools import groupby

from course.lesson import Lesson
from course.messages import message
from minigpt import diagnosis
from minigpt.diagnosis import Question, Tree
from minigpt.messages import message as stability_message

FULL, EMPTY = "●", "○"
MAY_BREAK = "\u200b"  # nothing to see: where the window is narrow, the dots take two lines
HERE = "▶"
LIT = "border: 2px solid #0072b2; background: rgba(0, 114, 178, 0.16); font-weight: bold"
UNLIT = "border: 1px solid rgba(128, 128, 128, 0.55)"
_BOX = "text-align: center; vertical-align: top; padding: 4px 0; white-space: normal; line-height: 1.3"


def tree_map(
    lesson: Lesson, lessons: Iterable[Lesson], code: str, link: Callable[[Lesson], str | None]
) -> str:
    """Return the map in language `code`; `link(other)` is where a section's lesson is found, or None."""
    known = {one.id: one for one in lessons}
    lit = section_of(lesson.id)
    rows = []
    for tree in diagnosis.TREES:
        boxes = [
            _box(tree, section, [*questions], lesson, lit, code, known, link)
            for section, questions in _sections(tree)
        ]
        rows.append(f"<tr>{''.join(boxes)}</tr>")
    return (
        '<table class="course-map" style="width: 100%; table-layout: fixed; font-size: 80%">\n'
        + "\n".join(rows)
        + f"\n</table>\n\n*{_sentence(lit, code)}*"
    )


def lesson_of(leaf: str) -> str:
    """The id of the lesson that a leaf sends its reader to: `18-06`."""
    return stability_message(f"leaves.{leaf}-lesson", "en").split()[0]


@lru_cache(maxsize=64)
def section_of(lesson: str) -> tuple[str, str] | None:
    """The section with most questions that can end in a leaf of this lesson, as (tree, number), or None."""
    counts = {
        (tree.id, section): sum(_is_about(question, lesson) for question in questions)
        for tree in diagnosis.TREES
        for section, questions in _sections(tree)
    }
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else None


def teacher_of(tree: Tree, section: str, lessons: Iterable[str]) -> str | None:
    """Of `lessons`, the id of the one that lights this section, with most questions in it."""
    questions = tree.section(section).questions
    lighting = [one for one in lessons if section_of(one) == (tree.id, section)]
    return max(
        lighting, key=lambda one: sum(_is_about(question, one) for question in questions), default=None
    )


def _sections(tree: Tree) -> Iterable[tuple[str, Iterable[Question]]]:
    return groupby(tree.questions, key=lambda question: question.section)


def _is_about(question: Question, lesson: str) -> bool:
    return any(lesson_of(leaf) == lesson for leaf in question.leaves)


def _box(
    tree: Tree,
    section: str,
    questions: list[Question],
    lesson: Lesson,
    lit: tuple[str, str] | None,
    code: str,
    known: dict[str, Lesson],
    link: Callable[[Lesson], str | None],
) -> str:
    here = lit == (tree.id, section)
    title = escape(stability_message(f"{tree.id}.section-{section}", code))
    other = known.get(teacher_of(tree, section, known))
    address = link(other) if other and other.id != lesson.id else None
    if address:
        title = f'<a href="{escape(address)}">{title}</a>'
    dots = MAY_BREAK.join(FULL if _is_about(question, lesson.id) else EMPTY for question in questions)
    style = f"{_BOX}; {LIT if here else UNLIT}"
    return f'<td style="{style}">{f"{HERE} " if here else ""}{title}<br>{dots}</td>'


def _sentence(lit: tuple[str, str] | None, code: str) -> str:
    if lit is None:
        return message("build.map-whole", code)
    tree, section = lit
    title = stability_message(f"{tree}.section-{section}", code)
    return message("build.map-here", code, section=title, here=HERE, full=FULL)
