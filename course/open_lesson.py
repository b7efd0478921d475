"""Which lesson the notebook here belongs to: the one that its setup cell opened, else its metadata's.

Every notebook carries id, language and revision of its lesson in its metadata, which go with a submission.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from course.lesson import Lesson, find_lesson
from course.messages import CourseError
from minigpt.messages import LANGUAGES, use_language

opened: Lesson | None = None  # by `course.notebook.lesson`


def current() -> Lesson:
    """Return the open lesson.

    Raises:
        CourseError: none is open.
    """
    if opened is None:
        raise CourseError("lesson.not-open")
    return opened


def notebook_language(identity: str) -> str | None:
    """Return the notebook's language: its metadata's, else that of its folder (`phase-18/es`), else None."""
    here = Path.cwd()
    folders = zip(here.parts, here.parts[1:], strict=False)
    named = (code for phase, code in folders if phase.startswith("phase-") and code in LANGUAGES)
    return facts(identity).get("lang") or next(named, None)


def lesson_here() -> Lesson | None:
    """The open lesson; before the first cell ran, the one in the notebook's metadata, and its language."""
    if opened is not None:
        return opened
    found = facts()
    if not found:
        return None
    use_language(found["lang"])
    return find_lesson(found["id"])


def facts(identity: str | None = None) -> dict:
    """What the notebook here (of that lesson, if one is given) says of itself: id, lang, revision; or {}."""
    here = Path.cwd()
    session = os.environ.get("JPY_SESSION_NAME")  # the notebook's path, where Jupyter Server sets it
    files = [here / session] if session else []
    for file in [*files, *sorted(here.glob("*.ipynb"))] if identity else files:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))["metadata"]["lesson"]
            if identity in (None, found["id"]) and found["lang"] in LANGUAGES:
                return found
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return {}
