"""Optional loggers: what they write and read back, and what is said without their packages."""

import importlib.util
import math
from types import SimpleNamespace

import pytest

from minigpt.config import Config
from minigpt.messages import LANGUAGES, use_language
from minigpt.runs.importers.wandb_run import WandbError, read_wandb
from minigpt.training.callbacks import loggers
from minigpt.training.callbacks.loggers import LoggerError, logger, scalars, series
from minigpt.training.recipe import Recipe
from minigpt.training.state import TrainerState
from minigpt.training.trainer import Trainer

TINY = Config(
    n_layer=1, n_head=2, n_embd=32, context=32, batch_size=4, steps=12, warmup_steps=2, eval_every=6,
    eval_batches=1, device="cpu",
)  # fmt: skip


class Spike:
    """A callback that makes a spike out of step 7, as telemetry would tell it."""

    def on_record(self, trainer, record):
        if record["step"] == 7:
            record |= {"loss_spike": 6.5, "grad_norm": math.inf, "eta_seconds": None}


def trained(folder, name):
    return Trainer(Recipe(TINY), folder / "run", callbacks=[Spike(), logger(name)]).run()


def test_scalars_are_the_numbers_by_name():
    record = {"step": 3, "loss": 1, "lr": {"decay": 0.5}, "clipped": True, "note": "x", "eta": None}
    assert dict(scalars(record)) == {"loss": 1.0, "lr/decay": 0.5, "clipped": 1.0}


def test_at_an_evaluation_the_series_of_seed_000_are_there_by_its_names():
    trainer = SimpleNamespace(state=TrainerState(rollbacks=4))
    record = {"step": 9, "loss": 1.0, "loss_variance": 0.5, "grad_norm_p90": 2.0, "loss_spikes": 3}
    named = {name: value for name, value in series(trainer, record).items() if "/" in name}
    assert named == {
        "stability/loss_variance": 0.5,
        "stability/gradient_percentile_90": 2.0,
        "stability/loss_spikes": 3.0,
        "stability/spike_recoveries": 4.0,
    }
    assert series(trainer, {"step": 3, "loss": 1}) == {"loss": 1.0}


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unknown_logger_gets_the_nearest_suggested(language):
    use_language(language)
    try:
        with pytest.raises(LoggerError) as caught:
            logger("tensorbord")
        assert "tensorboard, wandb" in str(caught.value) and str(caught.value).count("tensorboard") == 2
    finally:
        use_language(None)


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_logger_that_is_not_installed_says_how_to_install_it(name, monkeypatch):
    monkeypatch.setattr(loggers, "find_spec", lambda _name: None)
    with pytest.raises(LoggerError) as caught:
        logger(name)
    assert f"pip install '.[{name}]'" in str(caught.value)


@pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="the extra is not installed")
def test_tensorboard_shows_every_record(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = trained(tmp_path, "tensorboard")
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    steps, loss = run.column("loss")
    logged = events.Scalars("loss")
    assert [event.step for event in logged] == steps.tolist()
    assert [event.value for event in logged] == pytest.approx(loss.tolist())
    assert [event.step for event in events.Scalars("val_loss")] == [5, 11]
    assert {"lr/decay", "loss_spike", "tokens_per_second"} <= set(events.Tags()["scalars"])
    for theirs, ours in (("loss_variance",) * 2, ("gradient_percentile_90", "grad_norm_p90")):
        seeds = [(event.step, event.value) for event in events.Scalars(f"stability/{theirs}")]
        assert seeds == [(event.step, event.value) for event in events.Scalars(ours)]
    assert [event.value for event in events.Scalars("stability/loss_spikes")] == [0, 0]  # telemetry saw none
    assert [event.value for event in events.Scalars("stability/spike_recoveries")] == [0, 0]


@pytest.fixture(scope="module")
def wandb_folder(tmp_path_factory):
    """A run logged with W&B offline, and the folder it left."""
    pytest.importorskip("wandb")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WANDB_MODE", raising=False)
        patch.delenv("WANDB_ERROR_REPORTING", raising=False)
        patch.setenv("MINIGPT_LANG", "en")
        run = trained(tmp_path_factory.mktemp("wandb"), "wandb")
    (folder,) = (run.path / "wandb").glob("offline-run-*")
    return run, folder


def test_wandb_works_offline_and_can_be_read_back(wandb_folder):
    run, folder = wandb_folder
    found = read_wandb(folder)
    assert found.name == "run"
    assert Config.from_dict(found.config) == TINY
    for name in ("loss", "val_loss", "lr.decay", "loss_variance"):
        for written, read in zip(run.column(name), found.columns.column(name), strict=True):
            assert written.tolist() == read.tolist()
    assert found.columns.column("grad_norm")[1][7] == math.inf


def test_wandb_is_told_of_spikes(wandb_folder):
    _, folder = wandb_folder
    content = next(folder.glob("*.wandb")).read_bytes()
    assert b"Loss spike" in content
    assert b"Step 7: the loss is 6.5 times its running mean." in content
    assert b"Gradient spike" not in content


def test_a_torn_wandb_file_is_read_as_far_as_it_goes(wandb_folder, tmp_path):
    _, folder = wandb_folder
    whole = next(folder.glob("*.wandb")).read_bytes()
    counts = set()
    for size in range(len(whole) // 2, len(whole), 97):
        (tmp_path / "run-x.wandb").write_bytes(whole[:size])
        counts.add(len(read_wandb(tmp_path).columns))
    assert counts <= set(range(1, 13)) and len(counts) > 3


def test_what_is_no_wandb_run_is_refused(tmp_path):
    pytest.importorskip("wandb")
    with pytest.raises(WandbError, match="is no offline"):
        read_wandb(tmp_path / "nowhere")
    with pytest.raises(WandbError, match="is no offline"):
        read_wandb(tmp_path)
    file = tmp_path / "run-x.wandb"
    for content in (
        b"",
        b"hello world",
        b":W&B\xe1\xbe\x00" + b"\x00\x00\x00\x00\x05\x00\x01\xff\xff\xff\xff\xff",
    ):
        file.write_bytes(content)
        with pytest.raises(WandbError, match="cannot be read"):
            read_wandb(tmp_path)
    file.write_bytes(b":W&B\xe1\xbe\x00")
    with pytest.raises(WandbError, match="no step"):
        read_wandb(tmp_path)
