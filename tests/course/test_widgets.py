"""A playground: controls that redraw one picture, which is there without a kernel too."""

import math

import pytest

from course.widgets import Choice, Playground, Slider


@pytest.fixture
def shown(monkeypatch):
    """The one-line texts of the pictures shown."""
    texts = []
    monkeypatch.setattr("course.picture.Picture.show", lambda self, figure, text: texts.append(text))
    return texts


def test_the_picture_is_drawn_at_once_and_again_at_every_change(shown):
    drawn = []

    def draw(figure, std, layers, kind):
        figure.subplots()
        drawn.append((round(std, 6), layers, kind))

    ground = Playground(
        draw,
        (4, 2),
        {
            "std": Slider("spread", 0.001, 2.0, 0.02, log=True),
            "layers": Slider("layers", 1, 8, 2),
            "kind": Choice("kind", {"one": 1, "two": 2}),
        },
    )
    ground.show()
    ground.controls["std"].value = 1.0
    ground.controls["layers"].value = 5
    ground.controls["kind"].value = 2
    assert drawn == [(0.02, 2, 1), (1.0, 2, 1), (1.0, 5, 1), (1.0, 5, 2)]
    assert shown[0] == "spread: 0.02, layers: 2, kind: 1"


def test_a_whole_slider_gives_whole_numbers_and_a_real_one_real_numbers():
    assert isinstance(Slider("layers", 1, 8, 2).widget().value, int)
    slider = Slider("std", 0.0, 1.0, 0.5).widget()
    assert (slider.min, slider.max, slider.value) == (0.0, 1.0, 0.5)


@pytest.mark.parametrize(
    "slider",
    [
        Slider("rate", 0.0003, 0.1, 0.003, log=True),
        Slider("spread", 0.005, 0.2, 0.02, log=True),
        Slider("bias", 0.0, 5.0, 0.0),
        Slider("memory", 0.0, 0.99, 0.9),
        Slider("width", 16, 768, 64, step=16),
    ],
    ids=lambda slider: slider.label,
)
def test_the_start_is_one_of_the_positions_a_browser_can_show(slider):
    control = slider.widget()
    at = math.log10(control.value) if slider.log else control.value
    steps = (at - control.min) / control.step
    assert steps == pytest.approx(round(steps), abs=1e-6)


def test_what_a_browser_sends_back_unchanged_is_not_drawn_again(shown):
    ground = Playground(
        lambda figure, rate: None, (4, 2), {"rate": Slider("rate", 0.001, 1.0, 0.1, log=True)}
    )
    ground.show()
    ground.controls["rate"].value = 0.1 * (1 + 1e-15)
    assert shown == ["rate: 0.1"]


def test_a_picture_has_a_hidden_widget_that_a_loaded_page_shows(monkeypatch):
    from matplotlib.figure import Figure

    from course import picture, reload

    monkeypatch.setattr(picture, "get_ipython", lambda: object())
    monkeypatch.setattr(
        picture, "display", lambda *_, **__: type("Handle", (), {"update": lambda *_, **__: None})()
    )
    shown = picture.Picture()
    widget = reload.follow(shown)
    shown.show(Figure(figsize=(1, 1)), "first")
    assert widget.layout.display == "none" and not widget.value
    shown.revive()
    before = bytes(widget.value)
    assert widget.layout.display == "" and before.startswith(b"\x89PNG")
    figure = Figure(figsize=(1, 1))
    figure.subplots()
    shown.show(figure, "second")
    assert bytes(widget.value) != before
