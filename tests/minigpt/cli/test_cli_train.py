"""`minigpt train`: four doors to one config, and what the command says."""

import importlib.util
import json

import pytest
import yaml
from small_runs import MINIMAL, flags

from minigpt.config import Config
from minigpt.messages import LANGUAGES
from minigpt.runs.run import Run


@pytest.fixture
def printed(command):
    """Return a function that gives the config of a command line, by --print-config."""

    def config(*argv) -> dict:
        answer = command("train", "--print-config", *argv)
        assert answer.code == 0, answer.err
        return yaml.safe_load(answer.out)

    return config


def test_it_trains_and_says_where_and_what_next(command, tmp_path):
    answer = command("train", *flags(MINIMAL), "--run-dir", tmp_path / "run")
    assert answer.code == 0 and f"minigpt check {tmp_path / 'run'}" in answer.out
    run = Run(tmp_path / "run")
    assert run.config == MINIMAL and len(run.metrics) == 12
    assert answer.err.count("validation") == 3  # no bar on what is no terminal: a line at every look


def test_without_a_run_dir_it_makes_one_under_experiments(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("train", *flags(MINIMAL), "--fault", "init-scale:3").code == 0
    (folder,) = (tmp_path / "experiments").iterdir()
    assert folder.name.endswith("-init-scalex3-seed0") and Run(folder).manifest["faults"] == ["init-scale:3"]


def test_the_default_is_the_config_s(printed):
    assert printed() == Config().to_dict()


def test_what_is_printed_can_be_read_again(printed, tmp_path):
    asked = (
        "--lr-max=1e-05",
        "--lr-min=1e-06",
        "--text",
        "a b.txt",
        "--schedule=wsd",
        "--freeze=wte",
        "--compile=true",
    )
    first = printed(*asked)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(first, sort_keys=False))
    assert printed("--config", tmp_path / "c.yaml") == first
    assert (first["lr_max"], first["text"], first["compile"]) == (1e-5, "a b.txt", True)


def test_a_flag_beats_a_file_which_beats_a_variable_in_any_order(printed, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGPT_BATCH_SIZE", "16")
    monkeypatch.setenv("MINIGPT_SEED", "5")
    monkeypatch.setenv("MINIGPT_STEPS", "70")
    (tmp_path / "c.yaml").write_text("seed: 6\nsteps: 80\nlr_max: 3e-3\n")
    file = ("--config", tmp_path / "c.yaml")
    for argv in ([*file, "--steps", 90], ["--steps", 90, *file], ["--steps=90", f"--config={file[1]}"]):
        found = printed(*argv)
        assert (found["batch_size"], found["seed"], found["steps"], found["lr_max"]) == (16, 6, 90, 3e-3)


def test_a_later_file_beats_an_earlier_one(printed, tmp_path):
    (tmp_path / "a.yaml").write_text("seed: 1\nsteps: 60\n")
    (tmp_path / "b.yaml").write_text("seed: 2\n")
    found = printed("--config", tmp_path / "a.yaml", "--config", tmp_path / "b.yaml")
    assert (found["seed"], found["steps"]) == (2, 60)


def test_a_preset_is_changed_by_a_variable_a_file_and_a_flag(printed, tmp_path, monkeypatch):
    tiny = printed("--preset", "tiny")
    assert tiny["n_embd"] < 64
    monkeypatch.setenv("MINIGPT_SEED", "7")
    (tmp_path / "c.yaml").write_text("dropout: 0.5\n")
    changed = printed("--preset", "tiny", "--config", tmp_path / "c.yaml", "--steps", "333")
    assert changed == tiny | {"seed": 7, "dropout": 0.5, "steps": 333}
    monkeypatch.setenv("MINIGPT_PRESET", "tiny")
    assert printed() == tiny | {"seed": 7}


def test_resume_goes_on_and_says_from_where(command, tmp_path):
    command("train", *flags(MINIMAL), "--run-dir", tmp_path / "run")
    state = tmp_path / "run" / "checkpoints" / "step-000012" / "state.json"
    state.write_text("{}")
    answer = command("train", "--resume", tmp_path / "run")
    assert answer.code == 0
    assert "step 8 of 12" in answer.out and "step-000012" in answer.out and "damaged" in answer.out
    assert len(Run(tmp_path / "run").metrics) == 12


@pytest.mark.parametrize("equal", [["--seed", "0"], ["--n-layer", "1", "--steps", "12"]])
def test_resume_takes_settings_that_say_the_same(command, tmp_path, equal):
    command("train", *flags(MINIMAL), "--run-dir", tmp_path / "run")
    assert command("train", "--resume", tmp_path / "run", *equal).code == 0


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("other", "named"),
    [
        (["--steps", "24"], ["steps = 12", "24"]),
        (["--n-layer", "2"], ["n_layer = 1", "2"]),  # the default, but not what the run has
        (["--n-embd=64"], ["n_embd = 16", "64"]),
        (["--fault", "init-scale"], ["--fault"]),
        (["--preset", "tiny"], ["--preset"]),
        (["--run-dir", "elsewhere"], ["--run-dir"]),
    ],
)
def test_resume_refuses_whatever_contradicts_the_run(command, tmp_path, other, named, language):
    command("train", *flags(MINIMAL), "--run-dir", tmp_path / "run")
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    sentence = command("train", "--resume", tmp_path / "run", "--lang", language, *other).sentence
    assert all(part in sentence for part in named), sentence
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


