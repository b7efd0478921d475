"""Following a run: the page is written again and again, and reloads itself.

Nothing is served: a page opened from disk cannot fetch data, but it can reload itself. So there is no port to
choose and none to close, and the last page stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from minigpt.dashboard.page import page, write
from minigpt.dashboard.source import Source

INTERVAL = 2.0  # seconds between two pages
SHARE = 0.2  # of the time may go into drawing, so that following does not slow the run down


def follow(
    read: Callable[[], Sequence[Source]], out: Path, wait: Callable[[float], None] = time.sleep
) -> Sequence[Source]:
    """Write `out` until every run has ended or the user presses Ctrl-C; return what was drawn last.

    Args:
        read: reads all sources again.

    Raises:
        MiniGPTError: a run cannot be read, or the page not be written.
    """
    sources, interval = read(), INTERVAL
    try:
        while not all(source.finished for source in sources):
            started = time.perf_counter()
            write(out, page(sources, live=interval))
            wait(interval)
            sources = read()
            drawing = time.perf_counter() - started - interval
            interval = max(INTERVAL, round(drawing / SHARE, 1))
    except KeyboardInterrupt:
        pass
    write(out, page(sources))
    return sources
