"""A hook that may sit on somebody's model: it never ends the run, and no copy of the model has it.

People copy a model for a moving average and save it whole while it trains. A hook would drag the monitor and
its open files along, so copied or unpickled it is a function of the standard library that does nothing.
While `torch.compile` traces, it is a no-op.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch


class Hook:
    """Calls `call`; an error goes to `on_error` and no further."""

    def __init__(self, call: Callable[..., None], on_error: Callable[[Exception], None]):
        self._call, self._on_error = call, on_error

    def __call__(self, *arguments: Any) -> None:
        if torch.compiler.is_dynamo_compiling():
            return
        try:
            self._call(*arguments)
        except Exception as error:
            self._on_error(error)

    def __deepcopy__(self, _memo: dict) -> Callable[..., None]:
        return nullcontext().__exit__  # takes any arguments and returns None

    def __reduce__(self) -> tuple:
        return getattr, (nullcontext(), "__exit__")
