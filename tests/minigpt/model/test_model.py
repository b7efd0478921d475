"""The GPT in all its forms: shapes, causality, init, counts, and the formulas of its parts."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from minigpt.config import Config, ConfigError
from minigpt.model.ffn.swiglu import SwiGLU
from minigpt.model.gpt import build_model, flops_per_token, init_weights, parameter_count
from minigpt.model.positions import rotate, rotations
from minigpt.model.roles import expected_std, roles_of
from minigpt.training.loss import cross_entropy

SMALL = {"context": 16, "n_embd": 32, "n_head": 4}
FORMS = {
    "default": {},
    "gpt2": {"bias": True, "activation": "gelu_tanh"},
    "llama": {"norm": "rmsnorm", "positions": "rotary", "activation": "swiglu", "tied_head": False},
    "post-norm": {"norm_position": "post"},
    "qk-norm": {"qk_norm": True, "bias": True},
    "rotary qk-rmsnorm": {"qk_norm": True, "norm": "rmsnorm", "positions": "rotary"},
}


def model_of(**settings):
    config = Config(**SMALL | settings)
    torch.manual_seed(0)
    model = build_model(config)
    init_weights(model, config)
    return model


def tokens(batch=2, length=16):
    return torch.randint(512, (batch, length), generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=FORMS.values(), ids=FORMS.keys())
def form(request):
    return request.param


def test_it_starts_at_chance_and_learns_a_batch_by_heart(form):
    model, idx = model_of(**form), tokens()
    batch = idx[:, :-1], idx[:, 1:], torch.ones(2, 15, dtype=torch.bool)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = cross_entropy(model(batch[0]), *batch[1:])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert abs(losses[0] - math.log(512)) < 0.5
    assert losses[-1] < 1


def test_no_logit_depends_on_a_later_token(form):
    model, idx = model_of(**form, init_std=0.3), tokens()
    changed = idx.clone()
    changed[:, 9:] = (changed[:, 9:] + 7) % 512
    with torch.no_grad():
        before, after = model(idx), model(changed)
    torch.testing.assert_close(before[:, :9], after[:, :9])
    assert (before[:, 9:] - after[:, 9:]).abs().max() > 0.1


def test_every_parameter_gets_a_gradient(form):
    model = model_of(**form)
    model(tokens()).square().mean().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert idle == [name for name in idle if name.endswith("c_attn.bias")]  # softmax ignores the keys' bias


def test_weights_are_drawn_by_role(form):
    model = model_of(**form, n_layer=4, n_embd=128)
    roles = roles_of(model)
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            assert set(parameter.tolist()) == {0.0 if name.endswith("bias") else 1.0}
            continue
        std = 0.02 / math.sqrt(8) if name.endswith("c_proj.weight") else 0.02
        assert expected_std(roles[name], model.config) == pytest.approx(std)
        assert parameter.std().item() == pytest.approx(std, rel=6 / math.sqrt(2 * parameter.numel()))
        assert abs(parameter.mean().item()) < 5 * std / math.sqrt(parameter.numel())


def test_flops_are_those_that_torch_counts(form):
    model = model_of(**form).double()  # the counter knows the plain products, which float64 goes by
    for training in (False, True):
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            logits = model(tokens(batch=3))
            if training:
                logits.sum().backward()
        assert counter.get_total_flops() == 3 * 16 * flops_per_token(model, training)


def test_parameter_count_of_gpt2_small():
    config = Config(vocab_size=50257, context=1024, n_layer=12, n_head=12, n_embd=768, bias=True)
    with torch.device("meta"):
        assert parameter_count(build_model(config)) == 124_439_808  # Radford et al., 2019, as released


def test_a_tied_head_is_one_tensor_and_a_free_head_two():
    tied, free = model_of(), model_of(tied_head=False)
    assert tied.lm_head.weight is tied.wte.weight
    assert parameter_count(free) - parameter_count(tied) == 512 * 32


def test_swiglu_costs_what_the_plain_mlp_does():
    plain, gated = model_of(n_embd=192), model_of(n_embd=192, activation="swiglu")
    assert parameter_count(gated) == parameter_count(plain)  # 8/3 · 192 is a multiple of 16


def test_swiglu_is_shazeers_formula():
    mlp = SwiGLU(Config(**SMALL, activation="swiglu"))
    x = torch.randn(2, 3, 32)
    gate, value = x @ mlp.c_gate.weight.T, x @ mlp.c_fc.weight.T
    torch.testing.assert_close(mlp(x), (gate * gate.sigmoid() * value) @ mlp.c_proj.weight.T)


@pytest.mark.parametrize("head_size", [2, 8])
def test_rotary_scores_depend_on_the_distance_alone(head_size):
    q, k = torch.randn(2, 1, 1, 1, head_size)
    turns = rotations(0, 30, head_size, torch.device("cpu"))

    def score(i, j):
        return (rotate(q, turns[i : i + 1]) * rotate(k, turns[j : j + 1])).sum()

    torch.testing.assert_close(score(3, 1), score(22, 20), rtol=1e-4, atol=1e-5)
    assert (score(3, 1) - score(3, 2)).abs() > 1e-4
    torch.testing.assert_close(rotate(q, turns[:1]), q)  # position 0 does not turn


def test_rotary_turns_the_first_pair_by_one_radian_a_position():
    x = torch.zeros(1, 1, 1, 4)
    x[..., 0] = 1
    turned = rotate(x, rotations(2, 1, 4, torch.device("cpu"))).flatten()
    torch.testing.assert_close(turned, torch.tensor([math.cos(2), math.sin(2), 0, 0]))


def test_qk_norm_keeps_attention_logits_bounded():
    model = model_of(qk_norm=True)
    attention = model.h[0].attn
    q = attention.q_norm(torch.randn(5, 8) * 1e4)
    assert q.norm(dim=-1).max() <= math.sqrt(8) + 1e-3


def test_post_norm_leaves_a_normalised_stream():
    model = model_of(norm_position="post", init_std=1.0)
    caught = []
    model.h[-1].register_forward_hook(lambda module, arguments, output: caught.append(output))
    model(tokens())
    torch.testing.assert_close(caught[0].std(-1, correction=0), torch.ones(2, 16), rtol=1e-3, atol=1e-3)


def test_dropout_acts_in_training_only():
    model, idx = model_of(dropout=0.5), tokens()
    assert not torch.equal(model(idx), model(idx))
    model.eval()
    assert torch.equal(model(idx), model(idx))


def test_the_first_loss_of_the_default_is_what_it_was():
    """Golden: a change of the model that moves this needs a reason."""
    config = Config()
    torch.manual_seed(0)
    model = build_model(config)
    init_weights(model, config)
    idx = torch.arange(32 * 65).view(32, 65) * 7919 % 512
    loss = cross_entropy(model(idx[:, :-1]), idx[:, 1:], torch.ones(32, 64, dtype=torch.bool))
    assert loss.item() == pytest.approx(6.261793, abs=2e-6)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"positions": "rotary", "n_embd": 36, "n_head": 4}, "rotary-needs-pairs"),
        ({"norm": "layer-norm"}, "not-a-choice"),
        ({"activation": "relu"}, "not-a-choice"),
        ({"z_loss": -1.0}, "not-negative"),
    ],
    ids=str,
)
def test_a_form_that_cannot_be_built_is_refused(settings, key):
    with pytest.raises(ConfigError) as caught:
        Config(**settings)
    assert caught.value.key == f"config.{key}"
    assert str(caught.value)


def test_gelu_forms_differ_as_their_formulas_do():
    x = torch.linspace(-3, 3, 50).view(1, 50)
    exact, tanh = (model_of(activation=name).h[0].mlp for name in ("gelu", "gelu_tanh"))
    assert exact.approximate == "none" and tanh.approximate == "tanh"
    assert (F.gelu(x) - F.gelu(x, approximate="tanh")).abs().max() > 1e-4
