"""Results into nbgrader's hands: its gradebook, autograded notebooks that formgrader opens, feedback pages.

    with Ledger(root, lesson, releases) as ledger:
        found = ledger.write(result)    # one student; the same result twice changes nothing
        ledger.has(result)              # whether that was done to its end

A person's work stays: manual scores and comments are never touched, and a cell asks for a person again only
if its automatic score or the written answer changed. What goes wrong with one student's page costs that page
alone: it is told, and made again by the next run. Several graders may write: each waits for its turn.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import warnings
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path

import nbgrader.api
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import SaveCells
from sqlalchemy import URL
from sqlalchemy.exc import SAWarning

from course.build import nbgrader_config, to_text, write
from course.grade.delivery import Student
from course.grade.mishaps import everybodys, turn
from course.grade.normalise import answers
from course.grade.pages import Pages, exporter_of
from course.lesson import Lesson
from course.messages import CourseError, message
from course.plain import whole

COURSE_ID = "break-and-fix"
LOCK_SECONDS = 30  # how long to wait for formgrader, or anybody else who writes, to finish

Found = list[tuple[str, dict]]  # what a person should know, as (message key, values)


class Ledger:
    """One open gradebook."""

    def __init__(self, root: Path, lesson: Lesson, releases: dict[str, NotebookNode]):
        self.root, self.lesson, self.releases = root, lesson, releases
        self.url = book_url(root / "gradebook.db")

    def __enter__(self) -> Ledger:
        warnings.filterwarnings("ignore", module="nbgrader", category=SAWarning)
        nbgrader.api.app_log.addFilter(_is_not_raised)
        self.pages = Pages(self.lesson, self.releases, _exporter(str(self.root)))
        with turn(self.root):
            self.book = Gradebook(self.url, COURSE_ID)
            self._register()
        return self

    def __exit__(self, *_: object) -> None:
        self.book.close()

    def roster(self) -> list[Student]:
        """The gradebook's students."""
        return [
            Student(s.id, s.first_name or "", s.last_name or "", s.lms_user_id or "")
            for s in self.book.students
        ]

    def has(self, result: dict) -> bool:
        """Whether this very result is written to its end, and no person changed a grade or comment since."""
        student = result["student"]
        self.book.db.expire_all()  # somebody else may have written
        try:
            entered = self._entered(student) == self._state(result)
        except (MissingEntry, OSError, ValueError):
            return False
        files = [self._file("autograded", student, "ipynb"), self._file("feedback", student, "html")]
        return entered and all(file.exists() for file in files)

    def write(self, result: dict) -> Found:
        """Record one result; a note that all of it is there comes last, in case of a kill on the way.

        Returns what a person should look at: the pages that could not be made, a grade that is older than
        the answer.
        """
        with turn(self.root):
            self.book.db.expire_all()
            return self._write(result)

    def _write(self, result: dict) -> Found:
        student, found = result["student"], []
        notebook = _tried(found, "autograded", lambda: self._autograded(result))
        changed = _tried(found, "gradebook", lambda: self._enter(result))
        page = (
            notebook
            and changed is not None
            and _tried(found, "feedback", lambda: self._page(notebook, result))
        )
        page = page or self.pages.bare(result)
        _tried(found, "feedback", lambda: write(self._file("feedback", student, "html"), page))
        if changed is None:
            self.book.db.rollback()
        if not found:
            write(self._entered_file(student), json.dumps(self._state(result)))
        return [*found, *(("grade.answer-changed", {"cell": name}) for name in changed or ())]

    def _autograded(self, result: dict) -> NotebookNode:
        notebook = self.pages.notebook(result)
        write(self._file("autograded", result["student"], "ipynb"), to_text(notebook))
        return notebook

    def _enter(self, result: dict) -> list[str]:
        """The gradebook's row; returns the answers that a person graded when they were others."""
        student = result["student"]
        try:
            self.book.update_or_create_student(student)
            when = {"timestamp": datetime.fromisoformat(result["timestamp"])} if result["timestamp"] else {}
            self.book.update_or_create_submission(self.lesson.assignment, student, **when)
            return self._scores(result)
        except Exception:
            self.book.db.rollback()
            raise

    def _page(self, notebook: NotebookNode, result: dict) -> str:
        self.book.db.commit()
        return self.pages.feedback(notebook, result, self._facts(result["student"]))

    def _state(self, result: dict) -> dict:
        """What a feedback page is made from: the result, and what a person gave and said."""
        name, assignment = self.lesson.slug, self.lesson.assignment
        notebook = self.book.find_submission_notebook(name, assignment, result["student"])
        given = sorted([g.name, g.manual_score, g.extra_credit] for g in notebook.grades)
        said = sorted([comment.name, comment.manual_comment] for comment in notebook.comments)
        return {"made_of": result["made_of"], "given": given, "said": said, "written": self._written(result)}

    def _written(self, result: dict) -> dict[str, str]:
        """A digest of each written answer, by name."""
        cells = result["cells"]
        names = [n for n, cell in answers(self.releases["en"]).items() if cell.cell_type == "markdown"]
        return {name: hashlib.sha256(cells.get(name, "").strip().encode()).hexdigest() for name in names}

    def _entered(self, student: str) -> dict:
        found = json.loads(self._entered_file(student).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}

    def _entered_file(self, student: str) -> Path:
        return self.root / "autograded" / ".results" / self.lesson.assignment / f"{student}.entered"

    def _file(self, kind: str, student: str, suffix: str) -> Path:
        return self.root / kind / student / self.lesson.assignment / f"{self.lesson.slug}.{suffix}"

    def _register(self) -> None:
        """The assignment in the gradebook, as `nbgrader generate_assignment` puts it there, and as it is now.

        Raises:
            CourseError: the release has other cells than the one that was graded before.
        """
        release = {cell.id: cell for cell in self.releases["en"].cells if "nbgrader" in cell.metadata}
        try:
            known = self.book.find_notebook(self.lesson.slug, self.lesson.assignment)
        except MissingEntry:
            self.book.update_or_create_assignment(self.lesson.assignment)
        else:
            changed = {cell.name for cell in known.source_cells} ^ release.keys()
            if changed and known.submissions:
                cells = ", ".join(sorted(changed))
                raise CourseError("grade.release-changed", assignment=self.lesson.assignment, cells=cells)
            points = {cell.name: cell.max_score for cell in known.grade_cells}
            wanted = {
                n: float(c.metadata.nbgrader.points) for n, c in release.items() if c.metadata.nbgrader.grade
            }
            if points == wanted and {c.name: c.source for c in known.source_cells} == {
                name: cell.source for name, cell in release.items()
            }:
                return
        self.book.db.commit()
        SaveCells().preprocess(copy.deepcopy(self.releases["en"]), {"nbgrader": self._facts()})
        self.book.db.expire_all()

    def _facts(self, student: str = "") -> dict:
        facts = {"notebook": self.lesson.slug, "assignment": self.lesson.assignment, "student": student}
        return facts | {"db_url": self.url}

    def _scores(self, result: dict) -> list[str]:
        notebook = self.book.find_submission_notebook(
            self.lesson.slug, self.lesson.assignment, result["student"]
        )
        try:
            before = self._entered(result["student"]).get("written", {})
        except (OSError, ValueError):
            before = {}
        verdicts = {name.replace("/", "_"): verdict for name, verdict in result["checks"].items()}
        stubs = {name: cell.source.strip() for name, cell in answers(self.releases["en"]).items()}
        now, problem = self._written(result), result["problem"] is not None
        again = any(grade.auto_score is not None for grade in notebook.grades)
        changed = []
        for grade in notebook.grades:
            known = grade.auto_score, grade.needs_manual_grade
            if grade.name in verdicts:
                grade.auto_score = verdicts[grade.name]["points"]
                human = problem or bool(verdicts[grade.name].get("held"))
            else:
                empty = result["cells"].get(grade.name, "").strip() in ("", stubs[grade.name])
                grade.auto_score = 0.0 if empty and not problem else None
                human = not empty or problem
                if (
                    grade.manual_score is not None
                    and before.get(grade.name, now[grade.name]) != now[grade.name]
                ):
                    changed.append(grade.name)
            human = human or grade.manual_score is not None
            same = again and known[0] == grade.auto_score and grade.name not in changed
            grade.needs_manual_grade = known[1] if same else human
        for comment in notebook.comments:
            empty = result["cells"].get(comment.name, "").strip() in ("", stubs[comment.name])
            comment.auto_comment = message("grade.no-response", result["language"]) if empty else None
        self.book.db.commit()
        return changed


