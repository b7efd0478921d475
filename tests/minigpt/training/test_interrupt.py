"""Ctrl-C and a termination signal finish the step, save, and end with code 130; what was saved goes on."""

import os
import signal

import pytest
from small_runs import HANGS, MINIMAL, flags, spawn

from minigpt.runs.run import Run
from minigpt.training.interrupt import Interrupt, Interrupted
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import Trainer, resume, train


class Signal:
    """A callback that sends this process a signal in the middle of a run."""

    def __init__(self, number, at):
        self.number, self.at = number, at

    def on_record(self, trainer, record):
        if record["step"] in self.at:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_after_the_step_and_the_resumed_run_is_the_whole_one(number, minimal, tmp_path):
    whole = train(Recipe(minimal), tmp_path / "whole")
    trainer = Trainer(Recipe(minimal), tmp_path / "run", [Signal(number, {6})])
    with pytest.raises(Interrupted):
        trainer.run()
    assert (trainer.step, len(Run(tmp_path / "run").metrics)) == (7, 7)
    again = resume(tmp_path / "run")
    assert again.step == 7
    assert again.run().column("loss")[1].tolist() == whole.column("loss")[1].tolist()


def test_the_handlers_are_put_back(minimal, tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train(Recipe(minimal), tmp_path / "run")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_signal_stops_at_once_unless_told_to_be_patient():
    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.asked
        os.kill(os.getpid(), signal.SIGINT)
    with Interrupt(patient=True) as interrupt:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.asked


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_with_130_and_says_how_to_go_on(number, tmp_path):
    endless = MINIMAL.replace(steps=1_000_000, eval_every=5, checkpoint_every=0)
    process = spawn("-m", "minigpt", "train", *flags(endless), "--run-dir", tmp_path / "run")
    try:
        process.stderr.readline()  # the first validation is reported, so the loop is running
        process.send_signal(number)
        out, err = process.communicate(timeout=HANGS)
    finally:
        process.kill()
    assert process.returncode == 130, err
    done = len(Run(tmp_path / "run").metrics)
    assert f"step {done}" in err and f"--resume {tmp_path / 'run'}" in err and "Traceback" not in err
    assert resume(tmp_path / "run").step == done
