"""A clean run is read, and healthy, in every format of published_formats.yaml; and so is what ends badly."""

import json

import numpy as np
import pytest
from published_formats import EVERY, FORMATS, rows, text

from minigpt.diagnosis import walk
from minigpt.runs.importers import external_evidence

ROWS = rows()
COUNTED = {"Hugging Face 5", "LLaMA-Factory"}  # no step, no epoch of known length, no bar: rows are counted


@pytest.mark.parametrize("name", FORMATS)
def test_a_clean_run_is_read_whole_and_healthy(name, tmp_path, command):
    log = tmp_path / "out.log"
    log.write_text(text(name, ROWS), encoding="utf-8")
    metrics = external_evidence(log).metrics
    steps, losses = metrics.column("loss")
    assert len(losses) == len(ROWS) and np.allclose(losses, [row.loss for row in ROWS], atol=6e-3)
    assert set(np.diff(steps)) == {1 if name in COUNTED else EVERY}
    if "val" in FORMATS[name]:
        assert np.allclose(metrics.column("val_loss")[1], [row.val for row in ROWS[::20]], atol=6e-3)
    for column, field in (("grad_norm", "norm"), ("lr.all", "lr")):
        values = metrics.column(column)[1]
        assert not len(values) or np.allclose(values, [getattr(row, field) for row in ROWS], atol=6e-3)
    answer = command("check", log, "--json")
    assert (answer.code, json.loads(answer.out)["leaf"]) == (0, None), answer.out


KINDS = {  # of runs: arguments of `rows`
    "small and noisy": {"start": 4.2, "end": 1.6, "noise": 0.12, "norm": 0.6},
    "a fine-tuning": {"start": 1.9, "end": 1.2, "bend": 200, "noise": 0.08, "norm": 5.5, "rate": 2e-5},
    "a plateau": {"start": 10.9, "end": 3.2, "bend": 150, "noise": 0.02},
    "short": {"count": 60, "bend": 300},
}


def test_no_clean_run_of_another_kind_has_a_fault(tmp_path):
    for index, name in enumerate(FORMATS):
        kind = list(KINDS)[index % len(KINDS)]
        (tmp_path / "out.log").write_text(text(name, rows(index, **KINDS[kind])), encoding="utf-8")
        found = walk(external_evidence(tmp_path / "out.log"))
        assert found.verdict == "pass", (name, kind, found.end)


def fate(name):
    """Return the rows of a run that ends badly."""
    measured = rows(seed=3)
    for index, row in enumerate(measured):
        late = max(0, index - 120)
        if name == "NaN":
            row.loss = float("nan") if late else row.loss
        elif name == "diverging":
            row.loss = row.val = row.loss + 0.06 * late
        elif name == "overfitting":
            row.val += 0.01 * late
            row.loss -= 0.004 * late
    return measured


def test_what_ends_badly_is_named_in_every_format(tmp_path):
    fates = {"NaN": "nan-loss", "diverging": "diverging", "overfitting": "overfitting"}
    logs = {ends: fate(ends) for ends in fates}
    for index, name in enumerate(FORMATS):
        looks = "{val" in "".join(FORMATS[name].values())
        ends = "overfitting" if looks and index % 3 else list(fates)[index % 2]
        (tmp_path / "out.log").write_text(text(name, logs[ends]), encoding="utf-8")
        found = walk(external_evidence(tmp_path / "out.log"))
        assert found.leaf == fates[ends], (name, found.end)
