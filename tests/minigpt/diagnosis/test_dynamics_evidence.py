"""Evidence of any kind: no judge of the dynamics tree breaks on it, and all that is found can be said."""

import dataclasses
import json
import typing
from collections.abc import Mapping

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_runs import SMALL

from minigpt.diagnosis import DYNAMICS, Evidence, walk
from minigpt.diagnosis.report import as_data
from minigpt.runs import schema
from minigpt.runs.jsonl import Columns
from minigpt.runs.schema import Baselines, Event, Rehearsal, Source

FP16 = SMALL.replace(precision="fp16")
KINDS = (
    *(schema.Attention, schema.Logits, schema.Updates, schema.Noise, schema.Units),
    *(schema.Statefulness, schema.Owners, schema.NeverLearnt, schema.NonFinite),
)


def anything(hint):
    """Return a strategy for plain data of a type."""
    arguments = typing.get_args(hint)
    if hint is type(None):
        return st.none()
    if hint is float:
        return st.floats()
    if hint is int:
        return st.integers(0, 500)
    if hint in (str, bool):
        return st.from_type(hint)
    if typing.get_origin(hint) is list:
        return st.lists(anything(arguments[0]), max_size=3)
    if typing.get_origin(hint) is Mapping:
        return st.dictionaries(st.sampled_from(["a", "b"]), anything(arguments[1]), max_size=2)
    return st.one_of(*map(anything, arguments))


def probe_of(kind):
    """Return a strategy for any probe of a kind."""
    hints = typing.get_type_hints(kind)
    given = {field.name: anything(hints[field.name]) for field in dataclasses.fields(kind)}
    return st.fixed_dictionaries({}, optional=given).map(lambda record: kind(**record))


SERIES = st.lists(st.floats() | st.floats(0, 10), max_size=90)
SCALING = st.fixed_dictionaries(
    {},
    optional={
        "clip_ratio": st.floats(0.0, 1e6),
        "updates": st.booleans(),
        "whole_window": st.booleans(),
        "zeros": st.floats(0, 1),
        "zeros_fp32": st.floats(0, 1),
    },
)


@given(
    probes=st.lists(st.one_of(*map(probe_of, KINDS)), max_size=8),
    columns=st.dictionaries(
        st.sampled_from(
            ["loss", "val_loss", "grad_norm", "seconds", "scale", "skipped", "lr_scale", "data_step"]
        ),
        SERIES,
    ),
    rates=SERIES,
    norms=SERIES,
    scaling=SCALING,
    seen=st.dictionaries(st.sampled_from(["rate", "usual", "loss"]), st.floats()),
    config=st.sampled_from([None, SMALL, FP16]),
    source=st.sampled_from(list(Source)),
)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_evidence_of_the_right_types_breaks_no_judge_and_can_be_said(
    probes, columns, rates, norms, scaling, seen, config, source
):
    count = max(map(len, (rates, norms, *columns.values())))
    records = []
    for step in range(count):
        record = {"step": step} | {n: v[step] for n, v in columns.items() if step < len(v)}
        record |= {"lr": {"all": rates[step]}} if step < len(rates) else {}
        record |= {"memory": {"norm": [norms[step]], "clamped": [0.1]}} if step < len(norms) else {}
        records.append(record)
    audits: dict = {}
    for probe in probes:
        audits.setdefault(probe.kind, []).append(probe)
    evidence = Evidence(
        source=source,
        vocab_size=512,
        config=config,
        metrics=Columns(records),
        rehearsal=Rehearsal(scaling=scaling),
        baselines=Baselines(unigram_entropy=5.0, ngram_loss=2.0),
        audits={kind: tuple(found) for kind, found in audits.items()},
        events=(Event(step=3, guard="spikes", seen=seen, batches=[3], skip=[3], scale_step=0.5),),
    )
    with np.errstate(all="ignore"):
        json.dumps(as_data(walk(evidence, (DYNAMICS,), whole=True), "es"), allow_nan=False)
