"""The two pages of a result: the autograded notebook, which formgrader opens, and the learner's feedback.

pages = Pages(lesson, releases, exporter_of(config))
notebook = pages.notebook(result)           # the release with answers and verdicts, none of which acts
html = pages.feedback(notebook, result, facts)
html = pages.bare(result)                   # the verdicts alone, where the page cannot be made
"""

from __future__ import annotations

import copy
import html
import re

from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode, v4
from nbgrader.preprocessors import GetGrades
from traitlets.config import Config

from course.grade.inert import as_text, sentences
from course.grade.normalise import in_words, rebuild
from course.grade.scribe import shared
from course.lesson import Lesson
from course.messages import message

LABELS = ("score", "test-cell", "free-response", "written", "comment", "answer", "cell", "top", "comments")
SHORT = 2_000  # characters of code that is coloured in no time, whatever it is
LONG_LINE, LONG = 2_000, 60_000  # characters of code that is shown as text

_STYLE = "<style>.rendered_html td, .rendered_html th {padding: 0 0.6em}</style>"
_HEADINGS = re.compile(
    r'<div class="panel-heading">.*?</div>|<div class="panel-footer">\s*<div>\s*<b>.*?</b>', re.DOTALL
)


class Pages:
    """Makes pages; nothing on them acts, and no learner's text takes long."""

    def __init__(self, lesson: Lesson, releases: dict[str, NotebookNode], exporter: HTMLExporter):
        self.lesson, self.releases, self.exporter, self.scribe = lesson, releases, exporter, shared()

    def notebook(self, result: dict) -> NotebookNode:
        """The release in the learner's language with their answers, and the verdicts as outputs."""
        code = result["language"]
        notebook = rebuild(result["cells"], self.releases[code])
        stubs = {cell.id: cell.source for cell in self.releases[code].cells}
        verdicts = {name.replace("/", "_"): verdict for name, verdict in result["checks"].items()}
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in verdicts:
                cell.execution_count, cell.outputs = 1, _outputs(verdicts[name])
            elif name in result["cells"] and cell.source != stubs[cell.id]:
                self._show(cell, result.get("pictures", {}).get(name))
        lines = [in_words(note, code) for note in (result["problem"], *result["notes"]) if note]
        if lines:
            told = sentences(message("grade.remarks", code), lines)
            notebook.cells.insert(1, v4.new_markdown_cell(told, id="grading-remarks"))
        return notebook

    def feedback(self, notebook: NotebookNode, result: dict, facts: dict) -> str:
        """The page; `facts` say where nbgrader's gradebook has the learner's points and comments."""
        resources = {"nbgrader": facts, "metadata": {"name": self.lesson.slug}}
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

    def bare(self, result: dict) -> str:
        """Points and verdicts as text."""
        code = result["language"]
        lines = [message("grade.page-bare", code), ""]
        lines += [in_words(note, code) for note in (result["problem"], *result["notes"]) if note]
        lines += [f"{v['points']:g}  {v['text']}\n{v['printed']}" for v in result["checks"].values()]
        title = f"{self.lesson.title[code]} ({result['points']:g} / {result['maximum']:g})"
        title, body = html.escape(title), html.escape(re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines)))
        head = f'<html lang="{code}"><head><meta charset="utf-8"><title>{title}</title></head>'
        return f"<!DOCTYPE html>{head}<body><h1>{title}</h1><pre>{body}</pre></body></html>\n"

    def _show(self, cell: NotebookNode, pictures: dict | None) -> None:
        """Put what the learner wrote on the page so that it does nothing, and takes no time."""
        if cell.cell_type == "markdown":
            cell.source = self.scribe.written(cell.source, pictures)
        elif not self._is_quick(cell.source):
            cell.cell_type, cell.source = "markdown", as_text(cell.source)
            for key in ("outputs", "execution_count"):
                cell.pop(key, None)

    def _is_quick(self, code: str) -> bool:
        if len(code) <= SHORT:
            return True
        if len(code) > LONG or max(map(len, code.splitlines())) > LONG_LINE:
            return False
        return self.scribe.colours(code)


def exporter_of(config: Config) -> HTMLExporter:
    """What fills nbgrader's template for a feedback page; reading that takes it a second."""
    exporter = HTMLExporter(config=config, sanitize_html=True)
    exporter.register_preprocessor(GetGrades, enabled=True)
    return exporter


def _outputs(verdict: dict) -> list[NotebookNode]:
    printed = [v4.new_output("stream", name="stdout", text=verdict["printed"])] if verdict["printed"] else []
    stream = "stdout" if verdict["passed"] else "stderr"
    return [*printed, v4.new_output("stream", name=stream, text=verdict["text"] + "\n")]
