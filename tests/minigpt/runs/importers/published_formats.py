"""Logs in the formats of published_formats.yaml, of runs that are made up here."""

import math
import random
from pathlib import Path
from types import SimpleNamespace

import yaml

FORMATS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))

TOTAL, PER_EPOCH, EVERY, LOOK = 2400, 600, 10, 200


def rows(seed=0, start=8.3, end=3.4, bend=400, noise=0.03, norm=1.2, rate=6e-4, count=TOTAL // EVERY):
    """Return what one healthy run measured, a row for every tenth step."""
    rng, found = random.Random(seed), []
    for index in range(count):
        step = EVERY * index
        level = end + (start - end) * math.exp(-step / bend)
        warm = min(1.0, (step + 1) / 100)
        lr = rate * warm * (0.1 + 0.45 * (1 + math.cos(math.pi * step / TOTAL)))
        found.append(
            SimpleNamespace(
                step=step,
                next=step + 1,
                total=TOTAL,
                epoch=step // PER_EPOCH,
                epoch1=step // PER_EPOCH + 1,
                part=step / PER_EPOCH,
                batch=step % PER_EPOCH,
                per=PER_EPOCH,
                percent=100 * step // TOTAL,
                loss=level + rng.gauss(0, noise),
                norm=norm * math.exp(rng.gauss(0, 0.1)),
                lr=lr,
                val=level + 0.05 + rng.gauss(0, 0.005),
                ppl=math.exp(min(level, 20)),
            )
        )
    return found


def text(name, measured, look=LOOK):
    """Return a log in one of the formats."""
    lines = [_filled(FORMATS[name].get("before", ""))]
    for row in measured:
        lines.append(FORMATS[name]["train"].format(**vars(row)) + "\n")
        if "val" in FORMATS[name] and row.step % look == 0:
            lines.append(FORMATS[name]["val"].format(**vars(row)) + "\n")
    return "".join([*lines, _filled(FORMATS[name].get("after", ""))])


def _filled(template):
    return template.replace("{{", "{").replace("}}", "}")
