"""A blind patient's chart, as plain data: what the checks of a capstone read off it.

as_plain({"name": "Ada", "leaves": "head-bias", "evidence": ["1.1", "12.93"], "parts": [], "settings": {}})
"""

from __future__ import annotations

from course.probing import Unusable, number

_TEXT = 80  # characters of a text that are read


def as_plain(chart: object) -> dict:
    """Return a chart as texts, numbers, lists and dicts, whatever was written; {} where it is none.

    A text stands for the list that holds it, and `{"1.1": 12.93}` for the pair of question and figure.

    Raises:
        Unusable: a setting is no number.
    """
    if not isinstance(chart, dict):
        return {}
    name = chart.get("name")
    plain: dict = {"name": name[:200] if isinstance(name, str) else ""}
    for key in ("leaves", "parts"):
        plain[key] = [str(item)[:_TEXT] for item in _listed(chart.get(key))]
    evidence = chart.get("evidence")
    pair = list(next(iter(evidence.items()), ())) if isinstance(evidence, dict) else _listed(evidence)
    plain["question"] = str(pair[0])[:20] if pair else ""
    plain["figure"] = _figure(pair[1]) if len(pair) > 1 else None
    settings = chart.get("settings")
    settings = settings if isinstance(settings, dict) else dict.fromkeys(map(str, _listed(settings)))
    plain["settings"] = {str(key)[:_TEXT]: _value(str(key), value) for key, value in settings.items()}
    return plain


def _listed(value: object) -> list:
    if value is None or value is Ellipsis:
        return []
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]


def _value(setting: str, value: object) -> float | None:
    if isinstance(value, str):
        raise Unusable("charts.setting-not-a-number", setting=setting[:_TEXT])
    return None if value is None else number(value)


def _figure(value: object) -> float | str | None:
    if value is None or value is Ellipsis:
        return None
    if isinstance(value, bool):
        return "✓" if value else "✗"  # as the report prints it
    return value[:_TEXT] if isinstance(value, str) else number(value)
