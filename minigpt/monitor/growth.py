"""What makes output logits grow in anybody's model: the gains of its norms, and its token embedding.

    Growth(model, vocab_size=50257).found()      # {"gain_rms": 1.02, "wte_rms": 0.14}

A gain is a vector of a module whose class says that it is a norm, and no bias. The embedding is the table of
as many rows as the vocabulary has tokens, or a bare parameter of that size.
"""

from __future__ import annotations

from torch import Tensor, nn

from minigpt.monitor.layers import find_layers, token_table
from minigpt.training.instruments.logits import growth


class Growth:
    """The tensors whose size is followed."""

    def __init__(self, model: nn.Module, vocab_size: int):
        self._gains = [gain for gain in _gains(model) if _whole(gain)]
        # 1 is added to what begins at 0, as Gemma's norms do
        self._added = float(bool(self._gains) and not any(bool(gain.any()) for gain in self._gains))
        table = token_table(model, find_layers(model, vocab_size))
        self._table = table if table is not None and _whole(table) else None

    def found(self) -> dict[str, float]:
        """Return their root mean squares now, `gain_rms` and `wte_rms`; what is not there is left out."""
        return growth([gain.detach() + self._added for gain in self._gains], self._table)


def _gains(model: nn.Module) -> list[nn.Parameter]:
    norms = [module for module in model.modules() if "norm" in type(module).__name__.lower()]
    named = [pair for norm in norms for pair in norm.named_parameters(recurse=False)]
    return [gain for name, gain in named if gain.ndim == 1 and "bias" not in name]


def _whole(tensor: Tensor) -> bool:
    """Return whether it holds numbers, and not one shard of them."""
    return type(tensor.detach()) is Tensor and tensor.device.type != "meta" and tensor.is_floating_point()
