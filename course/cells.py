"""Which of a learner's statements a question runs: the answer, and what it uses, from wherever they wrote it.

    program = Program(handed_in.code, {"ruler": {"ruler"}, "verdict": {"verdict"}})
    program.cells("verdict", given={"math"})       # [[cell, source], …] in the notebook's order

Of the answer's own cell every import and definition stays; of all other statements, there and elsewhere, only
those that make or change a name that is used; what comes after the answer counts for names that nothing makes
before. So an experiment, a `display(x)` or a plot beside an answer is not run and not in its way, and a
helper counts wherever it stands. Lines keep their numbers.
"""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

MAX_STATEMENTS = 2_000  # of a cell that are told apart
OWN = "own-"  # how the names of a learner's own cells begin
MAX_MAGIC = 50_000  # characters of a cell that IPython is asked to translate
_DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_RUNS_HERE = ("time", "capture", "prun", "debug")  # cell magics that run their cell as if they were not there
_NOTEBOOK = {"get_ipython", "display", "In", "Out", "_", "__file__", "__name__"}
CANNOT_PARSE = (SyntaxError, ValueError, RecursionError, MemoryError)
_PARSER = threading.Lock()


@dataclass(frozen=True)
class Statement:
    """One statement of a cell: its lines, the names that it makes, changes and uses."""

    first: int
    last: int
    makes: frozenset[str]
    changes: frozenset[str]
    uses: frozenset[str]
    defines: bool


class Program:
    """The code cells of one submission, in order, as (name, source); `answers`: names by exercise."""

    def __init__(self, code: Iterable[tuple[str, str]], answers: dict[str, set[str]] | None = None):
        self.sources = [(name, plain_python(source)) for name, source in code]
        self.answers = answers or {}
        self._statements = [statements(source) for _, source in self.sources]

    def cells(self, exercise: str, given: set[str] = frozenset()) -> list[list[str]]:
        """What the exercise runs. `given` are the lesson's own names: they make nobody needed."""
        mine = self.answers.get(exercise, set())
        own = [part for (name, _), parts in self._walk() if name == exercise for part in parts]
        whole = not mine & {name for part in own for name in part.makes}  # made in a way that nobody can see
        kept = {id(part) for part in own if whole or part.defines}
        wanted = set(mine).union(*(part.uses | part.changes for part in own if id(part) in kept))
        place = next((n for n, (name, _) in enumerate(self.sources) if name == exercise), len(self.sources))
        early = {name for parts in self._statements[: place + 1] for part in parts for name in part.makes}
        while True:
            more = [
                part
                for n, ((name, _), parts) in enumerate(self._walk())
                for part in parts
                if id(part) not in kept
                and self._is_wanted(part, name, exercise, wanted - early if n > place else wanted, given)
            ]
            if not more:
                break
            kept |= {id(part) for part in more}
            wanted = wanted.union(*(part.uses | part.makes for part in more))
        found = []
        for (name, source), parts in self._walk():
            chosen = [part for part in parts if id(part) in kept]
            if name == exercise and not parts:
                found.append([name, source])  # it says itself what is wrong with it
            elif chosen:
                found.append([name, only(source, chosen)])
        return found

    def unseen(self, exercise: str, given: set[str] = frozenset()) -> set[str]:
        """The names that the exercise uses and no statement of the notebook makes."""
        parts = [part for _, source in self.cells(exercise, given) for part in statements(source)]
        made = set().union(given, vars(builtins), *(part.makes for part in parts))
        return set().union(*(part.uses for part in parts)) - made - _NOTEBOOK

    def _walk(self):
        return zip(self.sources, self._statements, strict=True)

    def _is_wanted(self, part: Statement, cell: str, exercise: str, wanted: set, given: set) -> bool:
        if cell == exercise:
            return bool((part.makes | part.changes) & wanted)
        theirs = set().union(*(names for name, names in self.answers.items() if name != cell))
        known = given if part.defines or not cell.startswith(OWN) else set()
        makes = part.makes - theirs - known
        return "*" in makes or bool((makes | (part.changes - given - theirs)) & wanted)


def parse(source: str) -> ast.Module:
    """`ast.parse`, one thread at a time.

    Python counts the depth of a tree that it builds once for all threads: where two build at once it can
    raise `SystemError: AST constructor recursion depth mismatch`, of sources that have no fault.
    """
    with _PARSER:
        return ast.parse(source)


def needed(sources: dict[str, str], exercise: str, given: set[str]) -> list[list[str]]:
    """What an exercise runs of cells that hold answers alone, such as the reference solutions."""
    return Program(sources.items()).cells(exercise, given)


@lru_cache(maxsize=256)
def statements(source: str) -> list[Statement]:
    """The statements of a cell, those that share a line as one; none where it is not Python."""
    try:
        tree = parse(source)
    except CANNOT_PARSE:
        return []
    if len(tree.body) > MAX_STATEMENTS:
        effects = [_effects(node) for node in tree.body]
        makes, changes = (frozenset().union(*names) for names in zip(*effects, strict=True))
        return [Statement(1, source.count("\n") + 1, makes, changes, _loaded(tree), True)]
    found: list[Statement] = []
    lines = source.split("\n")
    for node in tree.body:
        first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", ()))])
        makes, changes = _effects(node)
        uses = _uses(node, "\n".join(lines[first - 1 : node.end_lineno]))
        made = Statement(first, node.end_lineno, makes, changes, uses, isinstance(node, _DEFINITIONS))
        if found and found[-1].last >= first:
            last = found.pop()
            made = Statement(
                last.first,
                made.last,
                last.makes | makes,
                last.changes | changes,
                last.uses | uses,
                last.defines or made.defines,
            )
        found.append(made)
    return found


