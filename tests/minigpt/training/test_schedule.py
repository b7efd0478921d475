"""The learning rate at every step: where warm-up ends, where the run ends, and nothing jumps in between."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt.config import Config
from minigpt.training.schedule import SHAPES, lr_at

each_shape = pytest.mark.parametrize("schedule", SHAPES)


@st.composite
def configs(draw, **fixed):
    steps = draw(st.integers(1, 300))
    lr_max = draw(st.floats(1e-6, 1.0))
    settings = {
        "steps": steps,
        "warmup_steps": draw(st.integers(0, steps)),
        "lr_max": lr_max,
        "lr_min": lr_max * draw(st.floats(0, 1)),
        "schedule": draw(st.sampled_from(list(SHAPES))),
        "decay_share": draw(st.floats(0.05, 1)),
        "drops": draw(st.integers(0, 6)),
        "drop_factor": draw(st.floats(0, 0.99)),
    }
    return Config(**settings | fixed)


def rates(config: Config) -> list[float]:
    return [lr_at(step, config) for step in range(config.steps)]


@given(configs())
def test_warm_up_starts_above_zero_and_ends_at_the_top(config):
    found = rates(config)
    assert found[0] > 0 or config.warmup_steps == 0
    if config.warmup_steps:
        assert found[config.warmup_steps - 1] == pytest.approx(config.lr_max)
        assert found[0] == pytest.approx(config.lr_max / config.warmup_steps)
    elif config.steps > 1:
        assert found[0] == pytest.approx(config.lr_max)


@given(configs())
def test_the_rate_rises_until_the_top_and_never_after(config):
    found = rates(config)
    top = max(config.warmup_steps - 1, 0)
    assert all(a < b for a, b in zip(found[:top], found[1 : top + 1], strict=True))
    assert all(a >= b * (1 - 1e-12) for a, b in zip(found[top:], found[top + 1 :], strict=False))
    assert max(found) <= config.lr_max * (1 + 1e-12)


@given(configs())
def test_the_floor_is_lr_min(config):
    after_warmup = rates(config)[config.warmup_steps :]
    assert all(rate >= config.lr_min - 1e-9 * config.lr_max for rate in after_warmup)


@given(configs(), st.sampled_from(["cosine", "linear", "wsd"]))
def test_the_last_step_gets_lr_min(config, schedule):
    config = config.replace(schedule=schedule)
    if config.warmup_steps < config.steps > 1:
        assert lr_at(config.steps - 1, config) == pytest.approx(config.lr_min)


@given(configs(), st.sampled_from(["cosine", "linear"]))
def test_no_step_falls_by_more_than_the_curve_is_steep(config, schedule):
    found = rates(config.replace(schedule=schedule))
    span = max(config.steps - max(config.warmup_steps, 1), 1)
    steepest = math.pi / 2 * (config.lr_max - config.lr_min) / span
    after = found[max(config.warmup_steps - 1, 0) :]
    assert all(a - b <= steepest * (1 + 1e-9) + 1e-15 for a, b in zip(after, after[1:], strict=False))


@each_shape
@pytest.mark.parametrize(
    ("steps", "warmup", "expected"),
    [
        (1, 0, [1.0]),
        (1, 1, [1.0]),
        (4, 4, [0.25, 0.5, 0.75, 1.0]),
        (2, 1, [1.0, None]),
        (3, 2, [0.5, 1.0, None]),
    ],
)
def test_short_runs(schedule, steps, warmup, expected):
    config = Config(steps=steps, warmup_steps=warmup, lr_max=1, lr_min=0.1, schedule=schedule)
    last = {"constant": 1.0, "step": 0.125}.get(schedule, 0.1)
    assert rates(config) == pytest.approx([last if rate is None else rate for rate in expected])


def test_the_middle_of_each_shape():
    at = {
        name: lr_at(60, Config(steps=101, warmup_steps=21, lr_max=1, lr_min=0.2, schedule=name))
        for name in SHAPES
    }
    assert at == pytest.approx({"cosine": 0.6, "linear": 0.6, "constant": 1.0, "wsd": 1.0, "step": 0.25})


def test_warm_up_stable_decay_keeps_the_top_until_the_share_that_decays():
    config = Config(steps=101, warmup_steps=1, lr_max=1, lr_min=0, schedule="wsd", decay_share=0.25)
    found = rates(config)
    assert found[:76] == pytest.approx([1.0] * 76)
    assert found[76:] == pytest.approx([1 - step / 25 for step in range(1, 26)])


@given(drops=st.integers(0, 5), per_level=st.integers(1, 40))
def test_the_step_shape_drops_at_evenly_spaced_steps(drops, per_level):
    steps = (drops + 1) * per_level + 1
    config = Config(
        steps=steps, warmup_steps=0, lr_max=1, lr_min=0, schedule="step", drops=drops, drop_factor=0.5
    )
    levels = [0.5 ** min(step // per_level, drops) for step in range(steps)]
    assert rates(config) == pytest.approx(levels)


def test_after_the_last_step_the_rate_stays():
    config = Config(steps=10, warmup_steps=2)
    assert lr_at(50, config) == lr_at(9, config)
