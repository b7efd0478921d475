"""Periodic probes: right figures, and no trace left in the model."""

import math

import pytest
import torch

from minigpt.config import Config
from minigpt.data.dataset import load_data
from minigpt.model.gpt import build_model, init_weights
from minigpt.training import audits
from minigpt.training.optim import build_optimizer

CONFIG = Config(n_layer=2, n_head=2, n_embd=32, context=32, dropout=0.2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = build_model(CONFIG)
    init_weights(model, CONFIG)
    return model


def test_spectral_norms_agree_with_the_singular_values():
    torch.manual_seed(0)
    matrices = {"wide": torch.randn(20, 80), "tall": torch.randn(80, 20), "other": torch.randn(20, 80) * 5}
    matrices["rank one"] = torch.outer(torch.randn(7), torch.randn(5))
    norms = audits.spectral_norms(matrices)
    assert list(norms) == list(matrices)
    for name, matrix in matrices.items():
        assert norms[name] == pytest.approx(torch.linalg.matrix_norm(matrix, 2).item(), rel=0.02)


def test_spectral_norm_of_nothing_and_of_nan():
    norms = audits.spectral_norms({"zero": torch.zeros(3, 4), "nan": torch.full((2, 2), math.nan)})
    assert norms["zero"] == 0 and math.isnan(norms["nan"])


def test_weights_tell_mean_std_and_spectral_norm(model):
    torch.nn.init.constant_(model.wpe.weight, 0.5)
    found = audits.weights(model)
    assert found["wpe.weight"] == {
        "mean": 0.5,
        "std": 0.0,
        "spectral_norm": pytest.approx(0.5 * math.sqrt(32 * 32)),
    }
    assert found["h.0.mlp.c_fc.weight"]["std"] == pytest.approx(CONFIG.init_std, rel=0.1)
    assert "ln_f.weight" not in found


def test_activations_grow_where_a_block_makes_them(model):
    ids = torch.randint(0, CONFIG.vocab_size, (2, 16))
    calm = audits.activations(model, model.h, ids)
    assert len(calm["rms"]) == 3 and all(1 <= growth < 1.5 for growth in calm["growth"])
    with torch.no_grad():
        model.h[1].mlp.c_proj.weight.mul_(2000)
    loud = audits.activations(model, model.h, ids)
    assert loud["growth"][1] > 10 and loud["rms"][:2] == calm["rms"][:2]


def test_looking_leaves_no_trace(model):
    data = load_data(CONFIG)
    model.train()
    before = torch.get_rng_state()
    audits.activations(model, model.h, data.validation[:16][None])
    audits.weights(model)
    audits.VerbClasses(data, CONFIG.context).losses(model)
    assert torch.equal(before, torch.get_rng_state())
    assert model.training and all(module.training for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_hooks_go_away_even_when_the_forward_pass_fails(model):
    with pytest.raises(IndexError):
        audits.activations(model, model.h, torch.tensor([[CONFIG.vocab_size]]))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_moments_advance_with_the_steps(model):
    optimizer = build_optimizer(model, CONFIG)
    assert audits.moments(model, optimizer) == {}
    for _ in range(3):
        model(torch.arange(8)[None]).square().mean().backward()
        optimizer.step()
    found = audits.moments(model, optimizer)
    assert set(found) == {name for name, _ in model.named_parameters()}
    state = optimizer.state[model.wpe.weight]
    assert found["wpe.weight"]["counter"] == 3
    assert found["wpe.weight"]["m"] == pytest.approx(state["exp_avg"].norm().item())
    assert found["wpe.weight"]["v"] == pytest.approx(state["exp_avg_sq"].norm().item())


def test_an_optimizer_without_moments_has_none(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.arange(8)[None]).mean().backward()
    optimizer.step()
    assert audits.moments(model, optimizer) == {}


def test_verb_classes_score_the_cells_and_not_their_padding(model):
    data = load_data(CONFIG)
    classes = audits.VerbClasses(data, CONFIG.context)
    at_start = classes.losses(model)
    assert set(at_start) == {"regular", "irregular"}
    for value in at_start.values():
        assert value == pytest.approx(math.log(CONFIG.vocab_size), abs=0.5)
    lines = [
        data.tokenizer.decode(row[mask].tolist())
        for row, mask in zip(classes.targets, classes.mask, strict=True)
    ]
    assert all(line.endswith("\n") and line.count("\n") == 1 and " / " in line for line in lines)
    assert classes.members["regular"].sum() + classes.members["irregular"].sum() == len(lines)


def test_baselines_lie_below_chance_in_the_right_order():
    found = audits.baselines(load_data(CONFIG))
    assert 0.5 < found["ngram_loss"] < found["unigram_entropy"] < math.log(512)


def test_a_very_long_text_has_no_baselines(monkeypatch):
    monkeypatch.setattr(audits, "MOST_TOKENS", 10)
    assert audits.baselines(load_data(CONFIG)) == {}
