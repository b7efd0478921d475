"""Code cells are the same in both languages, so their comments are shapes and formulas, and no sentences."""

import io
import re
import tokenize

import nbformat
import pytest

from course.lesson import all_lessons

WORDS = re.compile(r"[^\W\d]{2,}")
FEW = 3  # words that a shape may have, as in (B, n_head, T, head_size)


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.id)
def test_no_comment_of_a_spanish_notebook_is_an_english_sentence(lesson):
    notebook = nbformat.read(lesson.built("es"), as_version=4)
    found = [
        token.string
        for cell in notebook.cells
        if cell.cell_type == "code"
        for token in tokenize.generate_tokens(io.StringIO(cell.source).readline)
        if token.type == tokenize.COMMENT and len(WORDS.findall(token.string)) >= FEW
    ]
    assert found == []
