"""Logs as known trainers write them: read where their meaning is plain, else refused in one sentence."""

import json
import math

import pytest

V = 64
LN_V = math.log(V)


def falling(steps=1200):
    """Return a loss by step that falls from chance."""
    return [1 + (LN_V - 1) * 0.99**step for step in range(steps)]


def table(path, rows, header):
    """Write rows of numbers below a header; None is an empty field."""
    lines = [",".join("" if value is None else str(value) for value in row) for row in rows]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def verdict(answer):
    """Return the exit code and the leaf."""
    return answer.code, json.loads(answer.out)["leaf"]


@pytest.mark.parametrize(
    "gap, code, leaf",
    [
        (lambda step: 0.1, 0, None),
        (lambda step: -0.4, 0, None),  # as dropout does
        (lambda step: step / 200, 1, "overfitting"),
        (lambda step: max(0.0, (step - 500) / 400), 3, None),  # only after the step that the limits are for
        (lambda step: -0.8 * falling()[step], 3, None),  # too good, and nobody compared the texts
        (lambda step: -1.5 if step > 600 else 0.0, 3, None),
    ],
)
def test_a_validation_loss_far_from_training_is_never_healthy(gap, code, leaf, tmp_path, command):
    rows = [(s, x + 3, x + 3 + gap(s) if s % 100 == 0 else None) for s, x in enumerate(falling())]
    log = table(tmp_path / "log.csv", rows, "step,loss,val_loss")
    assert verdict(command("check", log, "--vocab-size", V * 20, "--json")) == (code, leaf)


@pytest.mark.parametrize("factor", [-1, 1 / 4, 1 / 8, 1 / 4 / math.log(2), 1 / math.log(10)])
def test_a_loss_far_below_chance_in_a_unit_that_nobody_names_is_unknown(factor, tmp_path, command):
    rows = [(step, loss * factor) for step, loss in enumerate(falling())]
    log = table(tmp_path / "log.csv", rows, "step,loss")
    answer = command("check", log, "--vocab-size", V, "--json")
    assert verdict(answer) == (3, None)
    assert "--from-checkpoint" in json.loads(answer.out)["findings"][0]["seen"]
