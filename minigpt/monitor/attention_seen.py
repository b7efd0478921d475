"""The scores of anybody's attention, read on their way into a softmax.

    with ScoresSeen() as seen:
        model(ids)
    seen.figures()          # {"attention_logit": 3.1, "attention_saturated": 0.0}

Scores are what a softmax is asked to make weights of in a square of tokens by tokens, or the products that
`scaled_dot_product_attention` is given. Those that a mask has put far below are left out.
`nn.MultiheadAttention` keeps its scores to itself and is not seen.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

MASKED = -1e4  # scores below are a mask's
FEWEST = 8  # tokens of a square
SATURATED = 0.05  # entropy of the weights ÷ ln of the tokens that are seen
SOFTMAXES = (torch.softmax, torch.Tensor.softmax, F.softmax)


class ScoresSeen(TorchFunctionMode):
    """Reads the scores of every attention in the calls made within it."""

    def __init__(self) -> None:
        super().__init__()
        self._layers: list[tuple[float, float]] = []  # largest score, and entropy of the weights

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        """Note what passes by, and let it pass."""
        named = kwargs or {}
        try:
            if func in SOFTMAXES and named.get("dim", args[1] if len(args) > 1 else None) in (
                -1,
                args[0].ndim - 1,
            ):
                self._note(args[0])
            elif func is F.scaled_dot_product_attention:
                self._note(_scores(*args[:2], named.get("scale")), bool(named.get("is_causal")))
        except Exception:  # calls are made in many ways, and one that is not understood is no matter
            pass
        return func(*args, **named)

    @torch.no_grad()
    def _note(self, scores: Tensor, causal: bool = False) -> None:
        if scores.ndim < 3 or scores.shape[-1] != scores.shape[-2] or scores.shape[-1] < FEWEST:
            return
        scores = scores.detach().float()
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -math.inf)
        seen = scores > MASKED
        weights = scores.softmax(-1)
        entropy = -(weights * weights.clamp(min=1e-30).log()).sum(-1)
        count = seen.sum(-1)
        several = count > 1
        if not several.any():
            return
        even = (entropy[several] / count[several].float().log()).mean()
        self._layers.append((float(scores[seen].abs().max()), float(even)))

    def figures(self) -> dict[str, float]:
        """Return the largest score of all layers, and that of layers whose attention sees one token alone."""
        layers = [(score, entropy) for score, entropy in self._layers if math.isfinite(score + entropy)]
        if not layers:
            return {}
        stuck = [score for score, entropy in layers if entropy < SATURATED]
        return {
            "attention_logit": max(score for score, _ in layers),
            "attention_saturated": max(stuck, default=0.0),
        }


def _scores(queries: Tensor, keys: Tensor, scale: float | None) -> Tensor:
    scale = queries.shape[-1] ** -0.5 if scale is None else scale
    if queries.shape[1] != keys.shape[1]:  # groups of queries share a key
        keys = keys.repeat_interleave(queries.shape[1] // keys.shape[1], 1)
    return queries @ keys.transpose(-2, -1) * scale
