"""Generation: the cache changes nothing, and drawing keeps to its settings."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.config import Config
from minigpt.messages import MiniGPTError
from minigpt.model.generation import draw, generate, reads_step_by_step
from minigpt.model.gpt import GPT, init_weights

CONTEXT = 12


def model_of(**settings) -> GPT:
    config = Config(context=CONTEXT, n_embd=32, n_head=4, init_std=0.5, **settings)  # far from uniform logits
    torch.manual_seed(3)
    model = GPT(config).eval()
    init_weights(model, config)
    return model


MODELS = {
    (positions, norm): model_of(positions=positions, norm=norm, qk_norm=norm == "rmsnorm")
    for positions, norm in product(("learned", "rotary"), ("layernorm", "rmsnorm"))
}


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_logits_with_a_cache_are_those_without(data):
    """However the tokens are cut into portions."""
    model = data.draw(st.sampled_from(list(MODELS.values())))
    batch, length = data.draw(st.integers(1, 3)), data.draw(st.integers(1, CONTEXT))
    cuts = sorted(data.draw(st.sets(st.integers(1, length)))) + [length]
    idx = torch.randint(512, (batch, length), generator=torch.Generator().manual_seed(length))
    cache = model.init_state(batch)
    with torch.no_grad():
        parts = [model(idx[:, a:b], cache) for a, b in zip([0, *cuts], cuts, strict=False) if b > a]
        torch.testing.assert_close(torch.cat(parts, 1), model(idx), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda m: m.config.positions + "-" + m.config.norm)
def test_generation_past_the_context_is_that_of_whole_windows(model):
    idx = torch.randint(512, (2, 5))
    out = generate(model, idx, max_new_tokens=2 * CONTEXT, temperature=0)
    for end in range(5, out.shape[1]):
        with torch.no_grad():
            logits = model(out[:, :end][:, -CONTEXT:])[:, -1]
        assert torch.equal(logits.argmax(-1), out[:, end])


def test_a_model_that_sees_the_future_is_not_cached():
    model = model_of()
    for block in model.h:
        block.attn.causal = False
    idx = torch.randint(512, (1, 4))
    assert not reads_step_by_step(model)
    out = generate(model, idx, max_new_tokens=3, temperature=0)
    with torch.no_grad():
        assert out[0, -1] == model(out[:, :-1])[0, -1].argmax()


def test_a_finished_sequence_is_filled_with_the_stop_token_and_the_others_go_on():
    model = MODELS["learned", "layernorm"]
    idx = torch.tensor([[1], [2]])
    free = generate(model, idx, max_new_tokens=8, temperature=0)
    stop = int(free[0, 2])
    out = generate(model, idx, max_new_tokens=8, temperature=0, stop=stop)
    end = out[0].tolist().index(stop)
    assert out[0, : end + 1].tolist() == free[0, : end + 1].tolist()
    assert set(out[0, end:].tolist()) == {stop}
    if stop not in free[1].tolist():
        assert torch.equal(out[1], free[1])


def test_generation_ends_when_all_have_stopped():
    model = MODELS["learned", "layernorm"]
    idx = torch.tensor([[1]])
    stop = int(generate(model, idx, max_new_tokens=1, temperature=0)[0, -1])
    assert generate(model, idx, max_new_tokens=8, temperature=0, stop=stop).shape == (1, 2)


def test_generation_leaves_the_mode_of_the_model_as_it_was():
    model = model_of(dropout=0.5).train()
    idx = torch.tensor([[1]])
    outs = {tuple(generate(model, idx, 6, temperature=0)[0].tolist()) for _ in range(5)}
    assert len(outs) == 1  # no dropout while generating
    assert model.training


LOGITS = torch.tensor([[0.5, 0.25, 0.15, 0.1]]).log()


def drawn(**settings) -> list[int]:
    generator = torch.Generator().manual_seed(0)
    tokens = draw(LOGITS.expand(4000, 4), generator=generator, **settings)
    return (torch.bincount(tokens.flatten(), minlength=4) / 4000).tolist()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.5, 0.25, 0.15, 0.1]),
        ({"temperature": 0.5}, [0.725, 0.181, 0.065, 0.029]),  # squares, normalised
        ({"temperature": 0}, [1, 0, 0, 0]),
        ({"top_k": 2}, [2 / 3, 1 / 3, 0, 0]),
        ({"top_k": 99}, [0.5, 0.25, 0.15, 0.1]),
        ({"top_p": 0.5}, [1, 0, 0, 0]),
        ({"top_p": 0.76}, [0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0]),
        ({"top_p": 1e-9}, [1, 0, 0, 0]),
        ({"top_k": 3, "top_p": 0.8}, [2 / 3, 1 / 3, 0, 0]),  # 0.5 and 0.25 of 0.9 reach 0.8
    ],
    ids=str,
)
def test_draws_follow_the_distribution(settings, expected):
    for share, probability in zip(drawn(**settings), expected, strict=True):
        assert abs(share - probability) <= 4 * math.sqrt(probability * (1 - probability) / 4000)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"temperature": -1}, "bad-temperature"),
        ({"temperature": math.nan}, "bad-temperature"),
        ({"top_k": 0}, "bad-top-k"),
        ({"top_p": 0.0}, "bad-top-p"),
        ({"top_p": 1.5}, "bad-top-p"),
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_refused(settings, key):
    with pytest.raises(MiniGPTError) as caught:
        generate(MODELS["learned", "layernorm"], torch.tensor([[1]]), 1, **settings)
    assert caught.value.key == f"sample.{key}"


def test_an_empty_prompt_is_refused():
    with pytest.raises(MiniGPTError) as caught:
        generate(MODELS["learned", "layernorm"], torch.empty(1, 0, dtype=torch.long), 1)
    assert caught.value.key == "sample.empty-prompt"


def test_a_model_of_nan_is_refused_with_advice():
    with pytest.raises(MiniGPTError) as caught:
        draw(torch.tensor([[math.nan, 0.0]]))
    assert caught.value.key == "sample.not-a-number"


@pytest.mark.parametrize("activation", ["gelu", "spiking", "liquid"])
def test_a_state_space_generates_past_its_context_from_its_state(activation):
    """What it writes is what it would write after reading the whole past at once."""
    model = model_of(mixer="state_space", positions="rotary", activation=activation)
    idx = torch.randint(512, (2, 5), generator=torch.Generator().manual_seed(0))
    out = generate(model, idx, max_new_tokens=8 * CONTEXT, temperature=0)
    with torch.no_grad():
        whole = model(out)  # (B, T, V), eight times the context
    gaps = whole[:, 4:-1].topk(2).values.diff(dim=-1).abs().squeeze(-1)
    clear = gaps > 1e-3  # where rounding cannot turn the choice
    assert clear.float().mean() > 0.9
    assert torch.equal(whole[:, 4:-1].argmax(-1)[clear], out[:, 5:][clear])


def test_with_learned_positions_it_has_an_end():
    model = model_of(mixer="state_space")
    out = generate(model, torch.randint(512, (1, 3)), max_new_tokens=2 * CONTEXT, temperature=0)
    with torch.no_grad():
        assert out[0, -1] == model(out[:, -1 - CONTEXT : -1])[0, -1].argmax()
