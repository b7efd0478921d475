"""Plain data: all that may cross from a learner's code to the judge.

Numbers, strings, booleans, None, lists, dicts with string keys and numeric numpy arrays, of exactly those
types (a subclass can lie: its `==` may always be true), not too deep and not too large.
`require_plain(value)` returns the value or raises.
"""

from __future__ import annotations

import math

import numpy as np

MAX_DEPTH = 20  # `course.grade.apart` describes each level of an answer, five at most, in three of its own
MAX_ITEMS = 10_000  # numbers, strings and containers together
MAX_TEXT = 10_000  # characters of one string
MAX_ARRAY = 1_000_000  # elements of one array
MAX_INTEGER = 2**64


class NotPlain(Exception):
    """The value is not plain data; the text says which part (a type name or a limit)."""


def require_plain(value: object) -> object:
    """Return `value` unchanged if it is plain data.

    Raises:
        NotPlain: a type that is not allowed, or something too deep or too large.
    """
    _count(value, 0, 0)
    return value


def whole(text: str) -> str:
    """The text with halves of characters replaced: no file can hold those."""
    return text.encode("utf-8", "replace").decode("utf-8")


def printable(text: str) -> str:
    """The text, so that a terminal obeys none of it."""
    return "".join(c if c.isprintable() else "?" for c in text)


def all_finite(value: object) -> bool:
    """Whether no number in the plain `value` is NaN or infinite."""
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is list:
        return all(all_finite(item) for item in value)
    if type(value) is dict:
        return all(all_finite(item) for item in value.values())
    if type(value) is np.ndarray:
        return bool(np.isfinite(value).all())
    return True


def same(one: object, other: object) -> bool:
    """Whether two pieces of plain data are equal, NaN to NaN included."""
    if type(one) is not type(other):
        return False
    if type(one) is list:
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) is dict:
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if type(one) is np.ndarray:
        return one.shape == other.shape and bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    return one == other or (one != one and other != other)


def close(actual: object, expected: object, rtol: float = 1e-4, atol: float = 1e-6) -> bool:
    """Whether numbers, or arrays of one shape, agree to atol + rtol·|expected|. NaN never agrees."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    if actual.shape != expected.shape or actual.dtype.kind not in "fiub":
        return False
    return bool(np.allclose(actual, expected, rtol=rtol, atol=atol))


def _count(value: object, depth: int, items: int) -> int:
    items += 1
    if items > MAX_ITEMS:
        raise NotPlain(f"> {MAX_ITEMS} items")
    if depth > MAX_DEPTH:
        raise NotPlain(f"> {MAX_DEPTH} levels")
    kind = type(value)
    if value is None or kind in (bool, float):
        return items
    if kind is int:
        if abs(value) > MAX_INTEGER:
            raise NotPlain("int > 2**64")
    elif kind is str:
        if len(value) > MAX_TEXT:
            raise NotPlain(f"str > {MAX_TEXT}")
    elif kind is np.ndarray:
        if value.dtype.kind not in "fiub":
            raise NotPlain(f"ndarray of {value.dtype}")
        if value.size > MAX_ARRAY:
            raise NotPlain(f"ndarray > {MAX_ARRAY}")
    elif kind is list:
        for item in value:
            items = _count(item, depth + 1, items)
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str or len(key) > MAX_TEXT:
                raise NotPlain("dict key")
            items = _count(item, depth + 1, items)
    else:
        raise NotPlain(kind.__name__)
    return items
