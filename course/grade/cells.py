"""Which of a learner's cells a question runs, and as what.

needed({"ruler": "def ruler(v): …", "verdict": "… ruler(v) …"}, "verdict", set())    # both, in order
"""

from __future__ import annotations

import ast
import re


def needed(sources: dict[str, str], exercise: str, given: set[str]) -> list[list[str]]:
    """The cells that an exercise runs: its own, and those that define a name it uses; in order.

    `given` are the names that the lesson's setup defines: importing torch once more makes nobody needed.
    """
    wanted, waiting = set(), [exercise]
    names = {name: names_of(source) for name, source in sources.items()}
    while waiting:
        name = waiting.pop()
        wanted.add(name)
        _, used = names[name]
        makers = [other for other, (made, _) in names.items() if (made - given) & used]
        waiting += [other for other in makers if other not in wanted]
    return [[name, source] for name, source in sources.items() if name in wanted]


_HELPERS = ("minigpt.", "torch.nn.utils.clip_grad")  # what does a whole exercise


def delegates(source: str) -> str | None:
    """The helper that does the work of an answer which does no more than call it, or None."""
    try:
        tree = ast.parse(plain_python(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                known |= {alias.asname or top: alias.name if alias.asname else top}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    known = {name: path for name, path in known.items() if path.split(".")[0] == "minigpt"}
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Lambda):
            body = [ast.Return(node.body)]
        elif isinstance(node, ast.Module):
            body = [item for item in node.body if isinstance(item, ast.Assign)]
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        body = [item for item in body if not isinstance(item, (ast.Import, ast.ImportFrom, ast.Pass))]
        body = [item for item in body if not isinstance(getattr(item, "value", None), ast.Constant)]
        for item in body if len(body) <= 2 else []:
            value = getattr(item, "value", None)
            value = value.func if isinstance(value, ast.Call) else value
            path = []
            while isinstance(value, ast.Attribute):
                path, value = [value.attr, *path], value.value
            name = ".".join([known.get(value.id, value.id), *path]) if isinstance(value, ast.Name) else ""
            is_class = name.rpartition(".")[2][:1].isupper()
            if name.startswith(_HELPERS) and not is_class:
                return name
    return None


def plain_python(source: str) -> str:
    """The source; where it is not Python because of magics and shell lines, without those."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return re.sub(r"^([ \t]*)[%!?].*$", r"\1pass", source, flags=re.MULTILINE)
    return source


def names_of(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell makes, and those that it uses."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(), set()
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    made, waiting = set(), list(tree.body)
    while waiting:  # module level only: a local name of a function is nobody else's
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            made.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            made |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
        elif not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return made, {node.id for node in names if isinstance(node.ctx, ast.Load)}
