"""The dashboard's data: right figures, nothing lost in thinning, one whole file or none."""

import json
import math
import re

import numpy as np
import pytest

from minigpt.cli import main
from minigpt.config import Config
from minigpt.dashboard import follow, from_run, named_apart, page
from minigpt.dashboard.panels import OURS, panels
from minigpt.dashboard.series import as_lists, rolling_mean, thin
from minigpt.messages import CATALOGUE, LANGUAGES
from minigpt.training.schedule import lr_at

PANELS = ["loss", "lr", "gradients", "activations", "weights", "moments", "verbs"]
DYNAMICS = [
    "attention",
    "entropy",
    "logits",
    "growth",
    "noise",
    "units",
    "rank",
    "sharpness",
    "gates",
    "memory",
    "tasks",
]


def make_run(path, count=200, columns=None, config=None, probes=()):
    """Write a run directory as a trainer would, without training."""
    path.mkdir(parents=True)
    config = config or Config(steps=count, warmup_steps=min(10, count))
    (path / "manifest.json").write_text(json.dumps({"format": 1, "config": config.to_dict(), "faults": []}))
    columns = columns or {}
    with (path / "metrics.jsonl").open("w") as file:
        for step in range(count):
            record = {
                "step": step,
                "loss": 6.24 - step / count,
                "grad_norm": 1.0,
                "lr": {"decay": lr_at(step, config)},
            }
            record |= {name: values[step] for name, values in columns.items() if step in values}
            file.write(json.dumps(record) + "\n")
    (path / "probes.jsonl").write_text("".join(json.dumps(probe) + "\n" for probe in probes))
    return path


def data_of(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])


def panel_of(sources, id):
    return next(panel for panel in panels(sources) if panel["id"] == id)


def test_thinning_keeps_every_spike_and_both_ends():
    values = np.sin(np.arange(100_000) / 5000)
    values[[777, 54_321]] = 9.0, -9.0
    steps, kept = thin(np.arange(100_000), values, 1000)
    assert len(steps) <= 1004 and (np.diff(steps) > 0).all()
    assert {0, 777, 54_321, 99_999} <= set(steps.tolist())
    assert kept.tolist() == values[steps].tolist()


def test_thinning_keeps_gaps_and_sorts_what_went_back_in_time():
    values = np.ones(10_000)
    values[5000:5003] = math.nan
    values[7000] = math.inf
    steps, kept = thin(np.arange(10_000), values, 100)
    assert np.isnan(kept[np.isin(steps, range(5000, 5003))]).any()
    assert as_lists(steps, kept)["y"].count(None) == 2
    steps, kept = thin(np.array([5, 6, 0, 1]), np.array([5.0, 6.0, 0.0, 1.0]), 100)
    assert steps.tolist() == [0, 1, 5, 6] and kept.tolist() == [0, 1, 5, 6]


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 1234])
def test_thinning_copes_with_any_length(count):
    for values in (np.arange(float(count)), np.full(count, math.nan)):
        steps, kept = thin(np.arange(count), values, 100)
        assert len(steps) == len(kept) and steps[0] == 0 and steps[-1] == count - 1


def test_a_logarithmic_axis_has_no_place_for_zero():
    assert as_lists(np.arange(4), np.array([0.0, -1.0, 0.123456789, 1e-9]), positive=True)["y"] == [
        None, None, 0.12346, 1e-9,
    ]  # fmt: skip


def test_rolling_mean_looks_back_and_does_not_hide_nan():
    found = rolling_mean(np.array([1.0, 2.0, 3.0, math.nan, 5.0, 6.0, 7.0]), 2)
    assert found[:3].tolist() == [1.0, 1.5, 2.5]
    assert np.isnan(found[3:5]).all() and found[5:].tolist() == [5.5, 6.5]


