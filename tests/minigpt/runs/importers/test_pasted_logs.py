"""Logs as people paste them: cut, coloured, doubled, several in one, without steps. Never wrongly healthy."""

import json
import tracemalloc

import numpy as np
import pytest

from minigpt.runs.importers import ExternalLogError, external_evidence, sentences
from minigpt.runs.schema import LogNotes


def falling(count=300, end=3.0):
    """Return losses that fall."""
    return [end + 6 * 0.98**index for index in range(count)]


def lines(values=None, start=0, every=10):
    """Return lines as many trainers print them."""
    return [f"step {start + every * i} | loss {x:.4f} | lr 3e-4" for i, x in enumerate(values or falling())]


def read(tmp_path, text, **options):
    """Return the loss of a log by step, and what was noted."""
    (tmp_path / "run.log").write_bytes(text if isinstance(text, bytes) else text.encode())
    evidence = external_evidence(tmp_path / "run.log", **options)
    steps, losses = evidence.metrics.column("loss")
    return dict(zip(steps.tolist(), losses.tolist(), strict=True)), evidence.audit(LogNotes)


def leaf(command, path, *options):
    """Return the exit code and the leaf."""
    answer = command("check", path, "--json", *options)
    return answer.code, json.loads(answer.out)["leaf"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.replace("loss ", "\x1b[1;32mloss\x1b[0m "),
        lambda text: text.replace("step", "\x1b[2K\x1b[1Gstep"),
        lambda text: text.replace("step", "\r  1%|    | 1/300 [00:01<05:00]\rstep"),
        lambda text: "".join(f"{line}\nW0101 warning {n}: x\n\n" for n, line in enumerate(text.splitlines())),
        lambda text: (
            "def train():\n    step = 0\n    loss = model(x)\n    print(f'step {step:06d}')\n" + text
        ),
        lambda text: "step: {step:06d} loss: {loss}\n" + text,
        lambda text: text + "Traceback (most recent call last):\n  File 'a.py', line 3\nKeyboardInterrupt\n",
        lambda text: text.replace("step 500 ", "step 5\x00\x000 "),
    ],
)
def test_what_pasting_does_to_a_log_is_undone(change, tmp_path, command):
    log = tmp_path / "run.log"
    changed = change("\n".join(lines()) + "\n")
    log.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    assert len(external_evidence(log).metrics.column("loss")[0]) >= 299
    assert leaf(command, log) == (0, None)


def console(values, every=None, epochs=True):
    """Return Hugging Face's lines, which name no step."""
    head = f"TrainingArguments(logging_steps={every}, seed=1)\n" if every else ""
    ends = [f", 'epoch': {i / 100:.2f}" if epochs else "" for i in range(len(values))]
    return head + "".join(
        f"{{'loss': {x:.4f}, 'learning_rate': 2e-05{end}}}\n" for x, end in zip(values, ends, strict=True)
    )


def test_rows_without_a_step_are_counted_and_said_to_be(tmp_path, command):
    losses, notes = read(tmp_path, console(falling(100)))
    assert list(losses) == list(range(1, 101)) and notes.counted == "rows"
    assert "rows were counted" in sentences(notes)[0]
    losses, notes = read(tmp_path, console(falling(100), every=25))
    assert list(losses)[:2] == [25, 50] and "25 steps" in sentences(notes)[0]
    assert leaf(command, tmp_path / "run.log") == (0, None)


def test_a_validation_between_rows_belongs_to_the_row_before(tmp_path):
    text = (
        console(falling(4)) + "{'eval_loss': 5.5, 'epoch': 0.04}\n{'train_runtime': 9.1, 'train_loss': 7.7}\n"
    )
    read(tmp_path, text)
    metrics = external_evidence(tmp_path / "run.log").metrics
    assert [side.tolist() for side in metrics.column("val_loss")] == [[4], [5.5]]
    assert len(metrics.column("loss")[0]) == 4  # and the mean of the whole run is none of them


