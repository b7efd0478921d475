"""Learning-rate sensitivity: the figure of the paper, real sweeps, and the command `minigpt sensitivity`."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import flags

from minigpt.messages import LANGUAGES, MiniGPTError, use_language
from minigpt.training.recipe import Recipe
from minigpt.training.sensitivity import Curve, Outcome, lr_sensitivity, plot, sweep
from minigpt.training.trainer import train

START = 6.0
LOSSES = st.lists(st.one_of(st.floats(0.5, 50), st.just(math.nan), st.just(math.inf)), min_size=2, max_size=9)


@given(LOSSES, st.permutations(range(9)))
def test_it_is_at_least_0_at_most_the_largest_fall_and_the_same_in_any_order(losses, order):
    value = lr_sensitivity(losses, START)
    lowest = min([loss for loss in losses if math.isfinite(loss)], default=START)
    assert 0 <= value <= max(START - lowest, 0) + 1e-12
    shuffled = [losses[at] for at in order if at < len(losses)]
    assert lr_sensitivity(shuffled, START) == pytest.approx(value)


def test_a_run_that_diverged_counts_as_the_loss_at_the_start():
    assert lr_sensitivity([2.0, 3.0, 50.0, math.nan], START) == pytest.approx((0 + 1 + 4 + 4) / 4)
    assert lr_sensitivity([2.5, 2.5], START) == 0


def test_a_sweep_trains_the_run_that_train_would(minimal, tmp_path):
    config = minimal.replace(lr_max=3e-3, lr_min=3e-4)
    curve = sweep(Recipe(config), [0.3, 3e-3, 1e9])  # whatever their order
    assert [run.lr for run in curve.runs] == [3e-3, 0.3, 1e9]
    alone = train(Recipe(config.replace(eval_every=0)), tmp_path / "alone")
    assert curve.runs[0].loss == alone.column("val_loss")[1][-1]
    assert curve.runs[0].learnt and not curve.runs[2].learnt
    assert curve.runs[0].start == pytest.approx(math.log(config.vocab_size), abs=0.2)
    assert curve.sensitivity > 0 and curve.best.lr in (3e-3, 0.3)


def test_without_a_run_that_learns_there_is_no_figure():
    lost = Curve((Outcome(0.1, START, math.nan), Outcome(1.0, START, START + 1)))
    assert (lost.sensitivity, lost.best) == (None, None)


@pytest.mark.parametrize("rates", [[], [1e-3], [1e-3, 1e-3], [0.0, 1e-3], [1e-3, math.inf], [math.nan, 1e-3]])
def test_what_is_no_grid_is_refused(rates, minimal):
    with pytest.raises(MiniGPTError, match="grid"):
        sweep(Recipe(minimal), rates)


@pytest.fixture
def arguments(minimal, tmp_path):
    return [*flags(minimal), "--grid", "0.003,1e9", "--plot", tmp_path / "curves.svg"]


def test_the_command_draws_two_curves_and_a_table(command, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = command("sensitivity", *arguments, "--against", "qk_norm=true")
    assert answer.code == 0, answer.err
    head = next(line for line in answer.out.splitlines() if line.startswith("Learning rate"))
    assert head.split()[-2:] == ["qk_norm=false", "qk_norm=true"]
    assert answer.out.count("no learning") == 2 and answer.out.count("(LR sensitivity)") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["curves.svg"]
    found = json.loads(command("sensitivity", *arguments, "--against", "qk_norm=true", "--json").out)
    assert [curve["changed"] for curve in found] == [{}, {"qk_norm": True}]
    assert found[0]["lr"] == [0.003, 1e9] and found[0]["loss"][1] == "NaN"
    assert f"{found[1]['sensitivity']:.3f} nats" in answer.out


def test_the_command_says_unknown_where_every_run_diverges(command, arguments):
    answer = command("sensitivity", *arguments, "--grid", "1e8,1e9")
    assert answer.code == 3 and "unknown" in answer.out and "lower rates" in answer.out


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--grid", "0.001"], "0.001"),
        (["--grid", "0.001,0.001"], "0.001"),
        (["--grid", "0.001,fast"], "fast"),
        (["--grid", "0.1,-1"], "-1"),
        (["--steps", "0"], "steps"),
        (["--against", "qk_norm"], "qk_norm"),
        (["--against", "qk_nrm=true"], "qk_norm"),
        (["--against", "qk_norm=perhaps"], "perhaps"),
        (["--against", "qk_norm=false"], "qk_norm=false"),
        (["--against", "lr_max=0.1"], "lr_max"),
        (["--against", "n_head=3"], "n_head"),
        (["--against", "memory_temperature=2"], "memory_temperature"),
        (["--plot", "curves.doc"], "curves.doc"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(more, named, language, command, arguments):
    assert named in command("sensitivity", *arguments, *more, "--lang", language).sentence


def test_the_labels_are_in_the_language_in_force(tmp_path, monkeypatch):
    import matplotlib

    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")  # text stays text
    runs = Outcome(0.1, START, 2.0), Outcome(1.0, START, math.nan)
    texts = {}
    for language in LANGUAGES:
        use_language(language)
        plot({"a": Curve(runs), "b": Curve(runs)}, tmp_path / "curves.svg")
        texts[language] = (tmp_path / "curves.svg").read_text()
    assert "a: sensitivity 2.000" in texts["en"] and "b: sensibilidad 2.000" in texts["es"]
    assert "Sensibilidad al learning rate" in texts["es"]
