"""Every fault is complete, applies to one part, and a run with it trains without falling over."""

import pytest

from minigpt.faults import FAULTS, find_fault
from minigpt.messages import CATALOGUE, LANGUAGES
from minigpt.recipe import Recipe
from minigpt.trainer import Trainer

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


def test_ids_are_unique_and_no_text_is_left_over():
    assert all(fault.id == name for name, fault in FAULTS.items())
    described = {
        key.split(".")[1] for key in CATALOGUE.keys("en") if key.startswith("faults.") and key.count(".") == 2
    }
    assert described == set(FAULTS)
