"""Batches are a pure function of (seed, step, micro-batch, rank)."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from small_runs import MINIMAL

from minigpt.data.batches import evaluation_batches, get_batch

TOKENS = torch.arange(1000) * 7 % 512

places = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3))


def batch_at(place, rank=0, world_size=1, batch_size=4):
    seed, step, micro = place
    config = MINIMAL.replace(seed=seed, batch_size=batch_size)
    return get_batch(TOKENS, config, step, micro, rank, world_size)


@given(places, places)
def test_the_same_place_gives_the_same_batch_and_another_place_another(one, other):
    assert torch.equal(batch_at(one).inputs, batch_at(one).inputs)
    assert torch.equal(batch_at(one).inputs, batch_at(other).inputs) == (one == other)


@given(places)
def test_targets_are_the_next_tokens_and_all_count(place):
    batch = batch_at(place)
    assert batch.inputs.shape == batch.targets.shape == batch.mask.shape == (4, MINIMAL.context)
    assert torch.equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    assert batch.mask.all() and batch.mask.dtype is torch.bool


@given(places, st.sampled_from([1, 2, 4]))
def test_the_processes_share_the_rows_of_the_one_batch(place, world_size):
    whole = batch_at(place)
    rows = [batch_at(place, rank, world_size) for rank in range(world_size)]
    for side in range(3):
        shared = torch.stack([part[side] for part in rows], dim=1).flatten(0, 1)
        assert torch.equal(shared, whole[side])


def test_every_window_of_the_text_can_be_drawn_and_none_beyond_it():
    config = MINIMAL.replace(batch_size=64)
    tokens = torch.arange(config.context + 3)  # three windows
    first = {int(row[0]) for step in range(5) for row in get_batch(tokens, config, step).inputs}
    assert first == {0, 1, 2}


def test_the_shortest_text_has_one_window():
    tokens = torch.arange(MINIMAL.context + 1)
    assert torch.equal(get_batch(tokens, MINIMAL, 0).targets[0], tokens[1:])
    (batch,) = evaluation_batches(tokens, MINIMAL)
    assert torch.equal(batch.inputs[0], tokens[:-1])


def test_evaluation_takes_the_same_windows_spread_over_the_text_on_one_process_or_two():
    config = MINIMAL.replace(eval_batches=3)
    inputs = torch.cat([batch.inputs for batch in evaluation_batches(TOKENS, config)])
    assert len(inputs) == 12 and torch.equal(inputs[-1], TOKENS[-1 - config.context : -1])
    halves = [
        torch.cat([batch.inputs for batch in evaluation_batches(TOKENS, config, rank, 2)])
        for rank in range(2)
    ]
    assert torch.equal(torch.stack(halves, dim=1).flatten(0, 1), inputs)
