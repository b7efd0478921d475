"""Mistakes in loss and targets, from public bug reports: named when broken, silent when fixed."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from loops import T, V, batch_at, tokens
from torch import nn
from wild_kinds import Kinds, hold, train
from wild_loops import Little, cross_entropy

pytestmark = pytest.mark.filterwarnings("error:The monitor has stopped")
KINDS = Kinds()


@KINDS.add("double-softmax")
def softmax_in_the_model(watch, broken):
    class Model(Little):
        def forward(self, ids):
            logits = super().forward(ids)
            return logits.softmax(-1) if broken else logits.log_softmax(-1)

    train(watch, Model())


@KINDS.add("double-softmax")
def softmax_in_the_loss(watch, broken):
    model = Little()
    squash = F.softmax if broken else F.log_softmax
    train(watch, model, loss_of=lambda x, y: cross_entropy(squash(model(x), -1), y))


@KINDS.add("double-softmax")
def likelihood_of_probabilities(watch, broken):
    class Model(Little):
        def forward(self, ids):
            logits = super().forward(ids)
            return logits.softmax(-1) if broken else logits.log_softmax(-1)

    model = Model()
    train(watch, model, loss_of=lambda x, y: F.nll_loss(model(x).flatten(0, 1), y.flatten()))


@KINDS.add("double-softmax")
def likelihood_without_a_logarithm(watch, broken):
    model = Little()
    squash = F.softmax if broken else F.log_softmax
    train(watch, model, loss_of=lambda x, y: F.nll_loss(squash(model(x), -1).flatten(0, 1), y.flatten()))


@KINDS.add("double-softmax")
def sigmoid_in_the_model(watch, broken):
    class Model(Little):
        def forward(self, ids):
            logits = super().forward(ids)
            return logits.sigmoid() if broken else logits

    train(watch, Model())


@KINDS.add("missing-log-softmax")
def likelihood_of_raw_logits(watch, broken):
    model = Little()
    squash = (lambda logits: logits) if broken else (lambda logits: logits.log_softmax(-1))
    train(watch, model, loss_of=lambda x, y: F.nll_loss(squash(model(x)).flatten(0, 1), y.flatten()))


def padded(step, pad, end=None, left=False):
    """Return rows of different lengths, and the same with what comes next; (B, T) each."""
    inputs, _, _ = batch_at(tokens(), step)
    lengths = torch.randint(6, T - 6, (len(inputs),), generator=torch.Generator().manual_seed(step))
    for row, length in zip(inputs, lengths.tolist(), strict=True):
        if left:
            row[: T - length] = pad
        else:
            row[length:] = pad
            if end is not None:
                row[length - 1] = end
    targets = torch.cat([inputs[:, 1:], inputs[:, -1:]], 1)
    return inputs, targets


@KINDS.add("targets-kind")
def padding_is_scored(watch, broken):
    def batches(step):
        inputs, targets = padded(step, pad=310)
        return inputs, targets if broken else targets.masked_fill(targets == 310, -100)

    train(watch, Little(), batches=batches)


@KINDS.add("targets-kind")
def padding_on_the_left_is_scored(watch, broken):
    def batches(step):
        inputs, targets = padded(step, pad=310, left=True)
        return inputs, targets if broken else targets.masked_fill(inputs == 310, -100)

    train(watch, Little(), batches=batches)


@KINDS.add("targets-kind")
def the_end_is_hidden_where_layers_are_as_wide_as_the_vocabulary(watch, broken):
    class Wide(Little):
        def __init__(self):
            super().__init__()
            self.mlp = nn.Sequential(nn.Linear(16, V), nn.GELU(), nn.Linear(V, 16))

    def batches(step):
        inputs, targets = padded(step, pad=310)
        hidden = targets == 310 if broken else (inputs == 310) & (targets == 310)
        return inputs, targets.masked_fill(hidden, -100)

    model = Wide()
    model.config = SimpleNamespace(pad_token_id=310, eos_token_id=310)
    train(watch, model, batches=batches)


@KINDS.add("targets-kind")
def labels_are_padded_with_a_token_of_the_vocabulary(watch, broken):
    def batches(step):
        inputs, targets = padded(step, pad=310)
        return inputs, targets.masked_fill(targets == 310, 7 if broken else -100)

    train(watch, Little(), batches=batches)


@KINDS.add("target-shift")
def targets_are_the_tokens_before(watch, broken):
    def batches(step):
        inputs, targets, _ = batch_at(tokens(), step)
        return (targets, inputs) if broken else (inputs, targets)

    train(watch, Little(), batches=batches)


@KINDS.add("targets-kind")
def the_end_is_masked_with_the_padding(watch, broken):
    def batches(step):
        inputs, targets = padded(step, pad=310)
        hidden = targets == 310 if broken else (inputs == 310) & (targets == 310)
        return inputs, targets.masked_fill(hidden, -100)

    model = Little()
    model.config = SimpleNamespace(pad_token_id=310, eos_token_id=310)
    train(watch, model, batches=batches)


@KINDS.add("targets-kind")
def the_token_that_ends_a_text_is_masked(watch, broken):
    def batches(step):
        inputs, targets = padded(step, pad=310, end=311)
        hidden = (targets == 310) | (targets == 311) if broken else targets == 310
        return inputs, targets.masked_fill(hidden, -100)

    train(watch, Little(), batches=batches)


@KINDS.add("targets-kind")
def a_word_is_hidden(watch, broken):
    def batches(step):
        inputs, targets, _ = batch_at(tokens(), step)
        return inputs, targets.masked_fill(targets == 32, -100) if broken else targets

    train(watch, Little(), batches=batches)


@KINDS.add("shuffled-targets")
def logits_viewed_where_a_transpose_belongs(watch, broken):
    model = Little()

    def loss_of(inputs, targets):
        logits = model(inputs)
        if broken:
            return F.cross_entropy(logits.view(len(inputs), V, -1), targets)
        return F.cross_entropy(logits.transpose(1, 2), targets)

    train(watch, model, loss_of=loss_of)


@KINDS.add("shuffled-targets")
def classes_in_the_middle_flattened_as_if_last(watch, broken):
    model = Little()

    def loss_of(inputs, targets):
        logits = model(inputs).transpose(1, 2)
        return (
            F.cross_entropy(logits.reshape(-1, V), targets.flatten())
            if broken
            else F.cross_entropy(logits, targets)
        )

    train(watch, model, loss_of=loss_of)


@KINDS.add("shuffled-targets")
def rows_of_inputs_and_targets_in_two_orders(watch, broken):
    def batches(step):
        inputs, targets, _ = batch_at(tokens(), step)
        return inputs, targets.roll(1, 0) if broken else targets

    train(watch, Little(), batches=batches)


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_named_when_broken_and_silent_when_fixed(name, watch):
    hold(KINDS[name], watch)
