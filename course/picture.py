"""A matplotlib figure shown in a notebook and redrawn in place, without pyplot's global state.

    picture = Picture()
    picture.show(figure, "what the figure says in one line")     # again and again: it replaces itself

The last drawing stays in the notebook as a plain PNG, with the line as its alternative text.
"""

from __future__ import annotations

import base64
import io

from IPython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure

DOTS_PER_INCH = 90  # a figure of 7 by 2.5 inches stays near 30 kB


class Picture:
    """One output of a notebook that holds the latest drawing."""

    def __init__(self):
        self._handle = None

    def show(self, figure: Figure, text: str) -> None:
        """Draw the figure where it was first shown; outside a notebook, do nothing."""
        if get_ipython() is None:
            return
        width, height = (int(inches * DOTS_PER_INCH) for inches in figure.get_size_inches())
        data = {"image/png": png(figure), "text/plain": text}
        # the size, so that a page keeps the room while one drawing replaces another
        metadata = {"image/png": {"alt": text, "width": width, "height": height}}
        if self._handle is None:
            self._handle = display(data, metadata=metadata, raw=True, display_id=True)
        else:
            self._handle.update(data, metadata=metadata, raw=True)


def png(figure: Figure) -> str:
    """The figure as PNG, in base64, the same bytes for the same drawing."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return base64.b64encode(buffer.getvalue()).decode()
