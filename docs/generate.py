"""Write what docs/ takes from the trees: the cards, and the ids in check.schema.json. One command:

python docs/generate.py
"""

from __future__ import annotations

import json
from pathlib import Path

from minigpt.diagnosis import QUESTIONS, TREES
from minigpt.diagnosis.card import as_html, as_markdown
from minigpt.messages import LANGUAGES

DOCS = Path(__file__).resolve().parent
SCHEMA = DOCS / "check.schema.json"


def schema() -> str:
    """Return check.schema.json with the trees, questions and leaves of today."""
    described = json.loads(SCHEMA.read_text(encoding="utf-8"))
    ids = {
        "tree": [tree.id for tree in TREES],
        "question": [question.id for question in QUESTIONS],
        "leaf": [leaf for question in QUESTIONS for leaf in question.leaves],
    }
    for name, known in ids.items():
        described["$defs"][name]["enum"] = list(dict.fromkeys(known))
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all of them."""
    SCHEMA.write_text(schema(), encoding="utf-8")
    for code in LANGUAGES:
        (DOCS / f"card.{code}.md").write_text(as_markdown(code), encoding="utf-8")
        (DOCS / f"card.{code}.html").write_text(as_html(code), encoding="utf-8")


if __name__ == "__main__":
    main()
