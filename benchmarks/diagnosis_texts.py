"""The texts of the runs that `diagnosis.py` judges: characters for a small vocabulary, else byte pairs."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from functools import lru_cache
from pathlib import Path

import torch

from minigpt.data.corpus import Corpus, load_corpus, load_text
from minigpt.data.dataset import Data
from minigpt.data.tokenizer import Tokenizer

MODULES = {  # of the standard library, whose source is on every machine
    "prose": ["pydoc_data.topics"],
    "code": ["argparse", "inspect", "typing", "tarfile", "doctest"],
    "numbers": ["decimal", "_pydecimal", "fractions", "statistics", "random", "datetime", "calendar"],
    "more code": ["email._header_value_parser", "http.client", "urllib.request", "smtplib", "zipfile"],
}


@lru_cache(maxsize=8)
def data(text: str, vocab_size: int) -> Data:
    """Return a text in tokens: characters below 257 of them, bytes in pairs above."""
    corpus = _corpus(text)
    kind = Tokenizer if vocab_size > 256 else Characters
    tokenizer = kind.train(corpus.train, vocab_size)
    sides = {side: torch.tensor(tokenizer.encode(getattr(corpus, side))) for side in ("train", "validation")}
    return Data(tokenizer=tokenizer, name=text, hashes=corpus.hashes, **sides)


@lru_cache(maxsize=3)
def _corpus(text: str) -> Corpus:
    if text == "verbs":
        return load_corpus()
    content = "".join(
        Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8") for name in MODULES[text]
    )
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as file:
        file.write(content)
        file.flush()
        return load_text(file.name)


class Characters:
    """The most frequent characters, one token each, and one for all others."""

    def __init__(self, characters: str):
        self._characters = characters
        self._ids = {character: id for id, character in enumerate(characters)}
        self.vocab_size, self.newline = len(characters) + 1, self._ids["\n"]

    @classmethod
    def train(cls, text: str, vocab_size: int) -> Characters:
        """Keep the `vocab_size - 1` most frequent characters of `text`."""
        counts = {character: text.count(character) for character in sorted(set(text))}
        frequent = sorted(counts, key=counts.get, reverse=True)[: vocab_size - 1]
        padding = (chr(0x2500 + index) for index in range(vocab_size - 1 - len(frequent)))
        return cls("".join([*frequent, *padding]))

    def encode(self, text: str) -> list[int]:
        """Return the token ids of `text`."""
        return [self._ids.get(character, self.vocab_size - 1) for character in text]

    def decode(self, ids) -> str:
        """Return the text of token ids."""
        return "".join((self._characters + "\ufffd")[id] for id in ids)

    def to_json(self) -> str:
        """Return the characters, to be kept beside the weights."""
        return json.dumps(self._characters)
