"""Learner's side of a check: call the answer on one case and hand back plain data, whatever the answer does.

`run_probe` never raises (KeyboardInterrupt apart). It returns a plain dict, either `{"output": …, "printed":
…}` or `{"failure": {"key": …, "values": …}, "printed": …}`, so that it can run in another process than the
judge.
"""

from __future__ import annotations

import copy
import io
import linecache
import sys
import traceback
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import numpy as np

from course.plain import NotPlain, all_finite, require_plain

MAX_PRINTED = 2_000  # characters of the answer's own prints that are kept
MAX_REPR = 60


class Unusable(Exception):
    """What the learner's code returned cannot be judged; carries the message key and its values."""

    def __init__(self, key: str, **values: object):
        super().__init__(key)
        self.key = key
        self.values = values


class NotWritten:
    """Stands for an answer that the notebook does not define (yet)."""

    def __init__(self, name: str):
        self.name = name

    def __call__(self, *args: object, **kwargs: object):
        raise NotImplementedError(self.name)

    def __repr__(self) -> str:
        return f"NotWritten({self.name!r})"


def number(value: object) -> float:
    """Return a number, or a tensor or array of one element, as a float.

    Raises:
        Unusable: it is something else.
    """
    if isinstance(value, (bool, int, float)):
        return float(value)
    try:
        data = _numpy(value)
    except (TypeError, ValueError):
        data = None
    if data is None or data.size != 1:
        raise _unusable("check.not-a-number", value)
    return float(data.reshape(()))


def array(value: object, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Return a tensor, an array or nested lists of numbers as a float64 array, of `shape` if that is given.

    Raises:
        Unusable: it is something else, or of another shape.
    """
    try:
        data = _numpy(value)
    except (TypeError, ValueError):
        data = None
    if data is None:
        raise _unusable("check.not-an-array", value)
    if shape is not None and data.shape != tuple(shape):
        raise Unusable("check.wrong-shape", expected=str(tuple(shape)), actual=str(data.shape))
    return data


def given(value: object) -> object:
    """Return the value, unless it is None.

    Raises:
        Unusable: the answer returned nothing.
    """
    if value is None:
        raise Unusable("check.returned-none")
    return value


def run_probe(check: object, answer: object, case: dict, seed: int) -> dict:
    """Run `check.probe(answer, case)` with torch seeded, prints captured and every failure named."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed), _torch_seed(seed):
        outcome = _probe(check, answer, copy.deepcopy(case))
    outcome["printed"] = printed.getvalue()[:MAX_PRINTED]
    return outcome


def describe(value: object) -> str:
    """Name a value in a few characters that need no translation: `Tensor (2, 3)`, `str 'abc'`, `None`."""
    name = type(value).__name__
    shape = getattr(value, "shape", None)
    if value is None or isinstance(value, type):
        return str(value)
    if shape is not None:
        return f"{name} {tuple(shape)}"
    if type(value) in (bool, int, float, str, list, tuple, dict):
        text = repr(value)
        return f"{name} {text if len(text) <= MAX_REPR else text[:MAX_REPR] + '…'}"
    return name


def _probe(check: object, answer: object, case: dict) -> dict:
    if isinstance(answer, NotWritten) or answer is Ellipsis:
        return _failure("check.not-written", name=check.answer)
    try:
        output = require_plain(check.probe(answer, case))
        if not check.allow_nonfinite and not all_finite(output):
            return _failure("check.not-finite", name=check.answer)
        return {"output": output}
    except KeyboardInterrupt:
        raise
    except NotImplementedError:
        return _failure("check.not-written", name=check.answer)
    except Unusable as error:
        return _failure(error.key, name=check.answer, **error.values)
    except NotPlain as error:
        return _failure("check.not-plain", name=check.answer, what=str(error))
    except BaseException as error:  # SystemExit too: an answer that calls exit() is only wrong
        return raised(check.answer, answer, error, above=2)  # this file, and the check's probe


def raised(name: str, answer: object, error: BaseException, above: int) -> dict:
    """Describe what `answer`, called `name`, raised; so many frames `above` it are none of the learner's."""
    if hasattr(error, "failure"):  # it was raised in another process, and reported there
        return dict(error.failure)
    kinds = {"raised": [kind.__name__ for kind in type(error).__mro__]}
    failure = _where_raised(name, answer, traceback.extract_tb(error.__traceback__)[above:], error)
    return {"failure": failure["failure"] | kinds}


def _where_raised(name: str, answer: object, called: list, error: BaseException) -> dict:
    what = f"{type(error).__name__}: {_text(error)}".removesuffix(": ")
    file = getattr(getattr(answer, "__code__", None), "co_filename", None)
    frames = [frame for frame in called if file and frame.filename == file]
    if not frames:
        return _failure("check.raised", name=name, what=what)
    line = frames[-1].lineno
    code = linecache.getline(file, line).strip()
    return _failure("check.raised-at", name=name, what=what, line=line, source=code)


def _text(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())[:300]
    except Exception:  # an exception of the learner's own whose __str__ fails
        return ""


def _failure(key: str, **values: object) -> dict:
    return {"failure": {"key": key, "values": values}}


def _unusable(key: str, value: object) -> Unusable:
    if value is None:
        return Unusable("check.returned-none")
    return Unusable(key, actual=describe(value))


def _numpy(value: object) -> np.ndarray | None:
    if hasattr(value, "detach"):
        value = value.detach().to("cpu").double().numpy()
    elif not isinstance(value, (np.ndarray, np.number, list, tuple, int, float)):
        return None
    return np.array(value, dtype=np.float64)


@contextmanager
def _torch_seed(seed: int):
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
