"""What the instruments of a run see (`minigpt.training.instruments`): one type for each.

`minigpt.runs.schema` has them all, and says how a figure or a kind of probe is added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from minigpt.runs.probe import Probe


@dataclass(frozen=True, kw_only=True)
class Attention(Probe):
    """Attention of every layer on a few validation windows."""

    kind = "attention"

    max_logit: list[float] | None = None  # largest |q·k/√d| of a pair that may see each other
    entropy: list[float] | None = None  # mean over heads and positions, ÷ ln(tokens that can be seen)


@dataclass(frozen=True, kw_only=True)
class Logits(Probe):
    """The logits on a few validation windows, and the weights that make them grow."""

    kind = "logits"

    log_z: float | None = None  # mean logsumexp, in nats
    wte_rms: float | None = None  # root mean square of the token embedding
    gain_rms: float | None = None  # of all gains of norms together


@dataclass(frozen=True, kw_only=True)
class Updates(Probe):
    """How well Adam's second moment fits the gradient of this step: √mean(g²/v) by parameter."""

    kind = "updates"

    rms: float | None = None  # the largest
    name: str | None = None  # whose it is
    tensors: Mapping[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Noise(Probe):
    """The gradient noise scale: how many tokens a step would need for noise and signal to be equal."""

    kind = "noise"

    scale: float | None = None  # tr Σ / ‖G‖², in tokens; None where the noise hides the signal
    tokens: int | None = None  # in a step
    trace: float | None = None  # tr Σ, of the gradient of one token
    signal: float | None = None  # ‖G‖², may come out negative


@dataclass(frozen=True, kw_only=True)
class Sharpness(Probe):
    """How curved the loss is, on a few windows."""

    kind = "sharpness"

    value: float | None = None  # the eigenvalue of the Hessian with the largest absolute value


@dataclass(frozen=True, kw_only=True)
class Units(Probe):
    """Units of each feed-forward on a few validation windows."""

    kind = "units"

    inactive: list[float] | None = None  # share of units that are never active, by layer
    rank: list[float] | None = None  # effective rank of what the block leaves ÷ its width


@dataclass(frozen=True, kw_only=True)
class Statefulness(Probe):
    """Whether the model remembers what it should not: deterministic, on a copy."""

    kind = "statefulness"

    same_batch: float | None = None  # largest difference of its logits, in their spread, another between
    row_alone: float | None = None  # of a row alone, in the spread of its logits
    evaluation_writes: bool | None = None  # evaluation changed the memory
    rng_writes: bool | None = None  # two random seeds, and other writes; None: no memory


@dataclass(frozen=True, kw_only=True)
class Owners(Probe):
    """Weights that changed between the end of one step and the update of the next."""

    kind = "ownership"

    changed: list[str] | None = None  # names of the tensors, since the probe before


@dataclass(frozen=True, kw_only=True)
class NeverLearnt(Probe):
    """Trainable tensors that never had a gradient."""

    kind = "never-learnt"

    names: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class NonFinite(Probe):
    """The first module with finite input and a result that is not finite."""

    kind = "non-finite"

    module: str | None = None
    phase: str | None = None  # "forward", "backward", or "weights": they are broken already
