"""`minigpt check`: walk the stability check over a run.

    minigpt check experiments/first
    minigpt check experiments/first/checkpoints/step-000500
    minigpt check experiments/fixed --before experiments/broken
    minigpt check train.csv --columns step=iter,loss=train/loss --vocab-size 50257

Exit code 0 healthy, 1 a leaf, 2 not readable or an internal error, 3 unknown.
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from minigpt.cli.parser import Arguments, Parser
from minigpt.diagnosis import Evidence, Verdict, Walk, evidence_of, walk
from minigpt.diagnosis.comparison import compare, comparison_as_data, show_comparison
from minigpt.diagnosis.report import as_data, show
from minigpt.messages import message
from minigpt.runs.importers import (
    ExternalLogError,
    external_evidence,
    is_external,
    logs_in,
    parse_mapping,
    sentences,
)
from minigpt.runs.schema import LogNotes, Source

EXTERNAL = ("columns", "vocab_size", "from_checkpoint")  # options for logs of other programs
OURS = ("manifest.json", "metrics.jsonl", "probes.jsonl")  # files of a run directory
EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 3}


def add_arguments(parser: Parser) -> None:
    """Add the run to check and the form of the answer."""
    parser.add_argument("run_dir", metavar="RUN_DIR", help=message("check.run-dir-help"))
    parser.add_argument("--columns", type=str, default="", help=message("check.columns-help"))
    parser.add_argument("--vocab-size", type=int | None, default=None, help=message("check.vocab-size-help"))
    parser.add_argument("--from-checkpoint", action="store_true", help=message("check.from-checkpoint-help"))
    parser.add_argument(
        "--before", type=str | None, default=None, metavar="RUN_DIR", help=message("check.before-help")
    )
    parser.add_argument("--json", action="store_true", help=message("check.json-help"))
    parser.add_argument("--all", action="store_true", help=message("check.all-help"))


def run(arguments: Arguments) -> int:
    """Print the verdict, or two walks side by side, and return the exit code."""
    evidence, found = _walk(arguments.run_dir, arguments)  # whole: the first cause names the fix
    notes = sentences(evidence.audit(LogNotes)) if evidence.source is Source.LOG else []
    notes += _of_checkpoint(arguments.run_dir, evidence)
    if arguments.before is not None:
        comparison = compare(_walk(arguments.before, arguments)[1], found)
        data, display = partial(comparison_as_data, comparison), partial(show_comparison, comparison)
    else:
        data, display = (partial(told, found, whole=arguments.all) for told in (as_data, show))
    if arguments.json:
        more = {"notes": notes} if notes and arguments.before is None else {}
        print(json.dumps(data() | more, indent=2, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        with console.capture() as shown:  # if the reader has gone away, Rich would choose the exit code
            for note in notes:
                console.print(f"[dim]{escape(note)}[/]")
            display(console=console)
            if evidence.source is Source.LOG and found.verdict is Verdict.PASS:
                console.print(message("external.not-judged"))
        print(shown.get(), end="")
    return EXIT_CODES[found.verdict]


def _walk(path: str, arguments: Arguments) -> tuple[Evidence, Walk]:
    given = [option for option in EXTERNAL if arguments[option]]
    folder, name = os.path.split(path)
    if not given and name in OURS and os.path.isfile(os.path.join(folder, "manifest.json")):
        path = folder or "."  # the whole run says more
    path = _run_of(path)
    if is_external(path):
        mapping = parse_mapping(arguments.columns)
        evidence = external_evidence(path, mapping, arguments.vocab_size, arguments.from_checkpoint)
        return evidence, walk(evidence, whole=True)
    if os.path.isdir(path) and not os.path.isfile(os.path.join(path, OURS[0])):
        if inside := logs_in(path):
            raise ExternalLogError("external.folder", path=path, files=", ".join(inside))
        raise ExternalLogError("external.unknown-kind", path=path)
    if given and os.path.exists(path):
        raise ExternalLogError(
            "external.only-for-external", option=f"--{given[0].replace('_', '-')}", path=path
        )
    evidence = evidence_of(path)
    return evidence, walk(evidence, whole=True)


def _run_of(path: str) -> str:
    """Return the run that a checkpoint belongs to, or the path as it is."""
    folders = (Path(path), *Path(path).parents)[:2]
    found = (folder.parent for folder in folders if folder.name == "checkpoints")
    return next((str(run) for run in found if (run / OURS[0]).is_file()), path)


def _of_checkpoint(path: str, evidence: Evidence) -> list[str]:
    """Return the note that goes with a checkpoint: its step, and the rate of every group there."""
    done = Path(path).name.removeprefix("step-")
    if _run_of(path) == path or not done.isdecimal():
        return []
    rates = []
    for column in sorted(evidence.metrics.names()):
        if column.startswith("lr."):
            steps, values = evidence.metrics.column(column)
            rates += [f"{column[3:]} {rate:.3g}" for rate in values[steps == int(done) - 1].tolist()[-1:]]
    shown = ", ".join(rates) or "–"
    return [message("check.checkpoint", step=int(done), run=_run_of(path), rates=shown)]
