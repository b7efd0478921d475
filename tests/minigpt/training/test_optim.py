"""Which parameters decay, which learn at a rate of their own, and which do not learn."""

import copy
import subprocess
import sys

import pytest
import torch

from minigpt.config import Config
from minigpt.messages import MiniGPTError
from minigpt.model.gpt import build_model, init_weights
from minigpt.training.adamw import AdamW
from minigpt.training.optim import build_optimizer, freeze, parameter_groups


def model_of(config):
    torch.manual_seed(0)
    model = build_model(config)
    init_weights(model, config)
    return model


def names_by_group(config):
    model = model_of(config)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        group["name"]: {names[id(p)] for p in group["params"]} for group in parameter_groups(model, config)
    }


@pytest.mark.parametrize("bias", [False, True])
def test_matrices_decay_gains_and_biases_do_not(minimal, bias):
    config = minimal.replace(bias=bias)
    model, groups = model_of(config), names_by_group(config)
    assert set(groups) == {"decay", "no_decay"}
    assert groups["decay"] == {name for name, p in model.named_parameters() if p.ndim >= 2}
    assert groups["no_decay"] == {name for name, p in model.named_parameters() if p.ndim < 2}
    weights = {group["name"]: group["weight_decay"] for group in parameter_groups(model, config)}
    assert weights == {"decay": config.weight_decay, "no_decay": 0.0}


def test_a_multiplier_makes_groups_of_its_own_and_the_longest_prefix_wins(minimal):
    config = minimal.replace(n_layer=11, lr_multipliers="h=0.5,h.1=0.25,wte=0")
    groups = names_by_group(config)
    assert groups["decay:wte"] == {"wte.weight"}
    assert all(name.startswith("h.1.") for name in groups["decay:h.1"] | groups["no_decay:h.1"])
    assert "h.10.mlp.c_fc.weight" in groups["decay:h"]
    found = {group["name"]: group["lr_multiplier"] for group in parameter_groups(model_of(config), config)}
    assert found["decay:h"] == 0.5 and found["no_decay:h.1"] == 0.25 and found["decay"] == 1.0


def test_every_parameter_is_in_exactly_one_group(minimal):
    config = minimal.replace(lr_multipliers="h.0=0.5,wte=2")
    model = model_of(config)
    grouped = [id(p) for group in parameter_groups(model, config) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())


def test_a_frozen_prefix_does_not_learn_and_has_no_group(minimal):
    config = minimal.replace(freeze="wte, h.0.attn")
    model = model_of(config)
    freeze(model, config)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if name.startswith(("wte", "h.0.attn"))}
    grouped = {id(p) for group in parameter_groups(model, config) for p in group["params"]}
    assert grouped == {id(p) for p in model.parameters() if p.requires_grad}


@pytest.mark.parametrize("settings", [{"freeze": "wpte"}, {"lr_multipliers": "wpte=2"}])
def test_a_prefix_that_no_parameter_has_is_refused(minimal, settings):
    config = minimal.replace(**settings)
    with pytest.raises(MiniGPTError, match="wpte"):
        freeze(model_of(config), config)
        parameter_groups(model_of(config), config)


def test_the_optimizer_is_adamw_with_the_config_s_settings(minimal):
    config = Config(**minimal.to_dict() | {"beta1": 0.8, "beta2": 0.95, "eps": 1e-6})
    optimizer = build_optimizer(model_of(config), config)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert all(group["betas"] == (0.8, 0.95) and group["eps"] == 1e-6 for group in optimizer.param_groups)


def test_decay_shrinks_a_matrix_without_a_gradient_signal_and_leaves_a_gain(minimal):
    model = model_of(minimal)
    optimizer = build_optimizer(model, minimal)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    shrunk = 1 - minimal.lr_max * minimal.weight_decay
    for name, parameter in model.named_parameters():
        expected = before[name] * (shrunk if parameter.ndim >= 2 else 1)
        torch.testing.assert_close(parameter.detach(), expected)


@pytest.mark.parametrize("fused", [True, False])
def test_our_adamw_is_pytorchs_also_saved_and_loaded(minimal, fused):
    models = [model_of(minimal) for _ in range(2)]
    optimizers = [
        kind(parameter_groups(model, minimal), lr=1e-2, fused=fused)
        for kind, model in zip((AdamW, torch.optim.AdamW), models, strict=True)
    ]
    for step in range(4):
        if step == 2:  # as a resumed run does
            saved = [copy.deepcopy(optimizer.state_dict()) for optimizer in optimizers]
            for optimizer, state in zip(optimizers, reversed(saved), strict=True):
                optimizer.load_state_dict(state)
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            model(torch.arange(16)[None]).square().sum().backward()
            optimizer.step()
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(ours, theirs)


def test_hooks_hear_our_adamw(minimal):
    optimizer, heard = build_optimizer(model_of(minimal), minimal), []
    optimizer.register_step_pre_hook(lambda *_: heard.append("before"))
    optimizer.register_step_post_hook(lambda *_: heard.append("after"))
    optimizer.step()
    assert heard == ["before", "after"] and type(optimizer).__name__ == "AdamW"


def test_a_run_does_not_load_the_compiler(tmp_path):
    """It takes longer to import than all else that a short run does."""
    code = f"""
import sys
from minigpt import Config, Recipe, train
config = Config(steps=1, warmup_steps=1, n_layer=1, n_embd=16, n_head=2, context=16)
train(Recipe(config), {str(tmp_path / "run")!r})
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
