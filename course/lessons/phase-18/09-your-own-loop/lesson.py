"""Lesson 18-09: two loops in other people's style, and a log: Monitor in four lines finds what is wrong."""

# %% [markdown] id="why" lang="en"
# Until now every broken run came from our own trainer. Yours will not. This lesson brings two loops as you
# find them in the wild, one in the style of nanoGPT and one in the style of Hugging Face, and three lines of a
# real log. Afterwards you can
#
# * put `Monitor` around a loop that you did not write, in four lines, and read its verdict;
# * repair an accumulation loop and a loss that shifts its labels;
# * say of a log without step numbers when it broke, and what to record next time.
#
# Run the cells in order with **Shift + Enter**.

# %% [markdown] id="why" lang="es" of="54d79399a4a8"
# Hasta ahora todos los runs rotos venían de nuestro propio trainer. Los tuyos no. Esta lección trae dos bucles
# como los que se encuentran por ahí, uno al estilo de nanoGPT y otro al estilo de Hugging Face, y tres líneas
# de un log real. Al terminar sabrás
#
# * poner `Monitor` alrededor de un bucle que no escribiste, en cuatro líneas, y leer su veredicto;
# * reparar un bucle que acumula gradientes y un loss que desplaza sus labels;
# * decir, de un log sin números de paso, cuándo se rompió, y qué registrar la próxima vez.
#
# Ejecuta las celdas en orden con **Shift + Enter**.

# %% id="setup" setup=true
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import torch
from rich.console import Console
from torch import nn
from torch.nn import functional as F

from course.notebook import check, lesson, t
from course.predictions import compare, predict
from minigpt import Config, Monitor, Recipe
from minigpt.data.batches import get_batch
from minigpt.diagnosis.report import show

lesson("18-09")
runs = Path("experiments") / "18-09"
torch.set_num_threads(1)

# %% [markdown] id="meet" lang="en"
# ## 1 · A loop that misbehaves
#
# The model takes inputs and targets and returns logits and loss, as nanoGPT's does. Four micro-batches make one
# step. Read the loop: something in it is wrong.

# %% [markdown] id="meet" lang="es" of="7c25eb0c75c1"
# ## 1 · Un bucle que se porta mal
#
# El modelo recibe entradas y targets y devuelve logits y loss, como el de nanoGPT. Cuatro micro-batches forman
# un paso. Lee el bucle: algo en él está mal.

# %% id="loop"
config = Config(batch_size=8, accumulation=4)
recipe = Recipe(config)
tokens = recipe.load_data(config).train


