"""What training and validation text have in common: whole lines, and long pieces."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt.config import Config
from minigpt.data import overlap as module
from minigpt.data.dataset import load_data
from minigpt.data.overlap import overlap, shared_ngrams
from minigpt.data.tokenizer import shipped_tokenizer
from minigpt.diagnosis import QUESTIONS, Evidence, walk
from minigpt.diagnosis.report import seen
from minigpt.runs.jsonl import Columns
from minigpt.runs.schema import Source, Start

tokens = st.lists(st.integers(0, 3), max_size=60)


@given(train=tokens, validation=tokens, n=st.integers(1, 5), chunk=st.integers(1, 80))
def test_the_share_of_ngrams_is_that_of_a_plain_count_however_the_text_is_cut(train, validation, n, chunk):
    known = {tuple(train[at : at + n]) for at in range(len(train) - n + 1)}
    wanted = [tuple(validation[at : at + n]) for at in range(len(validation) - n + 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        share = shared_ngrams(torch.tensor(train), torch.tensor(validation), n)
    if not wanted:
        assert share is None
    else:
        assert share == pytest.approx(sum(gram in known for gram in wanted) / len(wanted))


def test_a_text_copied_with_other_line_breaks_shares_no_line_and_most_pieces():
    tokenizer = shipped_tokenizer()
    people = ("ella", "mi hermano", "el profesor", "nuestra vecina")
    sentences = [
        f"{who} trabaja toda la semana y descansa los domingos en su casa del pueblo," for who in people
    ]
    train = "".join(f"{one} {two}\n" for one, two in zip(sentences, sentences[1:], strict=False))
    validation = "".join(f"{one}\n" for one in sentences[1:])
    found = overlap(*(torch.tensor(tokenizer.encode(text)) for text in (train, validation)), tokenizer)
    assert found["shared_lines"] == 0
    assert found["shared_ngrams"] > 0.5


def test_the_courses_own_texts_share_no_line_and_hardly_a_piece():
    data = load_data(Config())
    found = overlap(data.train, data.validation, data.tokenizer)
    assert found["shared_lines"] == 0
    assert found["shared_ngrams"] < 0.01


def test_a_validation_text_too_short_for_a_piece_is_not_measured():
    tokenizer = shipped_tokenizer()
    found = overlap(torch.arange(100), torch.tensor(tokenizer.encode("yo")), tokenizer)
    assert found["shared_ngrams"] is None


@pytest.mark.parametrize(
    ("gap", "ngrams", "leaf"),
    [
        (-0.4, 0.2, "data-leak"),
        (-0.4, 0.05, None),  # dropout makes training harder than validation
        (0.0, 0.2, None),  # texts of a kind share pieces
        (-0.4, None, None),
    ],
)
def test_pieces_confirm_a_validation_loss_that_is_too_good(gap, ngrams, leaf):
    records = [{"step": step, "loss": 3.0} for step in range(100)]
    records[-1]["val_loss"] = 3.0 + gap
    evidence = Evidence(
        source=Source.TRAINER, metrics=Columns(records), start=Start(shared_lines=0.0, shared_ngrams=ngrams)
    )
    found = walk(evidence, [question for question in QUESTIONS if question.id == "4.2"])
    assert found.leaf == leaf
    assert f"{gap:+.3f}" in seen(found.findings[0], "en")
    assert ("(not measured)" in seen(found.findings[0], "en")) is (ngrams is None)
