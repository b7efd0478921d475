"""A GPT (Radford et al., 2019), whole: embeddings, blocks and a head.

    model = build_model(Config())
    init_weights(model, Config())
    logits = model(token_ids)

The config chooses among the forms that GPTs have had since: the mixer and the feed-forward of a block,
LayerNorm or RMSNorm, before or after each part, learned or rotary positions, normalised queries and keys,
biases, a tied or a free head. To read the model, read on in `block.py`, `mixers/attention.py` and
`ffn/mlp.py`.

Shape legend: B batch, T tokens (time), C = n_embd channels, V = vocab_size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from minigpt.config import ModelConfig
from minigpt.model.block import Block
from minigpt.model.norms import make_norm
from minigpt.model.positions import rotations
from minigpt.model.roles import RULES, roles_of
from minigpt.model.state import ModelState


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
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        if config.tied_head:
            self.lm_head.weight = self.wte.weight  # (Press & Wolf, 2017)

    def forward(self, idx: Tensor, state: ModelState | None = None) -> Tensor:
        """Return the logits of `idx`.

        Without a state every row is a document of its own. With one, `idx` continues the tokens that the
        state has read, and the state is brought up to date.
        """
        T, start = idx.shape[1], 0 if state is None else state.length
        x, turns = self.wte(idx), None  # (B, T, C)
        if self.config.positions == "learned":
            x = x + self._position_embedding(start, T, state)
        else:
            turns = rotations(start, T, self.config.n_embd // self.config.n_head, idx.device)
        x = self.drop(x)
        for i, block in enumerate(self.h):
            x = block(x, turns, None if state is None else state.blocks[i])
        if state is not None:
            state.length += T
        return self.lm_head(self.ln_f(x))  # (B, T, V)

    def _position_embedding(self, start: int, T: int, state: ModelState | None) -> Tensor:
        """Return (T, C); or (B, T, C) where rows began new documents, which count from 0 again."""
        if state is None or state.first is None:
            return self.wpe.weight[start : start + T]
        positions = torch.arange(start, start + T, device=state.first.device)
        return self.wpe(positions - state.first[:, None])

    def init_state(self, batch: int) -> ModelState:
        """Return the state of a model that has read nothing yet, for `batch` sequences side by side.

        Raises:
            MiniGPTError: a mixer cannot read token by token.
        """
        return ModelState([block.init_state(batch) for block in self.h])


def build_model(config: ModelConfig) -> GPT:
    """Return an uninitialised GPT."""
    return GPT(config)


def init_weights(model: nn.Module, config: ModelConfig) -> None:
    """Draw every parameter from torch's generator as its role asks (`minigpt.model.roles`)."""
    parameters = dict(model.named_parameters())
    for name, role in roles_of(model).items():
        RULES[role].draw(parameters[name], config)


def parameter_count(model: nn.Module) -> int:
    """Number of trainable parameters, a tied one counted once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def flops_per_token(model: GPT, training: bool = True) -> int:
    """Return the floating-point operations that one token of a full context costs, a multiply-add as two.

    Forward: 2 · (weights of the linear layers), and what each mixer computes beside them (its
    `mixing_flops`). Norms, activations and the embedding's look-up are left out. The backward pass costs two
    products for each one forward. Source: Kaplan et al., 2020, table 1; Chowdhery et al., 2022, appendix B.
    """
    matrices = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
    mixing = sum(m.mixing_flops for m in model.modules() if hasattr(m, "mixing_flops"))
    forward = 2 * matrices + mixing
    return 3 * forward if training else forward
