"""What a run writes down, typed: producers fill these types, judges read them, reading validates them.

A trainer, a monitor and the importers produce; the questions of `minigpt.diagnosis` judge. A figure that was
not measured is None. Who measured is said by `Evidence.source`, never by which figure is None.

    start = Start.read({"kind": "start", "step": 0, "future_gradient": 0.0})
    start.future_gradient                 # 0.0
    start.unmasked_share                  # None: not measured

To add a figure, add a field: here, in `instrument_probes` or in `step_record`. To add a kind of probe, add a
class and name it in `PROBES`. A field that this version does not know is ignored, so newer runs can be read;
one of the wrong type is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NotRequired, Self, TypedDict

from minigpt.runs.instrument_probes import (
    Attention,
    Logits,
    NeverLearnt,
    Noise,
    NonFinite,
    Owners,
    Sharpness,
    Statefulness,
    Units,
    Updates,
)
from minigpt.runs.jsonl import RunError
from minigpt.runs.probe import Probe

REHEARSAL_STEPS = 5  # optimizer steps of the rehearsal, and of a monitored loop that are followed as closely
OFFSETS = (0, 1, 2, 3)  # between inputs and targets; 1 is right: position t is asked for the token at t + 1
LEAST_GRADIENT = 1e-6  # below this the eps of AdamW shows in an update


class Source(StrEnum):
    """Who measured."""

    TRAINER = "trainer"  # minigpt's own: every probe, and a config that says what was asked for
    MONITOR = "monitor"  # hooks in somebody's loop: probes of what they can see
    LOG = "log"  # numbers by step, and nothing else


class WeightStatistics(TypedDict):
    """One matrix before the first update."""

    mean: float
    std: float
    size: int  # number of weights
    expected_std: float  # what its role asks for
    role: NotRequired[str]  # a value of `minigpt.model.roles.Role`


class AccumulationRatio(TypedDict):
    """‖gradient of micro-batches‖ ÷ ‖gradient of the whole batch‖."""

    equal: float | None  # where every micro-batch counts as many targets
    unequal: float | None


class Decaying(TypedDict):
    """Names of the tensors on the wrong side of weight decay."""

    vectors: list[str]  # below two dimensions, and decaying
    matrices_without: list[str]  # of two dimensions or more, and not decaying


@dataclass(frozen=True, kw_only=True)
class Start(Probe):
    """The model and one batch before the first update."""

    kind = "start"

    vocab_size: int | None = None  # width of the logits, where a monitor counted them
    cross_entropy: float | None = None  # nats per token, read off the logits: a loss may hold other terms
    other_loss: bool | None = None  # the logits are scored, and by no cross-entropy
    loss_given: str | None = None  # what the loss takes: logits, log-probabilities, probabilities, squashed
    vocabulary_found: bool | None = None  # False: no part of the model is as large as the declared vocabulary
    duplicate_batch_ratio: float | None = None  # loss of the batch fed twice ÷ once: a mean 1, a sum 2
    unmasked_share: float | None = None  # positions that are scored ÷ positions
    distinct_targets: int | None = None
    target_offset_share: Mapping[str, float] | None = None  # by offset d, targets equal to the input at t + d
    targets_of_other_rows: bool | None = None  # whether each row is asked for the next tokens of another
    targets_before: bool | None = None  # whether the targets are the tokens just before
    targets_ahead: int | None = (
        None  # places from the last token that a logit sees to the one it is asked for
    )
    target_spread: float | None = None  # share of what targets ask for that is spread evenly over all tokens
    future_gradient: float | None = None  # largest gradient of a logit with respect to later inputs
    head_bias_max: float | None = None  # largest absolute bias of the layer that makes the logits
    head_bias_loss: float | None = None  # the loss if the logits were the bias alone
    weights: Mapping[str, WeightStatistics] | None = None
    stream_exponents: Mapping[str, float] | None = None  # by place: d log(what is read) ÷ d log(stream)
    shared_lines: float | None = None  # share of the validation lines that stand in training too
    shared_ngrams: float | None = None  # share of its pieces of 50 characters that do
    places: Mapping[str, str] | None = None  # "file:line" of what a monitor saw: "step", "model"

    @classmethod
    def read(cls, record: Mapping[str, Any], path: object = "probes.jsonl") -> Self:
        """Return a record as this type; a `cross_entropy` of null says that the loss is another one."""
        if record.get("cross_entropy", 0.0) is None:
            record = dict(record) | {"other_loss": True}
        start = super().read(record, path)
        if start.target_offset_share is not None and "1" not in start.target_offset_share:
            shares = start.target_offset_share
            raise RunError(
                "run.bad-probe", path=path, kind=cls.kind, field="target_offset_share", value=shares
            )
        return start


@dataclass(frozen=True, kw_only=True)
class Rehearsal(Probe):
    """What the parts of the loop did: in a rehearsal on a copy, or in the first steps of a monitored loop."""

    kind = "rehearsal"

    accumulation_ratio: AccumulationRatio | None = None
    first_updates: list[float | None] | None = None  # size of each first update ÷ rate; None at a rate of 0
    downhill: float | None = None  # share of coordinates that the first update moves against their gradient
    steps_counted: float | None = None  # the optimizer's own count ÷ steps taken
    carried_gradient: float | None = None  # norm of what is left of the gradient after a step
    decaying: Decaying | None = None
    frozen: list[str] | None = None  # parameters that do not learn
    frozen_by_design: list[str] | None = None  # and others that a module declares so, as stop-gradient does
    idle: list[str] | None = None  # those of them that belong to parts which are never called
    decay_split: bool | None = None  # whether the parameter groups differ in their decay
    resumes: bool | None = None  # whether the run was declared to resume another one of its kind
    counter_stands: bool | None = None  # the moments live on, and the optimizer counts no step
    resumed_moments: bool | None = None  # whether the optimizer came with what it had learnt
    betas: list[float] | None = None
    epsilon: list[float] | None = None  # Adam's ε, and its share of the denominator of the usual coordinate
    weight_decay: float | None = None
    accumulation: int | None = None  # micro-batches a step
    clip_norm: float | None = None  # usual norm of the gradients that were clipped
    schedule: list[list[float]] | None = None  # steps, and the rate asked for at each
    scaling: Mapping[str, Any] | None = None  # what the parts do with a scaled loss


@dataclass(frozen=True, kw_only=True)
class Observed(Probe):
    """What a monitor saw a loop do, beside its figures, written again as the run goes on; of it a trainer
    measures before the first step `kinds`, `batches`, `later` and `outside`."""

    kind = "observed"

    kinds: Mapping[str, Any] | None = None  # of tokens that are scored: padding, a hidden word or end
    batches: Mapping[str, Any] | None = None  # how many steps repeat earlier ones, and after how many
    adversary: bool | None = None  # whether a batch is accumulated again at weights that were moved meanwhile
    token_entropy: float | None = None  # of single tokens, in nats
    modes: Mapping[str, Any] | None = None  # training or evaluation mode, where the two differ
    rounding: Mapping[str, Any] | None = None  # updates of weights in half precision
    ranks: Mapping[str, Any] | None = None  # the copies of the model in other processes
    passes: Mapping[str, Any] | None = None  # backward passes, and what became of them
    scheduler: Mapping[str, Any] | None = None  # its own count of steps
    bypassed_scaler: Mapping[str, Any] | None = None  # a gradient scaler that does not make the step
    loss_scale: float | None = None  # of the gradient scaler that makes the steps, at the first
    later: Mapping[str, Any] | None = None  # largest answers of the model at some steps of the run
    base_rates: Mapping[str, float] | None = None  # that a scheduler multiplies, by group
    cut_off: Mapping[str, Any] | None = None  # weights that the logits do not teach
    relative_update: float | None = None  # size of an update ÷ that of the matrix, the median
    writes: Mapping[str, Any] | None = None  # how often one matrix changed between two updates
    scales: Mapping[str, Any] | None = None  # of the tables that a fresh model adds together
    one_place: str | None = None  # what tells all tokens of a row the same place
    vocabulary: Mapping[str, Any] | None = None  # how many ids came, and the highest of them
    order: Mapping[str, Any] | None = None  # gradients that were clipped after their step, or used for two
    scores: Mapping[str, Any] | None = None  # of a model that gives one number a row: do they share a target
    shared: Mapping[str, Any] | None = None  # a stack whose layers are one layer
    decay: Mapping[str, Any] | None = None  # how hard weight decay pulls
    outside: Mapping[str, Any] | None = None  # weights in the loss that stand in no optimizer
    moved: bool | None = None  # whether the weights moved without any step
    ended: bool | None = None  # whether the loop came to its own end: no error, no break by the monitor


@dataclass(frozen=True, kw_only=True)
class Baselines(Probe):
    """Losses of models that know less, in nats per token."""

    kind = "baselines"

    ngram_order: int | None = None
    ngram_loss: float | None = None
    unigram_entropy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Activations(Probe):
    """The residual stream after the embedding and after each block."""

    kind = "activations"

    rms: list[float] | None = None
    growth: list[float] | None = None  # of each block


@dataclass(frozen=True, kw_only=True)
class Weights(Probe):
    """Every matrix during the run."""

    kind = "weights"

    tensors: Mapping[str, Mapping[str, float]] | None = None


@dataclass(frozen=True, kw_only=True)
class Moments(Probe):
    """Adam's moments by parameter: norms `m` and `v`, and its step `counter`."""

    kind = "moments"

    tensors: Mapping[str, Mapping[str, float]] | None = None


