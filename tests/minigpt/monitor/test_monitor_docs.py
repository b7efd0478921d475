"""The code of docs/monitor.md runs as it stands, and is the same in both languages."""

import re
from pathlib import Path

import loops
import pytest
import torch
import torch.nn.functional as F

DOCS = Path(__file__).resolve().parents[3] / "docs"
ROWS, WIDTH, TOKENS = 2, 8, 50257


def blocks(name):
    """The Python of a page."""
    return re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL)


def without_comments(code):
    return re.sub(r"  #.*", "", code)


def test_both_languages_show_the_same_code():
    english, spanish = blocks("monitor.md"), blocks("monitor.es.md")
    assert [without_comments(code) for code in english] == [without_comments(code) for code in spanish]


def small_gpt():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=TOKENS, n_positions=loops.T, n_embd=WIDTH, n_layer=1, n_head=1)
    )


class Logits(torch.nn.Module):
    """A model that returns nothing but logits."""

    def __init__(self):
        super().__init__()
        self.transformer = small_gpt()

    def forward(self, inputs):
        return self.transformer(inputs).logits


def in_a_plain_loop():
    data, model = loops.tokens(), Logits()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def get_batch(number):
        row = data[number * loops.T : (number + 1) * loops.T + 1]
        return row[None, :-1], row[None, 1:]

    return {
        "model": model,
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ConstantLR(optimizer),
        "get_batch": get_batch,
        "batches": [get_batch(number) for number in range(4)],
        "loss_of": lambda logits, targets: F.cross_entropy(logits.flatten(0, 1), targets.flatten()),
        "torch": torch,
    }


def rows(count=4 * ROWS):
    return loops.tokens()[: count * loops.T].view(-1, loops.T)


def in_hugging_face():
    transformers = pytest.importorskip("transformers", reason="the extra “huggingface” is not installed")
    pytest.importorskip("accelerate", reason="the extra “huggingface” is not installed")
    arguments = transformers.TrainingArguments(
        output_dir="out", max_steps=3, per_device_train_batch_size=ROWS, report_to=[], use_cpu=True,
        disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    data = [{"input_ids": row, "labels": row} for row in rows()]
    return {"Trainer": transformers.Trainer, "model": small_gpt(), "arguments": arguments, "data": data}


def in_lightning():
    library = pytest.importorskip("lightning.pytorch", reason="the extra “lightning” is not installed")

    class Module(library.LightningModule):
        def __init__(self):
            super().__init__()
            self.gpt = small_gpt()

        def training_step(self, batch, index):
            return self.gpt(batch, labels=batch).loss

        def configure_optimizers(self):
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

    def trainer(callbacks):
        return library.Trainer(
            max_steps=3, callbacks=callbacks, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip

    batches = torch.utils.data.DataLoader(rows(), batch_size=ROWS)
    return {"Trainer": trainer, "module": Module(), "batches": batches}


TRAINERS = {"huggingface": in_hugging_face, "lightning": in_lightning}


@pytest.mark.parametrize("number", range(len(blocks("monitor.md"))))
def test_the_code_runs(number, tmp_path, monkeypatch, capsys):
    pytest.importorskip("transformers", reason="the extra “huggingface” is not installed")
    code = blocks("monitor.md")[number]
    monkeypatch.chdir(tmp_path)
    inside = next(
        (
            make
            for name, make in (("huggingface", in_hugging_face), ("lightning", in_lightning))
            if name in code
        ),
        in_a_plain_loop,
    )
    exec(compile(code.replace("steps=1000", "steps=4"), f"docs/monitor.md, block {number}", "exec"), inside())
    told = capsys.readouterr().out.splitlines()[-1]
    assert told == "[]" if "recovery" in code else told in ("pass", "unknown")
