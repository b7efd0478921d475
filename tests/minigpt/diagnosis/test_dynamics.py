"""The dynamics tree on evidence alone: every threshold from both sides, and evidence of any kind."""

import dataclasses

import numpy as np
import pytest
from dynamics_questions import ask, falling
from small_runs import SMALL

from minigpt.diagnosis import CONFIGURATION, DYNAMICS, TREES, Evidence, Verdict, walk
from minigpt.diagnosis.report import as_data
from minigpt.diagnosis.trees.outliers import robust_z
from minigpt.messages import CATALOGUE
from minigpt.runs import schema
from minigpt.runs.jsonl import Columns
from minigpt.runs.schema import Baselines, Rehearsal, Source

FP16 = SMALL.replace(precision="fp16")


# ---------------------------------------------------------------------- the tree


def test_its_questions_have_ids_of_their_own_and_all_their_texts():
    ids = [question.id for tree in TREES for question in tree.questions]
    assert len(ids) == len(set(ids))
    for question in DYNAMICS.questions:
        for name in ("question", "seen", "not-measured", "healthy", "broken"):
            assert CATALOGUE.has(question.key(name)), question.key(name)
        for leaf in question.leaves:
            assert all(CATALOGUE.has(f"leaves.{leaf}-{name}") for name in ("means", "change", "lesson"))


def test_nothing_measured_is_not_measured_anywhere():
    for question in DYNAMICS.questions:
        assert question.judge(question, Evidence()).verdict is Verdict.NOT_MEASURED, question.id


def test_a_cause_in_the_configuration_ends_the_walk_before_the_dynamics():
    shifted = schema.Start(
        target_offset_share={"0": 0.0, "1": 0.0, "2": 1.0, "3": 0.0}, unmasked_share=1.0, distinct_targets=9
    )
    leaking = {"statefulness": (schema.Statefulness(same_batch=1.0),)}
    broken = Evidence(source=Source.TRAINER, vocab_size=512, start=shifted, audits=leaking)
    found = walk(broken, whole=True)
    assert found.leaf == "target-shift" and len(found.findings) == len(CONFIGURATION.questions)
    fixed = walk(dataclasses.replace(broken, start=schema.Start()), whole=True)
    assert fixed.leaf == "memory-leak-across-batches"


def test_a_symptom_with_an_explanation_is_named_before_one_without():
    norms = {"grad_norm": [50.0] * 60}
    records = [{"step": step, "grad_norm": norm} for step, norm in enumerate(norms["grad_norm"])]
    evidence = Evidence(Source.TRAINER, config=SMALL, metrics=Columns(records))
    assert walk(evidence).leaf == "always-clipping"
    grown = {"attention": (schema.Attention(max_logit=[5000.0], entropy=[0.001]),)}
    assert walk(dataclasses.replace(evidence, audits=grown)).leaf == "attention-logit-growth"


def test_what_is_only_watched_is_no_fault():
    evidence = Evidence(
        Source.TRAINER,
        metrics=Columns([{"step": s, "loss": v} for s, v in enumerate(falling(250))]),
        audits={"attention": (schema.Attention(max_logit=[200.0], entropy=[0.5]),)},
    )
    found = walk(evidence, whole=True)
    assert found.verdict is Verdict.PASS and found.watch == ["attention-logit-growth"]
    assert found.leaves == [] and found.others == []
    assert as_data(found)["watch"] == ["attention-logit-growth"]


# ---------------------------------------------------------------------- section 7


def test_skipped_steps_are_usual_while_the_scale_comes_down():
    def run(first, skips):
        flags = [True] * skips + [False] * 30
        return ask("7.2", {"skipped": [float(f) for f in flags], "scale": [first] * len(flags)}, config=FP16)

    assert run(2.0**16, 3).verdict is Verdict.PASS
    assert run(2.0**16, 4).leaf == "fp16-overflow"
    assert run(2.0**24, 11).verdict is Verdict.PASS
    assert run(2.0**24, 12).leaf == "fp16-overflow"


@pytest.mark.parametrize(
    ("scaling", "leaf"),
    [
        ({"clip_ratio": 1.0, "updates": True, "whole_window": True}, None),
        ({"clip_ratio": 1024.0, "updates": True, "whole_window": True}, "clip-before-unscale"),
        ({"clip_ratio": 1.0, "updates": False, "whole_window": True}, "scaler-not-updated"),
        ({"clip_ratio": 1.0, "updates": True, "whole_window": False}, "partial-window"),
    ],
)
def test_each_way_to_mishandle_a_scaled_loss_has_its_leaf(scaling, leaf):
    assert ask("7.3", rehearsal=Rehearsal(scaling=scaling), config=FP16).leaf == leaf


@pytest.mark.parametrize(
    ("zeros", "verdict"), [(0.02, Verdict.PASS), (0.15, Verdict.WARN), (0.4, Verdict.FAIL)]
)
def test_gradients_lost_in_fp16_are_those_beyond_the_zeros_of_fp32(zeros, verdict):
    scaling = {"zeros": zeros + 0.3, "zeros_fp32": 0.3}
    assert ask("7.4", rehearsal=Rehearsal(scaling=scaling), config=FP16).verdict is verdict


