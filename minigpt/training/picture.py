"""Pictures of measurements, in the language in force: where they may be written, and how.

refuse_path("curve.svg")                       # before seconds are spent on what is drawn
with drawing("curve.svg", salt="lr-find") as axes:
    axes.plot(rates, losses)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minigpt.messages import MiniGPTError, message, reason_of

FORMATS = (".svg", ".png", ".pdf")


@contextmanager
def drawing(path: str | Path, salt: str) -> Iterator[Any]:
    """Yield the axes of a figure, which is written to `path` at the end.

    Args:
        salt: makes the ids in an SVG the same each time.

    Raises:
        MiniGPTError: the file is of no such kind, or cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    refuse_path(path)
    with rc_context({"svg.hashsalt": salt}):
        figure = Figure(figsize=(7, 4), layout="constrained")
        yield figure.subplots()
        try:
            figure.savefig(path, metadata={"Date": None} if Path(path).suffix.lower() == ".svg" else None)
        except OSError as error:
            raise MiniGPTError("run.cannot-write", path=path, detail=reason_of(error)) from error


def can_draw() -> bool:
    """Return whether pictures can be drawn at all, for figures alone need no matplotlib."""
    return find_spec("matplotlib") is not None


def refuse_path(path: str | Path) -> None:
    """Refuse a file that no picture can be written to.

    Raises:
        MiniGPTError: the file is of no such kind, its folder is not there, or matplotlib is not installed.
    """
    if not can_draw():
        raise MiniGPTError("lr_find.no-matplotlib")
    if Path(path).suffix.lower() not in FORMATS:
        raise MiniGPTError("lr_find.not-a-picture", path=path, known=", ".join(FORMATS))
    if not Path(path).parent.is_dir():
        raise MiniGPTError("run.cannot-write", path=path, detail=message("system.not-there"))
