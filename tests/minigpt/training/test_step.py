"""One step: accumulation equals the big batch, clipping measures and cuts, the scaler recovers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import MINIMAL

from minigpt.data.batches import Batch
from minigpt.model.gpt import build_model, init_weights
from minigpt.training import step as one_step
from minigpt.training.distributed import World
from minigpt.training.loss import cross_entropy
from minigpt.training.optim import build_optimizer
from minigpt.training.precision import build_precision


def model_of(config):
    torch.manual_seed(1)
    model = build_model(config).double()
    init_weights(model, config)
    return model


def gradient(config, batches):
    model = model_of(config)
    loss = one_step.accumulate(model, cross_entropy, batches, build_precision(config, "cpu"), World())
    return loss, [p.grad.clone() for p in model.parameters()]


def random_batch(rows, kept, seed=0):
    """A batch whose first row counts `kept[0]` targets, and so on."""
    generator = torch.Generator().manual_seed(seed)
    shape = (rows, MINIMAL.context)
    ids = torch.randint(MINIMAL.vocab_size, (2, *shape), generator=generator)
    return Batch(ids[0], ids[1], torch.arange(MINIMAL.context) < torch.tensor(kept)[:, None])


def split(batch, parts):
    return [Batch(*tensors) for tensors in zip(*(side.chunk(parts) for side in batch), strict=True)]


@settings(deadline=None, max_examples=15)
@given(
    parts=st.sampled_from([1, 2, 4, 8]),
    kept=st.lists(st.integers(0, MINIMAL.context), min_size=8, max_size=8).filter(any),
)
def test_k_micro_batches_give_the_gradient_of_the_big_batch_whatever_their_masks(parts, kept):
    batch = random_batch(8, kept)
    whole, accumulated = gradient(MINIMAL, [batch]), gradient(MINIMAL, split(batch, parts))
    assert accumulated[0] == pytest.approx(whole[0], abs=1e-12)
    torch.testing.assert_close(accumulated[1], whole[1], rtol=1e-9, atol=1e-12)


def test_k_equal_micro_batches_give_it_too():
    batch = random_batch(8, [MINIMAL.context] * 8)
    whole, accumulated = gradient(MINIMAL, [batch]), gradient(MINIMAL, split(batch, 4))
    assert accumulated[0] == pytest.approx(whole[0], abs=1e-12)
    torch.testing.assert_close(accumulated[1], whole[1], rtol=1e-9, atol=1e-12)


def test_micro_batches_with_nothing_to_learn_give_no_gradient():
    loss, gradients = gradient(MINIMAL, split(random_batch(4, [0] * 4), 2))
    assert loss == 0 and all(not grad.any() for grad in gradients)


def ready_to_clip(config=MINIMAL):
    model = model_of(config)
    optimizer, precision = build_optimizer(model, config), build_precision(config, "cpu")
    one_step.accumulate(model, cross_entropy, [random_batch(4, [8] * 4)], precision, World())
    return model, optimizer, precision


def norm_of(model):
    return math.sqrt(sum(p.grad.square().sum().item() for p in model.parameters()))


def test_clip_returns_the_norm_before_and_leaves_at_most_the_norm_allowed():
    model, optimizer, precision = ready_to_clip()
    before = norm_of(model)
    assert one_step.clip(model, optimizer, precision, before / 3) == pytest.approx(before)
    assert norm_of(model) == pytest.approx(before / 3, rel=1e-5)


def test_clip_leaves_a_small_gradient_alone():
    model, optimizer, precision = ready_to_clip()
    before = [p.grad.clone() for p in model.parameters()]
    one_step.clip(model, optimizer, precision, 1e6)
    assert all(torch.equal(p.grad, old) for p, old in zip(model.parameters(), before, strict=True))


def test_the_gradient_is_unscaled_before_it_is_measured():
    plain, scaled = ready_to_clip(), ready_to_clip(MINIMAL.replace(precision="fp16", loss_scale=1024))
    norm = one_step.clip(*plain, 1.0)
    assert one_step.clip(*scaled, 1.0) == pytest.approx(norm, rel=0.02)


def test_a_step_sets_every_group_s_rate_moves_the_weights_and_clears_the_gradients():
    config = MINIMAL.replace(lr_multipliers="wte=0.1,wpe=0")
    model, optimizer, precision = ready_to_clip(config)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    one_step.clip(model, optimizer, precision, 1.0)
    one_step.step(optimizer, precision, 0.01)
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert rates == pytest.approx({"decay": 0.01, "decay:wpe": 0, "decay:wte": 0.001, "no_decay": 0.01})
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == set(before) - {"wpe.weight"}
    assert all(p.grad is None for p in model.parameters())


def test_an_overflow_skips_the_update_lowers_the_scale_and_the_next_step_is_taken():
    config = MINIMAL.replace(precision="fp16", loss_scale=1024)
    model, optimizer, precision = ready_to_clip(config)
    model.wte.weight.grad[0, 0] = torch.inf
    before = [p.detach().clone() for p in model.parameters()]
    assert not math.isfinite(one_step.clip(model, optimizer, precision, 1.0))
    one_step.step(optimizer, precision, 0.01)
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
    assert precision.scaler.get_scale() == 512
    one_step.accumulate(model, cross_entropy, [random_batch(4, [8] * 4)], precision, World())
    assert math.isfinite(
        one_step.clip(model, optimizer, precision, 1.0)
    )  # torch raises if update() was left out
    one_step.step(optimizer, precision, 0.01)
    assert not torch.equal(model.wte.weight, before[0])


def test_the_randomness_of_a_step_is_a_function_of_seed_step_and_rank():
    def draw(seed, step, rank):
        one_step.seed_step(MINIMAL.replace(seed=seed), step, rank)
        return torch.rand(4).tolist()

    places = [(seed, step, rank) for seed in (0, 1) for step in (0, 1, 2) for rank in (0, 1)]
    drawn = [tuple(draw(*place)) for place in places]
    assert len(set(drawn)) == len(places)
    assert drawn == [tuple(draw(*place)) for place in places]
