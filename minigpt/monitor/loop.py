"""A training loop as its hooks tell it: backward passes and optimizer steps, each step a record."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from minigpt.monitor.adam import AdamTwin
from minigpt.monitor.arguments import Asked
from minigpt.monitor.first_step import FirstStep
from minigpt.monitor.gradients import Gradients, Leftovers
from minigpt.monitor.hook import Hook
from minigpt.monitor.hooks import ModelHooks
from minigpt.monitor.observers import Observers
from minigpt.monitor.optimizers import Optimizers, calling_scaler, parameters_of, skipped
from minigpt.monitor.places import calling_line, definition_of
from minigpt.monitor.positions import one_place
from minigpt.monitor.records import Records
from minigpt.monitor.rehearsal import Rehearsal
from minigpt.monitor.rest import Rest, quiet
from minigpt.monitor.step_counts import StepCounts
from minigpt.runs.schema import REHEARSAL_STEPS
from minigpt.runs.writer import RunWriter

LOOKED_AT = 2 * REHEARSAL_STEPS  # first steps in which gradients that are left over or missing are looked for
EVERY = 100  # steps after which the optimizer's count is looked at again


class LoopWatch:
    """Follows one loop through hooks on its model, gradients and optimizer, until `remove`."""

    def __init__(
        self,
        model: nn.Module,
        optimizers: Optimizers,
        asked: Asked,
        scaler: torch.amp.GradScaler | None,
        writer: RunWriter,
        run_dir: Path,
        on_error: Callable[[Exception], None],
    ):
        """Set the hooks; `on_error` is given whatever goes wrong in one of them."""
        self.steps = 0  # optimizer steps seen
        self.scaler = scaler
        self._model, self._optimizers, self._writer = model, optimizers, writer
        self._counts = StepCounts()
        self._stepping: torch.optim.Optimizer | None = None  # the optimizer that makes a step just now,
        self._depth = 0  # and its calls of `step` within each other
        self._one_each = False  # whether a token is scored for each that was given
        self._quiet = False  # whether this step is seen only in what must not be missed in any
        self._places = {"model": definition_of(type(model)), "step": None}  # file:line
        self._last = time.perf_counter()
        self._sign = -1 if optimizers.climbs else 1
        self._twin, self._first_step = AdamTwin(), FirstStep()
        self._records = Records(writer, self._first_step, self._sign)
        self._observers = Observers(model, optimizers, asked, on_error)
        self._hooks = ModelHooks(
            model,
            asked.vocab_size,
            self._on_gradient,
            on_error,
            self._observers.note_forward,
            self._observers.ownership.note,
            self._on_logits,
        )
        self._gradients = Gradients(model.parameters(), self._after_backward, on_error)
        self._gradients.watch_each()
        self._rest = Rest(self._hooks, self._gradients)
        self._leftovers = Leftovers(parameters_of(optimizers.main), on_error)
        self._rehearsal = Rehearsal(
            asked,
            run_dir=run_dir,
            writer=writer,
            optimizers=optimizers,
            gradients=self._gradients,
            leftovers=self._leftovers,
            observers=self._observers,
            records=self._records,
            first_step=self._first_step,
            twin=self._twin,
        )
        self._handles = [
            self._hooks,
            self._gradients,
            self._leftovers,
            self._observers.ownership,
            self._observers.scores,
            register_optimizer_step_pre_hook(Hook(self._before_step, on_error)),
            register_optimizer_step_post_hook(Hook(self._after_step, on_error)),
            optimizers.main.register_load_state_dict_post_hook(Hook(optimizers.note_loaded, on_error)),
        ]

    def remove(self) -> None:
        """Take every hook away."""
        for handle in self._handles:
            handle.remove()

    @property
    def sees_loss(self) -> bool:
        """Whether the newest output of the model held its loss."""
        return self._hooks.loss is not None

    def note_loss(self, loss: Tensor | float | None, more: dict[str, float]) -> None:
        """Note the loss of this turn of the loop, and other figures; None takes the model's own loss."""
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
            self._counts.more |= more

    def note_figures(self, figures: dict[str, float]) -> None:
        """Note figures that came after their step was written."""
        self._records.finish()
        self._records.write()
        if "val_loss" in figures:
            self._observers.modes.note_evaluation()
        self._writer.metric({"step": self.steps - 1} | figures)

    def write_all(self, ended: bool) -> None:
        """Write all that was seen so far; `ended` says that the loop came to its own end."""
        self._records.finish()
        self._records.write()
        if self.steps > 1:
            self._observers.ask_again(self.steps - 1, self._hooks, self._first_step)
            for probe in self._observers.at_the_end(self.steps - 1, self._hooks):
                self._writer.probe(probe)
        self._rehearsal.write(self.steps, ended)

    # ------------------------------------------------------------------ gradients

    def _on_logits(self, logits: Tensor) -> None:
        """Logits are on their way to a loss."""
        if self._stepping is None:
            self._observers.dynamics.note_logits(logits, self.steps)

    def _on_gradient(
        self, ids: Tensor | None, logits: Tensor | None, gradient: Tensor, source: nn.Module, turn: int
    ) -> None:
        """A backward pass has come to some logits."""
        if self._records.waiting:
            self._records.finish()
        self._gradients.call_at_the_end()
        self._counts.count_logits(ids, gradient.numel() // gradient.shape[-1], turn, self._one_each)
        self._observers.note_gradient(ids, gradient, self.steps, self._sign)
        if self.steps == 0:
            scale = (self.scaler.get_scale() if self.scaler else 1.0) * self._sign
            self._first_step.read(ids, logits, gradient, source, scale)

    def _after_backward(self, filled: bool, afresh: bool) -> None:
        """A backward pass is over, and nobody has clipped yet."""
        counts, read = self._counts, self._hooks.take_read()
        if self._rest.now:
            if not read:  # it came to no logits
                return
            if self._records.waiting:
                self._records.finish()
            counts.count_scored(self._rest.scored(read))
        else:
            self._rest.compare(read, counts.new_positions)
        if self.steps == 0:
            self._first_step.end_backward(filled, afresh)
        if filled:
            counts.norm = self._gradients.norm()
            # whether a step is clipped is asked of each that is not quiet, which tells the share as well
            counts.before_clip = None if quiet(self.steps) else self._gradients.first_norm()
            if self.scaler:
                counts.unscale(self.scaler.get_scale())
            counts.add_backward(afresh)
            self._observers.note_backward(afresh, counts.norm)
        else:
            counts.turn = 0
        counts.end_backward()

    # ------------------------------------------------------------------ optimizer

    def _before_step(self, optimizer: torch.optim.Optimizer, *_call: Any) -> None:
        if self._stepping is not None:  # an optimizer whose step calls that of the class it inherits from,
            self._depth += optimizer is self._stepping  # or those of others that it is made of
            return
        if not self._optimizers.owns(optimizer):
            return
        self._stepping, self._depth = optimizer, 1
        main = optimizer is self._optimizers.main
        if main and self._quiet and self._finite():
            self._observers.writes.before_step(self.steps)
            return
        self._quiet = False
        if self.steps == 0 and main:
            self._observers.one_place = one_place(self._model, self._hooks.last_call())
        if self.steps == 0:
            self._places["step"] = calling_line()
        self._optimizers.note_before(optimizer, self.steps <= REHEARSAL_STEPS)
        if not main:
            return
        if self.steps == 0 and self.scaler is None and (scaler := calling_scaler()):
            self.scaler = scaler
            self._counts.unscale(scaler.get_scale())
            self._first_step.rescale(scaler.get_scale())
        if self._rest.now and self._counts.norm is None:
            self._rest.end()
        if not self._twin.done:
            self._twin.before(optimizer)
        if self.steps < REHEARSAL_STEPS:
            self._gradients.note_step(self._counts.norm)
        look = self.steps < 3 and self.scaler is None
        norms = (self._counts.norm, self._gradients.norm()) if look else (None, None)
        self._observers.before_step(self.steps, self.scaler, norms)
        counted = (self._counts.norm, self._counts.micros, self._counts.tokens)
        self._observers.dynamics.before_step(self.steps, *counted, self._hooks.call_again)

    def _finite(self) -> bool:
        """Whether there are gradients, and nothing is wrong with them; a GPU is not waited for."""
        norm = self._counts.norm
        return norm is not None and (not norm.is_cpu or math.isfinite(norm))

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
                self._counts = StepCounts()
                self._observers.skip_step()
            return
        if not self._quiet:
            self._optimizers.note_gradients(optimizer, self.steps, LOOKED_AT)
        early = steps <= REHEARSAL_STEPS
        self._optimizers.note_after(optimizer, early, early or steps % EVERY == 0)
        if not main:
            return
        self._records.finish()
        record = self._record()
        if self._quiet:
            self._observers.end_step(self.steps)
        else:
            self._look_closely(optimizer, record)
        self.steps += 1
        self._quiet = quiet(self.steps) and self._counts.micros <= 1 and self._observers.let_rest
        self._counts = StepCounts()
        self._records.end_step(record)
        self._rest.end_step(self.steps, self._one_each)
        if self.steps == REHEARSAL_STEPS:
            self._rehearsal.write(self.steps, ended=False)

    def _look_closely(self, optimizer: torch.optim.Optimizer, record: dict[str, Any]) -> None:
        """Look at everything that the step just made can tell."""
        if not self._twin.done:
            self._twin.after()
        self._observers.after_step(self.steps, self._hooks, self._first_step)
        self._observers.end_step(self.steps)
        self._records.note_probes(self._observers.dynamics.take(self.steps))
        self._records.note_probes(self._observers.instruments(self.steps, self._hooks, self._first_step))
        self._records.note_probes(self._observers.state.after_step(self.steps, optimizer, record))
        if self.steps == 0:
            self._end_first_step()
        if self.steps == REHEARSAL_STEPS:
            self._gradients.closely = False
        if self.steps < LOOKED_AT:
            self._leftovers.end_step()
        elif self.steps == LOOKED_AT:
            self._leftovers.remove()

    def _record(self) -> dict[str, Any]:
        """Return the record of the step that was just made, without its loss."""
        now, counts = time.perf_counter(), self._counts
        rates, other_rates = self._optimizers.rates()
        record = {
            "step": self.steps,
            "grad_norm": counts.norm,
            "micros": max(counts.micros, 1),
            "lr": rates,
            "seconds": round(now - self._last, 6),
            **counts.more,
        }
        if other_rates:
            record["other_lr"] = other_rates
        if counts.before_clip is not None:
            record["clip"] = counts.before_clip, self._gradients.first_norm()
        if counts.tokens:
            record["tokens"] = counts.tokens
        self._last = now
        return record

    def _end_first_step(self) -> None:
        first = self._first_step
        places = {name: place for name, place in self._places.items() if place}
        found = first.evidence(self._hooks)
        if first.source is None and self._observers.scores.seen:
            found["cross_entropy"] = None  # a number for each row: the loss is another one
        self._writer.probe({"step": 0, "kind": "start", "places": places} | found)
        self._rehearsal.note_first_step()
        if first.source is not None:
            self._gradients.remove()  # the gradient of the logits tells of every backward pass
            # as in a language model that scores every token
            self._one_each = self._counts.positions == self._counts.tokens
            self._hooks.settle(first.source, hears_tokens=not self._one_each)
