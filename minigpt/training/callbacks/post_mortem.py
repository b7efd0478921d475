"""What a guard undid, and why: `post-mortem.json` and, to read, `post-mortem.md` in the folder of the run.

A callback that the trainer adds where a recipe has guards. When the run ends it gathers the lines of
`events.jsonl` into incidents (decisions of one guard in neighbouring steps are one) and says of each: when it
began, what was usual before, the peak, the learning rate, which batches with their text, and which module had
the largest share of the gradient.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from minigpt.messages import message
from minigpt.runs.jsonl import RunError, read_jsonl
from minigpt.runs.run import strict

APART = 5  # steps between two decisions of a guard that are two incidents
BEFORE = 20  # steps before the onset that the usual figures are of
ROWS, LETTERS = 2, 160  # of each batch's text


class PostMortem:
    """Writes the two files at the end of a run in which a guard has acted."""

    def on_end(self, trainer) -> None:
        """Gather the incidents and write them down.

        Raises:
            RunError: they cannot be written, and it is not an error that ended the run.
        """
        path, ended_by = trainer.writer.path, sys.exception()
        events = read_jsonl(path / "events.jsonl")
        if not events:
            return
        records = read_jsonl(path / "metrics.jsonl")
        found = [_incident(group, records, trainer) for group in _grouped(events)]
        told = json.dumps(strict(found), indent=2, ensure_ascii=False) + "\n"
        try:
            trainer.writer.whole("post-mortem.json", told)
            trainer.writer.whole("post-mortem.md", page(found))
        except RunError:
            if ended_by is None:  # else that says more than a page that could not be written
                raise


def _grouped(events: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    groups: list[list[dict[str, Any]]] = []
    for event in events:
        last = groups[-1][-1] if groups else None
        if last and last["guard"] == event["guard"] and abs(event["step"] - last["step"]) <= APART:
            groups[-1].append(event)
        else:
            groups.append([event])
    return groups


def _incident(events: list[dict[str, Any]], records: list[dict[str, Any]], trainer) -> dict[str, Any]:
    first = events[0]
    onset = first["step"]
    here = [r for r in records if any(r["step"] == e["step"] for e in events)]
    # updates that were made until then: a dropped step has no rate, and later attempts come later
    before = [
        r
        for r in records
        if onset - BEFORE <= r["step"] < onset and "lr" in r and r.get("attempt", 0) <= first["attempt"]
    ]
    batches = sorted({batch for event in events for batch in event["batches"]})
    return {
        "guard": first["guard"],
        "onset": onset,
        "decisions": len(events),
        "done": sorted({event["done"] for event in events}),
        "seen": first["seen"],
        "loss": {"usual": _mean(before, "loss"), "peak": _peak(here, "loss")},
        "grad_norm": {"usual": _mean(before, "grad_norm"), "peak": _peak(here, "grad_norm")},
        "lr": before[-1]["lr"] if before else None,
        "modules": first.get("modules", {}),
        "batches": {str(batch): _text(trainer, batch) for batch in batches},
    }


def _mean(records: list[dict[str, Any]], name: str) -> float | None:
    values = [float(r[name]) for r in records if name in r and math.isfinite(float(r[name]))]
    return sum(values) / len(values) if values else None


def _peak(records: list[dict[str, Any]], name: str) -> float | None:
    values = [float(r[name]) for r in records if name in r]
    return max(values, key=lambda value: math.inf if math.isnan(value) else value, default=None)


def _text(trainer, data_step: int) -> list[str]:
    """Return the beginning of the first rows of a batch."""
    batch = trainer.batch(data_step)
    return [trainer.data.tokenizer.decode(row.tolist())[:LETTERS] for row in batch.inputs[:ROWS]]


def page(incidents: Sequence[Mapping[str, Any]]) -> str:
    """Return the incidents as Markdown, in the language in force."""
    lines = [f"# {message('post_mortem.title')}", ""]
    for number, found in enumerate(incidents, start=1):
        lines += [
            f"## {message('post_mortem.heading', number=number, guard=found['guard'], step=found['onset'])}",
            "",
            message("post_mortem.what", done=_done(found["done"]), times=found["decisions"]),
            "",
            "| | " + " | ".join(message(f"post_mortem.{name}") for name in ("usual", "peak")) + " |",
            "|---|---|---|",
            *(_row(name, found[name]) for name in ("loss", "grad_norm")),
            "",
        ]
        if found["lr"]:
            rates = ", ".join(f"`{group}` {rate:.3g}" for group, rate in found["lr"].items())
            lines += [message("post_mortem.rate", rates=rates), ""]
        if found["modules"]:
            shares = ", ".join(f"`{name}` {share:.0%}" for name, share in found["modules"].items())
            lines += [message("post_mortem.modules", shares=shares), ""]
        for batch, rows in found["batches"].items():
            lines.append(message("post_mortem.batch", batch=batch))
            lines += [f"> {row.splitlines()[0] if row.splitlines() else ''} …" for row in rows] + [""]
    return "\n".join(lines)


def _done(decisions: Sequence[str]) -> str:
    """Return what was done in the language in force; a decision may be several at once, with commas."""
    kinds = dict.fromkeys(kind for decision in decisions for kind in decision.split(", "))
    return "; ".join(message(f"post_mortem.done-{kind.replace(' ', '-')}") for kind in kinds)


def _row(name: str, figures: Mapping[str, float | None]) -> str:
    cells = (message(f"post_mortem.{name}"), _shown(figures["usual"]), _shown(figures["peak"]))
    return f"| {' | '.join(cells)} |"


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
