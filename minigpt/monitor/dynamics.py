"""Instruments for somebody else's loop: ln Z and growth, Adam's second moment, noise, the first NaN.

They take what passes by anyway (norms after each backward pass, logits on their way to the loss) and read a
few matrices now and then. Nothing is waited for on a GPU until a probe is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.monitor import rest
from minigpt.monitor.growth import Growth
from minigpt.monitor.optimizers import parameters_of
from minigpt.training.instruments.noise import from_squares
from minigpt.training.instruments.non_finite import first_in_forward
from minigpt.training.instruments.updates import fit_of_second_moments

SOMETIMES = 50  # steps between two measurements of ln Z and of the noise
ROWS = 64  # positions that ln Z is averaged over, at most twice as many: its drift is a matter of nats
MATRICES = 16  # that updates are measured of
FEWEST = 8  # steps whose norms are averaged for a noise scale


class DynamicsWatch:
    """The instruments of one loop; `take` returns the probes that are due."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, vocab_size: int):
        self._model, self._optimizer = model, optimizer
        names = {parameter: name for name, parameter in model.named_parameters()}
        whole = [p for p in parameters_of(optimizer) if type(p.detach()) is Tensor]  # not one shard of it
        found = [p for p in whole if p in names and p.ndim > 1]
        self._matrices, self._names = found[:: max(1, len(found) // MATRICES)][:MATRICES], names
        self._gradients: dict[nn.Parameter, Tensor] = {}
        self._sizes: dict[str, Tensor] = {}
        self._on_cpu = all(parameter.device.type == "cpu" for parameter in names)
        self._broken: dict[str, str] | None = None
        self._growth = Growth(model, vocab_size)
        self.log_z: Tensor | None = None
        self._first: Tensor | None = None  # norm after the first micro-batch of a step
        self._squares: list[tuple[Tensor, Tensor, int, int]] = []  # first, whole, micro-batches, tokens

    def note_logits(self, logits: Tensor, step: int) -> None:
        """Logits, (…, V), on their way to a loss in this step."""
        if step % SOMETIMES == 0:
            rows = logits.detach().flatten(0, -2)
            self.log_z = rows[:: max(1, len(rows) // ROWS)].float().logsumexp(-1).mean()

    def note_backward(self, norm: Tensor | None, afresh: bool) -> None:
        """A backward pass has left gradients of this norm; with `afresh` it is the first of its step."""
        if afresh:
            self._first = norm

    def before_step(
        self, step: int, norm: Tensor | None, micros: int, tokens: int, again: Callable[[], Any] | None
    ) -> None:
        """The optimizer is about to step.

        Args:
            norm: of the gradients before clipping.
            tokens: that were scored in all micro-batches.
            again: calls the model as it was called last.
        """
        if norm is not None and self._first is not None and micros > 1 and tokens:
            first, whole = self._first.detach().square(), norm.detach().square()
            self._squares.append((first, whole, micros, tokens))
            self._squares = self._squares[-SOMETIMES:]
        if step == 0 or rest.look(step):
            self._gradients = {p: p.grad for p in self._matrices if p.grad is not None}
        if self._broken is None and self._on_cpu and norm is not None and not math.isfinite(float(norm)):
            self._broken = self._where(again)

    def _measure_updates(self) -> None:
        found = fit_of_second_moments(self._gradients, self._optimizer)
        self._sizes = {self._names[parameter]: figure for parameter, figure in found.items()}
        self._gradients = {}

    def take(self, step: int) -> list[dict[str, Any]]:
        """Return the probes of a step that the optimizer has made, and forget them."""
        if self._gradients:
            self._measure_updates()
        noisy = (step + 1) % SOMETIMES == 0  # never a quiet step: those have one micro-batch
        if not (self._sizes or self._broken or noisy or step % SOMETIMES == 0):
            return []
        found: list[dict[str, Any]] = []
        if self._sizes:
            sizes = dict(zip(self._sizes, torch.stack(list(self._sizes.values())).tolist(), strict=True))
            name = max(sizes, key=lambda name: sizes[name])
            found.append({"kind": "updates", "rms": sizes[name], "name": name, "tensors": sizes})
        if step > 0 and step % SOMETIMES == 0:
            logits = self._growth.found()
            if self.log_z is not None:
                logits["log_z"] = float(self.log_z)
            if logits:
                found.append({"kind": "logits"} | logits)
        if noisy and (noise := self._noise()):
            found.append({"kind": "noise"} | noise)
        if self._broken:
            found.append({"kind": "non-finite"} | self._broken)
        self._sizes, self.log_z, self._broken = {}, None, {} if self._broken is not None else None
        return [{"step": step} | probe for probe in found]

    def _noise(self) -> dict[str, Any]:
        """Return the noise scale of the last steps; losses may be divided by the micro-batches or not."""
        same = [entry for entry in self._squares if entry[2:] == self._squares[-1][2:]]
        if len(same) < FEWEST:
            return {}
        micros, tokens = same[-1][2:]
        first = float(torch.stack([entry[0] for entry in same]).mean()) * micros**2
        whole = float(torch.stack([entry[1] for entry in same]).mean())
        if not math.isfinite(first + whole):
            return {}
        figures = from_squares(first, whole, max(tokens // micros, 1), tokens)
        return {"tokens": tokens} | ({"scale": figures["scale"]} if "scale" in figures else {})

    def _where(self, again: Callable[[], Any] | None) -> dict[str, str]:
        if again is not None and (found := first_in_forward(self._model, again)):
            return found
        names = {id(parameter): name for name, parameter in self._model.named_parameters()}
        broken = [
            names[id(p)]
            for p in self._model.parameters()
            if p.grad is not None and not torch.isfinite(p.grad).all()
        ]
        return {"module": broken[-1].rpartition(".")[0], "phase": "backward"} if broken else {}
