"""What the stability check makes of any evidence, and how it says so."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import SHORT

from minigpt.cli import main
from minigpt.diagnosis import CONFIGURATION, QUESTIONS, Evidence, Verdict, check, walk
from minigpt.diagnosis.report import as_data, seen
from minigpt.faults import FAULTS
from minigpt.messages import LANGUAGES
from minigpt.runs.jsonl import Columns, RunError
from minigpt.runs.schema import Source, Start
from minigpt.runs.writer import RunWriter, describe_run
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train


def losses_of(*stretches):
    """Return metrics whose loss goes in straight lines: (steps, where to)."""
    values = [6.0]
    for steps, end in stretches:
        values += np.linspace(values[-1], end, steps + 1)[1:].tolist()
    return Columns([{"step": step, "loss": value} for step, value in enumerate(values)])


@pytest.mark.parametrize(
    ("stretches", "leaf"),
    [
        ([(300, 2.0), (400, 2.1)], None),
        ([(300, 2.0), (20, 5.0), (100, 2.0)], None),  # a spike that recovers
        ([(300, 2.0), (400, 4.5)], "diverging"),
        ([(1000, 2.0), (60, 9.0)], "diverging"),
        ([(20, 5.0), (40, 9.0)], "diverging"),  # before step 200 as well
    ],
)
def test_what_is_learnt_must_not_be_lost_again_however_late(stretches, leaf):
    found = walk(Evidence(vocab_size=403, metrics=losses_of(*stretches)), CONFIGURATION.questions)
    assert found.leaf == leaf
    assert found.verdict is (Verdict.FAIL if leaf else Verdict.PASS)


@pytest.mark.parametrize(("scatter", "verdict"), [(0.02, Verdict.FAIL), (1.0, Verdict.WARN)])
def test_a_gap_is_overfitting_only_where_noise_does_not_explain_it(scatter, verdict):
    records = [{"step": step, "loss": 2.0 + scatter * (-1) ** step} for step in range(101)]
    metrics = Columns([*records[:-1], records[-1] | {"val_loss": 3.2}])  # 1.2 above the mean of ten
    whole = walk(Evidence(Source.TRAINER, vocab_size=403, metrics=metrics), QUESTIONS, whole=True)
    assert next(finding.verdict for finding in whole.findings if finding.question == "4.2") is verdict


def test_a_symptom_waits_for_its_cause_and_stands_without_one():
    norms = Columns([{"step": step, "grad_norm": 50.0} for step in range(30)])
    alone = walk(Evidence(config=SHORT, metrics=norms), QUESTIONS)
    assert (alone.leaf, alone.findings[-1].question) == ("always-clipping", "3.1")
    without_norms = Start(stream_exponents={"h.0.attn": 1.0})
    explained = walk(Evidence(config=SHORT, metrics=norms, start=without_norms), QUESTIONS)
    assert (explained.leaf, explained.findings[-1].question) == ("missing-norm", "5.2")


def test_the_whole_walk_goes_on_after_the_first_leaf(tmp_path):
    train(Recipe(SHORT).with_fault("decay-groups").with_fault("future-leak"), tmp_path / "run")
    assert check(tmp_path / "run").leaf == "future-leak"
    whole = check(tmp_path / "run", whole=True)
    assert [finding.leaf for finding in whole.findings if finding.leaf] == ["future-leak", "decay-groups"]


def test_a_loss_alone_is_not_enough_to_name_the_cause():
    found = walk(Evidence(vocab_size=512, metrics=Columns([{"step": 0, "loss": 40.0}])), QUESTIONS)
    assert found.verdict is Verdict.UNKNOWN
    assert found.leaf is None


def test_nothing_measured_is_unknown_and_not_healthy():
    assert walk(Evidence(), QUESTIONS).verdict is Verdict.UNKNOWN


PLAIN = st.none() | st.floats() | st.floats(allow_nan=False, min_value=-1e6, max_value=1e6)


@given(
    loss=PLAIN,
    norm=PLAIN,
    ratio=PLAIN,
    bias=PLAIN,
    gradient=PLAIN,
    unmasked=st.none() | st.floats(0, 1),
    distinct=st.none() | st.integers(0, 600),
    vocab_size=st.none() | st.integers(2, 100_000),
)
def test_any_evidence_gets_a_verdict_that_can_be_said(
    loss, norm, ratio, bias, gradient, unmasked, distinct, vocab_size
):
    probes = {
        "duplicate_batch_ratio": ratio,
        "head_bias_max": bias,
        "future_gradient": gradient,
        "unmasked_share": unmasked,
        "distinct_targets": distinct,
    }
    start = Start.read(probes)
    record = {"step": 0, "loss": loss, "grad_norm": norm}
    found = walk(
        Evidence(vocab_size=vocab_size, metrics=Columns([record]), start=start), QUESTIONS, whole=True
    )
    for language in LANGUAGES:
        json.dumps(as_data(found, language), allow_nan=False)


@given(
    st.dictionaries(
        st.sampled_from(["duplicate_batch_ratio", "target_offset_share", "weights", "unmasked_share"]),
        st.none()
        | st.text()
        | st.integers()
        | st.lists(st.integers())
        | st.dictionaries(st.text(), st.text()),
    )
)
def test_probes_written_by_another_hand_are_refused_in_a_sentence_or_read(record):
    try:
        start = Start.read(record)
    except RunError as error:
        assert any(name in str(error) for name in record) and "\n" not in str(error)
        return
    found = walk(Evidence(vocab_size=512, config=SHORT, start=start), QUESTIONS, whole=True)
    assert len(found.findings) == len(QUESTIONS)
    assert found.verdict is not Verdict.PASS or any(f.verdict is Verdict.PASS for f in found.findings)


def test_every_leaf_a_question_can_name_has_its_texts():
    for question in QUESTIONS:
        for leaf in question.leaves:
            finding = question.failed(leaf)
            assert finding.leaf == leaf
    reachable = {leaf for question in QUESTIONS for leaf in question.leaves}
    assert {fault.leaf for fault in FAULTS.values()} <= reachable


def test_the_command_says_it_by_exit_code_and_in_two_languages(tmp_path, capsys):
    train(Recipe(SHORT).with_fault("loss-mask-empty"), tmp_path / "broken")
    train(Recipe(SHORT), tmp_path / "healthy")
    assert main(["check", str(tmp_path / "healthy")]) == 0
    assert main(["check", str(tmp_path / "broken")]) == 1
    assert "No target counts" in " ".join(capsys.readouterr().out.split())
    assert main(["check", str(tmp_path / "broken"), "--lang", "es"]) == 1
    assert "Ningún target cuenta" in " ".join(capsys.readouterr().out.split())
    assert main(["check", str(tmp_path / "broken"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["leaf"] == "loss-mask-empty"


@pytest.mark.parametrize(
    ("spoil", "key"),
    [
        (lambda run: run.rename(run.with_name("elsewhere")), "There is no run"),
        (lambda run: (run / "manifest.json").unlink(), "not a run directory"),
        (lambda run: (run / "manifest.json").write_text("{"), "cannot be read"),
        (lambda run: (run / "metrics.jsonl").write_text(""), "no finished step"),
        (lambda run: (run / "metrics.jsonl").write_text('{"step": 0}\ntorn {\n{"step": 2}\n'), "Line 2"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_sentence(spoil, key, tmp_path, capsys):
    train(Recipe(SHORT), tmp_path / "run")
    spoil(tmp_path / "run")
    assert main(["check", str(tmp_path / "run"), "--lang", "en"]) == 2
    output = capsys.readouterr()
    assert key in output.err
    assert "Traceback" not in output.err
    assert output.out == ""


def test_a_torn_last_line_is_dropped(tmp_path):
    run = train(Recipe(SHORT), tmp_path / "run")
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "loss": 6.')
    assert len(run.metrics) == 2
    assert check(run.path).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("leaf", "told"), [("residual-scale", "√(2·n_layer)"), ("weight-mean", "5 standard")]
)
def test_a_ratio_in_the_healthy_range_is_not_what_convicts_a_matrix(leaf, told):
    finding = CONFIGURATION.question("5.1").failed(leaf, name="h.0.c", ratio=1.41, mean=0.01)
    assert told in seen(finding, "en") and "0.5 to 2" not in seen(finding, "en")


def test_a_watched_run_whose_losses_were_never_noted_is_not_called_healthy(tmp_path):
    writer = RunWriter(tmp_path / "run")
    writer.manifest(describe_run(None, asked={"vocab_size": 256}))
    for step in range(30):
        writer.metric({"step": step, "grad_norm": 1.0, "lr": {"0": 0.001}})
    writer.close()
    found = check(tmp_path / "run")
    assert (found.verdict, found.leaves) == (Verdict.UNKNOWN, [])
