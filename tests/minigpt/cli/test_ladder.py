"""`minigpt ladder`: climbs, stops at the first rung that breaks, and says which; both languages."""

import json
import math

import numpy as np
import pytest

from minigpt.config.ladders import LADDERS, load_ladder
from minigpt.diagnosis.ladder import swing
from minigpt.messages import LANGUAGES

TINY = """
chance: 12.21
base: {n_layer: 1, n_head: 2, n_embd: 16, context: 32, batch_size: 4, steps: 40, warmup_steps: 8}
rungs:
  - {name: base, promised: {loss: [8.0, 10.0], grad_norm: 5.0, minutes: 30}}
  - {name: Spikes, add: {activation: spiking}}
  - {name: wide start, fault: init-scale}
  - {name: never reached, add: {n_layer: 2}}
"""


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_stops_at_the_first_rung_that_breaks_and_says_which(language, command, tmp_path):
    answer = command("ladder", "tiny.yaml", "--run-dir", tmp_path / "runs", "--lang", language)
    assert answer.code == 1, answer.err
    last = answer.out.strip().splitlines()[-1]
    assert "wide start" in last and "init-scale" in last
    assert "never reached" not in answer.out
    assert "8–10" in answer.out  # what was promised stands beside
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "00-base", "01-spikes", "02-wide-start",
    ]  # fmt: skip


def test_as_data_it_gives_ours_beside_the_promised(command, tmp_path):
    answer = command("ladder", "tiny.yaml", "--steps", 40, "--all", "--json", "--run-dir", tmp_path / "runs")
    rungs = json.loads(answer.out)
    assert [rung["rung"] for rung in rungs] == ["base", "Spikes", "wide start", "never reached"]
    assert [rung["leaf"] for rung in rungs] == [None, None, "init-scale", "init-scale"]
    first = rungs[0]
    assert first["promised"] == {"loss": [8.0, 10.0], "grad_norm": 5.0, "minutes": 30}
    assert 0 < first["loss"] < first["chance"] and first["seconds"] > 0


@pytest.mark.parametrize("name", LADDERS)
def test_the_settings_of_every_rung_of_a_shipped_one_go_together(name):
    ladder = load_ladder(name)
    configs = ladder.configs()
    assert len(configs) == len(ladder.rungs) > 1
    for _, config, _ in configs:
        config.refuse_idle()
    assert all(a[1] != b[1] for a, b in zip(configs, configs[1:], strict=False))  # each adds something


def test_the_seed_s_four_phases_are_all_there():
    rungs = load_ladder("seed-001").rungs
    assert sorted({rung.phase for rung in rungs}) == [1, 2, 3, 4]
    assert all(rung.promised["loss"] for rung in rungs)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "seed-001"),
        ("rungs: []", "rungs"),
        ("rungs: [{add: {n_layer: 1}}]", "name"),
        ("rungs: [{name: a, adds: {n_layer: 1}}]", "adds"),
        ("rungs: [{name: a, promised: {los: 1}}]", "los"),
        ("rungs: [{name: a, add: {n_layers: 1}}]", "n_layers"),
        ("rungs: [{name: a, add: {n_layer: 0}}]", "n_layer"),
        ("rungs: [{name: a, fault: init-scal}]", "init-scal"),
        ("rungs: [{name: null}]", "name"),
        ("rungs: [{name: 5}]", "name"),
        ("rungs: [{name: a, add: [n_layer]}]", "add"),
        ("rungs: [{name: a, fault: [init-scale]}]", "fault"),
        ("rungs: [{name: a, promised: 5}]", "promised"),
        ("rungs: [{name: a, promised: {loss: 5}}]", "[8, 10]"),
        ("rungs: [{name: a, promised: {loss: [5, low]}}]", "[8, 10]"),
        ("rungs: [{name: a, promised: {grad_norm: small}}]", "grad_norm"),
        ("{base: 5, rungs: [{name: a}]}", "base"),
        ("{chance: high, rungs: [{name: a}]}", "chance"),
        ("{chance: 0, rungs: [{name: a}]}", "chance"),
        ("{chanse: 12, rungs: [{name: a}]}", "chanse"),
        ("rungs: [{name: a}, {name: b, add: {memory_temperature: 2.0}}]", "memory_temperature"),
        ("rungs: [{name: a}, {name: b, fault: memory-feedback}]", "memory-feedback"),
    ],
)
def test_what_is_no_ladder_is_refused_in_a_sentence(text, named, language, command, tmp_path):
    if text is not None:
        (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    name = "seed-01" if text is None else "bad.yaml"
    assert named in command("ladder", name, "--run-dir", tmp_path / "runs", "--lang", language).sentence
    assert not (tmp_path / "runs").exists()  # nothing was trained before it was said


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_fault_that_would_break_nothing_is_refused_before_anything_trains(language, command, tmp_path):
    argv = ("--fault", "memory-feedback", "--run-dir", tmp_path / "runs", "--lang", language)
    assert "memory-feedback" in command("ladder", "tiny.yaml", *argv).sentence
    assert not (tmp_path / "runs").exists()


def test_the_swing_leaves_the_fall_of_a_healthy_loss_out():
    steps = np.arange(200)
    falling = 6.0 - 0.02 * steps
    assert swing(falling) == pytest.approx(1)
    assert swing(falling[:60]) == pytest.approx(1)  # too short for the first steps to be left out
    wild = 10.0 + 5.0 * np.sin(steps / 5)
    assert swing(wild) > 2.5
    assert math.isnan(swing([*wild, math.nan]))
