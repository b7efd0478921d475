"""Which cell of a submission is which of the release's: by its grade id, its id or its text.

matching = Matching(cells, releases)
matching.names        # one a cell; None for the learner's own
"""

from __future__ import annotations

import re

from nbformat import NotebookNode

from course.grade.reading import source_of

MAX_SOURCE = 200_000  # characters of one answer
MAX_OWN = 500_000  # characters of all code beside the answers that is looked at
MAX_PARTS = 12  # cells that one answer is put together from

_CHECK = re.compile(r'check\("([\w-]+)/[\w-]+", (\w+)\)')


def answers(release: NotebookNode) -> dict[str, NotebookNode]:
    """The cells of a release that a learner writes, by grade id."""
    facts = {cell.metadata.nbgrader.grade_id: cell for cell in release.cells if "nbgrader" in cell.metadata}
    return {name: cell for name, cell in facts.items() if cell.metadata.nbgrader.solution}


def answer_names(release: NotebookNode) -> dict[str, set[str]]:
    """By exercise, the Python names that its checks ask for."""
    names: dict[str, set[str]] = {}
    for cell in release.cells:
        for exercise, name in _CHECK.findall(cell.source) if cell.cell_type == "code" else ():
            names.setdefault(exercise, set()).add(name)
    return names


class Matching:
    """Which cell of a submission is which of the release's; None for the learner's own."""

    def __init__(self, cells: list[dict], releases: dict[str, NotebookNode]):
        release = releases["en"]
        self.cells, self.release = cells, release
        self.wanted, self.answer_names = answers(release), answer_names(release)
        self.place = {cell.id: number for number, cell in enumerate(release.cells)}
        self.released = {cell.id: cell for cell in release.cells}
        self.graded = {
            cell.metadata.nbgrader.grade_id: cell for cell in release.cells if "nbgrader" in cell.metadata
        }
        self.texts: dict[str, set[str]] = {}  # by id, the cell's text in each language
        texts: dict[str, tuple[str, set[str]]] = {}
        for language, notebook in releases.items():
            for cell in notebook.cells:
                self.texts.setdefault(cell.id, set()).add(cell.source.strip())
                texts.setdefault(cell.source.strip(), (cell.id, set()))[1].add(language)
        self.sources = [source_of(cell) for cell in cells]
        said = dict.fromkeys(releases, 0)
        self.names: list[str | None] = []
        for cell, source in zip(cells, self.sources, strict=True):
            known, languages = texts.get((source or "").strip(), (None, ()))
            if len(languages) == 1:
                said[next(iter(languages))] += 1
            self.names.append(self._name(cell) or known)
        most = max(said, key=said.get)
        self.language = most if said[most] else None
        self.own_code = self._own_code()

    def _name(self, cell: dict) -> str | None:
        """The grade id in the metadata, if the release has it; else the cell's id, which Jupyter keeps."""
        metadata = cell.get("metadata")
        facts = metadata.get("nbgrader") if isinstance(metadata, dict) else None
        name = facts.get("grade_id") if isinstance(facts, dict) else None
        if isinstance(name, str):
            return name if name in self.graded else None
        name = cell.get("id")
        return name if isinstance(name, str) and name in self.released else None

    def usable(self, number: int) -> bool:
        """Whether the cell holds a text of some reasonable length."""
        source = self.sources[number]
        return source is not None and len(source) <= MAX_SOURCE and "\0" not in source

    def _own_code(self) -> list[int]:
        """Code beside the answers and checks: the learner's own cells, and the release's; up to MAX_OWN."""
        found, size = [], 0
        for number, (cell, name) in enumerate(zip(self.cells, self.names, strict=True)):
            if cell.get("cell_type") == "code" and name not in self.graded and self.usable(number):
                size += len(self.sources[number])
                if size > MAX_OWN:
                    break
                found.append(number)
        return found

    def at(self, name: str) -> list[int]:
        """Where cells of that name stand."""
        return [number for number, other in enumerate(self.names) if other == name]
