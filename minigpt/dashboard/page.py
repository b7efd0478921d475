"""One self-contained HTML file: template, style, script, chart library and data in one text.

The page loads nothing: its content security policy forbids every request. Both languages are in it.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from minigpt.dashboard.attempts import with_attempts
from minigpt.dashboard.panels import panels
from minigpt.dashboard.source import Source, flat_manifest
from minigpt.diagnosis.report import as_data
from minigpt.messages import CATALOGUE, LANGUAGES, MiniGPTError, language, message, reason_of
from minigpt.runs.run import write_atomically
from minigpt.runs.thresholds import (
    ATTENTION_LOGIT,
    ATTENTION_LOGIT_BROKEN,
    DEAD_SHARE,
    GRADIENT_CRITICAL,
    GRADIENT_HIGH,
    GRADIENT_LOW,
    GRADIENT_STEPS,
)

FOLDER = Path(__file__).parent
PARTS = {  # placeholder in page.html → file
    "/*library-style*/": "vendor/uPlot.min.css",
    "/*style*/": "page.css",
    "/*library*/": "vendor/uPlot.iife.min.js",
    "/*ticks*/": "ticks.js",
    "/*charts*/": "charts.js",
    "/*outputs*/": "outputs.js",
    "/*script*/": "page.js",
}
TEXTS = ("dashboard.page-", "stability.label-")  # what the page says
LIMITS = {"low": GRADIENT_LOW, "high": GRADIENT_HIGH, "critical": GRADIENT_CRITICAL, "steps": GRADIENT_STEPS}
LIMITS |= {"attention": ATTENTION_LOGIT, "attention_broken": ATTENTION_LOGIT_BROKEN, "dead": DEAD_SHARE}
FIGURES = (  # of a run's card, in this order: name in the catalogue, column
    ("loss", "loss"),
    ("val-loss", "val_loss"),
    ("loss-variance", "loss_variance"),
    ("grad-norm-p90", "grad_norm_p90"),
    ("loss-spikes", "loss_spikes"),
    ("grad-spikes", "grad_spikes"),
    ("recoveries", "recoveries"),
    ("speed", "tokens_per_second"),
)


class PageError(MiniGPTError):
    """A page that cannot be written."""


def page(sources: Sequence[Source], live: float | None = None) -> str:
    """Return the dashboard of `sources` as HTML.

    Args:
        live: seconds after which the page reloads itself; None for a finished one.
    """
    data = {
        "language": language(),
        "live": live,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "texts": {code: _texts(code) for code in LANGUAGES},
        "runs": [_run(source) for source in sources],
        "panels": with_attempts(panels(sources), sources),
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # "<" has no other place in JSON than inside a string, where it could end the script element
    return _template().replace("/*data*/", text.replace("<", "\\u003c")).replace("/*lang*/", language())


def write(path: Path, html: str) -> None:
    """Write the page whole, or not at all.

    Raises:
        PageError: the file cannot be written there.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(21, message("dashboard.is-a-folder"))
        write_atomically(path, html)
    except OSError as error:
        for torn in path.parent.glob(f".{path.name}.*"):
            with contextlib.suppress(OSError):
                torn.unlink()
        raise PageError("dashboard.cannot-write", path=path, detail=reason_of(error)) from error


@cache
def _template() -> str:
    html = (FOLDER / "page.html").read_text(encoding="utf-8")
    for placeholder, name in PARTS.items():
        html = html.replace(placeholder, (FOLDER / name).read_text(encoding="utf-8").strip())
    return html


def _texts(code: str) -> dict[str, str]:
    keys = sorted(key for key in CATALOGUE.keys("en") if key.startswith(TEXTS))
    return {key.removeprefix("dashboard.page-"): message(key, code, **LIMITS) for key in keys}


def _run(source: Source) -> dict[str, Any]:
    walk = source.walk
    return {
        "name": source.name,
        "state": _state(source),
        "done": source.steps_done,
        "steps": source.config.steps if source.config else None,
        "figures": [[name, _last(source, column)] for name, column in FIGURES] + _forecast(source),
        "walk": walk and {code: as_data(walk, code) for code in LANGUAGES},
        "manifest": flat_manifest(source.manifest),
    }


def _state(source: Source) -> str:
    _, losses = source.column("loss")
    finite = not len(losses) or math.isfinite(losses[-1])
    if source.finished and (finite or source.config):
        return "finished"
    return "unfinished" if finite else "not-finite"


def _last(source: Source, column: str) -> float | str | None:
    """Return the last value of a column; text for one that is not finite, null where there is none."""
    _, values = source.column(column)
    if not len(values):
        return None
    value = float(values[-1])
    return value if math.isfinite(value) else "NaN" if math.isnan(value) else f"{value:+}"


def _forecast(source: Source) -> list[list[Any]]:
    """Return, for a running run, the time left and the time to the target loss; null is "unknown"."""
    if source.finished or not source.config:
        return []
    figures: list[list[Any]] = [["eta", _last(source, "eta_seconds")]]
    at, targets = source.column("target_loss")
    if len(at):
        known_at, seconds = source.column("target_seconds")
        known = len(known_at) and known_at[-1] == at[-1]
        figures.append(["target-loss", float(targets[-1])])
        figures.append(["target-seconds", float(seconds[-1]) if known else None])
    return figures
