"""Logs of other programs are walked, or refused in one sentence, and never called healthy without proof."""

import json
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minigpt.cli import main
from minigpt.runs.importers import ExternalLogError, external_evidence
from minigpt.runs.importers.wandb_run import WandbRun
from minigpt.runs.jsonl import Columns

V = 64
LN_V = math.log(V)


def losses(steps=260, shape="healthy"):
    """Return a loss by step: falling from chance, or not."""
    if shape == "rising":
        return [LN_V + 0.01 * step for step in range(steps)]
    if shape == "too-high":
        return [LN_V * 8 * 0.99**step for step in range(steps)]
    return [1.0 + (LN_V - 1.0) * 0.985**step for step in range(steps)]


def write_csv(path, values, header="iter,train/loss,gnorm", steps=None, norm="1.0"):
    rows = [
        f"{step},{value},{norm}" for step, value in zip(steps or range(len(values)), values, strict=False)
    ]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def write_jsonl(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_a_csv_with_common_names_needs_no_mapping(tmp_path, command):
    log = write_csv(tmp_path / "log.csv", losses())
    assert command("check", log, "--vocab-size", V).code == 0


def test_a_mapping_names_the_columns(tmp_path, command):
    log = write_csv(tmp_path / "log.csv", losses(shape="rising"), header="a,b,c")
    answer = command("check", log, "--columns", "step=a,loss=b,grad_norm=c", "--vocab-size", V, "--json")
    assert answer.code == 1
    assert json.loads(answer.out)["leaf"] == "diverging"


def test_a_sparse_log_shows_its_trend_too(tmp_path, command):
    log = write_csv(tmp_path / "log.csv", losses(shape="rising")[::10], steps=range(0, 260, 10))
    assert command("check", log, "--vocab-size", V).code == 1


def test_a_loss_far_above_chance_without_a_probe_is_unknown(tmp_path, command):
    log = write_csv(tmp_path / "log.csv", losses(shape="too-high"))
    assert command("check", log, "--vocab-size", V).code == 3


@pytest.mark.parametrize("vocabulary", [(), ("--vocab-size", V)])
@pytest.mark.parametrize("every", [1, 10, 100])
@pytest.mark.parametrize("rises_for", [300, 3000])
def test_a_late_divergence_is_never_healthy(rises_for, every, vocabulary, tmp_path, command):
    values = losses(3000) + [1.0 + 0.05 * step for step in range(rises_for)]
    log = write_csv(tmp_path / "log.csv", values[::every], steps=range(0, len(values), every))
    assert command("check", log, *vocabulary).code == 1


def test_a_log_that_ends_in_doubt_is_unknown(tmp_path, command):
    values = losses(1000) + [LN_V * 2] * 10
    assert command("check", write_csv(tmp_path / "log.csv", values), "--vocab-size", V).code == 3


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path, command, monkeypatch):
    monkeypatch.setattr("minigpt.runs.importers.files.LONGEST", 1000)
    for name, start in (("log.jsonl", "[1, "), ("log.csv", "step,loss\n0,1")):
        (tmp_path / name).write_text(start + "1" * 2000)
        assert "cannot be read" in command("check", tmp_path / name).sentence


@pytest.mark.parametrize("nan", ["nan", "NaN", "inf", "-Infinity"])
def test_a_loss_that_is_no_number_is_never_healthy(nan, tmp_path, command):
    values = losses()
    values[230] = nan  # and the run goes on
    assert command("check", write_csv(tmp_path / "log.csv", values), "--vocab-size", V).code == 3
    bare = "".join(f'{{"step": {i}, "loss": {v}}}\n'.replace("nan", "NaN") for i, v in enumerate(values))
    if nan in ("NaN", "-Infinity"):
        (tmp_path / "log.jsonl").write_text(bare)
        assert command("check", tmp_path / "log.jsonl", "--vocab-size", V).code == 3


@pytest.mark.parametrize(
    "records",
    [
        [{"step": i, "lr": 1e-3} for i in range(50)],
        [{"step": i, "grad_norm": 1.0} for i in range(50)],
        [{"step": 5000 + i, "loss": 2.0, "grad_norm": 1.0} for i in range(300)],
        [{"step": i, "loss": None, "grad_norm": 1.0} for i in range(50)],
    ],
)
def test_too_little_measured_is_unknown(records, tmp_path, command):
    assert command("check", write_jsonl(tmp_path / "log.jsonl", records), "--vocab-size", V).code == 3


