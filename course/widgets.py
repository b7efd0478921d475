"""A playground: a few controls above a picture that follows them.

    def draw(figure, std):
        axes = figure.subplots()
        axes.plot(...)
        axes.set_xlabel(t("step"))

    playground(draw, std=Slider(t("std"), low=0.001, high=2.0, start=0.02, log=True))

The picture is a plain one. Without a running kernel (a solution on the web, a notebook opened again) the
controls are gone, and the last picture remains.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ipywidgets
from IPython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure

from course.messages import message
from course.picture import Picture
from course.reload import follow

_LAYOUT = {"width": "min(640px, 98%)"}  # the picture's, or what a small window leaves
_STYLE = {"description_width": "180px"}
_PER_DECADE = 20  # positions of a logarithmic slider


@dataclass(frozen=True)
class Slider:
    """A number from `low` to `high`, whole if all three are; `log`: equal distances, equal factors.

    `step` is the distance between two positions, where not `log`; by default 1, or a round number near a
    hundredth of the way. `start` must be one of the positions: a browser shows no other.
    """

    label: str
    low: float
    high: float
    start: float
    log: bool = False
    step: float | None = None

    def widget(self) -> ipywidgets.Widget:
        """The control, at its starting value."""
        common = {"value": self.start, "description": self.label, "layout": _LAYOUT, "style": _STYLE}
        if self.log:
            low, start, high = (math.log10(number) for number in (self.low, self.start, self.high))
            below = start - low or high - low
            step = below / max(1, round(below * _PER_DECADE))
            return ipywidgets.FloatLogSlider(**common, min=low, max=high, step=step, readout_format=".3g")
        if all(isinstance(number, int) for number in (self.low, self.high, self.start)):
            return ipywidgets.IntSlider(**common, min=self.low, max=self.high, step=self.step or 1)
        step = self.step or _round((self.high - self.low) / 100)
        return ipywidgets.FloatSlider(**common, min=self.low, max=self.high, step=step, readout_format=".3g")


@dataclass(frozen=True)
class Choice:
    """One of a few options, shown text → value; it starts at the first."""

    label: str
    options: Mapping[str, object]

    def widget(self) -> ipywidgets.Widget:
        """The control, at its first option."""
        return ipywidgets.Dropdown(
            options=list(self.options.items()), description=self.label, layout=_LAYOUT, style=_STYLE
        )


class Playground:
    """Controls and their picture; `playground` makes one and shows it."""

    def __init__(
        self, draw: Callable[..., object], size: tuple[float, float], controls: Mapping[str, Slider | Choice]
    ):
        self._draw, self._size = draw, size
        self.controls = {name: control.widget() for name, control in controls.items()}
        self._picture = Picture()
        self._drawn: dict[str, object] | None = None
        for control in self.controls.values():
            control.observe(lambda change: self.redraw(), names="value")

    def show(self) -> None:
        """Show controls and picture; outside a notebook, draw once and show nothing."""
        if get_ipython() is not None:
            show_controls([*self.controls.values(), _note(), follow(self._picture)])
        self.redraw()

    def redraw(self) -> None:
        """Draw the picture for the controls' current values, unless they were drawn last."""
        values = {name: _plain(control.value) for name, control in self.controls.items()}
        if values == self._drawn:
            return
        self._drawn = values
        figure = Figure(figsize=self._size, layout="constrained")
        self._draw(figure, **values)
        shown = ", ".join(f"{self.controls[name].description}: {value}" for name, value in values.items())
        self._picture.show(figure, shown)


def _note() -> ipywidgets.Widget:
    """A line that stays empty until a typed value was moved to a position; JupyterLab fills it in."""
    words = html.escape(message("plot.moved", typed="{typed}", shown="{shown}"), quote=True)
    return ipywidgets.HTML(f'<span class="course-note" role="status" data-words="{words}"></span>')


def show_controls(controls: list[ipywidgets.Widget]) -> None:
    """Show the controls, one above the other; where no kernel answers, a line that says how to get them."""
    shown = ipywidgets.VBox(controls)._repr_mimebundle_()
    display(shown | {"text/plain": message("plot.controls")}, raw=True)


def playground(
    draw: Callable[..., object], size: tuple[float, float] = (7.2, 2.7), **controls: Slider | Choice
) -> None:
    """Show controls, and below them what `draw(figure, **values)` draws; it draws again at every change.

    Args:
        draw: draws on an empty matplotlib figure from one value a control; should take well under a second.
        size: of the picture, in inches.
        controls: a Slider or a Choice for each value.
    """
    Playground(draw, size, controls).show()


def _plain(value: object) -> object:
    """A number without the dust that the browser's arithmetic leaves on it, so that it is met again."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _round(number: float) -> float:
    """The nearest of 1, 2 and 5 times a power of ten."""
    power = math.floor(math.log10(number))
    candidates = [float(f"{digit}e{power}") for digit in (1, 2, 5, 10)]
    return min(candidates, key=lambda candidate: abs(candidate - number))
