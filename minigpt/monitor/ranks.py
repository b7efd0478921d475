"""Do the copies of a model stay equal over the processes that train it, and has each its own data?

Each process but the first leaves checksums of its weights, and of the tokens of its first steps, in the run's
folder, and the first compares them with its own. Nothing is sent and nobody waits, so a process
that has no monitor holds nobody up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from minigpt.monitor.hook import Hook
from minigpt.monitor.tokens_seen import TokensSeen

TENSORS, COORDINATES = 16, 4096
FIRST, EVERY = (1, 2, 5, 10, 20, 50), 100  # steps after which checksums are taken
FEWEST = 5  # steps in which two processes are given the same before that is no accident
COMPARED = 32  # first steps whose tokens are compared
APART = 1e-4  # relative; sums over processes may differ in their last bits


def due(steps: int) -> bool:
    """Return whether a checksum is taken after so many steps."""
    return steps in FIRST or steps % EVERY == 0


class Checksums:
    """Checksums of the weights of one process, by step."""

    def __init__(self, model: nn.Module):
        whole = [p for p in model.parameters() if type(p) is nn.Parameter and p.requires_grad]
        self._parts = whole[:: max(len(whole) // TENSORS, 1)][:TENSORS]
        self.shapes = [list(part.shape) for part in self._parts]
        self.sums: dict[int, float] = {0: self._sum()}

    @torch.no_grad()
    def _sum(self) -> float:
        total = 0.0
        for number, part in enumerate(self._parts, start=1):
            flat = part.detach().reshape(-1)
            sample = flat[:: max(flat.numel() // COORDINATES, 1)][:COORDINATES].double()
            mixture = torch.linspace(0.5, 1.5, len(sample), device=sample.device, dtype=torch.float64)
            total += number * float((sample * mixture).sum())
        return total

    def note(self, steps: int) -> None:
        """Take the checksum of this step, if it is due."""
        if due(steps):
            self.sums[steps] = self._sum()


class OtherRank:
    """What watches in every process but the first."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, run_dir: Path, rank: int):
        self._checksums = Checksums(model)
        self._optimizer, self._steps = optimizer, 0
        run_dir.mkdir(parents=True, exist_ok=True)
        self._file = run_dir / f".rank-{rank}.json"
        self._tokens = TokensSeen(1)
        self._handles = [
            register_optimizer_step_post_hook(Hook(self._after_step, lambda _error: self.remove()))
        ]
        if tables := [module for module in model.modules() if isinstance(module, nn.Embedding)]:
            largest = max(tables, key=lambda table: table.num_embeddings)
            hook = Hook(self._after_embedding, lambda _error: self.remove())
            self._handles.append(largest.register_forward_hook(hook))

    def _after_embedding(self, _table: nn.Module, arguments: tuple, _output: Any) -> None:
        if torch.is_grad_enabled() and arguments[0].ndim == 2 and self._steps < COMPARED:
            self._tokens.note(arguments[0])

    def _after_step(self, optimizer: torch.optim.Optimizer, *_call: Any) -> None:
        if optimizer is not self._optimizer:
            return
        self._steps += 1
        if self._steps <= COMPARED:
            self._tokens.end_step(self._steps, None, 0)
        if due(self._steps):
            self._checksums.note(self._steps)
            self.write()

    def write(self) -> None:
        """Leave the checksums where the first process finds them."""
        sums = {str(step): value for step, value in self._checksums.sums.items()}
        told = {"shapes": self._checksums.shapes, "sums": sums, "tokens": self._tokens.first(COMPARED)}
        whole = orjson.dumps(told)
        unfinished = self._file.with_suffix(".part")
        unfinished.write_bytes(whole)
        unfinished.replace(self._file)

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()


def same_data(own: list[list[int]], theirs: list[list[int]]) -> float | None:
    """Return the share of steps in which two processes were given the same; None where too few are known."""
    both = [(one, other) for one, other in zip(own, theirs, strict=False) if one and other]
    return sum(one == other for one, other in both) / len(both) if len(both) >= FEWEST else None


def compare(own: Checksums, run_dir: Path, tokens: list[list[int]]) -> dict[str, Any] | None:
    """Return how far any process lies from the first, None where no other has left a checksum.

    Args:
        tokens: checksums of what the first process was given in its first steps.
    """
    found: dict[str, Any] | None = None
    for file in sorted(run_dir.glob(".rank-*.json")):
        try:
            other = orjson.loads(file.read_bytes())
            if other["shapes"] != own.shapes:  # other parts of one model
                continue
            theirs = {int(step): float(value) for step, value in other["sums"].items()}
        except (OSError, ValueError, KeyError, TypeError):
            continue
        both = sorted(theirs.keys() & own.sums.keys())
        moved = max((abs(own.sums[step] - own.sums[0]) for step in both), default=0.0)
        apart = {step: abs(theirs[step] - own.sums[step]) / max(moved, 1e-12) for step in both}
        first = next((step for step in both if apart[step] > APART), None)
        one = {
            "rank": int(file.stem.rpartition("-")[2]),
            "step": first,
            "began_equal": 0 in apart and abs(theirs[0] - own.sums[0]) <= 1e-9 * max(abs(own.sums[0]), 1.0),
            "apart": apart[both[-1]] if both else 0.0,
            "compared": len(both),
            "same_data": same_data(tokens, other.get("tokens", [])),
        }
        if found is None or one["apart"] > found["apart"]:
            found = one
    return found
