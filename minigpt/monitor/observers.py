"""Everything about a loop that is observed beside its figures, and what it adds to the evidence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minigpt.monitor import conformance, ranks, rest
from minigpt.monitor.adversary import Adversary
from minigpt.monitor.arguments import Asked
from minigpt.monitor.decay import DecayWatch
from minigpt.monitor.dynamics import DynamicsWatch
from minigpt.monitor.first_step import FirstStep
from minigpt.monitor.hooks import ModelHooks
from minigpt.monitor.modes import Modes
from minigpt.monitor.never_learnt import FEWEST as SURE
from minigpt.monitor.never_learnt import never_learnt
from minigpt.monitor.optimizers import Optimizers, base_rates, parameters_of
from minigpt.monitor.ownership import Ownership
from minigpt.monitor.passes import Passes
from minigpt.monitor.rounding import Rounding
from minigpt.monitor.scales import scales_of
from minigpt.monitor.scores import Scores
from minigpt.monitor.shared_layers import shared_layers
from minigpt.monitor.sharpness import SharpnessSeen
from minigpt.monitor.state import StateWatch
from minigpt.monitor.step_order import StepOrder
from minigpt.monitor.surroundings import Scheduling, scaler_at_hand
from minigpt.monitor.tokens_seen import TokensSeen
from minigpt.monitor.units_seen import UnitsSeen
from minigpt.monitor.writes import Writes
from minigpt.training.instruments.target_kinds import TargetKinds

FIRST = 8  # steps of which each is looked at closely; then some (`rest.look`)
ASKED = 2  # times that it is asked what logits teach
FIRST_LOOK = 10  # step at which what changes slowly is measured first


class Observers:
    """The observers of one loop; each looks at one thing."""

    def __init__(
        self,
        model: nn.Module,
        optimizers: Optimizers,
        asked: Asked,
        on_error: Callable[[Exception], None],
    ):
        self._model, self._optimizers, self._frozen = model, optimizers, asked.frozen
        vocab_size, writes = asked.vocab_size, asked.writes
        config = getattr(model, "config", None)
        special = {
            kind: value
            for kind in ("pad", "end")
            if isinstance(
                value := getattr(config, {"pad": "pad", "end": "eos"}[kind] + "_token_id", None), int
            )
        }
        self.kinds = TargetKinds(special, _padding_index(model, vocab_size))
        self.tokens, self.adversary = TokensSeen(vocab_size), Adversary(model)
        self.modes, self.passes, self.scheduling = Modes(model), Passes(), Scheduling()
        self.rounding = Rounding(parameters_of(optimizers.main), optimizers.main)
        self.ownership = Ownership(model, on_error)
        self.dynamics = DynamicsWatch(model, optimizers.main, vocab_size)
        self._never_learnt: dict[str, list[str]] = {}
        self.units, self.sharpness = UnitsSeen(model, vocab_size), SharpnessSeen(model, asked.sharpness_every)
        self.state = StateWatch(model, optimizers.main, writes)
        self.order = StepOrder()
        self.scores = Scores(model, on_error)
        self.writes = Writes(model, optimizers, writes)
        self._checksums = ranks.Checksums(model) if _several_processes() else None
        self._start_sums = _fingerprint(model)
        self.scales, self.shared = scales_of(model), shared_layers(model)
        self._scaler: dict[str, Any] | None = None
        self.one_place: str | None = None  # what tells all tokens the same place
        self._loss_scale: float | None = None  # of the scaler that makes the steps
        self._later: dict[str, Any] = {}
        self._cut_off: list[dict[str, Any]] = []
        self._updates: list[float] = []
        self._old: list[Tensor] = []
        self._sampled = [p for p in parameters_of(optimizers.main) if p.ndim >= 2][:64:8]
        self.decay = DecayWatch(model, optimizers.main)
        self._batch: int | None = None
        self.accumulated = 0
        self._ids: Tensor | None = None

    # ------------------------------------------------------------------ while it runs

    def note_forward(self, ids: Tensor | None, learning: bool) -> None:
        """A forward pass begins."""
        self.modes.note(learning)
        if learning:
            self.order.note_forward()
        else:
            self.state.forget()
        if learning and ids is not None:
            told = self.tokens.note(ids)
            self.adversary.note(told)
            self._ids = ids
            # a GPU is waited for in the first steps only
            self._batch = int(told) if told is not None and self.passes.looking else None

    def note_gradient(self, ids: Tensor | None, gradient: Tensor, step: int, sign: float) -> None:
        """A gradient came to some logits."""
        # in step 0 it is not known yet which of the layers as wide as the vocabulary makes the logits
        near = 0 < step < FIRST or rest.look(step)
        kinds, sharpness = near and not self.kinds.full, self.sharpness.due(step)
        if ids is None or not (kinds or sharpness) or (shaped := _as_tokens(gradient, ids)) is None:
            return
        if kinds:
            self.kinds.note(ids, shaped, sign)
        if sharpness:
            self.sharpness.note(ids, shaped, sign)

    def note_backward(self, afresh: bool, norm: Tensor | None) -> None:
        """A backward pass has left gradients of this norm."""
        self.dynamics.note_backward(norm, afresh)
        self.passes.note(self._batch, afresh, self._optimizers.main)
        self.accumulated = 1 if afresh else self.accumulated + 1

    def before_step(self, step: int, scaler: Any, norms: tuple[Tensor | None, Tensor | None]) -> None:
        """The main optimizer is about to step; `norms` are those after the backward pass and now."""
        self.writes.before_step(step)
        if self.writes.stepped_back:
            self.state.forget()
        self.state.before_step()
        if self.rounding.applies and (step < FIRST or rest.look(step)):
            self.rounding.before()
        if step < 3 and scaler is None and self._scaler is None and (found := scaler_at_hand()):
            after, now = (None if norm is None else float(norm) for norm in norms)
            self._scaler = {"scale": float(found.get_scale()), "through": False, "after": after, "now": now}
        if scaler is not None and self._loss_scale is None:
            self._loss_scale = float(scaler.get_scale())
        self._look = step == FIRST_LOOK or rest.look(step)
        if self._look or step == 0:
            self.decay.note(self._optimizers.main, step)
        if self._look:
            self._old = [p.detach().clone() for p in self._sampled]

    def after_step(self, step: int, hooks: ModelHooks, first: FirstStep) -> None:
        """The main optimizer has made step `step`."""
        if self.rounding.applies and (step < FIRST or rest.look(step)):
            self.rounding.after()
        if self._look:
            self._updates.append(_relative(self._sampled, self._old))
            self._old = []
        self.order.after_step(self._optimizers.main)
        self.passes.end_step()
        self.scheduling.note(self._optimizers.main, step)
        if self._checksums:
            self._checksums.note(step + 1)
        if step == 0:
            self.ownership.settle()
        if conformance.due(step):
            self.ask_again(step, hooks, first)

    @property
    def let_rest(self) -> bool:
        """Whether nothing is under way for which the next step has to be looked at closely."""
        return self._checksums is None and not self.state.waits

    def end_step(self, step: int) -> None:
        """Close step `step`, quiet or not: what must not be missed in any."""
        self.writes.after_step()
        self.modes.end_step()
        if self.tokens.end_step(step, self._ids, self.accumulated):
            self.adversary.note_again()
        self.adversary.end_step()
        self.accumulated = 0

    def skip_step(self) -> None:
        """A step was made in vain."""
        self.writes.after_step()
        self.tokens.forget_step()

    def ask_again(self, step: int, hooks: ModelHooks, first: FirstStep) -> None:
        """Ask the model as it is now what it was asked at its start."""
        mask = first.micros[-1].mask if first.predicts and first.complete else None
        if mask is not None and not (mask == mask[:1]).all():
            mask = None  # what is scored differs by row, so that of the newest batch is not known
        with torch.enable_grad():
            found = hooks.later(mask, first.by_rows)
            if len(self._cut_off) < ASKED:
                self._cut_off.append(hooks.cut_off())
        for name, value in found.items():
            if value > self._later.get(name, -1.0):
                self._later |= {name: value, f"{name}_step": step}

    def instruments(self, step: int, hooks: ModelHooks, first: FirstStep) -> list[dict[str, Any]]:
        """Return the probes for which the model is called once more after step `step`, where they are due."""
        found = self.sharpness.ask(step, hooks) if first.complete else []
        return found + (self.units.ask(step, hooks) if conformance.due(step) else [])

    def at_the_end(self, step: int, hooks: ModelHooks) -> list[dict[str, Any]]:
        """Return the probes that a run as long as this one is asked for, `step` being its newest."""
        found = self.state.ask(step, hooks) + self.units.ask(step, hooks)
        if step + 1 < SURE:
            return found
        idle = self.ownership.idle(self._optimizers.frozen(sure=True))
        names = never_learnt(self._model, self._optimizers, idle, self._frozen)
        if names == self._never_learnt:
            return found
        self._never_learnt = names
        return [*found, {"step": step, "kind": "never-learnt"} | names]

    # ------------------------------------------------------------------ what it adds up to

    def evidence(self, steps: int, run_dir: Path) -> dict[str, Any]:
        """Return what was observed so far."""
        found: dict[str, Any] = {
            "kinds": self.kinds.evidence(),
            "batches": self.tokens.evidence(self.kinds.is_stream),
            "adversary": self.adversary.moved or None,
            "token_entropy": self.tokens.entropy(),
            "modes": self.modes.evidence(),
            "rounding": self.rounding.evidence() if self.rounding.applies else None,
            "ranks": ranks.compare(self._checksums, run_dir, self.tokens.first(ranks.COMPARED))
            if self._checksums
            else None,
            "passes": self.passes.evidence(steps),
            "scheduler": self.scheduling.evidence(),
            "base_rates": base_rates(self._optimizers.main) or None,
            "bypassed_scaler": self._scaler,
            "loss_scale": self._loss_scale,
            "later": self._later or None,
            "cut_off": _reached_most(self._cut_off),
            "relative_update": sorted(self._updates)[len(self._updates) // 2] if self._updates else None,
            "scales": self.scales,
            "one_place": self.one_place,
            "shared": self.shared,
            "order": self.order.evidence(),
            "scores": self.scores.evidence(),
            "vocabulary": self.tokens.spread(),
            "decay": self.decay.evidence(),
            "writes": self.writes.evidence(),
        }
        if steps:
            held = [p for optimizer in _every_optimizer(self._optimizers) for p in parameters_of(optimizer)]
            found["outside"] = self.ownership.outside(held)
        else:
            found["moved"] = _fingerprint(self._model) != self._start_sums
        return {name: value for name, value in found.items() if value is not None}


def _reached_most(asked: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return what logits did not teach whenever it was asked, and the gradient that was least the slope."""
    known = [answer for answer in asked if answer]
    if not known:
        return None
    found = min(known, key=lambda answer: answer["rounded"])
    routed = [answer for answer in known if "router" in answer]
    best = max(routed, key=lambda answer: answer["reached"], default={})
    sloping = [answer for answer in known if "slope" in answer]
    worst = max(sloping, key=lambda answer: abs(answer["slope"] - 1), default={})
    found |= {name: best[name] for name in ("router", "reached") if best}
    return found | {
        name: worst[name] for name in ("slope", "at", "by_hand", "only_in_training") if name in worst
    }


