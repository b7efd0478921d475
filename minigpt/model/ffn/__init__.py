"""Feed-forwards: the part of a block that treats each token alone. `config.activation` names one of `FFNS`.

A feed-forward is a module that is built from the model's config and turns x (B, T, C) into (B, T, C). One
whose units remember earlier tokens offers `init_state(batch)` and takes a second argument, `state`, as mixers
do (`minigpt.model.mixers`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from minigpt.config import ModelConfig
from minigpt.model.ffn.liquid import Liquid
from minigpt.model.ffn.mlp import MLP
from minigpt.model.ffn.spiking import Spiking
from minigpt.model.ffn.swiglu import SwiGLU


class FeedForward(Protocol):
    """What a block asks of its feed-forward."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return (B, T, C) for x (B, T, C)."""


FFNS: dict[str, Callable[[ModelConfig], nn.Module]] = {
    "gelu": MLP,
    "gelu_tanh": MLP,
    "swiglu": SwiGLU,
    "spiking": Spiking,
    "liquid": Liquid,
}
