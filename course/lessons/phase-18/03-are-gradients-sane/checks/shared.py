"""What the exercises of lesson 18-03 share: gradients to measure, and their norm."""

import math

import numpy as np


def draw_tensors(rng, count):
    """Gradients of different shapes; the longest is neither first nor last, one of the first four is tiny."""
    shapes = [(7, 5), (11,), (3, 4, 2), (6, 6), (2,)]
    first, third, fourth = rng.permutation([0.03, 0.7, 1.5])
    sizes = (first, 8.0, third, fourth, 3.0)
    drawn = zip(shapes[:count], sizes, strict=False)
    return [np.round(size * rng.standard_normal(shape), 3) for shape, size in drawn]


def norm_of(tensors):
    return math.sqrt(sum(float((tensor**2).sum()) for tensor in tensors))
