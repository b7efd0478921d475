"""The monitor: hooks on model, gradients and optimizer, written down as a run directory."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from minigpt.diagnosis import Walk, check
from minigpt.messages import MiniGPTError, message
from minigpt.model.roles import frozen_by_design
from minigpt.monitor.adam import AdamTwin
from minigpt.monitor.arguments import rates_asked, refuse_impossible
from minigpt.monitor.first_step import FirstStep
from minigpt.monitor.gradients import Gradients, Leftovers
from minigpt.monitor.hook import Hook
from minigpt.monitor.hooks import ModelHooks
from minigpt.monitor.observers import Observers
from minigpt.monitor.optimizers import Optimizers, calling_scaler, parameters_of, skipped
from minigpt.monitor.places import calling_line, definition_of
from minigpt.monitor.ranks import OtherRank
from minigpt.monitor.records import Records
from minigpt.monitor.rest import Rest
from minigpt.runs.schema import REHEARSAL_STEPS
from minigpt.runs.writer import RunWriter, describe_run

LOOKED_AT = 2 * REHEARSAL_STEPS  # first steps in which gradients that are left over or missing are looked for
CLIPPED_LOOKED_AT = 100  # first steps of which each is asked whether it was clipped; then
SOMETIMES = 10  # one in so many, which tells the share as well
RESTS_FROM = (
    100  # steps of a loop that does the same in each; from then on it is listened to closely in one of
)
RESUMES = re.compile(
    r"same run|mism[oa] (run|entrenamiento)|resum|reanud|continu|^(step|epoch|iteration|checkpoint)[ -]?\d",
    re.IGNORECASE,
)
EVERY = 100  # steps after which the optimizer's count is looked at again


class Monitor:
    """Watches a training loop through hooks; a context manager. See `minigpt.monitor`."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        vocab_size: int | None = None,
        run_dir: str | Path,
        schedule: Callable[[int], float] | None = None,
        warmup_steps: int = 0,
        frozen: Iterable[str] = (),
        writes: Iterable[str] = (),
        starts_from: str | None = None,
        scaler: torch.amp.GradScaler | None = None,
        multipliers: Mapping[str, float] | None = None,
    ):
        """Prepare to watch; hooks are set on entering the context.

        Among several processes the first one watches, and the others do nothing.

        Args:
            optimizer: that of the model; of several, the one whose steps count.
            vocab_size: tokens in the vocabulary; chance is a loss of ln(vocab_size) nats. The default is that
                of the model's config.
            run_dir: a folder that does not exist yet, or is empty.
            schedule: the learning rate asked for, by optimizer step counted from 0; without it the realised
                one is written down and not judged.
            warmup_steps: length of the warm-up in optimizer steps; judged together with `schedule`.
            frozen: prefixes of the names of parameters that are not meant to learn, or not to the end.
            writes: prefixes of the names of parameters that the loop writes itself, beside the optimizer.
            starts_from: where the weights come from, if the model is not a fresh one.
            scaler: the gradient scaler of an fp16 loop, whose factor is taken out of what is measured; the
                default is the one that makes the first step.
            multipliers: by name or number of a parameter group, what it learns at ÷ `schedule`, where not 1.

        Raises:
            MiniGPTError: the optimizer holds no parameter of the model, or an argument cannot be.
        """
        parallel = (nn.parallel.DistributedDataParallel, nn.DataParallel)
        self.model = model.module if isinstance(model, parallel) else model
        if type(optimizer).__name__ == "AcceleratedOptimizer":  # what it wraps is what steps
            scaler, optimizer = scaler or optimizer.scaler, optimizer.optimizer
        if vocab_size is None:
            vocab_size = getattr(getattr(self.model, "config", None), "vocab_size", None)
        self.scaler = scaler
        self.vocab_size, self.run_dir = vocab_size, Path(run_dir)
        self.writer: RunWriter | None = None  # until the context is entered
        self.steps = 0  # optimizer steps seen
        self._schedule, self._warmup_steps = schedule, warmup_steps
        self._frozen, self._writes = _prefixes(frozen), _prefixes(writes)
        self._starts_from = starts_from
        self._multipliers = dict(multipliers or {})
        self._optimizers = Optimizers(optimizer, self.model, self._multipliers)
        refuse_impossible(
            self._optimizers.names,
            self._optimizers.rates()[0],
            vocab_size=vocab_size,
            schedule=schedule,
            frozen=self._frozen,
            writes=self._writes,
            multipliers=self._multipliers,
        )
        self._frozen += tuple(frozen_by_design(self.model))
        self._sign = -1 if self._optimizers.climbs else 1
        self._twin = AdamTwin()
        self._reset_step()
        self._stepping: torch.optim.Optimizer | None = None  # the optimizer that makes a step just now,
        self._depth = 0  # and its calls of `step` within each other
        self._first_step = FirstStep()
        self._accumulated: dict[str, float | None] = {"equal": None, "unequal": None}
        self._accumulation = 1
        self._one_each = False  # whether a token is scored for each that was given
        self._written: dict[str, Any] = {}
        self._places = {"model": definition_of(type(self.model)), "step": None}  # file:line
        self._observed: dict[str, Any] = {}
        self._ended = False  # whether the loop came to its own end
        self._last = time.perf_counter()
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self._off = distributed and torch.distributed.get_rank() > 0
        self._other_rank: OtherRank | None = None
        self._handles: list = []

    def __enter__(self) -> Monitor:
        if self._off:
            self._guarded(self._watch_from_another_rank)
            return self
        self.writer = RunWriter(self.run_dir)
        self._guarded(self._set_hooks)
        return self

    def _set_hooks(self) -> None:
        self._records = Records(self.writer, self._first_step, self._sign)
        self._observers = Observers(
            self.model, self._optimizers, self.vocab_size, self._give_up, self._writes
        )
        self._hooks = ModelHooks(
            self.model,
            self.vocab_size,
            self._on_gradient,
            self._give_up,
            self._observers.note_forward,
            self._observers.ownership.note,
        )
        learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self._gradients = Gradients(self.model.parameters(), self._after_backward, self._give_up)
        self._gradients.watch_each()
        self._rest = Rest(self._hooks, self._gradients)
        self._leftovers = Leftovers(parameters_of(self._optimizers.main), self._give_up)
        self._handles = [
            self._hooks,
            self._gradients,
            self._leftovers,
            self._observers.ownership,
            register_optimizer_step_pre_hook(Hook(self._before_step, self._give_up)),
            register_optimizer_step_post_hook(Hook(self._after_step, self._give_up)),
            self._optimizers.main.register_load_state_dict_post_hook(
                Hook(self._optimizers.note_loaded, self._give_up)
            ),
        ]
        asked = {
            "vocab_size": self.vocab_size,
            "warmup_steps": self._warmup_steps if self._schedule else 0,
            "freeze": list(self._frozen),
            "multipliers": self._multipliers,
        }
        count = sum(parameter.numel() for parameter in learning)
        self.writer.manifest(describe_run(None, asked=asked, parameters=count, starts_from=self._starts_from))

    def _watch_from_another_rank(self) -> None:
        rank = torch.distributed.get_rank()
        self._other_rank = OtherRank(self.model, self._optimizers.main, self.run_dir, rank)

    def __exit__(self, error: type[BaseException] | None = None, *_more: object) -> None:
        self._ended = error is None
        if self._other_rank:
            self._guarded(self._other_rank.write)
            self._other_rank.remove()
        if not self._off:
            self._guarded(self._write_all)
        if not self._off:
            self._stop()

    def _write_all(self) -> None:
        self._records.finish()
        self._records.write()
        if self.steps > 1 and not self._off:
            self._observers.ask_again(self.steps - 1, self._hooks, self._first_step)
            for probe in self._observers.state.ask(self.steps - 1, self._hooks):
                self.writer.probe(probe)
        self._write_rehearsal()

    def _stop(self) -> None:
        """Take every hook away and close the run directory."""
        self._off = True
        for handle in self._handles:
            handle.remove()
        self.writer.close()

    def _give_up(self, error: Exception) -> None:
        """Stop watching, and say so once: whatever goes wrong here, the run goes on."""
        if not self._off:
            self._stop()
            warnings.warn(message("monitor.gave-up", error=f"{type(error).__name__}: {error}"), stacklevel=2)

    def _require_entered(self) -> None:
        if self.writer is None:
            raise MiniGPTError("monitor.not-entered")

    def _guarded(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception as error:
            self._give_up(error)

    def step(self, loss: Tensor | float | None = None, **more: float) -> None:
        """Note the loss of this turn of the loop, once a micro-batch or once an optimizer step.

        Args:
            loss: a scalar; None takes it from the model's output, where that has one.
            more: other figures of this step, such as `val_loss`.

        Raises:
            MiniGPTError: the context was not entered.
        """
        if not self._off:
            self._require_entered()
            self._guarded(self._note_loss, loss, more)

    def _note_loss(self, loss: Tensor | float | None, more: dict[str, float]) -> None:
        self._stepping = None  # also after a step or a backward pass that was broken off by an error
        self._gradients.forget()
        loss = self._hooks.loss if loss is None else loss
        if loss is not None:
            self._records.note_loss(loss)
        if "val_loss" in more:
            self._observers.modes.note_evaluation()
        if self._records.waiting:
            self._records.note(more)
        else:
            self._more |= more

    def note(self, **figures: float) -> None:
        """Note figures that came after their step was written, such as `val_loss`: they join that step."""
        if not self._off and self.steps:
            self._guarded(self._note_figures, figures)

    def _note_figures(self, figures: dict[str, float]) -> None:
        self._records.finish()
        self._records.write()
        if "val_loss" in figures:
            self._observers.modes.note_evaluation()
        self.writer.metric({"step": self.steps - 1} | figures)

    def check(self, whole: bool = False) -> Walk:
        """Walk the stability check over what was seen so far.

        What cannot be judged, as before the first step and in every process but the first, is an empty walk,
        “unknown”, and a warning says why.

        Raises:
            MiniGPTError: the context was not entered.
        """
        if not self._off:
            self._require_entered()
            self._guarded(self._write_all)
        try:
            return check(self.run_dir, whole)
        except MiniGPTError as error:  # a judge's mistake among them: no fault of the loop
            if self._other_rank is None:
                warnings.warn(str(error), stacklevel=2)
            return Walk(())

    def _reset_step(self) -> None:
        self._micros = self._tokens = self._new_tokens = self._positions = self._new_positions = 0
        self._norm, self._before_clip = None, None
        self._turn, self._logits_seen = 0, False
        self._more: dict[str, float] = {}

    # ------------------------------------------------------------------ gradients

    def _on_gradient(
        self, ids: Tensor | None, logits: Tensor | None, gradient: Tensor, source: nn.Module, turn: int
    ) -> None:
        """A backward pass has come to some logits."""
        if self._records.waiting:
            self._records.finish()
        self._gradients.call_at_the_end()
        positions = gradient.numel() // gradient.shape[-1]
        self._new_positions += positions
        if self._one_each:
            self._new_tokens += positions
        elif ids is not None and turn != self._turn:  # logits may come in pieces, and be scored twice
            self._new_tokens += ids.numel()
            self._turn = turn
        self._logits_seen = True
        self._observers.note_gradient(ids, gradient, self.steps, self._sign)
        if self.steps == 0:
            scale = (self.scaler.get_scale() if self.scaler else 1.0) * self._sign
            self._first_step.read(ids, logits, gradient, source, scale)

    def _after_backward(self, filled: bool, afresh: bool) -> None:
        """A backward pass is over, and nobody has clipped yet."""
        read = self._hooks.take_read()
        if self._rest.now:
            if not read:  # it came to no logits
                return
            if self._records.waiting:
                self._records.finish()
            self._new_tokens = self._new_positions = self._rest.scored(read)
            self._logits_seen = True
        else:
            self._rest.compare(read, self._new_positions)
        if self.steps == 0:
            self._first_step.end_backward(filled, afresh)
        if filled:
            asked = self.steps < CLIPPED_LOOKED_AT or self.steps % SOMETIMES == 0
            self._norm = self._gradients.norm()
            self._before_clip = self._gradients.first_norm() if asked else None
            if self.scaler:
                self._unscale(self.scaler.get_scale())
            if afresh:
                self._micros = self._tokens = self._positions = 0
            self._micros += self._logits_seen
            self._observers.note_backward(afresh)
            self._observers.dynamics.note_backward(self._norm, afresh)
            self._tokens += self._new_tokens
            self._positions += self._new_positions
        else:
            self._turn = 0
        self._new_tokens = self._new_positions = 0
        self._logits_seen = False

    def _unscale(self, scale: float) -> None:
        if self._norm is not None:
            self._norm = self._norm / scale
        if self._before_clip is not None:
            self._before_clip = self._before_clip / scale

    # ------------------------------------------------------------------ optimizer

    def _before_step(self, optimizer: torch.optim.Optimizer, *_call: Any) -> None:
        if self._stepping is not None:  # an optimizer whose step calls that of the class it inherits from,
            self._depth += optimizer is self._stepping  # or those of others that it is made of
            return
        if not self._optimizers.owns(optimizer):
            return
        self._stepping, self._depth = optimizer, 1
        if self.steps == 0:
            self._places["step"] = calling_line()
        self._optimizers.note_before(optimizer, self.steps <= REHEARSAL_STEPS)
        if optimizer is not self._optimizers.main:
            return
        if self.steps == 0 and self.scaler is None and (scaler := calling_scaler()):
            self.scaler = scaler
            self._unscale(scaler.get_scale())
            self._first_step.rescale(scaler.get_scale())
        if self._rest.now and self._norm is None:
            self._rest.end()
        if not self._twin.done:
            self._twin.before(optimizer)
        if self.steps < REHEARSAL_STEPS:
            self._gradients.note_step(self._norm)
        look = self.steps < 3 and self.scaler is None
        norms = (self._norm, self._gradients.norm()) if look else (None, None)
        self._observers.before_step(self.steps, self.scaler, norms)
        counted = (self._norm, self._micros, self._tokens)
        self._observers.dynamics.before_step(self.steps, *counted, self._hooks.call_again)
        self._hooks.note_logits = None

    def _after_step(self, optimizer: torch.optim.Optimizer, *_call: Any) -> None:
        if optimizer is not self._stepping:
            return
        self._depth -= 1
        if self._depth > 0:
            return
        self._stepping = None
        main, steps = optimizer is self._optimizers.main, self.steps + 1
        if skipped(optimizer):
            if main:
                self._reset_step()
                self._observers.skip_step()
            return
        self._optimizers.note_gradients(optimizer, self.steps, LOOKED_AT)
        early = steps <= REHEARSAL_STEPS
        self._optimizers.note_after(optimizer, early, early or steps % EVERY == 0)
        if not main:
            return
        self._records.finish()
        if not self._twin.done:
            self._twin.after()
        now = time.perf_counter()
        rates, other_rates = self._optimizers.rates()
        record = {
            "step": self.steps,
            "grad_norm": self._norm,
            "micros": max(self._micros, 1),
            "lr": rates,
            "seconds": round(now - self._last, 6),
            **self._more,
        }
        if other_rates:
            record["other_lr"] = other_rates
        if self._before_clip is not None:
            record["clip"] = self._before_clip, self._gradients.first_norm()
        if self._tokens:
            record["tokens"] = self._tokens
        self._last = now
        self._observers.after_step(self.steps, self._hooks, self._first_step)
        self._take_instruments()
        for probe in self._observers.state.after_step(self.steps, optimizer, record):
            self.writer.probe(probe)
        if self.steps == 0:
            self._end_first_step()
        if self.steps == REHEARSAL_STEPS:
            self._gradients.closely = False
        if self.steps < LOOKED_AT:
            self._leftovers.end_step()
        elif self.steps == LOOKED_AT:
            self._leftovers.remove()
        self.steps += 1
        self._reset_step()
        self._records.end_step(record)
        self._rest.end_step(self.steps, self._one_each)
        if self.steps == REHEARSAL_STEPS:
            self._write_rehearsal()

    def _take_instruments(self) -> None:
        watch = self._observers.dynamics
        for probe in watch.take(self.steps):
            self.writer.probe(probe)
        self._hooks.note_logits = watch.note_logits if watch.wants_logits(self.steps + 1) else None

    def _end_first_step(self) -> None:
        first = self._first_step
        places = {name: place for name, place in self._places.items() if place}
        self.writer.probe({"step": 0, "kind": "start", "places": places} | first.evidence(self._hooks))
        self._accumulated, self._accumulation = first.accumulation_ratio, max(len(first.micros), 1)
        if first.source is not None:
            self._gradients.remove()  # the gradient of the logits tells of every backward pass
            self._one_each = self._positions == self._tokens  # as in a language model that scores every token
            self._hooks.settle(first.source, hears_tokens=not self._one_each)

    # ------------------------------------------------------------------ writing

    def _write_rehearsal(self) -> None:
        """Write what was learnt of the loop's parts, unless nothing is new."""
        if self.steps == 0 and not self._observers.passes.total:
            return  # backward passes without any step are a finding by themselves
        at = {"step": max(self.steps - 1, 0)}
        observed = self._observers.evidence(self.steps, self.run_dir)
        if self._ended:
            observed["ended"] = True
        if observed != self._observed:
            self._observed = observed
            self.writer.probe(at | {"kind": "observed"} | observed)
        if self.steps == 0:
            return
        frozen = self._optimizers.frozen(self.steps >= REHEARSAL_STEPS, self._gradients.emptied)
        record: dict[str, Any] = {
            "accumulation_ratio": self._accumulated,
            "decaying": self._optimizers.decaying(),
            "decay_split": self._optimizers.splits_decay,
            "frozen": frozen,
            "idle": self._observers.ownership.idle(frozen),
            "resumes": bool(RESUMES.search(self._starts_from or "")),
            "resumed_moments": self._optimizers.began_with_moments,
            "counter_stands": self._optimizers.counter_stands,
            "weight_decay": self._optimizers.weight_decay,
            "accumulation": self._accumulation,
        }
        if (carried := self._leftovers.largest()) is not None:
            record["carried_gradient"] = carried
        if (counted := self._optimizers.counted) is not None:
            record["steps_counted"] = counted
        if self._twin.betas and any(self._twin.ratios):
            record |= {"first_updates": self._twin.ratios, "betas": self._twin.betas}
        downhill = self._twin.downhill
        if self._first_step.negated and not self._starts_from:  # to unlearn, people negate on purpose
            downhill = 1 - (1.0 if downhill is None else downhill)
        if downhill is not None:
            record["downhill"] = downhill
        if (clip_norm := self._records.clip_norm) is not None:
            record["clip_norm"] = clip_norm
        if self._schedule:
            # as far as this run would come if it counted micro-batches
            record["schedule"] = rates_asked(self._schedule, self.steps * max(self._accumulation, 16) + 1)
        if record != self._written:
            self._written = record
            self.writer.probe({"step": self.steps - 1, "kind": "rehearsal"} | record)


def _prefixes(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