# ---------------------------------------------------------------------- section 8


def test_robust_z_sees_what_stands_out_and_not_the_fall_of_a_curve():
    losses = np.array(falling(400))
    assert robust_z(losses).max() < 6
    losses[300] += 1.0
    z = robust_z(losses)
    assert z.argmax() == 300 and z[300] > 10
    assert not robust_z(losses[:20]).any()


@pytest.mark.parametrize("seed", range(20))
def test_heavy_tailed_noise_is_no_spike(seed):
    rng = np.random.default_rng(seed)
    losses = np.array(falling(1000, noise=0)) + 0.05 * rng.standard_t(4, 1000)
    assert ask("8.2", {"loss": losses.tolist()}).verdict is not Verdict.FAIL


@pytest.mark.parametrize(
    ("lasts", "back", "leaf"),
    [
        (5, True, "loss-spike-batch"),
        (12, True, "loss-spike-batch"),
        (30, True, "loss-spike-batch"),
        (5, False, None),
    ],
)
def test_batches_are_blamed_for_a_spike_that_goes_and_not_for_one_that_stays(lasts, back, leaf):
    losses = np.array(falling(300))
    end = 200 + lasts if back else 300
    losses[200:end] += 2.0
    found = ask("8.2", {"loss": losses.tolist()})
    assert found.leaf == leaf
    if leaf:
        # of a long one the first half of a window, after which it is what is usual
        assert found.values["step"] == 200 and min(lasts, 6) <= found.values["count"] <= lasts


def test_a_leap_of_the_rate_is_blamed_only_where_nobody_asked_for_it_and_harm_followed():
    def run(rate, rise, **more):
        losses, rates = np.array(falling(300)), np.full(300, 1e-3)
        rates[150:155] = rate
        losses[151:170] += rise
        return ask("8.1", {"loss": losses.tolist(), "lr": [{"all": r} for r in rates.tolist()]}, **more)

    assert run(3e-2, 3.0).leaf == "loss-spike-lr"
    assert run(3e-2, 0.0).verdict is Verdict.PASS
    assert run(2e-3, 3.0).verdict is Verdict.PASS


def test_a_restart_at_the_old_top_is_no_leap():
    losses, rates = np.array(falling(300)), np.tile(np.linspace(1e-2, 1e-4, 100), 3)
    losses[200:210] += 2.0
    asked = {"loss": losses.tolist(), "lr": [{"all": rate} for rate in rates.tolist()]}
    assert ask("8.1", asked).verdict is Verdict.PASS


def test_a_start_without_a_ramp_needs_a_symptom_too():
    def run(first, peak):
        losses = [6.2, peak, *falling(60)]
        rates = [{"all": r} for r in [first, *[1e-2] * 61]]
        return ask("8.3", {"loss": losses, "lr": rates}, vocab_size=512)

    assert run(1e-2, 9.0).leaf == "warmup-missing"
    assert run(1e-2, 6.3).verdict is Verdict.PASS
    assert run(1e-4, 9.0).verdict is Verdict.PASS


def test_a_stale_second_moment_is_watched_when_it_lasts():
    def run(*figures):
        probes = [schema.Updates(step=200 + 5 * i, rms=rms, name="w") for i, rms in enumerate(figures)]
        return ask("8.4", probes=probes)

    assert run(1.0, 9.0, 1.0, 1.1).verdict is Verdict.PASS
    found = run(1.0, 2.4, 2.5, 2.6, 1.0)
    assert (found.verdict, found.leaf) == (Verdict.WARN, "stale-second-moment")


# ---------------------------------------------------------------------- section 9


@pytest.mark.parametrize(
    ("logit", "entropy", "verdict"),
    [
        (30.0, 0.5, Verdict.PASS),
        (300.0, 0.01, Verdict.WARN),
        (3000.0, 0.5, Verdict.WARN),
        (3000.0, 0.01, Verdict.FAIL),
    ],
)
def test_attention_is_broken_where_logits_are_huge_and_entropy_is_gone(logit, entropy, verdict):
    found = ask("9.1", probes=[schema.Attention(step=50, max_logit=[3.0, logit], entropy=[0.8, entropy])])
    assert found.verdict is verdict and found.values["layer"] == 1


def test_drift_of_output_logits_is_watched():
    def run(log_z, gain=1.0):
        steps = ((100, 7.0, 1.0), (900, log_z, gain))
        return ask("9.2", probes=[schema.Logits(step=s, log_z=z, gain_rms=g) for s, z, g in steps])

    assert run(9.0).verdict is Verdict.PASS
    assert run(40.0).leaf == run(7.5, gain=6.0).leaf == "output-logit-drift"