class NanoStyle(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(config.seed)
        self.gpt = recipe.build_model(config)
        recipe.init_weights(self.gpt, config)

    def forward(self, inputs, targets):
        logits = self.gpt(inputs)  # (B, T, V)
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def micro_batches(step):
    batches = (get_batch(tokens, config, step=step, micro=micro) for micro in range(4))
    return [(batch.inputs, batch.targets) for batch in batches]


def broken_step(model, optimizer, batches, clip):
    value = 0.0
    for inputs, targets in batches:
        optimizer.zero_grad(set_to_none=True)
        _, loss = model(inputs, targets)
        loss = loss / len(batches)
        loss.backward()
        value += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return value


def run_nano(train_step, steps=20):
    model = NanoStyle()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    return [train_step(model, optimizer, micro_batches(step), 1.0) for step in range(steps)]


# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# Of the four micro-batches of a step, **how many have a part in the update?** And after 20 steps: **by how much
# is its loss higher** than that of a right loop, in nats? (Negative if you think that it is lower.)

# %% [markdown] id="predict" lang="es" of="36497af1118c"
# ## 2 · Predice
#
# De los cuatro micro-batches de un paso, **¿cuántos participan en la actualización?** Y después de 20 pasos:
# **¿cuánto más alto está su loss** que el de un bucle correcto, en nats? (Negativo si crees que está más bajo.)

# %% id="my-prediction"
predict("own-loop", reached=..., higher=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it
#
# No theory: exchange one micro-batch for another and see whether the weights after the step change. And run the
# loop beside a right one, which gets the same 32 rows as one batch.

# %% [markdown] id="break" lang="es" of="a126f3a530e3"
# ## 3 · Rómpelo
#
# Sin teoría: cambia un micro-batch por otro y mira si cambian los pesos después del paso. Y ejecuta el bucle
# junto a uno correcto, que recibe las mismas 32 filas como un solo batch.


# %% id="compare-prediction" compare=true
def weights_after(train_step, batches):
    model = NanoStyle()
    train_step(model, torch.optim.SGD(model.parameters(), lr=0.1), batches, 1.0)
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def count_reached(train_step):
    batches, others = micro_batches(0), micro_batches(1)
    usual = weights_after(train_step, batches)
    changed = (batches[:i] + [others[i]] + batches[i + 1 :] for i in range(4))
    return sum(not torch.equal(usual, weights_after(train_step, each)) for each in changed)


def big_batch_step(model, optimizer, batches, clip):
    inputs, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return broken_step(model, optimizer, [(inputs, targets)], clip)


broken_losses, right_losses = run_nano(broken_step), run_nano(big_batch_step)
compare(
    "own-loop",
    reached=count_reached(broken_step),
    higher=round(broken_losses[-1] - right_losses[-1], 1),
)

# %% [markdown] id="inspect" lang="en"
# One of four, and the curve says nearly nothing: three quarters of the work are thrown away for a loss that
# still falls.
#
# ## 4 · Inspect
#
# ### Monitor in four lines
#
# The same loop, written out, with four lines added: `Monitor(...)` around it, `monitor.step(loss)` after each
# `backward()`, `monitor.check()` at the end, and one to show what it found. Nothing else changes, and the losses
# stay the same bit for bit.

# %% [markdown] id="inspect" lang="es" of="ba30850caa58"
# Uno de cuatro, y la curva no dice casi nada: se tiran tres cuartas partes del trabajo a cambio de un loss que
# sigue bajando.
#
# ## 4 · Inspecciona
#
# ### Monitor en cuatro líneas
#
# El mismo bucle, escrito completo, con cuatro líneas más: `Monitor(...)` alrededor, `monitor.step(loss)` después
# de cada `backward()`, `monitor.check()` al final, y una para mostrar lo que encontró. No cambia nada más, y los
# losses quedan iguales bit por bit.

# %% id="monitor"
shutil.rmtree(runs / "nano", ignore_errors=True)
model = NanoStyle()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
with Monitor(model, optimizer, vocab_size=config.vocab_size, run_dir=runs / "nano") as monitor:
    for step in range(20):
        for inputs, targets in micro_batches(step):
            optimizer.zero_grad(set_to_none=True)
            _, loss = model(inputs, targets)
            loss = loss / 4
            loss.backward()
            monitor.step(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    nano_walk = monitor.check()
show(nano_walk, Console(width=88))

# %% [markdown] id="verdict" lang="en"
# Read the verdict from top to bottom: the leaf's name, the question with its **numbers** (80 backward passes,
# 20 steps, 3 cleared in each), what it means, what to change. The numbers are the evidence; the name is only a
# label. “Not measured” is not “healthy”: the schedule, for one, was never told.
#
# ### The second loop
#
# In Hugging Face's style, the model returns its own loss when you give it `labels`. The convention: `labels`
# are **not shifted**, they have the shape of `input_ids`, and −100 marks what does not count. The model shifts.
# Here, the loader shifts as well.

# %% [markdown] id="verdict" lang="es" of="d198e5dc954e"
# Lee el veredicto de arriba abajo: el nombre de la hoja, la pregunta con sus **números** (80 pasadas hacia atrás,
# 20 pasos, 3 borradas en cada uno), qué significa, qué cambiar. Los números son la evidencia; el nombre es solo
# una etiqueta. «No medido» no es «sano»: el schedule, por ejemplo, nadie lo declaró.
#
# ### El segundo bucle
#
# Al estilo de Hugging Face, el modelo devuelve su propio loss cuando le das `labels`. La convención: los `labels`
# **no están desplazados**, tienen la forma de `input_ids`, y −100 marca lo que no cuenta. El modelo desplaza.
# Aquí, el loader desplaza también.


# %% id="second-loop"
def model_loss(logits, labels):
    logits, labels = logits[:, :-1], labels[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)


class FaceStyle(nn.Module):
    def __init__(self, loss):
        super().__init__()
        torch.manual_seed(config.seed)
        self.gpt, self.loss = recipe.build_model(config), loss
        recipe.init_weights(self.gpt, config)

    def forward(self, input_ids, labels=None):
        logits = self.gpt(input_ids)
        return SimpleNamespace(logits=logits, loss=None if labels is None else self.loss(logits, labels))


def collate(step, shift):
    batch = get_batch(tokens, config, step=step)
    return batch.inputs, batch.targets if shift else batch.inputs


def run_face(name, loss, shift):
    shutil.rmtree(runs / name, ignore_errors=True)
    model = FaceStyle(loss)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with Monitor(model, optimizer, vocab_size=config.vocab_size, run_dir=runs / name) as monitor:
        for step in range(20):
            input_ids, labels = collate(step, shift)
            output = model(input_ids, labels=labels)
            output.loss.backward()
            optimizer.step()
            monitor.step(output.loss)
            optimizer.zero_grad()
        return monitor.check()


show(run_face("face", model_loss, shift=True), Console(width=88))

# %% [markdown] id="fix" lang="en"
# Two right halves made one wrong whole. No line is wrong by itself, so no review of one file finds it; the best
# offset, +2, does.
#
# ## 5 · Fix
#
# ### Exercise 1 · One step from many micro-batches
#
# Write `train_step(model, optimizer, batches, clip)`. `batches` is a list of `(inputs, targets)` of the same
# size; `model(inputs, targets)` returns logits and mean loss. The update must equal that of the one big batch,
# whatever `.grad` holds before; the gradient is clipped to the norm `clip`. Return the mean loss.

# %% [markdown] id="fix" lang="es" of="20a6bba7071c"
# Dos mitades correctas dieron un conjunto incorrecto. Ninguna línea está mal por sí sola, así que revisar un solo
# archivo no lo descubre; el mejor desplazamiento, +2, sí.
#
# ## 5 · Arregla
#
# ### Ejercicio 1 · Un paso con muchos micro-batches
#
# Escribe `train_step(model, optimizer, batches, clip)`. `batches` es una lista de `(inputs, targets)` del mismo
# tamaño; `model(inputs, targets)` devuelve logits y loss medio. La actualización debe ser la del batch grande,
# haya lo que haya antes en `.grad`; el gradiente se recorta a la norma `clip`. Devuelve el loss medio.


# %% solution="train-step"
def train_step(model, optimizer, batches, clip):
    ### BEGIN SOLUTION
    optimizer.zero_grad(set_to_none=True)
    value = 0.0
    for inputs, targets in batches:
        _, loss = model(inputs, targets)
        part = loss / len(batches)
        part.backward()
        value += part.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return value
    ### END SOLUTION


# %% check="train-step/whole" points=2
check("train-step/whole", train_step)

# %% check="train-step/fresh" points=1
check("train-step/fresh", train_step)

# %% check="train-step/clip" points=1
check("train-step/clip", train_step)

# %% check="train-step/loss" points=1
check("train-step/loss", train_step)

# %% [markdown] id="task-loss" lang="en"
# ### Exercise 2 · A loss that shifts once
#
# Write `causal_loss(logits, labels)`: logits (B, T, V), labels (B, T) as Hugging Face passes them, not shifted,
# −100 where nothing counts. Return the mean loss over the labels that count, and 0 if there are none.

# %% [markdown] id="task-loss" lang="es" of="8518631a7a30"
# ### Ejercicio 2 · Un loss que desplaza una sola vez
#
# Escribe `causal_loss(logits, labels)`: logits (B, T, V) y labels (B, T) como los pasa Hugging Face, sin
# desplazar, con −100 donde nada cuenta. Devuelve el loss medio sobre los labels que cuentan, y 0 si no hay
# ninguno.


# %% solution="causal-loss"
def causal_loss(logits, labels):
    ### BEGIN SOLUTION
    logits, labels = logits[:, :-1], labels[:, 1:]
    kept = labels != -100
    return F.cross_entropy(logits[kept], labels[kept], reduction="sum") / kept.sum().clamp(min=1)
    ### END SOLUTION


# %% check="causal-loss/shift" points=1
check("causal-loss/shift", causal_loss)

# %% check="causal-loss/ignored" points=2
check("causal-loss/ignored", causal_loss)

# %% check="causal-loss/empty" points=1
check("causal-loss/empty", causal_loss)

# %% [markdown] id="task-log" lang="en"
# ### Exercise 3 · A log without step numbers
#
# Three lines of a real report, digits shortened (the link is at the end). The first has a believable loss. And yet
# it is the line where the run broke, and the 0.0 after it is no loss at all.

# %% [markdown] id="task-log" lang="es" of="819967b829c7"
# ### Ejercicio 3 · Un log sin números de paso
#
# Tres líneas de un informe real, con menos cifras (el enlace está al final). La primera tiene un loss creíble. Y
# sin embargo es la línea en la que el run se rompió, y el 0.0 que viene después no es ningún loss.

# %% id="real-log"
real_log = [
    "{'loss': 0.2051, 'grad_norm': nan, 'learning_rate': 9.7741e-06, 'epoch': 0.53}",
    "{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 9.7737e-06, 'epoch': 0.53}",
    "{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 9.7733e-06, 'epoch': 0.53}",
]

# %% [markdown] id="task-read" lang="en"
# Write `read_log(lines, every)`. A training record is printed after each `every` steps: the first belongs to
# step `every`, the next to 2 · `every`. Other lines (warnings, progress bars, dicts with `eval_loss`) do not
# count. Return the last good step, 0 if there is none, and the first step at which `loss` or `grad_norm` is not
# finite, or `None`.

# %% [markdown] id="task-read" lang="es" of="d488386b1797"
# Escribe `read_log(lines, every)`. Cada `every` pasos se imprime un registro de entrenamiento: el primero es del
# paso `every`, el siguiente de 2 · `every`. Otras líneas (advertencias, barras de progreso, diccionarios con
# `eval_loss`) no cuentan. Devuelve el último paso bueno, 0 si no hay ninguno, y el primer paso en el que `loss` o
# `grad_norm` no es finito, o `None`.


# %% solution="read-log"
def read_log(lines, every):
    ### BEGIN SOLUTION
    step = 0
    for line in lines:
        found = dict(re.findall(r"'(\w+)': ([^,}]+)", line))
        if "loss" not in found:
            continue
        step += every
        if not all(math.isfinite(float(found[name])) for name in ("loss", "grad_norm")):
            return step - every, step
    return step, None
    ### END SOLUTION


# %% check="read-log/loss" points=1
check("read-log/loss", read_log)

# %% check="read-log/norm" points=1
check("read-log/norm", read_log)

# %% check="read-log/others" points=1
check("read-log/others", read_log)

# %% check="read-log/healthy" points=1
check("read-log/healthy", read_log)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# Your step in the first loop, your loss in the second, whose loader no longer shifts. All four micro-batches must
# reach the step, its losses must equal those of the big batch, and the leaf must be gone.

# %% [markdown] id="verify" lang="es" of="c7d4fbd25a0d"
# ## 6 · Comprueba
#
# Tu paso en el primer bucle, tu loss en el segundo, cuyo loader ya no desplaza. Los cuatro micro-batches deben
# llegar al paso, sus losses deben ser los del batch grande, y la hoja debe desaparecer.

# %% id="verified" compare=true
yours = run_nano(train_step)
print(count_reached(train_step), max(abs(a - b) for a, b in zip(yours, right_losses, strict=True)) < 1e-2)
for name, walk in {
    "broken": run_face("face-broken", causal_loss, shift=True),
    "repaired": run_face("face-repaired", causal_loss, shift=False),
}.items():
    print(f"{t(name):10} {t('leaf')}: {walk.leaf or t('none')}")
print(read_log(real_log, 1))

# %% [markdown] id="verify-said" lang="en"
# Your right loss alone did not help: as long as the loader shifts too, the leaf stays. A fault between two parts
# is repaired where they meet. And the log: no good step is in it, so nobody can say which batch it was.

# %% [markdown] id="verify-said" lang="es" of="a291e9dd3caa"
# Tu loss correcto no bastó: mientras el loader también desplace, la hoja sigue ahí. Un fallo entre dos partes se
# repara donde se encuentran. Y el log: no contiene ningún paso bueno, así que nadie puede decir qué batch fue.

# %% [markdown] id="explain" lang="en"
# ## 7 · Explain
#
# Somebody sends you those three lines and asks what happened. Say (1) what they show and what they do not; (2)
# why the loss of 0.0 is no success; (3) three things to record next time, each with the question that it would
# answer. (One point each.)

# %% [markdown] id="explain" lang="es" of="b5786ca40d1e"
# ## 7 · Explica
#
# Alguien te manda esas tres líneas y pregunta qué pasó. Di (1) qué muestran y qué no; (2) por qué el loss de 0.0
# no es un éxito; (3) tres cosas que registrar la próxima vez, cada una con la pregunta que respondería. (Un punto
# por cada parte.)

# %% [markdown] answer="what-to-record" points=3 lang="en"
# The gradient norm is NaN in the first line, while the loss is still finite: the break came in the backward pass,
# or in a step in between. Which step, which batch and which module cannot be read from it, and no good line is
# left to start from. The 0.0 is no measurement: the gradient stays NaN, the weights with it, and a logger that
# leaves NaN out of its mean has nothing left to average. Next time: the step number and the indices of the batch
# (which data?); loss and gradient norm of every step, unfiltered (which was first?); the first module that was not
# finite, or the scaler's factor (where?).
#
# ---
# **Rubric.** One point each. (1) The gradient breaks before the loss, and at least one thing that is missing: step,
# batch, module, the lines before. (2) The norm is still NaN in the same lines, or a filter puts 0 in place of NaN.
# (3) Three things, each with its question; two: half a point. “More logging” earns nothing.

# %% [markdown] answer="what-to-record" points=3 lang="es" of="e402e8daaf8a"
# La norma del gradiente es NaN ya en la primera línea, cuando el loss todavía es finito: se rompió en la vuelta, o
# en un paso intermedio. Qué paso, qué batch y qué módulo no se puede leer ahí, y no queda ninguna línea buena de la
# cual partir. El 0.0 no es una medida: el gradiente sigue en NaN, los pesos también, y un log que excluye los NaN de
# su media ya no tiene nada que promediar. La próxima vez: el número de paso y los índices del batch (¿qué datos?);
# loss y norma del gradiente de cada paso, sin filtrar (¿cuál fue el primero?); el primer módulo no finito, o el
# factor del scaler (¿dónde?).
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) El gradiente se rompe antes que el loss, y al menos una cosa que falta:
# paso, batch, módulo, las líneas anteriores. (2) La norma sigue en NaN en las mismas líneas, o un filtro pone 0 en
# lugar de NaN. (3) Tres cosas, cada una con su pregunta; dos: medio punto. «Más logs» no da puntos.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# | leaf | evidence | right | broken | first action |
# |---|---|:-:|:-:|---|
# | `lost-accumulation` | backward passes cleared before each step | 0 | k − 1 | `zero_grad` once a step |
# | `target-shift` | best offset of the scored targets | +1 | any other | shift in the loader or in the loss |
#
# Record in every run: step, loss and gradient norm **unfiltered**, learning rate, which rows made the batch.

# %% [markdown] id="card" lang="es" of="276083582388"
# ## 8 · Una tarjeta para guardar
#
# | hoja | evidencia | bien | roto | primera acción |
# |---|---|:-:|:-:|---|
# | `lost-accumulation` | pasadas hacia atrás borradas antes de cada paso | 0 | k − 1 | `zero_grad` una vez por paso |
# | `target-shift` | mejor desplazamiento de los targets evaluados | +1 | cualquier otro | desplaza en el loader o en el loss |
#
# Registra en cada run: paso, loss y norma del gradiente **sin filtrar**, learning rate, qué filas formaron el
# batch.

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# ```python
# from minigpt import Monitor
#
# with Monitor(model, optimizer, vocab_size=50257, run_dir="experiments/mine") as monitor:
#     ...                        # your loop, with monitor.step(loss) after each backward()
#     walk = monitor.check()
# print(walk.leaf or walk.verdict)
# ```
#
# Twenty steps are enough for most questions. `docs/monitor.md` says what to tell it and what it cannot see.

# %% [markdown] id="own-run" lang="es" of="24c10780727f"
# ## 9 · En tu propio run
#
# ```python
# from minigpt import Monitor
#
# with Monitor(model, optimizer, vocab_size=50257, run_dir="experiments/mine") as monitor:
#     ...                        # tu bucle, con monitor.step(loss) después de cada backward()
#     walk = monitor.check()
# print(walk.leaf or walk.verdict)
# ```
#
# Para la mayoría de las preguntas bastan veinte pasos. `docs/monitor.es.md` dice qué declararle y qué no puede ver.

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# **A true story.** In July 2020 somebody [asked](https://github.com/huggingface/transformers/issues/5886) whether the
# loader should not shift the labels, and answered it alone: GPT-2 does so inside. In December 2024 another reader
# did not find the shift in the code any more and reported a [critical
# bug](https://github.com/huggingface/transformers/issues/35066). In March 2026 a [proposal to say it in the
# documentation](https://github.com/huggingface/transformers/pull/44642) gave the reason: many had shifted their labels
# beforehand, and trained on the token after the next by accident.
#
# * The three lines of the log: [this report](https://github.com/AnswerDotAI/ModernBERT/issues/233).
# * Micro-batches of different length in `Trainer`: reported in [July
#   2023](https://github.com/huggingface/transformers/issues/24725), fixed in [October
#   2024](https://github.com/huggingface/transformers/pull/34191). Your `train_step` takes them to be equal.
#
# Lesson 19-00 begins the next phase: runs whose configuration is right and that break all the same.

# %% [markdown] id="sources" lang="es" of="977c5748ddbd"
# ## 10 · De dónde viene esto
#
# **Una historia real.** En julio de 2020 alguien
# [preguntó](https://github.com/huggingface/transformers/issues/5886) si el loader no debería desplazar los labels, y se
# respondió sin ayuda: GPT-2 lo hace por dentro. En diciembre de 2024 otra persona ya no encontró el desplazamiento
# en el código y avisó de un [error crítico](https://github.com/huggingface/transformers/issues/35066). En marzo de
# 2026, una [propuesta para decirlo en la documentación](https://github.com/huggingface/transformers/pull/44642) dio la
# razón: muchos habían desplazado antes sus labels, y entrenaban por accidente con el token que va después del
# siguiente.
#
# * Las tres líneas del log: [este informe](https://github.com/AnswerDotAI/ModernBERT/issues/233).
# * Micro-batches de distinto largo en `Trainer`: el informe es de [julio de
#   2023](https://github.com/huggingface/transformers/issues/24725) y el arreglo, de [octubre de
#   2024](https://github.com/huggingface/transformers/pull/34191). Tu `train_step` los supone iguales.
#
# La lección 19-00 abre la próxima fase: runs cuya configuración es correcta y que se rompen de todos modos.

# %% [markdown] id="bonus" lang="en"
# **A hard bonus task.** Your `train_step` takes the micro-batches to be equally long. Write the losses of one step
# for pieces with different numbers of targets, so that their sum is the mean over all targets of the step.
#
# <details><summary>Hint</summary>
#
# The number to divide by is known only after a look at all the pieces, before the first `backward()`. A target of −100 does not count.
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# def losses_of(net, micro_batches):
#     tokens = sum((targets != -100).sum() for _, targets in micro_batches)
#     for inputs, targets in micro_batches:
#         logits = net(inputs).flatten(0, 1)
#         lost = torch.nn.functional.cross_entropy(logits, targets.flatten(), reduction="sum")  # leaves out −100
#         yield lost / tokens
# ```
#
# Call `backward()` on each as it comes. It is what `Trainer` does since October 2024.
# </details>

# %% [markdown] id="bonus" lang="es" of="0c0e77fe1e9f"
# **Un reto extra, difícil.** Tu `train_step` supone que los micro-batches son igual de largos. Escribe los losses de
# un paso para trozos con distinto número de targets, de modo que su suma sea la media de todos los targets del paso.
#
# <details><summary>Pista</summary>
#
# El número entre el que hay que dividir solo se conoce después de mirar todos los trozos, antes del primer `backward()`. Un target de −100 no cuenta.
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# def losses_of(net, micro_batches):
#     tokens = sum((targets != -100).sum() for _, targets in micro_batches)
#     for inputs, targets in micro_batches:
#         logits = net(inputs).flatten(0, 1)
#         lost = torch.nn.functional.cross_entropy(logits, targets.flatten(), reduction="sum")  # leaves out −100
#         yield lost / tokens
# ```
#
# Llama a `backward()` con cada uno según llega. Es lo que hace `Trainer` desde octubre de 2024.
# </details>
