"""Whether an answer only calls what does the whole exercise: told under "Worth a look", never judged."""

from __future__ import annotations

import ast

from course.cells import CANNOT_PARSE, parse, plain_python

_HELPERS = ("minigpt.", "torch.nn.utils.clip_grad")  # what does a whole exercise


def delegates(source: str) -> str | None:
    """The helper that does the work of an answer which does no more than call it, or None."""
    try:
        tree = parse(plain_python(source))
    except CANNOT_PARSE:
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
