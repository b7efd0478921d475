"""The monitor: hooks on model, gradients and optimizer, written down as a run directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from minigpt.messages import MiniGPTError
from minigpt.monitor.adam import AdamTwin
from minigpt.monitor.gradients import Gradients, total_norm
from minigpt.monitor.hooks import ModelHooks
from minigpt.monitor.targets import Scored, accumulation_ratio, read_gradient, start_evidence
from minigpt.run_writer import RunWriter, describe_run
from minigpt.stability import Walk, check
from minigpt.stability.optimizer import STEPS

LOOKED_AT = 2 * STEPS  # first steps whose start is looked at for left-over gradients; then
EVERY = 100  # every so many steps
CLIPPED = 0.999  # a norm after clipping ÷ before, below which the step counts as clipped
WAIT = 0.1  # seconds that finished steps may wait to be written together, and for a GPU to know their figures
MOST_ASKED = 20_000  # steps of a schedule that are written down


class Monitor:
    """Watches a training loop through hooks; a context manager. See `minigpt.monitor`."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        vocab_size: int,
        run_dir: str | Path,
        schedule: Callable[[int], float] | None = None,
        warmup_steps: int = 0,
        frozen: Iterable[str] = (),
        starts_from: str | None = None,
        scaler: torch.amp.GradScaler | None = None,
    ):
        """Prepare to watch; hooks are set on entering the context.

        Args:
            vocab_size: tokens in the vocabulary; chance is a loss of ln(vocab_size) nats.
            run_dir: a folder that does not exist yet, or is empty.
            schedule: the learning rate asked for, by optimizer step counted from 0; without it the realised
                one is written down and not judged.
            warmup_steps: length of the warm-up in optimizer steps; judged together with `schedule`.
            frozen: prefixes of the names of parameters that are not meant to learn.
            starts_from: where the weights come from, if the model is not a fresh one.
            scaler: the gradient scaler of an fp16 loop, whose factor is taken out of what is measured.

        Raises:
            MiniGPTError: the optimizer holds no parameter of the model.
        """
        self.model = getattr(model, "module", model)  # behind DistributedDataParallel
        self.optimizer, self.scaler = optimizer, scaler
        self.vocab_size, self.run_dir = vocab_size, Path(run_dir)
        self.steps = 0  # optimizer steps seen
        self._schedule, self._warmup_steps = schedule, warmup_steps
        self._frozen, self._starts_from = tuple(frozen), starts_from
        self._names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        if not any(id(parameter) in self._names for parameter in _parameters(optimizer)):
            raise MiniGPTError("monitor.other-optimizer")
        self._own = {id(optimizer): optimizer}  # kept, so that no other takes its id
        self._first_count = _count(optimizer)
        self._twin = AdamTwin()
        self._reset_step()
        self._depth = 0  # of calls of the optimizer's step within each other
        self._pending: dict[str, Any] | None = None  # a step that waits for its loss
        self._losses: list[Tensor | float] = []
        self._finished: list[tuple[dict[str, Any], list[Tensor | float]]] = []  # steps with their losses
        self._written_at = 0.0
        self._first_step: list[Scored | None] = []
        self._accumulated: dict[str, float | None] = {"equal": None, "unequal": None}
        self._accumulation, self._shares_add_up = 1, False
        self._carried: list[Tensor] = []
        self._counted: tuple[float, int] | None = None
        self._clip_norms: list[float] = []
        self._without_gradient: set[str] | None = None
        self._written: dict[str, Any] = {}
        self._last = time.perf_counter()

    def __enter__(self) -> Monitor:
        self.writer = RunWriter(self.run_dir)
        self._hooks = ModelHooks(self.model, self.vocab_size, self._on_gradient)
        learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self._gradients = Gradients(self.model.parameters(), self._after_backward)
        self._gradients.watch_each()
        self._handles = [
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ]
        asked = {
            "vocab_size": self.vocab_size,
            "warmup_steps": self._warmup_steps if self._schedule else 0,
            "freeze": list(self._frozen),
        }
        count = sum(parameter.numel() for parameter in learning)
        self.writer.manifest(describe_run(None, asked=asked, parameters=count, starts_from=self._starts_from))
        return self

    def __exit__(self, *_error: object) -> None:
        self._finish()
        self._write()
        self._write_rehearsal()
        for handle in self._handles:
            handle.remove()
        self._gradients.remove()
        self._hooks.remove()
        self.writer.close()

    def step(self, loss: Tensor | float | None = None, **more: float) -> None:
        """Note the loss of this turn of the loop, once a micro-batch or once an optimizer step.

        Args:
            loss: a scalar; None takes it from the model's output, where that has one.
            more: other figures of this step, such as `val_loss`.
        """
        self._depth = 0  # also after a step that was broken off by an error
        loss = self._hooks.loss if loss is None else loss
        if loss is not None:
            self._losses.append(loss.detach().clone() if isinstance(loss, Tensor) else float(loss))
        if self._pending is not None:
            self._pending |= more
            self._finish()
        else:
            self._more |= more

    def note(self, **figures: float) -> None:
        """Note figures that came after their step was written, such as `val_loss`: they join that step."""
        if self.steps:
            self._finish()
            self._write()
            self.writer.metric({"step": self.steps - 1} | figures)

    def check(self, whole: bool = False) -> Walk:
        """Walk the stability check over what was seen so far.

        Raises:
            RunError: no optimizer step was seen yet.
        """
        self._finish()
        self._write()
        self._write_rehearsal()
        return check(self.run_dir, whole)

    def _reset_step(self) -> None:
        self._micros, self._tokens, self._norm, self._before_clip = 0, 0, None, None
        self._more: dict[str, float] = {}

    # ------------------------------------------------------------------ gradients

    def _on_gradient(self, ids: Tensor | None, logits: Tensor, gradient: Tensor) -> None:
        """A backward pass begins: the gradient has reached the logits, and no parameter yet."""
        if self._pending is not None:
            self._finish()
        if self._micros == 0 and self.steps and (self.steps < LOOKED_AT or self.steps % EVERY == 0):
            left = [p.grad for p in _parameters(self.optimizer) if p.grad is not None]
            self._carried.append(total_norm(left))
        self._gradients.call_at_the_end()
        self._micros += 1
        self._tokens += ids.numel() if ids is not None else 0
        if self.steps == 0:
            scale = self.scaler.get_scale() if self.scaler else 1.0
            self._first_step.append(None if ids is None else read_gradient(ids, logits, gradient, scale))

    def _after_backward(self) -> None:
        """A backward pass is over, and nobody has clipped yet."""
        self._norm, self._before_clip = self._gradients.norms()
        if self.scaler and self._before_clip is not None:
            scale = self.scaler.get_scale()
            self._norm, self._before_clip = self._norm / scale, self._before_clip / scale

    # ------------------------------------------------------------------ optimizer

    def _before_step(self, optimizer: torch.optim.Optimizer, *_call: Any) -> None:
        if not self._is_own(optimizer):
            return
        self._depth += 1
        if self._depth > 1:  # an optimizer whose step calls that of the class it inherits from
            return
        self.optimizer = optimizer  # a rebuilt one takes the place of the first
        if not self._twin.done:
            self._twin.before(optimizer)

    def _is_own(self, optimizer: torch.optim.Optimizer) -> bool:
        if id(optimizer) not in self._own:
            if not any(id(parameter) in self._names for parameter in _parameters(optimizer)):
                return False
            self._own = {id(optimizer): optimizer}
        return True

    def _after_step(self, optimizer: torch.optim.Optimizer, *_call: Any) -> None:
        if not self._is_own(optimizer):
            return
        self._depth -= 1
        if self._depth > 0:
            return
        self._finish()
        if not self._twin.done:
            self._twin.after()
        now = time.perf_counter()
        self._pending = {
            "step": self.steps,
            "grad_norm": self._norm,
            "before_clip": self._before_clip,
            "after_clip": self._gradients.first_norm(),
            "micros": max(self._micros, 1),
            "tokens": self._tokens,
            "lr": {
                str(group.get("name", index)): float(group["lr"])
                for index, group in enumerate(optimizer.param_groups)
            },
            "seconds": round(now - self._last, 6),
            **self._more,
        }
        self._last = now
        if self.steps < LOOKED_AT:
            self._note_missing_gradients(optimizer)
        if self.steps == 0:
            self._end_first_step()
        self.steps += 1
        if self.steps <= STEPS or self.steps % EVERY == 0:
            counted = _count(optimizer)
            self._counted = None if counted is None else (counted - (self._first_count or 0), self.steps)
        micros = self._pending["micros"]
        self._reset_step()
        if len(self._losses) >= micros:
            self._finish()
        if self.steps == STEPS:
            self._write_rehearsal()

    def _note_missing_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        missing = {self._names.get(id(p)) for p in _parameters(optimizer) if p.grad is None} - {None}
        before = self._without_gradient
        self._without_gradient = missing if before is None else before & missing

    def _end_first_step(self) -> None:
        evidence: dict[str, Any] = {"future_gradient": self._hooks.future_gradient()}
        evidence["head_bias_max"] = self._hooks.head_bias
        micros = [micro for micro in self._first_step if micro is not None]
        if self._first_step:
            self._gradients.remove()  # the gradient of the logits tells of every backward pass
        if micros and len(micros) == len(self._first_step):
            evidence |= start_evidence(micros)
            self._accumulated = accumulation_ratio(micros)
        self._accumulation = max(len(micros), 1)
        known = {name: value for name, value in evidence.items() if value is not None}
        self.writer.probe({"step": 0, "kind": "start"} | known)

    # ------------------------------------------------------------------ writing

    def _finish(self) -> None:
        """Take the losses given so far for those of the step that waits for some."""
        if self._pending is not None:
            self._finished.append((self._pending, self._losses))
            self._pending, self._losses = None, []
        if time.perf_counter() - self._written_at > WAIT:
            self._write()

    def _write(self) -> None:
        """Write every finished step; only here is a GPU waited for."""
        records = [self._record(step, [float(loss) for loss in losses]) for step, losses in self._finished]
        self._finished = []
        self.writer.metric(*records)
        self._written_at = time.perf_counter()

    def _record(self, record: dict[str, Any], losses: list[float]) -> dict[str, Any]:
        micros = record.pop("micros")
        if record["step"] == 0 and losses and self._first_step and self._first_step[0]:
            nats = self._first_step[0].nats
            # k losses that were each divided by k add up to the loss of the step; undivided ones average
            self._shares_add_up = bool(nats) and micros > 1 and losses[0] / nats < micros**-0.5
        if losses:
            record["loss"] = sum(losses) * (1 if self._shares_add_up else 1 / len(losses))
            if self._shares_add_up:
                record["loss"] *= micros / len(losses)
        before, after = record.pop("before_clip"), record.pop("after_clip")
        if record["grad_norm"] is None:
            del record["grad_norm"]
        else:
            record["grad_norm"] = float(record["grad_norm"])
            factor = float(after) / float(before) if before is not None and float(before) > 0 else 1.0
            record["clipped"] = factor < CLIPPED
            if record["clipped"]:
                self._clip_norms.append(factor * record["grad_norm"])
        return record

    def _write_rehearsal(self) -> None:
        """Write what was learnt of the loop's parts, unless nothing is new."""
        if self.steps == 0:
            return
        learning = {id(parameter) for parameter in _parameters(self.optimizer)}
        frozen = [
            name
            for name, parameter in self.model.named_parameters()
            if not parameter.requires_grad
            or id(parameter) not in learning
            or (name in (self._without_gradient or ()) and self.steps >= STEPS)
        ]
        record: dict[str, Any] = {
            "accumulation_ratio": self._accumulated,
            "decaying": self._decaying(),
            "frozen": frozen,
            "weight_decay": max(float(g.get("weight_decay", 0)) for g in self.optimizer.param_groups),
            "accumulation": self._accumulation,
        }
        if self._carried:
            record["carried_gradient"] = max(float(carried) for carried in self._carried)
        if self._counted:
            record["steps_counted"] = self._counted[0] / self._counted[1]
        if self._twin.betas and any(self._twin.ratios):
            record |= {"first_updates": self._twin.ratios, "betas": self._twin.betas}
        if self._twin.downhill is not None:
            record["downhill"] = self._twin.downhill
        if self._clip_norms:
            record["clip_norm"] = sorted(self._clip_norms)[len(self._clip_norms) // 2]
        if self._schedule:
            record["schedule"] = self._asked()
        if record != self._written:
            self._written = record
            self.writer.probe({"step": self.steps - 1, "kind": "rehearsal"} | record)

    def _decaying(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {"vectors": [], "matrices_without": []}
        for group in self.optimizer.param_groups:
            decay = group.get("weight_decay", 0)
            for parameter in group["params"]:
                name = self._names.get(id(parameter), "–")
                if parameter.ndim < 2 and decay > 0:
                    found["vectors"].append(name)
                if parameter.ndim >= 2 and decay == 0:
                    found["matrices_without"].append(name)
        return found

    def _asked(self) -> tuple[list[int], list[float]]:
        """Return the schedule asked for, as far as this run would come if it counted micro-batches."""
        far = self.steps * max(self._accumulation, 16) + 1
        steps, rates = range(0, far, max(far // MOST_ASKED, 1)), []
        for step in steps:
            try:
                rates.append(float(self._schedule(step)))
            except (LookupError, ValueError, ArithmeticError):
                break  # it ends where the run ends
        return list(steps)[: len(rates)], rates


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _count(optimizer: torch.optim.Optimizer) -> float | None:
    """Return how many steps the optimizer says it has taken, None where it keeps no count."""
    counters = [state["step"] for state in optimizer.state.values() if "step" in state]
    return max(map(float, counters[:8])) if counters else None