def test_without_a_vocabulary_a_short_log_proves_nothing(tmp_path, command):
    assert command("check", write_csv(tmp_path / "log.csv", losses(20))).code == 3


def test_order_duplicates_and_gaps(tmp_path):
    rows = [(0, 4.0), (2, 3.0), (1, 3.5), (3, 2.9), (3, 2.8), (7, 2.0)]
    log = write_csv(tmp_path / "log.csv", [v for _, v in rows], steps=[s for s, _ in rows])
    steps, values = external_evidence(log).metrics.column("loss")
    assert dict(zip(steps.tolist(), values.tolist(), strict=True)) == {0: 4, 1: 3.5, 2: 3, 3: 2.8, 7: 2}


def test_a_restart_takes_back_what_came_after_its_checkpoint(tmp_path):
    steps = [0, 1, 2, 3, 4, 5, 2, 3]
    log = write_csv(tmp_path / "log.csv", [float(i) for i in range(8)], steps=steps)
    found = external_evidence(log).metrics
    assert found.column("loss")[0].tolist() == [0, 1, 2, 3]
    assert found.column("loss")[1].tolist() == [0, 1, 6, 7]
    assert found.column("grad_norm")[0].tolist() == [0, 1, 2, 3]


def test_records_of_their_own_for_validation_and_a_count_from_one(tmp_path):
    records = [{"step": 1, "loss": 4.0}, {"step": 2, "loss": 3.0}, {"step": 2, "eval_loss": 3.1}]
    found = external_evidence(write_jsonl(tmp_path / "l.jsonl", [*records, {"train_runtime": 3}])).metrics
    assert found.column("loss")[0].tolist() == [0, 1]
    assert found.column("val_loss")[0].tolist() == [1]


def test_decimal_commas_where_semicolons_part_the_columns(tmp_path):
    (tmp_path / "log.csv").write_text("step;loss\n0;4,25\n1;3,5\n")
    assert external_evidence(tmp_path / "log.csv").metrics.column("loss")[1].tolist() == [4.25, 3.5]


def test_a_torn_last_line_is_dropped(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 0, "loss": 4}\n{"step": 1, "lo')
    assert external_evidence(tmp_path / "log.jsonl").metrics.column("loss")[1].tolist() == [4]


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("", [], "no row with numbers"),
        ("step,loss\n", [], "no row with numbers"),
        ("a,b\n1,2\n", [], "no column of steps"),
        ("step,b\n1,2\n", [], "neither loss"),
        ("step,loss\n1,2\n", ["--columns", "loss=lss"], "no column “lss”"),
        ("step,loss\n1,2\n", ["--columns", "los=loss"], "no column “los”"),
        ("step,loss\n1,2\n", ["--columns", "loss"], "is not a mapping"),
        ("step,loss\n0.5,4.1\n", [], "not a whole number"),
        ("step,loss\n-1,4.1\n", [], "not a whole number"),
        ("step,loss\nnan,4.1\n", [], "not a whole number"),
        ("step,loss\n1,4.1,3,4\n", [], "Line 2"),
        ('{"step": 0}\n{torn\n{torn\n', [], "Line 2"),
        ('{"step": 0, "loss": {"a": [1]}}\n', [], "neither loss"),
        ('{"step": [0], "loss": "x"}\n', [], "no column of steps"),
        ("[1, 2]\n", [], "Line 1"),
        ("\x00\x01\x02\n\x00", [], "no column of steps"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(text, arguments, said, tmp_path, command):
    (tmp_path / "log").write_text(text)
    assert said in command("check", tmp_path / "log", *arguments).sentence


def test_an_empty_folder_and_a_missing_file_are_refused(tmp_path, command):
    assert command("check", tmp_path).sentence
    assert command("check", tmp_path / "nothing.csv").sentence


def test_options_for_external_logs_do_not_touch_a_run(tiny_run, command):
    assert "--vocab-size" in command("check", tiny_run.path, "--vocab-size", 512).sentence


@pytest.mark.parametrize(("shape", "code"), [("healthy", 0), ("rising", 1)])
def test_a_tensorboard_folder(shape, code, tmp_path, command):
    pytest.importorskip("tensorboard", reason="the extra “tensorboard” is not installed")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path / "tb") as writer:
        for step, loss in enumerate(losses(shape=shape)):
            writer.add_scalar("train/loss", loss, step)
            writer.add_scalar("train/grad_norm", 1.0, step)
    assert command("check", tmp_path / "tb", "--vocab-size", V).code == code
    (tmp_path / "tb" / "events.out.tfevents.9").write_bytes(b"no event file at all, only some bytes" * 9)
    assert command("check", tmp_path / "tb", "--vocab-size", V).code in (2, code)


@pytest.mark.parametrize(("shape", "code"), [("healthy", 0), ("rising", 1)])
def test_an_offline_wandb_run(shape, code, tmp_path, command):
    wandb = pytest.importorskip("wandb", reason="the extra “wandb” is not installed")
    quiet = wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True)
    run = wandb.init(mode="offline", dir=tmp_path, settings=quiet)
    for loss in losses(shape=shape):
        run.log({"train/loss": loss, "train/grad_norm": 1.0})
    run.finish()
    wandb.teardown()
    folder = next((tmp_path / "wandb").glob("offline-run-*"))
    assert command("check", folder, "--vocab-size", V).code == code
    mapped = command("check", folder, "--vocab-size", V, "--columns", "loss=train/loss")
    assert mapped.code == code


