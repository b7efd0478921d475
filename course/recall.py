"""Recall: five short questions at the start of a lesson, about the lessons before it; ungraded.

A phase may have one file `course/lessons/phase-19/recall.yaml`, by lesson:

    19-01:
      - about: 18-03
        ask: {en: "Which norm does clipping limit?", es: "¿Qué norma limita el clipping?"}
        answer: {en: "The global one.", es: "La global."}

`course build` puts them into the notebook below its header, the answers folded. A lesson without questions,
and a phase without the file, have no such cell. Nothing is stored of what a learner answers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from course.messages import CourseError, message, one_line
from minigpt.messages import LANGUAGES

FILE = "recall.yaml"
NUMBER = 5  # of questions a lesson
_LESSON = re.compile(r"\d\d-\d\d")


@dataclass(frozen=True)
class Question:
    """One question by language, its answer, and the id of the lesson that it is about."""

    about: str
    ask: dict[str, str]
    answer: dict[str, str]


def questions(phase: Path, lesson: str) -> list[Question]:
    """Return the questions of a lesson (by its id) from the file of its phase's folder; [] if it has none.

    Raises:
        CourseError: the file cannot be read, a question lacks a text or is not about an earlier lesson, or
        there are more or fewer than `NUMBER`.
    """
    file = phase / FILE
    if not file.is_file():
        return []
    try:
        entries = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get(lesson) or []
        found = [Question(**entry) for entry in entries]
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        raise CourseError("recall.unreadable", file=file, lesson=lesson, error=one_line(error)) from None
    for place, question in enumerate(found, start=1):
        texts = (question.ask, question.answer)
        whole = all(isinstance(text, dict) and set(text) == set(LANGUAGES) for text in texts)
        if not whole or not all(
            isinstance(one, str) and one.strip() for text in texts for one in text.values()
        ):
            raise CourseError("recall.text", file=file, lesson=lesson, number=place)
        if not _LESSON.fullmatch(str(question.about)) or question.about >= lesson:
            raise CourseError("recall.about", file=file, lesson=lesson, number=place, about=question.about)
    if found and len(found) != NUMBER:
        raise CourseError("recall.number", file=file, lesson=lesson, number=len(found), wanted=NUMBER)
    return found


def cell(asked: list[Question], code: str) -> str:
    """Return the Markdown of the questions in one language."""
    parts = [message("recall.heading", code).strip()]
    for place, question in enumerate(asked, start=1):
        summary = message("recall.answer", code, lesson=question.about)
        parts.append(f"**{place}.** {question.ask[code].strip()}")
        parts.append(f"<details><summary>{summary}</summary>\n\n{question.answer[code].strip()}\n</details>")
    return "\n\n".join(parts)


def digest(asked: list[Question]) -> bytes:
    """Return what the revision of a lesson takes in of its questions: nothing where there are none."""
    return json.dumps([vars(question) for question in asked], sort_keys=True).encode() if asked else b""
