"""What a reader of a log leaves out or takes for granted, to be said to whoever asked.

notes = Notes()
notes.skipped += 1
evidence.audits["log"] == notes.as_audit()
"""

from __future__ import annotations

from dataclasses import dataclass, field

from minigpt.messages import message
from minigpt.runs.schema import LogNotes

MOST, LONGEST = 12, 40  # names of columns that are listed, and their characters


class Descent:
    """The longest fall of a loss scale that nothing interrupts, from one overflow to the next."""

    def __init__(self) -> None:
        self.longest: list[float] = [0, 0.0, 0.0]  # overflows, the scale at the first, and after the last
        self._now: list[float] = [0, 0.0, 0.0]

    def overflow(self, scale: float, reduced: float) -> None:
        """A step was skipped at this scale, which was reduced."""
        count, first, last = self._now
        self._now = [count + 1, first, reduced] if count and scale <= last else [1, scale, reduced]
        self.longest = max(self.longest, self._now, key=lambda fall: fall[0])


@dataclass
class Notes:
    """Counts and names, filled while a log is read."""

    skipped: int = 0  # lines and entries that are not numbers
    first_skipped: object = None  # where the first of them stands
    spacing: int | None = None  # steps from one row to the next, where the log says so
    total: int | None = None  # steps that the run was meant to take
    epochs: float | None = None  # and in how many epochs
    counted: str = ""  # "rows" or "bars", where no row names its step
    unit: str = ""  # in which the losses were told, where it is not nats
    falls: Descent | None = None  # of an fp16 loss scale, where the log tells of overflows
    runs: int = 1  # runs one after another, of which the last was read
    unused: dict[str, None] = field(default_factory=dict)  # names of columns that were not looked at

    def overflow(self, scale: float, reduced: float) -> None:
        """Take down that a step was skipped at a loss scale, which was reduced."""
        self.falls = self.falls or Descent()
        self.falls.overflow(scale, reduced)

    def skip(self, place: object) -> None:
        """Count what could not be read."""
        self.skipped += 1
        if self.first_skipped is None:
            self.first_skipped = place

    def as_probe(self) -> LogNotes:
        """Return them as the type that judges and reports read."""
        return LogNotes(
            skipped=self.skipped,
            first_skipped=None if self.first_skipped is None else str(self.first_skipped),
            spacing=self.spacing,
            total=self.total,
            counted=self.counted,
            runs=self.runs,
            unit=self.unit,
            overflows=None if self.falls is None else self.falls.longest,
            unused=[name[:LONGEST] for name in list(self.unused)[:MOST]],
        )


def sentences(notes: LogNotes) -> list[str]:
    """Return what the reader of a log left out or took for granted, a sentence each."""
    said = []
    if notes.counted:
        spaced = "spaced" if notes.counted == "rows" and notes.spacing else notes.counted
        said.append(message(f"external.note-{spaced}", spacing=notes.spacing))
    if notes.unit:
        said.append(message(f"external.note-{notes.unit}"))
    if notes.runs > 1:
        said.append(message("external.note-runs", runs=notes.runs))
    if notes.skipped:
        said.append(message("external.note-skipped", skipped=notes.skipped, place=notes.first_skipped))
    if notes.unused:
        said.append(message("external.note-unused", names=_printable(", ".join(notes.unused))))
    return said


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