def test_the_seven_panels_of_a_trained_run(tiny_run):
    source = from_run(tiny_run.path)
    found = panels([source])
    assert [panel["id"] for panel in found] == PANELS + DYNAMICS[:7]
    assert all(panel["series"] for panel in found)
    by_id = {panel["id"]: panel for panel in found}
    train, validation = by_id["loss"]["series"]
    steps, loss = tiny_run.column("loss")
    assert train["x"] == steps.tolist() and train["y"] == pytest.approx(loss.tolist(), rel=1e-4)
    assert validation["label"] == {"t": "validation"} and validation["x"] == [79]
    lines = {line["label"]["t"]: line["y"] for line in by_id["loss"]["lines"]}
    assert lines["chance"] == pytest.approx(math.log(512), abs=1e-3) and lines["ngram"] < 2
    assert [series["label"] for series in by_id["lr"]["series"]] == ["decay", "no_decay", {"t": "asked"}]
    assert by_id["lr"]["series"][0]["y"] == by_id["lr"]["series"][2]["y"]
    assert [series["label"] for series in by_id["activations"]["series"]] == [
        {"t": "embedding"}, {"t": "block", "n": 1}, {"t": "block", "n": 2},
    ]  # fmt: skip
    counter = by_id["moments"]["series"][2]
    assert counter["label"] == {"t": "counter"} and set(counter["y"]) == {1.0}
    assert set(OURS) >= {name for name in tiny_run.columns.names() if not name.startswith("lr.")}


def test_the_schedule_asked_for_is_drawn_for_every_multiplier(tmp_path):
    config = Config(steps=50, warmup_steps=5, lr_multipliers="wte=0.5")
    path = make_run(
        tmp_path / "run", 50, {"lr": {step: {"decay": 1.0, "decay:wte": 1.0} for step in range(50)}}, config
    )
    asked = [s for s in panel_of([from_run(path)], "lr")["series"] if isinstance(s["label"], dict)]
    assert [series["label"] for series in asked] == [{"t": "asked"}, {"t": "asked", "n": "× 0.5"}]
    assert asked[1]["y"] == pytest.approx([lr_at(step, config) / 2 for step in range(50)], rel=1e-4)


def test_spikes_are_marked_where_they_happened(tmp_path):
    path = make_run(tmp_path / "run", 100, {"loss": {40: 33.0, 41: "NaN"}, "loss_spike": {40: 5.4}})
    train, spikes = panel_of([from_run(path)], "loss")["series"]
    assert (spikes["style"], spikes["x"], spikes["y"]) == ("points", [40], [33.0])
    assert train["y"][41] is None


def test_too_many_curves_leave_the_largest_in_the_order_of_the_model(tmp_path):
    tensors = {f"h.{i}.weight": {"spectral_norm": float(i % 20), "mean": 0, "std": 0} for i in range(40)}
    path = make_run(
        tmp_path / "run", 5, probes=[{"step": 4, "kind": "weights", "tensors": tensors}, {"kind": "weights"}]
    )
    labels = [series["label"] for series in panel_of([from_run(path)], "weights")["series"]]
    assert labels == [f"h.{i}.weight" for i in (14, 15, 16, 17, 18, 19, 34, 35, 36, 37, 38, 39)]


def test_several_runs_share_the_panels_and_are_named_apart(tmp_path):
    paths = [make_run(tmp_path / "a" / "run"), make_run(tmp_path / "b" / "run"), make_run(tmp_path / "c", 20)]
    sources = named_apart(from_run(path) for path in [*paths, paths[0]])
    assert [source.name for source in sources] == ["a/run", "b/run", "c"]
    assert [series["run"] for series in panel_of(sources, "loss")["series"]] == [0, 1, 2]


