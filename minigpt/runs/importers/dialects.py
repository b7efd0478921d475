"""Lines that name their numbers in a way of their own, written as “name: number”.

    as_named("12 93.4 s run, 11.6 loss, 4e-06 LR")     # "step: 12, run: 93.4, loss: 11.6, LR: 4e-06"

tinygrad's examples put the name behind the number, Trax a bar between them, gpt-2-simple the step into
brackets beside the seconds; Julia prints a Float32 as 4.87f0.
"""

from __future__ import annotations

import re

NUMBER = r"[-+]?(?:\d[\d.]*(?:[eE][-+]?\d+)?|nan|inf)"
BEHIND = re.compile(rf"(?i)\s*(\d+)\s+{NUMBER}\s+[a-z][\w/ ]*,.*?\s{NUMBER}\s+(?:train )?loss\s*(?:,|$)")
PAIR = re.compile(rf"(?i)({NUMBER})\s+([a-z][\w/ ]{{0,40}}?)\s*(?:,|$)")
BARRED = re.compile(r"^(Step\s+\d+\s*: (?:train|eval)\s+\w+)\s+\|\s*")
BRACKETED = re.compile(r"^\s*\[(\d+) \| \d+\.\d+\]\s")
FLOAT32 = re.compile(r"(?<=\d)f([-+]?\d{1,2})\b")


def as_named(line: str) -> str:
    """Return a line with its numbers named before them, where it has them in one of these ways."""
    if line.startswith("Step") and (barred := BARRED.match(line)):
        return f"{barred[1]}: {line[barred.end() :]}"
    if "[" in line and (step := BRACKETED.match(line)):
        return f"step: {step[1]} {line[step.end() :]}"
    if "loss" in line and (counted := BEHIND.match(line)):
        rest = line[counted.end(1) :]
        return f"step: {counted[1]}, " + ", ".join(f"{name}: {value}" for value, name in PAIR.findall(rest))
    return FLOAT32.sub(r"e\1", line) if "f" in line else line
