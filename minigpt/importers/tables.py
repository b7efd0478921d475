"""Logs that name a metric and its value in columns of their own, or in files of their own.

step,metric,value
0,train/loss,4.16            # is {"step": 0, "train/loss": 4.16}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from minigpt.importers.names import ForeignLogError, plain

METRIC = ("metric", "metric_name", "metricname", "key", "tag", "name")
VALUE = ("value", "metric_value", "metricvalue")
CONTEXT = ("context", "metric_context", "subset", "split")
VALIDATION = re.compile(r"\b(val|valid|validation|eval)", re.IGNORECASE)
MLFLOW = re.compile(rb"\d{10,} \S+ \d+\s")  # time, value, step

Rows = Iterator[tuple[object, Mapping[str, Any]]]


def spread(rows: Rows, path: Path, asked: Mapping[str, str]) -> Rows:
    """Return rows with a column for each metric, where the first row shows that there is one for their names.

    Raises:
        ForeignLogError: what holds the values of all metrics was named as one of them.
    """
    first = next(rows, None)
    if first is None:
        return iter(())
    rows = chain([first], rows)
    columns = {plain(column): column for column in first[1]}
    metric, value, context = (
        next((columns[name] for name in known if name in columns), None) for known in (METRIC, VALUE, CONTEXT)
    )
    if metric is None or value is None:
        return rows
    for name, given in asked.items():
        if name != "step" and given == value:
            raise ForeignLogError(
                "foreign.one-metric", path=path, column=given, name=name, metric=first[1][metric]
            )
    return _spread(rows, metric, value, context)


def _spread(rows: Rows, metric: str, value: str, context: str | None) -> Rows:
    for place, row in rows:
        called = str(row.get(metric))
        if context and VALIDATION.search(str(row.get(context))) and not VALIDATION.search(called):
            called = f"val_{called}"
        others = {column: entry for column, entry in row.items() if column not in (metric, value)}
        yield place, {**others, called: row.get(value)}


def _mlflow_files(folder: Path) -> dict[str, Path]:
    """Return the file of each metric by its name."""
    metrics = folder / "metrics" if (folder / "metrics").is_dir() else folder
    if metrics.name != "metrics":
        return {}
    return {str(file.relative_to(metrics)): file for file in sorted(metrics.rglob("*")) if file.is_file()}


def is_mlflow(folder: Path) -> bool:
    """Return whether a folder is a run that MLflow keeps in files, or its metrics."""
    for file in _mlflow_files(folder).values():
        with file.open("rb") as lines:
            return bool(MLFLOW.match(lines.readline(200)))
    return False


def mlflow_rows(folder: Path, _asked: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield a row for each line of each metric: time, value, step."""
    for name, file in _mlflow_files(folder).items():
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                fields = line.split()
                if not line.endswith("\n"):
                    break  # torn by a kill
                if len(fields) != 3:
                    raise ForeignLogError("foreign.bad-line", path=file, line=number)
                yield f"{name}:{number}", {"step": fields[2], name: fields[1]}
