"""The n-gram baseline is a probability distribution, and a better one with each token of context."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.data.corpus import load_corpus
from minigpt.data.ngram import NGram, unigram_entropy
from minigpt.data.tokenizer import shipped_tokenizer

VOCABULARY = 7
tokens = st.lists(st.integers(0, VOCABULARY - 1), min_size=5, max_size=200)


@settings(max_examples=60, deadline=None)
@given(tokens, st.lists(st.integers(0, VOCABULARY - 1), max_size=8), st.integers(1, 5))
def test_probabilities_are_positive_and_sum_to_one(text, context, order):
    distribution = NGram(order, VOCABULARY).fit(text).distribution(context)
    assert distribution.shape == (VOCABULARY,)
    assert (distribution > 0).all() and math.isclose(distribution.sum(), 1, abs_tol=1e-9)


@settings(max_examples=20, deadline=None)
@given(tokens, tokens)
def test_loss_is_the_mean_surprise(text, other):
    model = NGram(3, VOCABULARY).fit(text)
    surprises = [-math.log(model.distribution(other[:index])[token]) for index, token in enumerate(other)]
    assert math.isclose(model.loss(other), sum(surprises) / len(surprises), rel_tol=1e-9)


def test_kneser_ney_counts_contexts_not_occurrences():
    """Francisco is frequent, but only after San: after a new word, one of many contexts is likelier."""
    san, francisco, the, *others = range(9)
    text = [san, francisco] * 20
    for other in others:
        text += [other, the]
    model = NGram(2, 10).fit(text)
    unseen = model.distribution([9])
    assert unseen[the] > unseen[francisco]
    assert model.distribution([san]).argmax() == francisco


def test_by_hand():
    """Bigrams of 0 1 0 1 1: too few counts to estimate a discount, so each count of one or more loses 0.5."""
    model = NGram(2, 2).fit([0, 1, 0, 1, 1])
    # 0 follows {1}, 1 follows {0, 1}; below, p(0) = 0.5/3 + (1/3)/2 and p(1) = 1.5/3 + (1/3)/2.
    p0, p1 = 1 / 3, 2 / 3
    # After 0: only 1, twice. After 1: 0 once, 1 once.
    assert np.allclose(model.distribution([0]), [0.25 * p0, 0.75 + 0.25 * p1])
    assert np.allclose(model.distribution([1]), [0.25 + 0.5 * p0, 0.25 + 0.5 * p1])


def test_entropy_of_even_tokens_is_the_log_of_their_number():
    assert math.isclose(unigram_entropy([0, 1, 2, 3] * 10), math.log(4))


def test_longer_contexts_help_on_the_corpus():
    corpus, tokenizer = load_corpus(), shipped_tokenizer()
    train, validation = tokenizer.encode(corpus.train), tokenizer.encode(corpus.validation)
    losses = [NGram(order).fit(train).loss(validation) for order in (1, 2, 3, 5)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] < math.log(512) and abs(losses[0] - unigram_entropy(train)) < 0.1


@pytest.mark.parametrize("text", [[0, 1], [0, 1, 2, 3, 4, 512], [-1, 0, 1, 2, 3]])
def test_text_that_cannot_be_counted_is_refused(text):
    with pytest.raises(ValueError):
        NGram(5).fit(text)
