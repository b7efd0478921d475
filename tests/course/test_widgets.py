"""A playground: controls that redraw one picture, which is there without a kernel too."""

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
