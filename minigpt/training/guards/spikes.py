"""Spikes: a bad batch is dropped, damaged weights are rolled back.

Loss and gradient norm are known after the gradients and before the update, when a bad batch has done no harm
yet. So a spike first costs only its own batch: the step is dropped and the next batch tried. If the next
batches look bad as well, it is not the batches: the weights are damaged. One update is let through, for the
clipped gradient often heals at once what a step too far had done. If it does not, the run goes back to a
snapshot from before, and the batches trained on since are skipped, as PaLM's authors did by hand (Chowdhery
et al., 2022, section 5.1), at most `rollbacks` times. A batch that looked doubtful and came just before two
spikes is taken for bad as well: the run goes back to before it.

A spike is one of the loss, or of its *surplus*: the loss less what the same batch costs a model that knows
only how frequent tokens are (`token_cost.py`). Each sees what the other does not: the surplus a batch whose
tokens and targets do not belong together while the model knows little yet, the loss a batch of tokens that
hardly ever occur. The norm alone is watched and does not act unless `spike_on` says so: in healthy runs of
small models, which clipping holds, it jumps to 50 times its level (`benchmarks/spikes.py rules`).

A bad batch has a loss that is far off and a gradient not much larger than usual. At a steep place of the loss
surface it is the other way round: the gradient leaps to between 5 and 80 times its level while the loss of
any batch rises a little, and the next clipped updates lead away from it. So where the norm stands out more
than the loss, and is clipped, a few updates go ahead before anything is blamed. The further the loss is off,
the more the norm has to stand out: targets that are all one token pull together, and are a bad batch all the
same.

Bad batches come together. One that is doubtful and follows one that was left out is left out as well.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from minigpt.config.rules import BACK, ORDINARY_STEPS
from minigpt.runs.thresholds import SPIKE_LEAST_SPREAD
from minigpt.training.guards.detector import Usual
from minigpt.training.guards.guard import Decision, GuardError
from minigpt.training.state import TrainerState

WATCHED = ("loss", "surplus", "grad_norm")
ACTS = {"loss": WATCHED[:2], "loss_or_norm": WATCHED}
PATIENCE = 8  # bad batches in a row before the weights are blamed
DOUBT = 0.5  # × z: a batch this far out is bad if the next one is a spike, or the last one was left out
STEEP = 3  # updates in a row that go ahead at a steep place
SURPLUS = 0.5  # of the least spread of a loss that counts: the surplus is quieter
EARLY, KNOWN = 2.0, 5  # × the level, of at least so many steps: worth a note while z is not known yet


class Spikes:
    """Robust z-scores of loss, surplus and norm, each against its own last `window` ordinary values."""

    name = "spikes"
    moments = ("gradients",)
    needs_token_cost = True

    def __init__(self, z: float = 6.0, window: int = 128, rollbacks: int = 3, on: str = "loss"):
        """Call `z` robust standard deviations above the median a spike.

        Args:
            on: "loss", or "loss_or_norm": what may call one.
        """
        self.z, self.rollbacks, self.acts = z, rollbacks, ACTS[on]
        self.usual = {name: Usual(window, min(ORDINARY_STEPS, window)) for name in WATCHED}
        self.suspects = 0  # bad batches in a row
        self.steep = 0  # updates in a row at a steep place
        self.healing = False  # whether an update was let through although its batch looked bad
        self.doubtful: list[int] = []  # data steps of the last updates, as far back as all are doubtful
        self.trained: deque[int] = deque(maxlen=BACK)  # data steps of the last updates

    def decide(self, record: Mapping[str, Any], state: TrainerState) -> Decision | None:
        """Drop a bad batch; once too many in a row were bad, let one heal the weights, or roll back.

        Raises:
            GuardError: it has rolled back as often as it may.
        """
        if not math.isfinite(record["loss"] + record["grad_norm"]):
            return None  # the guard `finite` judges it, or the loss scaler
        values = _values(record)
        far = self._distances(values)
        limit = dict.fromkeys(ACTS["loss"], DOUBT * self.z) if self._follows_a_bad_one(state) else {}
        seen = {
            name: round(z, 2) for name, z in far.items() if z is not None and z >= limit.get(name, self.z)
        }
        if not any(name in seen for name in self.acts):
            self.steep = 0
            note = self._early(record) if far["loss"] is None else None
            self._accept(values, state.data_step, far)
            return note
        if self._at_a_steep_place(record, far):
            self.steep += 1
            self._accept(values, state.data_step, far)
            return None
        self.suspects += 1
        figures = {"z": seen} | {
            name: {"seen": values[name], "usual": self.usual[name].level}
            for name in values
            if name in seen or name == "loss"
        }
        if self.doubtful and self.suspects > 1 and state.rollbacks < self.rollbacks:
            bad = (*self.doubtful, state.data_step)
            return Decision(roll_back_to=state.step - len(self.doubtful), skip=bad, seen=figures)
        if self.suspects <= PATIENCE:
            return Decision(drop=True, seen=figures)
        if not self.healing:
            self.healing = True
            self.trained.append(state.data_step)
            return Decision(note=True, seen=figures)
        self.suspects, self.healing = 0, False
        if state.rollbacks >= self.rollbacks:
            raise GuardError("guards.gave-up", step=state.step, times=self.rollbacks)
        target = max(0, state.step - len(self.trained))
        return Decision(roll_back_to=target, skip=tuple(self.trained), seen=figures)

    def _at_a_steep_place(self, record: Mapping[str, Any], far: Mapping[str, float | None]) -> bool:
        """Return whether a spike is one of the gradient first of all, which is clipped."""
        if self.suspects or self.steep >= STEEP or "grad_norm" in self.acts or not record.get("clipped"):
            return False
        loss, norm = max(far.get(name) or 0.0 for name in self.acts), far["grad_norm"] or 0.0
        return norm / loss > loss / self.z

    def _distances(self, values: Mapping[str, float]) -> dict[str, float | None]:
        level = self.usual["loss"].level
        least = {"surplus": SURPLUS * SPIKE_LEAST_SPREAD * abs(level)}  # its own level is next to 0
        return {name: self.usual[name].distance(value, least.get(name)) for name, value in values.items()}

    def _follows_a_bad_one(self, state: TrainerState) -> bool:
        """Return whether the batch before was left out by this guard."""
        if self.suspects:
            return self.suspects < PATIENCE
        return state.rollbacks > 0 and state.data_step - 1 in state.skips

    def _accept(self, values: Mapping[str, float], data_step: int, far: Mapping[str, float | None]) -> None:
        """Remember an update that goes ahead."""
        self.suspects, self.healing = 0, False
        doubtful = any((far.get(name) or 0.0) >= DOUBT * self.z for name in ACTS["loss"])
        self.doubtful = [*self.doubtful, data_step][-BACK:] if doubtful else []
        self.trained.append(data_step)
        for name, value in values.items():
            if (far[name] or 0.0) < self.z:
                self.usual[name].add(value)

    def _early(self, record: Mapping[str, Any]) -> Decision | None:
        """Return a note of a loss that doubles before enough is known to judge it."""
        usual = self.usual["loss"]
        if len(usual.recent) < KNOWN or record["loss"] <= EARLY * usual.level:
            return None
        figures = {"seen": record["loss"], "usual": usual.level}
        known = {"steps_known": len(usual.ups), "steps_needed": usual.enough}
        return Decision(note=True, seen={"loss": figures} | known)

    def state_dict(self) -> dict[str, Any]:
        """Return what it remembers."""
        return {
            "usual": {name: usual.state_dict() for name, usual in self.usual.items()},
            "suspects": self.suspects,
            "steep": self.steep,
            "healing": self.healing,
            "doubtful": list(self.doubtful),
            "trained": list(self.trained),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what it remembered."""
        for name, usual in self.usual.items():
            if name in state["usual"]:  # an older checkpoint knows no surplus
                usual.load_state_dict(state["usual"][name])
        self.suspects, self.steep = state["suspects"], state.get("steep", 0)
        self.healing, self.doubtful = state.get("healing", False), list(state.get("doubtful", []))
        self.trained.clear()
        self.trained.extend(state["trained"])


def _values(record: Mapping[str, Any]) -> dict[str, float]:
    """Return what is watched; no surplus where nobody knows what the batch costs."""
    found = {"loss": record["loss"], "grad_norm": record["grad_norm"]}
    if "token_cost" in record:
        found["surplus"] = record["loss"] - record["token_cost"]
    return found
