"""`minigpt check` takes a checkpoint of a run: it walks the whole run, and tells the rates of every group."""

import json

import pytest

from minigpt.messages import LANGUAGES
from minigpt.runs import checkpoint


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_checkpoint_is_diagnosed_with_its_run_and_its_rates(command, tiny_run, language):
    (newest,) = checkpoint.find(tiny_run.path / "checkpoints")
    answer = command("check", newest, "--lang", language)
    assert answer.code == command("check", tiny_run.path).code == 0
    told = " ".join(answer.out.split())
    for group, rate in tiny_run.metrics[-1]["lr"].items():
        assert f"{group} {rate:.3g}" in told
    whole = json.loads(command("check", tiny_run.path, "--json").out)
    found = json.loads(command("check", newest, "--json", "--lang", language).out)
    assert str(len(tiny_run.metrics)) in found.pop("notes")[0]
    assert {name: found[name] for name in ("verdict", "leaf")} == {
        name: whole[name] for name in ("verdict", "leaf")
    }


def test_the_folder_of_checkpoints_is_its_run_too(command, tiny_run):
    assert command("check", tiny_run.path / "checkpoints") == command("check", tiny_run.path)


def test_a_folder_of_that_name_without_a_run_is_none(command, tmp_path):
    (tmp_path / "checkpoints" / "step-000005").mkdir(parents=True)
    assert "step-000005" in command("check", tmp_path / "checkpoints" / "step-000005").sentence
