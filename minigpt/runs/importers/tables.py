"""Tables: CSV, and logs that name a metric and its value in columns of their own, or in files of their own.

step,metric,value
0,train/loss,4.16            # is {"step": 0, "train/loss": 4.16}
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from minigpt.runs.importers.files import LONGEST, numbered_lines, open_text
from minigpt.runs.importers.names import ExternalLogError, counts_steps, matters, plain
from minigpt.runs.importers.notes import Notes

METRIC = ("metric", "metric_name", "metricname", "key", "tag", "name")
VALUE = ("value", "metric_value", "metricvalue")
CONTEXT = ("context", "metric_context", "subset", "split")
VALIDATION = re.compile(r"\b(val|valid|validation|eval)", re.IGNORECASE)
GROUPED = re.compile(r"\d{1,3}([.,]\d{3})+")  # thousands, or a number with three decimals: who knows
DECIMAL = re.compile(r"-?(?:0|\d{1,3}),(?:\d{1,2}|\d{4,})")  # no group of three
DAMAGED = 0.5  # share of rows above which a file is no table
ONE_TAG = {
    "wall_time",
    "step",
    "value",
}  # how TensorBoard downloads one curve, whose tag is in the file's name
MLFLOW = re.compile(rb"\d{10,} \S+ \d+\s")  # time, value, step

Rows = Iterator[tuple[object, Mapping[str, Any]]]


def spread(rows: Rows, path: Path, asked: Mapping[str, str]) -> Rows:
    """Return rows with a column for each metric, where the first row shows that there is one for their names.

    Raises:
        ExternalLogError: what holds the values of all metrics was named as one of them.
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
            raise ExternalLogError(
                "external.one-metric", path=path, column=given, name=name, metric=first[1][metric]
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
        yield from mlflow_metric(file, name)


def is_mlflow_metric(start: bytes) -> bool:
    """Return whether a file begins as one metric of MLflow does."""
    return bool(MLFLOW.match(start))


def mlflow_metric(file: Path, name: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the rows of one metric, whose file has its name."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.split()
            if not line.endswith("\n"):
                break  # torn by a kill
            if len(fields) != 3:
                raise ExternalLogError("external.bad-line", path=file, line=number)
            yield f"{name}:{number}", {"step": fields[2], name: fields[1]}


def csv_rows(path: Path, asked: Mapping[str, str], notes: Notes) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the rows below a header; remarks above it, lines that begin with “#”, are left out.

    Raises:
        ExternalLogError: most rows do not fit the header, or a quote does not close.
    """
    with open_text(path, newline="") as file:
        head = file.readline(LONGEST)
        while head.startswith("#"):
            head = file.readline(LONGEST)
        file.seek(0)
        delimiter = max(",;\t", key=head.count)
        lines = (line for _, line in numbered_lines(file, path) if not line.startswith("#"))
        reader, done, good, bad, first = csv.reader(lines, delimiter=delimiter, strict=True), 0, 0, 0, 0
        commas = False
        try:
            header = [name.strip() for name in next(reader, [])]
            if set(map(plain, header)) == ONE_TAG:
                tag = _tag_of(path, asked)
                header = [tag if plain(name) == "value" else name for name in header]
            done = reader.line_num
            for name in header:
                if header.count(name) > 1 and matters(name, asked):
                    raise ExternalLogError("external.twice", path=path, column=name)
            counters = [place for place, name in enumerate(header) if counts_steps(name, asked)]
            for fields in reader:
                done = reader.line_num
                if len(fields) > len(header):
                    bad += 1
                    first = first or done
                    notes.skip(done)
                    continue
                if delimiter == ";":  # where a comma is the decimal point
                    commas = commas or any(map(DECIMAL.fullmatch, fields))
                    if commas:  # and then a full stop parts thousands
                        fields = [
                            field.replace(".", "") if GROUPED.fullmatch(field) else field for field in fields
                        ]
                    _refuse_grouped(path, done, header, fields, counters)
                    fields = [field.replace(",", ".") if field.count(",") == 1 else field for field in fields]
                good += 1
                yield done, dict(zip(header, fields, strict=False))
        except csv.Error as error:
            if reader.line_num == done + 1 and next(lines, None) is None:
                return  # the last line, torn by a kill
            raise ExternalLogError("external.bad-line", path=path, line=done + 1) from error
    if bad > DAMAGED * (good + bad):
        if not any(matters(name, asked) for name in header):
            raise ExternalLogError("external.no-rows", path=path)  # no table, but lines without our numbers
        raise ExternalLogError("external.bad-line", path=path, line=first)


def _tag_of(path: Path, asked: Mapping[str, str]) -> str:
    """Return the name of the one curve of a file, from the file's: “run-1-tag-train_loss.csv”."""
    name = path.name.partition(".")[0]
    tag = name.rpartition("-tag-")[2]
    while not matters(tag, asked) and "-" in tag:
        tag = tag.partition("-")[2]
    return tag if matters(tag, asked) else name


def _refuse_grouped(path: Path, line: int, header: list[str], fields: list[str], counters: list[int]) -> None:
    for place in counters:
        if place < len(fields) and GROUPED.fullmatch(fields[place].strip()):
            values = {"column": header[place], "value": fields[place].strip()}
            raise ExternalLogError("external.bad-step", path=path, place=line, **values)
