"""Plasticity: the rules against their formulas, and declared writes in a run that is interrupted."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import MINIMAL

from minigpt.config import ConfigError
from minigpt.training.plasticity import rules
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import Trainer, resume, train

T = 24
SPIKING = MINIMAL.replace(activation="spiking", plasticity="pair", plasticity_rate=0.1)


def train_of(*times: int) -> torch.Tensor:
    spikes = torch.zeros(1, T, 1, dtype=torch.float64)
    spikes[0, list(times), 0] = 1.0
    return spikes


times = st.sets(st.integers(0, T - 1), max_size=8)


@given(times, times, st.floats(0.5, 20.0))
@settings(max_examples=60, deadline=None)
def test_pair_stdp_is_the_sum_of_its_window_over_all_pairs(pre, post, tau):
    found = rules.pair(train_of(*pre), train_of(*post), tau).item() * T
    expected = sum(rules.window(b - a, tau).item() for a in pre for b in post)
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_window_falls_off_exponentially_on_both_sides_and_is_0_at_0():
    assert rules.window(3, 2.0).item() == pytest.approx(rules.A_PLUS * math.exp(-1.5))
    assert rules.window(-3, 2.0).item() == pytest.approx(-rules.A_MINUS * math.exp(-1.5))
    assert rules.window(0, 2.0).item() == 0


@given(times, times, st.floats(0.5, 20.0))
@settings(max_examples=60, deadline=None)
def test_the_triplet_rule_adds_a_term_for_every_post_pre_post_triplet(pre, post, tau):
    found = rules.triplet(train_of(*pre), train_of(*post), tau).item() * T
    expected = rules.pair(train_of(*pre), train_of(*post), tau).item() * T
    for b in post:
        fast = sum(math.exp(-(b - a) / tau) for a in pre if a < b)
        slow = sum(math.exp(-(b - c) / (rules.SLOW * tau)) for c in post if c < b)
        expected += rules.A_TRIPLET * fast * slow
    assert found == pytest.approx(expected, abs=1e-9)


def test_bcm_strengthens_above_its_threshold_and_weakens_below():
    pre, post = train_of(*range(T)), train_of(*range(0, T, 2))
    y = rules.rates(post, 4.0)
    for threshold in (0.0, 0.9):
        found = rules.bcm(pre, post, 4.0, torch.tensor([threshold], dtype=torch.float64)).item()
        assert found == pytest.approx((y * (y - threshold)).mean().item())
        assert (found > 0) is (threshold == 0.0)


def test_scaling_shrinks_the_inputs_of_a_unit_that_fires_too_much():
    weight = torch.ones(2, 3)
    change = rules.scaling(weight, torch.tensor([2 * rules.TARGET_RATE, 0.0]))
    assert (change[0] < 0).all() and (change[1] > 0).all()


class Killed(Exception):
    """The process ended."""


class KillAfter:
    def on_step(self, trainer, record):
        if record["step"] == 6:
            raise Killed


@pytest.mark.parametrize("rule", ["pair", "triplet", "homeostatic", "bcm"])
def test_a_run_with_it_is_interrupted_and_ends_alike(rule, tmp_path):
    recipe = Recipe(SPIKING.replace(plasticity=rule, meta_plasticity=rule != "pair"))
    whole = train(recipe, tmp_path / "whole")
    with pytest.raises(Killed):
        Trainer(recipe, tmp_path / "cut", [KillAfter()]).run()
    resumed = resume(tmp_path / "cut").run()
    for name in ("loss", "val_loss", "plasticity.change"):
        assert whole.column(name)[1].tolist() == resumed.column(name)[1].tolist()
    assert whole.manifest["writes_beside_optimizer"] == ["h.0.mlp.c_fc.weight"]
    assert (whole.column("plasticity.change")[1] > 0).all()


def test_it_changes_the_run_and_an_evaluation_does_not(tmp_path):
    losses = {
        name: train(Recipe(config), tmp_path / name).column("loss")[1].tolist()
        for name, config in {
            "with": SPIKING,
            "without": MINIMAL.replace(activation="spiking"),
            "unseen": SPIKING.replace(eval_every=0),
        }.items()
    }
    assert losses["with"] == losses["unseen"] != losses["without"]


def test_with_meta_plasticity_a_weight_that_has_moved_moves_less(tmp_path):
    plain, meta = (
        train(Recipe(SPIKING.replace(meta_plasticity=on)), tmp_path / str(on)).column("plasticity.change")[1]
        for on in (False, True)
    )
    assert plain[0] == pytest.approx(meta[0]) and meta[-1] < plain[-1]


@pytest.mark.parametrize(
    "settings", [{"plasticity": "pair"}, {"plasticity": "bcm", "activation": "spiking", "compile": True}]
)
def test_a_contradiction_is_refused(settings):
    with pytest.raises(ConfigError, match="plasticity"):
        MINIMAL.replace(**settings)


def test_its_settings_are_idle_without_it():
    with pytest.raises(ConfigError, match="meta_plasticity"):
        MINIMAL.replace(meta_plasticity=True).refuse_idle()
