"""An instrument that reads a broken run says so, and never ends it."""

import dataclasses
import math

import pytest
import torch
from small_runs import SMALL

from minigpt.dashboard import from_run
from minigpt.dashboard.panels import panels
from minigpt.diagnosis import Verdict, check
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train


@pytest.mark.parametrize(("size", "measured"), [(1e12, True), (math.inf, False), (math.nan, False)])
def test_a_run_whose_weights_leave_all_bounds_is_not_ended_by_an_instrument(size, measured, tmp_path):
    """The loss was a number; what the model makes of the next windows need not be one."""
    plain = Recipe(SMALL.replace(steps=14, instruments_every=10, noise_every=10, stop_on_non_finite=False))
    now = [0]

    def rate(step, config):
        now[0] = step
        return plain.lr_at(step, config)

    def damaging(optimizer, *rest):
        plain.step(optimizer, *rest)
        if now[0] == 9:
            with torch.no_grad():
                for group in optimizer.param_groups:
                    group["params"][0].mul_(size)

    run = train(dataclasses.replace(plain, lr_at=rate, step=damaging), tmp_path / "run")
    ranks = {probe["step"]: probe["rank"] for probe in run.probes if probe["kind"] == "units"}
    assert len(run.metrics) == 14 and all(rank > 0 for rank in ranks[2])
    assert all(map(math.isfinite, ranks[9])) is measured
    walk = check(run.path, whole=True)
    assert walk.verdict is not Verdict.PASS and "NaN" not in str(walk.findings)
    assert panels([from_run(run.path)])
