"""Byte-level BPE: lossless, with the line break a token of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt.data.corpus import load_corpus
from minigpt.data.tokenizer import Tokenizer, shipped_tokenizer
from minigpt.messages import MiniGPTError


@given(st.text())
def test_any_text_survives_the_round_trip(text):
    tokenizer = shipped_tokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text(alphabet="abñ \n"))
def test_every_line_break_is_a_token_of_its_own(text):
    tokenizer = shipped_tokenizer()
    assert tokenizer.encode(text).count(tokenizer.newline) == text.count("\n")


def test_the_shipped_one_has_the_course_s_512_tokens_and_was_learnt_on_the_training_side():
    shipped = shipped_tokenizer()
    assert shipped.vocab_size == 512
    assert shipped.to_json() == Tokenizer.train(load_corpus().train, 512).to_json()


def test_it_survives_a_file(tmp_path):
    shipped_tokenizer().save(tmp_path / "t.json")
    assert Tokenizer.load(tmp_path / "t.json").to_json() == shipped_tokenizer().to_json()


def test_a_text_too_poor_for_the_vocabulary_says_what_it_supports():
    with pytest.raises(MiniGPTError) as caught:
        Tokenizer.train("abab abab\n" * 50, 512)
    assert "512" in str(caught.value) and str(caught.value.values["found"]) in str(caught.value)
    Tokenizer.train("abab abab\n" * 50, caught.value.values["found"])


def test_bytes_that_are_no_text_become_the_replacement_character():
    tokenizer = shipped_tokenizer()
    half = tokenizer.encode("é")[:1] if len(tokenizer.encode("é")) > 1 else tokenizer.encode("€")[:1]
    assert tokenizer.decode(half) == "\ufffd"
