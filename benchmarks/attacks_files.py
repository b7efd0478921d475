"""Damaged files and unusual right answers for `benchmarks/adversary.py`; hostile code is in `attacks.py`."""

from __future__ import annotations

import json
import os

from attacks import ALL, MEAN, Attack, cells_of, is_check, mean  # benchmarks/attacks.py

RIGHT_MEAN = "if not mask.any():\n    return (losses * 0).nan_to_num().sum()\nreturn losses[mask].mean()"
RIGHT_INIT = """with torch.no_grad():
        for name, w in model.named_parameters():
            if name.endswith("bias"): w.zero_()
            elif "ln_" in name: w.fill_(1)
            elif "c_proj" in name: w.normal_(std=0.02 / (2 * config.n_layer) ** 0.5)
            else: w.normal_(std=0.02)"""


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
    if is_check(cell):
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


# ruff: noqa: E501 (an attack reads best on one line)

FILES = [
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
    Attack("source-is-a-number", "damaged", lost=MEAN, spoil=cells_of(_number_as_source)),
    Attack("cells-are-numbers", "damaged", lost=ALL, spoil=lambda n, f: n | {"cells": [1, None, "x", [2]]}),
    Attack("metadata-is-a-list", "damaged", spoil=lambda n, f: n | {"metadata": [1]}),
    Attack("version-3", "damaged", spoil=_version_3),
    Attack("unknown-schema", "damaged", spoil=cells_of(_unknown_schema)),
    Attack("every-cell-twice", "damaged", spoil=cells_of(lambda cell: [cell, cell])),
    Attack("no-cell-metadata", "damaged", spoil=cells_of(_without_metadata)),
    Attack("paths-as-grade-ids", "damaged", spoil=cells_of(_paths_as_names)),
    Attack(
        "half-a-character",
        "damaged",
        spoil=cells_of(lambda cell: [cell | {"source": cell["source"] + "  # \ud800"}]),
    ),
    Attack("half-a-character-returned", "damaged", **mean("print('\ud800')\nraise ValueError('\ud800')")),
    Attack("version-99", "damaged", spoil=lambda n, f: n | {"nbformat": 99}),
    # right answers that stock nbgrader or a strict grader may refuse
    Attack(
        "progress-bar",
        "right",
        **mean(
            "import sys\nfor n in range(50): print(f'\\r{n}%', end='', file=sys.stderr)\n" + RIGHT_MEAN, set()
        ),
    ),
    Attack("warnings", "right", **mean("import warnings\nwarnings.warn('deprecated')\n" + RIGHT_MEAN, set())),
    Attack("logging", "right", **mean("import logging\nlogging.error('look')\n" + RIGHT_MEAN, set())),
    Attack("many-prints", "right", **mean("print('x' * 100_000)\n" + RIGHT_MEAN, set())),
    Attack(
        "sub-process-prints", "right", **mean("import os\nos.system('echo noise >&2')\n" + RIGHT_MEAN, set())
    ),
    Attack(
        "magic-lines",
        "right",
        {"masked-mean": "%matplotlib inline\n!true\n" + mean(RIGHT_MEAN)["cells"]["masked-mean"]},
    ),
    Attack("writes-a-file", "right", **mean("open('notes.txt', 'w').write('x')\n" + RIGHT_MEAN, set())),
    Attack("threads", "right", **mean("torch.set_num_threads(4)\n" + RIGHT_MEAN, set())),
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
    Attack("windows-line-ends", "right", spoil=cells_of(_windows_lines)),
    Attack("sources-as-lists", "right", spoil=cells_of(_as_lines)),
    Attack("utf-16-file", "right", spoil=lambda n, f: json.dumps(n).encode("utf-16")),
    Attack("byte-order-mark", "right", spoil=lambda n, f: b"\xef\xbb\xbf" + json.dumps(n).encode()),
    Attack("renamed-by-a-browser", "right", spoil=_renamed),
    Attack("modules-beside-the-notebook", "right", spoil=_shipped_module),
]
