"""What every kind of probe has in common: it is read from a line of JSON, and refuses values of another type.

    start = Start.read({"kind": "start", "step": 0, "future_gradient": 0.0})

`minigpt.runs.schema` has the kinds.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar, NotRequired, Self

from minigpt.runs.jsonl import NON_FINITE, RunError


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What one probe saw: a line of probes.jsonl."""

    kind: ClassVar[str]

    step: int = 0
    attempt: int = 0  # as in StepRecord

    @classmethod
    def read(cls, record: Mapping[str, Any], path: object = "probes.jsonl") -> Self:
        """Return a record as this type; the names of numbers that JSON has not are those numbers.

        Raises:
            RunError: a field holds something of another type.
        """
        hints, given = cls.types(), {}
        for name, value in record.items():
            if name not in hints or value is None:
                continue
            if not fits(value, hints[name]):
                value = _with_numbers(value)
            if not fits(value, hints[name]):
                raise RunError(
                    "run.bad-probe",
                    path=path,
                    kind=cls.kind,
                    field=name,
                    value=" ".join(str(value)[:60].split()),
                )
            given[name] = value
        return cls(**given)

    @classmethod
    @cache
    def types(cls) -> dict[str, Any]:
        """Return the type of every field, by name."""
        hints = typing.get_type_hints(cls)
        return {entry.name: hints[entry.name] for entry in fields(cls)}


def _with_numbers(value: Any) -> Any:
    """Return plain data with NaN for "NaN", and so on, however deep it stands."""
    if isinstance(value, str):
        return NON_FINITE.get(value, value)
    if isinstance(value, list | tuple):
        return [_with_numbers(entry) for entry in value]
    if isinstance(value, Mapping):
        return {name: _with_numbers(entry) for name, entry in value.items()}
    return value


def fits(value: Any, hint: Any) -> bool:
    """Return whether plain data is of a type: numbers, text, lists, objects, and unions of them."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (types.UnionType, typing.Union):
        return any(fits(value, one) for one in arguments)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if typing.is_typeddict(hint):
        wanted = typing.get_type_hints(hint, include_extras=True)
        return isinstance(value, Mapping) and all(
            fits(value[name], one) if name in value else typing.get_origin(one) is NotRequired
            for name, one in wanted.items()
        )
    if origin is NotRequired:
        return fits(value, arguments[0])
    if origin is list:
        return isinstance(value, list | tuple) and all(fits(entry, arguments[0]) for entry in value)
    if origin is Mapping or hasattr(origin, "keys"):
        key, entry = arguments
        return isinstance(value, Mapping) and all(fits(k, key) and fits(v, entry) for k, v in value.items())
    return isinstance(value, hint)
