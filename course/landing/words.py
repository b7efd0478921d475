"""The words that JupyterLab's language pack leaves in English, said in the learner's language.

    add_words()          # from here on the server's answer for Spanish holds ours as well
    buttons("es")        # those of nbgrader's button, which asks no language pack, for our own extension
    names("es")          # and those that JupyterLab gives a screen reader without asking its language pack

`words.<language>.yaml` maps the English of JupyterLab to ours; `buttons.<language>.yaml` that of nbgrader.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent
DOMAIN = "jupyterlab"
DOMAINS = (DOMAIN, "jupyterlab_widgets")  # whose catalogues are completed
# Some notebooks and cells are made by parts of JupyterLab that hand no language on to them.
NAMES = (
    *("main area content", "main area toolbar", "Cells", "Cell toolbar"),
    *("Markdown Cell Content", "Code Cell Content", "Code Cell Content with Output", "Raw Cell Content"),
)


def add_words() -> None:
    """Complete what this process's server answers when JupyterLab asks for a language."""
    from jupyterlab_server import translations_handler

    translations_handler.get_language_pack = completed(translations_handler.get_language_pack)


def completed(get_language_pack: Callable[[str], tuple[dict, str]]) -> Callable[[str], tuple[dict, str]]:
    """Return a `get_language_pack` whose catalogues of JupyterLab and its widgets have our words, in place of
    their own too."""

    @wraps(get_language_pack)
    def with_ours(locale: str) -> tuple[dict, str]:
        data, message = get_language_pack(locale)
        ours = words(locale[:2])
        full = {domain: {**data.get(domain, {}), **ours} for domain in DOMAINS}
        return ({**data, **full} if ours else data), message

    return with_ours


@cache
def words(code: str) -> dict[str, list[str]]:
    """Return our catalogue of JupyterLab's words by their English; empty for a language without one."""
    return {english: [own] if isinstance(own, str) else own for english, own in _read("words", code).items()}


@cache
def buttons(code: str) -> dict[str, str]:
    """Return the words of nbgrader's button and dialogs by their English."""
    return _read("buttons", code)


def names(code: str) -> dict[str, str]:
    """Return what screen readers are told, by its English; empty for a language without a catalogue."""
    return {english: words(code)[english][0] for english in NAMES if english in words(code)}


def _read(name: str, code: str) -> dict:
    file = FOLDER / f"{name}.{code}.yaml"
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
