"""Logs as known trainers write them: read where their meaning is plain, else refused in one sentence."""

import gzip
import json
import math
import os

import pytest

from minigpt.runs.importers import external_evidence

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
        (lambda step: max(0.0, (step - 500) / 400), 1, "overfitting"),  # late
        (lambda step: -0.8 * falling()[step], 3, None),  # too good, and nobody compared the texts
        (lambda step: -1.5 if step > 600 else 0.0, 3, None),
        (lambda step: math.log(V * 20) - falling()[step] - 3, 3, None),  # never learnt, so nothing was lost
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
    seen = {finding["question"]: finding["seen"] for finding in json.loads(answer.out)["findings"]}
    assert "--from-checkpoint" in seen["1.1"]


def test_a_loss_that_waits_for_its_rate_is_not_called_too_slow_nor_healthy_before_it_falls(tmp_path, command):
    waiting = [LN_V - 0.001 * math.sin(step) for step in range(600)]
    rows = [(step, 6e-4 * step / 2000, loss) for step, loss in enumerate(waiting)]
    for header in ("step,lr,loss", "step,lr-AdamW,loss"):
        log = table(tmp_path / "log.csv", rows, header)
        assert verdict(command("check", log, "--vocab-size", V, "--json")) == (3, None)


NAMED_BY = {  # loss, gradient norm, learning rate and validation loss in the words of a trainer
    "Megatron-LM": ("step", "lm loss", "grad-norm", "learning-rate", "lm loss validation"),
    "Megatron-DeepSpeed": ("step", "lm-loss-training/lm loss", "grad-norm/grad-norm")
    + ("learning-rate/learning-rate", "lm-loss-validation/lm loss validation"),
    "NeMo": ("global_step", "reduced_train_loss", "grad_norm", "lr", "val_loss"),
    "torchtitan": ("step", "loss_metrics/global_avg_loss", "grad_norm", "lr", "validation_metrics/loss"),
    "OLMo": ("_step", "train/CrossEntropyLoss", "optim/total_grad_norm", "optim/learning_rate_group0", "x"),
    "OLMo-core": ("_step", "train/CE loss", "optim/total grad norm", "optim/LR (group 0)", "x"),
    "Composer": ("time/batch", "metrics/train/LanguageCrossEntropy", "l2_norm/grad/global")
    + ("lr-DecoupledAdamW/group0", "metrics/eval/LanguageCrossEntropy"),
    "LLaMA-Factory": ("current_steps", "loss", "grad_norm", "lr", "eval_loss"),
    "fairseq": ("num_updates", "loss", "gnorm", "lr", "valid_loss"),
}


@pytest.mark.parametrize("trainer", sorted(NAMED_BY))
def test_the_names_of_known_trainers_need_no_mapping(trainer, tmp_path):
    rows = [dict(zip(NAMED_BY[trainer], (step, 4.0, 1.0, 1e-3, 4.1), strict=True)) for step in range(3)]
    rows = [row | {"epoch": 1, "update": 0.5 + row[NAMED_BY[trainer][0]]} for row in rows]  # as fairseq does
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    metrics = external_evidence(tmp_path / "log.jsonl").metrics
    assert metrics.column("step")[0].tolist() == [0, 1, 2]
    rates = [name for name in metrics.names() if name.startswith("lr.")]
    expected = {"loss": 4.0, "grad_norm": 1.0, **{rates[0]: 1e-3}}
    expected |= {} if "OLMo" in trainer else {"val_loss": 4.1}
    assert {name: metrics.column(name)[1][0] for name in expected} == expected


def test_what_megatron_repeats_by_samples_is_no_second_rate(tmp_path):
    rows = [(step, 4.0, 1e-3, 1e-3) for step in range(3)]
    log = table(tmp_path / "log.csv", rows, "iteration,lm loss,learning-rate,learning-rate vs samples")
    assert external_evidence(log).metrics.names() == ["step", "loss", "lr.all"]


