"""One question of the dynamics tree, asked about evidence that a test makes up."""

import json

import numpy as np

from minigpt.diagnosis import DYNAMICS, Evidence, walk
from minigpt.diagnosis.report import as_data
from minigpt.messages import LANGUAGES
from minigpt.runs.jsonl import Columns
from minigpt.runs.schema import Source


def ask(id, columns=(), probes=(), **more):
    """Return the finding of one question about columns (name: values by step) and probes."""
    columns = dict(columns)
    count = max(map(len, columns.values()), default=0)
    records = [
        {"step": step} | {name: values[step] for name, values in columns.items() if step < len(values)}
        for step in range(count)
    ]
    audits: dict = {}
    for probe in probes:
        audits.setdefault(probe.kind, []).append(probe)
    evidence = Evidence(
        source=more.pop("source", Source.TRAINER),
        metrics=Columns(records),
        audits={kind: tuple(found) for kind, found in audits.items()},
        **more,
    )
    question = DYNAMICS.question(id)
    found = question.judge(question, evidence)
    for code in LANGUAGES:  # whatever it says can be said
        json.dumps(as_data(walk(evidence, (question,), whole=True), code), allow_nan=False)
    return found


def falling(count, start=6.0, end=3.0, noise=0.05, seed=0):
    """Return a loss curve that falls, with noise."""
    rng = np.random.default_rng(seed)
    curve = end + (start - end) * np.exp(-np.arange(count) / (count / 4))
    return (curve + rng.normal(0, noise, count)).tolist()
