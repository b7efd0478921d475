"""How trainers print what they measure: a template for each training line, and one for each validation.

Facts about formats in public use, in words of our own; every figure comes from `rows`.
"""

import math
import random
from types import SimpleNamespace

TOTAL, PER_EPOCH, EVERY, LOOK = 2400, 600, 10, 200


def rows(seed=0, start=8.3, end=3.4, bend=400, noise=0.03, norm=1.2, rate=6e-4, count=TOTAL // EVERY):
    """Return what one healthy run measured, a row for every tenth step."""
    rng, found = random.Random(seed), []
    for index in range(count):
        step = EVERY * index
        level = end + (start - end) * math.exp(-step / bend)
        warm = min(1.0, (step + 1) / 100)
        lr = rate * warm * (0.1 + 0.45 * (1 + math.cos(math.pi * step / TOTAL)))
        found.append(
            SimpleNamespace(
                step=step,
                next=step + 1,
                total=TOTAL,
                epoch=step // PER_EPOCH,
                epoch1=step // PER_EPOCH + 1,
                part=step / PER_EPOCH,
                batch=step % PER_EPOCH,
                per=PER_EPOCH,
                percent=100 * step // TOTAL,
                loss=level + rng.gauss(0, noise),
                norm=norm * math.exp(rng.gauss(0, 0.1)),
                lr=lr,
                val=level + 0.05 + rng.gauss(0, 0.005),
                ppl=math.exp(min(level, 20)),
            )
        )
    return found


# name: (before, training line, validation line or "", after)
FORMATS = {
    "nanoGPT": ("tokens per iteration will be: 491,520\nnumber of parameters: 123.59M\n",
        "iter {step}: loss {loss:.4f}, time 312.55ms, mfu 17.01%",
        "step {step}: train loss {loss:.4f}, val loss {val:.4f}\nsaving checkpoint to out", ""),
    "minGPT": ("", "iter_dt 120.55ms; iter {step}: train loss {loss:.5f}", "", ""),
    "build-nanogpt console": ("", "step {step:5d} | loss: {loss:.6f} | lr {lr:.4e} | norm: {norm:.4f} | dt: 93.10ms"
        " | tok/sec: 176000.00", "validation loss: {val:.4f}", ""),
    "build-nanogpt file": ("", "{step} train {loss:.6f}", "{step} val {val:.4f}\n{step} hella 0.2501", ""),
    "llm.c": ("", "step {next:4d}/{total} | loss {loss:.6f} (+nanz)| norm {norm:.4f} (+nanz)| lr {lr:.2e} |"
        " 2952.30 ms | 55.6% bf16 MFU | 177593 tok/s", "val loss {val:.6f}", ""),
    "llm.c, early": ("", "step {next:4d}/{total}: train loss {loss:.6f} (63.8 ms, 64000 tok/s)", "val loss {val:.6f}", ""),
    "llm.c main.log": ("", "s:{step} trl:{loss:.4f} lr:{lr:.6f} norm:{norm:.2f}", "s:{step} tel:{val:.4f}", ""),
    "modded-nanogpt": ("import os\nfor step in range(train_steps + 1):\n    print0(f\"step:{{step}}/{{train_steps}} val_loss:{{val_loss:.4f}}\")\n"
        "    path = f'state_step{{step:06d}}.pt'\n    lr = 0.0036\n====\n",
        "step:{step}/{total} train_loss:{loss:.4f} train_time:{step}ms step_avg:95.30ms",
        "step:{step}/{total} val_loss:{val:.4f} train_time:{step}ms step_avg:95.30ms", ""),
    "parameter golf": ("", "{step}/{total} train_loss: {loss:.4f} train_time: 1023ms", "{step}/{total} val_loss: {val:.4f} val_bpb: 1.2", ""),
    "nanochat": ("", "step {step:05d}/{total:05d} ({percent}.00%) | loss: {loss:.6f} | grad norm: {norm:.4f} | lrm: 1.00 |"
        " dt: 300.00ms | tok/sec: 1,750,000 | mfu: 48.00 | total time: 1.20m", "Step {step:05d} | Validation loss: {val:.4f}", ""),
    "llama2.c": ("", "{step} | loss {loss:.4f} | lr {lr:.6e} | 240.00ms | mfu 40.00%", "step {step}: train loss {loss:.4f}, val loss {val:.4f}", ""),
    "litgpt": ("", "Epoch {epoch1} | iter {step} step {step} | loss train: {loss:.3f}, val: n/a | iter time: 120.03 ms (step)",
        "iter {step}: val loss {val:.4f}, val time: 3012.11 ms", ""),
    "lit-llama": ("", "iter {step} step {step}: loss {loss:.4f}, train time: 310.10ms (optimizer.step)", "", ""),
    "Megatron-LM": (" > building train, validation and test datasets ...\n", " [2024-05-01 10:00:00] iteration {next:8d}/{total:8d} |"
        " consumed samples: {next:12d} | elapsed time per iteration (ms): 612.5 | learning rate: {lr:.6E} | global batch size:   256 |"
        " lm loss: {loss:.6E} | loss scale: 1.0 | grad norm: {norm:.3f} | number of skipped iterations:   0 | number of nan iterations:   0 |",
        " validation loss at iteration {next} | lm loss value: {val:.6E} | lm loss PPL: {ppl:.6E} | ", ""),
    "GPT-NeoX": ("", " samples/sec: 80.1 | iteration {next:8d}/{total:8d} | elapsed time per iteration (ms): 400.1 | learning rate: {lr:.3E} |"
        " approx flops per GPU: 50.1TFLOPS | lm_loss: {loss:.6E} | loss scale: 65536.0 | number of skipped iterations:   0 |", "", ""),
    "NeMo 2": ("", "Training epoch {epoch}, iteration {step}/{total} | lr: {lr:.3e} | global_batch_size: 8 | global_step: {step} |"
        " reduced_train_loss: {loss:.3f} | train_step_timing in s: 0.52", "", ""),
    "NeMo bar": ("", "\rEpoch 0: :   1%|▏      | {step}/{total} [00:13<10:00, reduced_train_loss={loss:.3f}, global_step={step}.0]", "", ""),
    "torchtitan": ("", "[titan] 2025-02-01 10:00:00,000 - root - INFO - \x1b[31mstep: {step:2}  \x1b[32mloss: {loss:7.4f}  "
        "\x1b[38;2;180;60;0mgrad_norm: {norm:7.4f}  \x1b[33mmemory: 30.00GiB(37.5%)  \x1b[34mtps: 7,012\x1b[39m", "", ""),
    "torchtitan on four ranks": ("", "[rank0]:[titan] step: {step}  loss: {loss:.4f}  grad_norm: {norm:.4f}\n[rank1]:[titan] step: {step}  "
        "loss: {loss:.4f}  grad_norm: {norm:.4f}\n[rank2]:[titan] step: {step}  loss: {loss:.4f}  grad_norm: {norm:.4f}\n"
        "[rank3]:[titan] step: {step}  loss: {loss:.4f}  grad_norm: {norm:.4f}", "", ""),
    "a paste that lost its escapes": ("", "[titan] - root - INFO - [31mstep: {step:2}  [32mloss: {loss:7.4f}  [33mmemory: 1.00GiB(1%)[39m", "", ""),
    "torchtune": ("", "Step {next} | loss:{loss:.6f} lr:{lr:.3e} tokens_per_second_per_gpu:512.2", "", ""),
    "OLMo": ("", "2024-02-12 14:52:38.000\thost:0\tolmo.train:900\tINFO\t[step={step}/{total},epoch=0]\n    optim/total_grad_norm={norm:.4f}\n"
        "    train/CrossEntropyLoss={loss:.4f}\n    train/Perplexity={ppl:.2f}\n    throughput/total_tokens=4,194,304", "", ""),
    "OLMo-core": ("", "2025-02-12 14:52:38.000\thost:0\tolmo_core:90\tINFO\t[step={step}/{total},epoch=1]\n    optim/total grad norm={norm:.4f}\n"
        "    optim/LR (group 0)={lr:.6f}\n    train/CE loss={loss:.4f}\n    train/PPL={ppl:.2f}", "", ""),
    "Composer": ("", "[batch={next}/{total}]:\n\t Train time/batch: {step}\n\t Train time/sample: {step}\n\t Train l2_norm/grad/global: {norm:.4f}\n"
        "\t Train loss/train/total: {loss:.4f}\n\t Train lr-DecoupledAdamW/group0: {lr:.8f}", "", ""),
    "MaxText": ("", "completed step: {step}, seconds: 2.100, TFLOP/s/device: 180.1, Tokens/s/device: 3900.2, total_weights: 65536, loss: {loss:.3f}", "", ""),
    "openpi": ("", "Step {step}: grad_norm={norm:.4f}, loss={loss:.4f}, param_norm=1802.5000", "", ""),
    "paxml": ("", "INFO:absl:[PAX STATUS]: step_i: {step}, training loss: {loss:.4f}", "", ""),
    "EasyLM": ("", "step: {step}, loss: {loss:.4f}, accuracy: 0.3, learning_rate: {lr:.6f}, gradient_norm: {norm:.4f}", "", ""),
    "TF Estimator": ("", "INFO:tensorflow:loss = {loss:.5f}, step = {step} (30.1 sec)", "", ""),
    "fairseq": ("", "2021-05-01 10:00:00 | INFO | train_inner | epoch {epoch1:03d}:    {batch} / {per} loss={loss:.3f}, ppl={ppl:.2f}, wps=100000.0,"
        " num_updates={step}, lr={lr:.6g}, gnorm={norm:.3f}, train_wall=12, wall=0",
        "2021-05-01 10:00:00 | INFO | valid | epoch {epoch1:03d} | valid on 'valid' subset | loss {val:.3f} | ppl {ppl:.2f} | num_updates {step}", ""),
    "OpenNMT": ("", "[2021-01-01 10:00:00,000 INFO] Step {next}/{total}; acc: 40.1; ppl: {ppl:.2f}; xent: {loss:.4f}; lr: {lr:.5f}; sents: 1000; 0/  12 sec;", "", ""),
    "Marian": ("", "[2021-01-01 10:00:00] Ep. 1 : Up. {step} : Sen. 10,000 : Cost {loss:.8f} : Time 11.52s : 9000.00 words/s : gNorm {norm:.4f} : L.r. {lr:.4e}", "", ""),
    "DeepSpeed chat": ("", "steps: {step} loss: {loss:.4f} iter time (s): 0.512 samples/sec: 62.5", "", ""),
    "PaddleNLP": ("", "[2023-01-01 10:00:00,000] [    INFO] - global step {step}, epoch: 0, batch: {step}, loss: {loss:.6f}, speed: 5.10 step/s", "", ""),
    "MMEngine": ("", "01/01 10:00:00 - mmengine - INFO - Iter(train) [{step:6d}/{total}]  lr: {lr:.4e}  eta: 1:00:00  time: 0.5  memory: 9000  loss: {loss:.4f}  grad_norm: {norm:.4f}", "", ""),
    "MMEngine by epoch": ("", "Epoch(train)  [{epoch1}][{batch:4d}/{per}]  lr: {lr:.4e}  eta: 1:00:00  time: 0.5  loss: {loss:.4f}  grad_norm: {norm:.4f}", "", ""),
    "detectron2": ("", "[01/01 10:00:00 d2.utils.events]:  eta: 0:10:00  iter: {step}  total_loss: {loss:.4f}  time: 0.5  lr: {lr:.5e}  max_mem: 5000M", "", ""),
    "word_language_model": ("", "| epoch {epoch1:3d} | {batch:5d}/{per:5d} batches | lr {lr:02.5f} | ms/batch 32.38 | loss {loss:5.2f} | ppl {ppl:8.2f}", "", ""),
    "transformer-xl": ("", "| epoch {epoch1:3d} step {step:8d} | {batch:6d} batches | lr {lr:.3g} | ms/batch 150.11 | loss {loss:5.2f} | ppl {ppl:9.3f}",
        "| Eval {epoch1:3d} at step {step:8d} | time: 12.01s | valid loss {val:5.2f} | valid ppl {ppl:9.3f}", ""),
    "tutorial": ("", "Epoch [{epoch1}/4], Step [{batch}/{per}], Loss: {loss:.4f}", "", ""),
    "imagenet example": ("", "Epoch: [{epoch}][{batch:4d}/{per}]\tTime  0.120 ( 0.130)\tData  0.001 ( 0.002)\tLoss {loss:.4e} ({loss:.4e})\tAcc@1   0.10 (  0.12)", "", ""),
    "timm": ("", "Train: {epoch} [{batch:4d}/{per} ({percent:3d}%)]  Loss: {loss:.3f} ({loss:.2f})  Time: 0.5s, 800.00/s  LR: {lr:.3e}  Data: 0.010", "", ""),
    "llama-recipes": ("", "Training Epoch: {epoch1}/4, step {batch}/{per} completed (loss: {loss:.6f})", "", ""),
    "SFT": ("", "Epoch {epoch1} | Step {step:4d}/{total} | SFT Loss: {loss:.4f} | Grad Norm: {norm:.2f} | LR: {lr:.2e}", "", ""),
    "char-rnn": ("", "{step}/{total} (epoch {part:.3f}), train_loss = {loss:.8f}, grad/param norm = 2.9411e-02, time/batch = 0.1697s", "", ""),
    "brackets": ("", "[step {step}] loss={loss:.4f} lr={lr:.2e} grad_norm={norm:.3f}", "", ""),
    "optimizer step": ("", "INFO - [Optimizer-step {step}] Loss: {loss:.4f} | LR: {lr:.2e} | Grad Norm: {norm:.4f}", "", ""),
    "iteration": ("", "Iter {next:6d} | Loss: {loss:.4f} | PPL: {ppl:.2f} | LR: {lr:.6f} | Grad Norm: {norm:.4f} | Time: 0.412s", "", ""),
    "thousands": ("", "Step {step:,} | Train loss: {loss:.4f} | LR {lr:.2e}", "Step {step:,} | Val loss: {val:.4f}", ""),
    "rank and step": ("", "[Rank 0] [Step {step}] loss: {loss:.4f}", "", ""),
    "mlx": ("", "Iter {next}: Train loss {loss:.3f}, Learning Rate {lr:.3e}, It/sec 0.612, Tokens/sec 209.0, Trained Tokens {next}, Peak mem 9.1 GB",
        "Iter {next}: Val loss {val:.3f}, Val took 12.100s", ""),
    "Keras": ("", "Epoch {epoch1}/4\n{batch}/{per} [=====>......] - ETA: 10s - loss: {loss:.4f} - accuracy: 0.3100", "", ""),
    "a tensor": ("", "step: {step} loss: tensor({loss:.4f}, device='cuda:0', grad_fn=<NllLossBackward0>) lr: [{lr:.6f}]", "", ""),
    "Hugging Face with a bar": ("", " {percent}%|###   | {next}/{total} [10:00<2:00:00, 3.33s/it]\n{{'loss': {loss:.4f}, 'grad_norm': {norm:.4f}, 'learning_rate': {lr}, 'epoch': {part:.2f}}}",
        "{{'eval_loss': {val:.4f}, 'eval_runtime': 12.1, 'eval_samples_per_second': 80.1, 'epoch': {part:.2f}}}", "{{'train_runtime': 3600.1, 'train_samples_per_second': 9.1, 'train_loss': 4.9, 'epoch': 4.0}}\n"),
    "Hugging Face": ("***** Running training *****\n  Num examples = 9,600\n  Num Epochs = 4\n  Total optimization steps = 2,400\n",
        "{{'loss': {loss:.4f}, 'grad_norm': {norm:.4f}, 'learning_rate': {lr}, 'epoch': {part:.4f}}}",
        "{{'eval_loss': {val:.4f}, 'eval_runtime': 12.1, 'epoch': {part:.4f}}}", "{{'train_runtime': 3600.1, 'train_loss': 4.9, 'epoch': 4.0}}\n"),
    "Hugging Face 5": ("", "{{'loss': '{loss:.4f}', 'grad_norm': '{norm:.4f}', 'learning_rate': '{lr:.4g}', 'epoch': '{part:.4f}'}}", "", ""),
    "LLaMA-Factory": ("", "[INFO|2025-01-01 10:00:00] llamafactory.train.callbacks:143 >> {{'loss': {loss:.4f}, 'learning_rate': {lr:.4e}, 'epoch': {part:.4f}}}\n"
        "{{'loss': {loss:.4f}, 'grad_norm': {norm:.4f}, 'learning_rate': {lr}, 'epoch': {part:.4f}}}", "", ""),
    "ms-swift": ("", "{{'loss': {loss:.4f}, 'grad_norm': {norm:.4f}, 'learning_rate': {lr}, 'memory(GiB)': 40.1, 'epoch': {part:.4f}, 'global_step/max_steps': '{next}/{total}', 'percentage': '1.00%'}}", "", ""),
    "JSON behind a prefix": ("", "INFO:train:{{\"step\": {step}, \"loss\": {loss:.4f}, \"lr\": {lr}, \"grad_norm\": {norm:.4f}}}", "", ""),
    "a model card": ("| Training Loss | Epoch  | Step | Validation Loss |\n|:-------------:|:------:|:----:|:---------------:|\n",
        "| {loss:.4f}        | {part:.4f} | {step}  | {val:.4f}          |", "", ""),
    "a notebook's table": ("Step\tTraining Loss\tValidation Loss\n", "{step}\t{loss:.6f}\t{val:.6f}", "", ""),
    "spaces": ("  step      loss        lr   grad_norm\n", "{step:6d}  {loss:.5f}  {lr:.7f}  {norm:.4f}", "", ""),
    "a bar with its loss": ("", "\rTraining:   1%|▏   | {step}/{total} [00:10<20:00,  2.00it/s, loss={loss:.4f}, lr={lr:.2e}]", "", ""),
    "Lightning": ("", "\rEpoch {epoch}:   1%|▏   | {batch}/{per} [00:10<20:00,  2.00it/s, v_num=0, train_loss={loss:.4f}]", "", ""),
    "one line for each": ("", "Step: {step}, Training Loss: {loss:.4f}, Learning Rate: {lr:.6f}", "Validation Loss: {val:.4f}", ""),
    "GradNorm": ("", "step={step} step_loss={loss:.4f} GradNorm={norm:.4f} LearningRate={lr:.2e}", "", ""),
    "key and value in columns": ("", "step {step:>8d}    ce_loss {loss:>8.4f}    gnorm {norm:>8.3f}", "", ""),
}  # fmt: skip


def text(name, measured, look=LOOK):
    """Return a log in one of the formats."""
    before, train, validation, after = FORMATS[name]
    lines = [before.replace("{{", "{").replace("}}", "}")]
    for row in measured:
        lines.append(train.format(**vars(row)) + "\n")
        if validation and row.step % look == 0:
            lines.append(validation.format(**vars(row)) + "\n")
    return "".join([*lines, after.replace("{{", "{").replace("}}", "}")])
