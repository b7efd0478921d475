"""The seeds' flags and variables are the settings that they stand for."""

import pytest
import yaml

from minigpt.cli.aliases import NAMES, SWITCHES, VARIABLES
from minigpt.config import Config
from minigpt.messages import LANGUAGES
from minigpt.runs.run import Run

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
    names = {name for settings in SWITCHES.values() for name in settings}
    names |= {*NAMES.values(), *VARIABLES.values()}
    assert names <= set(Config().to_dict())
    assert not (SWITCHES.keys() | NAMES.keys()) & set(Config().to_dict())


def test_a_setting_by_its_own_name_beats_a_switch(command):
    assert config_of(command, "--use-stdp", "--plasticity", "bcm").plasticity == "bcm"


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_names_with_two_values_are_refused(command, language):
    answer = command("train", "--learning-rate", 0.1, "--lr-max", 0.2, "--lang", language)
    assert "--learning-rate" in answer.sentence and "--lr-max" in answer.sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_aliases_with_two_values_are_refused(command, language):
    answer = command("train", "--lr", 0.1, "--learning-rate", 0.2, "--lang", language)
    assert "--lr " in answer.sentence and "--learning-rate" in answer.sentence
    assert config_of(command, "--lr", 0.2, "--learning-rate", 0.2).lr_max == 0.2


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_switch_and_a_setting_that_ask_for_two_mixers_are_refused(command, language):
    answer = command("train", "--use-mamba", "--mixer", "memory", "--lang", language)
    assert "--use-mamba" in answer.sentence and "mixer = memory" in answer.sentence
    assert config_of(command, "--use-mamba", "--mixer", "two_streams").mixer == "two_streams"


@pytest.mark.parametrize("language", LANGUAGES)
def test_replay_without_tasks_is_refused(command, language):
    assert "replay = 0.25" in command("train", "--use-replay", "--lang", language).sentence


SEED_004 = {"BATCH_SIZE": "32", "BLOCK_SIZE": "128", "LEARNING_RATE": "1e-5", "TRAINING_STEPS": "2000"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_seed_004_s_variables_are_followed_and_said(command, monkeypatch, language):
    for name, value in SEED_004.items():
        monkeypatch.setenv(name, value)
    answer = command("train", "--preset", "plateau-after", "--print-config", "--lang", language)
    config = Config.from_dict(yaml.safe_load(answer.out))
    assert (config.batch_size, config.context, config.lr_max, config.steps) == (32, 128, 1e-5, 2000)
    assert config.schedule == "constant" and all(name in answer.err for name in SEED_004)


def test_everything_else_beats_a_variable_without_our_prefix(command, monkeypatch):
    monkeypatch.setenv("BATCH_SIZE", "32")
    assert config_of(command, "--batch-size", 4).batch_size == 4
    monkeypatch.setenv("MINIGPT_BATCH_SIZE", "8")
    assert config_of(command).batch_size == 8


def test_seed_004_resumes_from_a_checkpoint_for_so_many_steps(command, monkeypatch, tiny_run, tmp_path):
    monkeypatch.setenv("CHECKPOINT_PATH", str(tiny_run.path))
    monkeypatch.setenv("RESUME_STEPS", "2")
    argv = ("--eval-batches", 1, "--warmup-steps", 1, "--batch-size", 4, "--run-dir", tmp_path / "run")
    answer = command("train", *argv)
    assert answer.code == 0, answer.err
    assert len(Run(tmp_path / "run").metrics) == 2
    assert Run(tmp_path / "run").config.init_from == str(tiny_run.path)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"BATCH_SIZE": "many"}, "BATCH_SIZE"),
        ({"TRAINING_STEPS": "10", "RESUME_STEPS": "20"}, "RESUME_STEPS"),
        ({"CHECKPOINT_PATH": "nowhere"}, "nowhere"),
    ],
)
def test_variables_that_cannot_be_followed_are_refused(
    command, monkeypatch, variables, named, language, tmp_path
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    answer = command("train", "--run-dir", tmp_path / "run", "--lang", language)
    assert answer.code == 2 and named in answer.err.splitlines()[-1] and "Traceback" not in answer.err


def test_a_warm_up_as_a_share_of_the_steps(command):
    config = config_of(command, "--lr", "2e-3", "--warmup-ratio", 0.05, "--steps", 1000, "--grad-clip", 0.5)
    assert (config.lr_max, config.warmup_steps, config.clip_norm) == (2e-3, 50, 0.5)


def test_the_steps_that_a_warm_up_is_a_share_of_may_be_a_preset_s_or_a_variable_s(command, monkeypatch):
    argv = ("--preset", "seed-000", "--lr", "1e-4", "--warmup-ratio", 0.25)
    assert config_of(command, *argv).warmup_steps == 500
    monkeypatch.setenv("TRAINING_STEPS", "400")
    assert config_of(command, *argv).warmup_steps == 100
    assert config_of(command, *argv, "--steps", 200).warmup_steps == 50


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "argv",
    [
        ("--warmup-ratio", 0.1),
        ("--warmup-ratio", 10, "--steps", 100),
        ("--warmup-ratio", 0.1, "--steps", 100, "--warmup-steps", 20),
    ],
)
def test_a_share_that_makes_no_sense_is_refused(command, argv, language):
    assert "--warmup-ratio" in command("train", *argv, "--lang", language).sentence


def test_a_seed_s_one_rate_brings_a_lowest_one_along(command, monkeypatch):
    """Or its own commands would be refused: they lie below the usual lr_min."""
    config = config_of(command, "--lr", "2e-4", "--warmup-ratio", 0.05, "--steps", 1000)
    assert (config.lr_max, config.lr_min) == (2e-4, pytest.approx(2e-5))
    assert config_of(command, "--lr", "2e-3").lr_min == Config().lr_min
    assert config_of(command, "--lr", "2e-4", "--lr-min", "1e-4").lr_min == 1e-4
    assert config_of(command, "--lr", "2e-4", "--preset", "slow-before").lr_min == 0
    for name, value in SEED_004.items():
        monkeypatch.setenv(name, value)
    assert config_of(command).lr_min == pytest.approx(1e-6)


def test_a_switch_needs_no_value(command):
    bare = ("--mixer", "memory", "--use-stop-gradient", "--residual-weight", 0.1)
    assert config_of(command, *bare).use_stop_gradient
    assert not config_of(command, "--mixer", "memory", "--use-stop-gradient", "false").use_stop_gradient


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("argv", "instead"),
    [
        (("--epochs", 20), "--steps"),
        (("--wandb",), "--log wandb"),
        (("--num-tasks=2",), "--tasks"),
        (("--liquid-units", 64), "--activation liquid"),
        (("--enable-neuroscience",), "--homeostasis"),
    ],
)
def test_a_seed_s_flag_that_stands_for_no_setting_says_what_does_the_same(command, argv, instead, language):
    sentence = command("train", *argv, "--lang", language).sentence
    assert str(argv[0]).split("=")[0] in sentence and instead in sentence


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("argv", [("--task", "llm"), ("--num-workers", 8)])
def test_a_seed_s_flag_that_is_not_needed_is_said_to_be_none(command, argv, language):
    sentence = command("train", *argv, "--lang", language).sentence
    assert argv[0] in sentence and {"en": "leave it out", "es": "quítala"}[language] in sentence


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("argv", "instead"), [(("--mode", "live"), "--live"), (("--wandb-run", "a/b"), "--wandb")]
)
def test_the_flags_of_seed_000_s_monitor_say_what_does_the_same(command, argv, instead, language):
    assert f"{instead}." in command("dashboard", *argv, "--lang", language).sentence
