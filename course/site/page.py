"""One lesson as one HTML page, and the pages that lead to it.

    lesson_page(lesson, executed, "es", (before, after))

The cells are those of the release, so no solution is at hand that could leak; outputs come from the executed
notebook by cell id. Plots are inside the page.
"""

from __future__ import annotations

import base64
import io
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.mathtext import math_to_image
from nbconvert.filters import ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from course.build import release_notebook, source_notebook
from course.lesson import Lesson, by_phase
from course.messages import CourseError, message, one_line
from course.source import Cell, read_source
from course.tree_map import tree_map
from minigpt.messages import LANGUAGES

HERE = Path(__file__).parent
SHADES = {"light": "default", "dark": "github-dark"}  # pygments' styles
HEADER, MAP = "lesson-header", "lesson-map"  # the cells that a page says in its own way


@dataclass
class Block:
    """A piece of a page: prose, code, exercise, checks or answer."""

    kind: str
    html: Markup = Markup("")
    outputs: list[Markup] = field(default_factory=list)
    folded: bool = False
    rows: list[tuple[str, int]] = field(default_factory=list)  # of checks: what is verified, points


def page_name(lesson: Lesson) -> str:
    """`18-01-did-it-start.html`."""
    return f"{lesson.assignment}.html"


def lesson_page(lesson: Lesson, executed: NotebookNode, code: str, shown: Sequence[Lesson]) -> str:
    """Return the page of a lesson; `shown` are the lessons that have a page, in their order."""
    cells = {cell.grade_id: cell for cell in read_source(lesson.folder / "lesson.py")}
    release = release_notebook(source_notebook(lesson, list(cells.values()), code))
    outputs = {cell.id: cell.get("outputs", []) for cell in executed.cells}
    prose = _Prose()
    blocks: list[Block] = []
    for cell in release.cells:
        if cell.id == HEADER:
            continue
        if cell.id == MAP:
            blocks.append(Block("prose", prose.html(tree_map(lesson, shown, code, page_name))))
            continue
        block = _block(lesson, cell, cells.get(cell.id), outputs[cell.id], code, prose)
        if block.kind == "checks" and blocks and blocks[-1].kind == "checks":
            blocks[-1].rows += block.rows
        else:
            blocks.append(block)
    place = [one.id for one in shown].index(lesson.id)
    before, after = shown[place - 1] if place else None, next(iter(shown[place + 1 :]), None)
    return _render(
        "lesson.html",
        code,
        lesson=lesson,
        blocks=blocks,
        contents=[(anchor, title) for level, anchor, title in prose.headings if level == 2],
        before=before,
        after=after,
        other_page=page_name(lesson),
    )


def index_page(lessons: list[Lesson], code: str) -> str:
    """Return the page that lists the lessons in one language."""
    return _render("index.html", code, phases=by_phase(lessons), other_page="index.html")


def start_page() -> str:
    """Return the page above both languages."""
    return _render("start.html", LANGUAGES[0])


def style() -> str:
    """Return the style sheet, with the colours of code for light and dark."""
    sheets = {shade: HtmlFormatter(style=name).get_style_defs("pre.code") for shade, name in SHADES.items()}
    dark = f"@media (prefers-color-scheme: dark) {{\n{sheets['dark']}\n}}\n"
    own = (HERE / "style.css").read_text(encoding="utf-8")
    return f"{sheets['light']}\n{dark}\n{own}"


class _Prose(IPythonRenderer):
    """Markdown as JupyterLab shows it; collects (level, anchor, title) of headings, draws formulas."""

    def __init__(self):
        super().__init__(escape=False, exclude_anchor_links=True)
        self.headings: list[tuple[int, str, str]] = []

    def html(self, text: str) -> Markup:
        return Markup(MarkdownWithMath(renderer=self).render(text))

    def heading(self, text: str, level: int, **attributes: object) -> str:
        title = Markup(text).striptags()
        anchor = re.sub(r"\W+", "-", title.lower()).strip("-")
        taken = sum(anchor == other for _, other, _ in self.headings)
        self.headings.append((level, f"{anchor}-{taken + 1}" if taken else anchor, title))
        return f'<h{level} id="{self.headings[-1][1]}">{text}</h{level}>\n'

    def inline_math(self, body: str) -> str:
        return _formula(body)

    def block_math(self, body: str) -> str:
        return f'<p class="scroll" tabindex="0">{_formula(body)}</p>'


