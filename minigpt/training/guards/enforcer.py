"""Asks the guards, writes down what they decide, and carries it out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from minigpt.data.batches import Batch
from minigpt.model.state import has_memory, load_memory, memory_of
from minigpt.training.distributed import World
from minigpt.training.guards.guard import CONTINUE, Decision, Guard, GuardError, Moment, ask, together
from minigpt.training.guards.token_cost import TokenCost
from minigpt.training.snapshots import Snapshots
from minigpt.training.state import Stateful, TrainerState
from minigpt.training.step import gradient_shares

MOST_TRIES = 100  # attempts without getting further: guards that stop a run this often will not save it


class Enforcer:
    """The guards of one run, with the snapshots that they can go back to. Without guards it does nothing."""

    def __init__(
        self,
        guards: Sequence[Guard],
        snapshots: Snapshots,
        world: World,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        state: TrainerState,
        write: Callable[[dict[str, Any]], None],
        token_cost: TokenCost | None = None,
    ):
        """Args:
        token_cost: of each step's batches, where a guard wants to know it.
        write: append a line to events.jsonl; called on the first process only.
        """
        self.guards, self.snapshots, self.world = guards, snapshots, world
        self.model, self.optimizer, self.state, self.write = model, optimizer, state, write
        self._moments = {moment for guard in guards for moment in guard.moments}
        self._remembers = has_memory(model)
        self._memory: dict[str, torch.Tensor] = {}
        self._clip: dict[str, Any] | None = None
        self._token_cost = token_cost

    def before_step(self) -> None:
        """Keep what a dropped step, or a rollback, must put back."""
        if self.guards:
            self.snapshots.take_if_due(self.model, self.optimizer, self.state)
            if self._remembers:
                self._memory = memory_of(self.model)
            self._clip = copy.deepcopy(self._clipper.state_dict()) if self._clipper else None

    @property
    def _clipper(self) -> Stateful | None:
        return self.state.parts.get("clip")

    def decide(self, moment: Moment, record: dict[str, Any], batches: Sequence[Batch] = ()) -> Decision:
        """Return what the guards want together, the same on every process; scale the rate if they say so.

        Args:
            batches: the micro-batches of the step, where there is still something to decide about them.

        Raises:
            GuardError: they contradict each other, or ask for something impossible.
        """
        if moment not in self._moments:
            return CONTINUE
        if batches and self._token_cost:
            record = record | {"token_cost": self._token_cost.of(batches, self.world)}
        decisions = self.world.share(self.world.on_main(lambda: self._ask(moment, record)))
        if not decisions:
            return CONTINUE
        for name in decisions:
            self.state.decisions[name] = self.state.decisions.get(name, 0) + 1
        decision = together(decisions)
        self.state.lr_scale *= decision.scale_rate
        return decision

    def _ask(self, moment: Moment, record: dict[str, Any]) -> dict[str, Decision]:
        decisions = ask(self.guards, moment, record, self.state)
        if not decisions:
            return {}
        target = together(decisions).roll_back_to  # so that nothing impossible is written down as done
        if target is not None and not self.snapshots.reach(target):
            if not self.snapshots.steps():
                raise GuardError("guards.no-snapshot-yet", to=target, every=self.snapshots.every)
            raise GuardError("guards.no-snapshot", to=target, oldest=min(self.snapshots.steps()))
        for name, decision in decisions.items():
            found = event(name, decision, record, self.state.attempt)
            if moment == "gradients":
                found["modules"] = gradient_shares(self.model)
            self.write(found)
        return decisions

    def forget_step(self) -> None:
        """Undo what the forward pass of a step and its clipping left behind, when there is no update."""
        if self._remembers:
            load_memory(self.model, self._memory)
        if self._clip is not None:
            self._clipper.load_state_dict(self._clip)

    def set_out_again(self, decision: Decision, record: dict[str, Any]) -> None:
        """Try the step of `record` again with the next batch, or put back a snapshot.

        Raises:
            GuardError: the run has not got any further for `MOST_TRIES` attempts.
        """
        skip = decision.skip
        if decision.drop:
            skip = (record.get("data_step", record["step"]), *skip)
        else:
            self.snapshots.back_to(decision.roll_back_to).restore(self.model, self.optimizer, self.state)
            self.state.rollbacks += 1
        self.state.try_again(skip)
        if self.state.tries > MOST_TRIES:
            raise GuardError("guards.stuck", step=self.state.furthest, tries=MOST_TRIES)


def event(name: str, decision: Decision, record: dict[str, Any], attempt: int) -> dict[str, Any]:
    """Return the line of events.jsonl for what one guard decided."""
    found = {
        "step": record["step"],
        "attempt": attempt,
        "guard": name,
        "seen": dict(decision.seen),
        "done": decision.done,
        "batches": [record.get("data_step", record["step"])],
    }
    if decision.roll_back_to is not None:
        found["to"] = decision.roll_back_to
    if decision.undoes:
        found["skip"] = list(decision.skip)
    for scale in ("scale_rate", "scale_step"):
        if getattr(decision, scale) != 1.0:
            found[scale] = getattr(decision, scale)
    return found
