"""Causal self-attention (Vaswani et al., 2017): a token reads itself and what came before it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from minigpt.config import ModelConfig
from minigpt.model.norms import make_norm
from minigpt.model.positions import rotate
from minigpt.model.roles import Role
from minigpt.model.state import KVCache


class CausalSelfAttention(nn.Module):
    """Multi-head attention."""

    causal = True
    parameter_roles = {"c_proj.weight": Role.RESIDUAL}

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.n_head, self.context = config.n_head, config.context
        self.dropout = config.dropout
        # queries, keys and values in one product
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.bias)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        head_size = config.n_embd // config.n_head
        self.q_norm = make_norm(config, head_size) if config.qk_norm else nn.Identity()
        self.k_norm = make_norm(config, head_size) if config.qk_norm else nn.Identity()

    def forward(self, x: Tensor, turns: Tensor | None = None, state: KVCache | None = None) -> Tensor:
        return self.c_proj(self.mix(x, turns, state))

    def mix(self, x: Tensor, turns: Tensor | None = None, state: KVCache | None = None) -> Tensor:
        """Return what the heads have read, side by side, (B, T, C)."""
        B, T, C = x.shape
        heads = self.c_attn(x).view(B, T, 3, self.n_head, C // self.n_head)
        q, k, v = heads.unbind(2)  # each (B, T, n_head, head_size)
        q, k = self.q_norm(q), self.k_norm(k)
        if turns is not None:
            q, k = rotate(q, turns), rotate(k, turns)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # each (B, n_head, T, head_size)
        mask = None
        if state is not None:
            k, v, mask = state.extend(k, v)  # (B, n_head, T so far, head_size)
        y = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal and mask is None,
        )  # (B, n_head, T, head_size)
        return y.transpose(1, 2).reshape(B, T, C)

    @property
    def mixing_flops(self) -> int:
        """Operations for one token: queries · keys and weights · values over the whole T × T square."""
        return 4 * self.c_proj.in_features * self.context

    def init_state(self, batch: int) -> KVCache:
        """Return an empty cache: the keys and values of a token do not change when later tokens follow."""
        weight = self.c_proj.weight
        return KVCache(batch, self.n_head, self.context, weight.shape[0] // self.n_head, weight)
