"""Copies of a model in several processes: what each leaves behind tells whether they stayed equal."""

import copy

import pytest
import torch
from small_runs import MINIMAL

from minigpt.data.batches import get_batch
from minigpt.data.dataset import load_data
from minigpt.diagnosis import Evidence, walk
from minigpt.model.gpt import build_model, init_weights
from minigpt.monitor.ranks import Checksums, OtherRank, compare
from minigpt.runs.schema import Observed, Source
from minigpt.training.loss import cross_entropy

STEPS = 6


@pytest.mark.parametrize(("averaged", "leaf"), [(False, "ranks-apart"), (True, None)])
def test_copies_whose_gradients_nobody_averages_are_named(averaged, leaf, tmp_path):
    torch.manual_seed(0)
    first = build_model(MINIMAL)
    init_weights(first, MINIMAL)
    models = [first, copy.deepcopy(first)]
    optimizers = [torch.optim.AdamW(model.parameters(), lr=1e-2) for model in models]
    own, other = Checksums(models[0]), OtherRank(models[1], optimizers[1], tmp_path, rank=1)
    tokens = load_data(MINIMAL).train
    for step in range(STEPS):
        for rank, model in enumerate(models):
            batch = get_batch(tokens, MINIMAL, step, 0, rank, 2)
            cross_entropy(model(batch.inputs), batch.targets, batch.mask).backward()
        if averaged:
            for one, two in zip(*(model.parameters() for model in models), strict=True):
                one.grad = two.grad = (one.grad + two.grad) / 2
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        own.note(step + 1)
    other.remove()
    seen = compare(own, tmp_path, tokens=[])
    assert seen["rank"] == 1 and seen["began_equal"] and seen["step"] == (None if averaged else 1)
    evidence = Evidence(Source.MONITOR, audits={Observed.kind: (Observed(ranks=seen),)})
    assert walk(evidence).leaf == leaf
