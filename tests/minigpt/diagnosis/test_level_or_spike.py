"""What rises and stays is no spike, and what rises by next to nothing is none that matters."""

import json

import numpy as np
import pytest

from minigpt.diagnosis import walk
from minigpt.runs.importers import external_evidence

ROWS = 400


def leaves_of(path, losses, norms):
    """Return the leaves of a log with these rows."""
    rows = [
        {"step": step, "loss": float(loss), "grad_norm": float(norm), "lr": 1e-3}
        for step, (loss, norm) in enumerate(zip(losses, norms, strict=True))
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return walk(external_evidence(path), whole=True).leaves


def noise(size, seed=0):
    return 1 + size * np.random.default_rng(seed).standard_normal(ROWS)


@pytest.mark.parametrize(("lasts", "leaves"), [(9, ["gradient-spikes"]), (ROWS, [])])
def test_a_norm_that_stays_up_is_where_the_model_begins_to_learn(lasts, leaves, tmp_path):
    losses = np.where(np.arange(ROWS) < 150, 4.0, 4.0 - 2.0 * np.linspace(-0.6, 1, ROWS).clip(0)) * noise(
        0.005
    )
    norms = 0.2 * noise(0.1)
    norms[150 : 150 + lasts] *= 40
    assert leaves_of(tmp_path / "log.jsonl", losses, norms) == leaves


@pytest.mark.parametrize(("up", "leaves"), [(2.0, ["loss-spikes", "loss-spike-batch"]), (0.09, [])])
def test_leaps_by_next_to_nothing_are_nothing(up, leaves, tmp_path):
    losses = np.linspace(8, -4, ROWS).clip(0.2) * noise(0.005)  # flat from step 260 on
    losses[[384, 386, 389, 391]] += up
    assert leaves_of(tmp_path / "log.jsonl", losses, 0.5 * noise(0.1)) == leaves
