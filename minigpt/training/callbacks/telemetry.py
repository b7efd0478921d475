"""Derived metrics: what loss and gradient norm say about stability, and about the time left.

    trainer = Trainer(recipe, run_dir, callbacks=[Telemetry(target_loss=1.2)])

A callback that watches and never changes the run. It adds to the record of a step, before it is written,
what is worth a line:

    when it happens    loss_spike, grad_spike    the value over its running mean
                       loss_recovered            steps from a spike until the loss was back
    at an evaluation   loss_variance, grad_norm_p90 (both over the last 100 steps)
                       loss_spikes, grad_spikes, recoveries (counts so far)
                       tokens_per_second, eta_seconds (by the clock, evaluations included)
                       target_loss, target_steps, target_seconds (null is "unknown")

and to `probes.jsonl` what `minigpt.training.audits` measures.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np

from minigpt.runs.thresholds import GRADIENT_SPIKE, LOSS_SPIKE
from minigpt.runs.thresholds import SPIKE_ENOUGH as ENOUGH
from minigpt.runs.thresholds import SPIKE_RECOVERED as RECOVERED
from minigpt.runs.thresholds import SPIKE_STEPS as WINDOW
from minigpt.training.audits import Audits, baselines

EARLY = (10, 20, 50)  # steps done at which the default audits look, too: much happens at the beginning
HORIZON = 20  # × the steps done: further ahead a fitted curve is a guess
BY_THE_CLOCK = ("seconds", "tokens_per_second", "eta_seconds", "target_seconds")  # differ from run to run


class SpikeDetector:
    """Tells when a value leaves its running mean far behind, and when it is back.

    A spike does not count towards the mean. One that lasts longer than the window is not a spike
    but a new level, and the mean starts again.
    """

    def __init__(self, factor: float, window: int = WINDOW):
        self.factor = factor
        self.calm: deque[float] = deque(maxlen=window)
        self.lasting = 0  # steps since the spike began; 0 between spikes

    def observe(self, value: float) -> tuple[float | None, int | None]:
        """Take the next value.

        Returns:
            (ratio to the running mean, None) where a spike begins, (None, steps it lasted) where one ends,
            and else (None, None). A value that is not finite is a spike of infinite ratio.
        """
        mean = sum(self.calm) / len(self.calm) if len(self.calm) >= ENOUGH else math.inf
        if self.lasting:
            if math.isfinite(value) and value < RECOVERED * mean:
                lasted, self.lasting = self.lasting, 0
                self.calm.append(value)
                return None, lasted
            self.lasting += 1
            if self.lasting > self.calm.maxlen:
                self.lasting = 0
                self.calm.clear()
        elif not math.isfinite(value) or value > self.factor * mean:
            self.lasting = 1
            return (value / mean if math.isfinite(value) else math.inf), None
        else:
            self.calm.append(value)
        return None, None


class Curve:
    """The loss from the first step on, in at most `size` means over stretches of equal length."""

    def __init__(self, size: int = 512):
        self.size, self.stretch = size, 1
        self.steps: list[float] = []
        self.losses: list[float] = []
        self._open: list[tuple[int, float]] = []

    def add(self, step: int, loss: float) -> None:
        """Take the loss of the next step; one that is not finite is left out."""
        if not math.isfinite(loss):
            return
        self._open.append((step, loss))
        if len(self._open) < self.stretch:
            return
        self.steps.append(sum(step for step, _ in self._open) / self.stretch)
        self.losses.append(sum(loss for _, loss in self._open) / self.stretch)
        self._open.clear()
        if len(self.steps) == self.size:
            self.steps, self.losses = _paired(self.steps), _paired(self.losses)
            self.stretch *= 2

    def steps_to(self, target: float) -> float | None:
        """Estimate how many more steps the loss needs to fall to `target`; 0 once it has.

        The second half of the curve is fitted by a line in ln(step): over one doubling of the steps most loss
        curves are nearly straight on that axis.

        Returns:
            None for "unknown": too short a curve, one that does not clearly fall, or a target so far ahead
            that the estimate would be a guess.
        """
        half = [index for index, step in enumerate(self.steps) if step >= self.steps[-1] / 2]
        if len(half) < ENOUGH:
            return None
        x = np.log(np.array(self.steps)[half] + 1)
        y = np.array(self.losses)[half]
        x_off, y_off = x - x.mean(), y - y.mean()
        slope = (x_off @ y_off) / (x_off @ x_off)
        scatter = y_off - slope * x_off
        error = math.sqrt((scatter @ scatter) / (len(x) - 2) / (x_off @ x_off))
        now, done = y.mean() + slope * x_off[-1], self.steps[-1] + 1
        if now <= target:
            return 0.0
        if slope >= -2 * error:
            return None
        doublings = (target - now) / slope  # in units of e
        return done * math.expm1(doublings) if doublings < math.log(HORIZON + 1) else None


def _paired(values: list[float]) -> list[float]:
    return [(a + b) / 2 for a, b in zip(values[::2], values[1::2], strict=True)]


def telemetry_unless(callbacks: Iterable[Any]) -> list[Telemetry]:
    """Return the usual telemetry, or none where one of the callbacks is one, with a target of its own."""
    return [] if any(isinstance(callback, Telemetry) for callback in callbacks) else [Telemetry()]


class Telemetry:
    """The callback: spikes as they happen, a summary at every evaluation, audits at set steps."""

    def __init__(self, target_loss: float | None = None, audit_every: int | None = None):
        """Choose what to estimate and how often to audit.

        Args:
            target_loss: nats per token of training loss; the loss of the n-gram baseline when None.
            audit_every: steps between two audits; 0 for none. By default every 100 steps, in long runs a
                hundred times altogether, and a few times before step 100.
        """
        self.target_loss, self.audit_every = target_loss, audit_every
        self._early = EARLY if audit_every is None else ()
        self.loss_spikes, self.gradient_spikes = SpikeDetector(LOSS_SPIKE), SpikeDetector(GRADIENT_SPIKE)
        self.losses: deque[float] = deque(maxlen=WINDOW)
        self.norms: deque[float] = deque(maxlen=WINDOW)
        self.curve = Curve()
        self.counts = {"loss_spikes": 0, "grad_spikes": 0, "recoveries": 0}
        self._clock: deque[tuple[float, int]] = deque(maxlen=WINDOW + 1)  # (time, tokens)
        self._audits: Audits | None = None

    def on_start(self, trainer) -> None:
        """Measure the baselines and the untouched model; of a resumed run, live through what it logged."""
        if self.audit_every is None:
            self.audit_every = max(100, trainer.config.steps // 100)
        found = baselines(trainer.data)
        if self.target_loss is None:
            self.target_loss = found.get("ngram_loss")
        self._audits = Audits(trainer)
        if not trainer.untouched:
            self._replay(trainer.writer.path)
        elif found:
            trainer.writer.probe({"step": 0, "kind": "baselines"} | found)
        if self.audit_every and trainer.untouched:
            self._audit(trainer, 0)
        self._clock.append((time.perf_counter(), 0))

    def on_record(self, trainer, record: dict[str, Any]) -> None:
        """Add to the record of a finished step, and audit where that is due."""
        done, steps = record["step"] + 1, trainer.config.steps
        record |= self.observe(record)
        self._clock.append((time.perf_counter(), record["tokens"]))
        if "val_loss" in record:
            record |= self._summary(steps - done)
        if record.get("dropped"):
            return
        if self.audit_every and (done % self.audit_every == 0 or done == steps or done in self._early):
            self._audit(trainer, record["step"])

    def observe(self, record: dict[str, Any]) -> dict[str, float]:
        """Take a step's loss and gradient norm; return what happened, if anything did."""
        loss, norm = record["loss"], record["grad_norm"]
        happened: dict[str, float] = {}
        ratio, lasted = self.loss_spikes.observe(loss)
        if ratio is not None:
            happened["loss_spike"] = ratio
            self.counts["loss_spikes"] += 1
        if lasted is not None:
            happened["loss_recovered"] = lasted
            self.counts["recoveries"] += 1
        if not record.get("skipped"):  # an fp16 overflow is the scaler's business, and no spike
            ratio, _ = self.gradient_spikes.observe(norm)
            if ratio is not None:
                happened["grad_spike"] = ratio
                self.counts["grad_spikes"] += 1
            self.norms.append(norm)
        self.losses.append(loss)
        self.curve.add(record["step"], loss)
        return happened

    def _summary(self, steps_left: int) -> dict[str, Any]:
        (first, _), (last, _) = self._clock[0], self._clock[-1]
        step_seconds = (last - first) / (len(self._clock) - 1)
        tokens = sum(count for _, count in list(self._clock)[1:])
        losses, norms = (
            [value for value in side if math.isfinite(value)] for side in (self.losses, self.norms)
        )
        summary = {
            "loss_variance": float(np.var(losses)) if losses else math.nan,
            "grad_norm_p90": float(np.percentile(norms, 90)) if norms else math.nan,
            **self.counts,
            "tokens_per_second": round(tokens / max(last - first, 1e-9), 1),
            "eta_seconds": round(steps_left * step_seconds, 1),
        }
        if self.target_loss is not None:
            steps = self.curve.steps_to(self.target_loss)
            known = steps is not None
            summary["target_loss"] = self.target_loss
            summary["target_steps"] = round(steps) if known else None
            summary["target_seconds"] = round(steps * step_seconds, 1) if known else None
        return summary

    def _replay(self, run_dir) -> None:
        from minigpt.runs.run import Run

        run = Run(run_dir)
        columns = run.all_columns
        if "attempt" in columns:  # a step stands there more than once: its columns cannot be told apart by it
            for record in run.metrics:
                figures = {name: float(record[name]) for name in ("loss", "grad_norm")}
                self.observe(figures | {"step": record["step"], "skipped": record.get("skipped")})
            return
        loss, norm = columns.column("loss"), columns.column("grad_norm")[1]
        skipped = dict(zip(*(side.tolist() for side in columns.column("skipped")), strict=True))
        for step, value, size in zip(loss[0].tolist(), loss[1].tolist(), norm.tolist(), strict=True):
            self.observe({"step": step, "loss": value, "grad_norm": size, "skipped": skipped.get(step)})

    def _audit(self, trainer, step: int) -> None:
        attempt = {"attempt": trainer.state.attempt} if trainer.state.attempt else {}
        for record in self._audits.take():
            trainer.writer.probe({"step": step} | attempt | record)
