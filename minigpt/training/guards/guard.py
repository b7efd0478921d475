"""What a guard is: it sees what a step measured, and decides whether the run continues.

    class LowerAfterSpike:
        name = "lower-after-spike"
        moments = ("record",)

        def decide(self, record, state):
            if record["loss"] > 8:
                return Decision(scale_rate=0.5, seen={"loss": record["loss"]})

A guard is asked at the moments that it names:

    "gradients"  after the gradients and before the update: only here can it `drop` the step
    "record"     after the update, once the record of the step is written, with its validation loss if any

A guard with `needs_token_cost = True` finds in the record, at "gradients", what the batch costs a model that
knows only how frequent tokens are: `token_cost`, in nats.

It returns None or `CONTINUE` most of the time; with `note` what it saw goes into events.jsonl all the same.
It is asked on the first process only; every process then does the same. One that remembers something between
steps offers `state_dict` (plain data) and `load_state_dict`: checkpoints and snapshots hold it, so what it
has seen is rolled back with everything else. What outlives a rollback stands in the trainer's state: the
attempt, the batches skipped, the scale of the rate, and how often each guard has acted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from minigpt.messages import MiniGPTError
from minigpt.training.state import TrainerState

Moment = Literal["gradients", "record"]


class GuardError(MiniGPTError):
    """A guard that asks for something impossible, or guards that contradict each other."""


@dataclass(frozen=True)
class Decision:
    """What a guard wants done. Nothing given: continue."""

    drop: bool = False  # make no update of this batch; the same step tries the next batch
    roll_back_to: int | None = None  # steps done; the newest snapshot at or before it is restored
    skip: tuple[int, ...] = ()  # with either of these: data steps whose batches are never given (again)
    scale_rate: float = 1.0  # multiply the learning rate by this from now on
    scale_step: float = 1.0  # multiply the learning rate of this step alone; only before the update
    seen: Mapping[str, Any] = field(default_factory=dict)  # figures that led to it, for events.jsonl
    note: bool = False  # write `seen` down although nothing is done

    @property
    def undoes(self) -> bool:
        """Whether the step does not count."""
        return self.drop or self.roll_back_to is not None

    @property
    def done(self) -> str:
        """What it does, as events.jsonl says it."""
        steps = {
            "drop the step": self.drop,
            "roll back and skip": self.roll_back_to is not None,
            "scale the rate": self.scale_rate != 1.0,
            "scale the rate of this step": self.scale_step != 1.0,
        }
        return ", ".join(name for name, wanted in steps.items() if wanted) or "continue"


CONTINUE = Decision()


class Guard(Protocol):
    """A part of a recipe. `state_dict()` and `load_state_dict(state)` are optional."""

    name: str
    moments: tuple[Moment, ...]

    def decide(self, record: Mapping[str, Any], state: TrainerState) -> Decision | None:
        """Look at the record of a step and say what to do."""


def refuse_contradictions(guards: Sequence[Guard]) -> None:
    """Refuse two guards of one name: they would share their state and their line in events.jsonl.

    Raises:
        GuardError: names it.
    """
    names = [guard.name for guard in guards]
    for name in names:
        if names.count(name) > 1:
            raise GuardError("guards.same-name", name=name)


def ask(
    guards: Sequence[Guard], moment: Moment, record: Mapping[str, Any], state: TrainerState
) -> dict[str, Decision]:
    """Return the decisions of the guards that want something done, or noted, by name.

    Raises:
        GuardError: a decision is impossible, or two contradict each other.
    """
    found = {}
    for guard in guards:
        decision = guard.decide(record, state) if moment in guard.moments else None
        if decision and (decision.note or decision.skip or decision.done != CONTINUE.done):
            _refuse_impossible(guard.name, decision, moment, state.step)
            found[guard.name] = decision
    return found


def together(decisions: Mapping[str, Decision]) -> Decision:
    """Return one decision that does what all of them want.

    Raises:
        GuardError: two contradict each other.
    """
    whole, first = CONTINUE, ""
    for name, decision in decisions.items():
        if first and _contradict(whole, decision):
            raise GuardError(
                "guards.contradict", one=first, other=name, first=whole.done, second=decision.done
            )
        whole, first = _joined(whole, decision), first or name
    return whole


def _contradict(one: Decision, other: Decision) -> bool:
    return (
        (one.drop and other.roll_back_to is not None)
        or (other.drop and one.roll_back_to is not None)
        or (None not in (one.roll_back_to, other.roll_back_to) and one.roll_back_to != other.roll_back_to)
        or (1.0 not in (one.scale_rate, other.scale_rate) and one.scale_rate != other.scale_rate)
        or (1.0 not in (one.scale_step, other.scale_step) and one.scale_step != other.scale_step)
    )


def _joined(one: Decision, other: Decision) -> Decision:
    targets = [target for target in (one.roll_back_to, other.roll_back_to) if target is not None]
    return Decision(
        drop=one.drop or other.drop,
        roll_back_to=targets[0] if targets else None,
        skip=tuple(sorted({*one.skip, *other.skip})),
        scale_rate=one.scale_rate if one.scale_rate != 1.0 else other.scale_rate,
        scale_step=one.scale_step if one.scale_step != 1.0 else other.scale_step,
        seen={**one.seen, **other.seen},
    )


def _refuse_impossible(name: str, decision: Decision, moment: Moment, step: int) -> None:
    if decision.drop and moment != "gradients":
        raise GuardError("guards.drop-too-late", name=name)
    if decision.drop and decision.roll_back_to is not None:
        raise GuardError("guards.contradicts-itself", name=name)
    if decision.skip and not decision.undoes:
        raise GuardError("guards.skip-alone", name=name)
    for scale in (decision.scale_rate, decision.scale_step):
        if not (math.isfinite(scale) and scale > 0):
            raise GuardError("guards.bad-scale", name=name, given=scale)
    if decision.roll_back_to is not None and not 0 <= decision.roll_back_to <= step:
        raise GuardError("guards.bad-target", name=name, given=decision.roll_back_to, step=step)
