"""What a model remembers beside its weights goes back with them: a rollback that left it was case file D."""

import torch
from small_runs import MINIMAL
from torch import nn

from minigpt.model.gpt import build_model, init_weights
from minigpt.model.state import commit_memory, memory_of
from minigpt.monitor.recovery import Recovery

CONFIG = MINIMAL.replace(
    mixer="memory", short_term_size=4, long_term_size=8, memory_reads=4, consolidation_interval=3,
    homeostasis=True, memory_dropout=0.1,
)  # fmt: skip
BAD, STEPS = {45, 46}, 60


def batch_of(number, bad=BAD):
    generator = torch.Generator().manual_seed(number)
    rows = (torch.randint(0, 64, (8, 1), generator=generator) + torch.arange(17)) % 64  # counts up
    targets = rows[:, 1:]
    return rows[:, :-1], targets if number not in bad else (targets * 7 + 3) % 64


def loop(get_batch, guarded=True, damage_at=None):
    """A loop of somebody else's around a GPT with memory."""
    torch.manual_seed(0)
    model = build_model(CONFIG)
    init_weights(model, CONFIG)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    recovery = Recovery(model, optimizer, get_batch)
    for updates, (inputs, targets) in enumerate(recovery.batches(STEPS)):
        loss = nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        step = recovery.state.step
        answer = recovery.step(loss, norm) if guarded else recovery.state.advance() or "continue"
        if answer == "continue":
            optimizer.step()
            commit_memory(model, step)
        optimizer.zero_grad()
        if updates == damage_at:
            with torch.no_grad():
                model.wte.weight.mul_(-30)
    return model, recovery


def assert_same(one, other):
    for kind in (memory_of, nn.Module.state_dict):
        a, b = kind(one), kind(other)
        assert a.keys() == b.keys() and [name for name in a if not torch.equal(a[name], b[name])] == []


def test_a_batch_that_is_left_out_leaves_nothing_in_the_memory():
    guarded, recovery = loop(batch_of)
    assert {found["batch"] for found in recovery.decisions} == BAD
    clean, _ = loop(lambda number: batch_of(number + len(BAD) * (number >= min(BAD))), guarded=False)
    assert_same(guarded, clean)


def test_a_rollback_takes_back_what_was_written_since():
    guarded, recovery = loop(lambda number: batch_of(number, bad=()), damage_at=44)
    assert recovery.state.rollbacks == 1
    kept = [number for number in range(2 * STEPS) if number not in recovery.state.skips]
    clean, _ = loop(lambda number: batch_of(kept[number], bad=()), guarded=False)
    assert_same(guarded, clean)
