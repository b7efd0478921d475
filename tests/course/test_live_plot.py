"""The live plot: drawn now and then, one small static picture at the end, in the learner's language."""

import base64
import math
from types import SimpleNamespace

import pytest

from course import live_plot
from course.live_plot import LivePlot
from course.picture import png
from minigpt.messages import use_language


@pytest.fixture
def shown(monkeypatch):
    """Every picture that a plot shows, as its one-line text, on a clock that the test moves."""
    pictures = []
    monkeypatch.setattr("course.picture.Picture.show", lambda self, figure, text, **_: pictures.append(text))
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(live_plot.time, "monotonic", lambda: clock.now)
    pictures_and_clock = SimpleNamespace(pictures=pictures, clock=clock)
    return pictures_and_clock


def test_it_draws_no_more_often_than_every_three_tenths_and_once_at_the_end(shown):
    with LivePlot(steps=100, vocab_size=512) as plot:
        for step in range(100):
            shown.clock.now = step * 0.01
            plot.update(step=step, loss=6.0, grad_norm=1.0, lr=0.1)
    assert [text.split(" ·")[0] for text in shown.pictures] == [
        "step 1 of 100",
        "step 31 of 100",
        "step 61 of 100",
        "step 91 of 100",
        "step 100 of 100",
    ]


def test_it_leaves_a_picture_when_the_run_breaks_and_none_when_it_never_began(shown):
    with pytest.raises(RuntimeError), LivePlot() as plot:
        plot.update(step=0, loss=6.0)
        raise RuntimeError
    assert len(shown.pictures) == 2
    with LivePlot():
        pass
    assert len(shown.pictures) == 2


def test_as_a_callback_it_takes_steps_and_vocabulary_from_the_run(shown):
    plot = LivePlot()
    trainer = SimpleNamespace(config=SimpleNamespace(steps=7, vocab_size=512))
    plot.on_start(trainer)
    plot.on_step(trainer, {"step": 0, "loss": 6.2, "grad_norm": 1.5, "lr": {"decay": 1e-3}, "clipped": True})
    plot.on_end(trainer)
    assert shown.pictures[-1] == "step 1 of 7 · loss 6.2 · gradient norm 1.5"
    assert plot.figure().axes[0].get_legend().get_texts()[0].get_text() == "ln V = 6.24"


def test_labels_speak_both_languages():
    plot = LivePlot(steps=10)
    plot.update(step=0, loss=1.0, grad_norm=2.0)
    use_language("es")
    figure = plot.figure()
    assert [axes.get_xlabel() for axes in figure.axes] == ["paso", "paso"]
    assert figure.get_suptitle().startswith("paso 1 de 10")


def test_broken_numbers_are_marked_and_an_earlier_run_is_drawn_too():
    plot = LivePlot(before=[{"step": step, "loss": 300.0, "grad_norm": 50.0} for step in range(20)])
    for step in range(20):
        plot.update(step=step, loss=6.0 if step < 5 else math.nan, grad_norm=1.0)
    loss, norm = plot.figure().axes
    assert [list(line.get_xdata()) for line in loss.lines][-1] == [5, 5]
    assert loss.get_yscale() == norm.get_yscale() == "log"
    assert len(norm.lines) == 2


def test_without_gradient_norms_there_is_one_panel():
    plot = LivePlot()
    plot.update(step=0, loss=6.0)
    assert len(plot.figure().axes) == 1


def test_the_picture_is_small_and_its_bytes_repeat():
    plot = LivePlot(steps=2000, vocab_size=512)
    plot._next = math.inf
    for step in range(2000):
        plot.update(
            step=step, loss=6 - 4 * step / 2000 + math.sin(step) / 5, grad_norm=1 + math.cos(step) / 2
        )
    first = png(plot.figure())
    assert len(base64.b64decode(first)) < 60_000
    assert first == png(plot.figure())
