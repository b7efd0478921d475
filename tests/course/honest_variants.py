"""Honest work as it really comes in: solved notebooks of lesson 18-01 to which a class has happened.

Each variant is a function that takes the solved notebook (a dict) and returns the files to hand in by name;
`VARIANTS` has it with the points that it deserves out of 19 (plus 3 that a person gives). What they get by
other rules: benchmarks/honest.py.
"""

from __future__ import annotations

import copy
import json

from course.lesson import find_lesson

SLUG = "did-it-start.ipynb"
FULL = 19
MEAN = 6  # points of masked-mean
VARIANTS: dict[str, tuple] = {}


def variant(points: int = FULL):
    """Register a variant under its function's name, with the points that it deserves."""

    def register(make):
        VARIANTS[make.__name__.replace("_", "-")] = (make, points)
        return make

    return register


def code(source: str) -> dict:
    """A new code cell, as JupyterLab makes it."""
    return {
        "cell_type": "code",
        "id": f"new{abs(hash(source)) % 10**6}",
        "metadata": {},
        "source": source,
        "outputs": [],
        "execution_count": 1,
    }


def prose(source: str) -> dict:
    return {"cell_type": "markdown", "id": f"md{abs(hash(source)) % 10**6}", "metadata": {}, "source": source}


def notebooks() -> tuple[dict, dict]:
    """The solved notebook as a learner has it, and the blank release."""
    lesson = find_lesson("18-01")
    solved = json.loads(lesson.built("solutions").read_text(encoding="utf-8"))
    blank = json.loads(lesson.built("en").read_text(encoding="utf-8"))
    answers = {cell["id"]: "".join(cell["source"]) for cell in solved["cells"]}
    answers["explain-to-a-colleague"] = "Logits that are too large make wrong tokens certain."
    mine = copy.deepcopy(blank)
    for cell in mine["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            cell["source"] = answers[cell["id"]]
    return mine, blank


def at(notebook: dict, name: str) -> int:
    return next(n for n, cell in enumerate(notebook["cells"]) if cell.get("id") == name)


def cell(notebook: dict, name: str) -> dict:
    return notebook["cells"][at(notebook, name)]


def insert(notebook: dict, before: str, new: dict) -> None:
    notebook["cells"].insert(at(notebook, before), new)


def one(notebook: dict) -> dict[str, bytes]:
    return {SLUG: json.dumps(notebook).encode()}


@variant()
def untouched_original_beside_the_copy(notebook, blank):
    return {SLUG: json.dumps(blank).encode(), "did-it-start-Copy1.ipynb": json.dumps(notebook).encode()}


@variant()
def two_downloads_of_one_file(notebook, blank):
    half = copy.deepcopy(notebook)
    cell(half, "masked-mean")["source"] = cell(blank, "masked-mean")["source"]
    named = {"did-it-start (1).ipynb": half, "did-it-start (2).ipynb": notebook}
    return {name: json.dumps(one).encode() for name, one in named.items()}


@variant()
def imports_added_to_the_setup_cell(notebook, blank):
    cell(notebook, "setup")["source"] += "\nfrom math import log as natural_log"
    cell(notebook, "expected-loss")["source"] = (
        "def expected_loss(vocab_size):\n    return natural_log(vocab_size)"
    )
    return one(notebook)


@variant()
def helper_and_import_in_a_cell_of_their_own(notebook, blank):
    helper = (
        "import statistics as st\n\nFACTOR = 1\n\ndef ln(x):\n    return FACTOR * math.log(st.fmean([x]))"
    )
    insert(notebook, "expected-loss", code(helper))
    cell(notebook, "expected-loss")["source"] = "def expected_loss(vocab_size):\n    return ln(vocab_size)"
    return one(notebook)


@variant()
def names_from_a_release_cell_that_is_not_setup(notebook, blank):
    source = (
        "def expected_loss(vocab_size):\n    assert V == config.vocab_size\n    return math.log(vocab_size)"
    )
    cell(notebook, "expected-loss")["source"] = source
    return one(notebook)


@variant()
def a_split_cell(notebook, blank):
    answer = cell(notebook, "start-verdict")
    first = copy.deepcopy(answer) | {"id": "first-half", "source": "LIMITS = (-0.5, 0.5, 1.76)"}
    body = (
        answer["source"]
        .replace("-0.5", "LIMITS[0]")
        .replace("<= 0.5", "<= LIMITS[1]")
        .replace("1.76", "LIMITS[2]")
    )
    insert(notebook, "start-verdict", first)
    answer["source"] = body
    return one(notebook)


@variant()
def a_cell_torn_in_the_middle_of_the_function(notebook, blank):
    answer = cell(notebook, "masked-mean")
    source = "def masked_mean(losses, mask):\n    kept = torch.where(mask, losses, 0.0)"
    insert(notebook, "masked-mean", copy.deepcopy(answer) | {"id": "above", "source": source})
    answer["source"] = "    return kept.sum() / mask.sum().clamp(min=1)"
    return one(notebook)


@variant()
def a_retyped_cell(notebook, blank):
    place = at(notebook, "masked-mean")
    notebook["cells"][place] = code(notebook["cells"][place]["source"])
    return one(notebook)


@variant()
def the_answer_below_the_untouched_stub(notebook, blank):
    mine = code(cell(notebook, "masked-mean")["source"])
    cell(notebook, "masked-mean")["source"] = cell(blank, "masked-mean")["source"]
    insert(notebook, "masked-mean_full", mine)
    return one(notebook)


@variant()
def a_copied_cell_that_was_worked_on(notebook, blank):
    right = copy.deepcopy(cell(notebook, "masked-mean")) | {"id": "pasted"}
    cell(notebook, "masked-mean")["source"] = "def masked_mean(losses, mask):\n    return losses.mean()"
    insert(notebook, "masked-mean_full", right)
    return one(notebook)


@variant()
def a_notebook_copied_cell_by_cell(notebook, blank):
    for item in notebook["cells"]:
        item["metadata"], item["id"] = {}, f"c{id(item) % 10**8}"
    notebook["metadata"] = {}
    return one(notebook)


@variant()
def display_and_question_mark_before_the_function(notebook, blank):
    answer = cell(notebook, "masked-mean")
    answer["source"] = "display(torch.ones(2))\ntorch.where?\n?torch.sum\n" + answer["source"]
    return one(notebook)


@variant()
def a_timed_cell(notebook, blank):
    answer = cell(notebook, "masked-mean")
    answer["source"] = "%%time\nfiles = !ls\n" + answer["source"]
    return one(notebook)


@variant()
def an_experiment_left_in_the_answer_cell(notebook, blank):
    answer = cell(notebook, "masked-mean")
    trial = "x = torch.ones(4)\nwhile True:\n    masked_mean(x, x > 0)\n"
    answer["source"] = "history = healthy.metrics\nprint(history[0])\n" + answer["source"] + "\n\n" + trial
    return one(notebook)


@variant(FULL - MEAN)
def a_syntax_error_in_one_answer(notebook, blank):
    cell(notebook, "masked-mean")["source"] = "def masked_mean(losses, mask)\n    return losses.mean()"
    return one(notebook)


@variant()
def both_sides_of_a_merge(notebook, blank):
    text = json.dumps(notebook, indent=1)
    whole = "<<<<<<< HEAD\n" + json.dumps(blank, indent=1) + "\n=======\n" + text + "\n>>>>>>> mine\n"
    return {SLUG: whole.encode()}


@variant()
def both_sides_of_a_merge_in_a_cell(notebook, blank):
    right = cell(notebook, "masked-mean")["source"]
    sides = f"<<<<<<< HEAD\n{right}\n=======\ndef masked_mean(losses, mask:\n>>>>>>> other\n"
    cell(notebook, "masked-mean")["source"] = sides
    return one(notebook)


@variant()
def byte_order_marks(notebook, blank):
    for item in notebook["cells"]:
        item["source"] = "\ufeff" + "".join(item["source"])
    return {SLUG: b"\xef\xbb\xbf" + json.dumps(notebook, ensure_ascii=False).encode()}


@variant()
def colab(notebook, blank):
    for item in notebook["cells"]:
        item["metadata"] = {"id": item.pop("id"), "colab": {"base_uri": "x"}} | item["metadata"]
        item["source"] = "".join(item["source"]).splitlines(True)
    notebook["metadata"] = {"colab": {"provenance": []}, "kernelspec": {"name": "python3"}}
    return one(notebook | {"nbformat_minor": 0})


@variant()
def vs_code(notebook, blank):
    for item in notebook["cells"]:
        item["metadata"]["vscode"] = {"languageId": "python"}
    notebook["metadata"].pop("kernelspec", None)
    notebook["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"a": {}}}}
    return one(notebook | {"nbformat_minor": 2})


@variant()
def fifty_megabytes_of_outputs(notebook, blank):
    output = {"output_type": "stream", "name": "stdout", "text": "x" * 50_000_000}
    cell(notebook, "facts")["outputs"] = [output]
    return one(notebook)


@variant()
def every_cell_twice(notebook, blank):
    notebook["cells"] = [item for item in notebook["cells"] for _ in range(2)]
    return one(notebook)


@variant()
def prose_in_a_new_cell(notebook, blank):
    place = at(notebook, "explain-to-a-colleague")
    notebook["cells"][place]["source"] = "✎"
    notebook["cells"].insert(place + 1, prose("The scale of the logits decides the first loss."))
    return one(notebook)


@variant()
def a_remark_in_every_check(notebook, blank):
    for item in notebook["cells"]:
        if item["metadata"].get("nbgrader", {}).get("locked"):
            item["source"] = "".join(item["source"]) + "\n# ran at home"
    return one(notebook)


@variant()  # for a person to look at: it is told, and nothing taken off
def the_work_left_to_the_library(notebook, blank):
    cell(notebook, "init-weights")["source"] = (
        "def init_weights(model, config):\n"
        "    from minigpt.model.gpt import init_weights as theirs\n    theirs(model, config)"
    )
    return one(notebook)


@variant()
def a_picture_whose_bytes_were_lost(notebook, blank):
    cell(notebook, "explain-to-a-colleague")["source"] = "See ![](attachment:image.png) and my text."
    return one(notebook)


@variant(FULL - MEAN)  # Python itself refuses so deep an expression; what counts is that it holds up nobody
def a_long_chain_of_dots(notebook, blank):
    cell(notebook, "explain-to-a-colleague")["source"] = "[" * 20_000 + "`" * 20_000 + "'" * 20_000
    cell(notebook, "masked-mean")["source"] += "\nif False:\n    x=a" + ".b" * 90_000
    return one(notebook)


def in_letters(notebook: dict, encoding: str) -> bytes:
    """The file as an editor or a shell saves it in that code."""
    cell(notebook, "masked-mean")["source"] += "\n# la pérdida media"
    return json.dumps(notebook, ensure_ascii=False).encode(encoding, "replace")


@variant()
def saved_in_the_letters_of_windows(notebook, blank):
    content = in_letters(notebook, "cp1252")
    return {SLUG: content + b" " * (len(content) % 2)}  # an even length could be UTF-16


@variant()
def saved_by_a_shell_without_a_mark(notebook, blank):
    return {SLUG: in_letters(notebook, "utf-16-le")}


@variant()
def four_bytes_a_letter(notebook, blank):
    return {SLUG: in_letters(notebook, "utf-32")}


@variant()
def a_disk_s_padding_behind_the_end(notebook, blank):
    return {SLUG: in_letters(notebook, "utf-8") + b"\0" * 4096}


@variant()
def a_name_in_capitals(notebook, blank):
    return {SLUG.upper(): json.dumps(notebook).encode()}