def test_the_page_is_whole_and_holds_both_languages(tiny_run):
    html = page([from_run(tiny_run.path)])
    assert not re.search(r"/\*(data|style|script|charts|library)", html)
    assert "default-src 'none'" in html
    assert not re.search(r"""(src|href)\s*=\s*["']""", html.replace("default-src 'none'", ""))
    data = data_of(html)
    for language in LANGUAGES:
        assert data["texts"][language]["panel-loss"]
        walk = data["runs"][0]["walk"][language]
        assert walk["verdict"] == "pass" and len(walk["findings"]) > 5
    asked = [data["runs"][0]["walk"][language]["findings"][0]["asked"] for language in LANGUAGES]
    assert asked[0] != asked[1]
    run = data["runs"][0]
    assert run["state"] == "finished" and run["done"] == run["steps"] == 80
    assert dict(run["figures"])["val-loss"] == pytest.approx(tiny_run.column("val_loss")[1][-1])
    assert ["config.n_layer", "2"] in run["manifest"]


def test_every_text_that_the_scripts_ask_for_exists():
    keys = {key.removeprefix("dashboard.page-") for key in CATALOGUE.keys("en")}
    source = "".join((page_part).read_text() for page_part in _parts())
    asked = set(re.findall(r'\btext\("([\w.-]+)"\)', source)) | set(
        re.findall(r'data-(?:text|label)="([\w-]+)"', source)
    )
    assert len(asked) > 10 and asked <= keys
    drawn = PANELS + DYNAMICS
    assert {f"panel-{id}" for id in drawn} | {f"about-{id}" for id in (*drawn, "other")} <= keys


def _parts():
    from minigpt.dashboard.page import FOLDER

    return [FOLDER / "page.html", FOLDER / "page.js", FOLDER / "charts.js"]


def test_names_cannot_break_out_of_the_data(tmp_path):
    evil = "</script><script>alert(1)</script>"
    path = make_run(tmp_path / "run")
    manifest = json.loads((path / "manifest.json").read_text()) | {"note": evil, "odd": math.nan}
    (path / "manifest.json").write_text(json.dumps(manifest))
    html = page([from_run(path)])
    assert evil not in html
    assert ["note", evil] in data_of(html)["runs"][0]["manifest"]


def test_a_run_that_died_says_so_and_one_that_goes_on_tells_the_time_left(tmp_path):
    config = Config(steps=500)
    dead = make_run(tmp_path / "dead", 20, {"loss": {19: "NaN"}}, config)
    summary = {
        "eta_seconds": {9: 60.5},
        "target_loss": {9: 1.4, 19: 1.4},
        "target_seconds": {9: 100.0, 19: None},
    }
    going = make_run(tmp_path / "going", 20, summary, config)
    first, second = data_of(page([from_run(dead), from_run(going)]))["runs"]
    assert first["state"] == "not-finite" and ["loss", "NaN"] in first["figures"]
    assert second["state"] == "unfinished"
    assert dict(second["figures"]) | {"eta": 60.5, "target-loss": 1.4, "target-seconds": None} == dict(
        second["figures"]
    )


def test_a_long_run_makes_a_small_page(tmp_path):
    rng = np.random.default_rng(0)
    noise = {step: float(value) for step, value in enumerate(rng.normal(3, 0.5, 30_000))}
    path = make_run(tmp_path / "run", 30_000, {"loss": noise, "grad_norm": noise, "val_loss": noise})
    sources = [from_run(path)] * 12
    labels = [
        (series["label"]["t"], series.get("style")) for series in panel_of(sources[:1], "loss")["series"]
    ]
    assert labels == [("train", "pale"), ("smoothed", None), ("validation", "dashed")]
    assert len(page(sources[:1]).encode()) < 400_000
    assert len(page(sources).encode()) < 3_000_000


@pytest.fixture
def run_dir(tmp_path):
    return make_run(tmp_path / "first")


