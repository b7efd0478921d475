"""Run directories: written a whole line at a time, locked, and read whatever state a kill left them in."""

import errno
import json
import math
import os

import pytest

from minigpt.config import Config
from minigpt.messages import LANGUAGES, use_language
from minigpt.runs.run import Run, RunError, strict, write_atomically
from minigpt.runs.writer import RunWriter, describe_run


@pytest.fixture
def writer(tmp_path):
    writer = RunWriter(tmp_path / "run")
    writer.manifest(describe_run(Config(), data={"sha256": {}}))
    yield writer
    writer.close()


def test_what_is_written_is_read(writer):
    writer.metric({"step": 0, "loss": 6.2, "lr": {"decay": 0.1}})
    writer.metric({"step": 1, "loss": math.nan, "lr": {"decay": math.inf}})
    writer.probe({"step": 0, "kind": "x", "values": [1, -math.inf]})
    run = Run(writer.path)
    assert run.config == Config()
    assert run.metrics[0] == {"step": 0, "loss": 6.2, "lr": {"decay": 0.1}}
    assert math.isnan(run.metrics[1]["loss"]) and run.metrics[1]["lr"]["decay"] == math.inf
    assert run.probes[0]["kind"] == "x"


def test_every_record_can_be_read_at_once(writer):
    for step in range(3):
        writer.metric({"step": step})
        assert len(Run(writer.path).metrics) == step + 1


def test_every_line_is_strict_json(writer):
    writer.metric({"step": 0, "loss": math.nan, "inner": [{"x": math.inf}]})
    json.loads((writer.path / "metrics.jsonl").read_text(), parse_constant=pytest.fail)


def test_strict_names_what_json_has_no_number_for():
    value = {"a": [math.nan, math.inf, -math.inf, 1.5, True, None, "NaN"]}
    assert strict(value) == {"a": ["NaN", "Infinity", "-Infinity", 1.5, True, None, "NaN"]}


@pytest.mark.parametrize(("tail", "kept"), [("", 3), ('{"step": 3, "lo', 3), ('{"step": 2', 3), ("{", 3)])
def test_a_torn_last_line_is_dropped_and_rewinding_cuts_it_off(writer, tail, kept):
    for step in range(3):
        writer.metric({"step": step})
    log = writer.path / "metrics.jsonl"
    log.write_text(log.read_text() + tail)
    assert [record["step"] for record in Run(writer.path).metrics][:kept] == [0, 1, 2][:kept]
    writer.rewind(2)
    assert log.read_text() == '{"step":0}\n{"step":1}\n'
    writer.metric({"step": 2})
    assert len(Run(writer.path).metrics) == 3


def test_rewinding_changes_no_byte_of_what_stays(writer):
    for step in range(5):
        writer.metric({"step": step, "loss": 1 / (step + 3)})
        writer.probe({"step": step})
    before = (writer.path / "metrics.jsonl").read_bytes()
    writer.rewind(5)
    assert (writer.path / "metrics.jsonl").read_bytes() == before
    writer.rewind(0)
    assert Run(writer.path).metrics == [] == Run(writer.path).probes


def test_rewinding_a_run_without_logs_is_nothing(writer):
    writer.rewind(3)
    assert Run(writer.path).metrics == []


def test_a_folder_in_use_is_refused_until_its_writer_lets_go(writer):
    writer.metric({"step": 0})
    with pytest.raises(RunError, match="[Aa]nother process"):
        RunWriter(writer.path, resume=True)
    writer.close()
    RunWriter(writer.path, resume=True).close()


def test_a_folder_with_files_is_refused_but_an_empty_one_or_the_rest_of_a_killed_start_is_not(tmp_path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="already holds files"):
        RunWriter(tmp_path / "used")
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / ".manifest.json.123").write_text("{")
    RunWriter(tmp_path / "killed").close()
    (tmp_path / "empty").mkdir()
    RunWriter(tmp_path / "empty").close()


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(RunError, match="cannot be written"):
        RunWriter(tmp_path / "run")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_told_and_closing_is_quiet(writer):
    (writer.path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunError, match="No space left"):
        writer.metric({"step": 0})
    writer.close()


def test_a_disk_that_takes_half_a_line_leaves_a_torn_one(writer, monkeypatch):
    class Filling:
        def __init__(self, path):
            self.file = path.open("ab", buffering=0)
            self.room = 10

        def write(self, line):
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = self.file.write(line[: self.room])
            self.room -= taken
            return taken

        def close(self):
            self.file.close()

    writer.metric({"step": 0})
    writer._logs["metrics.jsonl"] = Filling(writer.path / "metrics.jsonl")
    with pytest.raises(RunError, match="No space left"):
        writer.metric({"step": 1, "loss": 5.0})
    assert Run(writer.path).metrics == [{"step": 0}]


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a.json", "old")

    def killed(_handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.json", "new")
    assert (tmp_path / "a.json").read_text() == "old"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("content", "key"),
    [
        (None, "not-a-run"),
        ("{", "bad-manifest"),
        ("[]", "bad-manifest"),
        ('{"config": {"steps": 0}}', "bad-manifest"),
        ('{"config": {"stepz": 1}}', "bad-manifest"),
        ("{}", "bad-manifest"),
    ],
)
def test_a_folder_that_is_no_run_says_what_is_wrong(tmp_path, content, key, language):
    use_language(language)
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(RunError) as caught:
        Run(tmp_path)
    assert caught.value.key == f"run.{key}" and str(tmp_path) in str(caught.value)


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(RunError, match="no run"):
        Run(tmp_path / "none")
