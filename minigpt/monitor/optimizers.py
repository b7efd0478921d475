"""The optimizers of an external loop: which are the model's, their state and their step counts.

The steps of the optimizer given to the monitor define the step count. Others may own some of the model's
parameters (one for matrices, one for the rest); they are noticed when they step. One that takes over its
parameters replaces it: somebody has built the optimizer again.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import nn

from minigpt.messages import MiniGPTError

AGAIN = 10  # steps after which parameters that have had no gradient yet are looked at again
FRAMES = 16  # of the call stack that a gradient scaler is looked for in
SPECIAL = 0.1  # of all vectors: so many without decay are no choice of which decay


class Optimizers:
    """The optimizers of one model."""

    def __init__(self, main: torch.optim.Optimizer, model: nn.Module, declared: Collection[str]):
        """Prepare.

        Args:
            declared: groups of other optimizers than the main one that go by the schedule, too.

        Raises:
            MiniGPTError: the optimizer holds no parameter of the model.
        """
        self.main, self._others, self._model, self._declared = main, [], model, declared
        # torch.compile puts a word of its own into every name
        parts = model.named_parameters()
        self._names = {id(parameter): name.replace("_orig_mod.", "") for name, parameter in parts}
        if not any(id(parameter) in self._names for parameter in parameters_of(main)):
            raise MiniGPTError("monitor.other-optimizer")
        self._foreign: WeakSet[torch.optim.Optimizer] = WeakSet()
        self._waiting: WeakKeyDictionary[torch.optim.Optimizer, list[nn.Parameter]] = WeakKeyDictionary()
        held = {id(parameter) for parameter in parameters_of(main)}
        others = [p for p in model.parameters() if p.requires_grad and id(p) not in held]
        self._began = {id(parameter): _sample(parameter) for parameter in others}
        self._hooked = {id(parameter) for parameter in model.parameters() if parameter._backward_hooks}
        self._resumed = WeakSet([main] if main.state else [])
        self.began_with_moments = bool(main.state)  # as when a run is resumed
        # by what stays of an optimizer that is built again
        self._steps: dict[int, int] = {}
        self._had: dict[int, bool] = {}
        self._kept: dict[int, bool] = {}
        self._first_count: dict[int, tuple[float, int]] = {}
        self._counted: dict[int, float] = {}

    @property
    def names(self) -> list[str]:
        """The names of the model's parameters."""
        return list(self._names.values())

    @property
    def all(self) -> list[torch.optim.Optimizer]:
        """All that have been seen, the main one first."""
        return [self.main, *self._others]

    @property
    def foreign(self) -> list[torch.optim.Optimizer]:
        """Those that step and move no parameter of the model."""
        return list(self._foreign)

    def owns(self, optimizer: torch.optim.Optimizer) -> bool:
        """Return whether an optimizer that steps moves parameters of the model."""
        if optimizer is self.main or optimizer in self._others:
            return True
        if optimizer in self._foreign:
            return False
        ours = {id(p) for p in parameters_of(optimizer)} & self._names.keys()
        if not ours:
            self._foreign.add(optimizer)
        elif not ours.isdisjoint(map(id, parameters_of(self.main))):
            if self._starts_anew(optimizer):
                self._kept[_key(optimizer)] = False
            self.main = optimizer
        else:
            self._others = [
                other for other in self._others if ours.isdisjoint(map(id, parameters_of(other)))
            ] + [optimizer]
        return bool(ours)

    def _starts_anew(self, optimizer: torch.optim.Optimizer) -> bool:
        """Return whether it does what the main one did, and has nothing of what that one had learnt.

        Another rule, or another choice of parameters, is another stage of the training.
        """
        same = type(optimizer) is type(self.main)
        same = same and set(map(id, parameters_of(optimizer))) == set(map(id, parameters_of(self.main)))
        return same and _remembers(self.main) and not _remembers(optimizer)

    def rates(self) -> tuple[dict[str, float], dict[str, float]]:
        """Return the learning rate of every group that has one: those that go by the schedule, and others.

        Groups of a second optimizer are “1.0”, “1.1”, …, and go by the schedule if that was declared.
        """
        judged, others = _rates(self.main), {}
        for number, optimizer in enumerate(self._others, start=1):
            for name, rate in _rates(optimizer).items():
                name = f"{number}.{name}"
                (judged if name in self._declared else others)[name] = rate
        return judged, others

    # ------------------------------------------------------------------ who learns

    def note_gradients(self, optimizer: torch.optim.Optimizer, step: int, closely: int) -> None:
        """Note, as an optimizer steps, which parameters have had no gradient so far."""
        if step < closely:
            looked_at = self._waiting.get(optimizer) if step else None
            looked_at = parameters_of(optimizer) if looked_at is None else looked_at
        elif step % AGAIN or not (looked_at := self._waiting.get(optimizer)):
            return
        self._waiting[optimizer] = [parameter for parameter in looked_at if _without_gradient(parameter)]

    def frozen(self, sure: bool, emptied: bool = False) -> list[str]:
        """Return the names of parameters that do not learn.

        Args:
            sure: name those without a gradient, too.
            emptied: no gradient was left when the optimizer stepped, so none learns.
        """
        held = {id(parameter) for optimizer in self.all for parameter in parameters_of(optimizer)}
        waiting = {
            id(parameter)
            for optimizer, parameters in self._waiting.items()
            for parameter in parameters
            if optimizer in self._resumed or not has_moments(optimizer, parameter)  # moved between two looks
        }
        return [
            self._names[id(parameter)]
            for parameter in self._model.parameters()
            if id(parameter) in self._names
            and not _is_table_of_sines(parameter)
            and (
                emptied
                # left out of both: that was meant
                or (id(parameter) not in held) == parameter.requires_grad
                and not self._moved(parameter)
                or (sure and id(parameter) in waiting)
                and not (id(parameter) in self._hooked and len(waiting) < len(held))  # a hook says so
            )
        ]

    def _moved(self, parameter: nn.Parameter) -> bool:
        """Return whether a parameter that no optimizer held at first is another by now, as shards are."""
        began = self._began.get(id(parameter))
        return began is not None and not torch.equal(began, _sample(parameter))

    # ------------------------------------------------------------------ what they hold

    def decaying(self) -> dict[str, list[str]]:
        """Return the names of vectors that decay and of matrices that do not, if they learn."""
        found: dict[str, list[str]] = {"vectors": [], "matrices_without": []}
        for optimizer in self.all:
            for group in optimizer.param_groups:
                decay = _number(group.get("weight_decay"))
                for parameter in group["params"]:
                    name = self._names.get(id(parameter))
                    if name is None or not parameter.requires_grad:
                        continue
                    if parameter.ndim < 2 and decay > 0:
                        found["vectors"].append(name)
                    if parameter.ndim >= 2 and decay == 0:
                        found["matrices_without"].append(name)
        return found

    @property
    def splits_decay(self) -> bool:
        """Whether somebody chose which vectors of one optimizer decay: some do not."""
        return any(map(_splits_decay, self.all))

    @property
    def weight_decay(self) -> float:
        """The largest of any group."""
        groups = [group for optimizer in self.all for group in optimizer.param_groups]
        return max(_number(group.get("weight_decay")) for group in groups)

    @property
    def climbs(self) -> bool:
        """Whether the loss is maximised."""
        return any(group.get("maximize") for group in self.main.param_groups)

    # ------------------------------------------------------------------ what they remember

    def note_before(self, optimizer: torch.optim.Optimizer, closely: bool) -> None:
        """Note, before a step, whether what an optimizer knew after its last step is still there."""
        if closely and self._steps.get(key := _key(optimizer)):
            self._kept[key] = self._kept.get(key, True) and (bool(optimizer.state) or not self._had[key])

    def note_after(self, optimizer: torch.optim.Optimizer, closely: bool, look: bool) -> None:
        """Note, after a step, how many an optimizer has counted of those that were seen."""
        key = _key(optimizer)
        self._steps[key] = seen = self._steps.get(key, 0) + 1
        if closely:
            self._had[key] = _remembers(optimizer)
        if look or seen == 1:
            states = [state for state in optimizer.state.values() if isinstance(state, dict)]
            states = [state for state in states if "step" in state]
            if states:
                count = max(float(state["step"]) for state in states[:8])
                # an optimizer may let its first step pass, so what it counts is compared with that
                first, at = self._first_count.setdefault(key, (count, seen))
                if seen > at:
                    self._counted[key] = (count - first) / (seen - at)

    def note_loaded(self, optimizer: torch.optim.Optimizer) -> None:
        """Note that a state was loaded, as after a rollback: its count goes on from what was loaded.

        Of a state that holds nothing the count starts over, and that is a finding.
        """
        if _remembers(optimizer):
            self._first_count.pop(_key(optimizer), None)

    @property
    def counter_stands(self) -> bool:
        """Whether the main optimizer keeps its moments, and its count of steps does not grow."""
        key = _key(self.main)
        kept = self._kept.get(key, False) and _has_moments_at_all(self.main)
        return kept and self._counted.get(key) == 0

    @property
    def counted(self) -> float | None:
        """Steps that an optimizer has counted for each that was seen, of the worst; None if unknown."""
        found = [float(kept) for key, kept in self._kept.items() if self._had.get(key) or not kept]
        return min([*self._counted.values(), *found], default=None)


