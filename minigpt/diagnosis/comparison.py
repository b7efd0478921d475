"""Two walks side by side: what a fix repaired, what is still there, and what is new.

compared = compare(check("experiments/before", whole=True), check("experiments/after", whole=True))
show_comparison(compared, Console())
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from minigpt.diagnosis.report import STYLES, as_data, conclude, seen
from minigpt.diagnosis.tree import Finding, Verdict
from minigpt.diagnosis.walker import FAULTS, Walk
from minigpt.messages import message
from minigpt.runs.run import strict


class Change(StrEnum):
    """What became of one question."""

    FIXED = "fixed"
    STILL = "still"
    NEW = "new"  # a fault that was not there before
    LOST = "lost"  # there was a fault, and now nothing was measured
    SAME = "same"


@dataclass(frozen=True)
class Compared:
    """One question, asked of both runs."""

    question: str
    before: Finding
    after: Finding

    @property
    def change(self) -> Change:
        """What became of it; another fault in the place of the first is new."""
        was, now = (finding.verdict in FAULTS for finding in (self.before, self.after))
        if now:
            return Change.STILL if was and self.before.leaf == self.after.leaf else Change.NEW
        if not was:
            return Change.SAME
        return Change.LOST if self.after.verdict is Verdict.NOT_MEASURED else Change.FIXED


@dataclass(frozen=True)
class Comparison:
    """Two whole walks."""

    before: Walk
    after: Walk

    @property
    def questions(self) -> tuple[Compared, ...]:
        """Every question that the later walk asked, in its order; one that the earlier did not reach was
        not measured there."""
        before = {(finding.tree, finding.question): finding for finding in self.before.findings}
        return tuple(
            Compared(
                finding.question,
                before.get((finding.tree, finding.question)) or _not_reached(finding),
                finding,
            )
            for finding in self.after.findings
        )

    def leaves(self, change: Change) -> list[str]:
        """Return the leaves with this outcome, each once."""
        found = []
        for compared in self.questions:
            finding = compared.after if change is Change.NEW else compared.before
            if compared.change is change and finding.leaf:
                found.append(finding.leaf)
        if change in (Change.FIXED, Change.LOST):  # a leaf that another question still finds is not fixed
            found = [leaf for leaf in found if leaf not in self.after.leaves]
        return list(dict.fromkeys(found))


def _not_reached(finding: Finding) -> Finding:
    return replace(finding, verdict=Verdict.NOT_MEASURED, values={}, leaf=None)


def compare(before: Walk, after: Walk) -> Comparison:
    """Return two whole walks side by side."""
    return Comparison(before, after)


def comparison_as_data(comparison: Comparison, language: str | None = None) -> dict[str, Any]:
    """Return the comparison as plain data for JSON.

    Keys: `before` and `after` (walks, see `as_data`), `fixed`, `still` and `new` (leaves), and `changes`
    (question, before, after, change), one for every question whose answer changed.
    """
    changes = [
        {
            "question": compared.question,
            "before": compared.before.verdict.value,
            "after": compared.after.verdict.value,
            "change": compared.change.value,
        }
        for compared in comparison.questions
        if compared.before.verdict is not compared.after.verdict or compared.change is not Change.SAME
    ]
    data: dict[str, Any] = {
        "before": as_data(comparison.before, language),
        "after": as_data(comparison.after, language),
    }
    for change in (Change.FIXED, Change.STILL, Change.NEW):
        data[change.value] = comparison.leaves(change)
    return strict(data | {"changes": changes})


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Print both answers to every question, what changed, and the verdict of the later walk."""
    table = Table(
        *("", "", message("stability.label-before"), message("stability.label-after")),
        box=None,
        padding=(0, 1),
    )
    for compared in comparison.questions:
        table.add_row(compared.question, *_told(compared))
    console.print(table)
    for change in (Change.FIXED, Change.LOST, Change.STILL, Change.NEW):
        leaves = comparison.leaves(change)
        if leaves:
            console.print(message(f"stability.change-{change.value}", leaves=", ".join(leaves)))
    conclude(comparison.after, console)


def _told(compared: Compared) -> Iterator[str]:
    """Yield the question and both answers; figures only where something changed."""
    asked = escape(message(compared.after.key("question")))
    changed = compared.before.verdict is not compared.after.verdict or compared.change is not Change.SAME
    yield f"[bold]{asked}[/]" if changed else asked
    for finding in (compared.before, compared.after):
        mark, style = STYLES[finding.verdict]
        figures = f" {escape(seen(finding))}" if changed else ""
        yield f"[{style}]{mark}[/][dim]{figures}[/]"