@cache
def _exporter(root: str) -> HTMLExporter:
    """What makes the feedback pages of a course directory, of all its lessons."""
    config = nbgrader_config()  # finds nbgrader's own programs too, which a new gradebook needs
    directory = CourseDirectory(config=config, root=root)
    return exporter_of(GenerateFeedback(coursedir=directory, config=config).config)


def _is_not_raised(record: logging.LogRecord) -> bool:
    """Whether it is not what nbgrader writes out in full, and raises as well: that ends as a sentence."""
    return not record.getMessage().startswith("Rolling back session")


def _tried(found: Found, page: str, make: Callable):
    """What `make` returns; where it fails for this student alone, None, and that is noted.

    Raises:
        Exception: what the next student would meet too, such as a full disk.
    """
    try:
        return make()
    except CourseError:
        raise
    except Exception as error:
        if everybodys(error):
            raise
        what = " ".join(whole(f"{type(error).__name__}: {error}").split())[:160]
        found.append((f"grade.page-{page}", {"what": what}))
        return None


def book_url(file: Path) -> str:
    """The gradebook's address for SQLAlchemy, which waits a while where somebody else is writing."""
    query = {"timeout": str(LOCK_SECONDS)}
    return URL.create("sqlite", database=str(file), query=query).render_as_string()


def to_json(result: dict) -> str:
    """A result as the file keeps it."""
    return whole(json.dumps(result, ensure_ascii=False, indent=1, sort_keys=True))
