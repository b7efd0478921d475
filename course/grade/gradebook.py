"""Results into nbgrader's hands: its gradebook, autograded notebooks that formgrader opens, feedback pages.

    with Ledger(root, lesson, releases) as ledger:
        ledger.write(result)        # one student; the same result twice changes nothing
        ledger.has(result)          # whether that was done to its end

A person's work stays: manual scores and comments are never touched, and a cell asks for a person again only
if its automatic score changed.
"""

from __future__ import annotations

import copy
import json
import re
import warnings
from datetime import datetime
from pathlib import Path

from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode, v4
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import GetGrades, SaveCells
from sqlalchemy import URL
from sqlalchemy.exc import SAWarning

from course.build import nbgrader_config, to_text, write
from course.grade.delivery import Student
from course.grade.normalise import HandedIn, answers, in_words, rebuild
from course.lesson import Lesson
from course.messages import CourseError, message
from course.plain import whole

COURSE_ID = "break-and-fix"
LOCK_SECONDS = 30  # how long to wait for formgrader, or anybody else who writes, to finish
LABELS = ("score", "test-cell", "free-response", "written", "comment", "answer", "cell", "top", "comments")

_STYLE = "<style>.rendered_html td, .rendered_html th {padding: 0 0.6em}</style>"
_HEADINGS = re.compile(
    r'<div class="panel-heading">.*?</div>|<div class="panel-footer">\s*<div>\s*<b>.*?</b>', re.DOTALL
)


class Ledger:
    """One open gradebook and the one writer to it."""

    def __init__(self, root: Path, lesson: Lesson, releases: dict[str, NotebookNode]):
        self.root, self.lesson, self.releases = root, lesson, releases
        self.url = book_url(root / "gradebook.db")

    def __enter__(self) -> Ledger:
        config = nbgrader_config()  # finds nbgrader's own programs too, which a new gradebook needs
        warnings.filterwarnings("ignore", module="nbgrader", category=SAWarning)
        self.book = Gradebook(self.url, COURSE_ID)
        self._register()
        directory = CourseDirectory(config=config, root=str(self.root))
        feedback = GenerateFeedback(coursedir=directory, config=config)
        self.exporter = HTMLExporter(config=feedback.config, sanitize_html=True)
        self.exporter.register_preprocessor(GetGrades, enabled=True)
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
        try:
            entered = self._entered(student).read_text(encoding="utf-8") == self._state(result)
        except (MissingEntry, OSError):
            return False
        files = [self._file("autograded", student, "ipynb"), self._file("feedback", student, "html")]
        return entered and all(file.exists() for file in files)

    def write(self, result: dict) -> None:
        """Record one result; a note that all of it is there comes last, in case of a kill on the way."""
        student, name = result["student"], self.lesson.assignment
        notebook = self._notebook(result)
        write(self._file("autograded", student, "ipynb"), to_text(notebook))
        self.book.update_or_create_student(student)
        when = {"timestamp": datetime.fromisoformat(result["timestamp"])} if result["timestamp"] else {}
        self.book.update_or_create_submission(name, student, **when)
        self._scores(result)
        write(self._file("feedback", student, "html"), self._feedback(notebook, result))
        write(self._entered(student), self._state(result))

    def _state(self, result: dict) -> str:
        """What a feedback page is made from: the result, and what a person gave and said."""
        name, assignment = self.lesson.slug, self.lesson.assignment
        notebook = self.book.find_submission_notebook(name, assignment, result["student"])
        given = sorted((g.name, g.manual_score, g.extra_credit) for g in notebook.grades)
        said = sorted((comment.name, comment.manual_comment) for comment in notebook.comments)
        return result["made_of"] + json.dumps([given, said])

    def _entered(self, student: str) -> Path:
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

    def _scores(self, result: dict) -> None:
        notebook = self.book.find_submission_notebook(
            self.lesson.slug, self.lesson.assignment, result["student"]
        )
        verdicts = {name.replace("/", "_"): verdict for name, verdict in result["checks"].items()}
        written = answers(self.releases["en"])
        again = any(grade.auto_score is not None for grade in notebook.grades)
        for grade in notebook.grades:
            known = grade.auto_score, grade.needs_manual_grade
            if grade.name in verdicts:
                grade.auto_score = verdicts[grade.name]["points"]
                human = result["problem"] is not None
            else:
                empty = result["cells"].get(grade.name, "").strip() in (
                    "",
                    written[grade.name].source.strip(),
                )
                grade.auto_score = 0.0 if empty and result["problem"] is None else None
                human = not empty or result["problem"] is not None
            human = human or grade.manual_score is not None
            grade.needs_manual_grade = known[1] if again and known[0] == grade.auto_score else human
        for comment in notebook.comments:
            empty = result["cells"].get(comment.name) in (None, written[comment.name].source)
            comment.auto_comment = message("grade.no-response", result["language"]) if empty else None
        self.book.db.commit()

    def _notebook(self, result: dict) -> NotebookNode:
        """The release in the learner's language with their answers, and the verdicts as outputs."""
        code = result["language"]
        notebook = rebuild(HandedIn(cells=result["cells"]), self.releases[code])
        verdicts = {name.replace("/", "_"): verdict for name, verdict in result["checks"].items()}
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in verdicts:
                verdict = verdicts[name]
                cell.execution_count = 1
                printed = (
                    [v4.new_output("stream", name="stdout", text=verdict["printed"])]
                    if verdict["printed"]
                    else []
                )
                stream = "stdout" if verdict["passed"] else "stderr"
                cell.outputs = [*printed, v4.new_output("stream", name=stream, text=verdict["text"] + "\n")]
            elif name in result["cells"] and cell.cell_type == "markdown":
                cell.source = harmless(cell.source)
        lines = [in_words(note, code) for note in (result["problem"], *result["notes"]) if note]
        if lines:
            text = (
                message("grade.remarks", code) + "\n\n" + "\n".join(f"* {harmless(line)}" for line in lines)
            )
            notebook.cells.insert(1, v4.new_markdown_cell(text, id="grading-remarks"))
        return notebook

    def _feedback(self, notebook: NotebookNode, result: dict) -> str:
        resources = {"nbgrader": self._facts(result["student"]), "metadata": {"name": self.lesson.slug}}
        self.book.db.commit()
        page, _ = self.exporter.from_notebook_node(copy.deepcopy(notebook), resources)
        labels = {message(f"grade.label-{name}", "en"): name for name in LABELS}
        head, mark, rest = page.partition('<div class="panel-body">')
        head = head.replace("</head>", f"{_STYLE}</head>")

        def translated(text: str) -> str:
            for english, name in labels.items():
                text = text.replace(english, message(f"grade.label-{name}", result["language"]))
            return text

        rest = _HEADINGS.sub(lambda found: translated(found[0]), rest)  # no learner can write such a tag
        return translated(head) + mark + rest


def book_url(file: Path) -> str:
    """The gradebook's address for SQLAlchemy, which waits a while where somebody else is writing."""
    query = {"timeout": str(LOCK_SECONDS)}
    return URL.create("sqlite", database=str(file), query=query).render_as_string()


def harmless(markdown: str) -> str:
    """The text with its HTML shown instead of obeyed: a page of a learner's must not act for a teacher."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", markdown)


def to_json(result: dict) -> str:
    """A result as the file keeps it."""
    return whole(json.dumps(result, ensure_ascii=False, indent=1, sort_keys=True))
