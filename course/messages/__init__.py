"""Every sentence of the course that a person reads, by key and language; the same idea as `minigpt.messages`.

    message("build.wrote", path="phase-18/en/…")
    raise CourseError("lesson.unknown", given="18-10", hint="")

A lesson's own texts live beside it (`messages.en.yaml`, `messages.es.yaml`); `LessonTexts` reads those.
"""

from __future__ import annotations

import string
import textwrap
from functools import cached_property
from pathlib import Path

import yaml

from minigpt.messages import LANGUAGES, Catalogue, MiniGPTError, filled, language

CATALOGUE = Catalogue(Path(__file__).parent)
message = CATALOGUE.text
WIDTH = 80  # nbgrader's Validate cuts lines at 87 characters


class CourseError(MiniGPTError):
    """Something an author, a teacher or a learner can fix, in the language in force."""

    catalogue = CATALOGUE

    def __init__(self, key: str, **values: object):
        super().__init__(key, **{name: shown(value) for name, value in values.items()})

    def _render_traceback_(self) -> list[str]:
        """In a notebook: the sentence alone, without a traceback."""
        return in_lines(str(self))


def in_lines(text: str) -> list[str]:
    """Break what an error says into lines between words: JupyterLab breaks long ones within words."""
    return [textwrap.fill(line, WIDTH, break_on_hyphens=False) for line in text.splitlines()]


class LessonTexts:
    """The texts of one lesson: plot labels, what each check verifies, and one message a misconception.

    A key with a dot (`check.not-written`) is looked up in the course's catalogue, any other in the lesson's
    files.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    @cached_property
    def by_language(self) -> dict[str, dict[str, str]]:
        """The flat mapping key → template of each language.

        Raises:
            CourseError: a file is missing or not flat text, or the languages differ in keys or placeholders.
        """
        texts = {code: self._read(code) for code in LANGUAGES}
        first, *others = LANGUAGES
        for other in others:
            for lacking, having in ((other, first), (first, other)):
                for key in texts[having].keys() - texts[lacking].keys():
                    raise CourseError("lesson.text-missing", file=self._file(lacking), name=key)
            for key in texts[first]:
                if placeholders(texts[first][key]) != placeholders(texts[other][key]):
                    raise CourseError("lesson.text-placeholders", file=self._file(other), name=key)
        return texts

    def has(self, key: str) -> bool:
        """Whether the key names a text of this lesson or of the course."""
        return CATALOGUE.has(key) if "." in key else key in self.by_language["en"]

    def text(self, key: str, code: str | None = None, **values: object) -> str:
        """Return the text in language `code` (default: the one in force), its placeholders filled.

        Raises:
            CourseError: the lesson has no such key.
            KeyError: a placeholder has no value.
        """
        if not self.has(key):
            raise CourseError("lesson.text-unknown", name=key, folder=self.folder.name)
        if "." in key:
            return message(key, code, **values)
        code = code or language()
        return filled(self.by_language[code][key], code, values)

    def _file(self, code: str) -> Path:
        return self.folder / f"messages.{code}.yaml"

    def _read(self, code: str) -> dict[str, str]:
        file = self._file(code)
        if not file.is_file():
            raise CourseError("lesson.file-missing", file=file)
        try:
            texts = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            raise CourseError("lesson.yaml", file=file, error=one_line(error)) from None
        if not isinstance(texts, dict):
            raise CourseError("lesson.yaml", file=file, error=type(texts).__name__)
        for key, text in texts.items():
            if not isinstance(key, str) or not isinstance(text, str) or not text.strip():
                raise CourseError("lesson.text-empty", file=file, name=key)
        return texts


def placeholders(template: str) -> set[str]:
    """The names between braces in a `str.format` template."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def shown(value: object) -> object:
    """A path as seen from the working directory, where it lies below; anything else unchanged."""
    if isinstance(value, Path) and Path.cwd() in value.parents:
        return value.relative_to(Path.cwd())
    return value


def one_line(error: object) -> str:
    """The error's text on one line, so that it fits inside a sentence."""
    return " ".join(str(error).split())
