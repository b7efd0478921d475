"""What a monitor cannot work with: it says so, and the loop goes on."""

import pytest
import torch
import torch.nn.functional as F
from loops import V, batch_at, tokens
from torch import nn
from wild_loops import Little, adamw, cross_entropy

from minigpt.diagnosis import Verdict
from minigpt.messages import MiniGPTError
from minigpt.monitor import Monitor


def test_a_model_without_an_embedding_is_watched_as_far_as_it_can_be_seen(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with Monitor(model, optimizer, vocab_size=4, run_dir=tmp_path / "run") as monitor:
        for _ in range(12):
            loss = F.cross_entropy(model(torch.randn(6, 8)), torch.randint(4, (6,)))
            loss.backward()
            optimizer.step()
            monitor.step(loss)
            optimizer.zero_grad()
    walk = monitor.check(whole=True)
    assert walk.leaves == []


def test_a_model_on_meta_ends_the_watch_and_not_the_loop(tmp_path):
    model = Little().to("meta")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    steps = 0
    with pytest.warns(UserWarning):
        with Monitor(model, optimizer, vocab_size=V, run_dir=tmp_path / "run") as monitor:
            for _ in range(3):
                logits = model.head(
                    model.norm(model.tokens(torch.zeros(2, 4, dtype=torch.long, device="meta")))
                )
                loss = logits.square().mean()
                loss.backward()
                optimizer.step()
                monitor.step(loss)
                optimizer.zero_grad()
                steps += 1
        assert monitor.check().verdict is Verdict.UNKNOWN
    assert steps == 3


def test_a_vocabulary_that_nobody_told_is_that_of_the_config_or_asked_for(tmp_path):
    model = Little()
    with pytest.raises(MiniGPTError, match="vocabulary"):
        Monitor(model, adamw(model), run_dir=tmp_path / "run")
    model.config = type("Config", (), {"vocab_size": V})()
    assert Monitor(model, adamw(model), run_dir=tmp_path / "run").vocab_size == V


def test_backward_passes_that_somebody_else_turns_into_steps_are_no_lost_steps(tmp_path):
    model = Little()
    optimizer = adamw(model)
    with Monitor(model, optimizer, vocab_size=V, run_dir=tmp_path / "run") as monitor:
        for step in range(24):
            x, y, _ = batch_at(tokens(), step)
            loss = cross_entropy(model(x), y)
            loss.backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.1 * parameter.grad
            model.zero_grad()
            monitor.step(loss)
    walk = monitor.check()
    assert (walk.leaf, walk.verdict) == (None, Verdict.UNKNOWN)
