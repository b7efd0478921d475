"""Bad input to `minigpt`: one sentence on stderr, exit code 2, and no half-written file."""

import errno
import os
import subprocess
import sys

import pytest
from small_runs import HANGS, MINIMAL, flags, spawn

from minigpt.cli import main
from minigpt.messages import LANGUAGES, message
from minigpt.runs import checkpoint
from minigpt.runs.run import Run

in_both = pytest.mark.parametrize("language", LANGUAGES)


def write(folder, name, content: bytes):
    path = folder / name
    path.write_bytes(content)
    return path


@in_both
@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["trian"], ["trian", "train"]),
        (["train", "--fault", "init-scal"], ["init-scal", "init-scale"]),
        (["train", "--fault", "target-shift:3"], ["target-shift"]),
        (["train", "--fault", "accumulation-sum"], ["accumulation-sum", "--accumulation"]),
        (["train", "--batchsize", "3"], ["--batchsize", "--batch-size"]),
        (["train", "--batch_size=3"], ["--batch_size", "--batch-size"]),
        (["train", "extra"], ["extra"]),
        (["train", "--log", "tensorbord"], ["tensorbord", "tensorboard"]),
        (["train", "--steps"], ["--steps"]),
        (["train", "--steps", "many"], ["steps", "many"]),
        (["train", "--compile", "maybe"], ["compile", "maybe"]),
        (["train", "--precision", "fp17"], ["precision", "fp17", "fp16"]),
        (["train", "--preset", "helthy"], ["helthy", "healthy"]),
        (["train", "--config", "none.yaml"], ["none.yaml"]),
        (["train", "--config", "."], ["."]),
        (["train", "--steps", "10", "--warmup-steps", "50"], ["warmup_steps = 50", "steps = 10"]),
        (["train", "--n-head", "3"], ["n_head = 3", "n_embd = 64"]),
        (["train", "--device", "cuda"], ["cuda"]),
        (["train", "--resume", "none"], ["none"]),
        (["train", "--init-from", "none"], ["none"]),
        (["train", "--freeze", "wtf"], ["freeze", "wtf"]),
        (["check"], ["RUN_DIR"]),
        (["check", "none"], ["none"]),
        (["sample", "none"], ["none"]),
        (["sample", "none", "--count", "few"], ["count", "few"]),
        (["sample", "none", "--count", "-1"], ["count", "-1"]),
        (["check", "none", "extra"], ["extra", "minigpt check"]),
    ],
    ids=" ".join,
)
def test_what_cannot_be_understood_is_named(command, argv, named, language, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sentence = command(*argv, "--lang", language).sentence
    assert sentence.startswith("minigpt: ") and all(part in sentence for part in named), sentence
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("argv", [["--lang", "es", "check", "none"], ["check", "--lang=es", "none"]])
def test_the_language_may_stand_anywhere(command, argv, monkeypatch):
    monkeypatch.setenv("MINIGPT_LANG", "en")
    assert "No hay ningún run en none" in command(*argv).sentence
    assert "no run at none" in command("check", "none").sentence  # and it is forgotten afterwards


@in_both
@pytest.mark.parametrize("argv", [["card"], ["faults"]])
def test_an_output_that_cannot_be_written_ends_a_real_process_with_a_sentence(argv, language):
    if not os.path.exists("/dev/full"):
        pytest.skip("no device that is always full")
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "minigpt", *argv, "--lang", language],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert process.returncode == 2 and process.stderr.count("\n") == 1, process.stderr
    assert message("system.no-space", language) in process.stderr


def test_a_terminal_without_the_signs_of_the_report_gets_others(capfdbinary, monkeypatch):
    with open(1, "w", encoding="ascii", closefd=False) as ascii_only:
        monkeypatch.setattr(sys, "stdout", ascii_only)
        assert main(["card", "--lang", "es"]) == 0
    assert b"Revisi?n de estabilidad" in capfdbinary.readouterr().out


@in_both
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"stepz: 9\n", ["stepz", "steps"]),
        (b"steps: [9\n", ["YAML"]),
        (b"- steps\n", ["YAML"]),
        (b"", ["YAML"]),
        (b"\xff\xfe\x00", ["YAML"]),
        (b"steps: soon\n", ["steps", "soon"]),
        (b"schedule: cosin\n", ["schedule", "cosin", "cosine"]),
        (b"n_head: 5\n", ["n_head = 5", "n_embd = 64"]),
        (b"lr_max: .nan\n", ["lr_max"]),
    ],
)
def test_a_settings_file_that_cannot_serve_is_refused(command, content, named, language, tmp_path):
    path = write(tmp_path, "c.yaml", content)
    sentence = command("train", "--config", path, "--lang", language).sentence
    assert all(part in sentence for part in named), sentence


def test_a_variable_that_cannot_serve_is_refused(command, monkeypatch):
    monkeypatch.setenv("MINIGPT_STEPS", "soon")
    assert "soon" in command("train").sentence


