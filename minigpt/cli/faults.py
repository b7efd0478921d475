"""`minigpt faults`: list what can be broken, and how each shows."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from minigpt.cli.parser import Arguments, Parser
from minigpt.faults import FAULTS
from minigpt.messages import message

TEXTS = ("title", "breaks", "symptom", "fix")


def add_arguments(parser: Parser) -> None:
    """Add the form of the answer."""
    parser.add_argument("--json", action="store_true", help=message("faults.json-help"))


def run(arguments: Arguments) -> int:
    """Print the catalogue of faults."""
    if arguments.json:
        rows = [
            {"id": fault.id, "part": fault.part, "leaf": fault.leaf, "severity": fault.severity}
            | {name: fault.text(name) for name in TEXTS}
            for fault in FAULTS.values()
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    table = Table(
        *(message(f"faults.column-{name}") for name in ("id", "breaks", "symptom")), box=None, pad_edge=False
    )
    for fault in FAULTS.values():
        breaks = fault.text("breaks")
        if fault.severity is not None:
            default = f"{fault.severity:g}"
            breaks += " " + message("faults.severity", meaning=fault.text("severity"), default=default)
        table.add_row(fault.id, breaks, fault.text("symptom"))
    Console(highlight=False).print(table)
    return 0
