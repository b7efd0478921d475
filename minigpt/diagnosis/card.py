"""The whole stability check on one card, made from the trees themselves.

print(as_markdown("en"))
Path("card.html").write_text(as_html("es"), encoding="utf-8")     # one file, made to be printed
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby

from minigpt.diagnosis.tree import Question
from minigpt.diagnosis.trees import TREES
from minigpt.messages import language as language_in_force
from minigpt.messages import message

COLUMNS = ("question", "healthy", "broken", "action")
TURN = 4  # first section on the second side of the sheet
STYLE = """
@page { size: A4 landscape; margin: 7mm }
body { font: 6.7pt/1.22 "DejaVu Sans", "Segoe UI", Helvetica, Arial, sans-serif; color: #111;
  background: #fff; margin: 0 auto; max-width: 283mm }
h1 { font-size: 11pt; margin: 0 0 1mm }
p { margin: 0 0 1mm }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35mm 1.2mm; border-bottom: .2pt solid #bbb }
thead th { border-bottom: .8pt solid #111 }
tr { break-inside: avoid }
tr.turn { break-before: page }
tr.section th { background: #e8eef5; font-size: 7.4pt; padding-top: .6mm }
td:first-child { width: 16% } td:nth-child(2) { width: 21% } td:nth-child(3) { width: 18% }
.leaf { font-family: "DejaVu Sans Mono", Consolas, monospace; font-size: 6.4pt }
@media screen { body { padding: 6mm; font-size: 9pt } .leaf { font-size: 8.5pt } }
@media screen and (max-width: 45em) { thead { display: none } table, tbody, tr, th, td { display: block }
  td:nth-child(n) { width: auto; overflow-wrap: anywhere }
  td:first-child { font-weight: bold; padding-top: 2mm } td:not(:last-child) { border: 0 }
  td:nth-child(2)::before, td:nth-child(3)::before { content: attr(data-column) ": "; color: #555 } }
""".strip()


@dataclass(frozen=True)
class Row:
    """One question of the card, in words."""

    id: str
    asked: str
    healthy: str
    broken: str
    actions: tuple[tuple[str, str], ...]  # a leaf, and the first thing to do
    above: tuple[str, ...]  # leaves whose action stands in a row above


def rows(language: str) -> Iterator[tuple[str, list[Row]]]:
    """Yield the title and the rows of every section."""
    told: set[str] = set()
    for tree in TREES:
        for section, questions in groupby(tree.questions, key=lambda question: question.section):
            title = message(f"{tree.id}.section-{section}", language)
            yield title, [_row(question, language, told) for question in questions]


def _row(question: Question, language: str, told: set[str]) -> Row:
    above = tuple(leaf for leaf in question.leaves if leaf in told)
    actions = [
        (leaf, message(f"leaves.{leaf}-change", language)) for leaf in question.leaves if leaf not in told
    ]
    told.update(question.leaves)
    healthy, broken = (
        re.sub(
            r"(?<!\S)-(?=\d)",
            "−",
            message(question.key(name), language, limits=question.thresholds),
        )
        for name in ("healthy", "broken")
    )
    asked = message(question.key("question"), language)
    return Row(question.id, asked, healthy, broken, tuple(actions), above)


def as_markdown(language: str | None = None) -> str:
    """Return the card as Markdown: a table a section."""
    language = language or language_in_force()
    heads = [message(f"card.column-{name}", language) for name in COLUMNS]
    lines = [f"# {message('card.title', language)}", "", message("card.intro", language), ""]
    for title, section in rows(language):
        lines += [f"## {title}", "", "| " + " | ".join(heads) + " |", "|---|---|---|---|"]
        for row in section:
            actions = [f"`{leaf}` {action}" for leaf, action in row.actions]
            actions += [", ".join(f"`{leaf}`" for leaf in row.above)] * bool(row.above)
            cells = (f"**{row.id}** {row.asked}", row.healthy, row.broken, "<br>".join(actions))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    lines += [message("card.between", language), "", message("card.legend", language), ""]
    return "\n".join(lines)


def as_html(language: str | None = None) -> str:
    """Return the card as one self-contained HTML file: a sheet of A4, printed on both sides."""
    language = language or language_in_force()
    title = escape(message("card.title", language))
    columns = [escape(message(f"card.column-{name}", language)) for name in COLUMNS]
    heads = "".join(f"<th>{column}</th>" for column in columns)
    body = []
    for number, (name, section) in enumerate(rows(language), start=1):
        turn = " turn" if number == TURN else ""
        body.append(f'<tr class="section{turn}"><th colspan="4">{escape(name)}</th></tr>')
        for row in section:
            actions = [f'<b class="leaf">{leaf}</b> {escape(action)}' for leaf, action in row.actions]
            above = ", ".join(f'<b class="leaf">{leaf}</b>' for leaf in row.above)
            last = "<br>".join([*actions, *[above] * bool(above)])
            cells = [f"<b>{row.id}</b> {escape(row.asked)}", escape(row.healthy), escape(row.broken), last]
            pairs = zip(columns, cells, strict=True)
            body.append("<tr>" + "".join(f'<td data-column="{c}">{cell}</td>' for c, cell in pairs) + "</tr>")
    intro, between, legend = (
        escape(message(f"card.{key}", language)) for key in ("intro", "between", "legend")
    )
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="{language}">',
            f'<head><meta charset="utf-8"><title>{title}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>\n{STYLE}\n</style></head>",
            f"<body><h1>{title}</h1>",
            f"<p>{intro} {between}</p>",
            f"<table><thead><tr>{heads}</tr></thead><tbody>",
            *body,
            "</tbody></table>",
            f"<p>{legend}</p>",
            "</body></html>",
            "",
        ]
    )
