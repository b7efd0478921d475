"""Text to tokens: what a run trains and validates on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from minigpt.config import Config
from minigpt.corpus import Corpus, load_corpus, load_text
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

    The shipped tokenizer serves the shipped corpus, which is encoded once a process; another text or
    vocabulary size gets a tokenizer of its own, learnt on the training side.

    Raises:
        MiniGPTError: the text cannot be read, is too short for the context, or too poor for the vocabulary.
    """
    if config.text is None and config.vocab_size == 512 and SHIPPED.exists():
        data = _shipped_data()
    else:
        corpus = load_text(config.text) if config.text else load_corpus()
        data = _encoded(corpus, Tokenizer.train(corpus.train, config.vocab_size))
    for side in ("train", "validation"):
        tokens = len(getattr(data, side))
        if tokens <= config.context:
            raise MiniGPTError(
                "data.text-shorter-than-context", side=side, tokens=tokens, context=config.context
            )
    return data


@lru_cache(maxsize=1)
def _shipped_data() -> Data:
    return _encoded(load_corpus(), shipped_tokenizer())


def _encoded(corpus: Corpus, tokenizer: Tokenizer) -> Data:
    sides = {side: torch.tensor(tokenizer.encode(getattr(corpus, side))) for side in ("train", "validation")}
    return Data(tokenizer=tokenizer, name=corpus.name, hashes=corpus.hashes, **sides)
