"""More of what people paste: other units, other countries' numbers, bars with an empty loss, overflows."""

import json
import math

import numpy as np
import pytest

from minigpt.runs.importers import external_evidence, sentences
from minigpt.runs.schema import LogNotes


@pytest.fixture
def judged(tmp_path, command):
    """Return a function that checks a log: its answer as data, and what it says of the reading."""

    def judge(text, *options, name="run.log"):
        log = tmp_path / name
        log.write_text(text)
        answer = command("check", log, "--json", *options)
        evidence = external_evidence(log)
        return json.loads(answer.out), evidence, sentences(evidence.audit(LogNotes))

    return judge


def falling(count, start=7.0, end=3.2, seed=0):
    """Return losses that fall, with some noise."""
    noise = np.random.default_rng(seed).normal(0, 0.02, count)
    return end + (start - end) * np.exp(-np.arange(count) / count * 5) + noise


@pytest.mark.parametrize("word", ["valid_mlm_ppl", "Validation perplexity", "ppl"])
def test_a_loss_is_worked_out_from_perplexities(word, judged):
    losses = falling(60)
    lines = [f"step {100 * i} | {word} {math.exp(loss):.3f}" for i, loss in enumerate(losses)]
    data, evidence, said = judged("\n".join(lines) + "\n")
    name = "loss" if word == "ppl" else "val_loss"
    assert np.allclose(evidence.metrics.column(name)[1], losses, atol=1e-3)
    assert data["verdict"] == "pass"
    assert any("ln(" in sentence for sentence in said)


def test_of_bits_per_byte_nothing_is_compared_with_chance(judged):
    lines = [f"Step {250 * i:05d} | Validation bpb: {0.7 + 2.5 * 0.9**i:.4f}" for i in range(60)]
    data, evidence, said = judged("\n".join(lines) + "\n", "--vocab-size", "65536")
    assert data["verdict"] == "pass"
    assert next(f for f in data["findings"] if f["question"] == "1.1")["verdict"] == "not-measured"
    assert evidence.metrics.column("val_loss")[1][0] == pytest.approx(3.2 * math.log(2), abs=1e-3)
    assert len(said) == 1


def test_beside_a_loss_a_perplexity_says_nothing_more(judged):
    lines = [f"step {10 * i} loss {loss:.4f} ppl 1.0" for i, loss in enumerate(falling(60))]
    data, evidence, said = judged("\n".join(lines) + "\n")
    assert data["verdict"] == "pass" and "val_loss" not in evidence.metrics.names() and "ppl" in said[-1]


def test_a_column_of_nothing_gives_way_to_one_that_is_filled(judged):
    lines = [
        f"Epoch 0: 1%| | {i + 1}/900 [00:10<9:00, loss=nan, reduced_train_loss={loss:.3f}, global_step={i}.0]"
        for i, loss in enumerate(falling(300, 11.0, 3.9))
    ]
    data, _, said = judged("\r".join(lines) + "\r")
    assert data["verdict"] == "pass" and "loss" in said[-1]


def test_a_table_of_another_country_is_read(judged):
    rows = [
        f"{f'{step:,}'.replace(',', '.')};{f'{loss:.4f}'.replace('.', ',')};{f'{6e-4:.8f}'.replace('.', ',')}"
        for step, loss in zip(range(50, 8050, 50), falling(160), strict=True)
    ]
    data, evidence, _ = judged("Schritt;Trainingsverlust;Lernrate\n" + "\n".join(rows) + "\n", name="v.csv")
    steps, losses = evidence.metrics.column("loss")
    assert (steps[0], steps[-1]) == (50, 8000) and losses[0] == pytest.approx(7.0, abs=0.1)
    assert data["verdict"] == "pass"


def test_one_curve_of_tensorboard_is_known_by_any_part_of_its_file_s_name(judged):
    rows = [f"169{i}.5,{512 * i},{loss:.6f}" for i, loss in enumerate(falling(300))]
    text = "Wall time,Step,Value\n" + "\n".join(rows) + "\n"
    data, evidence, _ = judged(text, name="first-run-train_loss.csv")
    assert "loss" in evidence.metrics.names() and data["verdict"] == "pass"


def test_the_number_of_a_process_is_no_step(judged):
    lines = []
    for step, loss in zip(range(0, 2000, 10), falling(200), strict=True):
        lines.append(f"0: [{step:5d}/2000] loss {loss:.4f} | lr 3.000e-04 | 412 ms")
        if step % 200 == 0:
            lines += ["0: --- eval ---", f"0: eval step {step}: loss {loss + 0.1:.4f} ppl 9.1 (64 batches)"]
    data, evidence, _ = judged("\n".join(lines) + "\n")
    assert evidence.metrics.column("loss")[0][-1] == 1990
    assert evidence.metrics.column("val_loss")[0].tolist() == list(range(0, 2000, 200))
    assert evidence.audit(LogNotes).runs == 1 and data["verdict"] == "pass"


def test_both_parts_of_one_line_are_read(judged):
    lines = [
        f"{i}epoch results: [train] iter_time=0.1, loss={loss:.3f}, [valid] loss={loss + 0.2:.3f}, time=1.5"
        for i, loss in enumerate(falling(40), start=1)
    ]
    _, evidence, _ = judged("\n".join(lines) + "\n")
    train, val = (evidence.metrics.column(name)[1] for name in ("loss", "val_loss"))
    assert len(train) == len(val) == 40 and np.allclose(val - train, 0.2, atol=2e-3)


def overflows(scales, told="OVERFLOW! Rank 0 Skipping step. Attempted loss scale: {:g}, reducing to {:g}"):
    """Return the lines that tell of overflows."""
    return [told.format(scale, scale / 2) for scale in scales]


