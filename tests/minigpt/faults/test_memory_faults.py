"""Each fault of a memory is found by name, and memory without one is healthy."""

import pytest
from small_runs import MINIMAL

from minigpt.diagnosis import check
from minigpt.faults import FAULTS, FaultError, refuse_idle
from minigpt.faults.memory import MEMORY_FAULTS
from minigpt.training.recipe import Recipe
from minigpt.training.trainer import train

CONFIG = MINIMAL.replace(
    mixer="memory", short_term_size=8, memory_temperature=4.0, homeostasis=True, homeostasis_target=0.5,
    steps=60, warmup_steps=6, lr_max=5e-3, lr_min=5e-4, eval_every=0, checkpoint_every=0,
)  # fmt: skip
HEALTHY = {
    "plain": {"homeostasis": False, "homeostasis_target": 0.1},
    "homeostasis": {},
    "sleep": {"consolidation": "sleep", "consolidation_interval": 10},
    "random": {"consolidation": "random"},
    "complementary": {"complementary": True, "metaplasticity": True},
    "published": {"use_stop_gradient": True},
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", [fault.id for fault in MEMORY_FAULTS])
def test_each_fault_of_memory_is_named(fault, seed, tmp_path):
    train(Recipe(CONFIG.replace(seed=seed)).with_fault(fault), tmp_path / "run")
    assert check(tmp_path / "run").leaf == FAULTS[fault].leaf


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("form", HEALTHY)
def test_memory_without_a_fault_is_healthy(form, seed, tmp_path):
    train(Recipe(CONFIG.replace(seed=10 + seed, **HEALTHY[form])), tmp_path / "run")
    walk = check(tmp_path / "run")
    assert walk.leaf is None and not walk.watch


def test_a_fault_of_memory_without_a_memory_is_refused():
    for fault in MEMORY_FAULTS:
        with pytest.raises(FaultError, match="mixer = attention"):
            refuse_idle((), fault.id, MINIMAL)
    with pytest.raises(FaultError, match="homeostasis = False"):
        refuse_idle((), "homeostasis-windup", CONFIG.replace(homeostasis=False))
