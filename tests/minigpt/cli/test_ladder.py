"""`minigpt ladder`: climbs, stops at the first rung that breaks, and says which; both languages."""

import io
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

from minigpt.cli.ladder_tables import not_measured, tables
from minigpt.config import Config
from minigpt.config.ladders import COLUMNS, LADDERS, load_ladder
from minigpt.data.dataset import load_data
from minigpt.diagnosis.climbed import Climbed, swing
from minigpt.messages import LANGUAGES, message, use_language
from minigpt.runs.run import Run
from minigpt.training.accuracy import validation_accuracy
from minigpt.training.sampling import Sampler

TINY = """
chance: 12.21
base: {n_layer: 1, n_head: 2, n_embd: 16, context: 32, batch_size: 4, steps: 40, warmup_steps: 8}
rungs:
  - {name: base, promised: {loss: [8.0, 10.0], grad_norm: 5.0, minutes: 30, loss_at: {20: 6.0}}}
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
    promised = {"loss": [8.0, 10.0], "grad_norm": 5.0, "minutes": 30, "loss_at": {"20": 6.0}}
    assert first["promised"] == promised
    assert 0 < first["loss"] < first["chance"] and first["seconds"] > 0
    run = Run(first["run"])
    losses, seconds = (run.column(name)[1] for name in ("loss", "seconds"))
    assert first["val_loss"] == run.column("val_loss")[1][-1]
    assert first["loss_at"] == {"20": losses[20]} and first["range"] == [losses.min(), losses.max()]
    assert first["gain"] == 0 and rungs[3]["gain"] == first["val_loss"] - rungs[3]["val_loss"]
    assert first["rate_gap"] == pytest.approx(Config().lr_max / Config().lr_min, rel=0.1)
    ratio = rungs[1]["slower"] / (np.median(Run(rungs[1]["run"]).column("seconds")[1]) / np.median(seconds))
    assert ratio == pytest.approx(1) and rungs[1]["faster"] * rungs[1]["slower"] == pytest.approx(1)
    model, data = Sampler.load(run.path).model, load_data(run.config).validation
    assert first["accuracy"] == validation_accuracy(model, data, run.config) > 0


def test_the_accuracy_is_the_share_of_tokens_that_are_ranked_first(minimal):
    class Repeats(torch.nn.Module):  # ranks the token first that it has just read
        weight = torch.nn.Parameter(torch.zeros(1))

        def parameters(self):
            return iter([self.weight])

        def forward(self, ids):
            return torch.nn.functional.one_hot(ids, 300).float()

    same, other = torch.full((100,), 7), torch.arange(100)
    assert validation_accuracy(Repeats(), same, minimal) == 1
    assert validation_accuracy(Repeats(), other, minimal) == 0


def climbed_to_the_top(ladder):
    """Every rung of a ladder as if it had been trained, without training."""
    found, steps = [], np.arange(200)
    walk = SimpleNamespace(leaf="schedule-step-unit", verdict="fail")
    for rung in ladder.rungs:
        found.append(
            Climbed(
                rung, Path("run"), walk, (6.2 - 0.01 * steps).tolist(), (1 + 0.1 * np.sin(steps)).tolist(),
                [0.01] * 200, val_loss=4.3, accuracy=0.2, lowest_rate=0.1, chance=6.24, seconds=3.0,
                first=found[0] if found else None, below=found[-1] if found else None,
            )
        )  # fmt: skip
    return found


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", LADDERS)
def test_every_promise_of_a_seed_stands_beside_what_was_measured_in_100_columns(name, language):
    use_language(language)
    ladder = load_ladder(name)
    console = Console(width=100, record=True, file=io.StringIO())
    for table in tables(ladder, climbed_to_the_top(ladder)):
        console.print(table)
    text = console.export_text()
    assert all(len(line) <= 100 for line in text.splitlines())
    promised = {figure for rung in ladder.rungs for figure in rung.promised}
    for figure in promised - set(COLUMNS):
        words = message(f"ladder.figure-{figure}", step="@").split("@")[0].split()
        assert all(word in text for word in words), figure
    assert all(
        f"{rung.promised['minutes']:g} min" in text for rung in ladder.rungs if "minutes" in rung.promised
    )
    assert all(
        f"{rung.promised['speedup']:.2f} ×" in text for rung in ladder.rungs if "speedup" in rung.promised
    )
    assert not_measured(ladder)
    assert "nan" not in text and "…" not in text


def test_the_figures_that_the_seeds_promise_are_all_there():
    found = {name: [rung.promised for rung in load_ladder(name).rungs] for name in LADDERS}
    assert {"swing": 5, "range": [7, 40]} in found["seed-000"] and {"slower": [1.1, 1.15]} in found[
        "seed-000"
    ]
    first = found["seed-001"][0]
    assert (first["accuracy"], first["loss_at"][150], first["norm_at"][50]) == (0, 10.8912, 2.451)
    assert found["seed-001"][-2]["faster"] == [4, 5] and found["seed-001"][-1]["minutes"] == 498  # 8.3 hours
    assert [one["fall"] for one in found["seed-002"]] == [0.000065, 0.002, 0.005, 0.01]
    assert found["seed-002"][0]["rate_gap"] == 1818
    assert found["seed-004"][0]["val_loss"] == 6.74
    assert {"val_loss": 6.4, "gain": 0.34}.items() <= found["seed-004"][3].items()


@pytest.mark.parametrize("name", LADDERS)
def test_the_settings_of_every_rung_of_a_shipped_one_go_together(name):
    ladder = load_ladder(name)
    configs = ladder.configs()
    assert len(configs) == len(ladder.rungs) > 1
    for _, config, _ in configs:
        config.refuse_idle()
    assert all(a[1:] != b[1:] for a, b in zip(configs, configs[1:], strict=False))  # each adds something


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
        ("rungs: [{name: a, promised: {faster: 4}}]", "[8, 10]"),
        ("rungs: [{name: a, promised: {loss_at: 11.8}}]", "{50: 11.8}"),
        ("rungs: [{name: a, promised: {loss_at: {first: 11.8}}}]", "{50: 11.8}"),
        ("rungs: [{name: a, promised: {accuracy: 40}}]", "accuracy"),
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
