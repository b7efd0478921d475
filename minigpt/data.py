"""Text to tokens: what a run trains and validates on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from minigpt.config import Config
from minigpt.corpus import load_corpus, load_text
from minigpt.messages import MiniGPTError
from minigpt.tokenizer import SHIPPED, Tokenizer, shipped_tokenizer


@dataclass(frozen=True)
class Data:
    """Both sides of a text as token ids, with the tokenizer that made them."""

    train: Tensor  # (N,) int64
    validation: Tensor  # (M,) int64
    tokenizer: Tokenizer
    name: str
    hashes: dict[str, str]  # SHA-256 of what was read, for the manifest


def load_data(config: Config) -> Data:
    """Read the course's corpus, or `config.text`, and encode it.

    The shipped tokenizer serves the shipped corpus; another text or vocabulary size gets a tokenizer of its
    own, learnt on the training side.

    Raises:
        MiniGPTError: the text cannot be read, is too short for the context, or too poor for the vocabulary.
    """
    corpus = load_text(config.text) if config.text else load_corpus()
    if config.text is None and config.vocab_size == 512 and SHIPPED.exists():
        tokenizer = shipped_tokenizer()
    else:
        tokenizer = Tokenizer.train(corpus.train, config.vocab_size)
    sides = {}
    for side in ("train", "validation"):
        ids = tokenizer.encode(getattr(corpus, side))
        if len(ids) <= config.context:
            raise MiniGPTError(
                "data.text-shorter-than-context", side=side, tokens=len(ids), context=config.context
            )
        sides[side] = torch.tensor(ids)
    return Data(tokenizer=tokenizer, name=corpus.name, hashes=corpus.hashes, **sides)
