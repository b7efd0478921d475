"""`minigpt card`: the whole stability check on one card, to print or to keep beside the screen.

minigpt card > card.md
minigpt card --html --lang es > tarjeta.html
"""

from __future__ import annotations

from minigpt.cli.parser import Arguments, Parser
from minigpt.diagnosis.card import as_html, as_markdown
from minigpt.messages import message


def add_arguments(parser: Parser) -> None:
    """Add the form of the card."""
    parser.add_argument("--html", action="store_true", help=message("card.html-help"))


def run(arguments: Arguments) -> int:
    """Print the card."""
    print((as_html if arguments.html else as_markdown)(), end="")
    return 0
