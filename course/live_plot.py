"""Loss and gradient norm of a run while it trains: one small picture, redrawn in place.

    train(recipe, run_dir, callbacks=[LivePlot()])              # as a callback of minigpt's trainer

    with LivePlot(steps=200, vocab_size=512) as plot:           # in a loop of your own
        for step in range(200):
            ...
            plot.update(step=step, loss=loss, grad_norm=norm)

The dashed line is ln V, the loss of a model that knows nothing. A red line marks the first step at which loss
or gradient norm was NaN or infinite. `before=` takes the records of an earlier run, drawn in grey for
comparison.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from course.messages import message
from course.picture import Picture

SECONDS = 0.3  # between two drawings, at least
SHARE = 0.1  # of the time goes into drawing, at most, once the first drawing has loaded its fonts
LONGEST = 1.0  # seconds between two drawings, at most
LOG_RATIO = 20  # largest over smallest value above which an axis is logarithmic

BLUE, ORANGE, GREY, RED = "#0072b2", "#d55e00", "#999999", "#cc0000"
COLOURS = {"loss": BLUE, "grad_norm": ORANGE}


class LivePlot:
    """Watches a run; `update` may be called at every step and draws only now and then."""

    def __init__(
        self,
        steps: int | None = None,
        vocab_size: int | None = None,
        before: Iterable[Mapping] = (),
    ):
        """Args:
        steps: how many steps the run will take, for the progress bar.
        vocab_size: V of the ln V line.
        before: records with step, loss and grad_norm (a run's metrics) of an earlier run.
        """
        self.steps, self.vocab_size = steps, vocab_size
        self.before = _columns(before)
        self.records: list[dict] = []
        self._picture = Picture()
        self._next = 0.0  # when the next drawing is due

    def update(self, step: int, loss: float, grad_norm: float | None = None, **_: object) -> None:
        """Record one optimizer step (counted from 0) and redraw when it is time; other values are ignored."""
        record = {"step": int(step), "loss": float(loss)}
        self.records.append(record if grad_norm is None else record | {"grad_norm": float(grad_norm)})
        started = time.monotonic()
        if started >= self._next:
            self._draw(finished=False)
            spent = time.monotonic() - started
            self._next = time.monotonic() + max(SECONDS, min(spent / SHARE, LONGEST))

    def close(self) -> None:
        """Draw the last, static picture."""
        if self.records:
            self._draw(finished=True)

    def __enter__(self) -> LivePlot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def on_start(self, trainer) -> None:
        """As a trainer's callback: take steps and vocabulary from the run's config."""
        self.steps, self.vocab_size = trainer.config.steps, trainer.config.vocab_size

    def on_step(self, trainer, record: Mapping) -> None:
        """As a trainer's callback: record the step."""
        self.update(**record)

    def on_end(self, trainer) -> None:
        """As a trainer's callback: leave the static picture."""
        self.close()

    def figure(self, finished: bool = True) -> Figure:
        """Return the figure of what has been recorded so far."""
        figure = Figure(figsize=(7.2, 2.7), layout="constrained")
        now = _columns(self.records)
        names = [name for name in COLOURS if any(name in record for record in self.records)]
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            self._panel(axes, name, now)
        figure.suptitle(self.summary(), fontsize=9)
        if self.steps and not finished:
            done = min(1.0, (now["step"][-1] + 1) / self.steps)
            bar = figure.add_axes((0, 0, 1, 0.015), in_layout=False)
            bar.barh(0, done, color=BLUE)
            bar.set(xlim=(0, 1))
            bar.axis("off")
        return figure

    def summary(self) -> str:
        """One line: how far the run is, and its latest loss and gradient norm."""
        last = self.records[-1]
        values = {"loss": f"{last['loss']:.3g}", "grad_norm": f"{last.get('grad_norm', math.nan):.3g}"}
        if self.steps:
            return message("plot.progress", step=last["step"] + 1, steps=self.steps, **values)
        return message("plot.step", step=last["step"], **values)

    def _draw(self, finished: bool) -> None:
        self._picture.show(self.figure(finished), self.summary())

    def _panel(self, axes: Axes, name: str, now: dict[str, list]) -> None:
        if self.before["step"]:
            axes.plot(self.before["step"], self.before[name], color=GREY, linewidth=1)
        marker = "o" if len(now["step"]) == 1 else None
        axes.plot(now["step"], now[name], color=COLOURS[name], linewidth=1.3, marker=marker, markersize=3)
        if name == "loss" and self.vocab_size:
            floor = math.log(self.vocab_size)
            axes.axhline(floor, color="black", linestyle="--", linewidth=1, label=f"ln V = {floor:.2f}")
            axes.legend(loc="best", fontsize=8)
        values = [value for value in (*self.before[name], *now[name]) if math.isfinite(value) and value > 0]
        if values and max(values) > LOG_RATIO * min(values):
            axes.set_yscale("log")
            nice = (1, 2, 5) if max(values) < 1000 * min(values) else (1,)
            axes.yaxis.set_major_locator(LogLocator(subs=nice))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        for step, value in zip(now["step"], now[name], strict=True):
            if not math.isfinite(value):
                axes.axvline(step, color=RED, linewidth=1)
                break
        if self.steps:
            axes.set_xlim(0, max(self.steps, now["step"][-1]))
        axes.set_xlabel(message("plot.steps"), fontsize=8)
        axes.set_title(message(f"plot.{name.replace('_', '-')}"), fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25)


def _columns(records: Iterable[Mapping]) -> dict[str, list]:
    rows = list(records)
    return {
        name: [row.get(name, math.nan) for row in rows if "step" in row]
        for name in ("step", "loss", "grad_norm")
    }
