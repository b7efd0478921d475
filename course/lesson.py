"""One lesson: a folder `lessons/phase-18/01-did-it-start/` with its source, checks, mutants and texts.

    lesson = find_lesson("18-01")     # by id, by assignment name or by folder
    lesson.checks, lesson.texts, lesson.assignment   # …, …, "18-01-did-it-start"

Lessons are read from `course/lessons`, or from the folder that COURSE_LESSONS names.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from course import recall
from course.check import Check, load_checks
from course.messages import CourseError, LessonTexts, one_line
from minigpt.messages import LANGUAGES, nearest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("lesson.py", "lesson.yaml", *(f"messages.{code}.yaml" for code in LANGUAGES))

_FIELDS = {
    "id": str,
    "title": dict,
    "difficulty": int,
    "importance": int,
    "minutes": int,
    "prerequisites": dict,
}


def lessons_folder() -> Path:
    """The folder that holds `phase-18/…`."""
    return Path(os.environ.get("COURSE_LESSONS") or ROOT / "course" / "lessons")


@dataclass(frozen=True)
class Lesson:
    """Where a lesson lives and what `lesson.yaml` says about it.

    `difficulty` and `importance` run from 1 to 5; `title` and `prerequisites` have one text a language.
    """

    folder: Path
    id: str
    title: dict[str, str]
    difficulty: int
    importance: int
    minutes: int
    prerequisites: dict[str, str]

    @property
    def phase(self) -> str:
        """`phase-18`."""
        return self.folder.parent.name

    @property
    def slug(self) -> str:
        """The notebook's name: `did-it-start`."""
        return self.folder.name.split("-", 1)[1]

    @property
    def assignment(self) -> str:
        """nbgrader's name for it: `18-01-did-it-start`."""
        return f"{self.id}-{self.slug}"

    @cached_property
    def checks(self) -> dict[str, Check]:
        """Its checks by name."""
        return load_checks(self.folder / "checks")

    @cached_property
    def texts(self) -> LessonTexts:
        """Its labels and messages."""
        return LessonTexts(self.folder)

    @cached_property
    def recall(self) -> list[recall.Question]:
        """The questions about earlier lessons that it begins with; often none."""
        return recall.questions(self.folder.parent, self.id)

    @property
    def revision(self) -> str:
        """A short hash of what a built notebook depends on: its folder and its recall questions."""
        digest = hashlib.sha256()
        checks = sorted((self.folder / "checks").glob("*.py"))
        for file in [*(self.folder / name for name in SOURCES), *checks]:
            if not file.is_file():
                raise CourseError("lesson.file-missing", file=file)
            name = file.relative_to(self.folder).as_posix()
            digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
        digest.update(recall.digest(self.recall))
        return digest.hexdigest()[:12]

    def built(self, kind: str, root: Path = ROOT) -> Path:
        """Where the built notebook goes: kind is `solutions` or a language."""
        folder = root / "solutions" / self.phase if kind == "solutions" else root / self.phase / kind
        return folder / self.assignment / f"{self.slug}.ipynb"


def load_lesson(folder: Path) -> Lesson:
    """Read `lesson.yaml` of one lesson folder.

    Raises:
        CourseError: the file is missing, or a field is missing, unknown, of the wrong type or without a
        translation.
    """
    file = folder / "lesson.yaml"
    if not file.is_file():
        raise CourseError("lesson.file-missing", file=file)
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise CourseError("lesson.yaml", file=file, error=one_line(error)) from None
    if not isinstance(data, dict):
        raise CourseError("lesson.yaml", file=file, error=type(data).__name__)
    for name in data:
        if name not in _FIELDS:
            raise CourseError("lesson.field-unknown", file=file, field=name, hint=nearest(str(name), _FIELDS))
    for name, kind in _FIELDS.items():
        value = data.get(name)
        if type(value) is not kind:
            raise CourseError("lesson.field", file=file, field=name, kind=kind.__name__)
        if kind is dict and not all(isinstance(value.get(code), str) and value[code] for code in LANGUAGES):
            raise CourseError("lesson.field-language", file=file, field=name)
    expected = f"{folder.parent.name.removeprefix('phase-')}-{folder.name.split('-')[0]}"
    if data["id"] != expected:
        raise CourseError("lesson.id", file=file, given=data["id"], expected=expected)
    return Lesson(folder=folder, **data)


def all_lessons() -> list[Lesson]:
    """Every lesson, in the order of phases and numbers."""
    folders = lessons_folder().glob("phase-*/*")
    return [
        load_lesson(f) for f in sorted(folders) if re.fullmatch(r"\d\d-[a-z0-9-]+", f.name) and f.is_dir()
    ]


def by_phase(lessons: Iterable[Lesson]) -> dict[str, list[Lesson]]:
    """Group lessons by `phase-18`, `phase-19`, in their order; a phase without lessons is left out."""
    found: dict[str, list[Lesson]] = {}
    for lesson in lessons:
        found.setdefault(lesson.phase, []).append(lesson)
    return found


def find_lesson(word: str) -> Lesson:
    """Return the lesson of that id (`18-01`), assignment (`18-01-did-it-start`), notebook name or folder.

    Raises:
        CourseError: there is none; the nearest is suggested.
    """
    lessons = all_lessons()
    for lesson in lessons:
        names = (lesson.id, lesson.assignment, lesson.slug, lesson.folder.name)
        if word in names or Path(word).resolve() == lesson.folder.resolve():
            return lesson
    known = [name for lesson in lessons for name in (lesson.id, lesson.assignment, lesson.slug)]
    raise CourseError("lesson.unknown", given=word, hint=nearest(word, known))
