"""Loops of other libraries: transformers, Lightning, Accelerate; without one, its loops are left out."""

from __future__ import annotations

import tempfile

import torch

from minigpt.monitor import Monitor

from .parts import DATA, END, PAD, B, D, Decoder, T, V, adamw, batch, ce, loop, train


def hugging_face(name, **more):
    """Return a tiny model of transformers."""
    import transformers

    kind = getattr(transformers, name)
    special = {"pad_token_id": PAD, "bos_token_id": END, "eos_token_id": END, "decoder_start_token_id": END}
    return kind(kind.config_class(vocab_size=V, **more, **special)).train()


LLAMA = {"hidden_size": D, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}


@loop
def transformers_gpt2(out):
    model = hugging_face("GPT2LMHeadModel", n_positions=T, n_embd=D, n_layer=2, n_head=2)
    train(out, model, loss_of=lambda x, _y: model(input_ids=x, labels=x).loss, steps=120)


@loop
def transformers_llama(out):
    model = hugging_face("LlamaForCausalLM", **LLAMA)
    train(out, model, loss_of=lambda x, _y: model(input_ids=x, labels=x).loss, steps=120)


@loop
def transformers_bert_masked(out):
    model = hugging_face("BertForMaskedLM", **LLAMA, max_position_embeddings=T)

    def loss_of(x, _y):
        hidden = torch.rand(x.shape) < 0.2
        hidden[:, 0] = True
        labels = x.masked_fill(~hidden, -100)
        return model(input_ids=x.masked_fill(hidden, END), labels=labels).loss

    train(out, model, loss_of=loss_of, steps=120)


@loop
def transformers_t5(out):
    model = hugging_face("T5ForConditionalGeneration", d_model=D, d_kv=12, d_ff=48, num_layers=1, num_heads=2)
    train(out, model, loss_of=lambda x, y: model(input_ids=x, labels=y[:, :12].contiguous()).loss, steps=120)


def windows(count=64):
    """Return examples of a data set of transformers."""
    return [
        {"input_ids": DATA[s : s + T].tolist(), "labels": DATA[s : s + T].tolist()}
        for s in torch.randint(len(DATA) - T, (count,)).tolist()
    ]


def hugging_face_trainer(out, **arguments):
    """Train with the trainer of transformers."""
    from transformers import Trainer, TrainingArguments

    from minigpt.monitor.integrations.huggingface import StabilityCallback

    model = hugging_face("LlamaForCausalLM", **LLAMA)
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder,
            max_steps=40,
            per_device_train_batch_size=B,
            learning_rate=2e-3,
            report_to=[],
            save_strategy="no",
            logging_steps=10,
            disable_tqdm=True,
            use_cpu=True,
            **arguments,
        )
        Trainer(model, settings, train_dataset=windows(), callbacks=[StabilityCallback(out)]).train()


@loop
def transformers_trainer(out):
    hugging_face_trainer(out)


@loop
def transformers_trainer_with_warm_up(out):
    hugging_face_trainer(out, warmup_steps=5, lr_scheduler_type="cosine")


@loop
def transformers_trainer_accumulating(out):
    hugging_face_trainer(out, gradient_accumulation_steps=2)


@loop
def lightning_trainer(out):
    import lightning.pytorch as lightning

    from minigpt.monitor.integrations.lightning import StabilityCallback

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = Decoder()

        def training_step(self, pair, _index):
            return ce(self.model(pair[0]), pair[1])

        def configure_optimizers(self):
            return adamw(self.model)

    trainer = lightning.Trainer(
        max_steps=60,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        callbacks=[StabilityCallback(out, vocab_size=V)],
    )
    rows = [tuple(side[0] for side in batch(rows=1)) for _ in range(200)]
    trainer.fit(Module(), torch.utils.data.DataLoader(rows, batch_size=B, shuffle=True))


@loop
def accelerate_loop(out):
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model = Decoder()
    optimizer = adamw(model)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, 120)
    rows = [tuple(side[0] for side in batch(rows=1)) for _ in range(300)]
    loader = torch.utils.data.DataLoader(rows, batch_size=B, shuffle=True)
    model, wrapped, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    with Monitor(model, wrapped.optimizer, vocab_size=V, run_dir=out) as monitor:
        for _epoch in range(3):
            for x, y in loader:
                loss = ce(model(x), y)
                accelerator.backward(loss)
                wrapped.step()
                schedule.step()
                wrapped.zero_grad()
                monitor.step(loss)
