"""The benchmark of the stability check tells to the step when a fault was named."""

import importlib
from pathlib import Path

import pytest

from minigpt.diagnosis import Evidence
from minigpt.runs import run as run_directory
from minigpt.runs.jsonl import Columns

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture
def diagnosis(monkeypatch):
    """Return the benchmark; what it changes to read its own runs is put back."""
    monkeypatch.setattr(run_directory, "Config", run_directory.Config)
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("diagnosis")


@pytest.mark.parametrize("fourth", [30, 84, 89, 90, 97])  # the last: after the last look
def test_a_fault_is_named_at_the_very_step_whose_record_shows_it(fourth, diagnosis):
    spikes = {21, 23, 25, fourth}  # what is usual needs some steps first
    norms = Columns([{"step": step, "grad_norm": 1000.0 if step in spikes else 1.0} for step in range(98)])
    assert diagnosis.named_at("gradient-spikes", Evidence(metrics=norms)) == fourth