def _padding_index(model: nn.Module, vocab_size: int) -> int | None:
    """Return the token whose row the table of tokens never learns, if there is one."""
    tables = [m for m in model.modules() if isinstance(m, nn.Embedding) and m.num_embeddings >= vocab_size]
    return tables[0].padding_idx if tables else None


def _every_optimizer(optimizers: Optimizers) -> list[torch.optim.Optimizer]:
    return [*optimizers.all, *optimizers.foreign]


def _several_processes() -> bool:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return distributed and torch.distributed.get_world_size() > 1


@torch.no_grad()
def _fingerprint(model: nn.Module) -> list[float]:
    """Return a few numbers that change when the weights do."""
    parts = [p for p in model.parameters() if p.requires_grad and p.device.type != "meta"][:8]
    return [float(p.detach().reshape(-1)[:4096].double().sum()) for p in parts]


def _as_tokens(gradient: Tensor, ids: Tensor) -> Tensor | None:
    """Return the gradient of the logits as (B, T, V), without a prefix that is no token."""
    V = gradient.shape[-1]
    if gradient.numel() == ids.numel() * V:
        return gradient.reshape(*ids.shape, V)
    longer = gradient.ndim == 3 and len(gradient) == len(ids) and gradient.shape[1] > ids.shape[1]
    return gradient[:, gradient.shape[1] - ids.shape[1] :] if longer else None


def _relative(now: list[Tensor], old: list[Tensor]) -> float:
    """Return the size of an update ÷ that of the weights, the median over some matrices."""
    ratios = [
        float(torch.linalg.vector_norm(new.detach() - before) / torch.linalg.vector_norm(before))
        for new, before in zip(now, old, strict=True)
        if before.any()
    ]
    return sorted(ratios)[len(ratios) // 2] if ratios else 0.0
