"""From an external log to evidence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from minigpt.messages import nearest
from minigpt.runs.evidence import Evidence
from minigpt.runs.importers.collector import Collector
from minigpt.runs.importers.formats import kind_of, rows_of
from minigpt.runs.importers.names import NAMES, ExternalLogError, refuse_units
from minigpt.runs.importers.notes import Notes
from minigpt.runs.importers.units import BITS
from minigpt.runs.schema import LogNotes

LOGS = (".csv", ".tsv", ".jsonl", ".csv.gz", ".jsonl.gz", ".log", "trainer_state.json")


def is_external(path: str | Path) -> bool:
    """Return whether `path` is a log for this module to read, or to refuse, and not a run directory."""
    path = Path(path)
    if path.is_dir():
        return not (path / "manifest.json").is_file() and bool(kind_of(path))
    return path.exists()


def logs_in(folder: str | Path) -> list[str]:
    """Return some files of a folder, and of the folders in it, that are logs by their name."""
    found = (file for depth in ("*", "*/*") for file in sorted(Path(folder).glob(depth)))
    return [str(file) for file in found if file.is_file() and file.name.endswith(LOGS)][:4]


def external_evidence(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    vocab_size: int | None = None,
    from_checkpoint: bool = False,
) -> Evidence:
    """Return what an external log tells.

    Args:
        columns: our name of a column to the log's; what is not named is guessed.
        vocab_size: without it, no loss can be compared with chance.
        from_checkpoint: the run did not start from fresh weights.

    Raises:
        ExternalLogError: the log cannot be read, or has no steps or no number that the check looks at.
    """
    path, asked = Path(path), dict(columns or {})
    for name in asked:
        if name not in NAMES:
            hint = nearest(name, NAMES)
            raise ExternalLogError("external.unknown-name", name=name, known=", ".join(NAMES), hint=hint)
    if vocab_size is not None and vocab_size < 2:
        raise ExternalLogError("external.bad-vocab-size", given=vocab_size)
    refuse_units(path, asked)
    notes = Notes()
    collector = Collector(path, asked, notes)
    for place, row in rows_of(path, asked, notes):
        collector.add(place, row)
    metrics = collector.columns()
    return Evidence(
        vocab_size=None if notes.unit == BITS else vocab_size,  # of bytes, where tokens are asked for
        starts_from_checkpoint=from_checkpoint,
        metrics=metrics,
        audits={LogNotes.kind: (notes.as_probe(),)},
    )


def parse_mapping(text: str) -> dict[str, str]:
    """Read "step=iter,loss=train/loss".

    Raises:
        ExternalLogError: an entry is not of the form NAME=COLUMN, or one says the same again.
    """
    pairs = [entry.strip().partition("=") for entry in text.split(",") if entry.strip()]
    for name, equals, column in pairs:
        if not (name and equals and column):
            raise ExternalLogError("external.bad-mapping", given=name + equals + column)
    for side in (0, 2):
        given = [pair[side].strip() for pair in pairs]
        if twice := next((entry for entry in given if given.count(entry) > 1), None):
            raise ExternalLogError("external.mapped-twice", given=twice)
    return {name.strip(): column.strip() for name, _, column in pairs}
