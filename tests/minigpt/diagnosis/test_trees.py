"""Trees as objects: a mistake in a judge is told, evidence of the right type never breaks one."""

import dataclasses
import json
import typing
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_runs import MINIMAL

from minigpt.config import Config
from minigpt.dashboard.page import _texts
from minigpt.dashboard.panels import Drawing, gradients
from minigpt.diagnosis import CONFIGURATION, DYNAMICS, TREES, Evidence, JudgeError, Tree, Verdict, check, walk
from minigpt.diagnosis.report import as_data
from minigpt.messages import LANGUAGES
from minigpt.runs import thresholds
from minigpt.runs.evidence import evidence_of
from minigpt.runs.jsonl import Columns, RunError
from minigpt.runs.run import Run
from minigpt.runs.schema import (
    PROBES,
    Activations,
    Baselines,
    Event,
    Rehearsal,
    Source,
    Start,
    WeightStatistics,
    unknown_fields,
)
from minigpt.training.callbacks.telemetry import Telemetry
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return train(Recipe(MINIMAL), tmp_path_factory.mktemp("run") / "run", [Telemetry()])


@pytest.fixture
def mistyped(monkeypatch):
    """Plant a typo in the judge of question 1.6."""

    def judge(question, evidence):
        return question.passed(unmasked=evidence.start.unmaskd_share)

    spoilt = tuple(
        dataclasses.replace(question, judge=judge) if question.id == "1.6" else question
        for question in CONFIGURATION.questions
    )
    trees = (dataclasses.replace(CONFIGURATION, questions=spoilt), DYNAMICS)
    monkeypatch.setattr("minigpt.diagnosis.walker.TREES", trees)


def test_a_typo_in_a_judge_raises(run, mistyped):
    with pytest.raises(JudgeError) as told:
        check(run.path)
    assert isinstance(told.value.__cause__, AttributeError)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [("en", "Internal error in question 1.6"), ("es", "Error interno en la pregunta 1.6")],
)
def test_a_typo_in_a_judge_is_told_in_a_sentence_that_says_where(run, mistyped, command, code, sentence):
    told = command("check", run.path, "--lang", code)
    assert told.sentence.startswith(f"minigpt: {sentence}")
    assert "AttributeError" in told.sentence and "unmaskd_share" in told.sentence
    assert "test_trees.py:" in told.sentence


def test_producers_write_no_field_that_the_schema_does_not_know(run):
    found = {(probe["kind"], name) for probe in run.probes for name in unknown_fields(probe)}
    assert found == set()
    assert {probe["kind"] for probe in run.probes} >= {"start", "rehearsal", "baselines", "activations"}


def test_evidence_says_who_measured_and_leaves_out_what_was_not(run, tmp_path):
    evidence = evidence_of(run)
    assert evidence.source is Source.TRAINER
    assert evidence.start.future_gradient == 0 and evidence.start.vocab_size is None
    assert len(evidence.audit(Activations).growth) == MINIMAL.n_layer
    assert Evidence().source is Source.LOG and Evidence().audit(Activations).growth is None


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        (Start, {"future_gradient": "none"}),
        (Start, {"target_offset_share": {"0": 1.0}}),
        (Start, {"weights": {"wte": {"mean": 0.0, "std": 1.0}}}),
        (Rehearsal, {"decaying": ["wte"]}),
        (Rehearsal, {"frozen": "wte"}),
        (Baselines, {"unigram_entropy": [3.0]}),
    ],
)
def test_a_probe_of_another_type_is_refused_in_a_sentence(kind, record, run, tmp_path):
    with pytest.raises(RunError, match=kind.kind) as told:
        kind.read(record)
    assert next(iter(record)) in str(told.value)


def test_a_newer_field_is_ignored_and_a_loss_that_is_another_one_is_known(run):
    start = Start.read({"kind": "start", "step": 0, "cross_entropy": None, "invented_later": 1})
    assert start.other_loss and start.cross_entropy is None
    assert Start.read({"kind": "start"}).other_loss is None


def test_events_are_read_up_to_a_torn_end(run, tmp_path):
    for name in ("manifest.json", "metrics.jsonl"):
        (tmp_path / name).write_bytes((run.path / name).read_bytes())
    event = {"step": 3, "attempt": 1, "guard": "spike", "seen": {"loss": 9.0}, "done": "drop", "batches": [7]}
    (tmp_path / "events.jsonl").write_text(json.dumps(event) + '\n{"step": 4, "att')
    assert evidence_of(tmp_path).events == (Event(**event),)


