"""The loop: what it logs, how it stops, and that a resumed run is the uninterrupted one, bit for bit."""

import dataclasses
import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file
from small_runs import MINIMAL

from minigpt.messages import MiniGPTError
from minigpt.runs import checkpoint
from minigpt.runs.run import Run
from minigpt.training.callbacks.telemetry import BY_THE_CLOCK
from minigpt.training.recipe import Recipe
from minigpt.training.schedule import lr_at
from minigpt.training.trainer import NotFiniteError, Trainer, resume, train


class Kill:
    """A callback that ends the run after so many steps, as if the process had died."""

    class Killed(Exception):
        pass

    def __init__(self, after: int):
        self.after = after

    def on_step(self, trainer, record):
        if trainer.step == self.after:
            raise self.Killed


def killed_and_resumed(recipe: Recipe, folder, after: int) -> Run:
    with pytest.raises(Kill.Killed):
        Trainer(recipe, folder, [Kill(after)]).run()
    return resume(folder).run()


def metrics(run: Run) -> list[dict]:
    return [
        {name: value for name, value in record.items() if name not in BY_THE_CLOCK} for record in run.metrics
    ]


def files(run: Run) -> dict[str, bytes]:
    """Every byte of the last checkpoint."""
    last = checkpoint.find(run.path / "checkpoints")[-1]
    return {path.name: path.read_bytes() for path in last.iterdir()}


def assert_same(one: Run, other: Run) -> None:
    assert metrics(one) == metrics(other)
    assert one.probes == other.probes
    assert files(one) == files(other)


HARD = {
    "plain": {},
    "dropout": {"dropout": 0.3},
    "accumulation": {"accumulation": 3, "dropout": 0.1},
    "fp16": {"precision": "fp16", "loss_scale": 2.0**30, "dropout": 0.1},
    "bf16": {"precision": "bf16"},
    "z-loss": {"z_loss": 1e-3, "positions": "rotary", "activation": "swiglu"},
    "groups": {"lr_multipliers": "wte=0.5", "freeze": "wpe", "schedule": "wsd", "bias": True},
    "early stop": {"patience": 3, "eval_every": 2, "lr_max": 0.0, "lr_min": 0.0, "weight_decay": 0.0},
}


@pytest.mark.parametrize("settings", HARD.values(), ids=HARD)
def test_a_resumed_run_is_the_uninterrupted_one(settings, tmp_path):
    recipe = Recipe(MINIMAL.replace(**settings))
    whole = train(recipe, tmp_path / "whole")
    last = len(whole.metrics)
    for after in {1, 4, 5, 7, last}:
        assert_same(killed_and_resumed(recipe, tmp_path / f"killed-{after}", after), whole)


def test_a_run_killed_again_and_again_is_the_same(minimal, tmp_path):
    recipe = Recipe(minimal.replace(dropout=0.2, checkpoint_every=3))
    whole = train(recipe, tmp_path / "whole")
    with pytest.raises(Kill.Killed):
        Trainer(recipe, tmp_path / "run", [Kill(2)]).run()
    for after in (4, 7, 8, 10):
        with pytest.raises(Kill.Killed):
            resume(tmp_path / "run", [Kill(after)]).run()
    assert_same(resume(tmp_path / "run").run(), whole)
    steps = [entry["step"] for entry in Run(tmp_path / "run").manifest["resumed"]]
    assert steps == [0, 3, 6, 6, 9]


def test_a_finished_run_has_nothing_left_to_do(minimal, tmp_path):
    run = train(Recipe(minimal), tmp_path / "run")
    before = (metrics(run), files(run))
    again = resume(tmp_path / "run").run()
    assert (metrics(again), files(again)) == before


