"""Validate runs a notebook in another process and says which cell runs; its answer is nbgrader's own."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

from nbformat import v4, write

from course.landing import validating


def told(root, name, monkeypatch):
    """Validate `name` below `root`; return the answer and every place that was told meanwhile."""
    places = []

    class Places(dict):
        def __setitem__(self, path, place):
            places.append((path, *place))
            super().__setitem__(path, place)

    monkeypatch.setattr(validating, "_running", Places())
    with ThreadPoolExecutor(1) as pool:  # a browser's tests keep a loop in this thread
        return pool.submit(asyncio.run, validating.validated(str(root), name)).result(), places


def test_each_code_cell_is_told_and_a_failed_check_is_reported(tmp_path, monkeypatch):
    graded = {"nbgrader": {"grade": True, "grade_id": "a", "points": 1, "locked": False, "solution": False}}
    graded["nbgrader"] |= {"schema_version": 3, "cell_type": "code", "task": False}
    book = v4.new_notebook(
        cells=[
            v4.new_markdown_cell("# a lesson"),
            v4.new_code_cell("print('not a line of ours')"),
            v4.new_code_cell("assert 1 == 2", metadata=graded),
        ]
    )
    write(book, tmp_path / "lesson.ipynb")
    answer, places = told(tmp_path, "lesson.ipynb", monkeypatch)
    assert places == [("lesson.ipynb", 1, 2), ("lesson.ipynb", 2, 2)]
    assert answer["success"] and "AssertionError" in json.dumps(answer["value"]["failed"])
    assert validating._running == {}


def test_a_process_that_ends_without_a_result_is_one_sentence(tmp_path, monkeypatch):
    answer, places = told(tmp_path, "missing.ipynb", monkeypatch)
    assert answer["success"] is False and "\n" not in answer["value"] and places == []
