"""One value of a config: of the type that its setting asks for, or refused in a sentence."""

from __future__ import annotations

import math
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from minigpt.messages import MiniGPTError, nearest


class ConfigError(MiniGPTError):
    """A setting that cannot work, or two that contradict each other."""


def typed(name: str, annotation: Any, value: Any) -> Any:
    """Return `value` as the annotated type, or refuse it; a whole float may stand for an integer."""
    choices = get_args(annotation) if get_origin(annotation) is Literal else None
    if choices:
        if value not in choices:
            hint = nearest(str(value), choices)
            raise ConfigError(
                "config.not-a-choice", name=name, given=value, known=", ".join(choices), hint=hint
            )
        return value
    kinds = get_args(annotation) or (annotation,)
    if value is None and NoneType in kinds:
        return None
    kind = kinds[0]
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ConfigError("config.not-finite", name=name, given=value)
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not kind:
        raise ConfigError("config.wrong-type", name=name, expected=kind.__name__, given=repr(value))
    return value
