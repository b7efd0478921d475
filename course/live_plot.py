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
SHARE = 0.04  # of the time goes into drawing, at most, between the first, which loads its fonts, and the last
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
        self._drawing: _Drawing | None = None  # kept while the run trains: only its lines move
        self._next = 0.0  # when the next drawing is due

    def update(self, step: int, loss: float, grad_norm: float | None = None, **_: object) -> None:
        """Record one optimizer step (counted from 0) and redraw when due; other values are ignored."""
        record = {"step": int(step), "loss": float(loss)}
        self.records.append(record if grad_norm is None else record | {"grad_norm": float(grad_norm)})
        started = time.monotonic()
        if started >= self._next:
            first = self._drawing is None
            self._draw(finished=False)
            spent = time.monotonic() - started
            self._next = time.monotonic() + max(SECONDS, 0.0 if first else spent / SHARE)

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

    def figure(self) -> Figure:
        """Return the figure of what has been recorded so far."""
        drawing = _Drawing(self)
        drawing.update()
        return drawing.figure

    def summary(self) -> str:
        """One line: how far the run is, and its latest loss and gradient norm."""
        last = self.records[-1]
        values = {"loss": f"{last['loss']:.3g}", "grad_norm": f"{last.get('grad_norm', math.nan):.3g}"}
        if self.steps:
            return message("plot.progress", step=last["step"] + 1, steps=self.steps, **values)
        return message("plot.step", step=last["step"], **values)

    def _draw(self, finished: bool) -> None:
        if finished:
            self._picture.show(self.figure(), self.summary())
            return
        if self._drawing is None or self._drawing.names != self.names():
            self._drawing = _Drawing(self, progress=True)
        self._drawing.update()
        self._picture.show(self._drawing.figure, self.summary(), passing=True)
        self._drawing.figure.set_layout_engine("none")  # laid out once: that is a third of the time

    def names(self) -> list[str]:
        """What has been recorded: `loss`, and `grad_norm` if there is any."""
        return [name for name in COLOURS if any(name in record for record in self.records)]


class _Drawing:
    """A figure whose lines follow a plot's records."""

    def __init__(self, plot: LivePlot, progress: bool = False):
        self.plot, self.names = plot, plot.names()
        self.figure = Figure(figsize=(7.2, 2.7), layout="constrained")
        panels = self.figure.subplots(1, len(self.names), squeeze=False)[0]
        self.panels = [_Panel(axes, name, plot) for axes, name in zip(panels, self.names, strict=True)]
        self.bar = None
        if plot.steps and progress:
            axes = self.figure.add_axes((0, 0, 1, 0.015), in_layout=False)
            (self.bar,) = axes.barh(0, 0, color=BLUE)
            axes.set(xlim=(0, 1))
            axes.axis("off")

    def update(self) -> None:
        """Move every line to where the records are now."""
        now = _columns(self.plot.records)
        for panel in self.panels:
            panel.update(now)
        self.figure.suptitle(self.plot.summary(), fontsize=9)
        if self.bar is not None:
            self.bar.set_width(min(1.0, (now["step"][-1] + 1) / self.plot.steps))


class _Panel:
    """One curve, with the earlier run's behind it."""

    def __init__(self, axes: Axes, name: str, plot: LivePlot):
        self.axes, self.name, self.plot = axes, name, plot
        if plot.before["step"]:
            axes.plot(plot.before["step"], plot.before[name], color=GREY, linewidth=1)
        (self.line,) = axes.plot([], [], color=COLOURS[name], linewidth=1.3, markersize=3)
        if name == "loss" and plot.vocab_size:
            floor = math.log(plot.vocab_size)
            axes.axhline(floor, color="black", linestyle="--", linewidth=1, label=f"ln V = {floor:.2f}")
            axes.legend(loc="best", fontsize=8)
        self.broken = False  # whether the first value that was no number is marked
        axes.set_xlabel(message("plot.steps"), fontsize=8)
        axes.set_title(message(f"plot.{name.replace('_', '-')}"), fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25)

    def update(self, now: dict[str, list]) -> None:
        """Draw the values up to now, on an axis that fits them."""
        axes, steps, values = self.axes, now["step"], now[self.name]
        self.line.set_data(steps, values)
        self.line.set_marker("o" if len(steps) == 1 else "")
        everything = [
            value for value in (*self.plot.before[self.name], *values) if math.isfinite(value) and value > 0
        ]
        if everything and max(everything) > LOG_RATIO * min(everything):
            axes.set_yscale("log")
            nice = (1, 2, 5) if max(everything) < 1000 * min(everything) else (1,)
            axes.yaxis.set_major_locator(LogLocator(subs=nice))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        for step, value in zip(steps, values, strict=True):
            if not self.broken and not math.isfinite(value):
                axes.axvline(step, color=RED, linewidth=1)
                self.broken = True
        axes.relim()
        axes.autoscale_view()
        if self.plot.steps:
            axes.set_xlim(0, max(self.plot.steps, steps[-1]))


def _columns(records: Iterable[Mapping]) -> dict[str, list]:
    rows = list(records)
    return {
        name: [row.get(name, math.nan) for row in rows if "step" in row]
        for name in ("step", "loss", "grad_norm")
    }
