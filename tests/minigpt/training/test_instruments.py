"""Instruments measure what they say, and leave the run as it was."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from small_runs import MINIMAL, SMALL
from torch import nn

from minigpt.data.batches import get_batch
from minigpt.faults.broken_modules import CarriesOver
from minigpt.model.gpt import build_model, init_weights
from minigpt.model.positions import rotate
from minigpt.training.instruments.attention import attention
from minigpt.training.instruments.logits import logits
from minigpt.training.instruments.noise import from_squares, noise_scale, pieces
from minigpt.training.instruments.non_finite import first_non_finite
from minigpt.training.instruments.ownership import Ownership
from minigpt.training.instruments.scaling import rehearse_scaling
from minigpt.training.instruments.sharpness import sharpness
from minigpt.training.instruments.statefulness import statefulness
from minigpt.training.instruments.units import units
from minigpt.training.instruments.updates import UpdateSizes
from minigpt.training.loss import cross_entropy
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import NotFiniteError, train

CONFIG = MINIMAL.replace(n_layer=2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = build_model(CONFIG)
    init_weights(model, CONFIG)
    return model


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(0, CONFIG.vocab_size, (4000,), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def batch(tokens):
    return get_batch(tokens, CONFIG, 0)


# ---------------------------------------------------------------------- nothing notices


def test_the_instruments_leave_the_run_bit_for_bit_as_it_was(tmp_path):
    config = SMALL.replace(steps=30, dropout=0.1, instruments_every=5, noise_every=7, sharpness_every=10)
    watched = train(Recipe(config), tmp_path / "watched")
    alone = train(Recipe(config.replace(instruments_every=0, sharpness_every=0)), tmp_path / "alone")
    assert [r["loss"] for r in watched.metrics] == [r["loss"] for r in alone.metrics]
    kinds = {probe["kind"] for probe in watched.probes} - {probe["kind"] for probe in alone.probes}
    assert kinds == {
        *("attention", "logits", "updates", "noise", "units", "sharpness"),
        *("ownership", "statefulness", "never-learnt"),
    }


def test_the_noise_is_measured_twice_early_on_whatever_its_spacing(tmp_path):
    run = train(Recipe(SMALL.replace(steps=121, noise_every=120, instruments_every=60)), tmp_path / "run")
    assert [probe["step"] + 1 for probe in run.probes if probe["kind"] == "noise"] == [20, 100, 120]


def test_sizes_of_updates_come_often_at_first_and_less_often_later(tmp_path):
    run = train(Recipe(SMALL.replace(steps=160, noise_every=0, instruments_every=50)), tmp_path / "run")
    steps = [probe["step"] for probe in run.probes if probe["kind"] == "updates"]
    assert steps == [*range(0, 100, 10), 100, 125, 150]


@pytest.mark.parametrize("measure", [attention, logits, units])
def test_a_reading_puts_mode_gradients_and_random_state_back(measure, model, batch):
    model.train()
    state = torch.get_rng_state()
    measure(model, batch.inputs)
    assert model.training and all(p.grad is None for p in model.parameters())
    assert torch.equal(state, torch.get_rng_state())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


# ---------------------------------------------------------------------- figures


def test_attention_is_uniform_where_queries_are_zero_and_sharp_where_they_are_huge(model, batch):
    layer, width = model.h[0].attn, CONFIG.n_embd
    with torch.no_grad():
        layer.c_attn.weight[:width] = 0
    found = attention(model, batch.inputs)
    assert found["max_logit"][0] == 0 and found["entropy"][0] == pytest.approx(1, abs=1e-5)
    with torch.no_grad():
        layer.c_attn.weight[: 2 * width].normal_(std=30)
    found = attention(model, batch.inputs)
    assert found["max_logit"][0] > 100 and found["entropy"][0] < 0.1 < found["entropy"][1]


@pytest.mark.parametrize("settings", [{"positions": "rotary"}, {"qk_norm": True}, {"norm_position": "post"}])
def test_attention_is_read_as_the_layer_computes_it(settings, batch):
    config = CONFIG.replace(**settings)
    torch.manual_seed(0)
    model = build_model(config)
    init_weights(model, config)
    with torch.no_grad():
        model.h[0].attn.c_attn.weight.mul_(20)
    seen = []

    def by_hand(layer, given):
        x, turns = given[0], given[1]
        q, k, _ = layer.c_attn(x).view(*x.shape[:2], 3, config.n_head, -1).unbind(2)
        q, k = layer.q_norm(q), layer.k_norm(k)
        if turns is not None:
            q, k = rotate(q, turns), rotate(k, turns)
        scores = torch.einsum("bthd,bshd->bhts", q, k) / math.sqrt(q.shape[-1])
        seen.append(scores.tril().abs().max().item())

    for block in model.h:
        block.attn.register_forward_pre_hook(by_hand)
    found = attention(model, batch.inputs)
    assert found["max_logit"] == pytest.approx(seen, rel=1e-4) and len(found["entropy"]) == 2


def test_a_model_without_attention_has_no_attention_logits(batch):
    config = CONFIG.replace(mixer="state_space")
    model = build_model(config)
    init_weights(model, config)
    assert attention(model, batch.inputs) == {}


def test_log_z_of_uniform_logits_is_ln_v(model, batch):
    with torch.no_grad():
        model.wte.weight.zero_()
    found = logits(model, batch.inputs)
    assert found["log_z"] == pytest.approx(math.log(CONFIG.vocab_size), abs=1e-5)
    assert found["wte_rms"] == 0 and found["gain_rms"] == 1


def test_rms_of_updates_is_1_for_a_steady_gradient_and_larger_for_one_that_grew():
    layer = nn.Linear(4, 4, bias=False)
    optimizer = torch.optim.AdamW(layer.parameters(), betas=(0.9, 0.99))
    sizes = UpdateSizes(layer, optimizer)
    for scale in [1.0] * 50 + [10.0]:
        layer.weight.grad = torch.full_like(layer.weight, scale)
        sizes.due = True
        optimizer.step()
        found = sizes.take()
        expected = (
            1.0 if scale == 1 else 10 / math.sqrt((100 * 0.01 + 0.99 * (1 - 0.99**50)) / (1 - 0.99**51))
        )
        assert found["rms"] == pytest.approx(expected, rel=1e-4) and found["name"] == "weight"
    assert sizes.take() == {}
    sizes.remove()


def test_the_noise_scale_of_known_gradients():
    rng = np.random.default_rng(0)
    true, noise, b, count = np.full(50, 0.3), 2.0, 4, 8
    small, whole = [], []
    for _ in range(400):
        parts = true + rng.normal(0, noise / math.sqrt(b), (count, 50))
        small.append((parts**2).sum(1).mean())
        whole.append((parts.mean(0) ** 2).sum())
    found = from_squares(np.mean(small), np.mean(whole), b, b * count)
    assert found["trace"] == pytest.approx(50 * noise**2, rel=0.05)
    assert found["signal"] == pytest.approx((true**2).sum(), rel=0.1)
    assert found["scale"] == pytest.approx(50 * noise**2 / (true**2).sum(), rel=0.15)
    assert "scale" not in from_squares(2.0, 0.1, 1, 8)  # the noise hides the signal


def test_the_noise_scale_of_equal_micro_batches_is_zero(model, batch):
    rows = type(batch)(*(part[:1] for part in batch))
    found = noise_scale(model, cross_entropy, [rows, rows])
    assert found["scale"] == pytest.approx(0, abs=1e-3)
    assert all(p.grad is None for p in model.parameters())
    assert [len(piece.mask) for piece in pieces([batch, batch])] == [4] * 2


def test_sharpness_is_the_largest_eigenvalue_of_a_quadratic():
    class Quadratic(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor([0.3, -0.2, 0.5]))

        def forward(self, _inputs):
            return (torch.tensor([7.0, 2.0, 0.5]) * self.w.square()).sum() / 2

    blank = get_batch(torch.arange(100), CONFIG, 0)
    model = Quadratic()
    before = model.w.detach().clone()
    assert sharpness(model, lambda value, *_: value, blank) == pytest.approx(7.0, rel=0.02)
    assert torch.equal(model.w, before)


@pytest.mark.parametrize("place", ["h.0.mlp.c_fc", "h.1.attn.c_proj", "h.1.ln_2", "ln_f"])
def test_the_first_module_that_is_not_finite_is_named(place, model, batch):
    model.get_submodule(place).register_forward_hook(lambda module, given, output: output * math.inf)
    found = first_non_finite(model, cross_entropy, [batch])
    assert found == {"module": place, "phase": "forward"}
    assert first_non_finite(build_model(CONFIG), cross_entropy, [batch]) == {}


def test_a_gradient_that_breaks_is_found_in_the_backward_pass(model, batch):
    class Breaks(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * math.nan

    class Broken(nn.Module):
        def forward(self, x):
            return Breaks.apply(x)

    model.h[1].mlp.add_module("broken", Broken())
    inner = model.h[1].mlp.forward
    model.h[1].mlp.forward = lambda x: model.h[1].mlp.broken(inner(x))
    found = first_non_finite(model, cross_entropy, [batch])
    assert found == {"module": "h.1.mlp.broken", "phase": "backward"}


def test_weights_that_are_broken_already_are_said_to_be(model, batch):
    with torch.no_grad():
        model.h[0].mlp.c_fc.weight[0, 0] = math.nan
    assert first_non_finite(model, cross_entropy, [batch])["phase"] == "weights"


def test_a_run_that_ends_at_a_nan_names_the_module(tmp_path):
    recipe = Recipe(MINIMAL)

    def build(config):
        model = recipe.build_model(config)
        calls = []

        def break_late(module, given, output):
            if module.training:
                calls.append(None)
            return output * math.nan if len(calls) > 6 and module.training else output

        model.h[0].mlp.register_forward_hook(break_late)
        return model

    from minigpt.diagnosis import check

    with pytest.raises(NotFiniteError):
        train(dataclasses.replace(recipe, build_model=build), tmp_path / "run")
    found = check(tmp_path / "run", whole=True)
    assert found.leaf == "nan-loss" and found.end.values["module"] == "h.0.mlp"


def test_ownership_names_the_tensor_that_somebody_else_wrote(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    owners = Ownership(model, optimizer)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.step()
    assert owners.take() == {"changed": []}
    owners.due = True
    optimizer.step()
    with torch.no_grad():
        model.h[1].mlp.c_fc.weight[0, 0] += 1e-6
    optimizer.step()
    assert owners.take() == {"changed": ["h.1.mlp.c_fc.weight"]}
    owners.remove()


def test_a_model_that_remembers_is_told_from_one_that_does_not(model, batch, tokens):
    others = get_batch(tokens, CONFIG, 1).inputs
    found = statefulness(model, batch.inputs, others)
    assert found["same_batch"] == 0 and found["row_alone"] < 1e-4 and not found["evaluation_writes"]
    model.ln_f = CarriesOver(model.ln_f, 0.5)
    assert statefulness(model, batch.inputs, others)["same_batch"] > 1e-3


class Remembers(nn.Module):
    """Keeps the mean of what it read: at every pass in training mode, or by chance."""

    def __init__(self, chance: float):
        super().__init__()
        self.chance, self.kept = chance, torch.zeros(1)

    def forward(self, x):
        if self.training and torch.rand(1) < self.chance:
            self.kept = self.kept + x.detach().mean()
        return x

    def memory_state(self):
        return {"kept": self.kept}

    def load_memory_state(self, state):
        self.kept = state["kept"].clone()


@pytest.mark.parametrize(("chance", "random"), [(1.1, False), (0.3, True)])
def test_consolidation_by_chance_is_told_from_one_by_rule(chance, random, model, batch, tokens):
    model.drop = Remembers(chance)
    found = statefulness(model, batch.inputs, get_batch(tokens, CONFIG, 1).inputs)
    assert found["rng_writes"] is random and found["evaluation_writes"] is False
    assert model.drop.kept == 0


def test_dead_units_are_counted(model, batch):
    with torch.no_grad():
        model.h[1].mlp.c_fc.weight[: 2 * CONFIG.n_embd] = 0  # GELU(0) = 0
    found = units(model, batch.inputs)
    assert found["inactive"] == [0.0, 0.5]
    assert all(0 < rank <= 1 for rank in found["rank"])


def test_the_parts_of_a_recipe_handle_a_scaled_loss(model, batch):
    found = rehearse_scaling(Recipe(CONFIG), model, batch)
    assert found == {"clip_ratio": pytest.approx(1, rel=1e-4), "updates": True, "whole_window": True}


def test_parts_that_mishandle_a_scaled_loss_are_told(model, batch):
    recipe = Recipe(CONFIG)

    def clip_first(model, optimizer, precision, max_norm):
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm).item()
        precision.scaler.unscale_(optimizer)
        return norm

    def never_updates(optimizer, precision, lr):
        precision.scaler.step(optimizer)
        optimizer.zero_grad()

    early = rehearse_scaling(dataclasses.replace(recipe, clip=clip_first), model, batch)
    assert early["clip_ratio"] == pytest.approx(1024, rel=1e-3)
    assert not rehearse_scaling(dataclasses.replace(recipe, step=never_updates), model, batch)["updates"]
