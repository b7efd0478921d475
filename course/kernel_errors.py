"""Replace the traceback with a sentence when a cell runs before the cells that it needs.

    install(get_ipython())       # `lesson()` does it; `make learn` does it when a kernel starts

An exercise that was skipped, cells run out of order, a notebook newer than the installed course, an error of
minigpt: each is one sentence that says what happened and what to do. Every other error keeps its traceback.
"""

from __future__ import annotations

import ast
from types import CodeType, TracebackType
from typing import TYPE_CHECKING

from course.messages import CourseError, in_lines, message
from course.open_lesson import lesson_here
from course.probing import NotWritten
from minigpt.messages import MiniGPTError

if TYPE_CHECKING:
    from course.lesson import Lesson

OURS = ("course", "minigpt")  # the packages that a notebook needs at its own version


def install(shell) -> None:
    """Let the IPython shell show these errors as sentences."""
    shell.set_custom_exc((Exception,), _show)


load_ipython_extension = install  # named in the settings that `course.learn` writes


def sentence(error: BaseException, namespace: dict, lesson: Lesson | None) -> str | None:
    """Return the sentence for an error of a cell, in the language in force; None leaves the traceback.

    Args:
        error: as it was raised, with its traceback.
        namespace: the notebook's names; frames that run in it are the learner's.
        lesson: the one that the notebook belongs to, if that is known.
    """
    if isinstance(error, MiniGPTError):
        return str(error)
    if isinstance(error, ImportError) and (error.name or "").split(".")[0] in OURS:
        return message("lesson.too-old", what=str(error).partition(" (")[0])
    frame, where = _innermost(error.__traceback__)
    if type(error) is NameError and frame is not None and frame.f_globals is namespace:
        return _not_made(error.name, where, lesson)
    name = _not_written(error, frame, where, namespace)
    if name is None:
        return None
    heading = lesson and name and heading_above(lesson, name)
    if not heading:
        return message("lesson.nothing-here" if not name else "check.not-written", name=name)
    return message("lesson.answer-first", name=name, heading=heading[0])


def heading_above(lesson: Lesson, name: str) -> tuple[str, bool] | None:
    """Return the heading above the first cell that defines `name`, and whether that is a setup cell.

    None: no cell defines it. Before the first heading stands the lesson's own title.
    """
    from course.source import read_source  # jupytext takes a second, which only an error is worth
    from minigpt.messages import language

    heading = f"{lesson.id} · {lesson.title[language()]}"
    for cell in read_source(lesson.folder / "lesson.py"):
        if cell.is_markdown:
            lines = cell.texts[language()].splitlines()
            heading = next((line.lstrip("# ") for line in reversed(lines) if line.startswith("#")), heading)
        elif name in _defined(cell.text):
            return heading, cell.setup
    return None


def _show(shell, kind, error, traceback, tb_offset=None) -> None:
    """IPython's custom handler: the sentence if there is one, else what IPython would have shown."""
    if not hasattr(error, "_render_traceback_"):
        try:
            text = sentence(error, shell.user_ns, lesson_here())
        except CourseError:  # the lesson itself cannot be read: then this is no place to say so
            text = None
        if text:
            error._render_traceback_ = lambda: in_lines(text)
    shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)


def _not_made(name: str, where: CodeType, lesson: Lesson | None) -> str | None:
    """A name of the lesson that does not exist yet: cells were run out of order.

    Inside a function it may as well be a slip of the learner's, unless the setup cell makes it.
    """
    found = lesson and heading_above(lesson, name)
    if not found or (where.co_name != "<module>" and not found[1]):
        return None
    return message("lesson.not-made", name=name, heading=found[0])


def _not_written(error, frame, where, namespace: dict) -> str | None:
    """The answer that is missing, an empty name if nobody can tell which, None if nothing is missing."""
    if isinstance(error, NotImplementedError) and frame is not None:
        if isinstance(frame.f_locals.get("self"), NotWritten):
            return frame.f_locals["self"].name
        if frame.f_globals is namespace:  # the stub itself: `f`, `Class.method` or a cell of one line
            name = where.co_qualname.split(".")[0]
            return "" if name == "<module>" else name
    elif isinstance(error, (TypeError, AttributeError)) and NotWritten.__name__ in str(error):
        used = _names_of_cells(error.__traceback__, namespace)
        return next((name for name in used if isinstance(namespace.get(name), NotWritten)), "")
    return None


def _names_of_cells(traceback: TracebackType | None, namespace: dict):
    """Every global name that the cells on the way to the error use."""
    while traceback is not None:
        if traceback.tb_frame.f_globals is namespace:
            yield from traceback.tb_frame.f_code.co_names
        traceback = traceback.tb_next


def _innermost(traceback: TracebackType | None):
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return (None, None) if traceback is None else (traceback.tb_frame, traceback.tb_frame.f_code)


def _defined(code: str) -> set[str]:
    """Names that the cell's own statements bind, but for those inside its functions and classes."""
    found: set[str] = set()
    try:
        waiting: list[ast.AST] = [*ast.parse(code).body]
    except SyntaxError:  # a magic
        return found
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
        elif not isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            waiting.extend(ast.iter_child_nodes(node))
    return found
