"""Which units of the feed-forwards take part, and how many directions a block's output has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.training.instruments.quiet import quietly

SILENT = 1e-3  # of the largest activation of its layer: below on every row, a unit is inactive


def units(model: nn.Module, inputs: Tensor) -> dict[str, list[float]]:
    """Return by block the share of hidden units that are never active, and the effective rank ÷ the width.

    The hidden units are what the feed-forward's last linear layer is given. The effective rank is the
    exponential of the entropy of the singular values (Roy & Vetterli, 2007); NaN if it is not finite.
    """
    with UnitsReader(model) as reader:
        quietly(model, inputs)
    return reader.found()


@dataclass(frozen=True)
class FeedForward:
    """Where the units of one block are seen."""

    projections: tuple[nn.Module, ...]  # each is given hidden units; of experts there are several
    block: nn.Module | None = None  # what it leaves is ranked; None: that is not asked


class UnitsReader:
    """Inside this context it reads every pass of the model; hooks are there no longer."""

    def __init__(self, model: nn.Module, parts: Sequence[FeedForward] | None = None, fewest: int = 1):
        """Prepare.

        Args:
            parts: of the model, from its input to its output; the default is where our own GPT has them.
            fewest: positions that a projection must be given to count, as an expert may hardly be asked.
        """
        self._parts = _own(model) if parts is None else parts
        self._fewest = fewest
        self._silent: dict[int, list[Tensor]] = {}  # by part: which units were inactive
        self._ranks: dict[int, float] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> UnitsReader:
        for number, part in enumerate(self._parts):
            self._handles += [
                projection.register_forward_pre_hook(partial(self._note_units, number))
                for projection in part.projections
            ]
            if part.block is not None:
                self._handles.append(part.block.register_forward_hook(partial(self._note_output, number)))
        return self

    def __exit__(self, *_error: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _note_units(self, number: int, _module: nn.Module, given: tuple) -> None:
        rows = given[0].detach().flatten(0, -2)  # (positions, units)
        if len(rows) >= self._fewest:
            self._silent.setdefault(number, []).append(_silent(rows))

    def _note_output(self, number: int, _module: nn.Module, _given: tuple, output: Any) -> None:
        first = output[0] if isinstance(output, tuple | list) else output
        if isinstance(first, Tensor):
            self._ranks[number] = _rank(first)

    def found(self) -> dict[str, list[float]]:
        """Return `inactive` and `rank` by block; empty where there is no such feed-forward."""
        if not self._silent:
            return {}
        shares = [torch.cat(self._silent[number]).float().mean() for number in sorted(self._silent)]
        found = {"inactive": torch.stack(shares).tolist()}
        return found | (
            {"rank": [self._ranks[number] for number in sorted(self._ranks)]} if self._ranks else {}
        )


def _own(model: nn.Module) -> list[FeedForward]:
    blocks = getattr(model, "h", ())
    projections = [(getattr(getattr(block, "mlp", None), "c_proj", None), block) for block in blocks]
    return [FeedForward((one,), block) for one, block in projections if isinstance(one, nn.Linear)]


def _silent(rows: Tensor) -> Tensor:
    """Return which of the units, (units,), are below `SILENT` on every row."""
    largest = rows.abs().amax(0)
    return largest <= SILENT * largest.max()


def _rank(output: Tensor) -> float:
    rows = output.detach().float().flatten(0, -2)  # (B·T, C)
    largest = rows.abs().max()
    if not torch.isfinite(largest):
        return math.nan
    rows = rows / largest.clamp(min=1e-30)  # the rank stays as it is, and the squares stay finite
    try:
        values = torch.linalg.eigvalsh((rows.T @ rows).cpu()).clamp(min=0).sqrt()
    except torch.linalg.LinAlgError:  # no eigenvalues found: an instrument must not end a run
        return math.nan
    shares = values / values.sum().clamp(min=1e-12)
    entropy = -(shares * shares.clamp(min=1e-12).log()).sum()
    return (entropy.exp() / len(shares)).item()
