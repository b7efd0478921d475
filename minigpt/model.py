"""A GPT (Radford et al., 2019), whole: embeddings, blocks of causal attention and an MLP, and a head tied to
the embedding.

    model = GPT(Config())
    init_weights(model, Config())
    logits = model(token_ids)

Shape legend: B batch, T tokens (time), C = n_embd channels, V = vocab_size.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from minigpt.config import ModelConfig


class CausalSelfAttention(nn.Module):
    """Multi-head attention in which a token sees itself and what came before it."""

    causal = True

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.n_head = config.n_head
        self.dropout = config.dropout
        self.c_attn = nn.Linear(
            config.n_embd, 3 * config.n_embd, bias=config.bias
        )  # queries, keys, values in one product
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        heads = self.c_attn(x).view(B, T, 3, self.n_head, C // self.n_head)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # each (B, n_head, T, head_size)
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=self.causal
        )  # (B, n_head, T, head_size)
        y = y.transpose(1, 2).reshape(B, T, C)
        return self.c_proj(y)


class MLP(nn.Module):
    """Two linear layers, four times wider in between."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    """Attention, then MLP, each on a normalised copy of the residual stream (pre-norm)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.mlp = MLP(config)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attn(self.ln_1(x)))
        return x + self.drop(self.mlp(self.ln_2(x)))


class GPT(nn.Module):
    """Token ids (B, T) to logits (B, T, V)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)  # token embedding
        self.wpe = nn.Embedding(config.context, config.n_embd)  # position embedding
        self.drop = nn.Dropout(config.dropout)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.lm_head.weight = self.wte.weight  # tied (Press & Wolf, 2017)

    def forward(self, idx: Tensor) -> Tensor:
        T = idx.shape[1]
        x = self.drop(self.wte(idx) + self.wpe.weight[:T])  # (B, T, C)
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))  # (B, T, V)


def build_model(config: ModelConfig) -> GPT:
    """Return an uninitialised GPT."""
    return GPT(config)


def expected_std(name: str, config: ModelConfig) -> float:
    """Return the standard deviation that the weight called `name` is drawn with.

    GPT-2's rule: `init_std` everywhere, and 1/√(2L) of it where a block writes to the residual stream, since
    2L writes add up.
    """
    return (
        config.init_std / math.sqrt(2 * config.n_layer) if name.endswith("c_proj.weight") else config.init_std
    )


def init_weights(model: GPT, config: ModelConfig) -> None:
    """Draw every weight from torch's generator by its role: matrices normal, norm gains 1, biases 0."""
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2:
            nn.init.normal_(parameter, std=expected_std(name, config))
        else:
            nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)


def parameter_count(model: nn.Module) -> int:
    """Number of trainable parameters, a tied one counted once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
