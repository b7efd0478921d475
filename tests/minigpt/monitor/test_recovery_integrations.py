"""A run of Hugging Face's or Lightning's trainer with `RecoveryCallback` never saw the bad batches."""

import pytest
import torch
from torch import nn

from minigpt.training.guards import GuardError

WIDTH, ROWS, LR = 8, 16, 1e-2
BAD = {45, 46, 47}
STEPS, BATCHES = 60, 100  # those given again use up a pass as well


class Model(nn.Module):
    """A classifier with dropout and a batch norm."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Linear(WIDTH, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2)
        )

    def forward(self, inputs, labels=None):
        logits = self.body(inputs)
        return logits if labels is None else {"loss": nn.functional.cross_entropy(logits, labels)}


def rows(bad=(), without=(), batches=BATCHES, accumulation=1):
    """The rows of so many steps in order; those of `bad` have the labels the wrong way round."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(batches, ROWS * accumulation, WIDTH, generator=generator)
    labels = (inputs[..., 0] > 0).long()
    for batch in bad:
        labels[batch] = 1 - labels[batch]
        inputs[batch] *= 8
    kept = [batch for batch in range(batches) if batch not in without]
    return [
        {"inputs": row, "labels": label}
        for batch in kept
        for row, label in zip(inputs[batch], labels[batch], strict=True)
    ]


def damage(model):
    """What a bug, a bit flip or an update that is far too large does."""
    with torch.no_grad():
        model.body[0].weight.mul_(-1e3)
        model.body[4].weight.mul_(1e3)


def same(one, other):
    a, b = one.state_dict(), other.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


def hugging_face(folder, data, recover=True, damage_at=None, accumulation=1, epochs=None, **settings):
    """Train in order with a linear schedule; return the model, the trainer and the recovery."""
    transformers = pytest.importorskip("transformers", reason="the extra “huggingface” is not installed")
    pytest.importorskip("accelerate", reason="the extra “huggingface” is not installed")
    from minigpt.monitor.integrations.huggingface import RecoveryCallback

    class Damage(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **_more):
            if state.global_step == damage_at and not recovery.decisions:
                damage(model)

    model = Model()
    arguments = transformers.TrainingArguments(
        output_dir=folder,
        max_steps=-1 if epochs else STEPS,
        num_train_epochs=epochs or 1,
        per_device_train_batch_size=ROWS,
        gradient_accumulation_steps=accumulation,
        train_sampling_strategy="sequential",
        learning_rate=LR,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
        remove_unused_columns=False,
    )
    trainer = transformers.Trainer(model, arguments, train_dataset=data, callbacks=[Damage()])
    recovery = RecoveryCallback(trainer, **settings) if recover else None
    torch.manual_seed(5)
    trainer.train()
    return model, trainer, recovery


def lightning(folder, data, recover=True, damage_at=None, accumulation=1, epochs=None, **settings):
    """The same in Lightning."""
    library = pytest.importorskip("lightning.pytorch", reason="the extra “lightning” is not installed")
    from minigpt.monitor.integrations.lightning import RecoveryCallback

    class Module(library.LightningModule):
        def __init__(self):
            super().__init__()
            self.body = Model().body

        def training_step(self, batch, index):
            return nn.functional.cross_entropy(self.body(batch["inputs"]), batch["labels"])

        def on_train_batch_end(self, *_):
            if self.global_step == damage_at and not recovery.decisions:
                damage(self)

        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters(), lr=LR)
            schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=STEPS)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    recovery = RecoveryCallback(**settings) if recover else None
    module = Module()
    trainer = library.Trainer(
        default_root_dir=folder,
        max_steps=-1 if epochs else STEPS,
        max_epochs=epochs or -1,
        accumulate_grad_batches=accumulation,
        gradient_clip_val=1.0,
        callbacks=[recovery] if recovery else [],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    torch.manual_seed(5)
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=ROWS))
    return module, trainer, recovery


def schedulers(trainer):
    """The scheduler of either trainer."""
    return getattr(trainer, "lr_scheduler", None) or trainer.lr_scheduler_configs[0].scheduler


both = pytest.mark.parametrize("train", [hugging_face, lightning])


@both
@pytest.mark.parametrize("accumulation", [1, 2])
def test_bad_batches_leave_no_trace(train, accumulation, tmp_path):
    sizes = {"accumulation": accumulation}
    model, trainer, recovery = train(tmp_path, rows(BAD, **sizes), **sizes)
    clean, *_ = train(tmp_path, rows(without=BAD, **sizes), recover=False, **sizes)
    assert {found["batch"] for found in recovery.decisions} == BAD
    assert same(model, clean) and schedulers(trainer).last_epoch == STEPS


@both
def test_batches_after_the_copy_are_given_again(train, tmp_path):
    model, trainer, recovery = train(tmp_path, rows(), damage_at=51, z=50.0)
    back = [found for found in recovery.decisions if found["done"] == "roll back and skip"]
    never_given = set(recovery._held.recovery.state.skips)
    clean, *_ = train(tmp_path, rows(without=never_given), recover=False)
    assert len(back) == 1 and len(never_given) > 9 and same(model, clean)
    assert schedulers(trainer).last_epoch == STEPS


@both
def test_a_run_without_trouble_is_the_run_without_the_callback(train, tmp_path):
    model, _, recovery = train(tmp_path, rows())
    assert not recovery.decisions and same(model, train(tmp_path, rows(), recover=False)[0])


def test_hugging_face_makes_all_updates_when_the_data_end_before_them(tmp_path):
    _, trainer, recovery = hugging_face(tmp_path, rows(BAD, batches=50), epochs=1)
    assert len(recovery.decisions) == len(BAD) and trainer.state.global_step == 50


def test_lightning_refuses_optimization_by_hand(tmp_path):
    library = pytest.importorskip("lightning.pytorch", reason="the extra “lightning” is not installed")
    from minigpt.monitor.integrations.lightning import RecoveryCallback

    class ByHand(library.LightningModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.layer = nn.Linear(WIDTH, 1)

        def training_step(self, batch, index):
            raise AssertionError

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=LR)

    trainer = library.Trainer(
        default_root_dir=tmp_path,
        callbacks=[RecoveryCallback()],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with pytest.raises(GuardError, match="several optimizers"):
        trainer.fit(ByHand(), torch.utils.data.DataLoader(rows(batches=1), batch_size=ROWS))
