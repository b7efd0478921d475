"""Fifty stored runs: check, dashboard, bedside, capstone and card agree on one verdict for each."""

from __future__ import annotations

import copy
import json
import math
import shutil
from pathlib import Path

import pytest

from course.credits import measured
from course.patients import Patient
from minigpt import Config, Recipe, train
from minigpt.cli import main
from minigpt.dashboard import from_run
from minigpt.dashboard.page import _run
from minigpt.diagnosis import TREES, Verdict, check
from minigpt.diagnosis.card import rows
from minigpt.runs.run import Run

CONFIG = Config(
    n_layer=1, n_head=2, n_embd=16, context=16, batch_size=4, accumulation=2, steps=40, warmup_steps=8,
    eval_every=20, eval_batches=1, checkpoint_every=0, device="cpu",
)  # fmt: skip


def start(**figures):
    return lambda run: run["start"].update(figures)


def rehearsal(**figures):
    return lambda run: run["rehearsal"].update(figures)


def column(name, value):
    """Give every step a figure: `value(step, the figure that it had)`."""

    def change(run):
        for record in run["metrics"]:
            if name in record:
                record[name] = value(record["step"], record[name])

    return change


def rates(value):
    """Give the rate of every group at every step: `value(group, step, the rate that it had)`."""
    return column("lr", lambda step, lr: {group: value(group, step, rate) for group, rate in lr.items()})


def weights(**factors):
    def change(run):
        name, matrix = next(iter(run["start"].get("weights", {"wte": {"std": 1.0, "mean": 0.0}}).items()))
        run["start"].setdefault("weights", {})[name] = matrix | {
            key: matrix[key] * factor + (factor if key == "mean" else 0) for key, factor in factors.items()
        }

    return change


def without(*names):
    def change(run):
        for record in run["metrics"]:
            for name in names:
                record.pop(name, None)

    return change


SPOILT = {
    "healthy": lambda run: None,
    "sum": lambda run: (start(duplicate_batch_ratio=2.0)(run), column("loss", lambda s, x: 64 * x)(run)),
    "loud start": column("loss", lambda step, loss: loss + 5 * (step == 0)),
    "biased head": lambda run: (start(head_bias_max=3.0)(run), column("loss", lambda s, x: x + 2)(run)),
    "quiet start": column("loss", lambda step, loss: loss - 3),
    "shifted": start(target_offset_share={"0": 0.0, "1": 0.02, "2": 1.0, "3": 0.0}),
    "no offset fits": start(target_offset_share={"0": 0.1, "1": 0.1, "2": 0.1, "3": 0.1}),
    "sees the future": start(future_gradient=0.2),
    "nothing counts": start(unmasked_share=0.0),
    "one target": start(distinct_targets=1),
    "few count": start(unmasked_share=0.05),
    "rate 0": rates(lambda group, step, rate: 0.0),
    "rate stands": rates(lambda group, step, rate: 1e-3),
    "slow group": rates(lambda group, step, rate: rate * (0.1 if group == "decay" else 1)),
    "rate jumps": rates(lambda group, step, rate: rate if step < 30 else 0.1 * rate),
    "rate no number": rates(lambda group, step, rate: "NaN" if step == 20 else rate),
    "uphill": rehearsal(downhill=0.1),
    "large gradients": column("grad_norm", lambda step, norm: 50.0),
    "tiny gradients": column("grad_norm", lambda step, norm: 1e-4),
    "no gradient is a number": column("grad_norm", lambda step, norm: "NaN"),
    "spikes": column("grad_norm", lambda step, norm: 500.0 if step % 8 == 7 else 1.0),
    "frozen": rehearsal(frozen=["h.0.attn.c_attn.weight"]),
    "not cleared": rehearsal(carried_gradient=2.0),
    "loss ends as NaN": column("loss", lambda step, loss: "NaN" if step > 20 else loss),
    "loss negative": column("loss", lambda step, loss: -loss),
    "diverges": column("loss", lambda step, loss: 5.0 if step < 20 else 9.0),
    "validation apart": column("val_loss", lambda step, loss: loss + 3),
    "validation too good": column("val_loss", lambda step, loss: loss - 3),
    "shared lines": start(shared_lines=0.4),
    "wide matrix": weights(std=100.0),
    "mean off": weights(mean=0.5),
    "no norm": start(stream_exponents={"h.0.attn": 1.0}),
    "gains decay": rehearsal(decaying={"vectors": ["ln_f.weight"], "matrices_without": []}),
    "state lost": rehearsal(steps_counted=0.2),
    "no correction": rehearsal(first_updates=[0.447, 0.6, 0.7, 0.78, 0.83]),
    "sum of micro-batches": rehearsal(accumulation_ratio={"equal": 2.0, "unequal": 2.0}),
    "micro-batches alike": rehearsal(accumulation_ratio={"equal": 1.0, "unequal": 1.3}),
    "no losses": without("loss", "val_loss"),
    "no gradients": without("grad_norm"),
    "two causes": lambda run: (start(future_gradient=0.2)(run), rehearsal(steps_counted=0.2)(run)),
}
WATCHED = ("healthy", "no losses", "loud start", "shifted", "rate 0", "large gradients", "spikes", "diverges",
           "loss ends as NaN", "state lost", "nothing counts", "uphill")  # fmt: skip


