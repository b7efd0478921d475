"""The monitor inside Hugging Face's and Lightning's trainers: the same mistakes, the same leaves."""

import loops
import pytest
import torch
import torch.nn.functional as F

from minigpt.diagnosis import Verdict
from minigpt.faults.uncorrected_adamw import UncorrectedAdamW
from minigpt.runs.jsonl import Columns

LEAVES = {
    "": None,
    "missing-zero-grad": "missing-zero-grad",
    "lost-optimizer-state": "lost-optimizer-state",
    "decay-groups": "decay-groups",
    "accumulation-sum": "accumulation-sum",
    "loss-reduction": "loss-reduction",
    "target-shift": "target-shift",
    "no-bias-correction": "no-bias-correction",
    "frozen-parameters": "frozen-parameters",
    "scheduler-never-stepped": "scheduler-never-stepped",
    "future-leak": "future-leak",
}
STEPS, K, LR = 8, 2, 1e-3


def broken_model(fault):
    """Return the small model with the mistakes that a model can have."""
    model = loops.make_model()
    if fault == "frozen-parameters":
        model.get_submodule("transformer.h").requires_grad_(False)
    if fault == "future-leak":
        loops.see_the_future(model)
    return model


def build_optimizer(model, fault):
    """Return AdamW over two groups, or what the mistake makes of it."""
    kind = UncorrectedAdamW if fault == "no-bias-correction" else torch.optim.AdamW
    return kind(loops.groups(model, fault), lr=LR)


def asked(step):
    """Linear warm-up over three steps, then constant."""
    return LR * min((step + 1) / 3, 1.0)


def scheduler(optimizer, fault):
    """Return the schedule that is asked for, or one that never changes."""
    constant = fault == "scheduler-never-stepped"
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0 if constant else asked(step) / LR)


def cross_entropy(logits, labels, fault):
    """Return the loss of labels that are the inputs, shifted here."""
    by = 2 if fault == "target-shift" else 1
    reduction = "sum" if fault == "loss-reduction" else "mean"
    return F.cross_entropy(logits[:, :-by].flatten(0, 1), labels[:, by:].flatten(), reduction=reduction)


@pytest.mark.parametrize("fault", LEAVES)
def test_hugging_face(fault, tmp_path):
    transformers = pytest.importorskip("transformers", reason="the extra “transformers” is not installed")
    pytest.importorskip("accelerate", reason="the extra “transformers” is not installed")
    from minigpt.monitor.integrations.huggingface import StabilityCallback

    data = loops.tokens()
    rows = [{"input_ids": row, "labels": row} for row in data[: 64 * loops.T].view(-1, loops.T)]
    model = broken_model(fault)
    optimizer = build_optimizer(model, fault)

    class Forget(transformers.TrainerCallback):
        def on_step_begin(self, args, state, control, optimizer=None, **_more):
            if fault == "lost-optimizer-state":
                optimizer.optimizer.state.clear()

    def loss(outputs, labels, num_items_in_batch=None):
        share = 1 if fault == "accumulation-sum" else K  # a loss of one's own is divided by nobody else
        return cross_entropy(outputs.logits, labels, fault) / share

    if fault == "missing-zero-grad":
        model.zero_grad = lambda *arguments, **named: None
    arguments = transformers.TrainingArguments(
        output_dir=tmp_path / "out",
        max_steps=STEPS,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=K,
        learning_rate=LR,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
    )
    watch = StabilityCallback(tmp_path / "run", schedule=asked)
    transformers.Trainer(
        model,
        arguments,
        train_dataset=rows,
        callbacks=[watch, Forget()],
        compute_loss_func=loss,
        optimizers=(optimizer, scheduler(optimizer, fault)),
    ).train()
    assert watch.check().leaf == LEAVES[fault]
    assert fault or watch.check().verdict is Verdict.PASS