PRINTED = {
    "nanoGPT": "iter {step}: loss {loss:.4f}, time 123.45ms, mfu -100.00%",
    "Megatron-LM": " [2024-01-01 00:00:00] iteration {step:8d}/  500000 | consumed samples:          256 | "
    "elapsed time per iteration (ms): 12.5 | lm loss: {loss:.6E} | grad norm: 1.000 | "
    "number of nan iterations:   0 |",
    "torchtitan": "[rank0]:[titan] 2025-01-01 00:00:00,000 - root - INFO - \x1b[31mstep: {step:2}  "
    "\x1b[32mloss: {loss:7.4f}  \x1b[33mmemory:  1.00GiB(1%)  \x1b[34mtps: 1,000",
    "llm.c": "s:{step} trl:{loss:.4f} lr:0.000600 norm:1.31",
    "modded-nanogpt": "step:{step}/1200 train_loss:{loss:.4f} train_time:1000ms step_avg:10.00ms",
    "nanochat": "step {step:05d}/01200 (0.83%) | loss: {loss:.6f} | grad norm: 1.2 | tok/sec: 1,000,000",
    "a progress bar": "\r 10%|#   | 1/12 [00:01<00:10]\r 20%|##  | 2/12 [step={step}, loss={loss:.3f}]",
    "parts": "step {step} | aux loss: 0.1 | moe:loss 9 | head2_loss=9 | loss: {loss:.3f} | z_loss=9",
    "a logger": "INFO:root:step {step} loss {loss:.3f}",
    "another": "2024-01-01 10:00:00,123 - INFO - trainer - global_step: {step} - loss: {loss:.3f}",
    "a dict": "{{'step': {step}, 'loss': {loss:.3f}, 'grad_norm': 1.0}}",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("trainer", sorted(PRINTED))
def test_what_a_trainer_prints_is_read(trainer, encoding, tmp_path, command):
    log = tmp_path / "out.log"
    for rise, expected in ((0, (0, None)), (0.02, (1, "diverging"))):
        values = [loss + rise * max(0, step - 700) for step, loss in enumerate(falling())]
        lines = [PRINTED[trainer].format(step=step, loss=loss) for step, loss in enumerate(values)]
        text = "\n".join(["Using 8 processes", "loss = 0.0", *lines, lines[-1][: len(lines[-1]) // 2]])
        log.write_bytes(text.encode(encoding))
        assert verdict(command("check", log, "--vocab-size", V, "--json")) == expected


@pytest.mark.parametrize(
    "look",
    [
        "step {step}: train loss 3.0000, val loss {loss}",
        "[eval] step {step} loss {loss}",
        "Validation: step={step}, loss={loss}",
        " validation loss at iteration {step} | lm loss value: {loss:.6E} | lm loss PPL: 3.0E+01 | ",
        "s:{step} tel:{loss}",
    ],
)
def test_a_printed_validation_loss_is_no_training_loss(look, tmp_path):
    lines = [f"step {step} loss 3.0\n" + look.format(step=step, loss=9.0) for step in range(9)]
    (tmp_path / "out.log").write_text("\n".join(lines) + "\n")
    metrics = external_evidence(tmp_path / "out.log").metrics
    assert [set(metrics.column(name)[1].tolist()) for name in ("loss", "val_loss")] == [{3.0}, {9.0}]


def test_a_printed_test_loss_is_neither(tmp_path):
    (tmp_path / "out.log").write_text("step 1 loss 3\nstep 1 test loss 9\n[test] step 1 loss 9\n")
    metrics = external_evidence(tmp_path / "out.log").metrics
    assert metrics.names() == ["step", "loss"] and metrics.column("loss")[1].tolist() == [3.0]


def test_the_table_that_a_notebook_shows_has_no_log_yet(tmp_path):
    log = table(
        tmp_path / "log.csv", [(10, 4.0, "No log"), (20, 3.0, 3.1)], "Step,Training Loss,Validation Loss"
    )
    assert external_evidence(log).metrics.column("val_loss")[1].tolist() == [3.1]


@pytest.mark.parametrize("nan", ["nan", "inf", "NaN,"])
def test_a_printed_loss_that_is_no_number_is_named(nan, tmp_path, command):
    lines = [f"step {step} loss {loss if step < 900 else nan}" for step, loss in enumerate(falling())]
    (tmp_path / "out.log").write_text("\n".join(lines) + "\n")
    answer = command("check", tmp_path / "out.log", "--vocab-size", V, "--json")
    assert verdict(answer) == (1, "nan-loss")
    assert "900" in json.loads(answer.out)["findings"][-1]["seen"]


def test_a_printed_log_may_be_mapped(tmp_path):
    (tmp_path / "out.log").write_text("t: 0 | entropy of tokens: 4.0\nt: 1 | entropy of tokens: 3.9\n")
    found = external_evidence(tmp_path / "out.log", {"step": "t", "loss": "entropy of tokens"})
    assert found.metrics.column("loss")[1].tolist() == [4.0, 3.9]


LONG = [
    (step, name, value) for step, x in enumerate(falling()) for name, value in (("train/loss", x), ("lr", 1))
]


@pytest.mark.parametrize("header", ["step,metric,value", "step,metricName,metricValue", "step,key,value"])
def test_a_table_with_a_column_of_metric_names_is_read(header, tmp_path, command):
    log = table(tmp_path / "log.csv", LONG, header)
    assert command("check", log, "--vocab-size", V).code == 0
    assert "loss=train/loss" in command("check", log, "--columns", f"loss={header.split(',')[2]}").sentence


def test_a_table_by_metric_keeps_training_and_validation_apart(tmp_path):
    for validation in ("loss", "val_loss"):
        rows = [(0, "loss", "{'subset': 'train'}", 4.0), (0, validation, "{'subset': 'val'}", 4.5)]
        log = table(tmp_path / "log.csv", rows, "step,metric.name,metric.context,value")
        metrics = external_evidence(log).metrics
        assert [metrics.column(name)[1].tolist() for name in ("loss", "val_loss")] == [[4.0], [4.5]]


def test_a_resumed_tensorboard_run_with_a_folder_for_its_settings(tmp_path, command):
    pytest.importorskip("tensorboard", reason="the extra “tensorboard” is not installed")
    from torch.utils.tensorboard import SummaryWriter

    values = falling()
    for part, (start, end) in enumerate([(0, 500), (400, 1200)]):
        with SummaryWriter(tmp_path, filename_suffix=f".{part}") as writer:
            for step in range(start, end):
                writer.add_scalar("lm loss", values[step], step)
                writer.add_scalar("lm loss vs samples", values[step], step * 256)
    with SummaryWriter(tmp_path / "1700000000.0") as writer:
        writer.add_scalar("hp_metric", 1.0, 0)
    assert command("check", tmp_path, "--vocab-size", V).code == 0
    (tmp_path / "other").mkdir()
    for file in tmp_path.glob("events*"):
        file.rename(tmp_path / "other" / file.name)
    assert "more than one TensorBoard run" in command("check", tmp_path).sentence


def test_a_run_that_mlflow_keeps_in_files(tmp_path, command):
    metrics = tmp_path / "run" / "metrics"
    (metrics / "train").mkdir(parents=True)
    lines = [f"{1700000000000 + step} {loss} {step}\n" for step, loss in enumerate(falling())]
    (metrics / "train" / "loss").write_text("".join(lines))
    for folder in (tmp_path / "run", metrics):
        assert command("check", folder, "--vocab-size", V).code == 0
    (metrics / "train" / "loss").write_text("".join([*lines[:3], "torn\n"]))
    assert "Line 4" in command("check", metrics).sentence


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "out.log", "state.json"])
def test_what_gzip_packed_is_read(name, tmp_path, command):
    rows = [{"step": step, "loss": loss} for step, loss in enumerate(falling())]
    text = {
        "log.csv": "step,loss\n" + "".join(f"{step},{loss}\n" for step, loss in enumerate(falling())),
        "log.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "out.log": "".join("step {step} loss {loss}\n".format(**row) for row in rows),
        "state.json": json.dumps({"log_history": rows}, indent=1),
    }[name]
    log = tmp_path / f"{name}.gz"
    log.write_bytes(gzip.compress(text.encode()))
    assert command("check", log, "--vocab-size", V).code == 0
    log.write_bytes(log.read_bytes()[:900])
    assert "cannot be read" in command("check", log, "--vocab-size", V).sentence


@pytest.mark.parametrize(
    "header, rows, arguments, said",
    [
        ("epoch,loss", [(0, 4.0), (1, 3.0)], ["--columns", "step=epoch"], "does not count"),
        ("consumed_samples,loss", [(0, 4.0)], ["--columns", "step=consumed_samples"], "does not count"),
        ("step,ppl", [(0, 60.0)], ["--columns", "loss=ppl"], "nats per token"),
        ("step,loss,val/bpb", [(0, 4.0, 1.0)], ["--columns", "val_loss=val/bpb"], "nats per token"),
        ("run_id,step,loss", [("a", 0, 4.0), ("b", 0, 9.0)], [], "more than one run"),
        ("step,loss", [(0, 4.0)], ["--columns", "loss=loss,grad_norm=loss"], "twice"),
        ("step,loss", [(0, 4.0)], ["--columns", "step=step,step=loss"], "twice"),
        ("step,loss", [(0, 4.0)], ["--vocab-size", "0"], "not a valid vocabulary size"),
        ("step,loss", [(0, 4.0)], ["--vocab-size", "-5"], "not a valid vocabulary size"),
    ],
)
def test_what_would_be_misread_is_refused_in_one_sentence(header, rows, arguments, said, tmp_path, command):
    log = table(tmp_path / "log.csv", rows, header)
    assert said in command("check", log, *arguments).sentence


def test_a_restart_in_an_earlier_epoch_is_no_count_within_epochs(tmp_path):
    rows = [(0.0, 0, 4.0), (0.5, 5, 3.0), (1.0, 10, 2.5), (0.6, 6, 2.9), (1.0, 10, 2.4)]
    log = table(tmp_path / "log.csv", rows, "epoch,step,loss")
    assert external_evidence(log).metrics.column("loss")[1].tolist()[-1] == 2.4


@pytest.mark.parametrize("filling", ["word ", "a", "loss ", " ", "1", "a:", "a" + " " * 70, "loss=", '"'])
def test_long_lines_of_anything_are_answered(filling, tmp_path, command):
    (tmp_path / "out.log").write_text("step 1 loss 2\n" + filling * (200_000 // len(filling)) + "\n")
    assert command("check", tmp_path / "out.log").code in (2, 3)


def test_printed_thousands_are_read(tmp_path):
    lines = [f"step {step:,} loss {loss}" for step, loss in enumerate(falling())]
    (tmp_path / "out.log").write_text("\n".join(lines) + "\n")
    assert external_evidence(tmp_path / "out.log").metrics.column("loss")[0][-1] == 1199


def test_what_is_no_file_is_refused_by_what_it_is(tmp_path, command):
    os.mkfifo(tmp_path / "pipe")
    assert "pipe" in command("check", tmp_path / "pipe").sentence  # nobody writes to it
    (tmp_path / "log.zip").write_bytes(b"PK\x03\x04" + bytes(99))
    assert "unpack" in command("check", tmp_path / "log.zip").sentence
    for run in "ab":
        (tmp_path / "runs" / run).mkdir(parents=True)
        table(tmp_path / "runs" / run / "metrics.csv", [(0, 4.0)], "step,loss")
    for options in ((), ("--vocab-size", V)):
        assert "metrics.csv" in command("check", tmp_path / "runs", *options).sentence
        assert "no run at" in command("check", tmp_path / "nothing", *options).sentence