def parts_of(path: Path) -> dict:
    run = Run(path)
    probes = {probe["kind"]: probe for probe in reversed(run.probes)}
    return {"manifest": run.manifest, "metrics": run.metrics, **probes}


def store(parts: dict, path: Path) -> Path:
    path.mkdir()
    (path / "manifest.json").write_text(json.dumps(parts["manifest"]), encoding="utf-8")
    probes = [record for name, record in parts.items() if name not in ("manifest", "metrics")]
    for name, records in (("metrics", parts["metrics"]), ("probes", probes)):
        (path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path


def watched(parts: dict) -> dict:
    """The same run as a monitor would have written it: no config, no probe that needs minigpt's own model."""
    parts["manifest"] |= {"config": None, "asked": {"vocab_size": CONFIG.vocab_size}}
    for name in ("weights", "stream_exponents", "shared_lines", "shared_ngrams"):
        parts["start"].pop(name, None)
    parts["start"] |= {"cross_entropy": parts["metrics"][0]["loss"], "vocab_size": CONFIG.vocab_size}
    return {name: parts[name] for name in ("manifest", "metrics", "start", "rehearsal")}


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("stored")
    base = parts_of(train(Recipe(CONFIG), folder / "base").path)
    shutil.rmtree(folder / "base")
    paths = []
    for source, names in (("trainer", SPOILT), ("monitor", WATCHED)):
        for name in names:
            parts = copy.deepcopy(base) if source == "trainer" else watched(copy.deepcopy(base))
            SPOILT[name](parts)
            paths.append(store(parts, folder / f"{source} {name}"))
    return paths


def test_everybody_gives_every_run_one_verdict(stored, capsys, monkeypatch):
    assert len(stored) >= 50
    card = {
        row.id: {*row.above, *(leaf for leaf, _ in row.actions)} for _, part in rows("en") for row in part
    }
    verdicts = {}
    for number, path in enumerate(stored):
        capsys.readouterr()
        code = main(["check", str(path), "--json", "--all"])
        said = json.loads(capsys.readouterr().out)
        verdict = said["verdict"], said["leaf"]
        verdicts[path.name] = verdict
        assert code == {"pass": 0, "fail": 1, "unknown": 3}[said["verdict"]]
        assert (check(path).verdict.value, check(path).leaf) == verdict, path.name
        drawn = _run(from_run(path))["walk"]["en"]
        assert drawn == said, path.name
        monkeypatch.setattr(Patient, "train", lambda *_, path=path: Run(path))
        capstone = Patient(f"stored {number}", "A").walk()
        assert (capstone.verdict.value, capstone.leaf) == verdict, path.name
        told = [finding for finding in said["findings"] if finding["verdict"] != "not-measured"]
        assert [finding.question for finding in measured(Run(path))] == [f["question"] for f in told]
        assert all(finding["leaf"] in card[finding["question"]] for finding in told if finding["leaf"])
    assert len({leaf for _, leaf in verdicts.values()}) > 20
    assert {verdict for verdict, _ in verdicts.values()} == {"pass", "fail", "unknown"}
    assert verdicts["trainer healthy"] == verdicts["monitor healthy"] == ("pass", None)
    assert verdicts["trainer no losses"][0] == verdicts["monitor no losses"][0] == "unknown"
    assert verdicts["trainer two causes"] == ("fail", "future-leak")


def test_findings_carry_the_thresholds_of_the_card(stored):
    limits = {question.id: question.thresholds for tree in TREES for question in tree.questions}
    for finding in check(stored[0], whole=True).findings:
        assert finding.limits == limits[finding.question]


def test_the_first_cause_names_the_fix_and_one_line_names_the_others(stored, capsys):
    path = next(path for path in stored if path.name == "trainer two causes")
    assert main(["check", str(path), "--lang", "en"]) == 1
    told = capsys.readouterr().out
    assert told.index("future-leak") < told.index("Also found") < told.index("lost-optimizer-state")
    assert "6.2b" not in told and "--all shows each" in told
    assert math.isclose(told.count("What to change"), 1)
    assert main(["check", str(path), "--all", "--lang", "en"]) == 1
    assert "6.2b" in capsys.readouterr().out


def test_healthy_says_what_nobody_declared(stored, capsys):
    path = next(path for path in stored if path.name == "monitor healthy")
    assert main(["check", str(path), "--lang", "en"]) == 0
    first = " ".join(capsys.readouterr().out.split()).partition("questions:")[0]
    assert first.startswith("✓ Healthy: ") and "Not judged: the schedule" in first
    assert check(path).verdict is Verdict.PASS
