"""Every sentence a person reads, by key and language.

A catalogue is a folder with one sub-folder a language (`en/`, `es/`) of YAML files. The key
`corpus.empty-text` is the entry `empty-text` of `corpus.yaml`. A file may also hold groups named after other
areas, so that all texts of one fault fit in one file. Entries are `str.format` templates. Code holds keys,
never prose.

    message("corpus.empty-text", path="a.txt")             # in the language in force
    raise MiniGPTError("corpus.empty-text", path="a.txt")   # an error whose text is that message
"""

from __future__ import annotations

import difflib
import errno
import os
import string
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

LANGUAGES = ("en", "es")

# libyaml reads several times faster, and every command reads messages; some builds of PyYAML come without it
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_language: str | None = None  # set by use_language; None means "from the environment"


def language() -> str:
    """Return the language in force: `use_language`, else MINIGPT_LANG, else the locale, else English."""
    if _language:
        return _language
    for variable in ("MINIGPT_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable, "")[:2].lower()
        if value in LANGUAGES:
            return value
    return "en"


def use_language(code: str | None) -> None:
    """Put a language in force for this process; None goes back to the environment's.

    Raises:
        MiniGPTError: `code` is not one of `LANGUAGES`.
    """
    global _language
    if code is not None and code not in LANGUAGES:
        raise MiniGPTError(
            "general.unknown-language", given=code, known=", ".join(LANGUAGES), hint=nearest(code, LANGUAGES)
        )
    _language = code


PLAIN = 1e15  # numbers below are written without an exponent


def in_digits(value: float, format_spec: str) -> str:
    """Return a number as `format` writes it, but 6,230 in place of 6.23e+03."""
    text = format(value, format_spec)
    if "e+" in text and abs(value) < PLAIN:
        return format(value, "+,.0f" if format_spec.startswith("+") else ",.0f")
    return text


class _Filler(string.Formatter):
    """Fills a template as `str.format` does, but writes 6,230 for 6.23e+03, and per cent by language."""

    def __init__(self, code: str):
        self._code = code

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec.endswith("g"):
            return in_digits(value, format_spec)
        text = super().format_field(value, format_spec)
        if self._code == "es" and format_spec.endswith("%") and text.endswith("%"):
            return f"{text[:-1]}\u00a0%"  # set apart, as Spanish does
        return text


_FILLERS = {code: _Filler(code) for code in LANGUAGES}


def filled(template: str, code: str, values: dict[str, object]) -> str:
    """Return a template of a language with its placeholders filled.

    Raises:
        KeyError: a placeholder has no value.
    """
    return _FILLERS[code].vformat(template, (), values)


def read_yaml(text: str) -> Any:
    """Return what a YAML file that ships with the package says."""
    return yaml.load(text, Loader=_LOADER)


class Catalogue:
    """The messages of one package, read once a language."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._texts = lru_cache(maxsize=None)(self._read)

    def _read(self, code: str) -> dict[str, str]:
        texts = {}
        for file in sorted((self.folder / code).glob("*.yaml")):
            for key, text in (read_yaml(file.read_text(encoding="utf-8")) or {}).items():
                group = {f"{key}.{name}": inner for name, inner in text.items()} if type(text) is dict else {}
                texts |= group or {f"{file.stem}.{key}": text}
        return texts

    def keys(self, code: str) -> set[str]:
        """Every key that the language has."""
        return set(self._texts(code))

    def has(self, key: str) -> bool:
        """Return whether the key exists (in English, which every key has)."""
        return key in self._texts("en")

    def template(self, key: str, code: str) -> str:
        """Return the message in language `code`, its placeholders still in it."""
        return self._texts(code)[key]

    def text(self, key: str, code: str | None = None, **values: object) -> str:
        """Return the message in language `code` (default: the one in force), its placeholders filled.

        Raises:
            KeyError: the key is not in the catalogue, or a placeholder has no value.
        """
        code = code or language()
        return filled(self._texts(code)[key], code, values)


CATALOGUE = Catalogue(Path(__file__).parent)
message = CATALOGUE.text


class MiniGPTError(Exception):
    """Something the user can fix: what was wrong, where, and what to do, in the language in force."""

    catalogue = CATALOGUE

    def __init__(self, key: str, **values: object):
        super().__init__(key)
        self.key = key
        self.values = values

    def __str__(self) -> str:
        return self.catalogue.text(self.key, **self.values)


_REASONS = {
    errno.ENOSPC: "no-space", errno.EDQUOT: "over-quota", errno.EACCES: "no-permission",
    errno.EPERM: "not-permitted", errno.EROFS: "read-only", errno.ENOENT: "not-there",
    errno.EISDIR: "is-a-folder", errno.ENOTDIR: "no-folder", errno.EEXIST: "exists",
    errno.EADDRINUSE: "port-taken", errno.EMFILE: "too-many-files", errno.ENAMETOOLONG: "name-too-long",
    errno.EIO: "device",
}  # fmt: skip


def reason_of(error: OSError) -> str:
    """Return why the system refused, in the language in force if we have the words, else in the system's."""
    key = _REASONS.get(error.errno)
    return message(f"system.{key}") if key else error.strerror or str(error)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a "did you mean" sentence with the closest known word, or an empty string."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.4)
    return message("general.did-you-mean", word=matches[0]) if matches else ""