def test_resume_refuses_a_variable_that_contradicts_the_run(command, tmp_path, monkeypatch):
    command("train", *flags(MINIMAL), "--run-dir", tmp_path / "run")
    monkeypatch.setenv("MINIGPT_BATCH_SIZE", "32")
    assert "batch_size = 4" in command("train", "--resume", tmp_path / "run").sentence


def test_resume_of_a_run_killed_before_its_first_checkpoint_starts_from_step_0(command, tmp_path):
    command("train", *flags(MINIMAL), "--run-dir", tmp_path / "run")
    whole = [record["loss"] for record in Run(tmp_path / "run").metrics]
    for path in (tmp_path / "run" / "checkpoints").glob("*/*"):
        path.unlink()
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        path.rmdir()
    answer = command("train", "--resume", tmp_path / "run")
    assert answer.code == 0 and "step 0 of 12" in answer.out
    assert [record["loss"] for record in Run(tmp_path / "run").metrics] == whole


@pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="the extra is not installed")
def test_a_logger_writes_into_the_run_s_folder(command, tmp_path):
    answer = command("train", *flags(MINIMAL), "--log", "tensorboard", "--run-dir", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    assert command("train", "--resume", tmp_path / "run", "--log", "tensorboard").code == 0


def test_a_list_can_come_from_a_variable(command, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGPT_FAULT", "init-scale:3,target-shift")
    assert command("train", *flags(MINIMAL), "--run-dir", tmp_path / "run").code == 0
    assert Run(tmp_path / "run").manifest["faults"] == ["init-scale:3", "target-shift"]


def test_stopping_early_is_told(command, tmp_path):
    config = MINIMAL.replace(patience=1, eval_every=1, lr_max=0, lr_min=0, weight_decay=0)
    answer = command("train", *flags(config), "--run-dir", tmp_path / "run")
    assert answer.code == 0 and "step 2" in answer.out and "1" in answer.out


@pytest.mark.parametrize("language", LANGUAGES)
def test_help_explains_every_setting_with_its_default(command, language):
    answer = command("train", "--help", "--lang", language)
    text = " ".join(answer.out.split())
    assert answer.code == 0
    assert "--lr-max" in text and f"{Config().lr_max})" in text and "MINIGPT_LANG" in text
    headings = {"en": ("usage: minigpt train [options]", "show this help"), "es": ("uso: minigpt", "muestra")}
    assert all(heading in text for heading in headings[language])


def test_faults_can_be_listed_as_json(command):
    rows = json.loads(command("faults", "--json").out)
    assert {"id", "part", "leaf", "title", "fix"} <= set(rows[0])
