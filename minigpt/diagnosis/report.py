"""The walk in words: the verdict first, for people and as plain data.

show(walk, console)               # verdict, what to change, then every question
show(walk, console, whole=False)  # without the questions, as `minigpt check` does
as_data(walk)                     # what `minigpt check --json` prints
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from minigpt.diagnosis.tree import Finding, Verdict
from minigpt.diagnosis.walker import FAULTS, Walk
from minigpt.messages import CATALOGUE, message
from minigpt.runs.run import strict

VERSION = 2  # of what `as_data` returns
STYLES = {
    Verdict.PASS: ("✓", "green"),
    Verdict.WARN: ("!", "yellow"),
    Verdict.FAIL: ("✗", "bold red"),
    Verdict.NOT_MEASURED: ("·", "dim"),
    Verdict.UNKNOWN: ("?", "magenta"),
}
ALIGNMENT = "1.4"  # without an answer to it, a run is healthy only as far as seen


def seen(finding: Finding, language: str | None = None) -> str:
    """Return what was seen, figure and threshold, in one sentence."""
    values = {name: _Unknown(language) if value is None else value for name, value in finding.values.items()}
    return message(seen_key(finding), language, limits=finding.limits, **values)


def seen_key(finding: Finding) -> str:
    """Return the key of the sentence that says what was seen."""
    if not finding.values:
        return finding.key("not-measured")
    key = finding.key("seen")
    own = f"{key}-{finding.leaf or finding.verdict}"  # says more,
    kind = f"{own}-{finding.values.get('kind')}"  # and of one kind of it more still
    return next((one for one in (kind, own) if CATALOGUE.has(one)), key)


@dataclass(frozen=True)
class _Unknown:
    """Stands in a sentence for a figure that was not measured, whatever its format."""

    language: str | None

    def __format__(self, spec: str) -> str:
        return message("stability.no-figure", self.language)


# ---------------------------------------------------------------------- the parts of a verdict


def summary(walk: Walk, language: str | None = None) -> str:
    """Return the verdict in one line: the leaf and its question, healthy and as far as what, or unknown."""
    if walk.leaf:
        asked = message(walk.end.key("question"), language)
        return message("stability.summary-fail", language, leaf=walk.leaf, id=walk.end.question, asked=asked)
    if walk.verdict is Verdict.UNKNOWN:
        return message(f"stability.summary-{'unknown' if walk.end else 'unproven'}", language)
    as_seen = any(finding.question == ALIGNMENT for finding in walk.unjudged)
    healthy = message(f"stability.summary-{'as-seen' if as_seen else 'pass'}", language)
    if not walk.unjudged:
        return healthy
    left = "; ".join(message(finding.key("unjudged"), language) for finding in walk.unjudged)
    return f"{healthy} {message('stability.unjudged', language, left=left)}"


def odd(walk: Walk) -> list[Finding]:
    """Return the findings that point at trouble where no leaf was named: unknown ones, else warnings."""
    found = [finding for finding in walk.findings if finding.verdict in FAULTS]
    return found or [finding for finding in walk.findings if finding.verdict is Verdict.WARN]


def likely(walk: Walk, language: str | None = None) -> str | None:
    """Return the most likely cause of an unknown verdict in words, or None where nothing is odd."""
    if walk.end is None or walk.leaf:
        return None
    own = _of_its_kind(walk.end, "likely")
    if CATALOGUE.has(own):
        return message(own, language)
    return message("stability.likely-any", language, asked=message(walk.end.key("question"), language))


def _of_its_kind(finding: Finding, part: str) -> str:
    """Return the key of a message of a finding, the one for its kind where there is one."""
    key = finding.key(part)
    kind = f"{key}-{finding.values.get('kind')}"
    return kind if CATALOGUE.has(kind) else key


def record_next(walk: Walk, language: str | None = None) -> str | None:
    """Return the one thing to record next where the verdict is unknown; None where it is not."""
    if walk.verdict is not Verdict.UNKNOWN:
        return None
    if walk.end is not None:
        own = _of_its_kind(walk.end, "next")
        return message(own if CATALOGUE.has(own) else "stability.next-any", language)
    wanted = [id for need in walk.unmet for id in (*need.answered, *need.passed)]
    missing = [f for f in walk.findings if f.verdict is Verdict.NOT_MEASURED]
    first = next((f for id in wanted for f in missing if f.question == id), next(iter(missing), None))
    doubtful = next((f for id in wanted for f in walk.findings if f.question == id), None)
    if first is None or (doubtful is not None and doubtful.verdict is Verdict.WARN and walk.unmet):
        return message("stability.next-any", language)
    needs = seen(first, language).partition(": ")[2]  # after "not measured"
    return message("stability.next-question", language, id=first.question, needs=needs)


def counts(walk: Walk, language: str | None = None) -> str:
    """Return how many questions were answered how, in one line."""
    found = Counter(finding.verdict for finding in walk.findings)
    parts = [
        message(f"stability.count-{verdict}", language, count=found[verdict])
        for verdict in Verdict
        if found[verdict]
    ]
    asked = len(walk.findings)
    key = "stability.counts-one" if asked == 1 else "stability.counts"
    return message(key, language, all=asked, parts=", ".join(parts))


# ---------------------------------------------------------------------- as data


def as_data(walk: Walk, language: str | None = None, whole: bool = True) -> dict[str, Any]:
    """Return the walk as plain data for JSON; `docs/check.schema.json` describes it.

    Args:
        whole: every finding of the walk, also those after the one that decides.

    Returns:
        version, verdict (pass, fail or unknown), leaf (id or null), summary, others (leaves of other causes),
        watch (leaves that were only warned of) and findings (tree, question, asked, verdict, leaf, seen,
        values). With a leaf: means, change, lesson and where ("file:line" or null). Unknown: odd (questions),
        likely, next. Pass: unjudged (questions).
    """
    data: dict[str, Any] = {
        "version": VERSION,
        "verdict": walk.verdict.value,
        "leaf": walk.leaf,
        "summary": summary(walk, language),
        "others": walk.others,
        "watch": walk.watch,
    }
    if walk.leaf:
        data |= {
            name: message(f"leaves.{walk.leaf}-{name}", language) for name in ("means", "change", "lesson")
        }
        data["where"] = walk.place
    elif walk.verdict is Verdict.UNKNOWN:
        data["odd"] = [finding.question for finding in odd(walk)]
        data |= {"likely": likely(walk, language), "next": record_next(walk, language)}
    else:
        data["unjudged"] = [finding.question for finding in walk.unjudged]
    findings = walk.findings if whole else walk.cut().findings
    data["findings"] = [_finding_as_data(finding, language) for finding in findings]
    return strict(data)


def _finding_as_data(finding: Finding, language: str | None) -> dict[str, Any]:
    return {
        "tree": finding.tree,
        "question": finding.question,
        "asked": message(finding.key("question"), language),
        "verdict": finding.verdict.value,
        "leaf": finding.leaf,
        "seen": seen(finding, language),
        "values": dict(finding.values),
    }


# ---------------------------------------------------------------------- for people


def show(walk: Walk, console: Console, whole: bool = True) -> None:
    """Print the verdict, a line that counts the questions, and with `whole` every one of them."""
    conclude(walk, console)
    if not whole:
        console.print(f"[dim]{escape(counts(walk))} {escape(message('stability.counts-all'))}[/]")
        return
    console.print(f"[dim]{escape(counts(walk))}[/]")
    table = Table.grid(padding=(0, 1))
    for finding in walk.findings:
        mark, style = STYLES[finding.verdict]
        asked = message(finding.key("question"))
        table.add_row(
            f"[{style}]{mark}[/]", finding.question, f"{escape(asked)}\n[dim]{escape(seen(finding))}[/]"
        )
    console.print(table)


def conclude(walk: Walk, console: Console) -> None:
    """Print the verdict: the leaf with its figure, meaning and fix; or what is said without one."""
    if walk.leaf:
        rows = list(_rows(walk))
        console.print(Panel(Group(*rows), title=walk.leaf, title_align="left", border_style="red"))
    else:
        mark, style = STYLES[walk.verdict]
        console.print(f"[{style}]{mark}[/] [bold]{escape(summary(walk))}[/]")
        if walk.verdict is Verdict.UNKNOWN:
            _show_unknown(walk, console)
    if walk.others:
        console.print(escape(message("stability.others", leaves=", ".join(walk.others))))
    if walk.watch:
        console.print(escape(message("stability.watch", leaves=", ".join(walk.watch))))
        for finding in walk.findings:
            if finding.verdict is Verdict.WARN and finding.leaf in walk.watch:
                console.print(f"[dim]{finding.question} {escape(seen(finding))}[/]")


def _rows(walk: Walk) -> Iterator[str]:
    asked = f"{walk.end.question} {message(walk.end.key('question'))}"
    yield f"[bold]{escape(asked)}[/]"
    yield escape(seen(walk.end))
    for name in ("means", "change", "lesson"):
        said = message(f"leaves.{walk.leaf}-{name}")
        yield f"[bold]{message(f'stability.label-{name}')}[/] {escape(said)}"
        if name == "change" and walk.place:
            yield f"[bold]{message('stability.label-where')}[/] {escape(walk.place)}"


def _show_unknown(walk: Walk, console: Console) -> None:
    for finding in odd(walk):
        asked = f"{finding.question} {message(finding.key('question'))}"
        console.print(f"[bold]{message('stability.label-odd')}[/] {escape(asked)} {escape(seen(finding))}")
    for name, said in (("likely", likely(walk)), ("next", record_next(walk))):
        if said:
            console.print(f"[bold]{message(f'stability.label-{name}')}[/] {escape(said)}")