@pytest.mark.parametrize(
    ("rise", "train_end", "leaf"), [(0.15, 1.5, "overfit-onset"), (0.15, 2.6, None), (0.0, 1.5, None)]
)
def test_overfitting_begins_where_validation_turns_while_training_falls(rise, train_end, leaf):
    val = [*np.linspace(4, 2.5, 8), 2.5 + rise / 2, *[2.5 + rise] * 4]
    train = [*np.linspace(4, 2.3, 80), *np.linspace(2.3, train_end, 50)]
    records = [{"step": s, "loss": v} for s, v in enumerate(train)]
    for look, value in enumerate(val):
        records[look * 10 + 9] |= {"val_loss": value}
    question = DYNAMICS.question("9.3")
    assert question.judge(question, Evidence(metrics=Columns(records))).leaf == leaf


@pytest.mark.parametrize(("rise", "found"), [(0.0, {None}), (1.0, {"overfitting", "overfit-onset"})])
def test_validation_is_judged_within_one_task_for_each_has_a_text_of_its_own(rise, found):
    """The second task is harder on what it did not see: validation ends 2 nats above the first one's."""
    train = [*np.linspace(4, 1, 100), *np.linspace(3, 0.5, 100)]
    val = [*np.linspace(4, 1.5, 10), *np.linspace(6, 3.5, 5), *np.linspace(3.5, 3.5 + rise, 5)]
    records = [{"step": s, "loss": v} for s, v in enumerate(train)]
    for look, value in enumerate(val):
        records[look * 10 + 9] |= {"val_loss": value}
    evidence = Evidence(
        config=SMALL.replace(steps=200, tasks="conjugations,python"), metrics=Columns(records)
    )
    questions = CONFIGURATION.question("4.2b"), DYNAMICS.question("9.3")
    assert {question.judge(question, evidence).leaf for question in questions} == found


@pytest.mark.parametrize(("last", "leaf"), [(3.2, None), (5.5, "forgetting")])
def test_an_old_task_that_is_lost_is_named(last, leaf):
    tasks = [{"verbs": 3.0, "python": 6.0}, {"verbs": last, "python": 3.0}]
    found = ask("9.4", {"tasks": tasks})
    assert found.leaf == leaf and found.values["task"] == "verbs"


# ---------------------------------------------------------------------- section 11


def test_other_hands_on_the_weights_and_dead_gates_are_named():
    assert ask("11.1", probes=[schema.Owners(changed=[])]).verdict is Verdict.PASS
    found = ask("11.1", probes=[schema.Owners(step=9, changed=[]), schema.Owners(step=19, changed=["w"])])
    assert (found.leaf, found.values["step"]) == ("writes-outside-optimizer", 19)
    assert ask("11.2", probes=[schema.NeverLearnt(names=["gate"])]).leaf == "dead-gate"
    assert ask("11.2", probes=[schema.NeverLearnt(names=[])]).leaf is None


def test_steps_that_are_logged_twice_are_counted():
    def run(steps):
        records = Columns([{"step": step, "loss": 3.0} for step in steps])
        question = DYNAMICS.question("11.3")
        return question.judge(question, Evidence(metrics=records)).verdict

    assert run(range(50)) is Verdict.PASS
    assert run([*range(50), 7]) is Verdict.WARN
    assert run([step for step in range(50) for _ in range(2)]) is Verdict.FAIL


@pytest.mark.parametrize(
    ("level", "slope", "leaf"),
    [(5.0, 0.0, "plateau"), (5.0, 0.002, None), (3.0, 0.0, None), (6.2, 0.0, None)],
)
def test_a_plateau_stands_still_at_the_entropy_of_single_tokens(level, slope, leaf):
    rng = np.random.default_rng(0)
    losses = level + rng.normal(0, 0.05, 1000) - slope * np.maximum(np.arange(1000) - 900, 0)
    found = ask("11.4", {"loss": losses.tolist()}, baselines=Baselines(unigram_entropy=5.0))
    assert found.leaf == leaf


@pytest.mark.parametrize(
    ("ratios", "stands", "leaf"),
    [
        ((50, 80, None), True, "noisy-batch"),
        ((50, 80, 90), False, None),  # it learns all the same
        ((50, 2, 90), True, None),
    ],
)
def test_a_batch_is_too_noisy_only_where_the_run_stands_still(ratios, stands, leaf):
    losses = (np.full(400, 4.0) if stands else np.array(falling(400, end=2))).tolist()
    probes = [schema.Noise(step=100 * i, scale=r and 256.0 * r, tokens=256) for i, r in enumerate(ratios)]
    found = ask("11.5", {"loss": losses}, probes, baselines=Baselines(ngram_loss=2.0))
    assert found.leaf == leaf


def test_a_step_that_became_slow_is_watched_and_no_fault():
    found = ask("11.6", {"seconds": [0.1] * 200 + [0.5] * 100})
    assert (found.verdict, found.leaf) == (Verdict.WARN, "slow-step")
    assert ask("11.6", {"seconds": [0.1] * 300}).verdict is Verdict.PASS
