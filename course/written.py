"""Values that a learner wrote down, read off their cells without running any of it.

    written_out([("my-name", 'ME = "Ada"'), ("patient-a", 'a = {"name": ME}')], "a")   # {"name": "Ada"}

A diagnosis is what somebody wrote, not what a call found out while it was graded. Numbers, texts, lists,
sets, dictionaries and names of such values count; so do `dict(…)`, `{**other}` and `chart["key"] = value`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from course.cells import CANNOT_PARSE, parse, plain_python

MAX_ITEMS = 10_000  # of all values together
_CONTAINERS = {"dict": dict, "list": list, "set": set, "tuple": tuple}


class NotWrittenOut(Exception):
    """The value is not there in plain; the argument is the line that says how it is made, or ""."""


def written_out(code: Iterable[tuple[str, str]], name: str) -> object:
    """The value that the cells give to `name`.

    Raises:
        NotWrittenOut: it is computed, or there is none.
    """
    values: dict[str, object] = {}
    computed: dict[str, str] = {}
    for _, source in code:
        source = plain_python(source)
        try:
            body = parse(source).body
        except CANNOT_PARSE:
            continue
        for node in body:
            _follow(node, source, values, computed)
    if name in values:
        return values[name]
    raise NotWrittenOut(computed.get(name, ""))


def _follow(node: ast.stmt, source: str, values: dict, computed: dict) -> None:
    """Do what an assignment does; a name whose value cannot be told is struck out."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and not _is_read(part)}
    try:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            raise NotWrittenOut
        value = _value(node.value, values)
        for target in targets:
            if isinstance(target, ast.Name):
                values[target.id] = value
            elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                names = {target.value.id}
                held = values[target.value.id]
                values[target.value.id] = type(held)(held)  # nobody else's
                values[target.value.id][_value(target.slice, values)] = value
                _small(values[target.value.id])
            else:
                raise NotWrittenOut
        for name in names:
            computed.pop(name, None)
    except (
        NotWrittenOut,
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        RecursionError,
        AttributeError,
    ) as why:
        made = why.args[0] if isinstance(why, NotWrittenOut) and why.args else node
        for name in names:
            values.pop(name, None)
            computed[name] = source.splitlines()[made.lineno - 1].strip()[:60]


def _is_read(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load)


def _value(node: ast.expr, values: dict) -> object:
    """The value of an expression in which nothing is computed."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in values:
        return values[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        number = _value(node.operand, values)
        return -number if isinstance(node.op, ast.USub) else +number
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        items = [_value(item, values) for item in node.elts]
        return _small({ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)](items))
    if isinstance(node, ast.Dict):
        made: dict = {}
        for key, item in zip(node.keys, node.values, strict=True):
            value = _value(item, values)
            made |= value if key is None else {_value(key, values): value}
        return _small(made)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CONTAINERS:
        given = [_value(item, values) for item in node.args]
        words = [{item.arg: _value(item.value, values)} if item.arg else _value(item.value, values)
                 for item in node.keywords]  # fmt: skip
        return _small(_CONTAINERS[node.func.id](*given, **{k: v for word in words for k, v in word.items()}))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "copy":
        return _value(node.func.value, values)
    if isinstance(node, ast.Subscript):
        return _value(node.value, values)[_value(node.slice, values)]
    raise NotWrittenOut(node)


def _small(value):
    """The value, if it holds no more than MAX_ITEMS, whatever holds itself twice."""
    waiting, count = [value], 0
    while waiting:
        part = waiting.pop()
        count += 1
        if count > MAX_ITEMS:
            raise NotWrittenOut
        if isinstance(part, dict):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, (list, tuple, set)):
            waiting += part
    return value
