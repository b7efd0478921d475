"""Every shipped preset loads, is what its name says, and trains."""

import pytest
import yaml

from minigpt.config import Config, ConfigError
from minigpt.config.ladders import load_ladder
from minigpt.config.presets import FOLDER, PRESETS, load_preset
from minigpt.messages import LANGUAGES, use_language

each_preset = pytest.mark.parametrize("name", PRESETS)


def preset(name: str) -> Config:
    return Config.from_dict(load_preset(name))


def test_the_course_s_presets_are_there():
    assert {"healthy", "tiny", "plateau-before", "plateau-after", "fine-tune", "accumulated"} <= set(PRESETS)


def test_healthy_is_the_default():
    assert preset("healthy") == Config()


@each_preset
def test_it_says_what_it_is_for_and_names_nothing_twice(name):
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    keys = [line.split(":")[0] for line in text.splitlines() if line and not line.startswith("#")]
    assert len(keys) == len(set(keys)) == len(yaml.safe_load(text))


@each_preset
def test_it_trains_some_steps_by_the_command(name, command, tmp_path, tiny_run):
    argv = ["--preset", name, "--steps", 3, "--warmup-steps", 1, "--eval-batches", 1, "--device", "cpu"]
    if preset(name).guard_spikes:
        argv += ["--spike-window", 2]  # or it would judge nothing in so short a run
    if name == "fine-tune":
        argv += ["--init-from", tiny_run.path]
    answer = command("train", *argv, "--run-dir", tmp_path / "run")
    assert answer.code == 0, answer.err


def test_accumulated_takes_the_tokens_of_healthy_in_a_step():
    one, other = preset("healthy"), preset("accumulated")
    assert other.accumulation > 1
    assert one.batch_size * one.accumulation == other.batch_size * other.accumulation


def test_the_plateau_s_remedy_changed_what_was_published():
    before, after = preset("plateau-before"), preset("plateau-after")
    assert (after.batch_size, after.context) == (4 * before.batch_size, before.context // 2)
    assert after.lr_max == before.lr_max / 2 and after.schedule == "constant"
    assert before.lr_max == pytest.approx(2e-5 * 768 / before.n_embd)


@pytest.mark.parametrize(
    ("ladder", "rung", "name"),
    [
        ("seed-000", "as it was", "oscillation-before"),
        ("seed-000", "guards", "oscillation-after"),
        ("seed-002", "original", "slow-before"),
        ("seed-002", "quick fix", "slow-quick-fix"),
        ("seed-002", "optimized", "slow-optimized"),
        ("seed-002", "aggressive", "slow-aggressive"),
    ],
)
def test_a_preset_of_a_seed_is_a_rung_of_its_ladder(ladder, rung, name):
    configs = {step.name: config for step, config, _ in load_ladder(ladder).configs()}
    assert configs[rung] == preset(name)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unknown_one_gets_the_nearest_suggested(language):
    use_language(language)
    with pytest.raises(ConfigError) as caught:
        load_preset("platau-before")
    assert "platau-before" in str(caught.value) and str(caught.value).count("plateau-before") == 2
