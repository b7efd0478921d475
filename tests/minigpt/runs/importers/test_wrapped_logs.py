"""Logs inside something else, curves printed whole, tables in two lines, and leaps that mean something."""

import json

import numpy as np
import pytest

from minigpt.runs.importers import external_evidence
from minigpt.runs.schema import LogNotes


def falling(count=60, start=7.0, end=3.2, seed=0):
    """Return losses that fall, with some noise."""
    noise = np.random.default_rng(seed).normal(0, 0.02, count)
    return end + (start - end) * np.exp(-np.arange(count) / count * 5) + noise


def losses_of(evidence, name="loss"):
    return evidence.metrics.column(name)[1]


def printed(losses, every=10):
    return [f"step {every * i} loss {loss:.4f} lr 3e-4" for i, loss in enumerate(losses)]


def as_docker(lines):
    return "\n".join(json.dumps({"log": line + "\n", "stream": "stdout", "time": "t"}) for line in lines)


def as_cloud(lines):
    return "\n".join(json.dumps({"id": "4f", "payload": {"message": line, "lineno": 77}}) for line in lines)


def as_notebook(lines):
    output = {"output_type": "stream", "name": "stdout", "text": [line + "\n" for line in lines]}
    cells = [{"cell_type": "code", "source": ["train()"], "outputs": [output]}]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def as_page(lines):
    rows = "".join(f"<tr><td>{line.split()[1]}</td><td>{line.split()[3]}</td></tr>\n" for line in lines)
    return f"<div>\n<p>a run</p>\n<table><tr><th>Step</th>\n<th>Training Loss</th></tr>{rows}</table></div>"


@pytest.mark.parametrize("wrap", [as_docker, as_cloud, as_notebook, as_page])
def test_what_was_printed_is_taken_out_of_what_holds_it(wrap, tmp_path):
    losses = falling()
    (tmp_path / "saved").write_text(wrap(printed(losses)) + "\n")
    evidence = external_evidence(tmp_path / "saved")
    assert np.allclose(losses_of(evidence), losses, atol=1e-3)
    assert evidence.metrics.column("loss")[0].tolist() == list(range(0, 600, 10))


def test_a_notebook_without_a_log_is_refused_in_a_sentence(tmp_path, command):
    (tmp_path / "a.ipynb").write_text(as_notebook(["hello"]))
    answer = command("check", tmp_path / "a.ipynb")
    assert answer.code == 2 and "Traceback" not in answer.err


@pytest.mark.parametrize("form", ["train_losses = {}\nval_losses = {}\n", '{{"loss": {}, "val_loss": {}}}\n'])
def test_curves_that_a_script_prints_whole_are_rows(form, tmp_path):
    losses, looks = falling(40).round(4), falling(10, seed=1).round(4)
    (tmp_path / "curves").write_text("40 epochs, betas = [0.9, 0.95]\n" * ("{{" not in form))
    with (tmp_path / "curves").open("a") as file:
        file.write(form.format(losses.tolist(), looks.tolist()))
    evidence = external_evidence(tmp_path / "curves")
    assert losses_of(evidence).tolist() == losses.tolist()
    steps, found = evidence.metrics.column("val_loss")
    assert found.tolist() == looks.tolist() and steps.tolist() == list(range(4, 41, 4))
    assert evidence.audit(LogNotes).counted == "rows"


def test_settings_in_brackets_are_no_curves(tmp_path):
    head = "betas = [0.9, 0.95]\nlr: [0.001]\nlayers = [1, 2, 3, 4, 5, 6]\n"
    (tmp_path / "run.log").write_text(head + "\n".join(printed(falling())) + "\n")
    assert len(losses_of(external_evidence(tmp_path / "run.log"))) == 60


def test_a_data_frame_that_pandas_cut_in_the_middle_is_read(tmp_path):
    rows = [f"{i:<4} {50 * i:>6} {loss:>12.6f}" for i, loss in enumerate(falling())]
    rows[20:40] = ["..      ...           ..."]
    text = ">>> frame\n       step   train_loss\n" + "\n".join(rows) + "\n\n[60 rows x 2 columns]\n"
    (tmp_path / "session.txt").write_text(text)
    steps = external_evidence(tmp_path / "session.txt").metrics.column("loss")[0]
    assert steps.tolist() == [50 * i for i in range(60) if not 20 <= i < 40]


def test_a_table_whose_header_takes_two_lines_is_read(tmp_path):
    head = ["| Epoch | Iteration | Elapsed | Mini-batch | Mini-batch | Validation |"]
    head += ["|       |           | (hh:mm) | Accuracy   | Loss       | Loss       |"]
    rows = [
        f"|     1 | {50 * i:>9} |   00:{i % 60:02} |     {i}.5% | {loss:>10.4f} |            |"
        for i, loss in enumerate(falling(), start=1)
    ]
    (tmp_path / "run.txt").write_text("\n".join(["One GPU.", "|=====|", *head, "|=====|", *rows]) + "\n")
    steps, losses = external_evidence(tmp_path / "run.txt").metrics.column("loss")
    assert steps.tolist() == list(range(50, 3001, 50)) and np.allclose(losses, falling(), atol=1e-4)


