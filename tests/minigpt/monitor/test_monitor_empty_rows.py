"""Rows of text without any target, as a mask of the labels that is too long leaves them."""

import pytest
import torch
from loops import batch_at, tokens
from wild_kinds import train
from wild_loops import Little

from minigpt.diagnosis import check
from minigpt.diagnosis.tree import Verdict


@pytest.mark.parametrize(("longest", "odd"), [(20, False), (40, True)])
def test_a_question_that_is_hidden_further_than_its_row_goes(longest, odd, watch):
    data = tokens()

    def batches(step):
        inputs, targets, _ = batch_at(data, step)
        hidden = torch.full((len(targets), 1), 8)
        hidden[step % len(hidden)] = longest  # of 32
        return inputs, targets.masked_fill(torch.arange(targets.shape[1]) < hidden, -100)

    train(watch, Little(), batches=batches)
    found = check(watch.run_dir, whole=True)
    assert found.leaves == []
    (finding,) = [finding for finding in found.findings if finding.question == "1.8"]
    assert (finding.verdict is Verdict.UNKNOWN) == (found.verdict is Verdict.UNKNOWN) == odd


def test_rows_of_padding_alone_need_no_target(watch):
    data = tokens()

    def batches(step):
        inputs, targets, _ = batch_at(data, step)
        inputs, targets = inputs.clone(), targets.clone()
        inputs[-1], targets[-1] = 0, -100  # the data ended before the batch was full
        return inputs, targets

    train(watch, Little(), batches=batches)
    assert check(watch.run_dir).verdict is not Verdict.UNKNOWN