def test_configuration_hands_over_to_dynamics(run):
    question = dataclasses.replace(
        CONFIGURATION.question("1.6"),
        tree="dynamics",
        leaves=("new-leaf",),
        judge=lambda question, evidence: question.failed("new-leaf"),
    )
    later = Tree("dynamics", (question,))
    evidence = evidence_of(run)
    assert walk(evidence).verdict is Verdict.PASS
    found = walk(evidence, (CONFIGURATION, later))
    assert found.leaf == "new-leaf" and found.end.tree == "dynamics"
    assert len(found.findings) == len(CONFIGURATION.questions) + 1


def test_a_tree_takes_no_question_of_another():
    with pytest.raises(AssertionError, match="1.0"):
        Tree("dynamics", CONFIGURATION.questions[:1])
    assert [tree.id for tree in TREES] == ["configuration", "dynamics"]


def anything(hint):
    """Return a strategy for plain data of a type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is type(None):
        return st.none()
    if hint is float:
        return st.floats() | st.integers(-2, 2) | st.floats(0, 2)
    if hint is int:
        return st.integers(0, 50)
    if hint in (str, bool):
        return st.from_type(hint)
    if hint is WeightStatistics:  # of a real matrix
        size = {"size": st.integers(1, 50), "expected_std": st.floats(0.01, 1), "std": st.floats(min_value=0)}
        return st.fixed_dictionaries({"mean": st.floats()} | size)
    if typing.is_typeddict(hint):
        return st.fixed_dictionaries({k: anything(v) for k, v in typing.get_type_hints(hint).items()})
    if origin is list:
        return st.lists(anything(arguments[0]), max_size=4)
    if origin is Mapping:
        names = st.sampled_from(["wte.weight", "h.0.c_proj.weight"])
        return st.dictionaries(names, anything(arguments[1]), max_size=2)
    return st.one_of(*map(anything, arguments))


def probes(kind):
    """Return a strategy for any probe of a kind; what a name promises is kept: shares have an offset 1."""
    hints = typing.get_type_hints(kind)
    known = {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.name != "step"}
    given = {name: anything(hint) for name, hint in known.items()}
    if kind is Start:
        shares = st.fixed_dictionaries({offset: st.floats(0, 1) for offset in "0123"})
        given["target_offset_share"] = st.none() | shares
    if kind is Rehearsal:
        given["betas"] = st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)).map(list)
        given["schedule"] = st.none()
    return st.fixed_dictionaries({}, optional=given).map(kind.read)


@given(
    start=probes(Start),
    rehearsal=probes(Rehearsal),
    baselines=probes(Baselines),
    activations=probes(Activations),
    losses=st.lists(st.floats(), max_size=30),
    source=st.sampled_from(list(Source)),
    config=st.sampled_from([None, MINIMAL, Config(n_layer=2)]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_evidence_of_the_right_types_breaks_no_judge_and_can_be_said(
    start, rehearsal, baselines, activations, losses, source, config
):
    records = [{"step": step, "loss": loss, "grad_norm": abs(loss)} for step, loss in enumerate(losses)]
    evidence = Evidence(
        source=source,
        vocab_size=512,
        config=config,
        metrics=Columns(records),
        start=start,
        rehearsal=rehearsal,
        baselines=baselines,
        audits={"activations": (activations,)},
    )
    json.dumps(as_data(walk(evidence, whole=True), "es"), allow_nan=False)


def test_every_kind_of_probe_has_a_strategy():
    for kind in PROBES.values():
        probes(kind)


def test_panels_telemetry_and_questions_read_the_same_thresholds():
    usual, spikes, first = (CONFIGURATION.question(id).thresholds for id in ("3.1", "3.2", "1.2"))
    bands = {band["label"]["t"]: (band["from"], band["to"]) for band in gradients(Drawing([]))["bands"]}
    assert bands["healthy"] == (usual["low"], usual["high"])
    assert bands["high"] == (usual["high"], first["high"]) and bands["critical"] == (first["high"], None)
    assert spikes["spike"] == first["fail_high"] == thresholds.SPIKE_NORM
    detectors = Telemetry().loss_spikes, Telemetry().gradient_spikes
    assert [detector.factor for detector in detectors] == [thresholds.LOSS_SPIKE, thresholds.GRADIENT_SPIKE]
    for code in LANGUAGES:
        caption = _texts(code)["about-gradients"]
        assert f"{usual['low']:g}" in caption and f"{usual['high']:g}" in caption
