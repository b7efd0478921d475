"""Pictures that follow their controls after the page was loaded again.

A browser that loads a notebook again finds its controls, because the kernel remembers them, but an output
drawn before can no longer be replaced. So a picture has a second form: a widget, hidden until then.

    follow(picture)     # its widget, to be shown beside the controls

A page that is loaded opens a "control" channel to the kernel to ask for the widgets: that is the sign.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import ipywidgets
from comm import get_comm_manager

if TYPE_CHECKING:
    from course.picture import Picture

CHANNEL = "jupyter.widget.control"
_followed: weakref.WeakSet[Picture] = weakref.WeakSet()


def follow(picture: Picture) -> ipywidgets.Image:
    """Return the picture's widget, which appears once the page is loaded again."""
    _followed.add(picture)
    get_comm_manager().register_target(CHANNEL, _loaded)
    return picture.widget


def _loaded(comm: object, opening: dict) -> None:
    """A page has been loaded and asks for the widgets: show the pictures first, then answer."""
    for picture in list(_followed):
        picture.revive()
    ipywidgets.Widget.handle_control_comm_opened(comm, opening)
