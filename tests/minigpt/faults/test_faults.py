"""Every fault is complete, applies to one part, and a run with it trains without falling over."""

import pytest

from minigpt.config import Config
from minigpt.faults import FAULTS, FaultError, find_fault, refuse_idle
from minigpt.messages import CATALOGUE, LANGUAGES
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import Trainer

each_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
TEXTS = ("title", "breaks", "symptom", "fix")


@each_fault
def test_it_has_its_texts_in_both_languages_and_they_differ(fault):
    for name in TEXTS:
        english, spanish = (fault.text(name, language) for language in LANGUAGES)
        assert english and spanish
        assert english != spanish or name in ("title", "fix")  # a fix may be a line of code


@each_fault
def test_it_breaks_a_part_of_the_recipe(fault):
    healthy, broken = Recipe(), Recipe().with_fault(fault.id)
    assert getattr(broken, fault.part) is not getattr(healthy, fault.part)


@each_fault
def test_a_run_with_it_writes_every_step(fault, minimal, tmp_path):
    config = minimal.replace(steps=4, warmup_steps=2, eval_every=0, stop_on_non_finite=False, accumulation=2)
    run = Trainer(Recipe(config).with_fault(fault.id), tmp_path / "run").run()
    assert [record["step"] for record in run.metrics] == [0, 1, 2, 3]
    assert run.manifest["faults"] == [fault.id]


@pytest.mark.parametrize("id", [fault.id for fault in FAULTS.values() if fault.severity is not None])
def test_its_severity_can_be_set(id):
    assert find_fault(f"{id}:2.5") == (FAULTS[id], 2.5)


@pytest.mark.parametrize("id", [fault.id for fault in FAULTS.values() if fault.severity is not None])
def test_a_severity_that_breaks_nothing_is_refused_with_what_it_means(id):
    harmless = {"init-scale": 1, "lr-group-scale": 1, "schedule-step-unit": 1, "gradient-spikes": 1}
    harmless |= {"rate-burst": 1, "no-warmup": 1e-3, "attention-logit-growth": 1e-3}
    harmless |= {"fp16-underflow": 1}
    for severity in ("nan", "inf", harmless.get(id, 0)):
        with pytest.raises(FaultError, match=FAULTS[id].text("severity", "en")[:10]):
            refuse_idle((), f"{id}:{severity}", Config())


def test_a_recipe_takes_a_severity_that_breaks_nothing_so_that_one_can_turn_it_down():
    assert Recipe(Config()).with_fault("head-bias", 0.0).faults == ("head-bias:0",)
    with pytest.raises(FaultError, match="standard deviation"):
        find_fault("head-bias", float("nan"))


@pytest.mark.parametrize(
    ("fault", "settings", "named"),
    [
        ("accumulation-sum", {}, "accumulation = 1"),
        ("accumulation-token-weighting", {}, "accumulation = 1"),
        ("warmup-off-by-one", {"warmup_steps": 0}, "warmup_steps = 0"),
        ("scheduler-never-stepped", {"schedule": "constant", "warmup_steps": 0}, "schedule = constant"),
        ("schedule-step-unit", {"schedule": "constant", "warmup_steps": 1}, "schedule = constant"),
        ("lr-discontinuous", {"schedule": "step"}, "schedule = step"),
        ("decay-groups", {"weight_decay": 0.0}, "weight_decay = 0"),
        ("always-clipping:2", {}, "clip_norm = 1"),
        ("lr-too-low:0.02", {}, "lr_max = 0.01"),
        ("gradient-spikes", {"steps": 24, "warmup_steps": 4}, "steps = 24"),
        ("init-scale", {"init_from": "base"}, "init_from = base"),
        ("future-leak", {"mixer": "state_space"}, "mixer = state_space"),
    ],
)
def test_one_that_the_settings_leave_nothing_to_break_is_refused(fault, settings, named):
    with pytest.raises(FaultError, match=named):
        refuse_idle((), fault, Config(**settings))
    acting = {"accumulation": 2, "steps": 200, "warmup_steps": 10}
    refuse_idle((), fault.split(":")[0], Config(**acting))


def test_a_fault_is_given_once_and_undoes_no_other():
    for asked, fault in (
        (("init-scale:10",), "init-scale:0.1"),
        (("base-lr-zero",), "scheduler-never-stepped"),
        (("target-shift",), "loss-reduction"),
    ):
        with pytest.raises(FaultError, match=fault.split(":")[0]):
            refuse_idle(asked, fault, Config())
    refuse_idle(("scheduler-never-stepped",), "base-lr-zero", Config())
    refuse_idle(("loss-reduction",), "target-shift", Config())


@pytest.mark.parametrize("left", [5, 10**9])
def test_overfitting_needs_a_window_and_less_than_the_whole_text(left, minimal):
    recipe = Recipe(minimal).with_fault("overfitting", left)
    with pytest.raises(FaultError, match=str(left)):
        recipe.load_data(minimal)


def test_ids_are_unique_and_no_text_is_left_over():
    assert all(fault.id == name for name, fault in FAULTS.items())
    described = {
        key.split(".")[1] for key in CATALOGUE.keys("en") if key.startswith("faults.") and key.count(".") == 2
    }
    assert described == set(FAULTS)
