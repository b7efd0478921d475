"""Plain data: exact types, limited size and depth; nothing that can lie about itself."""

import numpy as np
import pytest
import torch

from course.plain import NotPlain, all_finite, close, require_plain


class AlwaysEqual(float):
    def __eq__(self, other):
        return True

    __hash__ = float.__hash__


@pytest.mark.parametrize(
    "value", [None, True, 3, 0.5, "a", [1, [2.0]], {"a": {"b": [None]}}, np.zeros((2, 3))]
)
def test_plain_data_pass_unchanged(value):
    assert require_plain(value) is value


@pytest.mark.parametrize(
    "value",
    [
        AlwaysEqual(1.0),
        [AlwaysEqual(1.0)],
        np.float64(1.0),
        torch.zeros(2),
        (1, 2),
        {1: 2},
        {"a": object()},
        2**70,
        "a" * 20_000,
        [0] * 20_000,
        np.array(["a"]),
        np.array([object()]),
        np.zeros(2_000_000, dtype=bool),
        np.zeros(2).view(type("Sub", (np.ndarray,), {})),
    ],
)
def test_anything_else_is_refused(value):
    with pytest.raises(NotPlain):
        require_plain(value)


def test_endless_nesting_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(NotPlain):
        require_plain(loop)


def test_finite_looks_into_everything():
    assert all_finite({"a": [1, 2.0, np.ones(3), "x", None]})
    assert not all_finite({"a": [np.array([1.0, np.inf])]})
    assert not all_finite([float("nan")])


def test_close_accepts_rounding_and_refuses_nan_and_other_shapes():
    assert close(1.00001, 1.0) and close(np.ones(3), np.ones(3) + 1e-6)
    assert not close(1.1, 1.0)
    assert not close(float("nan"), float("nan"))
    assert not close(np.ones(3), 1.0)
    assert not close("1", 1.0)
