"""Text to tokens: the shipped corpus, a text of one's own, and texts that cannot serve."""

import pytest
import torch

from minigpt.config import Config
from minigpt.data.corpus import load_corpus
from minigpt.data.dataset import load_data
from minigpt.data.tokenizer import shipped_tokenizer
from minigpt.messages import MiniGPTError

WORDS = "the quick brown fox jumps over the lazy dog and runs away from seven angry geese".split()


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "fox.txt"
    lines = [" ".join(WORDS[i % 16 - j % 7] + "ab"[i * j % 2] for j in range(8)) for i in range(400)]
    path.write_text("\n".join(f"{line} {i}" for i, line in enumerate(lines)), encoding="utf-8")
    return path


def test_the_corpus_is_encoded_whole_by_the_shipped_tokenizer():
    data, corpus = load_data(Config()), load_corpus()
    assert data.train.dtype is torch.int64 and int(data.train.max()) < 512
    assert shipped_tokenizer().decode(data.validation.tolist()) == corpus.validation
    assert data.hashes == corpus.hashes and data.hashes


def test_another_vocabulary_gets_a_tokenizer_of_its_own():
    assert load_data(Config(vocab_size=300)).tokenizer.vocab_size == 300


def test_a_text_of_one_s_own_is_named_and_hashed(text):
    data = load_data(Config(text=str(text), vocab_size=300, context=16))
    assert data.name == "fox.txt" and data.tokenizer.vocab_size == 300
    assert data.hashes["file"]


def test_a_text_shorter_than_the_context_is_refused(text):
    with pytest.raises(MiniGPTError, match="context"):
        load_data(Config(text=str(text), vocab_size=300, context=4096))
