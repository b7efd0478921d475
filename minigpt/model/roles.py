"""The role of a parameter: it alone says how the parameter is drawn, whether it decays, and what is normal.

    roles = roles_of(model)            # {"wte.weight": Role.EMBEDDING, "h.0.ln_1.weight": Role.GAIN, …}
    RULES[roles["wte.weight"]].decays  # True

A module names the roles of its own parameters in `parameter_roles`, by their names inside it:

    class Leaky(nn.Module):
        parameter_roles = {"log_tau": Role.TIME_CONSTANT, "c_proj.weight": Role.RESIDUAL}

Everything else follows from the layer: the weight of an `nn.Embedding` is an embedding, any other tensor of
two or more dimensions a matrix, a `bias` a bias, and what is left a gain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor, nn

from minigpt.config import ModelConfig


class Role(StrEnum):
    """What a parameter is for."""

    MATRIX = "matrix"  # multiplies activations
    RESIDUAL = "residual projection"  # a matrix that writes to the residual stream
    EMBEDDING = "embedding"  # one row for each token or position
    GAIN = "gain"  # multiplies each channel, as in a norm
    BIAS = "bias"  # is added to each channel
    FILTER = "filter"  # a short convolution of one channel
    THRESHOLD = "threshold"  # where a unit begins to answer
    TIME_CONSTANT = "time constant"  # ln τ, with τ in tokens: how long a unit remembers


@dataclass(frozen=True)
class Rule:
    """What a role asks for."""

    draw: Callable[[Tensor, ModelConfig], object]  # fill a fresh parameter in place
    decays: bool  # whether weight decay pulls it towards 0
    std: Callable[[ModelConfig], float] | None = None  # it is drawn normally with; None: it is not


def _normal(std: Callable[[ModelConfig], float]) -> Rule:
    return Rule(lambda tensor, config: nn.init.normal_(tensor, std=std(config)), decays=True, std=std)


def _constant(value: float) -> Rule:
    """A parameter that belongs at a value of its own, which decay would pull it away from."""
    return Rule(lambda tensor, _config: nn.init.constant_(tensor, value), decays=False)


def _plain(config: ModelConfig) -> float:
    return config.init_std


def _residual(config: ModelConfig) -> float:
    """GPT-2's rule: 2L writes to the residual stream add up, so each is 1/√(2L) as large."""
    return config.init_std / math.sqrt(2 * config.n_layer)


def _log_uniform(tensor: Tensor, config: ModelConfig) -> None:
    """Draw ln τ so that τ spreads evenly, on a logarithmic axis, from one token to the whole context."""
    nn.init.uniform_(tensor, 0.0, math.log(config.context))


def _by_length(tensor: Tensor, config: ModelConfig) -> None:
    """Draw a filter of length K evenly between ±√(3/K), so that its output is as large as its input."""
    edge = math.sqrt(3 / tensor.shape[-1])
    nn.init.uniform_(tensor, -edge, edge)


RULES: dict[Role, Rule] = {
    Role.MATRIX: _normal(_plain),
    Role.RESIDUAL: _normal(_residual),
    Role.EMBEDDING: _normal(_plain),
    Role.GAIN: _constant(1.0),
    Role.BIAS: _constant(0.0),
    Role.FILTER: Rule(_by_length, decays=True),
    Role.THRESHOLD: _constant(1.0),
    Role.TIME_CONSTANT: Rule(_log_uniform, decays=False),
}


def roles_of(model: nn.Module) -> dict[str, Role]:
    """Return the role of every parameter by name, a tied one once, under its first name."""
    return {name: _role(model, name, parameter) for name, parameter in model.named_parameters()}


def _role(model: nn.Module, name: str, parameter: Tensor) -> Role:
    for module, inner in _owners(model, name):
        declared = getattr(module, "parameter_roles", {})
        if inner in declared:
            return declared[inner]
    owner, inner = next(_owners(model, name))
    if isinstance(owner, nn.Embedding):
        return Role.EMBEDDING
    if parameter.ndim >= 2:
        return Role.MATRIX
    return Role.BIAS if inner.endswith("bias") else Role.GAIN


def _owners(model: nn.Module, name: str) -> Iterator[tuple[nn.Module, str]]:
    """Yield the modules that a parameter lies in, the innermost first, with its name inside each."""
    path = name.split(".")
    for depth in reversed(range(len(path))):
        yield model.get_submodule(".".join(path[:depth])), ".".join(path[depth:])


def expected_std(role: Role, config: ModelConfig) -> float | None:
    """Return the standard deviation that a parameter of this role is drawn with; None where it is constant
    or drawn in another way."""
    rule = RULES[role]
    return rule.std(config) if rule.std else None


def frozen_by_design(model: nn.Module) -> list[str]:
    """Return the names of the parameters that a module declares to be frozen (its `frozen_by_design`)."""
    return [
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        for name in getattr(module, "frozen_by_design", ())
    ]
