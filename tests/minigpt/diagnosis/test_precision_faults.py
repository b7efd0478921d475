"""The trees name each fault of mixed precision, and leave a healthy fp16 run alone."""

import pytest
from small_runs import SMALL

from minigpt.diagnosis import Verdict, check
from minigpt.faults import FAULTS, FaultError, refuse_idle
from minigpt.faults.precision import PRECISION_FAULTS
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train

HALF = SMALL.replace(precision="fp16", steps=40, checkpoint_every=0, stop_on_non_finite=False)
each_fault = pytest.mark.parametrize("fault", [fault.id for fault in PRECISION_FAULTS])


@each_fault
def test_each_fault_of_mixed_precision_is_named(fault, tmp_path):
    train(Recipe(HALF).with_fault(fault), tmp_path / "run")
    found = check(tmp_path / "run", whole=True)
    named = {f.leaf for f in found.findings if f.verdict is Verdict.FAIL}
    assert FAULTS[fault].leaf in named, [f for f in found.findings if f.leaf]


@each_fault
def test_without_a_loss_scale_there_is_nothing_to_break(fault):
    with pytest.raises(FaultError, match="precision"):
        refuse_idle((), fault, SMALL)


def test_a_healthy_run_in_fp16_has_none_of_these_leaves(tmp_path):
    train(Recipe(HALF), tmp_path / "run")
    named = {f.leaf for f in check(tmp_path / "run", whole=True).findings if f.leaf}
    assert not named & {fault.leaf for fault in PRECISION_FAULTS}
