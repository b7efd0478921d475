"""What a learner can do wrong without meaning to: one sentence each, and nothing is lost."""

import errno
import os
from pathlib import Path

import pytest

from course.kernel_errors import sentence
from course.predictions import compare, predict
from minigpt import Config, Recipe, train
from minigpt.messages import LANGUAGES, message, use_language
from minigpt.runs.jsonl import RunError
from minigpt.runs.run import Run
from minigpt.runs.writer import RunWriter

TINY = Config(n_layer=1, n_head=1, n_embd=8, context=8, batch_size=2, steps=2, warmup_steps=1, eval_every=0)


@pytest.fixture
def two_kernels(tmp_path):
    """A run in a folder, and another kernel that begins to write there."""
    train(Recipe(TINY), tmp_path / "run")
    other = RunWriter(tmp_path / "run", resume=True)
    yield tmp_path / "run"
    other.close()


def test_a_lesson_opened_twice_does_not_delete_the_run_that_the_other_is_writing(two_kernels):
    with pytest.raises(RunError) as caught:
        train(Recipe(TINY), two_kernels, overwrite=True)
    told = sentence(caught.value, {}, None)
    assert told == message("run.in-use", path=two_kernels) and "\n" not in told
    assert len(Run(two_kernels).metrics) == TINY.steps


def test_once_the_other_has_finished_the_run_is_made_again(tmp_path):
    train(Recipe(TINY), tmp_path / "run")
    assert len(train(Recipe(TINY), tmp_path / "run", overwrite=True).metrics) == TINY.steps


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_full_disk_while_a_run_is_written_is_one_sentence_in_the_learners_language(
    tmp_path, monkeypatch, code
):
    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, lines):
            if self.file.tell() > 2_000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(lines[:300])  # a disk that fills up takes part of them

        def __getattr__(self, name):
            return getattr(self.file, name)

    opened = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda self, mode="r", *more, **named: (
            Full(opened(self, mode, *more, **named))
            if self.name == "metrics.jsonl" and mode == "ab"
            else opened(self, mode, *more, **named)
        ),
    )
    use_language(code)
    with pytest.raises(RunError) as caught:
        train(Recipe(TINY.replace(steps=60)), tmp_path / "run")
    told = sentence(caught.value, {}, None)
    assert "\n" not in told and message("system.no-space", code) in told
    assert message("system.no-space", "en") in told or code != "en"
    assert Run(tmp_path / "run").metrics  # what was whole before is still read


@pytest.mark.parametrize("guess", [[1.0], float("nan"), "", {}, object()])
def test_a_guess_that_is_none_is_told_in_one_line_and_compared_as_missing(guess, capsys):
    predict("bad", loss=guess)
    assert capsys.readouterr().out.count("\n") == 1
    compare("bad", loss=6.2)
    assert capsys.readouterr().out.splitlines()[-1].split() == ["loss", "–", "6.2"]


@pytest.mark.parametrize("measured", [float("nan"), float("inf")])
def test_a_number_is_wrong_where_what_was_measured_is_none(measured, capsys):
    compare("none", loss=measured)
    predict("none", loss=6.2)
    capsys.readouterr()
    compare("none", loss=measured)
    assert capsys.readouterr().out.splitlines()[-1].split() == ["loss", "6.2", str(measured), "✗"]


def test_a_number_typed_as_a_text_is_a_number(capsys):
    predict("text", loss="6,200")
    compare("text", loss=6200)
    assert capsys.readouterr().out.rstrip().endswith("✓")
