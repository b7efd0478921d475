"""A GPT (Radford et al., 2019), whole: embeddings, blocks of causal attention and an MLP, and a head.

    model = GPT(Config())
    init_weights(model, Config())
    logits = model(token_ids)

The config chooses among the forms that GPTs have had since: LayerNorm or RMSNorm, before or after each part,
learned or rotary positions, GELU or SwiGLU, normalised queries and keys, biases, a tied or a free head.

Shape legend: B batch, T tokens (time), C = n_embd channels, V = vocab_size.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minigpt.config import ModelConfig
from minigpt.model.kernels import Linear

if TYPE_CHECKING:
    from minigpt.model.generation import KVCache, LayerCache

NORM_EPS = 1e-5  # GPT-2's
ROTARY_BASE = 10_000.0  # Su et al., 2021


def make_norm(config: ModelConfig, width: int) -> nn.Module:
    """Return a LayerNorm (Ba et al., 2016) or RMSNorm (Zhang & Sennrich, 2019) of the last dimension."""
    if config.norm == "rmsnorm":
        return nn.RMSNorm(width, eps=NORM_EPS)
    return nn.LayerNorm(width, eps=NORM_EPS, bias=config.bias)


def rotations(start: int, length: int, head_size: int, device: torch.device) -> Tensor:
    """Return the rotary angles of positions start … start + length − 1 as complex numbers of modulus 1.

    Pair i of a head turns by position · base^(−2i / head_size) (Su et al., 2021, equation 15).

    Returns:
        (length, 1, head_size / 2), the 1 standing for the heads.
    """
    pairs = torch.arange(0, head_size, 2, dtype=torch.float32, device=device)
    positions = torch.arange(start, start + length, dtype=torch.float32, device=device)
    angles = torch.outer(positions, ROTARY_BASE ** (-pairs / head_size))
    return torch.polar(torch.ones_like(angles), angles)[:, None]


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turn each pair of neighbouring channels of x (B, T, n_head, head_size) by its position's angle."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))  # (B, T, n_head, head_size / 2)
    return torch.view_as_real(pairs * turns).flatten(-2).type_as(x)


class CausalSelfAttention(nn.Module):
    """Multi-head attention in which a token sees itself and what came before it (Vaswani et al., 2017)."""

    causal = True

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.n_head = config.n_head
        self.dropout = config.dropout
        # queries, keys and values in one product
        self.c_attn = Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = Linear(config.n_embd, config.n_embd, bias=config.bias)
        head_size = config.n_embd // config.n_head
        self.q_norm = make_norm(config, head_size) if config.qk_norm else nn.Identity()
        self.k_norm = make_norm(config, head_size) if config.qk_norm else nn.Identity()

    def forward(self, x: Tensor, turns: Tensor | None = None, cache: LayerCache | None = None) -> Tensor:
        B, T, C = x.shape
        heads = self.c_attn(x).view(B, T, 3, self.n_head, C // self.n_head)
        q, k, v = heads.unbind(2)  # each (B, T, n_head, head_size)
        q, k = self.q_norm(q), self.k_norm(k)
        if turns is not None:
            q, k = rotate(q, turns), rotate(k, turns)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # each (B, n_head, T, head_size)
        mask = None
        if cache is not None:
            k, v, mask = cache.extend(k, v)  # (B, n_head, T so far, head_size)
        y = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal and mask is None,
        )  # (B, n_head, T, head_size)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))


class MLP(nn.Module):
    """Two linear layers, four times wider in between, with a GELU (Hendrycks & Gimpel, 2016)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.approximate = "tanh" if config.activation == "gelu_tanh" else "none"
        self.c_fc = Linear(config.n_embd, 4 * config.n_embd, bias=config.bias)
        self.c_proj = Linear(4 * config.n_embd, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate=self.approximate))


class SwiGLU(nn.Module):
    """An MLP whose inner values pass through a gate (Shazeer, 2020).

    It is 8/3 times wider in between instead of 4 times, so that three matrices cost what two did; rounded up
    to a multiple of 16.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        width = 16 * math.ceil(8 * config.n_embd / 3 / 16)
        self.c_gate = Linear(config.n_embd, width, bias=config.bias)
        self.c_fc = Linear(config.n_embd, width, bias=config.bias)
        self.c_proj = Linear(width, config.n_embd, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.silu(self.c_gate(x)) * self.c_fc(x))


class Block(nn.Module):
    """Attention, then MLP, each added to the residual stream.

    Pre-norm normalises what a part reads, post-norm the sum it leaves (Xiong et al., 2020).
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.pre_norm = config.norm_position == "pre"
        self.ln_1 = make_norm(config, config.n_embd)
        self.attn = CausalSelfAttention(config)
        self.ln_2 = make_norm(config, config.n_embd)
        self.mlp = SwiGLU(config) if config.activation == "swiglu" else MLP(config)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, turns: Tensor | None = None, cache: LayerCache | None = None) -> Tensor:
        if self.pre_norm:
            x = x + self.drop(self.attn(self.ln_1(x), turns, cache))
            return x + self.drop(self.mlp(self.ln_2(x)))
        x = self.ln_1(x + self.drop(self.attn(x, turns, cache)))
        return self.ln_2(x + self.drop(self.mlp(x)))


class GPT(nn.Module):
    """Token ids (B, T) to logits (B, T, V)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)  # token embedding
        if config.positions == "learned":
            self.wpe = nn.Embedding(config.context, config.n_embd)  # position embedding
        self.drop = nn.Dropout(config.dropout)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        # a post-norm block leaves its sum normalised already
        self.ln_f = make_norm(config, config.n_embd) if config.norm_position == "pre" else nn.Identity()
        self.lm_head = Linear(config.n_embd, config.vocab_size, bias=False)
        if config.tied_head:
            self.lm_head.weight = self.wte.weight  # (Press & Wolf, 2017)

    def forward(self, idx: Tensor, cache: KVCache | None = None) -> Tensor:
        """Return the logits of `idx`; with a cache, `idx` continues the tokens that the cache has seen."""
        T, start = idx.shape[1], 0 if cache is None else cache.length
        x, turns = self.wte(idx), None  # (B, T, C)
        if self.config.positions == "learned":
            x = x + self.wpe.weight[start : start + T]
        else:
            turns = rotations(start, T, self.config.n_embd // self.config.n_head, idx.device)
        x = self.drop(x)
        for i, block in enumerate(self.h):
            x = block(x, turns, None if cache is None else cache.layers[i])
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


def flops_per_token(model: GPT, training: bool = True) -> int:
    """Return the floating-point operations that one token of a full context costs, a multiply-add as two.

    Forward: 2 · (weights of the matrix products) + 4 · L · C · T for queries · keys and weights · values over
    the whole T × T square. Norms, activations and the embedding's look-up are left out. The way back costs
    two products for each one forward. Source: Kaplan et al., 2020, table 1; Chowdhery et al., 2022,
    appendix B.
    """
    config = model.config
    matrices = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
    forward = 2 * matrices + 4 * config.n_layer * config.n_embd * config.context
    return 3 * forward if training else forward