def test_hugging_faces_own_schedule_and_loss_raise_no_alarm(tmp_path):
    transformers = pytest.importorskip("transformers", reason="the extra “transformers” is not installed")
    pytest.importorskip("accelerate", reason="the extra “transformers” is not installed")
    from minigpt.monitor.integrations.huggingface import StabilityCallback

    rows = [{"input_ids": row, "labels": row} for row in loops.tokens()[: 64 * loops.T].view(-1, loops.T)]
    arguments = transformers.TrainingArguments(
        output_dir=tmp_path / "out",
        max_steps=STEPS,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=K,
        lr_scheduler_type="cosine",
        warmup_steps=3,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
        eval_strategy="steps",
        eval_steps=4,
    )
    watch = StabilityCallback(tmp_path / "run")
    transformers.Trainer(
        loops.make_model(), arguments, train_dataset=rows, eval_dataset=rows[:4], callbacks=[watch]
    ).train()
    verdicts = {finding.question: finding.verdict for finding in watch.check(whole=True).findings}
    assert watch.check().verdict is Verdict.PASS
    assert verdicts["2.1"] is verdicts["6.2b"] is Verdict.PASS
    assert verdicts["6.3"] is Verdict.NOT_MEASURED  # all rows count alike, so their weights cannot be told


@pytest.mark.parametrize("fault", LEAVES)
def test_lightning(fault, tmp_path):
    lightning = pytest.importorskip("lightning.pytorch", reason="the extra “lightning” is not installed")
    pytest.importorskip("transformers", reason="the extra “transformers” is not installed")
    from minigpt.monitor.integrations.lightning import StabilityCallback

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.gpt = broken_model(fault)

        def training_step(self, batch, index):
            loss = cross_entropy(loops.logits_of(self.gpt, batch), batch, fault)
            return loss * K if fault == "accumulation-sum" else loss

        def configure_optimizers(self):
            optimizer = build_optimizer(self.gpt, fault)
            by_step = {"scheduler": scheduler(optimizer, fault), "interval": "step"}
            return {"optimizer": optimizer, "lr_scheduler": by_step}

        def optimizer_zero_grad(self, epoch, index, optimizer):
            if fault != "missing-zero-grad":
                optimizer.zero_grad()
            if fault == "lost-optimizer-state":
                optimizer.state.clear()

    watch = StabilityCallback(tmp_path / "run", vocab_size=loops.V, schedule=asked)
    batches = torch.utils.data.DataLoader(loops.tokens()[: 64 * loops.T].view(-1, loops.T), batch_size=4)
    lightning.Trainer(
        default_root_dir=tmp_path / "out",
        max_steps=STEPS,
        accumulate_grad_batches=K,
        gradient_clip_val=1.0,
        callbacks=[watch],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Module(), batches)
    assert watch.check().leaf == LEAVES[fault]
    assert fault or watch.check().verdict is Verdict.PASS


def test_a_loss_of_ones_own_in_hugging_faces_trainer_is_recorded(tmp_path):
    transformers = pytest.importorskip("transformers", reason="the extra “transformers” is not installed")
    pytest.importorskip("accelerate", reason="the extra “transformers” is not installed")
    from minigpt.monitor.integrations.huggingface import StabilityCallback

    class Own(transformers.Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            labels = inputs.pop("labels")
            logits = model(**inputs).logits[:, :-1]
            return F.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())

    rows = [{"input_ids": row, "labels": row} for row in loops.tokens()[: 64 * loops.T].view(-1, loops.T)]
    arguments = transformers.TrainingArguments(
        output_dir=tmp_path / "out",
        max_steps=3,
        per_device_train_batch_size=4,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        save_strategy="no",
    )
    watch = StabilityCallback(tmp_path / "run")
    Own(loops.make_model(), arguments, train_dataset=rows, callbacks=[watch]).train()
    losses = Columns.read(tmp_path / "run" / "metrics.jsonl").column("loss")[1]
    assert len(losses) == 3
    assert (losses < 8).all()  # ln of the vocabulary is 5.8
