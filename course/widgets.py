"""A playground: a few controls above a picture that follows them.

    def draw(figure, std):
        axes = figure.subplots()
        axes.plot(...)
        axes.set_xlabel(t("step"))

    playground(draw, std=Slider(t("std"), low=0.001, high=2.0, start=0.02, log=True))

The picture is a plain one. Without a running kernel (a solution on the web, a printed page) the controls are
gone and the picture of the starting values remains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ipywidgets
from IPython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure

from course.picture import Picture

_LAYOUT = {"width": "480px"}
_STYLE = {"description_width": "180px"}


@dataclass(frozen=True)
class Slider:
    """A number from `low` to `high`, whole if all three are; `log`: equal distances, equal factors."""

    label: str
    low: float
    high: float
    start: float
    log: bool = False

    def widget(self) -> ipywidgets.Widget:
        """The control, at its starting value."""
        common = {"value": self.start, "description": self.label, "layout": _LAYOUT, "style": _STYLE}
        if self.log:
            low, high = math.log10(self.low), math.log10(self.high)
            return ipywidgets.FloatLogSlider(
                **common, min=low, max=high, step=(high - low) / 100, readout_format=".3g"
            )
        if all(isinstance(number, int) for number in (self.low, self.high, self.start)):
            return ipywidgets.IntSlider(**common, min=self.low, max=self.high)
        step = (self.high - self.low) / 100
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
        for control in self.controls.values():
            control.observe(lambda change: self.redraw(), names="value")

    def show(self) -> None:
        """Show controls and picture; outside a notebook, draw once and show nothing."""
        if get_ipython() is not None:
            display(ipywidgets.VBox(list(self.controls.values())))
        self.redraw()

    def redraw(self) -> None:
        """Draw the picture for the controls' present values."""
        values = {name: control.value for name, control in self.controls.items()}
        figure = Figure(figsize=self._size, layout="constrained")
        self._draw(figure, **values)
        shown = ", ".join(f"{control.description}: {control.value}" for control in self.controls.values())
        self._picture.show(figure, shown)


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
