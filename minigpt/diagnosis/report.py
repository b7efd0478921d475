"""The walk in words: a report for people, and the same as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from minigpt.diagnosis.tree import Finding, Verdict
from minigpt.diagnosis.walker import Walk
from minigpt.messages import CATALOGUE, message
from minigpt.runs.run import strict

STYLES = {
    Verdict.PASS: ("✓", "green"),
    Verdict.WARN: ("!", "yellow"),
    Verdict.FAIL: ("✗", "bold red"),
    Verdict.NOT_MEASURED: ("·", "dim"),
    Verdict.UNKNOWN: ("?", "magenta"),
}


def seen(finding: Finding, language: str | None = None) -> str:
    """Return what was seen, figure and threshold, in one sentence."""
    if not finding.values:
        return message(finding.key("not-measured"), language)
    key, own = finding.key("seen"), f"{finding.key('seen')}-{finding.leaf or finding.verdict}"  # tells more
    key = own if CATALOGUE.has(own) else key
    values = {name: _Unknown(language) if value is None else value for name, value in finding.values.items()}
    return message(key, language, limits=finding.limits, **values)


@dataclass(frozen=True)
class _Unknown:
    """Stands in a sentence for a figure that was not measured, however the figure would be written."""

    language: str | None

    def __format__(self, spec: str) -> str:
        return message("stability.no-figure", self.language)


def as_data(walk: Walk, language: str | None = None) -> dict[str, Any]:
    """Return the walk as plain data for JSON; `docs/check.schema.json` describes it.

    Keys: `verdict` (pass, fail or unknown), `leaf` (id or null), `findings` (question, asked,
    verdict, leaf, seen, values), and with a leaf `means`, `change` and `lesson`.
    """
    data: dict[str, Any] = {
        "verdict": walk.verdict.value,
        "leaf": walk.leaf,
        "findings": [
            {
                "question": finding.question,
                "asked": message(finding.key("question"), language),
                "verdict": finding.verdict.value,
                "leaf": finding.leaf,
                "seen": seen(finding, language),
                "values": dict(finding.values),
            }
            for finding in walk.findings
        ],
    }
    if walk.leaf:
        data |= {
            name: message(f"leaves.{walk.leaf}-{name}", language) for name in ("means", "change", "lesson")
        }
    return strict(data)


def show(walk: Walk, console: Console) -> None:
    """Print the walk, and at its end the leaf: what it means, what to change, which lesson teaches it."""
    table = Table.grid(padding=(0, 1))
    for finding in walk.findings:
        mark, style = STYLES[finding.verdict]
        asked = message(finding.key("question"))
        table.add_row(
            f"[{style}]{mark}[/]", finding.question, f"{escape(asked)}\n[dim]{escape(seen(finding))}[/]"
        )
    console.print(table)
    conclude(walk, console)


def conclude(walk: Walk, console: Console) -> None:
    """Print the leaf: what it means, what to change, which lesson teaches it; or what is said without one."""
    if walk.leaf:
        rows = [
            f"[bold]{message(f'stability.label-{name}')}[/] {message(f'leaves.{walk.leaf}-{name}')}"
            for name in ("means", "change", "lesson")
        ]
        console.print(Panel(Group(*rows), title=walk.leaf, title_align="left", border_style="red"))
    else:
        unproven = walk.verdict is Verdict.UNKNOWN and walk.end is None
        console.print(message(f"stability.verdict-{'unproven' if unproven else walk.verdict.value}"))
