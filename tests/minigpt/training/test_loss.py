"""The loss: a masked mean, and the z-loss."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from minigpt.config import Config
from minigpt.training.loss import cross_entropy
from minigpt.training.recipe import Recipe

B, T, V = 3, 5, 11


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(B, T, V, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(V, (B, T), generator=generator)
    mask = torch.rand(B, T, generator=generator) < 0.6
    return logits, targets, mask


def test_it_is_the_mean_over_the_unmasked_positions(batch):
    logits, targets, mask = batch
    expected = F.cross_entropy(logits[mask], targets[mask])
    torch.testing.assert_close(cross_entropy(*batch), expected)


def test_equal_logits_cost_ln_v():
    zeros = torch.zeros(B, T, V)
    loss = cross_entropy(zeros, torch.ones(B, T, dtype=torch.long), torch.ones(B, T, dtype=torch.bool))
    assert loss.item() == pytest.approx(math.log(V))


def test_with_every_position_masked_loss_and_gradient_are_zero(batch):
    logits, targets, mask = batch
    loss = cross_entropy(logits, targets, torch.zeros_like(mask))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().max() == 0


def test_a_masked_position_may_hold_anything(batch):
    logits, targets, mask = batch
    spoilt = torch.where(mask[..., None], logits, torch.inf)
    assert cross_entropy(spoilt, targets, mask) == cross_entropy(*batch)


def test_z_loss_adds_the_squared_log_partition(batch):
    logits, targets, mask = batch
    log_z = logits.logsumexp(-1)[mask]
    expected = cross_entropy(*batch) + 0.1 * log_z.square().mean()
    torch.testing.assert_close(cross_entropy(*batch, z_loss=0.1), expected)


def test_gradients_are_right(batch):
    logits, targets, mask = batch
    for z_loss in (0.0, 0.1):
        assert torch.autograd.gradcheck(lambda x, z=z_loss: cross_entropy(x, targets, mask, z), logits)


def test_a_recipe_takes_the_coefficient_from_its_config(batch):
    plain, with_z = Recipe(Config()), Recipe(Config(z_loss=0.1))
    assert plain.loss(*batch) == cross_entropy(*batch)
    assert with_z.loss(*batch) == cross_entropy(*batch, z_loss=0.1)
    broken = with_z.with_fault("target-shift")  # faults wrap the loss that the config asked for
    logits, targets, mask = batch
    assert broken.loss(*batch) == cross_entropy(logits[:, :-1], targets[:, 1:], mask[:, 1:], z_loss=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 300.0])  # 300: nothing is left of the probability of most targets
def test_values_and_gradients_are_those_of_pytorch_s_own_function(batch, dtype, scale):
    logits, targets, mask = batch
    ours, theirs = ((logits.detach() * scale).to(dtype).requires_grad_() for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        loss = cross_entropy(ours, targets, mask)
        expected = F.cross_entropy(theirs[mask], targets[mask])
    assert loss.dtype == expected.dtype == torch.float32
    loss.backward(), expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(ours.grad, theirs.grad)