def _sample(parameter: nn.Parameter) -> torch.Tensor:
    flat = parameter.detach().reshape(-1)
    return flat[:: max(1, len(flat) // 16)][:16].clone()


def _has_moments_at_all(optimizer: torch.optim.Optimizer) -> bool:
    states = [state for state in optimizer.state.values() if isinstance(state, dict)]
    return any("exp_avg" in state and bool(state["exp_avg"].any()) for state in states[:8])


def _remembers(optimizer: torch.optim.Optimizer) -> bool:
    return any(isinstance(state, torch.Tensor) or bool(state) for state in optimizer.state.values())


def _without_gradient(parameter: nn.Parameter) -> bool:
    """Return whether a parameter has no gradient, or one that is exactly zero."""
    gradient = parameter.grad
    return gradient is None or not gradient.is_sparse and not gradient.any()


def has_moments(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> bool:
    """Return whether an optimizer has learnt anything of a parameter."""
    state = optimizer.state.get(parameter)
    if not isinstance(state, dict):
        return parameter in optimizer.state
    kept = [value for name, value in state.items() if isinstance(value, torch.Tensor) and name != "step"]
    return any(bool(value.any()) for value in kept) if kept else bool(state)


def _key(optimizer: torch.optim.Optimizer) -> int:
    """Return what stays the same when an optimizer is built again."""
    for group in optimizer.param_groups:  # asked in every step, so without a generator
        if group["params"]:
            return id(group["params"][0])
    return 0


def _splits_decay(optimizer: torch.optim.Optimizer) -> bool:
    count = {True: 0, False: 0}
    for group in optimizer.param_groups:
        vectors = [p for p in group["params"] if p.ndim < 2 and p.requires_grad]
        count[_number(group.get("weight_decay")) > 0] += len(vectors)
    # a few may have a group for a reason of their own
    return count[True] > 0 and count[False] > SPECIAL * sum(count.values())


def _rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    return _rates_of(optimizer.param_groups)


def _rates_of(groups: list[dict[str, Any]]) -> dict[str, float]:
    rates: dict[str, float] = {}
    for index, group in enumerate(groups):
        rate = group.get("lr")
        if rate is not None:
            name = str(group.get("name", index))
            rates[name if name not in rates else f"{name}.{index}"] = float(rate)
    return rates


def base_rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Return the rate that a scheduler multiplies, of each group that has one, by the names of `rates`."""
    kept = [
        {"name": group.get("name", n), "lr": group.get("initial_lr")}
        for n, group in enumerate(optimizer.param_groups)
    ]
    return _rates_of(kept)


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """Return the parameters of all groups."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def calling_scaler() -> torch.amp.GradScaler | None:
    """Return the gradient scaler that makes the current step, if there is one."""
    frame = sys._getframe(1)
    for _ in range(FRAMES):
        if frame is None:
            return None
        if isinstance(found := frame.f_locals.get("self"), torch.amp.GradScaler):
            return found
        frame = frame.f_back
    return None


def skipped(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether a step that was made did nothing, its scaled gradient having overflowed."""
    found = getattr(optimizer, "found_inf", None)  # set by the scaler for optimizers that unscale themselves
    return found is not None and bool(found)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | torch.Tensor) else 0.0


def _is_table_of_sines(parameter: nn.Parameter) -> bool:
    """Return whether it is a fixed table of sines and cosines, whose squares add up to half of its width."""
    if parameter.requires_grad or parameter.ndim != 2:
        return False
    squares = parameter.detach().float().square().sum(-1)
    return torch.allclose(squares, torch.full_like(squares, parameter.shape[1] / 2), rtol=1e-3)
