"""Time to target: measured where a run got there, estimated where the curve tells, and else unknown."""

import json

import pytest
from small_runs import flags

from minigpt.messages import LANGUAGES
from minigpt.runs.run import Run
from minigpt.runs.target import WINDOW, time_to
from minigpt.training.callbacks.telemetry import Telemetry
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import Trainer


def run_of(path, losses, last=None):
    path.mkdir()
    records = [{"step": step, "loss": loss, "seconds": 0.5} for step, loss in enumerate(losses)]
    records[-1] |= last or {}
    (path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (path / "manifest.json").write_text(json.dumps({"format": 1, "config": None}))
    return Run(path)


def test_the_steps_and_seconds_are_those_until_the_mean_loss_was_there(tmp_path):
    run = run_of(tmp_path / "run", [6.0] * 30 + [2.0] * 50)
    assert time_to(run, 2.0).steps == 30 + WINDOW
    assert time_to(run, 4.0).steps == 30 + WINDOW // 2
    assert time_to(run, 4.0).seconds == pytest.approx(0.5 * (30 + WINDOW // 2))
    assert time_to(run, 7.0).steps == WINDOW  # as soon as there is a mean


def test_one_lucky_batch_is_no_arrival(tmp_path):
    found = time_to(run_of(tmp_path / "run", [6.0] * 30 + [2.0] + [6.0] * 30), 3.0)
    assert (found.reached, found.steps, found.seconds) == (False, None, None)


def test_what_was_not_reached_has_the_last_estimate_for_that_target_alone(tmp_path):
    last = {"target_loss": 3.0, "target_steps": 40, "target_seconds": 20.0}
    run = run_of(tmp_path / "run", [6.0] * 30, last)
    assert (time_to(run, 3.0).steps, time_to(run, 3.0).seconds) == (40, 20.0)
    assert time_to(run, 2.0).steps is None


def test_a_telemetry_with_a_target_takes_the_place_of_the_usual_one(minimal, tmp_path):
    trainer = Trainer(Recipe(minimal), tmp_path / "run", [Telemetry(target_loss=5.0)])
    assert sum(isinstance(callback, Telemetry) for callback in trainer.callbacks) == 1
    assert trainer.run().column("target_loss")[1][-1] == 5.0


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_command_tells_the_time(language, command, minimal, tmp_path):
    argv = [*flags(minimal), "--lang", language]
    known = command("train", *argv, "--run-dir", tmp_path / "a", "--target-loss", 9)
    assert known.code == 0 and known.out.splitlines()[-1].startswith(("Target", "Objetivo")), known
    assert "12" in known.out.splitlines()[-1]
    never = command("train", *argv, "--run-dir", tmp_path / "b", "--target-loss", 0.01)
    assert "0.01" in never.out.splitlines()[-1]
    for given in (0, -2, "nan", "inf"):
        assert "target_loss" in command("train", *argv, f"--target-loss={given}").sentence
