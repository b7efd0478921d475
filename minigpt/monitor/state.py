"""What lasts from step to step in anybody's loop: weights that others write, and what a model remembers.

A sample of each weight tells whether it is after an update what it is before the next, up to the rounding
of those who move weights and move them back; a stretch in which the model was evaluated does not count, for
averages are put in and taken out there. At the end a copy of the
model answers one batch twice, another one between. Of a model with a declared memory (`minigpt.model.state`)
more is asked: a row alone, whether evaluation writes, whether chance decides what is written; and the figures
of our own memory stand in the records.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.model.mixers.memory import memory_figures
from minigpt.model.state import has_memory
from minigpt.monitor.conformance import tolerance
from minigpt.monitor.future import Call
from minigpt.monitor.hooks import ModelHooks
from minigpt.monitor.layers import copied_easily, is_sharded
from minigpt.monitor.optimizers import parameters_of
from minigpt.monitor.writes import own_count
from minigpt.training.instruments.statefulness import statefulness

FIRST, EVERY = 4, 50  # steps after which weights are sampled: the first few, then one in so many
SAMPLE = 65_536  # numbers of a tensor, at most twice as many
ROUNDINGS = 16  # spacings of the number format that a change, ÷ the tensor, may come to
USUAL = 0.01  # a small number in a weight
MOST = 8  # names of changed tensors that are kept
RECORDED = 10  # steps from one record of the memory's figures to the next
WRITES = 40  # first writes of which each is recorded


class StateWatch:
    """The observer; `after_step` adds to the record of a step and returns the probes that are due."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, declared: Sequence[str]):
        """Prepare.

        Args:
            declared: prefixes of the names of parameters that the loop writes on purpose.
        """
        self._model, self._declared = model, tuple(declared)
        self._optimizer: torch.optim.Optimizer | None = None
        self._set_optimizer(optimizer)
        self._kept: list[Tensor] | None = None  # of the weights after an update, where they are compared
        self._counts: list[float | None] = []  # that the optimizer had made of each by then
        self._changed: list[str] | None = None  # since they were written down
        self._remembers = memory_figures(model) is not None
        self._writes = 0
        self._asked_at = -1  # the step at which the model was asked last

    def _set_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        if optimizer is self._optimizer:
            return
        self._optimizer, self._kept = optimizer, None
        if any(is_sharded(module) for module in self._model.modules()):
            self._watched, self._names = [], []
            return
        names = {parameter: name for name, parameter in self._model.named_parameters()}
        watched = [p for p in parameters_of(optimizer) if p in names and _sampled(p)]
        self._watched = [p for p in watched if not names[p].startswith(self._declared or "\0")]
        self._names = [names[p] for p in self._watched]

    @property
    def waits(self) -> bool:
        """Whether the next step is needed: weights are to be compared, or the model has a memory."""
        return self._remembers or self._kept is not None

    def forget(self) -> None:
        """Compare nothing with the newest update: the model was evaluated, or what was written is known."""
        self._kept = None

    @torch.no_grad()
    def before_step(self) -> None:
        """The optimizer is about to step."""
        if self._kept is None:
            return
        before, self._kept = self._kept, None
        self._changed = self._changed or []
        counts = [own_count(self._optimizer, parameter) for parameter in self._watched]
        if counts != self._counts:
            return  # moments and weights went back together
        for parameter, name, old in zip(self._watched, self._names, before, strict=True):
            new = _sample(parameter)
            there = new.shape == old.shape and new.device == old.device
            if there and name not in self._changed and _moved(old, new):
                self._changed.append(name)

    def after_step(
        self, step: int, optimizer: torch.optim.Optimizer, record: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """The optimizer has made step `step`: add the memory's figures to its record where they are due."""
        self._set_optimizer(optimizer)
        if self._watched and (step < FIRST or step % EVERY == 0):
            self._kept = [_sample(parameter).clone() for parameter in self._watched]
            self._counts = [own_count(optimizer, parameter) for parameter in self._watched]
        if self._remembers and (figures := memory_figures(self._model)):
            writes = max(figures["writes"])
            if step % RECORDED == 0 or writes != self._writes and writes <= WRITES:
                record["memory"] = figures
            self._writes = writes
        if self._changed is None:
            return []
        found, self._changed = self._changed[:MOST], None
        return [{"step": step, "kind": "ownership", "changed": found}]

    def ask(self, step: int, hooks: ModelHooks) -> list[dict[str, Any]]:
        """Ask a copy of the model, once after each step at most, whether it remembers what it should not."""
        if step <= self._asked_at or (call := hooks.last_call()) is None or not copied_easily(self._model):
            return []
        self._asked_at = step
        try:
            found = self._statefulness(call, hooks)
        except Exception:  # an external model may raise anything: a probe never ends a run
            return []
        return [{"step": step, "kind": "statefulness"} | found] if found else []

    def _statefulness(self, call: Call, hooks: ModelHooks) -> dict[str, Any]:
        if has_memory(self._model) and not call.named and len(call.arguments) == 1:
            return statefulness(self._model, call.ids, call.ids.flip(1))
        devices = [call.ids.device] if call.ids.is_cuda else []
        with torch.random.fork_rng(devices), torch.no_grad(), hooks.asleep():
            twin = copy.deepcopy(hooks.language_model).eval()
            first, again = (_answer(twin, hooks, call, between) for between in (False, True))
        if first is None or again is None or first.shape != again.shape:
            return {}
        spread = first.float().std().clamp(min=1e-12)
        change = ((again - first).float().abs().max() / spread).item()
        return {"same_batch": 0.0 if change <= tolerance(hooks.language_model) else change}


def _answer(model: nn.Module, hooks: ModelHooks, call: Call, between: bool) -> Tensor | None:
    """Return the logits of a call, after one with its tokens in reverse where another comes `between`."""
    if between:
        turned = [value.flip(1) if value is call.ids else value for value in call.arguments]
        named = {name: value.flip(1) if value is call.ids else value for name, value in call.named.items()}
        torch.manual_seed(0)
        model(*turned, **named)
    torch.manual_seed(0)  # what is drawn by chance is drawn alike
    return hooks.logits_in(model(*call.arguments, **call.named))


def _sampled(parameter: nn.Parameter) -> bool:
    plain = type(parameter.detach()) is Tensor and parameter.layout is torch.strided
    return (
        plain
        and parameter.device.type != "meta"
        and parameter.is_contiguous()
        and parameter.is_floating_point()
    )


def _sample(parameter: nn.Parameter) -> Tensor:
    """Return a view of some numbers of a tensor, evenly spread."""
    return parameter.detach().flatten()[:: max(1, parameter.numel() // SAMPLE)]


def _moved(old: Tensor, new: Tensor) -> bool:
    """Return whether numbers differ by more than the rounding of adding something and taking it away."""
    if torch.equal(old, new):
        return False
    size = old.float().norm() + USUAL * old.numel() ** 0.5
    return bool((new - old).float().norm() > ROUNDINGS * torch.finfo(old.dtype).eps * size)
