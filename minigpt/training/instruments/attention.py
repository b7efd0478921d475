"""Attention seen from outside: the largest logit and the entropy of every attention layer.

    found = attention(model, inputs)       # {"max_logit": [7.1, 9.4], "entropy": [0.71, 0.65]}

Queries and keys are read where the model gives them to `scaled_dot_product_attention`, so a layer is measured
as it computes, whatever it is called; one that computes attention in another way gives nothing. Growing
logits precede a divergence (Dehghani et al., 2023; Wortsman et al., 2023).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from minigpt.training.instruments.quiet import quietly

MOST = 2**24  # scores of one layer, above which only the first rows are read


class AttentionReader(TorchFunctionMode):
    """Inside this context every call of scaled_dot_product_attention is read; in the order of the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.logits: list[float] = []
        self.entropies: list[float] = []

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            logit, entropy = _read(*args, **kwargs)
            self.logits.append(logit)
            self.entropies.append(entropy)
        return func(*args, **kwargs)

    def found(self) -> dict[str, list[float]]:
        """Return `max_logit` and `entropy` by call; empty where there was none."""
        return {"max_logit": self.logits, "entropy": self.entropies} if self.logits else {}


def attention(model: nn.Module, inputs: Tensor) -> dict[str, list[float]]:
    """Return, by attention layer, the largest |q·k/√d| and the mean entropy ÷ ln(tokens that can be seen).

    Args:
        inputs: (B, T) token ids.

    Returns:
        Empty where the model makes no such call.
    """
    with AttentionReader() as reader:
        quietly(model, inputs)
    return reader.found()


@torch.no_grad()
def _read(
    q: Tensor,
    k: Tensor,
    _v: Tensor,
    attn_mask: Tensor | None = None,
    _dropout: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    **_more: Any,
) -> tuple[float, float]:
    """Return the largest logit of a visible pair and the mean entropy of queries (…, T, d) and keys."""
    rows = max(1, MOST // max(q[0].numel() // q.shape[-1] * k.shape[-2], 1))
    q, k = q[:rows].detach().float(), k[:rows].detach().float()
    if k.shape[-3] != q.shape[-3]:  # several heads share a key
        k = k.repeat_interleave(q.shape[-3] // k.shape[-3], -3)
    q = q * (scale if scale is not None else 1 / math.sqrt(q.shape[-1]))
    scores = q @ k.mT  # (…, T, S)
    seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device)
    if is_causal:
        seen = seen.tril()
    if attn_mask is not None:
        allowed = attn_mask if attn_mask.dtype == torch.bool else torch.isfinite(attn_mask)
        seen = seen & (allowed[:rows] if allowed.ndim == scores.ndim and len(allowed) > 1 else allowed)
    low, high = scores.masked_fill_(~seen, 0.0).aminmax()
    largest = torch.maximum(-low, high).item()
    scores.masked_fill_(~seen, torch.finfo(scores.dtype).min)  # not -inf: 0 × log 0 would be nan
    entropy = -(scores.softmax(-1) * scores.log_softmax(-1)).sum(-1)  # (…, T)
    possible = seen.sum(-1).float().log().expand_as(entropy)
    several = possible > 0  # the first token sees itself alone
    if not several.any():
        return largest, 1.0
    return largest, (entropy[several] / possible[several]).mean().item()