def test_the_command_writes_into_the_run_or_where_it_is_told(run_dir, tmp_path, capsys):
    assert main(["dashboard", str(run_dir)]) == 0
    assert str(run_dir / "dashboard.html") in capsys.readouterr().out
    other = tmp_path / "other.html"
    assert main(["dashboard", str(run_dir), "--out", str(other), "--lang", "es"]) == 0
    assert "Dashboard guardado" in capsys.readouterr().out
    assert '<html lang="es">' in other.read_text() and data_of(other.read_text())["language"] == "es"
    assert '<html lang="en">' in (run_dir / "dashboard.html").read_text()


@pytest.mark.parametrize(
    "case", ["no run", "missing", "not a run", "empty", "torn", "mixed", "wandb", "folder", "nowhere"]
)
def test_bad_input_is_one_sentence_and_no_file(case, run_dir, tmp_path, capsys):
    empty = make_run(tmp_path / "empty", 0, config=Config())
    torn = make_run(tmp_path / "torn")
    (torn / "metrics.jsonl").write_text(
        '{"step": 0, "loss": 6.2}\n{"step": 1, "lo\n{"step": 2, "loss": 6.1}\n'
    )
    out = ["--out", str(tmp_path / "out.html")]
    arguments = {
        "no run": [], "missing": [str(tmp_path / "x"), *out], "not a run": [str(tmp_path), *out],
        "empty": [str(empty), *out], "torn": [str(torn), *out], "mixed": [str(run_dir), str(tmp_path), *out],
        "wandb": [str(run_dir), "--wandb", str(run_dir), *out],
        "folder": [str(run_dir), "--out", str(tmp_path)],
        "nowhere": [str(run_dir), "--out", str(tmp_path / "x" / "out.html")],
    }  # fmt: skip
    before = sorted(tmp_path.rglob("*"))
    assert main(["dashboard", *arguments[case]]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("minigpt: ")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_page_that_cannot_be_written_leaves_the_old_one(run_dir, monkeypatch, capsys):
    out = run_dir / "dashboard.html"
    out.write_text("old")

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert main(["dashboard", str(run_dir)]) == 2
    assert "No space left" in capsys.readouterr().err
    assert out.read_text() == "old" and not list(run_dir.glob(".dashboard*"))


def test_following_writes_again_until_the_run_ends(tmp_path):
    path, out = tmp_path / "run", tmp_path / "live.html"
    make_run(path, 3)
    whole = (path / "metrics.jsonl").read_text().splitlines(keepends=True)
    (path / "metrics.jsonl").write_text("")
    seen = []

    def wait(seconds):
        data = data_of(out.read_text())
        seen.append((data["live"], data["runs"][0]["done"]))
        assert seconds >= 2
        with (path / "metrics.jsonl").open("a") as log:
            log.write(whole[len(seen) - 1])

    follow(lambda: [from_run(path, may_be_empty=True)], out, wait)
    assert [done for _, done in seen] == [0, 1, 2] and all(live for live, _ in seen)
    last = data_of(out.read_text())
    assert last["live"] is None and last["runs"][0]["state"] == "finished"


def test_ctrl_c_ends_following_with_a_page_that_stays(run_dir, monkeypatch, capsys):
    def interrupt(_seconds):
        raise KeyboardInterrupt

    config = Config(steps=9000)
    run_dir = make_run(run_dir.parent / "going", 20, config=config)
    monkeypatch.setattr(follow, "__defaults__", (interrupt,))
    assert main(["dashboard", str(run_dir), "--live"]) == 0
    assert capsys.readouterr().out.count(str(run_dir / "dashboard.html")) == 2
    assert data_of((run_dir / "dashboard.html").read_text())["live"] is None


@pytest.fixture
def external_run(tmp_path):
    """A run that somebody else's loop logged to W&B, offline, under names of its own."""
    wandb = pytest.importorskip("wandb")
    settings = wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True)
    run = wandb.init(mode="offline", dir=tmp_path, name="external", config={"lr": 0.1}, settings=settings)
    for step in range(10):
        run.log({"train/loss": 5 - step / 10, "train/lr": 0.1, "accuracy": step / 10, "note": "x"}, step=step)
    run.finish()
    wandb.teardown()
    return next((tmp_path / "wandb").glob("offline-run-*"))