def only(source: str, kept: list[Statement]) -> str:
    """The source with every other line empty."""
    lines = source.split("\n")
    stay = {line for part in kept for line in range(part.first, part.last + 1)}
    return "\n".join(line if number in stay else "" for number, line in enumerate(lines, 1))


def names_of(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell makes, and those that it uses."""
    parts = statements(plain_python(source))
    return set().union(*(part.makes for part in parts)), set().union(*(part.uses for part in parts))


def syntax_error(source: str) -> SyntaxError | None:
    """Why the cell is not Python, magics apart; None if it is."""
    try:
        parse(plain_python(source))
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError) as error:
        return SyntaxError(str(error) or type(error).__name__)
    return None


def syntax_values(error: SyntaxError, source: str) -> dict:
    """What the message `check.syntax-error` says of it."""
    lines = source.splitlines()
    number = error.lineno or 1
    line = lines[number - 1].strip() if 0 < number <= len(lines) else (error.text or "").strip()
    return {"line": number, "source": line[:60], "what": str(error.msg)[:120]}


def plain_python(source: str) -> str:
    """The source as Python: without what a version control or an editor left, magics as IPython has them."""
    source = source.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")
    magic = re.match(r"\s*%%(\w+).*", source)
    if magic:
        source = source.replace(magic[0], "", 1) if magic[1] in _RUNS_HERE else ""
    if _parses(source):
        return source
    sides = [side for side in both_sides(source) if _parses(side)]
    if sides:
        return sides[0]
    if len(source) <= MAX_MAGIC:
        translated = _translated(source)
        if _parses(translated):
            return translated
    return re.sub(r"^([ \t]*)[%!?].*$", r"\1pass", source, flags=re.MULTILINE)


def both_sides(text: str) -> list[str]:
    """The two texts that a merge could not make one of; [] where nothing is in conflict."""
    if not re.search(r"^<{7}( |$)", text, re.MULTILINE):
        return []
    sides: tuple[list[str], list[str]] = ([], [])
    within = None
    for line in text.splitlines(keepends=True):
        if re.match(r"<{7}( |$)", line):
            within = 0
        elif within is not None and re.match(r"\|{7}( |$)", line):
            within = 2  # what both began with
        elif within is not None and re.match(r"={7}$", line.rstrip()):
            within = 1
        elif within is not None and re.match(r">{7}( |$)", line):
            within = None
        else:
            for number, side in enumerate(sides):
                if within in (None, number):
                    side.append(line)
    return ["".join(side) for side in sides]


def _translated(source: str) -> str:
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return TransformerManager().transform_cell(source)
    except Exception:  # whatever IPython's tokenizers raise on what is not Python
        return source


def _parses(source: str) -> bool:
    try:
        parse(source)
    except CANNOT_PARSE:
        return False
    return True


def _effects(node: ast.stmt) -> tuple[frozenset[str], frozenset[str]]:
    """The names that a statement makes, and those whose objects it changes; functions' insides apart."""
    makes: set[str] = set()
    changes: set[str] = set()
    waiting: list[ast.AST] = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            makes.add(part.name)
        elif isinstance(part, (ast.Import, ast.ImportFrom)):
            makes |= {(alias.asname or alias.name).split(".")[0] for alias in part.names}
        elif isinstance(part, ast.Name):
            if not isinstance(part.ctx, ast.Load):
                makes.add(part.id)
        elif isinstance(part, (ast.Attribute, ast.Subscript)) and not isinstance(part.ctx, ast.Load):
            changes |= _base(part)
        elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
            changes |= _changed_by(part.value)
        if not isinstance(part, _SCOPES):
            waiting += ast.iter_child_nodes(part)
    return frozenset(makes), frozenset(changes)


def _uses(node: ast.stmt, text: str) -> frozenset[str]:
    """The notebook's names that a statement uses; a local variable of a function is no such name."""
    try:
        waiting, found = [symtable.symtable(text, "<cell>", "exec")], set()
    except CANNOT_PARSE:  # two statements on one line, or what only the compiler refuses
        return _loaded(node)
    while waiting:
        table = waiting.pop()
        top = table.get_type() == "module"
        found |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (top or symbol.is_global())
        }
        waiting += table.get_children()
    return frozenset(found)


def _loaded(node: ast.AST) -> frozenset[str]:
    names = (part for part in ast.walk(node) if isinstance(part, ast.Name))
    return frozenset(part.id for part in names if isinstance(part.ctx, ast.Load))


def _changed_by(call: ast.Call) -> set[str]:
    """`table.append(x)` and `setattr(table, …)` change `table`."""
    if isinstance(call.func, ast.Attribute):
        return _base(call.func)
    if isinstance(call.func, ast.Name) and call.func.id in ("setattr", "delattr") and call.args:
        return _base(call.args[0])
    return set()


def _base(node: ast.AST) -> set[str]:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()
