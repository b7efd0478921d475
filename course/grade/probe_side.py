"""A lesson's `checks/` without the judge's side: what may stand in memory beside a learner's code.

    sides = probe_sides(folder)        # by the name of the file: ProbeSide(source, keys)

Of every check there remains `probe`, and whatever `probe` uses, the lesson's own tools included. Cases,
judges, tables of expected values and the helpers that only those use are gone. `keys` says which parts of a
case a probe reads: the judge sends no other, so that an expected value that a case carries stays at home.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from course.cells import parse

KEPT = ("probe", "name", "answer", "allow_nonfinite", "random_state")


@dataclass(frozen=True)
class ProbeSide:
    """The stripped source, and the keys of its case that each check class's probe reads (None: all)."""

    source: str
    keys: dict[str, frozenset[str] | None]


def probe_sides(folder: Path) -> dict[str, ProbeSide]:
    """Strip every file of a `checks/`, by its name without `.py`."""
    sources = {file.stem: file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.py"))}
    return {name: probe_side(source, sources) for name, source in sources.items()}


def probe_side(source: str, neighbours: dict[str, str] | None = None) -> ProbeSide:
    """Strip the source of one file; what it imports from its neighbours is put in its place, stripped too."""
    module = ast.Module(_with_neighbours(source, neighbours or {}), [])
    classes = _checks(module)
    members = _used_members(classes)
    for node in classes.values():
        node.body = [item for item in node.body if _names(item) & (members | set(KEPT))] or [ast.Pass()]
    module.body = _used_statements(module.body, classes)
    ast.fix_missing_locations(module)
    return ProbeSide(ast.unparse(module), {name: _keys(name, classes) for name in classes})


def _with_neighbours(source: str, neighbours: dict[str, str]) -> list[ast.stmt]:
    """The statements of a source, those of `name` in place of its `from .name import …`."""
    body: list[ast.stmt] = []
    for node in parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            body += _with_neighbours(neighbours[node.module], neighbours)
        else:
            body.append(node)
    return body


def _checks(module: ast.Module) -> dict[str, ast.ClassDef]:
    """The classes that descend from `Check`; any other class is a tool, kept whole where a probe uses it."""
    found: dict[str, ast.ClassDef] = {}
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            bases = {getattr(base, "attr", getattr(base, "id", None)) for base in node.bases}
            if bases & {"Check", *found}:
                found[node.name] = node
    return found


def _names(statement: ast.stmt) -> set[str]:
    """The names that a statement of a module or a class defines."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _used_members(classes: dict[str, ast.ClassDef]) -> set[str]:
    """Names of members that probes use through `self`, their own uses included."""
    used, waiting = set(), ["probe"]
    while waiting:
        name = waiting.pop()
        for node in classes.values():
            for item in node.body:
                if name not in _names(item):
                    continue
                for part in ast.walk(item):
                    known = isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name)
                    if known and part.value.id in ("self", *classes) and part.attr not in used:
                        used.add(part.attr)
                        waiting.append(part.attr)
    return used - {"cases", "judge"}


def _used_statements(body: list[ast.stmt], checks: dict[str, ast.ClassDef]) -> list[ast.stmt]:
    """Checks, imports, and what they name, in order; a docstring or loose expression goes."""
    kept = {
        id(node): node
        for node in body
        if isinstance(node, (ast.Import, ast.ImportFrom)) or node in checks.values()
    }
    while True:
        loads = {
            part.id
            for node in kept.values()
            for part in ast.walk(node)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)
        }
        more = [node for node in body if id(node) not in kept and _names(node) & loads]
        if not more:
            return [node for node in body if id(node) in kept]
        kept |= {id(node): node for node in more}


def _keys(name: str, classes: dict[str, ast.ClassDef]) -> frozenset[str] | None:
    """The keys in `case["…"]` wherever the class and its bases use `case`; None if they use it otherwise."""
    keys, lines = set(), [name]
    while lines:
        node = classes.get(lines.pop())
        if node is None:
            continue
        lines += [base.id for base in node.bases if isinstance(base, ast.Name)]
        constant = set()
        for part in ast.walk(node):
            if isinstance(part, ast.Subscript) and getattr(part.value, "id", "") == "case":
                if not isinstance(part.slice, ast.Constant):
                    return None
                keys.add(part.slice.value)
                constant.add(id(part.value))
        uses = [part for part in ast.walk(node) if isinstance(part, ast.Name) and part.id == "case"]
        if any(id(part) not in constant for part in uses):
            return None
    return frozenset(keys)
