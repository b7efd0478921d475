"""The parser by itself: types, where values come from, and which sentence each slip gets."""

from pathlib import Path
from typing import Literal

import pytest

from minigpt.cli.parser import Parser, UsageError
from minigpt.messages import use_language


@pytest.fixture
def parser(monkeypatch):
    use_language("en")
    found = Parser("tool do", "does it", variables="TOOL_")
    found.add_argument("first", metavar="FIRST")
    found.add_argument("more", nargs="*")
    found.add_argument("--count", type=int, default=3)
    found.add_argument("--share", type=float | None, default=None)
    found.add_argument("--kind", type=Literal["round", "square"], default="round")
    found.add_argument("--loud", type=bool, default=False)
    found.add_argument("--folder", type=Path, default=Path("."))
    found.add_argument("--even", type=even, default=2)
    found.add_argument("--tag", action="append", default=[])
    found.add_argument("--fast", action="store_true")
    found.add_config("a file")
    yield found
    use_language(None)


def even(text: str) -> int:
    if int(text) % 2:
        raise ValueError(text)
    return int(text)


def test_options_may_stand_before_between_and_after_arguments(parser):
    found = parser.parse_args(["--fast", "a", "--count", "1e3", "b", "c", "--folder=x"])
    assert (found.first, found.more, found.count, found["folder"]) == ("a", ["b", "c"], 1000, Path("x"))
    assert found.fast and found.share is None and found.kind == "round" and found.tag == []


def test_a_text_is_read_as_its_type(parser):
    found = parser.parse_args(["a", "--share", "1e-3", "--loud", "yes", "--tag", "x", "--tag", "y"])
    assert (found.share, found.loud, found.tag) == (1e-3, True, ["x", "y"])
    assert parser.parse_args(["a", "--share", "null"]).share is None
    assert parser.parse_args(["a", "--share", "-5"]).share == -5


def test_a_file_and_a_variable_are_read_as_the_same_types(parser, tmp_path, monkeypatch):
    file = tmp_path / "c.yaml"
    file.write_text("share: 1e-3\nkind: square\ntag: [x]\nfast: true\n")
    monkeypatch.setenv("TOOL_CONFIG", str(file))
    monkeypatch.setenv("TOOL_COUNT", "7")
    monkeypatch.setenv("TOOL_TAG", "p,q")
    found = parser.parse_args(["a"])
    assert (found.share, found.kind, found.tag, found.fast, found.count) == (1e-3, "square", ["x"], True, 7)


@pytest.mark.parametrize(
    ("words", "key", "named"),
    [
        ([], "general.missing-argument", "FIRST"),
        (["a", "--count"], "general.missing-value", "--count"),
        (["a", "--count", "few"], "config.wrong-type", "few"),
        (["a", "--count", "1.5"], "config.wrong-type", "1.5"),
        (["a", "--share", "half"], "config.wrong-type", "float"),
        (["a", "--kind", "rund"], "config.not-a-choice", "round"),
        (["a", "--loud", "perhaps"], "config.wrong-type", "perhaps"),
        (["a", "--even", "3"], "general.wrong-value", "--even"),
        (["a", "--fast=1"], "general.takes-no-value", "--fast"),
        (["a", "--cuont", "1"], "general.unknown-option", "--count"),
        (["a", "--config", "none.yaml"], "config.no-such-file", "none.yaml"),
    ],
)
def test_each_slip_has_its_sentence(parser, words, key, named):
    with pytest.raises(UsageError) as caught:
        parser.parse_args(words)
    assert caught.value.key == key and named in str(caught.value)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("count: [1]", "config.wrong-type"),
        ("count: true", "config.wrong-type"),
        ("count: null", "config.wrong-type"),
        ("loud: 1", "config.wrong-type"),
        ("kind: 3", "config.not-a-choice"),
        ("tag: 3", "config.wrong-type"),
        ("cuont: 3", "config.unknown-key"),
        ("3: 3", "config.unknown-key"),
        ("", "config.not-yaml"),
    ],
)
def test_a_file_is_held_to_the_same_types(parser, text, key, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UsageError) as caught:
        parser.parse_args(["a", "--config", str(tmp_path / "c.yaml")])
    assert caught.value.key == key
