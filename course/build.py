"""From a lesson's source: nbgrader's source notebook in solutions/ (executed) and one release per language.

    build(lesson)                    # write all three, each to a temporary name first
    build(lesson, prose=True)        # where no code has changed: without executing, the outputs stay
    differences(lesson)              # what a build would change, without executing or writing anything

Releases come out of nbgrader's own preprocessors with nbgrader's own settings, so that `nbgrader
generate_assignment` makes the same English release. Bytes depend on the sources alone, outputs on the run.
Every notebook carries the lesson's id, its language and its revision (a hash of the lesson's files) in its
metadata.
"""

from __future__ import annotations

import ast
import copy
import os
from collections.abc import Iterable
from functools import lru_cache, partial
from itertools import zip_longest
from pathlib import Path

import nbformat
from nbformat import NotebookNode, v4
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
)
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from course import recall
from course.execute import execute
from course.glossary import offence
from course.lesson import ROOT, Lesson, all_lessons
from course.messages import CourseError, message
from course.source import Cell, read_source
from course.tree_map import tree_map
from course.verify import require_no_leak, require_parity
from minigpt.messages import LANGUAGES

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
COMPARE_TAG = "nbval-check-output"  # as good as the comment NBVAL_CHECK_OUTPUT, and not in the learner's way

_RELEASE = (
    LockCells,
    ClearSolutions,
    ClearOutput,
    CheckCellMetadata,
    ComputeChecksums,
    ClearHiddenTests,
    ClearMarkScheme,
    ComputeChecksums,
    CheckCellMetadata,
)  # nbgrader's own order for generate_assignment, without header, autotests and database


@lru_cache(maxsize=1)
def nbgrader_config() -> Config:
    """The settings of course/nbgrader_config.py."""
    return PyFileConfigLoader("nbgrader_config.py", path=str(ROOT / "course")).load_config()


def source_notebook(lesson: Lesson, cells: list[Cell], code: str) -> NotebookNode:
    """Return the notebook with solutions in one language, not executed."""
    notebook = v4.new_notebook(
        metadata={
            "kernelspec": dict(KERNEL),
            "language_info": {"name": "python", "pygments_lexer": "ipython3"},
            "lesson": {"id": lesson.id, "lang": code, "revision": lesson.revision},
        }
    )
    notebook.cells.append(v4.new_markdown_cell(_header(lesson, code), id="lesson-header"))
    chart = tree_map(lesson, all_lessons(), code, partial(_beside, lesson))
    notebook.cells.append(v4.new_markdown_cell(chart, id="lesson-map"))
    if lesson.recall:
        asked = recall.cell(lesson.recall, code)
        notebook.cells.append(v4.new_markdown_cell(asked, id="lesson-recall"))
    for cell in cells:
        if cell.is_markdown:
            made = v4.new_markdown_cell(cell.texts[code], id=cell.grade_id)
        else:
            made = v4.new_code_cell(cell.text, id=cell.grade_id)
        if cell.role in ("solution", "check", "answer"):
            made.metadata["nbgrader"] = _nbgrader(cell)
        if cell.folded:
            made.metadata["jupyter"] = {"source_hidden": True}
        if cell.compare:
            made.metadata["tags"] = [COMPARE_TAG]
        notebook.cells.append(made)
    nbformat.validate(notebook)
    return notebook


def release_notebook(source: NotebookNode) -> NotebookNode:
    """Return the release for learners: solutions replaced by stubs, outputs cleared, checks locked."""
    notebook, resources = copy.deepcopy(source), {}
    for preprocessor in _RELEASE:
        notebook, resources = preprocessor(config=nbgrader_config()).preprocess(notebook, resources)
    return notebook


def make(lesson: Lesson) -> tuple[NotebookNode, dict[str, NotebookNode]]:
    """Return the solution notebook (not executed) and the releases by language, all verified.

    Raises:
        CourseError: anything wrong with the lesson's files, a leak, or releases that differ in more than
        prose.
    """
    cells = read_source(lesson.folder / "lesson.py")
    _require_checks(lesson, cells)
    _require_terms(lesson, cells)
    sources = {code: source_notebook(lesson, cells, code) for code in LANGUAGES}
    releases = {code: release_notebook(source) for code, source in sources.items()}
    for code, release in releases.items():
        require_no_leak(release, cells, f"{lesson.assignment} ({code})")
    first, *others = LANGUAGES
    for other in others:
        require_parity(releases[first], releases[other], lesson.assignment)
    return sources[first], releases


def build(lesson: Lesson, root: Path = ROOT, prose: bool = False) -> dict[str, float]:
    """Write the lesson's three notebooks below `root`; return the seconds of each executed cell by its id.

    Args:
        prose: execute nothing, and keep the outputs of the solution that is there.

    Raises:
        CourseError: as `make`, or a cell of the solution fails, or code has changed and `prose` is asked for;
            then nothing is written.
    """
    solution, releases = make(lesson)
    if prose:
        executed, seconds = _with_outputs_of(lesson.built("solutions", root), solution), {}
    else:
        executed, seconds = execute(solution, lesson.slug)
    for kind, notebook in {"solutions": executed, **releases}.items():
        write(lesson.built(kind, root), to_text(notebook))
    return seconds


def differences(lesson: Lesson, root: Path = ROOT) -> list[str]:
    """Name each notebook that differs from what `build` makes; a solution's outputs may differ."""
    solution, releases = make(lesson)
    found = []
    for kind, expected in {"solutions": solution, **releases}.items():
        file = lesson.built(kind, root)
        shown = file.relative_to(root)
        if not file.is_file():
            found.append(message("build.absent", file=shown))
            continue
        text = file.read_text(encoding="utf-8")
        try:
            actual = nbformat.reads(text, as_version=4)
        except Exception:  # nbformat raises whatever its JSON and schema libraries raise
            found.append(message("build.unreadable", file=shown))
            continue
        if kind == "solutions":
            found += [message("build.not-executed", file=shown, cell=name) for name in _not_executed(actual)]
            text = to_text(_without_outputs(actual))
        if text != to_text(expected):
            found.append(message("build.differs", file=shown, cell=_first_difference(actual, expected)))
    return found


