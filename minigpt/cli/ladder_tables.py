"""What `minigpt ladder` prints of the rungs: their usual figures, and every other one that was promised."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from minigpt.config.ladders import BY_STEP, COLUMNS, LADDERS, PROMISED, Ladder
from minigpt.messages import CATALOGUE, message

if TYPE_CHECKING:
    from minigpt.diagnosis.climbed import Climbed

ALWAYS = ("loss", "grad_norm", "minutes")  # figures that are shown whatever is promised
WIDEST = 14  # columns of a cell; a longer leaf is broken at a hyphen, a loss before its share of chance
LOSSES = ("loss", "val_loss", "range")  # shown as shares of chance, too


def tables(ladder: Ladder, climbed: Sequence[Climbed]) -> list[Table]:
    """Return the usual figures of every rung, and below them a row for every other promised figure."""
    others = [
        row
        for step in climbed
        for name in PROMISED
        if name not in COLUMNS and name in step.rung.promised
        for row in _rows(ladder, step, name)
    ]
    return [_usual(ladder, climbed), *([_others(others)] if others else [])]


def not_measured(ladder: Ladder) -> str | None:
    """Return the line that says what a shipped ladder's source promises and nobody can measure here."""
    key = f"ladder.not-measured-{ladder.name}"
    return message(key) if ladder.name in LADDERS and CATALOGUE.has(key) else None


def _usual(ladder: Ladder, climbed: Sequence[Climbed]) -> Table:
    promised = {name for rung in ladder.rungs for name in rung.promised}
    shown = [name for name in COLUMNS if name in ALWAYS or name in promised]
    parts = [(name, part) for name in shown for part in ("", "promised-") if not part or name in promised]
    heads = (
        "ladder.column-rung",
        "ladder.column-verdict",
        *(f"ladder.column-{part}{name}" for name, part in parts),
    )
    table = Table(*map(message, heads), box=None, pad_edge=False)
    for step in climbed:
        verdict = step.walk.leaf or message(f"ladder.verdict-{step.walk.verdict}")
        cells = [_promised(ladder, step, name) if part else _ours(step, name) for name, part in parts]
        lines = ["\n".join(textwrap.wrap(cell, WIDEST)) for cell in (verdict, *cells)]
        table.add_row(escape(step.rung.name), *lines)
    for column in table.columns[1:]:  # a heading is broken between words, and so is a rung
        lines = [*column.header.split(), *(line for cell in column.cells for line in cell.splitlines())]
        column.width = max(map(len, lines))
    return table


def _others(rows: list[tuple[str, str, str, str]]) -> Table:
    heads = ("column-rung", "column-figure", "column-promised", "column-ours")
    table = Table(*(message(f"ladder.{head}") for head in heads), box=None, pad_edge=False)
    previous = None
    for rung, *cells in rows:
        table.add_row("" if rung == previous else escape(rung), *cells)
        previous = rung
    return table


def _rows(ladder: Ladder, step: Climbed, name: str) -> list[tuple[str, str, str, str]]:
    """Return (rung, figure, promised, ours); of a figure by step, a row for each step."""
    title = f"ladder.figure-{name}"
    if name not in BY_STEP:
        return [(step.rung.name, message(title), _promised(ladder, step, name), _ours(step, name))]
    ours, rows = step.figure(name), []
    for at, figure in step.rung.promised[name].items():
        pair = [(figure, ladder.chance), (ours.get(at), step.chance)]
        cells = [_with_share(value, chance if name == "loss_at" else None) for value, chance in pair]
        rows.append((step.rung.name, message(title, step=at), *cells))
    return rows


def _ours(step: Climbed, name: str) -> str:
    figure = step.figure(name)
    if name in LOSSES:
        return _with_share(figure, step.chance)
    if name == "minutes":
        return f"{step.seconds:.0f} s"
    return _written(name, figure)


def _promised(ladder: Ladder, step: Climbed, name: str) -> str:
    if name not in step.rung.promised:
        return "–"
    figure = step.rung.promised[name]
    if name in LOSSES:
        return _with_share(figure, ladder.chance)
    if name in ("grad_norm", "accuracy"):  # a bound
        return f"{'<' if name == 'grad_norm' else '>'} {_written(name, figure)}"
    return f"{figure:g} min" if name == "minutes" else _written(name, figure)


def _with_share(figure: Any, chance: float | None) -> str:
    """Return a loss, or the two ends of a span of losses, with its share of chance."""
    if figure is None:
        return "–"
    ends = dict.fromkeys(figure if isinstance(figure, list | tuple) else (figure,))  # one, where both are
    shares = f" ({'–'.join(message('ladder.share', value=end / chance) for end in ends)})" if chance else ""
    return "–".join(f"{end:.4g}" for end in ends) + shares


def _written(name: str, figure: Any) -> str:
    """Return a figure as its kind is written."""
    if isinstance(figure, list | tuple):
        return f"{'–'.join(f'{end:.3g}' for end in dict.fromkeys(figure))} ×"
    if name == "accuracy":
        return message("ladder.share", value=figure)
    if name in ("speedup", "speed", "swing", "slower", "faster", "noise", "rate_gap"):
        return f"{figure:.4g} ×" if name == "rate_gap" else f"{figure:.2f} ×"
    return f"{figure:.2g}" if name == "fall" else f"{figure:.2f}"
