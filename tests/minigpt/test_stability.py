"""The stability check finds each fault by name and lets healthy runs pass."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minigpt.cli import main
from minigpt.config import Config
from minigpt.faults import FAULTS
from minigpt.faults.learning import LEARNING_FAULTS
from minigpt.faults.loop import LOOP_FAULTS
from minigpt.faults.schedule import SCHEDULE_FAULTS
from minigpt.faults.start import START_FAULTS
from minigpt.logs import Columns
from minigpt.messages import LANGUAGES
from minigpt.recipe import Recipe
from minigpt.stability import QUESTIONS, Evidence, Verdict, check, walk
from minigpt.stability.report import as_data
from minigpt.trainer import train

SHORT = Config(steps=2, warmup_steps=1, eval_batches=1)
SMALL = Config(
    steps=40, warmup_steps=8, n_layer=1, n_head=2, n_embd=16, context=32, batch_size=4, eval_batches=1
)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", [fault.id for fault in START_FAULTS])
def test_each_fault_is_named(fault, seed, tmp_path):
    severity = 40 if fault == "not-untrained" else None  # steps already trained: as few as show
    train(Recipe(SHORT.replace(seed=seed)).with_fault(fault, severity), tmp_path / "run")
    assert check(tmp_path / "run").leaf == FAULTS[fault].leaf


@pytest.mark.parametrize("seed", range(10))
def test_a_healthy_run_passes(seed, tmp_path):
    train(Recipe(SHORT.replace(seed=seed)), tmp_path / "run")
    found = check(tmp_path / "run")
    assert found.verdict is Verdict.PASS
    assert {finding.verdict for finding in found.findings} <= {Verdict.PASS, Verdict.NOT_MEASURED}


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("schedule", ["cosine", "linear", "wsd"])
@pytest.mark.parametrize("fault", [fault.id for fault in SCHEDULE_FAULTS])
def test_each_fault_of_the_schedule_is_named(fault, schedule, accumulation, tmp_path):
    config = SMALL.replace(schedule=schedule, accumulation=accumulation)
    train(Recipe(config).with_fault(fault), tmp_path / "run")
    assert check(tmp_path / "run").leaf == FAULTS[fault].leaf


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("fault", [fault.id for fault in LOOP_FAULTS])
def test_each_fault_of_the_loop_is_named(fault, seed, tmp_path):
    steps = 100 if fault == "gradient-spikes" else SMALL.steps
    train(Recipe(SMALL.replace(seed=seed, steps=steps)).with_fault(fault), tmp_path / "run")
    assert check(tmp_path / "run").leaf == FAULTS[fault].leaf


@pytest.mark.parametrize("fault", [fault.id for fault in LEARNING_FAULTS])
def test_each_fault_of_learning_is_named(fault, tmp_path):
    steps = 400 if fault == "overfitting" else 201
    config = SMALL.replace(steps=steps, n_embd=32, batch_size=8, eval_every=50, eval_batches=4)
    train(Recipe(config).with_fault(fault), tmp_path / "run")
    assert check(tmp_path / "run").leaf == FAULTS[fault].leaf


@pytest.mark.parametrize(
    ("position", "place", "named"),
    [
        ("pre", "h.1.ln_1", "h.1.attn"),
        ("pre", "h.0.ln_2", "h.0.mlp"),
        ("pre", "ln_f", "lm_head"),
        ("post", "h.0.ln_1", "h.0.mlp"),
        ("post", "h.1.ln_2", "h.1"),
    ],
)
def test_a_single_norm_that_is_missing_is_named_with_its_place(position, place, named, tmp_path):
    recipe = Recipe(SHORT.replace(norm_position=position, dropout=0.1))

    def build_model(config):
        model = recipe.build_model(config)
        model.set_submodule(place, torch.nn.Identity())
        return model

    train(dataclasses.replace(recipe, build_model=build_model), tmp_path / "run")
    found = check(tmp_path / "run")
    assert found.leaf == "missing-norm"
    assert found.end.values["place"] == named


@pytest.mark.parametrize("fault", ["init-scale:3", "head-bias:1.5", "lr-too-low:1e-8"])
def test_a_mild_fault_is_named_too(fault, tmp_path):
    steps = 201 if fault.startswith("lr") else 2
    train(Recipe(SMALL.replace(steps=steps, warmup_steps=1)).with_fault(fault), tmp_path / "run")
    assert check(tmp_path / "run").leaf == FAULTS[fault.partition(":")[0]].leaf


@pytest.mark.parametrize("off", [lambda t, w: t / w, lambda t, w: (t + 1) / (w + 1)])
def test_a_short_warm_up_that_is_off_by_one_is_named(off, tmp_path):
    recipe = Recipe(SMALL)

    def lr_at(step, config):
        warm = step < config.warmup_steps
        return config.lr_max * off(step, config.warmup_steps) if warm else recipe.lr_at(step, config)

    train(dataclasses.replace(recipe, lr_at=lr_at), tmp_path / "run")
    assert check(tmp_path / "run").leaf == "warmup-off-by-one"


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
    found = walk(Evidence(vocab_size=403, metrics=losses_of(*stretches)), QUESTIONS)
    assert found.leaf == leaf
    assert found.verdict is (Verdict.FAIL if leaf else Verdict.PASS)


def test_a_symptom_waits_for_its_cause_and_stands_without_one():
    norms = Columns([{"step": step, "grad_norm": 50.0} for step in range(30)])
    alone = walk(Evidence(config=SHORT, metrics=norms), QUESTIONS)
    assert (alone.leaf, alone.findings[-1].question) == ("always-clipping", "3.1")
    without_norms = {"stream_exponents": {"h.0.attn": 1.0}}
    explained = walk(Evidence(config=SHORT, metrics=norms, start=without_norms), QUESTIONS)
    assert (explained.leaf, explained.findings[-1].question) == ("missing-norm", "5.2")


@pytest.mark.parametrize(
    "settings",
    [
        {"norm": "rmsnorm", "activation": "swiglu", "positions": "rotary", "qk_norm": True},
        {"norm_position": "post"},
        {"bias": True, "dropout": 0.1},
        {"tied_head": False, "n_layer": 4},
        {"n_embd": 64, "vocab_size": 1024},
        {"lr_max": 3e-3, "lr_min": 3e-4},
        {"weight_decay": 0.0},
        {"beta1": 0.8, "beta2": 0.999},
        {"freeze": "wte,h.0.attn"},
        {"precision": "bf16"},
        {"accumulation": 3, "clip_norm": 0.3},
    ],
    ids=str,
)
def test_healthy_runs_of_every_kind_pass(settings, tmp_path):
    config = SMALL.replace(steps=201, batch_size=8, eval_every=100, **settings)
    train(Recipe(config), tmp_path / "run")
    found = check(tmp_path / "run", whole=True)
    assert found.verdict is Verdict.PASS, [finding for finding in found.findings if finding.leaf]


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "constant", "warmup_steps": 0},  # on purpose
        {"schedule": "constant"},
        {"schedule": "linear"},
        {"schedule": "wsd"},
        {"schedule": "step"},
        {"warmup_steps": 0},
        {"warmup_steps": 1},
        {"warmup_steps": 40},
        {"lr_min": 0.0},
        {"lr_multipliers": "wte=0.1,h.0=2"},
        {"freeze": "wte"},
        {"accumulation": 4},
    ],
    ids=str,
)
def test_a_schedule_asked_for_is_no_fault(settings, tmp_path):
    train(Recipe(SMALL.replace(**settings)), tmp_path / "run")
    assert check(tmp_path / "run").verdict is Verdict.PASS


def test_a_schedule_that_stops_with_the_warm_up_is_named_before_what_is_wrong_in_it(tmp_path):
    both = Recipe(SMALL).with_fault("scheduler-never-stepped").with_fault("warmup-off-by-one")
    train(both, tmp_path / "run")
    assert check(tmp_path / "run").leaf == "scheduler-never-stepped"


def test_a_run_cut_during_warm_up_still_tells_micro_batches_from_a_slow_group(tmp_path):
    """Case A in small: the schedule counts micro-batches and group 0 has a multiplier of 0.1."""
    config = SMALL.replace(accumulation=3, steps=10, warmup_steps=10)
    both = Recipe(config).with_fault("schedule-step-unit").with_fault("lr-group-scale")
    train(both, tmp_path / "both")
    assert check(tmp_path / "both").leaf == "schedule-step-unit"
    train(Recipe(config).with_fault("lr-group-scale"), tmp_path / "one")
    assert check(tmp_path / "one").leaf == "lr-group-scale"


def test_the_verdict_does_not_come_from_the_list_of_faults(tmp_path):
    train(Recipe(SHORT).with_fault("target-shift"), tmp_path / "run")
    manifest = tmp_path / "run" / "manifest.json"
    content = json.loads(manifest.read_text())
    assert content.pop("faults") == ["target-shift"]
    manifest.write_text(json.dumps(content))
    assert check(tmp_path / "run").leaf == "target-shift"


def test_starting_from_a_declared_checkpoint_is_no_fault(tiny_run, tmp_path):
    fine_tuned = tiny_run.config.replace(init_from=str(tiny_run.path), steps=2, warmup_steps=1)
    train(Recipe(fine_tuned), tmp_path / "run")
    found = check(tmp_path / "run")
    assert found.verdict is Verdict.PASS
    verdicts = {finding.question: finding.verdict for finding in found.findings}
    assert verdicts["1.1"] is Verdict.NOT_MEASURED
    assert verdicts["1.1b"] is Verdict.PASS


def test_a_double_shift_shows_in_a_checkpoint_at_step_0(tiny_run, tmp_path):
    fine_tuned = tiny_run.config.replace(init_from=str(tiny_run.path), steps=2, warmup_steps=1)
    train(Recipe(fine_tuned).with_fault("target-shift"), tmp_path / "run")
    assert check(tmp_path / "run").leaf == "target-shift"


def test_probes_leave_the_run_as_it_was(tmp_path, monkeypatch):
    config = SHORT.replace(steps=4, dropout=0.1)
    with_probes = [record["loss"] for record in train(Recipe(config), tmp_path / "with").metrics]
    monkeypatch.setattr("minigpt.trainer.start_probes", lambda *arguments: {})
    monkeypatch.setattr("minigpt.trainer.rehearse", lambda *arguments: {})
    without = [record["loss"] for record in train(Recipe(config), tmp_path / "without").metrics]
    assert with_probes == without


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
    start = {name: value for name, value in probes.items() if value is not None}
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
def test_probes_written_by_another_hand_are_no_evidence(start):
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


def test_a_part_changed_by_hand_is_found_too(tmp_path):
    recipe = Recipe(SHORT)

    def summed(logits, targets, mask):
        return recipe.loss(logits, targets, mask) * mask.sum()

    train(dataclasses.replace(recipe, loss=summed), tmp_path / "run")
    assert check(tmp_path / "run").leaf == "loss-reduction"


def test_future_tokens_are_seen_through_any_fixed_mixture_of_logits(tmp_path):
    torch.manual_seed(0)
    train(Recipe(SHORT.replace(n_layer=1, n_head=1)).with_fault("future-leak"), tmp_path / "run")
    assert check(tmp_path / "run").leaf == "future-leak"