def test_of_several_runs_one_after_another_the_last_is_read(tmp_path):
    first, second = lines(falling(100)), lines(falling(60, end=2.0))
    losses, notes = read(tmp_path, "\n".join([*first, "Restarting with other settings", *second]) + "\n")
    assert len(losses) == 60 and losses[590] == pytest.approx(falling(60, end=2.0)[-1], abs=1e-4)
    assert notes.runs == 2 and "2 runs" in sentences(notes)[0]
    losses, _ = read(tmp_path, console(falling(100)) + console(falling(60, end=2.0)))
    assert len(losses) == 60


def test_two_runs_that_write_in_turn_are_refused(tmp_path):
    mixed = [line for pair in zip(lines(), lines(falling(end=2.0), start=500), strict=True) for line in pair]
    with pytest.raises(ExternalLogError, match="in turn"):
        read(tmp_path, "\n".join(mixed) + "\n")


def test_two_runs_that_keep_step_are_refused_and_ranks_are_not(tmp_path):
    pairs = zip(lines(), lines(falling(end=2.0)), strict=True)
    with pytest.raises(ExternalLogError, match="in turn"):
        read(tmp_path, "\n".join(line for pair in pairs for line in pair) + "\n")
    spread = [1.1 if n % 3 else 0.9 for n in range(300)]  # of other data, so now higher and now lower
    other = lines([x * y for x, y in zip(falling(), spread, strict=True)])
    mixed = "\n".join(line for pair in zip(lines(), other, strict=True) for line in pair) + "\n"
    assert len(read(tmp_path, mixed)[0]) == 300


def test_ranks_that_print_the_same_step_are_one_run(tmp_path):
    text = "".join(
        f"[rank{r}] step {s} loss {x + 0.01 * r}\n" for s, x in enumerate(falling()) for r in range(4)
    )
    assert len(read(tmp_path, text)[0]) == 300


def test_steps_that_begin_anew_with_each_epoch_are_counted_over_the_run(tmp_path):
    text = "".join(
        f"Epoch {e} Batch {b}, Loss: {4 - 0.1 * e - 0.001 * b}\n"
        for e in range(1, 4)
        for b in range(0, 50, 5)
    )
    steps = list(read(tmp_path, text)[0])
    assert steps == sorted(steps) and len(steps) == 30 and steps[-1] == 145


def test_epochs_alone_are_rows(tmp_path, command):
    text = "".join(
        f"Epoch {e}, Train Loss: {2 * 0.9**e:.4f}, Val Loss: {2.1 * 0.92**e:.4f}\n" for e in range(30)
    )
    losses, notes = read(tmp_path, text)
    assert len(losses) == 30 and notes.counted == "rows"
    assert leaf(command, tmp_path / "run.log") == (0, None)
    (tmp_path / "run.csv").write_text(
        "epoch,loss,val_loss\n" + "".join(f"{e},{2 * 0.9**e},1\n" for e in range(30))
    )
    assert len(external_evidence(tmp_path / "run.csv").metrics.column("loss")[0]) == 30


def test_a_column_that_is_not_used_is_named(tmp_path, command):
    text = "".join(
        f"step {s} loss {x:.4f} perplexity {x:.2f} router_norm 1.0\n" for s, x in enumerate(falling())
    )
    _, notes = read(tmp_path, text)
    assert notes.unused == ["perplexity", "router_norm"]
    assert "router_norm" in command("check", tmp_path / "run.log").out


