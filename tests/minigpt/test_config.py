"""Every setting is validated, explained in both languages, and survives a round trip."""

import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigpt.config import SECTIONS, Config, ConfigError
from minigpt.messages import CATALOGUE, LANGUAGES, use_language
from minigpt.training.recipe import Recipe

TOP = f"lr_max = {Config().lr_max:g}"
REFUSED = [  # settings that cannot work, and what the sentence must name
    ({"n_head": 3}, ["n_head = 3", "n_embd = 64"]),
    ({"warmup_steps": 51, "steps": 50}, ["warmup_steps = 51", "steps = 50"]),
    ({"lr_min": 5}, ["lr_min = 5", TOP, "cosine"]),
    ({"lr_min": 5, "schedule": "wsd"}, ["lr_min = 5", TOP, "wsd"]),
    ({"patience": 2, "eval_every": 0}, ["patience = 2", "eval_every = 0"]),
    ({"precision": "fp16", "device": "mps"}, ["precision = fp16", "device = mps"]),
    ({"vocab_size": 256}, ["vocab_size = 256", "257"]),
    ({"lr_multipliers": "wte=fast"}, ["lr_multipliers", "wte=fast"]),
    ({"lr_multipliers": "wte"}, ["lr_multipliers", "wte"]),
    ({"lr_multipliers": "wte=-1"}, ["lr_multipliers", "wte=-1"]),
    ({"steps": 0}, ["steps", "0"]),
    ({"eval_batches": 0}, ["eval_batches", "0"]),
    ({"seed": -1}, ["seed", "-1"]),
    ({"keep_checkpoints": -1}, ["keep_checkpoints", "-1"]),
    ({"dropout": 1.0}, ["dropout", "1.0"]),
    ({"beta2": 1.0}, ["beta2", "1.0"]),
    ({"decay_share": 1.5}, ["decay_share", "1.5"]),
    ({"decay_share": 0}, ["decay_share", "0"]),
    ({"clip_norm": 0}, ["clip_norm", "0"]),
    ({"lr_max": math.nan}, ["lr_max", "nan"]),
    ({"clip_norm": math.inf}, ["clip_norm", "inf"]),
    ({"steps": "many"}, ["steps", "int", "many"]),
    ({"steps": 1.5}, ["steps", "int", "1.5"]),
    ({"n_layer": True}, ["n_layer", "int", "True"]),
    ({"compile": 1}, ["compile", "bool", "1"]),
    ({"text": 3}, ["text", "str", "3"]),
    ({"schedule": "cosin"}, ["schedule", "cosin", "cosine"]),
    ({"batchsize": 8}, ["batchsize", "batch_size"]),
    ({"snapshots": 0}, ["snapshots", "0"]),
    ({"mixer": "atention"}, ["mixer", "atention", "attention"]),
    ({"model": {"lr_max": 1.0}}, ["model", "lr_max"]),
    ({"steps": 9, "trainer": {"steps": 8}}, ["steps"]),
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("settings", "named"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_work_is_refused_in_one_sentence_that_names_it(settings, named, language):
    use_language(language)
    with pytest.raises(ConfigError) as caught:
        Config.from_dict(settings)
    sentence = str(caught.value)
    assert all(part in sentence for part in named), sentence
    assert "\n" not in sentence and sentence[-1] in ".?"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_setting_is_explained_and_nothing_else(language):
    explained = {key for key in CATALOGUE.keys(language) if key.startswith("settings.")}
    assert explained == {f"settings.{field.name}" for field in fields(Config)}


def test_a_config_survives_plain_data():
    config = Config(text="a.txt", lr_multipliers="wte=0.1", schedule="wsd", bias=True)
    assert Config.from_dict(config.to_dict()) == config


def test_whole_floats_and_integers_stand_for_each_other():
    config = Config(steps=1e3, clip_norm=2)
    assert (config.steps, config.clip_norm) == (1000, 2.0)
    assert isinstance(config.steps, int) and isinstance(config.clip_norm, float)


def test_replace_validates_again():
    with pytest.raises(ConfigError, match="warmup_steps"):
        Config().replace(steps=10)


def test_edges_are_accepted():
    Config(steps=1, warmup_steps=1)
    Config(steps=50, warmup_steps=50)
    Config(schedule="constant", lr_max=1e-5)  # lr_min plays no part
    Config(decay_share=1.0, lr_min=Config().lr_max)
    Config(weight_decay=0, lr_max=0, lr_min=0)


@given(st.permutations(["h=0.5", "h.1=0.25", "h.1.attn=2", "wte=0"]))
def test_the_longest_prefix_comes_first_in_whatever_order_they_are_given(pairs):
    multipliers = Config(lr_multipliers=", ".join(pairs)).multipliers()
    assert list(multipliers)[0] == "h.1.attn" and list(multipliers)[-1] == "h"
    assert multipliers == {"h": 0.5, "h.1": 0.25, "h.1.attn": 2.0, "wte": 0.0}


def test_a_warm_up_that_is_not_asked_for_fits_the_run():
    assert [Config(steps=steps).warmup_steps for steps in (1, 9, 40, 500, 5000)] == [0, 0, 4, 50, 50]
    assert Config(steps=40, warmup_steps=7).warmup_steps == 7


def test_settings_may_be_grouped_by_section():
    grouped = {"model": {"n_layer": 3}, "schedule": {"schedule": "wsd", "lr_max": 0.5}, "steps": 70}
    assert Config.from_dict(grouped) == Config(n_layer=3, schedule="wsd", lr_max=0.5, steps=70)


def test_every_setting_belongs_to_one_section_and_a_section_can_be_taken_out():
    names = [field.name for kind in SECTIONS.values() for field in fields(kind)]
    assert sorted(names) == sorted(field.name for field in fields(Config))
    config = Config(n_layer=3, beta2=0.5)
    assert config.section("model").n_layer == 3 and config.section("optimizer").beta2 == 0.5


IDLE = [
    ({"decay_share": 0.5}, ["decay_share = 0.5", "schedule = cosine", "wsd"]),
    ({"drops": 2}, ["drops = 2", "schedule = cosine", "step"]),
    ({"loss_scale": 8.0}, ["loss_scale = 8.0", "precision = fp32", "fp16"]),
    ({"snapshots": 2}, ["snapshots = 2", "guard"]),
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("settings", "named"), IDLE, ids=lambda value: str(value)[:40])
def test_a_new_run_refuses_a_setting_that_has_no_effect(settings, named, language):
    use_language(language)
    config = Config(**settings)  # the config of a run on disk is read as it is
    with pytest.raises(ConfigError) as caught:
        Recipe(config).refuse_idle()
    assert all(part in str(caught.value) for part in named)


def test_settings_that_have_an_effect_are_accepted():
    Config(schedule="wsd", decay_share=0.5).refuse_idle()
    Config(schedule="step", drops=2, drop_factor=0.1).refuse_idle()
    Config(precision="fp16", loss_scale=8.0).refuse_idle()
