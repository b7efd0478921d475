"""Attention seen from outside: the largest logit and the entropy of every attention layer.

    found = attention(model, inputs)       # {"max_logit": [7.1, 9.4], "entropy": [0.71, 0.65]}

A hook on each layer takes what it is given, makes its queries and keys once more as the layer does, and reads
softmax(q·k/√d). A model without such layers gives nothing. Growing logits precede a divergence (Dehghani et
al., 2023; Wortsman et al., 2023).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from minigpt.model.mixers.attention import CausalSelfAttention
from minigpt.model.positions import rotate
from minigpt.training.instruments.quiet import quietly


def attention(model: nn.Module, inputs: Tensor) -> dict[str, list[float]]:
    """Return, by attention layer, the largest |q·k/√d| and the mean entropy ÷ ln(tokens that can be seen).

    Args:
        inputs: (B, T) token ids.

    Returns:
        Empty where the model has no `CausalSelfAttention`.
    """
    logits: list[float] = []
    entropies: list[float] = []

    def read(layer: CausalSelfAttention, arguments: tuple) -> None:
        logit, entropy = _read(layer, *arguments[:2])
        logits.append(logit)
        entropies.append(entropy)

    layers = [module for module in model.modules() if isinstance(module, CausalSelfAttention)]
    handles = [layer.register_forward_pre_hook(read) for layer in layers]
    try:
        if layers:
            quietly(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return {"max_logit": logits, "entropy": entropies} if logits else {}


def _read(layer: CausalSelfAttention, x: Tensor, turns: Tensor | None = None) -> tuple[float, float]:
    B, T, C = x.shape
    q, k, _ = layer.c_attn(x).view(B, T, 3, layer.n_head, C // layer.n_head).unbind(2)
    q, k = layer.q_norm(q), layer.k_norm(k)  # (B, T, n_head, head_size)
    if turns is not None:
        q, k = rotate(q, turns), rotate(k, turns)
    q, k = q.transpose(1, 2).float(), k.transpose(1, 2).float()
    scores = q @ k.mT / math.sqrt(q.shape[-1])  # (B, n_head, T, T)
    seen = torch.ones(T, T, dtype=torch.bool, device=x.device).tril()
    if not layer.causal:
        seen = torch.ones_like(seen)
    largest = scores.masked_fill(~seen, 0.0).abs().max().item()
    log_p = scores.masked_fill(~seen, -math.inf).log_softmax(-1)
    entropy = -(log_p.exp() * log_p.masked_fill(~seen, 0.0)).sum(-1)  # (B, n_head, T)
    possible = seen.sum(-1).float().log()  # (T,)
    several = possible > 0  # the first token sees itself alone
    if not several.any():
        return largest, 1.0
    return largest, (entropy[..., several] / possible[several]).mean().item()