@pytest.mark.parametrize("arguments", [(), ("--columns", "step=train/global_step")])
def test_wandb_s_count_of_calls_is_no_count_of_steps(arguments, tmp_path, command, monkeypatch):
    calls, steps = np.arange(40.0), np.arange(50.0, 2050.0, 50)
    found = Columns.of(
        {"step": (calls, calls)}
        | {
            name: (calls, values)
            for name, values in (
                ("train.global_step", steps),
                ("train.loss", LN_V * (0.5 + 0.5 * 0.99**steps)),
                ("train.grad_norm", steps * 0 + 1),
            )
        }
    )
    monkeypatch.setattr("minigpt.runs.importers.wandb_run.read_wandb", lambda path: WandbRun(columns=found))
    (tmp_path / "run-1.wandb").write_bytes(b"read by the stand-in")
    answer = command("check", tmp_path, "--vocab-size", V, "--json", "--all", *arguments)
    assert answer.code == 0  # nobody saw the first steps, and the loss falls
    told = {f["question"]: f["verdict"] for f in json.loads(answer.out)["findings"]}
    assert (told["1.1"], told["1.2"], told["4.1"]) == ("not-measured", "not-measured", "pass")


def grid(rows, header="step,loss"):
    """Write lines of numbers below a header."""
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


HEALTHY = list(enumerate(losses(1200)))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        # validation that is far off, or no number any more, after the step that the thresholds are for
        (grid(((s, x, 8.0 if s % 600 == 599 else "") for s, x in HEALTHY), "step,loss,val_loss"), 3),
        (grid(((s, x, -2.0 if s % 600 == 599 else "") for s, x in HEALTHY), "step,loss,val_loss"), 3),
        (grid(((s, x, x if s < 900 else "NaN") for s, x in HEALTHY), "step,loss,val_loss"), 3),
        # a gradient that is no number any more
        (grid(((s, x, 1.0 if s < 500 else "nan") for s, x in HEALTHY), "step,loss,grad_norm"), 3),
        # a NaN is a gap where the same step has a number
        (grid((r for s, x in HEALTHY for r in ((s, x, "NaN"), (s, "NaN", 1.0))), "step,loss,grad_norm"), 0),
        # a loss that hardly moves at first
        (grid(((s, LN_V * 0.998 ** max(s - 400, 0), s / 1200) for s, _ in HEALTHY), "step,loss,lr"), 0),
        (grid((s, LN_V * 0.998 ** max(s - 400, 0)) for s, _ in HEALTHY), 0),
        # no cross-entropy
        (grid((s, 5 - s / 100) for s, _ in HEALTHY), 3),
        # a run that restarts in the same file
        (grid([*((s, LN_V) for s in range(300)), *HEALTHY[:9]]), 3),
    ],
)  # fmt: skip
def test_what_a_log_does_not_prove_is_neither_healthy_nor_named(text, code, tmp_path, command):
    (tmp_path / "log.csv").write_text(text)
    answer = command("check", tmp_path / "log.csv", "--vocab-size", V, "--json")
    assert (answer.code, json.loads(answer.out)["leaf"]) == (code, None)