def bars(losses, total=20):
    for i, loss in enumerate(losses):
        at = i % total + 1
        yield f"batch_loss: {loss:.4f}, loss: {loss + 0.5:.4f} ||: 1| {at}/{total} [00:01<00:30,  4it/s]"


def test_a_bar_that_begins_again_is_the_next_epoch_or_another_run(tmp_path):
    losses = falling()
    (tmp_path / "one").write_text("\r".join(bars(losses)) + "\n")
    steps, found = external_evidence(tmp_path / "one").metrics.column("loss")
    assert np.allclose(found, losses, atol=1e-3) and len(steps) == 60  # of the batch, not of the epoch so far
    (tmp_path / "three").write_text("\r".join([*bars(falling(20))] * 3) + "\n")
    evidence = external_evidence(tmp_path / "three")
    assert len(losses_of(evidence)) == 20 and evidence.audit(LogNotes).runs == 3


def test_nan_at_the_end_of_a_sentence_is_a_number(tmp_path, command):
    lines = [f"iter {i}: train loss {x:.4f}. lr 3e-4" for i, x in enumerate(falling())]
    lines += [f"iter {60 + i}: train loss nan. lr 3e-4" for i in range(20)]
    (tmp_path / "run.log").write_text("\n".join(lines) + "\n")
    assert json.loads(command("check", tmp_path / "run.log", "--json").out)["leaf"] == "nan-loss"


@pytest.fixture
def found(tmp_path, command):
    """Return what is odd in losses of a log: each question, with the kind of its finding."""

    def ask(losses, *options, looks=None, rate="3e-4"):
        rates = rate if isinstance(rate, list) else [rate] * len(losses)
        lines = [f"step {10 * i} loss {x:.4f} lr {rates[i]}" for i, x in enumerate(losses)]
        for i, look in enumerate(looks or ()):
            lines.append(f"step {10 * len(losses) // len(looks) * (i + 1) - 10} val_loss {look}")
        (tmp_path / "run.log").write_text("\n".join(lines) + "\n")
        answer = json.loads(command("check", tmp_path / "run.log", "--json", *options).out)
        odd = {f["question"]: f for f in answer["findings"] if f["verdict"] == "unknown"}
        return answer, {question: f["values"].get("kind") for question, f in odd.items()}

    return ask


def test_a_run_that_goes_on_from_fresh_weights_is_no_divergence(found):
    again = np.concatenate([falling(60, 10.8, 3.0), falling(60, 10.9, 3.6, seed=1)])
    answer, odd = found(again)
    assert odd == {"4.1b": "fresh"} and answer["likely"] and "step 600" in json.dumps(answer)
    spike = falling(120, 10.8, 3.0)
    spike[60:62] = 10.0, 4.0  # over in two rows
    assert "4.1b" not in found(spike)[1]
    lost = np.concatenate([falling(60, 10.8, 3.0), np.full(60, 9.5)])  # and nothing is learnt again
    assert found(lost)[0]["leaf"] == "diverging"


def test_leaps_on_a_beat_are_odd_and_those_of_the_rate_are_not(found):
    losses = falling(160, 7.0, 3.0)
    beat = losses + np.where(np.arange(160) % 40 >= 20, 0.9, 0.0)
    answer, odd = found(beat)
    assert odd == {"4.1c": "beat"} and "400 steps" in json.dumps(answer)
    rates = [f"{3e-4 if i % 40 >= 20 else 3e-5:g}" for i in range(160)]
    assert "4.1c" not in found(beat, rate=rates)[1]
    once = losses + np.where(np.arange(160) >= 90, 0.9, 0.0)
    assert "4.1c" not in found(once)[1]


def test_a_loss_that_stands_still_is_odd_though_validation_creeps(found):
    noise = np.random.default_rng(0).normal(0, 0.01, 120)
    answer, odd = found(10.82 + noise, looks=[10.824, 10.823, 10.822, 10.822])
    assert odd["4.1"] == "flat" and "optimizer" in answer["likely"]
    single = np.concatenate([falling(40, 10.4, 6.0), 6.0 + noise])
    assert found(single, "--vocab-size", "32000")[1]["4.1"] == "stuck"
    assert "4.1" not in found(single, "--vocab-size", "1000000")[1]


def test_validation_that_is_infinite_is_named_as_that(found):
    answer, odd = found(falling(), looks=["inf"] * 4)
    assert odd == {"4.2": "none"} and "inf" in json.dumps(answer["findings"])
