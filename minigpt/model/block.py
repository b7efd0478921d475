"""A block: a mixer and a feed-forward, each added to the residual stream."""

from __future__ import annotations

from torch import Tensor, nn

from minigpt.config import ModelConfig
from minigpt.messages import MiniGPTError
from minigpt.model.ffn import FFNS
from minigpt.model.mixers import MIXERS
from minigpt.model.mixers.memory.homeostasis import Homeostasis
from minigpt.model.norms import make_norm
from minigpt.model.state import BlockState


class Block(nn.Module):
    """The mixer that `config.mixer` names, then the feed-forward that `config.activation` names.

    Pre-norm normalises the input of each part, post-norm the residual sum after it (Xiong et al., 2020). The
    parts are called `attn` and `mlp` whichever they are, as in GPT-2's checkpoints.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.pre_norm = config.norm_position == "pre"
        self.ln_1 = make_norm(config, config.n_embd)
        self.attn = MIXERS[config.mixer](config)
        self.ln_2 = make_norm(config, config.n_embd)
        self.mlp = FFNS[config.activation](config)
        self.drop = nn.Dropout(config.dropout)
        # of a memory GPT: the channels behind the block are held at a target activity
        self.homeostasis = Homeostasis(config) if getattr(config, "homeostasis", False) else nn.Identity()

    def forward(self, x: Tensor, turns: Tensor | None = None, state: BlockState | None = None) -> Tensor:
        """Return the residual stream (B, T, C) after this block; `state` as in `minigpt.model.mixers`."""
        mixed, fed = (None, ()) if state is None else (state.mixer, (state.ffn,) if state.ffn else ())
        if self.pre_norm:
            x = x + self.drop(self.attn(self.ln_1(x), turns, mixed))
            return self.homeostasis(x + self.drop(self.mlp(self.ln_2(x), *fed)))
        x = self.ln_1(x + self.drop(self.attn(x, turns, mixed)))
        return self.homeostasis(self.ln_2(x + self.drop(self.mlp(x, *fed))))

    def init_state(self, batch: int) -> BlockState:
        """Return the states of both parts before the first token.

        Raises:
            MiniGPTError: the mixer cannot read token by token.
        """
        if not hasattr(self.attn, "init_state"):
            raise MiniGPTError("sample.no-step-by-step", mixer=type(self.attn).__name__)
        ffn = self.mlp.init_state(batch) if hasattr(self.mlp, "init_state") else None
        return BlockState(self.attn.init_state(batch), ffn)