def orphans(lessons: Iterable[Lesson], root: Path = ROOT) -> list[str]:
    """Name each built notebook that no lesson makes."""
    kinds = ("solutions", *LANGUAGES)
    known = {lesson.built(kind, root) for lesson in lessons for kind in kinds}
    patterns = ["solutions/phase-*/*/*.ipynb", *(f"phase-*/{code}/*/*.ipynb" for code in LANGUAGES)]
    built = sorted(file for pattern in patterns for file in root.glob(pattern))
    return [message("build.orphan", file=file.relative_to(root)) for file in built if file not in known]


def to_text(notebook: NotebookNode) -> str:
    """The notebook as nbgrader would write it, byte for byte."""
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def write(file: Path, text: str) -> None:
    """Write to a temporary name beside the file, then rename: no reader ever sees half a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _header(lesson: Lesson, code: str) -> str:
    def dots(level: int) -> str:
        return "●" * level + "○" * (5 - level)

    return message(
        "build.header",
        code,
        id=lesson.id,
        title=lesson.title[code],
        difficulty=dots(lesson.difficulty),
        importance=dots(lesson.importance),
        minutes=lesson.minutes,
        prerequisites=lesson.prerequisites[code],
    )


def _beside(lesson: Lesson, other: Lesson) -> str | None:
    """Where another lesson's notebook lies, seen from this one's: the same for solution and releases."""
    return f"../{other.assignment}/{other.slug}.ipynb" if other.phase == lesson.phase else None


def _nbgrader(cell: Cell) -> dict:
    metadata = {
        "grade": cell.role != "solution",
        "grade_id": cell.grade_id,
        "locked": cell.role == "check",
        "schema_version": 3,
        "solution": cell.role != "check",
        "task": False,
    }
    return metadata | ({"points": cell.points} if metadata["grade"] else {})


def _require_checks(lesson: Lesson, cells: list[Cell]) -> None:
    """Check that every check is in the notebook once, after its exercise, with its answer and its text."""
    written = [cell for cell in cells if cell.role == "check"]
    seen: set[str] = set()
    for cell in cells:
        if cell.role == "solution":
            seen.add(cell.name)
        elif cell.role == "check":
            known = lesson.checks.get(cell.name)
            where = {"file": lesson.folder / "lesson.py", "line": cell.line, "cell": cell.name}
            if known is None:
                raise CourseError("build.check-unknown", **where)
            if cell.text.strip() != f'check("{cell.name}", {known.answer})':
                raise CourseError("build.check-answer", **where, answer=known.answer)
            if known.exercise not in seen:
                raise CourseError("build.check-early", **where)
            if not lesson.texts.has(cell.name):
                raise CourseError("build.check-text", **where)
    for name in lesson.checks:
        if name not in {cell.name for cell in written}:
            raise CourseError("build.check-unused", file=lesson.folder / "checks", name=name)


def _require_terms(lesson: Lesson, cells: list[Cell]) -> None:
    """Check that every Spanish text of the lesson keeps to the glossary."""
    texts = [("lesson.py", cell.name, cell.texts["es"]) for cell in cells if cell.is_markdown]
    texts += [("messages.es.yaml", *entry) for entry in lesson.texts.by_language["es"].items()]
    texts += [("../recall.yaml", lesson.id, text["es"]) for q in lesson.recall for text in (q.ask, q.answer)]
    texts += [("lesson.yaml", "title", lesson.title["es"])]
    texts += [("lesson.yaml", "prerequisites", lesson.prerequisites["es"])]
    for file, name, text in texts:
        found = offence(text)
        if found:
            term, words = found
            raise CourseError("build.term", file=lesson.folder / file, cell=name, term=term, words=words)


def _with_outputs_of(file: Path, solution: NotebookNode) -> NotebookNode:
    """Return a solution with the outputs of an earlier build.

    Raises:
        CourseError: there is no earlier build, or a code cell was another one then.
    """
    if not file.is_file():
        raise CourseError("build.absent", file=file)
    before = [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]
    now = [cell for cell in solution.cells if cell.cell_type == "code"]
    for old, new in zip_longest(before, now):
        if old is None or new is None or (old.id, _code(old.source)) != (new.id, _code(new.source)):
            raise CourseError("build.code-changed", file=file, cell=(new or old).id)
        new.outputs, new.execution_count = old.outputs, old.execution_count
    return solution


def _code(source: str) -> str:
    """Return what a cell does, whatever its comments and line ends say."""
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:  # a line that only IPython understands
        return source


def _without_outputs(notebook: NotebookNode) -> NotebookNode:
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def _not_executed(notebook: NotebookNode) -> list[str]:
    """The code cells that were not run, failed, or are compared but printed nothing."""
    names = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        failed = any(output.output_type == "error" for output in cell.outputs)
        silent = COMPARE_TAG in cell.metadata.get("tags", []) and not cell.outputs
        if cell.execution_count is None or failed or silent:
            names.append(cell.get("id", "?"))
    return names


def _first_difference(actual: NotebookNode, expected: NotebookNode) -> str:
    for one, other in zip(actual.cells, expected.cells, strict=False):
        keys = ("id", "cell_type", "metadata", "source")
        if any(one.get(key) != other.get(key) for key in keys):
            return other.id
    return "metadata" if len(actual.cells) == len(expected.cells) else str(len(expected.cells))
