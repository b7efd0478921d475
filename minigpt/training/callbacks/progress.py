"""Live progress of a run in the terminal: a bar with loss, tokens a second and the time left."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from minigpt.messages import message


class ProgressBar:
    """A callback that draws a bar on a terminal, and prints a line at every evaluation elsewhere."""

    def __init__(self, console: Console | None = None):
        self.console = console or Console(file=sys.stderr)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._tokens = self._seconds = 0.0

    def on_start(self, trainer) -> None:
        self._progress.start()
        self._task = self._progress.add_task(
            message("train.progress"), total=trainer.config.steps, completed=trainer.step, figures=""
        )

    def on_step(self, trainer, record: dict) -> None:
        self._tokens += record["tokens"]
        self._seconds += record["seconds"]
        speed = self._tokens / max(self._seconds, 1e-9)
        figures = message("train.figures", loss=record["loss"], grad_norm=record["grad_norm"], speed=speed)
        self._progress.update(self._task, completed=trainer.step, figures=figures)
        if "val_loss" in record:
            line = message(
                "train.evaluation", step=trainer.step, val_loss=record["val_loss"], figures=figures
            )
            (self._progress.console if self.console.is_terminal else self.console).print(
                line, highlight=False
            )

    def on_end(self, trainer) -> None:
        self._progress.stop()