def _formula(tex: str) -> str:
    """Draw a formula as SVG in the colour of the text.

    Raises:
        CourseError: it is more than matplotlib can set.
    """
    tex = " ".join(tex.split())  # Markdown may break a line within it
    picture = io.BytesIO()
    try:
        depth = math_to_image(f"${tex}$", picture, format="svg", dpi=72)
    except ValueError as error:
        raise CourseError("site.formula", formula=tex, error=one_line(error)) from None
    svg = picture.getvalue().decode()
    svg = svg[svg.index("<svg") :]
    width, height = (float(re.search(rf'{side}="([\d.]+)pt"', svg)[1]) for side in ("width", "height"))
    ground = r'<g id="patch_1">.*?</g>'
    svg = re.sub(rf"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->|{ground}", "", svg, flags=re.DOTALL)
    size = f"width:{width / 10:.2f}em;height:{height / 10:.2f}em;vertical-align:{-depth / 10:.2f}em"
    label = Markup.escape(tex)
    return svg.replace("<svg", f'<svg class="formula" role="img" aria-label="{label}" style="{size}"', 1)


def _block(
    lesson: Lesson, cell: NotebookNode, source: Cell | None, outputs: list, code: str, prose: _Prose
) -> Block:
    role = source.role if source else "prose"
    if role == "check":
        return Block("checks", rows=[(lesson.texts.text(source.name, code), source.points)])
    if role == "answer":
        return Block("answer", rows=[("", source.points)])
    if role == "prose":
        return Block("prose", prose.html(cell.source))
    text = Markup(highlight(cell.source, PythonLexer(), HtmlFormatter(nowrap=True)))
    if role == "solution":
        return Block("exercise", text)
    invitation = {message("predict.open", code)}  # to a learner; a reader has nothing to write down
    shown = [one for one in outputs if "text" not in one or not {*one.text.splitlines()} <= invitation]
    return Block("code", text, _outputs(shown), folded=source.folded or source.setup)


def _outputs(outputs: list[NotebookNode]) -> list[Markup]:
    """Each output as HTML; consecutive printed outputs become one."""
    found: list[Markup] = []
    printed = ""
    for output in outputs:
        data = output.get("data", {})
        if output.output_type == "stream":
            printed += output.text
            continue
        if "image/png" in data or "image/svg+xml" in data:
            if printed:
                found.append(_text(printed))
                printed = ""
            found.append(_picture(output))
        else:
            printed += data.get("text/plain", "").rstrip("\n") + "\n"
    return [*found, _text(printed)] if printed.strip() else found


def _text(printed: str) -> Markup:
    return Markup(f'<pre class="output" tabindex="0">{ansi2html(printed.rstrip())}</pre>')


def _picture(output: NotebookNode) -> Markup:
    data = output.data
    kind = "image/svg+xml" if "image/svg+xml" in data else "image/png"
    alt = output.metadata.get(kind, {}).get("alt") or data.get("text/plain", "")
    if kind == "image/png":
        content = "".join(data[kind].split())
        dots = struct.unpack(">II", base64.b64decode(content[:44])[16:24])
        facts = output.metadata.get(kind, {})
        width, height = facts.get("width", dots[0]), facts.get("height", dots[1])
        size = Markup(f'width="{width}" height="{height}" style="--natural: {width}px"')
    else:
        content, size = base64.b64encode(data[kind].encode()).decode(), Markup("")
    picture = Markup('<img src="data:{};base64,{}" alt="{}" {}>')
    return Markup('<div class="plot" tabindex="0">{}</div>').format(
        picture.format(kind, Markup(content), alt, size)
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def _render(template: str, code: str, **values: object) -> str:
    other = next(language for language in LANGUAGES if language != code)
    return (
        _environment()
        .get_template(template)
        .render(
            code=code,
            other=other,
            say=lambda key, language=code, **more: message(f"site.{key}", language, **more),
            name_of=lambda language: message("learn.language-name", language),
            title=message("learn.title", code),
            phase_name=lambda phase: message(f"learn.{phase}", code),
            dots=lambda level: "●" * level + "○" * (5 - level),
            page_name=page_name,
            **values,
        )
        + "\n"
    )
