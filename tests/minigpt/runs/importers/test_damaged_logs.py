"""However a log is damaged: never a traceback, never “healthy” against its evidence or without any."""

import csv
import io
import json
import math
import random
import warnings
from codecs import BOM_UTF8

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minigpt.cli import main

V = 64
LN_V = math.log(V)
HEALTHY, READ = 0, (0, 1, 3)
examples = settings(
    max_examples=80,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def falling(steps):
    """Return a loss by step that falls from chance."""
    return [1 + (LN_V - 1) * 0.98**step for step in range(steps)]


def rows(values):
    """Return a row for each loss."""
    return [{"step": step, "loss": value, "grad_norm": 1.0, "lr": 1e-3} for step, value in enumerate(values)]


DIVERGED = rows(falling(300) + [1 + 0.05 * step for step in range(300)])


def with_a_restart(log, rng):
    """Train once more from a step in the middle to the end."""
    at = rng.randrange(len(log) - 1)
    return log[: rng.randrange(at + 1, len(log))] + log[at:]


def swapped(log, rng):
    """Exchange neighbours here and there."""
    log = list(log)
    for at in rng.sample(range(len(log) - 1), 30):
        log[at], log[at + 1] = log[at + 1], log[at]
    return log


def some(log, rng, share, **changes):
    """Change a share of the rows."""
    return [row | changes if rng.random() < share else row for row in log]


DAMAGES = {  # of rows; what they tell of a divergence is still there afterwards
    "gaps": lambda log, rng: [row for row in log if rng.random() < 0.5],
    "duplicates": lambda log, rng: [row for row in log for _ in range(rng.choice([1, 1, 2]))],
    "neighbours swapped": swapped,
    "no order": lambda log, rng: rng.sample(log, len(log)),
    "a restart": with_a_restart,
    "written twice": lambda log, rng: log + log,
    "a row out of place": lambda log, rng: [*log, rng.choice(log)],
    "the best step last": lambda log, rng: [*log, log[len(log) // 3], log[-1]],
    "losses missing": lambda log, rng: some(log, rng, 0.3, loss=None),
    "one loss too large": lambda log, rng: some(log, rng, 0.01, loss=1e30),
    "norms that are none": lambda log, rng: some(log, rng, 0.3, grad_norm=rng.choice(["NaN", "inf", None])),
    "validation without a number": lambda log, rng: some(log, rng, 0.1, val_loss="NaN"),
    "text for numbers": lambda log, rng: [{name: str(value) for name, value in row.items()} for row in log],
    "other columns": lambda log, rng: some(log, rng, 0.5, größe="日本", **{"\u202e": "\x00", "": "a,b\n"}),
    "nested": lambda log, rng: some(log, rng, 0.5, more={"a": {"loss": "x"}, "b": [1, {"c": 2}]}),
    "then in tokens": lambda log, rng: [
        row | {"step": 4096 * int(row["step"])} if at > len(log) / 2 else row for at, row in enumerate(log)
    ],
}


def as_jsonl(log):
    """Return a log as JSONL."""
    return "".join(json.dumps(row) + "\n" for row in log)


def as_csv(log):
    """Return a log as CSV, without what is nested."""
    file = io.StringIO()
    writer = csv.DictWriter(
        file, list(dict.fromkeys(name for row in log for name in row)), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(log)
    return file.getvalue()


def as_printed(log):
    """Return a log as a trainer prints it, without what has no number."""
    return "".join(
        ", ".join(f"{name}: {value}" for name, value in row.items() if isinstance(value, int | float | str))
        + "\n"
        for row in log
    )


@pytest.fixture
def check(tmp_path, capsys):
    """Return a function that checks bytes as a log, and holds every answer to what is promised of all."""

    def run(content, *options):
        (tmp_path / "log").write_bytes(content if isinstance(content, bytes) else content.encode())
        capsys.readouterr()
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            code = main(["check", str(tmp_path / "log"), "--json", *map(str, options)])
        output = capsys.readouterr()
        if code in READ:
            json.loads(output.out, parse_constant=pytest.fail)
            assert output.err == ""
        else:
            assert code == 2 and output.out == ""
            assert output.err[:-1].isprintable() and len(output.err) < 1000
        return code

    return run


@examples
@given(
    damages=st.lists(st.sampled_from(sorted(DAMAGES)), max_size=3),
    write=st.sampled_from([as_jsonl, as_csv, as_printed]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from([b"", BOM_UTF8]),
    seed=st.integers(0, 2**32),
    vocabulary=st.sampled_from([(), ("--vocab-size", V)]),
)
def test_no_damage_makes_a_divergence_healthy(damages, write, line_end, mark, seed, vocabulary, check):
    log, rng = DIVERGED, random.Random(seed)
    for damage in damages:
        log = DAMAGES[damage](log, rng)
    assert check(mark + write(log).replace("\n", line_end).encode(), *vocabulary) != HEALTHY


@examples
@given(
    write=st.sampled_from([as_jsonl, as_csv, as_printed]),
    changes=st.lists(
        st.tuples(
            st.floats(0, 1, exclude_max=True), st.sampled_from(["set", "cut", "add"]), st.integers(0, 255)
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_damaged_bytes_neither_hide_a_divergence_nor_break_the_check(write, changes, check):
    content = bytearray(write(DIVERGED).encode())
    for place, change, byte in changes:
        at = int(place * len(content))
        content[at : at + (change != "add")] = b"" if change == "cut" else bytes([byte])
    assert check(bytes(content)) != HEALTHY


@pytest.mark.parametrize("write", [as_jsonl, as_csv])
@pytest.mark.parametrize(
    "log",
    [
        [row | {"loss": None} for row in rows(falling(600))],
        rows(falling(900))[600:],  # nothing is left to learn
        rows(falling(600))[:15],
        rows([LN_V + 0.02 * math.sin(step) for step in range(10_000)])[::100],  # flat, and sparse
        rows([LN_V])[:1] + rows([LN_V] * 900)[870:],
        some(rows(falling(600)), random.Random(0), 0.01, loss="NaN"),
        some(rows(falling(600)), random.Random(0), 0.1, val_loss="NaN"),  # never a number
        some(rows(falling(600)), random.Random(0), 0.1, val_loss="inf"),
    ],
    ids=["losses gone", "start gone", "too short", "sparse", "middle gone", "NaN", "NaN alone", "inf"],
)
def test_what_is_not_in_a_log_is_not_healthy(log, write, check):
    assert check(write(log), "--vocab-size", V) == 3


@pytest.mark.parametrize("write", [as_jsonl, as_csv])
def test_what_is_unusual_and_no_damage_is_healthy(write, check):
    log = rows(falling(600))
    log[99] |= {"val_loss": "1.6", "größe": "日本"}
    log = [row if "val_loss" in row else row | {"val_loss": "NaN"} for row in log]  # as pandas writes a gap
    content = write(log[:400] + log[350:]).replace("\n", "\r\n")
    assert check(BOM_UTF8 + content.encode(), "--vocab-size", V) == HEALTHY


def test_a_validation_loss_is_compared_with_the_last_loss_where_losses_are_sparse(check):
    log = rows(falling(1000))[::15] + [{"step": step, "val_loss": 3.5} for step in range(70, 500, 100)]
    assert check(as_jsonl(log), "--vocab-size", V) == 1


def test_a_log_that_starts_late_is_judged_by_what_it_shows(check):
    assert check(as_jsonl(rows(falling(600))[10:]), "--vocab-size", V) == HEALTHY
    assert check(as_jsonl(DIVERGED[10:]), "--vocab-size", V) == 1


def test_a_quote_that_never_closes_swallows_no_rows(tmp_path, command):
    lines = as_csv(DIVERGED).splitlines(keepends=True)
    lines[300] = lines[300].replace(",1.0", ',"1.0')
    (tmp_path / "log.csv").write_text("".join(lines))
    assert "Line 301 " in command("check", tmp_path / "log.csv").sentence


def test_a_last_line_of_csv_torn_within_quotes_is_dropped(check):
    log = [row | {"note": "so far, so good"} for row in rows(falling(300))]
    content = as_csv(log)
    assert check(content[: content.rindex("good")], "--vocab-size", V) == HEALTHY


@pytest.mark.parametrize("depth", [100, 990, 1020, 100_000])
def test_nesting_is_read_or_refused_however_deep(depth, check):
    nested = '{"step": 0, "loss": 4, "a": ' + '{"a": ' * depth + "1" + "}" * (depth + 1)
    assert check(nested + '\n{"step": 1, "loss": 3}\n') in (2, 3)
