"""A matplotlib figure shown in a notebook and redrawn in place, without pyplot's global state.

    picture = Picture()
    picture.show(figure, "what the figure says in one line")     # again and again: it replaces itself

The last drawing stays in the notebook as a plain PNG with two dots a pixel, so that it is sharp on a dense
screen and when it is enlarged, and with the line as its alternative text. `course.reload`
shows it as a widget where the page was loaded again.
"""

from __future__ import annotations

import base64
import io
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from IPython import get_ipython
from IPython.display import display
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

if TYPE_CHECKING:
    import ipywidgets

PIXELS_PER_INCH = 90  # as a page shows it
DENSITY = 2  # dots a pixel, side by side
COLOURS = 256  # kept of a drawing: a figure of 7 by 2.5 inches stays near 30 kB


class Picture:
    """One output of a notebook that holds the latest drawing."""

    def __init__(self):
        self._handle = None
        self.revived = False
        self._last: str | None = None  # PNG in base64

    def show(self, figure: Figure, text: str, passing: bool = False) -> None:
        """Draw the figure where it was first shown; outside a notebook, do nothing.

        `passing`: another drawing follows soon, so this one may be coarse, which takes a third of the time.
        """
        if get_ipython() is None:
            return
        width, height = (int(inches * PIXELS_PER_INCH) for inches in figure.get_size_inches())
        self._last = png(figure, density=1 if passing else DENSITY)
        data = {"image/png": self._last, "text/plain": text}
        # the size, so that a page keeps the room while one drawing replaces another
        metadata = {"image/png": {"alt": text, "width": width, "height": height}}
        if self._handle is None:
            self._handle = display(data, metadata=metadata, raw=True, display_id=True)
        else:
            self._handle.update(data, metadata=metadata, raw=True)
        if self.revived:
            self._paint()

    @cached_property
    def widget(self) -> ipywidgets.Image:
        """The drawing as a widget, hidden until `revive`."""
        import ipywidgets

        image = ipywidgets.Image(format="png", layout={"display": "none", "max_width": "100%"})
        image.add_class("course-live")
        return image

    def revive(self) -> None:
        """Show the widget: the page was loaded again, and the output before it can no longer change."""
        self.revived = True
        self.widget.layout.display = ""
        self.widget.add_class("course-revived")
        self._paint()

    def _paint(self) -> None:
        if self._last is not None:
            self.widget.value = base64.b64decode(self._last)


def png(figure: Figure, density: int = DENSITY) -> str:
    """The figure as PNG, in base64, the same bytes for the same drawing."""
    canvas, usual = FigureCanvasAgg(figure), figure.dpi
    figure.set_dpi(PIXELS_PER_INCH * density)
    try:
        canvas.draw()  # once, where `savefig` draws twice
        drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    finally:
        figure.set_dpi(usual)
    buffer = io.BytesIO()
    if density > 1:
        drawn.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
    else:
        drawn.save(buffer, format="png", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode()
