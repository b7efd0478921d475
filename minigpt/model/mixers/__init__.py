"""Mixers: the part of a block in which tokens read one another. `config.mixer` names one of `MIXERS`.

A mixer is a module that is built from the model's config:

    class Average(nn.Module):
        causal = True                                   # no token reads what comes after it

        def __init__(self, config: ModelConfig): …

        def forward(self, x, turns=None, state=None):   # x: (B, T, C), and so is what it returns
            …

        def init_state(self, batch):                    # only where it can read token by token
            …

`turns` are the rotary angles of the tokens, None with learned positions. `state` is None where every row of x
is a document of its own; else it is what `init_state` made, x continues the tokens that it has read, and the
mixer brings it up to date. A mixer without `init_state` trains and evaluates, but cannot generate. One that
computes more than its linear layers says how much for each token in `mixing_flops`. One whose state never
fills up says `has_no_end = True`, and generates past the context.

A new mixer joins `MIXERS` here and the setting `mixer` in `minigpt.config`; its parameters say their roles in
`parameter_roles` where the usual ones (`minigpt.model.roles`) do not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from minigpt.config import ModelConfig
from minigpt.model.mixers.attention import CausalSelfAttention
from minigpt.model.mixers.memory import Memory
from minigpt.model.mixers.state_space import StateSpace
from minigpt.model.mixers.two_streams import TwoStreams
from minigpt.model.state import LayerState


class Mixer(Protocol):
    """What a block asks of its mixer. `init_state(batch)`, which returns a `LayerState`, is optional."""

    causal: bool

    def __call__(self, x: Tensor, turns: Tensor | None = None, state: LayerState | None = None) -> Tensor:
        """Return (B, T, C) for x (B, T, C)."""


MIXERS: dict[str, Callable[[ModelConfig], nn.Module]] = {
    "attention": CausalSelfAttention,
    "state_space": StateSpace,
    "two_streams": TwoStreams,
    "memory": Memory,
}
