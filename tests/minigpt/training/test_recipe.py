"""Recipes: parts that can be exchanged, faults that compose, and what a run directory remembers of them."""

import dataclasses

import pytest

from minigpt.config import Config
from minigpt.faults import FaultError
from minigpt.training.loss import cross_entropy
from minigpt.training.recipe import Recipe, recipe_of
from minigpt.training.schedule import lr_at
from minigpt.training.trainer import train


def test_a_fault_exchanges_one_part_and_leaves_the_recipe_it_came_from():
    healthy = Recipe()
    broken = healthy.with_fault("target-shift")
    assert healthy.loss is cross_entropy and healthy.faults == ()
    assert broken.loss is not cross_entropy and broken.faults == ("target-shift",)
    others = [field.name for field in dataclasses.fields(Recipe) if field.name not in ("loss", "faults")]
    assert all(getattr(broken, name) == getattr(healthy, name) for name in others)


def test_faults_compose_and_are_remembered_with_the_severity_that_was_asked_for():
    recipe = Recipe().with_fault("init-scale:10").with_fault("target-shift").with_fault("head-bias", 3.0)
    assert recipe.faults == ("init-scale:10", "target-shift", "head-bias")


@pytest.mark.parametrize(
    ("fault", "named"),
    [("init-scal", "init-scale"), ("init-scale:big", "big"), ("target-shift:2", "target-shift")],
)
def test_a_fault_that_cannot_be_applied_says_why(fault, named):
    with pytest.raises(FaultError, match=named):
        Recipe().with_fault(fault)


def test_parts_exchanged_by_hand_are_told_from_those_of_a_fault():
    recipe = Recipe().with_fault("target-shift")
    assert recipe.own_parts == []
    assert dataclasses.replace(recipe, lr_at=lambda step, config: 0.1).own_parts == ["lr_at"]
    assert dataclasses.replace(recipe, lr_at=lr_at).own_parts == []
    assert Recipe(Config(z_loss=1e-4)).own_parts == []


def test_a_run_gives_back_its_recipe(minimal, tmp_path):
    recipe = Recipe(minimal).with_fault("init-scale:3").with_fault("loss-reduction")
    found = recipe_of(train(recipe, tmp_path / "run"))
    assert found.config == recipe.config and found.faults == recipe.faults


def test_a_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().config = Config()