@dataclass(frozen=True, kw_only=True)
class VerbClasses(Probe):
    """Validation loss by class of verb, in nats per token."""

    kind = "verb-classes"

    loss: Mapping[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class LogNotes(Probe):
    """What the reader of a log left out or took for granted."""

    kind = "log"

    skipped: int = 0  # lines and entries that are not numbers
    first_skipped: str | None = None  # where the first of them stands
    spacing: int | None = None  # steps from one row to the next, where the log says so
    total: int | None = None  # steps that the run was meant to take
    counted: str = ""  # "rows" or "bars", where no row names its step
    runs: int = 1  # runs one after another, of which the last was read
    unit: str = ""  # in which the losses were told, where it is not nats
    overflows: list[float] | None = None  # the longest fall of a loss scale: skipped steps, first, last
    unused: list[str] = field(default_factory=list)  # columns that were not looked at


PROBES: dict[str, type[Probe]] = {
    probe.kind: probe
    for probe in (
        *(Start, Rehearsal, Observed, Baselines, Activations, Weights, Moments, VerbClasses, LogNotes),
        *(Attention, Logits, Updates, Noise, Sharpness, Units, Statefulness, Owners, NeverLearnt, NonFinite),
    )
}


@dataclass(frozen=True, kw_only=True)
class Event(Probe):
    """One decision of a guard: a line of events.jsonl."""

    kind = "event"

    guard: str = ""
    seen: Mapping[str, Any] = field(default_factory=dict)
    done: str = ""  # "drop the step", "roll back and skip", "scale the rate"; several with commas
    batches: list[int] | None = None  # data steps that the step trained on
    to: int | None = None  # the step that it went back to, at most
    skip: list[int] | None = None  # data steps that are left out from now on
    scale_rate: float | None = None  # × the rate from now on
    scale_step: float | None = None  # × the rate of this step alone


def unknown_fields(record: Mapping[str, Any]) -> list[str]:
    """Return the fields of a probe's record that no type here has; producers must have none."""
    kind = PROBES.get(record.get("kind", ""))
    return ["kind"] if kind is None else [name for name in record if name not in {"kind", *kind.types()}]