def test_what_is_no_number_is_skipped_and_counted(tmp_path):
    rows = [{"step": step, "loss": loss} for step, loss in enumerate(falling())]
    rows[7]["loss"] = "3.x1"
    text = "".join(json.dumps(row) + "\n" for row in rows).replace('{"step": 40, ', '{"step": 40, oops', 1)
    losses, notes = read(tmp_path, text)
    assert len(losses) == 298 and (notes.skipped, notes.first_skipped) == (2, "8")


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("share", [0.5, 0.97])
def test_json_that_breaks_off_gives_what_is_whole(indent, share, tmp_path):
    state = {"global_step": 9, "log_history": [{"step": s, "loss": x} for s, x in enumerate(falling())]}
    text = json.dumps(state, indent=indent)
    losses, notes = read(tmp_path, text[: int(share * len(text))])
    assert 0.9 * share * 300 < len(losses) <= share * 300 + 1 and notes.skipped


def test_a_document_with_bare_nan_is_read(tmp_path, command):
    rows = [
        {"step": s, "loss": x, "grad_norm": float("nan") if s == 50 else 1.0} for s, x in enumerate(falling())
    ]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows}, indent=2))
    assert leaf(command, tmp_path / "trainer_state.json")[0] == 0  # a scaler that looked for its scale
    rows[200]["grad_norm"] = float("inf")
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    assert leaf(command, tmp_path / "trainer_state.json") == (3, None)


@pytest.mark.parametrize(
    "text",
    [
        "step 1 loss 3.0\n",
        "loss: 3.0\n",
        "step 1 loss nan\n",
        "".join(f"step {s} loss nan\n" for s in range(300)),
        "".join("{'loss': 0.0, 'learning_rate': 0.0}\n" for _ in range(300)),
        "".join(f"step {s} loss 0.0 norm nan\n" for s in range(300)),
        "{'loss': nan}\n" * 40,
        '{"step": 1, "loss": 3.0',
        '{"log_history": [',
        '{"log_history": []}',
        '[{"step": 1, "loss":',
        "\x1b[31m\n\r\r\n",
        " 10%|#   | 10/100 [00:01<00:10]\r 20%|##  | 20/100 [00:02<00:08]\n",
        "step loss\n",
        "| step | loss |\n|---|---|\n",
        "step,loss\nnan,nan\n",
        "epoch,loss\n1,\n",
    ],
)  # fmt: skip
def test_what_shows_nothing_is_answered_in_one_sentence_and_never_healthy(text, tmp_path, command):
    (tmp_path / "run.log").write_text(text)
    answer = command("check", tmp_path / "run.log")
    assert answer.code in (1, 2, 3)
    assert answer.code != 2 or answer.sentence