def test_a_variable_that_names_no_setting_is_refused_with_the_nearest(command, monkeypatch):
    monkeypatch.setenv("MINIGPT_BATCHSIZE", "16")
    sentence = command("train").sentence
    assert "MINIGPT_BATCHSIZE" in sentence and "MINIGPT_BATCH_SIZE" in sentence


@in_both
@pytest.mark.parametrize(
    "content",
    [None, b"", b"short", b"\x00\x01" * 900, b"caf\xe9 " * 400, b"abcabc " * 300],
    ids=["missing", "empty", "tiny", "binary", "not UTF-8", "too poor"],
)
def test_a_text_that_cannot_be_trained_on_is_refused_and_nothing_is_written(
    command, content, language, tmp_path
):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    sentence = command("train", "--text", path, "--run-dir", tmp_path / "run", "--lang", language).sentence
    assert "text.txt" in sentence or "512" in sentence
    assert not (tmp_path / "run").exists()


def test_a_context_longer_than_the_text_is_refused(command, tmp_path):
    path = write(tmp_path, "t.txt", "".join(f"word {i} and word {i * 7}\n" for i in range(200)).encode())
    argv = ("--text", path, "--vocab-size", 300, "--context", 4000, "--run-dir", tmp_path / "run")
    assert "context" in command("train", *argv).sentence
    assert not (tmp_path / "run").exists()


def test_a_run_dir_in_use_a_file_or_full_of_files_is_refused(command, tmp_path):
    write(tmp_path, "file", b"")
    argv = ("train", *flags(MINIMAL), "--run-dir")
    assert "file" in command(*argv, tmp_path / "file").sentence
    assert str(tmp_path) in command(*argv, tmp_path).sentence
    assert "file" in command(*argv, tmp_path / "file" / "inside").sentence


@in_both
def test_a_disk_that_fills_up_during_a_checkpoint(command, tmp_path, monkeypatch, language):
    real, calls = checkpoint._sync, []

    def full(path):
        calls.append(path)
        if "step-000008" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path)

    monkeypatch.setattr(checkpoint, "_sync", full)
    answer = command("train", *flags(MINIMAL), "--run-dir", tmp_path / "run", "--lang", language)
    monkeypatch.undo()
    assert answer.code == 2 and message("system.no-space", language) in answer.err
    assert "step-000008" in answer.err
    assert "Traceback" not in answer.err
    newest, damaged = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert newest.name == "step-000004" and not damaged
    assert command("train", "--resume", tmp_path / "run").code == 0
    assert len(Run(tmp_path / "run").metrics) == 12


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from minigpt.cli import main
sys.exit(main(sys.argv[2:]))
"""


def test_a_file_that_may_not_grow_ends_a_real_process_with_a_sentence(command, tmp_path):
    """A limit on the size of files stands for a full disk: write() fails half-way through a record."""
    config = MINIMAL.replace(steps=800, checkpoint_every=20, eval_every=0)
    process = spawn("-c", LIMITED, 110_000, "train", *flags(config), "--run-dir", tmp_path / "run")
    _, err = process.communicate(timeout=HANGS)
    assert process.returncode == 2 and "Traceback" not in err
    assert "metrics.jsonl" in err.splitlines()[-1] or "checkpoint" in err.splitlines()[-1]
    before = len(Run(tmp_path / "run").metrics)
    newest, damaged = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert 20 <= int(newest.name[5:]) <= before < 800 and not damaged
    assert command("train", "--resume", tmp_path / "run").code == 0
    assert len(Run(tmp_path / "run").metrics) == 800


AS_NOBODY = """
import os, sys
from minigpt.cli import main
os.chdir(sys.argv[1])
assert main([*sys.argv[3:], "--run-dir", "first"]) == 0  # reads all that is needed
os.geteuid() or os.seteuid(65534)  # root may write anywhere
sys.exit(main([*sys.argv[3:], "--run-dir", sys.argv[2]]))
"""


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of a POSIX system")
@pytest.mark.parametrize("run_dir", ["locked", "locked/run"])
def test_a_read_only_folder(run_dir, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    process = spawn("-c", AS_NOBODY, tmp_path, run_dir, "train", *flags(MINIMAL))
    _, err = process.communicate(timeout=HANGS)
    assert process.returncode == 2 and "Traceback" not in err, err
    assert run_dir in err.splitlines()[-1] and "Permission denied" in err
    assert not list((tmp_path / "locked").iterdir())


def test_a_loss_that_is_no_number_ends_with_the_step_and_what_to_do(command, tmp_path):
    argv = (*flags(MINIMAL.replace(steps=40)), "--lr-max", "1e30", "--lr-min", "0", "--clip-norm", "1e30")
    answer = command("train", *argv, "--run-dir", tmp_path / "run")
    assert answer.code == 2 and "nan" in answer.err and "minigpt check" in answer.err
    assert "Traceback" not in answer.err
