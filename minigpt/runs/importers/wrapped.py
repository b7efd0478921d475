"""Logs inside something else: a text in each JSON object, the outputs of a notebook, a page of HTML.

Docker, journald, Kubernetes and cloud services keep what a program printed line by line in a field of an
object; Jupyter keeps it in the outputs of cells. What was printed is taken out and read as any printed log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path
from typing import Any

from minigpt.runs.importers.console import named_numbers
from minigpt.runs.importers.files import open_bytes, open_text
from minigpt.runs.importers.json_rows import json_rows, loaded
from minigpt.runs.importers.names import ExternalLogError, matters
from minigpt.runs.importers.notes import Notes

SAMPLE = 400  # objects that show which of their fields holds what was printed
LARGEST = 1 << 26  # bytes of a notebook or a page, read at once
NOTEBOOK = re.compile(rb'\s*\{\s*"(cells|nbformat|nbformat_minor|metadata)"')
CELLS = {"td", "th"}


def message_field(path: Path, asked: Mapping[str, str]) -> str | None:
    """Return the field of JSON objects in which a program's lines stand; None where the objects are rows."""
    found: dict[str, int] = {}
    try:
        for _, row in islice(json_rows(path, Notes()), SAMPLE):
            if any(matters(name, asked) and not isinstance(value, str) for name, value in row.items()):
                return None
            for name, value in row.items():
                if isinstance(value, str) and any(matters(n, asked) for n in named_numbers(value[:10_000])):
                    found[name] = found.get(name, 0) + 1
    except ExternalLogError:
        return None
    return max(found, key=found.__getitem__, default=None)


def field_lines(path: Path, field: str, notes: Notes) -> Iterator[tuple[int, str]]:
    """Yield what stands in that field, each piece a line."""
    for number, row in json_rows(path, notes):
        if isinstance(text := row.get(field), str):
            for line in text.splitlines():
                yield number, line + "\n"


def notebook_lines(path: Path) -> Iterator[tuple[int, str]] | None:
    """Return the lines of a notebook's outputs, each with the number of its cell; None for another file."""
    with open_bytes(path) as file:
        if not NOTEBOOK.match(file.read(200)):
            return None
        file.seek(0)
        content = file.read(LARGEST)
    try:
        book = loaded(content)
    except ValueError:
        return None
    cells = book.get("cells") if isinstance(book, dict) else None
    return _output_lines(cells) if isinstance(cells, list) else None


def _output_lines(cells: list[Any]) -> Iterator[tuple[int, str]]:
    for number, cell in enumerate(cells, start=1):
        for output in cell.get("outputs") or () if isinstance(cell, dict) else ():
            data = output.get("data") or {}
            page, plain = data.get("text/html"), output.get("text") or data.get("text/plain")
            lines = _table_lines(_joined(page)) if page and "<tr" in _joined(page) else None
            for line in lines or _joined(plain).splitlines():
                yield number, line.rstrip("\n") + "\n"


def _joined(text: Any) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text or "")


def page_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the text of a page of HTML, a line for each row of a table, its cells divided by “|”."""
    with open_text(path, "\n") as file:
        content = file.read(LARGEST)
    yield from ((number, line + "\n") for number, line in enumerate(_table_lines(content), start=1))


def _table_lines(content: str) -> list[str]:
    reader = _Page()
    reader.feed(content)
    reader.close()
    return reader.lines


class _Page(HTMLParser):
    """Collects the rows of tables and the text beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._row: list[str] | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self._row = []
        elif tag in CELLS and self._row is not None:
            self._row.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr" and self._row is not None:
            self.lines.append(f"| {' | '.join(self._row)} |")
            self._row = None

    def handle_data(self, data: str) -> None:
        if self._row is None:
            self.lines += filter(str.strip, data.splitlines())
        elif self._row:
            self._row[-1] += " ".join(data.split())