@pytest.mark.parametrize("first, second", [("1.000", "2.000"), ("1,000", "2,000")])
def test_thousands_among_the_steps_are_refused(first, second, tmp_path, command):
    (tmp_path / "log.csv").write_text(f"Step;Loss\n0;4.1\n{first};3.5\n{second};3.2\n")
    assert first in command("check", tmp_path / "log.csv").sentence


def test_two_columns_of_one_name_are_refused(tmp_path, command):
    (tmp_path / "log.csv").write_text("step,loss,loss\n0,4.1,1.0\n")
    assert "loss" in command("check", tmp_path / "log.csv").sentence
    rows = ((step, loss, 1, 2) for step, loss in HEALTHY)
    (tmp_path / "log.csv").write_text(grid(rows, "step,loss,note,note"))  # what nobody reads may be twice
    assert command("check", tmp_path / "log.csv", "--vocab-size", V).code == 0


@pytest.mark.parametrize("whole", [list, lambda rows: {"global_step": 9, "log_history": rows}])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_file_that_is_one_json_value_is_read(whole, indent, tmp_path, command):
    rows = [{"step": step, "loss": loss, "epoch": 1.0} for step, loss in HEALTHY]
    (tmp_path / "trainer_state.json").write_text(json.dumps(whole(rows), indent=indent))
    assert command("check", tmp_path / "trainer_state.json", "--vocab-size", V).code == 0


def test_what_excel_calls_unicode_text_is_read(tmp_path, command):
    (tmp_path / "log.txt").write_text(grid(HEALTHY).replace(",", "\t"), encoding="utf-16")
    assert command("check", tmp_path / "log.txt", "--vocab-size", V).code == 0


@pytest.mark.parametrize(
    "language, said", [("en", "no fault was found"), ("es", "no se encontró ningún fallo")]
)
def test_too_little_is_not_said_to_be_a_fault(language, said, tmp_path, command):
    log = write_csv(tmp_path / "log.csv", losses()[:12])
    answer = command("check", log, "--lang", language)
    assert answer.code == 3 and said in " ".join(answer.out.split())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=120)
    | st.lists(
        st.dictionaries(
            st.sampled_from(["step", "loss", "lr", "grad_norm"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        ),
        max_size=5,
    ).map(lambda rows: "\n".join(map(json.dumps, rows)).encode())
)
def test_any_bytes_are_read_or_refused(content, tmp_path):
    (tmp_path / "log").write_bytes(content)
    try:
        external_evidence(tmp_path / "log", vocab_size=V)
    except ExternalLogError as error:
        assert str(error)
    assert main(["check", str(tmp_path / "log"), "--json"]) in (1, 2, 3)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_log_takes_less_memory_than_its_file(form, tmp_path):
    count, log = 20_000, tmp_path / f"log.{form}"
    names = ("step", "loss", "grad_norm", "lr", "note")
    rows = [
        (step, 4 - step / count, 0.5 + step / 3e4, 3e-4 - step / 1e8, "text" * 10) for step in range(count)
    ]
    if form == "csv":
        log.write_text("\n".join(",".join(map(str, row)) for row in [names, *rows]))
    else:
        write_jsonl(log, [dict(zip(names, row, strict=True)) for row in rows])
    external_evidence(log)  # what is only made once is not counted
    tracemalloc.start()
    try:
        external_evidence(log)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.75 * log.stat().st_size


def test_what_each_column_lacks_keeps_its_place(tmp_path):
    records = [{"step": step, "loss": float(step)} for step in range(6)]
    records[2] = {"step": 2, "grad_norm": 2.5}
    records[4]["val_loss"] = 4.5
    records += [{"step": 9, "val_loss": 9.5}, {"step": 10}, {"step": 10, "lr": 1e-3}]
    found = external_evidence(write_jsonl(tmp_path / "log.jsonl", records)).metrics
    columns = {name: [side.tolist() for side in found.column(name)] for name in found.names()}
    assert columns == {
        "step": [[0, 1, 2, 3, 4, 5, 9, 10]] * 2,
        "loss": [[0, 1, 3, 4, 5]] * 2,
        "grad_norm": [[2], [2.5]],
        "val_loss": [[4, 9], [4.5, 9.5]],
        "lr.all": [[10], [1e-3]],
    }
