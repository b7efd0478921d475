"""The learning-rate finder: reads curves whose answer is known, and admits when it sees none."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import MINIMAL, flags

from minigpt.messages import LANGUAGES, MiniGPTError, use_language
from minigpt.training.lr_finder import find_lr, plot, read_curve
from minigpt.training.recipe import Recipe

RATES = np.geomspace(1e-5, 10, 200)


def curve(falls_at, blows_up_at, depth=3.0, start=6.2, noise=0.0):
    """A loss that falls by a sigmoid around one rate and blows up around another."""
    x = np.log10(RATES)
    fall = depth / (1 + np.exp(-6 * (x - math.log10(falls_at))))
    rise = 20 / (1 + np.exp(-6 * (x - math.log10(blows_up_at))))
    return start - fall + rise + noise * np.random.default_rng(0).standard_normal(len(x))


@given(falls_at=st.floats(3e-4, 3e-2), noise=st.floats(0, 0.05))
def test_it_finds_where_a_curve_falls_and_where_it_blows_up(falls_at, noise):
    found = read_curve(RATES.tolist(), curve(falls_at, 3.0, noise=noise))
    assert 1 / 3 < found.steepest / falls_at < 3
    assert 0.3 < found.blows_up < 3
    assert found.suggestion <= min(found.steepest, found.blows_up / 10) * 1.5


def test_the_suggestion_keeps_a_decade_below_the_blow_up():
    found = read_curve(RATES.tolist(), curve(0.05, 0.3))
    assert (
        found.suggestion == pytest.approx(found.blows_up / 10, rel=0.5) and found.suggestion < found.steepest
    )


@pytest.mark.parametrize(
    "loss",
    [
        np.full(200, 6.24),
        np.zeros(200),
        6.24 + 0.05 * np.random.default_rng(1).standard_normal(200),
        6.24 + 0.5 * np.random.default_rng(2).standard_normal(200),
        np.linspace(6.24, 9, 200),
        curve(1e-3, 3, depth=0.05),
    ],
    ids=["flat", "zero", "noise", "much noise", "rising", "hardly falling"],
)
def test_a_curve_without_a_descent_is_unknown(loss):
    found = read_curve(RATES.tolist(), loss)
    assert (found.suggestion, found.steepest, found.blows_up) == (None, None, None)


def test_a_sweep_that_ends_at_once_is_unknown():
    assert read_curve([1e-5] * 3, [6.0, 12.0, 50.0]).suggestion is None


def test_without_a_blow_up_it_suggests_the_steepest():
    found = read_curve(RATES.tolist(), curve(1e-2, 1e9))
    assert found.blows_up is None and found.suggestion == pytest.approx(found.steepest, rel=0.5)


def test_a_real_sweep_stops_when_the_loss_is_gone_and_suggests_a_rate_that_trains(minimal):
    config = minimal.replace(n_embd=32, context=32, batch_size=8)
    found = find_lr(Recipe(config), lr_end=1e3)
    assert len(found.loss) < 200 and found.lr == pytest.approx(np.geomspace(1e-5, 1e3, 200)[: len(found.lr)])
    assert 1e-3 < found.suggestion < 0.3 < found.blows_up


@pytest.mark.parametrize(
    ("start", "end", "steps"), [(1, 0.1, 100), (0, 1, 100), (1e-5, 1, 5), (1e-5, math.inf, 50)]
)
def test_a_sweep_that_makes_no_sense_is_refused(minimal, start, end, steps):
    with pytest.raises(MiniGPTError, match="sweep"):
        find_lr(Recipe(minimal), start, end, steps)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_picture_is_drawn(suffix, tmp_path):
    path = tmp_path / f"curve{suffix}"
    plot(read_curve(RATES.tolist(), curve(1e-2, 3)), path)
    assert path.stat().st_size > 3000


def test_its_labels_are_in_the_language_in_force(tmp_path, monkeypatch):
    import matplotlib

    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")  # text stays text
    texts = {}
    for language in LANGUAGES:
        use_language(language)
        plot(read_curve(RATES.tolist(), curve(1e-2, 3)), tmp_path / "curve.svg")
        texts[language] = (tmp_path / "curve.svg").read_text()
    assert "suggested lr_max" in texts["en"] and "lr_max propuesto" in texts["es"]
    assert "suggested" not in texts["es"]


def test_the_command_suggests_draws_and_leaves_nothing_else(command, minimal, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = [*flags(minimal.replace(n_embd=32)), "--sweep-steps", 100]
    answer = command("lr-find", *argv)
    assert answer.code == 0 and "Suggested lr_max" in answer.out and "minigpt train --lr-max" in answer.out
    assert "0.0005 to 0.001, 5e-05 for fine-tuning" in answer.out  # what seed 002 gives small models
    assert [path.name for path in tmp_path.iterdir()] == ["lr-find.svg"]
    found = json.loads(command("lr-find", *argv, "--json").out)
    assert f"{found['suggestion']:g}" in answer.out and len(found["lr"]) == len(found["loss"])


def test_the_command_says_unknown_with_a_code_of_its_own(command, minimal, tmp_path):
    argv = [*flags(minimal), "--sweep-steps", 30, "--plot", tmp_path / "a.png", "--fault", "loss-mask-empty"]
    answer = command("lr-find", *argv)
    assert answer.code == 3 and "Unknown" in answer.out
    assert json.loads(command("lr-find", *argv, "--json").out)["suggestion"] is None


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("other", "named"),
    [
        (["--plot", "curve.doc"], [".svg", "curve.doc"]),
        (["--plot", "none/curve.svg"], ["none/curve.svg"]),
        (["--lr-end", "1e-9"], ["1e-09"]),
        (["--sweep-steps", "few"], ["sweep_steps", "few"]),
    ],
)
def test_the_command_refuses_what_cannot_be_done(
    command, minimal, other, named, language, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    sentence = command("lr-find", *flags(minimal), "--sweep-steps", 20, *other, "--lang", language).sentence
    assert all(part in sentence for part in named), sentence
    assert not list(tmp_path.iterdir())


def test_guards_do_not_undo_the_blow_up_that_a_sweep_is_for():
    """Nor is a window that suits the run too long for a sweep."""
    plain = MINIMAL.replace(steps=400)
    guarded = plain.replace(guard_spikes=True, guard_finite=True, guard_rate=True, spike_window=300)
    one, other = (find_lr(Recipe(config), 1e-3, 50.0, 60) for config in (plain, guarded))
    assert one == other and max(one.loss) > 1.5 * min(one.loss)
