"""Section 10 of the dynamics tree: what a memory does, told from evidence made up for it."""

import math

import numpy as np
import pytest
from dynamics_questions import ask

from minigpt.diagnosis import Verdict
from minigpt.runs import schema


@pytest.mark.parametrize(
    ("probe", "leaf"),
    [
        ({"same_batch": 0.0, "row_alone": 1e-6, "evaluation_writes": False}, None),
        ({"same_batch": 0.1, "row_alone": 0.0, "evaluation_writes": False}, "memory-leak-across-batches"),
        ({"same_batch": 0.0, "row_alone": math.nan}, "memory-leak-across-batches"),
        ({"same_batch": 0.0, "row_alone": 0.0, "evaluation_writes": True}, "memory-leak-across-batches"),
    ],
)
def test_a_state_that_is_carried_over_is_a_leak(probe, leaf):
    assert ask("10.1", probes=[schema.Statefulness(**probe)]).leaf == leaf


@pytest.mark.parametrize(
    ("writes", "verdict"), [(True, Verdict.FAIL), (False, Verdict.PASS), (None, Verdict.NOT_MEASURED)]
)
def test_writes_that_depend_on_chance_are_named(writes, verdict):
    assert ask("10.2", probes=[schema.Statefulness(rng_writes=writes)]).verdict is verdict


def memory(**series):
    """Return the column of a memory of one layer."""
    count = len(next(iter(series.values())))
    return {"memory": [{name: [values[step]] for name, values in series.items()} for step in range(count)]}


@pytest.mark.parametrize(
    ("norms", "leaf"),
    [
        (np.sqrt(np.arange(1, 60)), None),  # a memory that fills
        (np.full(60, 3.0), None),
        (1.0 + np.arange(60), None),  # grows, and not by a factor
        (1.2 ** np.arange(60), "memory-feedback"),
        (np.where(np.arange(60) < 50, 2.0, math.nan), "memory-feedback"),
    ],
)
def test_a_memory_that_grows_by_a_factor_feeds_on_itself(norms, leaf):
    assert ask("10.3", memory(norm=norms.tolist())).leaf == leaf


def test_a_gate_that_chooses_one_source_alone_has_collapsed():
    def run(entropy, share):
        return ask("10.4", memory(gate_entropy=[entropy] * 20, gate_max_share=[share] * 20)).leaf

    assert run(0.4, 0.2) is None
    assert run(0.05, 0.2) == run(0.4, 0.95) == "memory-gate-collapse"


def test_duplicates_and_clamped_scales_have_their_leaves():
    assert ask("10.5", memory(duplicates=[0.8] * 20, size=[64.0] * 20)).leaf == "memory-saturation"
    assert ask("10.5", memory(duplicates=[0.2] * 20)).leaf is None
    assert ask("10.6", memory(clamped=[0.95] * 20)).leaf == "homeostasis-windup"
    assert ask("10.6", memory(clamped=[0.1] * 20)).leaf is None
