"""One Spanish word for each term: `glossary.yaml` lists it, and the words never used for it.

offence("el loss baja un lote tras otro")      # ("batch", "lote")
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import yaml

_CODE = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\{[^}]*\}|\]\([^)]*\)|--[\w-]+", re.DOTALL)


@lru_cache(maxsize=1)
def _never() -> list[tuple[str, re.Pattern]]:
    terms = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return [
        (term, re.compile(rf"(?<!\w)(?:{wording})(?!\w)", re.IGNORECASE))
        for term, entry in terms.items()
        for wording in entry["never"]
    ]


def without_code(text: str) -> str:
    """Return the text without code, formulas, placeholders, link targets and options, which are not prose."""
    return _CODE.sub(" ", text)


def offence(spanish: str) -> tuple[str, str] | None:
    """Return the first term that the Spanish text says with words other than the glossary, and the words."""
    prose = without_code(spanish)
    for term, wording in _never():
        found = wording.search(prose)
        if found:
            return term, found.group(0)
    return None