@pytest.mark.parametrize(
    "scales, found",
    [
        ([2.0**n for n in range(16, 0, -1)], "fp16-overflow"),  # down to 1
        ([2.0**n for n in range(32, 16, -1)], None),  # a scale that is looked for, as it always is
        ([2.0**16] * 12, None),  # twelve overflows, between which the scale grew again
    ],
)
def test_overflows_that_a_trainer_tells_of_are_counted(scales, found, judged):
    losses = [f"{{'loss': {loss:.4f}, 'learning_rate': 2e-05}}" for loss in falling(60)]
    data, _, _ = judged("\n".join(losses + overflows(scales) + losses[-3:]) + "\n")
    assert data["leaf"] == found


@pytest.mark.parametrize("last, found", [(1.0, "fp16-overflow"), (4096.0, None)])
def test_a_loss_scale_beside_the_loss_is_read(last, found, judged):
    scales = np.geomspace(65536, last, 60)
    lines = [
        f"step {10 * i} | loss {loss:.4f} | loss scale: {scale:.1f}"
        for i, (loss, scale) in enumerate(zip(falling(60), scales, strict=True))
    ]
    assert judged("\n".join(lines) + "\n")[0]["leaf"] == found


def odd(data):
    """Return the questions that are odd, each with the kind."""
    findings = (f for f in data["findings"] if f["verdict"] == "unknown")
    return {f["question"]: f["values"].get("kind") for f in findings}


def test_what_no_training_does_is_no_health(judged):
    def answer(losses, *options):
        lines = [f"step {10 * i} loss {loss:.6g} lr 3e-4" for i, loss in enumerate(losses)]
        data, _, _ = judged("\n".join(lines) + "\n", *options)
        assert data["verdict"] == "unknown" and data["likely"] and data["next"]
        return odd(data)

    assert answer([10.8259] * 30)["4.1"] == "still"
    assert answer([-0.015 - 0.005 * i for i in range(60)])["4.1"] == "none"
    assert answer([12.2, *[0.0] * 40])["1.0"] == "zero"
    assert answer(falling(60, 1.6, 0.005).clip(min=0.004))["4.2"] == "by-heart"
    assert answer(falling(60, 18.0, 7.0))["1.1"] == "any"
    late = "\n".join(f"step {200 + 10 * i} loss {loss:.4f}" for i, loss in enumerate(falling(60, 9.0, 4.0)))
    assert odd(judged(late + "\n", "--vocab-size", "65")[0])["1.1"] == "late"
    assert judged(late + "\n", "--vocab-size", "8000")[0]["verdict"] == "pass"


def test_epochs_that_get_worse_one_by_one_are_odd(judged):
    def lines(step):
        for i in range(6):
            yield f"train: data=0001123/0001123 loss={3.03 + step * i:.5f} acc=42.8%"
            yield f"val:   data=0000060/0000060 loss={3.13 + step * i:.5f} acc=42.5%"

    assert odd(judged("\n".join(lines(0.004)) + "\n")[0])["4.1"] == "rising"
    assert not odd(judged("\n".join(lines(-0.004)) + "\n")[0])


def cosine(steps, length, floor=6e-5, top=6e-4):
    """Return a cosine after a short warm-up, stepped past its length where that is shorter."""
    after = (np.arange(steps) - 100) / (length - 100)
    curve = floor + (top - floor) / 2 * (1 + np.cos(np.pi * after))
    return np.where(after < 0, top * np.arange(1, steps + 1) / 100, curve)


@pytest.mark.parametrize(
    "length, harm, found", [(1000, 0.2, "schedule-step-unit"), (1000, 0.0, None), (2600, 0.0, None)]
)
def test_a_cosine_past_its_end_is_named_where_it_does_harm(length, harm, found, judged):
    rates = cosine(2600, length)
    back = np.clip((np.arange(2600) - 1000) / 600, 0, 1) * harm
    losses = 3.4 + 7.4 * np.exp(-np.arange(2600) / 200) + back
    losses += np.random.default_rng(0).normal(0, 0.02, 2600)
    lines = [f"step {i} loss {losses[i]:.4f} lr {rates[i]:.4e}" for i in range(0, 2600, 10)]
    data, _, _ = judged("\n".join(lines) + "\n", "--vocab-size", "50257")
    assert data["leaf"] == found


def test_a_rate_that_validation_takes_down_by_stages_is_no_schedule_in_another_unit(judged):
    rates = np.repeat([20.0, 5.0, 1.25, 0.3, 0.08, 0.02], 40)
    losses = falling(240, 9.0, 5.2)
    lines = [
        f"| epoch 1 | {200 * i}/90000 batches | lr {rates[i]} | loss {losses[i]:.2f}" for i in range(240)
    ]
    assert judged("\n".join(lines) + "\n")[0]["leaf"] is None


@pytest.mark.parametrize(
    ("rows", "by", "told"),
    [
        (range(14, 18), 1.2, True),
        (range(14, 15), 1.2, False),  # one odd batch
        (range(14, 18), 0.3, False),
    ],
)
def test_a_bump_that_a_run_recovers_from_is_told_beside_health(rows, by, told, judged):
    losses = falling(40)
    losses[list(rows)] += by
    lines = [f"step {1000 * i} loss {loss:.4f}" for i, loss in enumerate(losses)]
    data, _, _ = judged("\n".join(lines) + "\n")
    leaps = next(finding for finding in data["findings"] if finding["question"] == "4.1c")
    assert data["verdict"] == "pass"
    assert (data["watch"] == ["loss-spikes"]) is told
    assert not told or leaps["values"]["step"] == 1000 * rows[0]