def test_an_external_wandb_run_is_drawn_as_far_as_it_goes(external_run, run_dir, tmp_path):
    out = tmp_path / "page.html"
    assert main(["dashboard", str(run_dir), "--wandb", str(external_run), "--out", str(out)]) == 0
    data = data_of(out.read_text())
    assert [run["name"] for run in data["runs"]] == ["first", "external"]
    assert data["runs"][1]["walk"] is None and ["config.lr", "0.1"] in data["runs"][1]["manifest"]
    by_id = {panel["id"]: panel for panel in data["panels"]}
    assert [series["run"] for series in by_id["loss"]["series"]] == [0, 1]
    assert by_id["loss"]["series"][1]["y"][-1] == 4.1
    assert by_id["lr"]["series"][-1]["label"] == "train.lr"
    assert (
        by_id["other"]["name"] == "accuracy" and [panel["id"] for panel in data["panels"]].count("other") == 1
    )


def test_a_wandb_run_alone_gets_its_page_beside_it(external_run):
    assert main(["dashboard", "--wandb", str(external_run)]) == 0
    assert (external_run / "dashboard.html").is_file()


def test_a_memory_and_tasks_have_their_panels_and_a_run_without_has_none(tmp_path):
    memory = {step: {"gate_entropy": [0.9, 0.5], "norm": [1.0 + step, 2.0]} for step in range(20)}
    columns = {"memory": memory, "tasks": {step: {"verbs": 3.0} for step in (9, 19)}}
    found = panels([from_run(make_run(tmp_path / "run", 20, columns))])
    by_id = {panel["id"]: panel for panel in found}
    assert [panel["id"] for panel in found] == [*PANELS, "gates", "memory", "tasks"]
    assert [series["label"] for series in by_id["gates"]["series"]] == [
        {"t": "memory-gate_entropy", "n": 0}, {"t": "memory-gate_entropy", "n": 1},
    ]  # fmt: skip
    assert by_id["memory"]["series"][0]["y"][:3] == [1, 2, 3]
    assert by_id["tasks"]["series"][0]["label"] == "verbs"


def test_what_a_guard_did_is_marked_on_the_loss_curve(tmp_path):
    path = make_run(tmp_path / "run", 50)
    seen = {"loss": {"seen": 9.5, "usual": 6.0}}
    events = [
        {"step": 20, "guard": "spikes", "seen": seen},
        {"step": 30, "guard": "rate", "seen": {"rate": 1}},
    ]
    (path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    marks = panel_of([from_run(path)], "loss")["series"][-1]
    assert marks["style"] == "events" and marks["x"] == [20, 30]
    assert marks["y"] == [9.5, pytest.approx(6.24 - 30 / 50)]


def test_what_a_guard_undid_is_a_curve_of_its_own(tmp_path):
    path = make_run(tmp_path / "rolled", 20)
    log = path / "metrics.jsonl"
    records = [json.loads(line) | {"attempt": 0} for line in log.read_text().splitlines()]
    again = [record | {"attempt": 1, "loss": 1.0} for record in records[10:]]
    log.write_text("".join(json.dumps(record) + "\n" for record in records[:15] + again))
    drawn = data_of(page([from_run(path)]))["panels"]
    loss, *_ = drawn
    undone = [series for series in loss["series"] if series.get("style") == "undone"]
    assert [(series["label"], series["x"]) for series in undone] == [
        ({"t": "undone", "n": 1}, [*range(10, 15)])
    ]
    kept = next(series for series in loss["series"] if series["label"] == {"t": "train"})
    assert kept["x"] == [*range(20)] and kept["y"][10:] == [1.0] * 10
    assert "attempt" not in [panel.get("name") for panel in drawn]
