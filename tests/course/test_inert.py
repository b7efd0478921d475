"""What a learner wrote does nothing on a teacher's page, and takes no time."""

import re

import pytest
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from course.grade import scribe
from course.grade.inert import MAX_MARKDOWN, Tangled, as_text, inert, sentences
from course.grade.scribe import Scribe

HOSTILE = (
    "[a](javascript:alert(1))",
    "[a](JaVa&#115;cript:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](vbscript:x)",
    "[a](//127.0.0.1/x)",
    "[a](/formgrader/api/grade/1)",
    "[a](http://localhost:8888/lab?reset)",
    "[a](http://127.0.0.1:8888/formgrader/?path=submitted/eva)",
    "[a](http://2130706433/)",
    "[a](http://[::1]/x)",
    "[a](https://arxiv.org@localhost/)",
    "[a](http://127.0.0.1.nip.io:8888/lab?reset)",
    "[a](https://localtest.me/formgrader/api/grade/1)",
    "<http://127.0.0.1.nip.io/x>",
    "https://127-0-0-1.sslip.io/x",
    "<javascript:alert(1)>",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><a xlink:href='javascript:1'>x</a></svg>",
    "<form action='/formgrader/api/grade/1' method=post><button class='full-credit'>ok</button></form>",
    "<a href='javascript:alert(1)' class=full-credit>x</a>",
    "<iframe srcdoc='<script>1</script>'></iframe><style>*{display:none}</style><base href=//evil.example>",
    "<input class=score id=explain value=3 autofocus onfocus=alert(1)>",
    "![x](https://evil.example/x.png)",
    "![x](attachment:a.svg)",
    '![x" onerror="alert(1)](attachment:a.png)',
    '[x](https://arxiv.org/"onmouseover="alert(1))',
    '[x](https://arxiv.org/ "t\\" onclick=alert(1)")',
    "```mermaid\n<img src=x onerror=alert(1)>\n```",
    '```"><img src=x onerror=alert(1)>\nx\n```',
    "| <img src=x onerror=alert(1)> |\n|---|\n| a |",
    "# <img src=x onerror=alert(1)>\n\n[r]: javascript:alert(1)\n\n[x][r]",
    "$<img src=x onerror=alert(1)>$ $$</div><script>alert(1)</script>$$ \\begin{x}<script>\\end{x}",
)
PICTURES = {
    "a.png": {"image/png": "iVBORw0KGgo="},
    "a.svg": {"image/svg+xml": "PHN2Zz4="},
    "b.png": {"image/png": '"><script>'},
}
TAG = re.compile(r"<(\w+)([^>]*)>")
MAY = {"ol": r'start="\d+"'}
MAY["img"] = r'src="data:image/png;base64,iVBORw0KGgo=" alt="[^"<>]*"'


def assert_inert(page):
    for name, attributes in TAG.findall(page):
        assert name not in ("script", "svg", "form", "input", "button", "iframe", "style", "base", "object")
        assert name not in ("a", "area", "link", "meta")
        assert not attributes.strip(" /") or re.fullmatch(MAY[name], attributes.strip(" /")), (
            name,
            attributes,
        )


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_acts_and_nbgrader_leaves_it_as_it_is(text):
    for markdown in (text, f"> * {text}\n", f"before\n\n{text}\n\nafter"):
        made = inert(markdown, PICTURES)
        assert_inert(made)
        assert "\n" not in made and markdown2html_mistune(made).strip() == made
    plain = as_text(text)
    assert TAG.findall(plain) == [("div", ""), ("pre", "")]
    assert markdown2html_mistune(plain).strip() == plain
    told = sentences("Remarks", [f"A cell: `{text}`"])
    assert {name for name, _ in TAG.findall(told)} <= {"div", "p", "strong", "ul", "li", "code"}
    assert markdown2html_mistune(told).strip() == told


def test_what_honest_markdown_says_is_shown():
    made = inert(
        "**why** `x` [paper](https://arxiv.org/abs/1) ![plot](attachment:a.png)\n\n1. a\n2. b", PICTURES
    )
    assert "<strong>why</strong> <code>x</code>" in made and "<li>b</li>" in made
    assert "paper (<code>https://arxiv.org/abs/1</code>)" in made, "its address can be read, and copied"
    assert '<img src="data:image/png;base64' in made
    assert "image.png" in inert("![](attachment:image.png)"), "lost bytes are named, and no error"


def test_no_address_can_be_clicked_wherever_it_leads():
    for address in ("https://arxiv.org/abs/1", "http://127.0.0.1.nip.io/x", "https://hub", "/lab"):
        for markdown in (f"[paper]({address})", f"[paper][r]\n\n[r]: {address}"):
            made = inert(markdown)
            assert made == f"<div><p>paper (<code>{address}</code>)</p>&#10;</div>"
    assert inert("<https://arxiv.org/abs/1>") == "<div><p>https://arxiv.org/abs/1</p>&#10;</div>"


@pytest.mark.parametrize("letters", ["[", ">", "`", "*a", "![", "](", "'\"", "- ", "&", "<a ", "$x$ "])
def test_no_markdown_raises(letters):
    for text in (letters * 3_000, f"{letters}\n" * 1_000, letters * MAX_MARKDOWN):
        try:
            assert_inert(inert(text))
        except Tangled:
            continue


def test_a_text_that_takes_too_long_is_shown_as_text(monkeypatch):
    with Scribe() as pages:
        monkeypatch.setattr(scribe, "WALL_SECONDS", 60)
        assert pages.written("x" * (MAX_MARKDOWN + 1)).startswith("<div><pre>xxx")
        assert pages.colours("x=a" + ".b" * 90_000) is False, "180 kB that a lexer takes minutes for"
        assert pages.colours("x = 1") is True, "and the next one is read as usual"
