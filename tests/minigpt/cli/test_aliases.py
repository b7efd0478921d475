"""The flags of seeds 000 and 001 are the settings that they stand for."""

import pytest
import yaml

from minigpt.cli.aliases import NAMES, SWITCHES
from minigpt.config import Config
from minigpt.messages import LANGUAGES

PHASE_4 = """--continual-learning --use-stdp --use-meta-plasticity --use-replay --use-mamba
    --integration-mode bidirectional --spike-to-mamba-method temporal
    --mamba-expand 2 --mamba-d-state 32 --mamba-d-conv 4
    --use-adaptive-gating --num-gate-heads 8 --use-cross-attention --cross-attn-heads 16""".split()


def config_of(command, *argv) -> Config:
    answer = command("train", *argv, "--print-config")
    assert answer.code == 0, answer.err
    return Config.from_dict(yaml.safe_load(answer.out))


def test_the_seed_s_last_command_is_understood(command):
    config = config_of(command, *PHASE_4)
    assert (config.mixer, config.integration, config.plasticity) == ("two_streams", "bidirectional", "pair")
    assert config.spikes_read == "temporal"
    assert (config.gate_heads, config.cross_attention_heads, config.state_space_size) == (8, 16, 32)
    assert (config.replay, config.meta_plasticity, config.tasks) == (0.25, True, "conjugations,python")
    config.refuse_idle()


def test_seed_000_s_command_is_understood(command):
    flags = "--batch-size 16 --lr 1e-4 --grad-clip 0.5 --consolidation-interval 500".split()
    config = config_of(command, "--preset", "seed-000", *flags)
    assert (config.lr_max, config.clip_norm, config.consolidation_every) == (1e-4, 0.5, 500)
    assert (config.beta2, config.weight_decay, config.warmup_steps) == (0.98, 0.1, config.steps // 10)
    config.refuse_idle()


def test_every_alias_stands_for_settings_that_exist():
    names = {name for settings in SWITCHES.values() for name in settings} | set(NAMES.values())
    assert names <= set(Config().to_dict())
    assert not (SWITCHES.keys() | NAMES.keys()) & set(Config().to_dict())


def test_a_setting_by_its_own_name_beats_a_switch(command):
    assert config_of(command, "--use-stdp", "--plasticity", "bcm").plasticity == "bcm"


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_names_with_two_values_are_refused(command, language):
    answer = command("train", "--learning-rate", 0.1, "--lr-max", 0.2, "--lang", language)
    assert "--learning-rate" in answer.sentence and "--lr-max" in answer.sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_replay_without_tasks_is_refused(command, language):
    assert "replay = 0.25" in command("train", "--use-replay", "--lang", language).sentence