def test_a_torn_line_and_records_after_the_checkpoint_are_written_anew(minimal, tmp_path):
    whole = train(Recipe(minimal), tmp_path / "whole")
    with pytest.raises(Kill.Killed):
        Trainer(Recipe(minimal), tmp_path / "run", [Kill(7)]).run()
    with (tmp_path / "run" / "metrics.jsonl").open("a") as log:
        log.write('{"step": 7, "loss": 5.1')
    assert_same(resume(tmp_path / "run").run(), whole)


def test_a_line_damaged_in_the_middle_stops_the_resume_and_nothing_is_lost(minimal, tmp_path):
    train(Recipe(minimal), tmp_path / "run")
    log = tmp_path / "run" / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    lines[3] = "{damaged\n"
    log.write_text("".join(lines))
    with pytest.raises(MiniGPTError, match="Line 4"):
        resume(tmp_path / "run")
    assert log.read_text() == "".join(lines)


def test_a_damaged_checkpoint_is_skipped_and_the_one_before_gives_the_same_run(minimal, tmp_path):
    whole = train(Recipe(minimal), tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    weights = tmp_path / "run" / "checkpoints" / "step-000012" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    trainer = resume(tmp_path / "run")
    assert trainer.step == 8
    assert ["step-000012" in str(error) for error in trainer.skipped_checkpoints] == [True]
    assert_same(trainer.run(), whole)


def test_with_every_checkpoint_damaged_the_resume_is_refused(minimal, tmp_path):
    train(Recipe(minimal), tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").glob("*/state.json"):
        path.write_text("{}")
    with pytest.raises(MiniGPTError, match="damaged"):
        resume(tmp_path / "run")


def test_a_resume_that_asks_for_something_else_is_refused(minimal, tmp_path):
    train(Recipe(minimal), tmp_path / "run")
    with pytest.raises(MiniGPTError, match="steps = 12.*24"):
        resume(tmp_path / "run", asked={"steps": 24})
    with pytest.raises(MiniGPTError, match="seed = 0.*1"):
        Trainer(Recipe(minimal.replace(seed=1)), tmp_path / "run", resume=True)


def test_a_recipe_with_a_fault_resumes_with_its_fault(minimal, tmp_path):
    recipe = Recipe(minimal).with_fault("target-shift").with_fault("init-scale:3")
    whole = train(recipe, tmp_path / "whole")
    assert_same(killed_and_resumed(recipe, tmp_path / "run", 6), whole)


def test_a_part_of_one_s_own_is_not_forgotten_in_silence(minimal, tmp_path):
    recipe = dataclasses.replace(Recipe(minimal), lr_at=lambda step, config: 1e-3)
    with pytest.raises(Kill.Killed):
        Trainer(recipe, tmp_path / "run", [Kill(6)]).run()
    with pytest.raises(MiniGPTError, match="lr_at"):
        resume(tmp_path / "run")
    finished = Trainer(recipe, tmp_path / "run", resume=True).run()
    assert_same(finished, train(recipe, tmp_path / "whole"))


def test_a_text_that_has_changed_is_refused(minimal, tmp_path):
    text = tmp_path / "words.txt"
    text.write_text("".join(f"line {i} of {i * i} words\n" for i in range(400)), encoding="utf-8")
    config = minimal.replace(text=str(text), vocab_size=270)
    train(Recipe(config), tmp_path / "run")
    text.write_text(text.read_text() + "one line more\n", encoding="utf-8")
    with pytest.raises(MiniGPTError, match="words.txt"):
        resume(tmp_path / "run")


def test_a_record_says_what_the_step_was(minimal, tmp_path):
    config = minimal.replace(accumulation=2, lr_multipliers="wte=0.5")
    run = train(Recipe(config), tmp_path / "run")
    assert [record["step"] for record in run.metrics] == list(range(12))
    for record in run.metrics:
        rate = lr_at(record["step"], config)
        assert record["lr"] == pytest.approx({"decay": rate, "decay:wte": rate / 2, "no_decay": rate})
        assert record["tokens"] == 2 * 4 * 16
        assert record["clipped"] == (record["grad_norm"] > config.clip_norm)
        assert record["seconds"] > 0
    looked = [record["step"] for record in run.metrics if "val_loss" in record]
    assert looked == [4, 9, 11]
    assert abs(run.metrics[0]["loss"] - math.log(512)) < 0.5


def test_the_manifest_says_what_made_the_run(minimal, tmp_path):
    manifest = train(Recipe(minimal).with_fault("future-leak"), tmp_path / "run").manifest
    assert manifest["config"] == minimal.to_dict()
    assert manifest["faults"] == ["future-leak"] and manifest["own_parts"] == []
    assert manifest["versions"]["torch"] == torch.__version__
    assert set(manifest["data"]["sha256"]) >= {"train", "validation"}
    assert manifest["parameters"] == 512 * 16 + 16 * 16 + 12 * 16 * 16 + 3 * 16


def test_two_runs_of_one_config_are_equal_and_another_seed_is_another_run(minimal, tmp_path):
    one, two = (train(Recipe(minimal), tmp_path / name) for name in ("one", "two"))
    assert_same(one, two)
    other = train(Recipe(minimal.replace(seed=1)), tmp_path / "other")
    assert metrics(other)[0]["loss"] != metrics(one)[0]["loss"]


def test_without_telemetry_the_numbers_are_the_same(minimal, tmp_path):
    watched = train(Recipe(minimal), tmp_path / "watched")
    bare = Trainer(Recipe(minimal), tmp_path / "bare", telemetry=False).run()
    assert bare.column("loss")[1].tolist() == watched.column("loss")[1].tolist()
    one, other = files(bare), files(watched)
    assert all(one[name] == other[name] for name in one if name.endswith(".safetensors"))
    states = [json.loads(each["state.json"]) for each in (one, other)]
    assert [state.pop("records")["metrics.jsonl"] for state in states] == [minimal.steps] * 2
    assert states[0] == states[1]


def spoilt(recipe: Recipe, at: int) -> Recipe:
    """Return the recipe with a loss that is NaN from step `at` on."""
    now = {"step": -1}

    def seed_step(config, step, rank):
        now["step"] = step
        recipe.seed_step(config, step, rank)

    def loss(logits, targets, mask):
        return recipe.loss(logits, targets, mask) * (math.nan if now["step"] >= at else 1.0)

    return dataclasses.replace(recipe, seed_step=seed_step, loss=loss)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_loss_that_is_no_number_stops_the_run_before_the_weights_are_spoilt(minimal, precision, tmp_path):
    config = minimal.replace(checkpoint_every=2, precision=precision)
    with pytest.raises(NotFiniteError, match="Step 7 "):
        train(spoilt(Recipe(config), at=7), tmp_path / "run")
    last = Run(tmp_path / "run").metrics[-1]
    assert last["step"] == 7 and math.isnan(last["loss"]) and "lr" not in last
    path, damaged = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert path.name == "step-000006" and not damaged
    assert all(tensor.isfinite().all() for tensor in load_file(path / "weights.safetensors").values())


def test_the_run_goes_on_over_a_nan_when_asked_to(minimal, tmp_path):
    run = train(spoilt(Recipe(minimal.replace(stop_on_non_finite=False)), at=7), tmp_path / "run")
    assert len(run.metrics) == minimal.steps and math.isnan(run.metrics[-1]["loss"])


def test_early_stop_waits_for_patience_and_keeps_the_last_checkpoint(minimal, tmp_path):
    config = minimal.replace(steps=40, eval_every=2, patience=3, lr_max=0, lr_min=0, weight_decay=0)
    trainer = Trainer(Recipe(config), tmp_path / "run")
    run = trainer.run()
    assert trainer.stops_early and len(run.metrics) == 8  # one look that is the first best, and three more
    path, _ = checkpoint.latest(run.path / "checkpoints")
    assert path.name == "step-000008"


def test_frozen_weights_stay_and_the_others_move(minimal, tmp_path):
    run = train(
        Recipe(minimal.replace(freeze="wte,h.0.mlp", checkpoint_every=1, keep_checkpoints=0)),
        tmp_path / "run",
    )
    first, last = (
        load_file(run.path / "checkpoints" / f"step-{step:06d}" / "weights.safetensors") for step in (1, 12)
    )
    frozen = {name for name in first if name.startswith(("wte", "h.0.mlp"))}
    assert {name for name in first if torch.equal(first[name], last[name])} == frozen


def test_a_run_that_freezes_everything_is_refused(minimal, tmp_path):
    with pytest.raises(MiniGPTError, match="nothing to train"):
        Trainer(Recipe(minimal.replace(freeze="wte,wpe,h,ln_f")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_fine_tuning_starts_from_another_run_s_weights_and_vocabulary(minimal, tmp_path, tiny_run):
    shape = {name: getattr(tiny_run.config, name) for name in ("n_layer", "n_head", "n_embd", "context")}
    config = minimal.replace(**shape, init_from=str(tiny_run.path), lr_max=1e-4, lr_min=0)
    run = train(Recipe(config), tmp_path / "run")
    assert run.metrics[0]["loss"] < 0.7 * math.log(512)
    assert run.manifest["starts_from"] == str(tiny_run.path)

    text = tmp_path / "other.txt"
    text.write_text("".join(f"yo trabajo {i} veces / I work {i} times\n" for i in range(300)))
    other = train(Recipe(config.replace(text=str(text))), tmp_path / "other")
    names = [(folder / "tokenizer.json").read_text() for folder in (other.path, tiny_run.path)]
    assert names[0] == names[1]


def test_fine_tuning_from_another_shape_or_vocabulary_names_what_differs(minimal, tmp_path, tiny_run):
    with pytest.raises(MiniGPTError, match=r"\(192, 64\) there and \(48, 16\) here"):
        Trainer(Recipe(minimal.replace(init_from=str(tiny_run.path))), tmp_path / "run")
    with pytest.raises(MiniGPTError, match="vocab_size"):
        Trainer(Recipe(minimal.replace(init_from=str(tiny_run.path), vocab_size=300)), tmp_path / "run")
    shutil.copytree(tiny_run.path, tmp_path / "bare")
    (tmp_path / "bare" / "tokenizer.json").unlink()
    with pytest.raises(MiniGPTError, match="keeps no tokenizer"):
        Trainer(Recipe(minimal.replace(init_from=str(tmp_path / "bare"))), tmp_path / "run")
    with pytest.raises(MiniGPTError, match="no run"):
        Trainer(Recipe(minimal.replace(init_from=str(tmp_path / "none"))), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_callbacks_see_every_step_and_the_end_even_of_a_broken_run(minimal, tmp_path):
    seen = []

    class Watcher:
        def on_start(self, trainer):
            seen.append("start")

        def on_step(self, trainer, record):
            seen.append(record["step"])
            assert (
                json.loads((trainer.writer.path / "metrics.jsonl").read_text().splitlines()[-1])["step"]
                == record["step"]
            )

        def on_end(self, trainer):
            seen.append("end")

    with pytest.raises(Kill.Killed):
        Trainer(Recipe(minimal), tmp_path / "run", [Watcher(), Kill(3)]).run()
    assert seen == ["start", 0, 1, 2, "end"]


def test_an_existing_folder_is_never_written_over_unless_asked(minimal, tmp_path):
    train(Recipe(minimal), tmp_path / "run")
    with pytest.raises(MiniGPTError, match="--resume"):
        train(Recipe(minimal), tmp_path / "run")
    train(Recipe(minimal.replace(steps=5)), tmp_path / "run", overwrite=True)
    assert len(Run(tmp_path / "run").metrics) == 5
