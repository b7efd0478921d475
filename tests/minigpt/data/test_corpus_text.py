"""Any text of the user's: how it is split, and what is said of one that cannot be used."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigpt.data.corpus import load_text
from minigpt.data.corpus.loading import _cut, _split_lines
from minigpt.messages import LANGUAGES, MiniGPTError, use_language

PROSE = "".join(f"This is line {number} of a text that is long enough.\n" for number in range(100))


@pytest.fixture
def file(tmp_path):
    """Return a function that writes bytes or text and returns the path."""

    def write(content: str | bytes):
        path = tmp_path / "text.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_sides_hold_every_line_once_in_order(file):
    corpus = load_text(file(PROSE))
    train, validation = corpus.train.splitlines(), corpus.validation.splitlines()
    lines = PROSE.splitlines()
    assert sorted(train + validation) == sorted(lines) and not set(train) & set(validation)
    for side in (train, validation):
        assert side == [line for line in lines if line in side]
    assert 0.07 <= len(corpus.validation) / len(PROSE) <= 0.12
    assert corpus.name == "text.txt" and set(corpus.hashes) == {"file", "train", "validation"}


def test_equal_lines_lie_on_one_side(file):
    corpus = load_text(file(PROSE * 3))
    assert not set(corpus.train.splitlines()) & set(corpus.validation.splitlines())


def test_added_lines_leave_the_split_of_most_others(file):
    before = load_text(file(PROSE))
    after = load_text(file(PROSE + "One more line at the end of the text.\n"))
    assert len(set(before.validation.splitlines()) ^ set(after.validation.splitlines())) <= 2


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\n\r"), max_size=30), min_size=1, max_size=60))
def test_nothing_is_lost_and_no_line_is_on_both_sides(drawn):
    lines = [f"{line}\n" for line in drawn]
    train, validation = _split_lines(lines, 0.2)
    assert len(train) + len(validation) == len("".join(lines))
    as_lines = [{line.strip() for line in side.split("\n")} - {""} for side in (train, validation)]
    assert not as_lines[0] & as_lines[1]
    assert "".join(_cut("".join(lines), 0.2)) == "".join(lines)


def test_few_lines_are_cut_at_a_word(file):
    text = "a word and then another word " * 100
    corpus = load_text(file(text))
    assert corpus.train + corpus.validation == text and corpus.train.endswith(" ")
    assert 0.05 < len(corpus.validation) / len(text) < 0.15


def test_byte_order_mark_and_windows_line_ends_are_taken_off(file):
    corpus = load_text(file(b"\xef\xbb\xbf" + PROSE.replace("\n", "\r\n").encode()))
    assert "\r" not in corpus.train + corpus.validation and "\ufeff" not in corpus.train + corpus.validation


BAD = {
    "empty": (b"", "is empty"),
    "blank": (b"\n" * 50, "is empty"),
    "short": (b"too short", "has 9 characters"),
    "binary": (b"text" * 500 + b"\0", "position 2000"),
    "not-utf8": (b"a" * 2000 + b"\xff", "byte 2000"),
    "utf16": ("text" * 500).encode("utf-16"),
}
BAD["utf16"] = (BAD["utf16"], "binary")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", BAD)
def test_bad_text_gets_one_clear_sentence(file, kind, language):
    content, said = BAD[kind]
    path = file(content)
    with pytest.raises(MiniGPTError) as error:
        load_text(path)
    if language == "en":
        assert said in str(error.value)
    use_language(language)
    sentence = str(error.value)
    assert str(path) in sentence and "\n" not in sentence and "{" not in sentence


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(MiniGPTError, match="There is no file"):
        load_text(tmp_path / "nothing.txt")
    with pytest.raises(MiniGPTError, match="is a folder"):
        load_text(tmp_path)


def test_an_unreadable_file(file, monkeypatch):
    path = file(PROSE)

    def refuse(self):
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(type(path), "read_bytes", refuse)
    with pytest.raises(MiniGPTError, match="cannot be read"):
        load_text(path)