def test_a_long_printed_log_is_read_as_a_stream(tmp_path):
    log = tmp_path / "run.log"
    with log.open("w") as file:
        for step in range(6_000):
            file.write(
                f"INFO trainer - step {step} | loss {3 + 6 * 0.999**step:.6f} | note {'some text, ' * 20}\n"
            )
    assert log.stat().st_size > 1 << 20
    external_evidence(log)  # what is only made once is not counted
    tracemalloc.start()
    try:
        losses = external_evidence(log).metrics.column("loss")[1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(losses) == 6_000 and np.isfinite(losses).all() and peak < 0.7 * log.stat().st_size


def test_one_row_for_each_epoch_at_its_last_batch_is_a_row(tmp_path, command):
    text = "".join(
        f"Epoch {e}/20\n60/60 [====] - 9s - loss: {2 * 0.8**e:.4f} - val_loss: {2.2 + 0.1 * e:.4f}\n"
        for e in range(1, 21)
    )
    assert list(read(tmp_path, text)[0]) == [60 * e for e in range(1, 21)]
    assert leaf(command, tmp_path / "run.log") == (1, "overfitting")


@pytest.mark.parametrize("after", [" - val_loss: 3.1", ", val 3.1", " | val 3.1", " val_loss 3.1", ""])
def test_a_loss_that_is_no_number_is_read_whatever_follows_it(after, tmp_path, command):
    values = [f"{x:.3f}" for x in falling(40)] + ["nan"] * 20
    (tmp_path / "run.log").write_text("".join(f"step {s} loss: {x}{after}\n" for s, x in enumerate(values)))
    assert leaf(command, tmp_path / "run.log") == (1, "nan-loss")


def test_a_progress_bar_that_never_ends_its_line_is_read_up_to_its_last_return(tmp_path):
    bars = [f"1|{n}|Loss: {x:.4f}:  9%|#  | {n}/300 [00:09<01:00]" for n, x in enumerate(falling(50), 1)]
    assert len(read(tmp_path, "\r".join(bars))[0]) == 49


def test_a_loop_may_print_in_spanish(tmp_path, command):
    text = "".join(
        f"Época 1, paso {10 * n} | pérdida: {x:.4f} | tasa de aprendizaje: 3e-4 | norma: 0.9\n"
        + (f"paso {10 * n}: pérdida de validación {x + 0.1:.4f}\n" if n % 50 == 0 else "")
        for n, x in enumerate(falling())
    )
    losses, notes = read(tmp_path, text)
    metrics = external_evidence(tmp_path / "run.log").metrics
    assert len(losses) == 300 and not notes.unused
    assert len(metrics.column("val_loss")[0]) == 6 and len(metrics.column("grad_norm")[0]) == 300
    assert leaf(command, tmp_path / "run.log") == (0, None)


def table(tmp_path, name, header, rows):
    """Write a table and return its path."""
    (tmp_path / name).write_text("\n".join([header, *rows]) + "\n")
    return tmp_path / name


def test_a_chart_that_weights_and_biases_exports_is_read(tmp_path, command):
    metric = '"Step","calm-sea-7 - train/loss","calm-sea-7 - train/loss__MIN","calm-sea-7 - train/loss__MAX"'
    log = table(tmp_path, "export.csv", metric, [f'"{s}","{x}","{x}","{x}"' for s, x in enumerate(falling())])
    assert len(external_evidence(log).metrics.column("loss")[0]) == 300
    assert leaf(command, log) == (0, None)
    two = '"Step","calm-sea-7 - train/loss","wild-sun-8 - train/loss"'
    log = table(tmp_path, "two.csv", two, [f"{s},{x},{x + 1}" for s, x in enumerate(falling())])
    with pytest.raises(ExternalLogError, match="more than one run"):
        external_evidence(log)


def test_a_curve_that_tensorboard_downloads_is_named_by_its_file(tmp_path):
    rows = [f"{1.7e9 + s},{s},{x}" for s, x in enumerate(falling())]
    for file, column in (("run-a-tag-train_loss.csv", "loss"), ("run-a-tag-eval_loss.csv", "val_loss")):
        log = table(tmp_path, file, "Wall time,Step,Value", rows)
        assert len(external_evidence(log).metrics.column(column)[0]) == 300


def test_norms_that_stop_being_numbers_are_named_though_most_of_them_are(tmp_path, command):
    rows = [f"step {s} | loss 2.9 | grad norm: 0.6" for s in range(60)]
    left_out = rows + [f"step {s} | grad norm: nan" for s in range(60, 90)]
    (tmp_path / "run.log").write_text("\n".join(left_out) + "\n")
    assert leaf(command, tmp_path / "run.log") == (1, "nan-loss")
    stands = rows + [f"step {s} | loss 2.9 | grad norm: nan" for s in range(60, 90)]
    (tmp_path / "run.log").write_text("\n".join(stands) + "\n")
    assert leaf(command, tmp_path / "run.log") == (1, "nan-gradient")


def test_lines_that_hold_none_of_our_numbers_are_said_to_be_none(tmp_path, command):
    text = "trainer | start, now\n" + "".join(
        f"trainer | overflow, scale is now {2**-n}, skipped\n" for n in range(30)
    )
    (tmp_path / "run.log").write_text(text)
    answer = command("check", tmp_path / "run.log")
    assert answer.code == 2 and "no row with numbers" in answer.sentence
