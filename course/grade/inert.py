"""What a learner wrote, as HTML that does nothing: a teacher's page has the teacher's rights.

    inert("see [this](https://arxiv.org) ![](attachment:a.png)", {"a.png": {"image/png": "iVBOR…"}})
    as_text(source)                 # where Markdown is too long or too tangled to be obeyed

Raw HTML is shown, not obeyed. A link is its text and its address, and nothing to click: any name may resolve
to the teacher's own machine. A picture is shown if its bytes came with the notebook, and named if it would
have to be fetched. Both return one line of HTML, so that nbgrader’s pages, which take it for Markdown, leave
it as it is.
"""

from __future__ import annotations

import html
import re

import bleach
from mistune import HTMLRenderer
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

MAX_MARKDOWN = 50_000  # characters; a page of text has some 3,000
MAX_NESTING = 40  # of tags in what came of it

PICTURES = ("image/png", "image/jpeg")
TAGS = frozenset(
    "blockquote br code dd del div dl dt em h1 h2 h3 h4 h5 h6 hr img li ol p pre strong table tbody td th "
    "thead tr ul".split()
)
_PICTURE = re.compile(rf"data:(?:{'|'.join(PICTURES)});base64,[A-Za-z0-9+/=]*")
MAX_ADDRESS = 500  # characters of a link's address that are shown
_TAG = re.compile(r"<(/?)([a-z0-9]+)")
_EMPTY = ("br", "hr", "img")


class Tangled(Exception):
    """Markdown that is better shown as text."""


def inert(markdown: str, pictures: dict[str, dict[str, str]] | None = None) -> str:
    """Obey the Markdown; `pictures` are the cell's attachments, base64 by type by name.

    Raises:
        Tangled: it is too long, or nests too deep.
    """
    if len(markdown) > MAX_MARKDOWN:
        raise Tangled
    try:
        made = MarkdownWithMath(renderer=_Renderer(pictures or {})).render(markdown)
    except RecursionError:
        raise Tangled from None
    deepest = depth = 0
    for found in _TAG.finditer(made):
        if found[2] not in _EMPTY:
            depth += -1 if found[1] else 1
            deepest = max(deepest, depth)
    if deepest > MAX_NESTING:
        raise Tangled
    clean = bleach.clean(made, tags=TAGS, attributes=_may_stay, protocols=("data",))
    return _one_line(f"<div>{clean}</div>")


def as_text(source: str) -> str:
    """Show the source as it was typed."""
    return _one_line(f"<div><pre>{html.escape(source)}</pre></div>")


def sentences(heading: str, lines: list[str]) -> str:
    """A heading and a list; what stands between backticks is shown as code, and nothing is obeyed."""

    def shown(text: str) -> str:
        return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text, quote=False))

    items = "".join(f"<li>{shown(line)}</li>" for line in lines)
    return _one_line(f"<div><p><strong>{shown(heading)}</strong></p><ul>{items}</ul></div>")


class _Renderer(IPythonRenderer):
    """nbconvert's Markdown without what acts: HTML, links, pictures from elsewhere, diagrams, anchors."""

    def __init__(self, pictures: dict[str, dict[str, str]]):
        super().__init__(escape=True, allow_harmful_protocols=False, exclude_anchor_links=True)
        self.pictures = pictures

    def block_code(self, code: str, info: str | None = None) -> str:
        return HTMLRenderer.block_code(self, code)

    def heading(self, text: str, level: int, **attrs: object) -> str:
        return f"<h{level}>{text}</h{level}>\n"

    def link(self, text: str, url: str, title: str | None = None) -> str:
        shown = html.escape(url[:MAX_ADDRESS])
        return text if text == shown else f"{text} (<code>{shown}</code>)"

    def image(self, text: str, url: str, title: str | None = None) -> str:
        data = self.pictures.get(url.removeprefix("attachment:"), {}) if url.startswith("attachment:") else {}
        for kind in PICTURES:
            if isinstance(data, dict) and isinstance(data.get(kind), str):
                source = f"data:{kind};base64,{''.join(data[kind].split())}"
                if _PICTURE.fullmatch(source):
                    return f'<img src="{source}" alt="{html.escape(text)}">'
        return f"[▣ {html.escape(text)} <code>{html.escape(url[:MAX_ADDRESS])}</code>]"

    def task_list_item(self, text: str, checked: bool = False) -> str:
        return f"<li>{'☑' if checked else '☐'} {text}</li>\n"


def _may_stay(tag: str, name: str, value: str) -> bool:
    if tag == "img":
        return name == "alt" or (name == "src" and bool(_PICTURE.fullmatch(value)))
    return tag == "ol" and name == "start" and value.isdigit()


def _one_line(block: str) -> str:
    """A block of HTML that Markdown passes through: no blank line ends it, no formula starts in it."""
    for sign in "\r\n$\\":
        block = block.replace(sign, f"&#{ord(sign)};")
    return block
