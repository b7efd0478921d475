"""Inspect a written site as a careful reader would: links, pictures, languages, what must not be there.

    faults(Path("build/site"), lessons)      # a sentence for each; none is good

Every link leads somewhere, no page asks the network for anything, every picture is whole and described, no
label stands in the other language, and no line of a solution or a model answer is to be seen.
"""

from __future__ import annotations

import base64
import re
import string
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

from course.lesson import Lesson
from course.messages import CATALOGUE, message
from course.source import read_source
from course.verify import secret_lines
from minigpt.messages import LANGUAGES

_PNG = b"\x89PNG\r\n\x1a\n"
_KEY = re.compile(r"\b(?:site|learn|plot|predict|build|lesson|check)\.[a-z]+(?:-[a-z]+)*\b")
_CALL = re.compile(r"""\bt\(["'][^"']*["']""")  # t("key"): its key is a label's
_LITERAL = re.compile(r"""["']([\w-]+)["']""")
_AREAS = ("site.", "plot.", "predict.")  # of the course's texts: those that a page can show
_SHORT = 6  # characters: a shorter label may be the same word in both languages by chance


def faults(folder: Path, lessons: list[Lesson]) -> list[str]:
    """Return what is wrong with the site in `folder`, made from these lessons."""
    pages = {file: BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser") for file in _files(folder)}
    found = []
    for file, page in pages.items():
        where = {"page": file.relative_to(folder).as_posix()}
        found += [message(f"site.bad-{key}", **where, what=what) for key, what in _page(file, page, pages)]
    for lesson in lessons:
        secret = secret_lines(read_source(lesson.folder / "lesson.py"))
        for code in LANGUAGES:
            file = folder / code / f"{lesson.assignment}.html"
            where = {"page": file.relative_to(folder).as_posix()}
            lines = {line.strip() for line in pages[file].get_text().splitlines()}
            found += [message("site.bad-leak", **where, what=line) for line in sorted(secret & lines)]
            found += [
                message("site.bad-label", **where, what=label)
                for label in _foreign(lesson, code, _labels(pages[file]))
                if label not in _quoted(pages[file])
            ]
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.html")) + sorted(folder.glob("*/*.html"))


def _page(file: Path, page: BeautifulSoup, pages: dict):
    """Yield (message key, what) for links, pictures and the page's own language."""
    if file.parent.name in LANGUAGES and page.html["lang"] != file.parent.name:
        yield "language", page.html["lang"]
    for key in _KEY.findall(page.title.text + " ".join(_labels(page))):
        if CATALOGUE.has(key):
            yield "label", key
    for tag in page.find_all(["script", "iframe", "video", "audio", "object", "embed"]):
        yield "network", tag.name
    for tag in page.find_all(href=True):
        problem = _link(file, tag["href"], pages, fetched=tag.name == "link")
        if problem:
            yield problem, tag["href"]
    for tag in page.find_all("img"):
        if not _is_picture(tag.get("src", "")):
            yield "picture", tag.get("src", "")[:60]
        if not tag.get("alt", "").strip():
            yield "description", tag.get("src", "")[:60]


def _link(file: Path, target: str, pages: dict, fetched: bool) -> str | None:
    parts = urlsplit(target)
    if parts.scheme == "data":
        return None
    if parts.scheme or parts.netloc:
        return "network" if fetched or parts.scheme not in ("http", "https", "mailto") else None
    goal = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    known = next((page for other, page in pages.items() if other.resolve() == goal.resolve()), None)
    if known is None:
        return None if goal.is_file() and not parts.fragment else "link"
    if parts.fragment and known.find(id=unquote(parts.fragment)) is None:
        return "link"
    return None


def _is_picture(source: str) -> bool:
    kind, _, content = source.partition(";base64,")
    try:
        data = base64.b64decode(content, validate=True)
    except ValueError:
        return False
    return (
        data.startswith(_PNG)
        if kind == "data:image/png"
        else kind == "data:image/svg+xml" and b"<svg" in data
    )


def _labels(page: BeautifulSoup) -> list[str]:
    """What the page says outside prose and code: outputs, descriptions, its own frame."""
    marked = page.select("pre.output, header, footer, nav, .note, .checks, .exercise p, summary")
    described = page.find_all(lambda tag: tag.has_attr("alt") or tag.has_attr("aria-label"))
    return [tag.get_text() for tag in marked] + [
        tag.get("alt") or tag["aria-label"] for tag in described if tag.get("class") != ["formula"]
    ]


def _quoted(page: BeautifulSoup) -> set[str]:
    """Words that prose or code name as code (a leaf, a key of the log): no labels, whatever they say."""
    code = _CALL.sub("", " ".join(tag.get_text() for tag in page.select("pre.code")))
    return {tag.get_text().strip("\"'") for tag in page.select(":not(pre) > code")} | set(
        _LITERAL.findall(code)
    )


def _foreign(lesson: Lesson, code: str, labels: list[str]) -> list[str]:
    """Texts of the lesson and of the course that are on the page in another language."""
    other = next(language for language in LANGUAGES if language != code)
    own = lesson.texts.by_language
    pairs = [(own[other][key], own[code][key]) for key in own[code]]
    keys = [key for key in sorted(CATALOGUE.keys(code)) if key.startswith(_AREAS)]
    pairs += [(CATALOGUE.template(key, other), CATALOGUE.template(key, code)) for key in keys]
    text = " ".join(" ".join(labels).split())
    right = "\n".join(ours for _, ours in pairs)
    return [
        theirs
        for theirs, ours in pairs
        if theirs != ours and theirs not in right and (wording := _wording(theirs)) and wording.search(text)
    ]


def _wording(template: str) -> re.Pattern | None:
    """What a text looks like once its placeholders are filled; None if too short to be told from chance."""
    parts = [literal for literal, *_ in string.Formatter().parse(" ".join(template.split()))]
    if len("".join(parts).strip()) < _SHORT:
        return None
    return re.compile(r"(?<!\w)" + r"\S+".join(map(re.escape, parts)) + r"(?!\w)")
