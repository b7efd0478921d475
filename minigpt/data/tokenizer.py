"""Byte-level byte-pair encoding (Sennrich et al., 2016; the byte alphabet is GPT-2's).

Any UTF-8 text can be encoded, since all 256 bytes are tokens. A line break is always a token of its own, so
that a line is an item and generation can stop at its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer as HFTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from minigpt.messages import MiniGPTError

SHIPPED = (
    Path(__file__).parent / "corpus" / "tokenizer.json"
)  # trained on the training side of the course's corpus


class Tokenizer:
    """Text to token ids and back, without loss."""

    def __init__(self, inner: HFTokenizer):
        self._inner = inner

    @classmethod
    def train(cls, text: str, vocab_size: int) -> Tokenizer:
        """Learn the merges from `text`.

        Raises:
            MiniGPTError: the text has too few distinct pairs for `vocab_size` tokens.
        """
        inner = HFTokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        inner.train_from_iterator(text.splitlines(keepends=True), trainer)
        if inner.get_vocab_size() < vocab_size:
            raise MiniGPTError("data.too-few-merges", asked=vocab_size, found=inner.get_vocab_size())
        return cls(inner)

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Read a tokenizer that `save` wrote."""
        return cls(HFTokenizer.from_file(str(path)))

    def to_json(self) -> str:
        """Return the whole tokenizer as JSON, which `load` reads."""
        return self._inner.to_str()

    def save(self, path: Path) -> None:
        """Write the tokenizer as JSON."""
        path.write_text(self.to_json(), encoding="utf-8")

    def encode(self, text: str) -> list[int]:
        """Return the token ids of `text`."""
        return self._inner.encode_batch_fast([text])[0].ids  # without the offsets that `encode` notes beside

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of token ids; bytes that are not UTF-8 become U+FFFD."""
        return self._inner.decode(list(ids), skip_special_tokens=False)

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return self._inner.get_vocab_size()

    @property
    def newline(self) -> int:
        """Id of the line break, where an item ends."""
        return self.encode("\n")[0]


@lru_cache(maxsize=1)
def shipped_tokenizer() -> Tokenizer:
    """Return the course's tokenizer (512 tokens)."""
    return Tokenizer.load(SHIPPED)
