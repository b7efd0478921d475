"""Reading logs: by record and by column, torn, damaged, sparse and large."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from minigpt.runs import jsonl as logs
from minigpt.runs.jsonl import Columns, RunError, read_jsonl


def write(path, *lines, end="\n"):
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + end)
    return path


@pytest.fixture(autouse=True, params=[24, 1 << 21], ids=["small-blocks", "one-block"])
def block(request, monkeypatch):
    """Every test also reads in blocks shorter than a line, so that lines fall across their borders."""
    monkeypatch.setattr(logs, "BLOCK", request.param)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "metrics.jsonl"


def test_dense_sparse_and_nested_columns(log):
    records = [
        {"step": i, "loss": i / 3, "lr": {"a": i * 0.1, "b": 1}, "clipped": i % 2 == 0} for i in range(7)
    ]
    records[4]["val_loss"] = 2.5
    records[6]["lr"] = {"a": 9.0}
    columns = Columns.read(write(log, *records))
    assert len(columns) == 7
    assert set(columns.names()) == {"step", "loss", "lr.a", "lr.b", "clipped", "val_loss"}
    steps, loss = columns.column("loss")
    assert steps.tolist() == list(range(7)) and loss.tolist() == [i / 3 for i in range(7)]
    assert [side.tolist() for side in columns.column("val_loss")] == [[4], [2.5]]
    assert columns.column("lr.a")[1][-1] == 9.0
    assert columns.column("lr.b")[0].tolist() == list(range(6))
    assert columns.column("clipped")[1].tolist() == [1, 0, 1, 0, 1, 0, 1]
    assert len(columns.column("nothing")[0]) == 0 and "nothing" not in columns


def test_columns_agree_with_records_whatever_the_keys(log):
    rng = np.random.default_rng(0)
    records = [
        {"step": step} | {name: float(rng.normal()) for name in "abc" if rng.random() < 0.6}
        for step in range(50)
    ]
    for columns in (Columns.read(write(log, *records)), Columns(records)):
        for name in "abc":
            expected = [(record["step"], record[name]) for record in records if name in record]
            steps, values = columns.column(name)
            assert list(zip(steps.tolist(), values.tolist(), strict=True)) == expected


def test_names_of_non_finite_numbers_null_and_text(log):
    write(
        log,
        {"step": 0, "loss": "NaN", "lr": {"a": "Infinity"}, "eta": None, "note": "hello"},
        {"step": 1, "loss": 2.0, "lr": {"a": 1.0}, "eta": 3.0, "note": "NaN of it"},
        '{"step": 2, "loss": NaN}',
    )
    columns = Columns.read(log)
    loss = columns.column("loss")[1]
    assert np.isnan(loss).tolist() == [True, False, True]
    assert math.isinf(columns.column("lr.a")[1][0])
    assert [side.tolist() for side in columns.column("eta")] == [[1], [3.0]]
    assert "note" not in columns
    assert math.isnan(read_jsonl(log)[0]["loss"]) and read_jsonl(log)[1]["note"] == "NaN of it"


def test_named_numbers_in_lists_are_numbers(log):
    write(log, {"step": 3, "rms": ["NaN", 1.0], "tensors": {"w": {"sizes": [["Infinity"], ["-Infinity"]]}}})
    record = read_jsonl(log)[0]
    assert math.isnan(record["rms"][0]) and record["rms"][1] == 1.0
    assert record["tensors"]["w"]["sizes"] == [[math.inf], [-math.inf]]


def test_torn_last_line_is_dropped_blank_lines_are_skipped(log):
    write(log, {"step": 0, "loss": 1.0}, "", {"step": 1, "loss": 2.0}, '{"step": 2, "lo', end="")
    assert len(Columns.read(log)) == 2
    assert [record["step"] for record in read_jsonl(log)] == [0, 1]


def test_whole_last_line_without_line_break_counts(log):
    assert len(Columns.read(write(log, {"step": 0}, {"step": 1}, end=""))) == 2


@pytest.mark.parametrize("damage", ["{oops", "[1, 2]", "7", '{"step": 1'])
def test_damaged_line_is_named(log, damage):
    write(log, {"step": 0}, "", damage, {"step": 2})
    for read in (read_jsonl, Columns.read):
        with pytest.raises(RunError) as caught:
            read(log)
        assert caught.value.values["line"] == 3 and str(log) in str(caught.value)


def test_missing_and_empty_files_are_empty(log):
    assert read_jsonl(log) == [] and len(Columns.read(log)) == 0
    log.write_text("")
    assert read_jsonl(log) == [] and len(Columns.read(log)) == 0


def test_an_unreadable_log_is_said_so(log, monkeypatch):
    write(log, {"step": 0})

    def refuse(*_arguments, **_settings):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(log), "open", refuse)
    with pytest.raises(RunError, match="Permission denied"):
        read_jsonl(log)


def test_records_without_a_step_have_no_place_in_a_column():
    columns = Columns([{"loss": 1.0}, {"step": 3, "loss": 2.0}, {"step": None, "loss": 4.0}])
    assert [side.tolist() for side in columns.column("loss")] == [[3], [2.0]]


def test_reading_a_run_does_not_wait_for_torch():
    code = "import sys, minigpt.diagnosis.report, minigpt.cli.dashboard; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
