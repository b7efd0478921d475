"""Lesson 19-06: a published plateau, its remedies tried one by one, and the cause that none of them touches."""

# %% [markdown] id="why" lang="en"
# Somebody fine-tuned GPT-2. The loss began at 9.23, fell to 6.6 and stayed there; at step 2000 it jumped to 9.58
# and came back. A report blamed three settings: the sequences were too long (256), the batch too small (8), and the
# schedule was wrong. All three were changed. In the next run the validation loss rose from 6.71 to 6.93.
#
# Here you try every hypothesis of that report, and one that is not in it. Afterwards you can
#
# * tell a remedy that *helps* from one that *cures*;
# * estimate how noisy a gradient is, from micro-batches, before you blame the size of the batch;
# * recognise targets that are one token off, from a single number that is measured before the first step.
#
# Run the cells in order with **Shift + Enter**.

# %% [markdown] id="why" lang="es" of="6417df3598ff"
# Alguien hizo fine-tuning de GPT-2. El loss empezó en 9.23, bajó a 6.6 y ahí se quedó; en el paso 2000 saltó a 9.58
# y después volvió. Un informe culpó a tres ajustes: secuencias demasiado largas (256), un batch demasiado pequeño
# (8) y un schedule equivocado. Se cambiaron los tres. En el run siguiente, el loss de validación subió de 6.71 a
# 6.93.
#
# Aquí vas a probar todas las hipótesis de ese informe, y una que no está en él. Al terminar sabrás
#
# * distinguir un remedio que *ayuda* de uno que *cura*;
# * estimar cuánto ruido tiene un gradiente, con micro-batches, antes de culpar al tamaño del batch;
# * reconocer, con un solo número medido antes del primer paso, unos targets corridos un token.
#
# Ejecuta las celdas en orden con **Shift + Enter**.

# %% id="setup" setup=true
import copy
import dataclasses
import math
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from rich.console import Console
from torch import nn

from course.live_plot import LivePlot
from course.notebook import check, lesson, t
from course.picture import Picture
from course.predictions import compare, predict
from course.widgets import Slider, playground
from minigpt import Config, Recipe, diagnosis, train
from minigpt.diagnosis.report import show

lesson("19-06")
runs = Path("experiments") / "19-06"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9


def last_loss(run, count=10):
    return sum(record["loss"] for record in run.metrics[-count:]) / count


# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# First a *pretrained* model: our small GPT, trained as it should be. Then the fine-tuning, from its weights, on the
# same text. It should begin where the pretraining ended.

# %% [markdown] id="meet" lang="es" of="db8adc374698"
# ## 1 · Un run que se porta mal
#
# Primero, un modelo *preentrenado*: nuestro pequeño GPT, entrenado como se debe. Después, el fine-tuning, a
# partir de sus pesos y con el mismo texto. Debería empezar donde terminó el preentrenamiento.


# %% id="pretrain"
class Keep:
    at = {}

    def on_start(self, trainer):
        self.at[0] = copy.deepcopy(trainer.model)

    def on_record(self, trainer, record):
        self.model, step = trainer.model, record["step"] + 1
        if step in (5, 10, 20, 40, 80, 150):
            self.at[step] = copy.deepcopy(trainer.model)


keep = Keep()
before_config = Config(steps=150, batch_size=8, lr_max=5e-3, lr_min=5e-4, eval_every=0, eval_batches=1)
pretraining = train(Recipe(before_config), runs / "pretraining", callbacks=[keep, LivePlot()], overwrite=True)
pretrained = {name: weight.detach().clone() for name, weight in keep.model.state_dict().items()}


# %% id="facts" compare=true
def from_pretrained(model, config):
    with torch.no_grad():
        for name, weight in model.state_dict().items():
            weight.copy_(pretrained[name][: len(weight)])


config = Config(
    steps=60, batch_size=8, warmup_steps=6, lr_max=1e-3, lr_min=1e-4, eval_every=0, eval_batches=1
)
right = dataclasses.replace(Recipe(config), init_weights=from_pretrained)
ill = right.with_fault("target-shift")
print(f"ln {config.vocab_size} = {math.log(config.vocab_size):.2f}")

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# Something is wrong in the recipe of the fine-tuning; for now it does not matter what. **At which loss does it
# begin**, in step 0, before any weight has moved? And **at which loss is it after 60 steps?**

# %% [markdown] id="predict" lang="es" of="01aa7d197c25"
# ## 2 · Predice
#
# En la receta del fine-tuning hay algo mal; por ahora no importa qué. **¿Con qué loss empieza**, en el paso 0,
# antes de que se mueva ningún peso? ¿Y **en qué loss está después de 60 pasos?**

# %% id="my-prediction"
predict("plateau", first=..., last=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it

# %% [markdown] id="break" lang="es" of="a3e5f61bd7ca"
# ## 3 · Rómpelo

# %% id="train-ill"
broken = train(ill, runs / "ill", callbacks=[LivePlot(before=pretraining.metrics)], overwrite=True)
compare("plateau", first=round(broken.metrics[0]["loss"], 1), last=round(last_loss(broken), 1))

# %% [markdown] id="hypotheses" lang="en"
# ## 4 · Inspect
#
# ### The report's hypotheses, each tried
#
# A fall, and then a flat line. Each hypothesis of the report is one change. Change one thing, train, and write down
# two numbers: the loss before the first update, and the loss at the end. (The report also advises a higher learning
# rate, if nothing else helps: the last row but one.)

# %% [markdown] id="hypotheses" lang="es" of="81dfd2531be4"
# ## 4 · Inspecciona
#
# ### Las hipótesis del informe, una por una
#
# Una bajada y después una línea plana. Cada hipótesis del informe es un cambio. Cambia una sola cosa, entrena y
# anota dos números: el loss antes de la primera actualización y el loss al final. (El informe también aconseja un
# learning rate (tasa de aprendizaje) más alto, si nada más ayuda: es la penúltima fila.)

# %% id="try-each"
constant = {"schedule": "constant", "warmup_steps": 0, "lr_max": 5e-4}
changes = {
    "ill": {},
    "block": {"context": 32},
    "batch": {"batch_size": 32},
    "schedule": constant,
    "all-three": {"context": 32, "batch_size": 32} | constant,
    "lr-up": {"lr_max": 5e-3},
}
tried = {name: broken for name in ("ill",)}
for name, change in changes.items():
    if name not in tried:
        changed = dataclasses.replace(ill, config=config.replace(**change))
        tried[name] = train(changed, runs / name, overwrite=True)
tried["right"] = train(right, runs / "right", overwrite=True)
print(f"{'':30}{t('first'):>12}{t('last'):>12}")
for name, run in tried.items():
    print(f"{t(name):30}{run.metrics[0]['loss']:12.1f}{last_loss(run):12.1f}")

# %% id="who-starts-well" compare=true
start = pretraining.metrics[-1]["loss"]
for name, run in tried.items():
    print(f"{t(name):30}{t('starts-well') if run.metrics[0]['loss'] < start + 1 else t('starts-badly')}")

# %% [markdown] id="before-training" lang="en"
# Look at the first column. Step 0 is measured **before any update**. No batch size, no schedule and no learning
# rate has acted on it yet, so none of them can explain it. A pretrained model that begins nearer to chance than to
# where its pretraining ended has no problem with training. It is being asked the wrong question.
#
# That number was there in the original log: 9.23, from a pretrained GPT-2, for which chance is ln 50,257 = 10.82.
# Everybody looked at the plateau.
#
# ### Ask the model what it was taught
#
# Take the predictions of the pretrained model, and compute their loss against the token itself, against the next
# one, and against those after it.

# %% [markdown] id="before-training" lang="es" of="862edd43a257"
# Mira la primera columna. El paso 0 se mide **antes de cualquier actualización**. Ni el tamaño del batch, ni el
# schedule, ni el learning rate han actuado todavía, así que ninguno puede explicarlo. Un modelo preentrenado que
# empieza más cerca del azar que de donde terminó su preentrenamiento no tiene un problema de entrenamiento. Le
# están haciendo la pregunta equivocada.
#
# Ese número estaba en el log original: 9.23, con un GPT-2 preentrenado, cuyo nivel de azar es ln 50,257 = 10.82. Todo
# el mundo miraba la meseta.
#
# ### Pregúntale al modelo qué le enseñaron
#
# Toma las predicciones del modelo preentrenado y calcula su loss frente al mismo token, al siguiente y a los que
# vienen después.


# %% id="offsets" compare=true
data = right.load_data(config)
spans = torch.stack([data.train[i : i + 70] for i in range(0, 64 * 2000, 2000)])


@torch.no_grad()
def loss_at(model, offset):
    logits = model(spans[:, :64])
    return F.cross_entropy(logits.flatten(0, 1), spans[:, offset : offset + 64].flatten()).item()


by_offset = [loss_at(keep.model, offset) for offset in range(5)]
for offset, value in enumerate(by_offset):
    print(f"t + {offset}   {t('as-taught') if value < start + 1 else t('not-taught')}")
print(t("lowest"), f"t + {int(np.argmin(by_offset))}")

# %% [markdown] id="walk-text" lang="en"
# The log can answer too. Before the first update the trainer takes the gradient of the loss with respect to the
# logits. It is negative at the target and nowhere else, so it shows which target the loss really scores, whoever
# shifted it. Question 1.4 of the configuration tree reads that:

# %% [markdown] id="walk-text" lang="es" of="11f8c64b6016"
# El log también puede contestar. Antes de la primera actualización, el trainer toma el gradiente del loss con
# respecto a los logits. Es negativo en el target y en ningún otro lugar, así que muestra con qué target se evalúa
# de verdad, sin importar quién lo haya desplazado. La pregunta 1.4 del árbol de la configuración lee ese dato:

# %% id="walk"
asked = [question for question in diagnosis.QUESTIONS if question.id == "1.4"]
show(diagnosis.walk(diagnosis.evidence_of(broken.path), asked), Console(width=88))

# %% [markdown] id="shifted-twice" lang="en"
# The model knows t + 1 and is scored on t + 2. The loader had shifted the targets by one, and the model's loss
# shifts them once more, because in the library that it comes from, the loss *always* shifts. Each of the two is
# right. Together they are wrong, and yet training seems to work: the loss falls as far as the token after the next
# can be guessed. That is the plateau.
#
# ### Turn the knob: train on the wrong question
#
# A one-layer GPT, trained from scratch for 60 steps to predict t + d. In grey, d = 1.
#
# 1. Move d from 1 to 5. Which curves fall? Could you tell d = 2 from a slow run?
# 2. And what does d = 0 do?

# %% [markdown] id="shifted-twice" lang="es" of="c0a6928946f1"
# El modelo sabe t + 1 y lo evalúan con t + 2. El código que carga los datos ya había corrido los targets un lugar,
# y el loss del modelo los corre otra vez, porque en la biblioteca de donde viene, el loss *siempre* los corre. Cada
# uno de los dos está bien. Juntos están mal, y aun así entrenar parece funcionar: el loss baja hasta donde se puede
# adivinar el token que sigue al siguiente. Esa es la meseta.
#
# ### Gira la perilla: entrena con la pregunta equivocada
#
# Un GPT de una capa, entrenado desde cero durante 60 pasos para predecir t + d. En gris, d = 1.
#
# 1. Lleva d de 1 a 5. ¿Qué curvas bajan? ¿Podrías distinguir d = 2 de un run lento?
# 2. ¿Y qué hace d = 0?

# %% id="small-run"
small = config.replace(n_layer=1, n_head=2, n_embd=32, context=32, batch_size=32, lr_max=1e-2)
fresh = Recipe(small)
seen = {}


def small_run(offset):
    if offset not in seen:
        torch.manual_seed(small.seed)
        model = fresh.build_model(small)
        fresh.init_weights(model, small)
        optimizer = fresh.build_optimizer(model, small)
        losses, generator = [], np.random.default_rng(0)
        for _ in range(small.steps):
            starts = torch.from_numpy(generator.integers(0, len(data.train) - 40, 32))
            rows = data.train.unfold(0, 38, 1)[starts]
            loss = F.cross_entropy(model(rows[:, :32]).flatten(0, 1), rows[:, offset : offset + 32].flatten())
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        seen[offset] = losses
    return seen[offset]


# %% id="playground" folded=true
def draw(figure, offset):
    axes = figure.subplots()
    axes.plot(small_run(1), color="0.6", label="d = 1")
    axes.plot(small_run(offset), color="#0072b2", label=f"d = {offset}")
    axes.axhline(math.log(small.vocab_size), color="black", linestyle="--", linewidth=1)
    axes.set(xlabel=t("step"), ylabel=t("loss"), ylim=(0, 6.6))
    axes.legend()


playground(draw, offset=Slider("d", 0, 5, 2))

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. All of them fall. From d = 3 on they get no further than the frequencies of single tokens allow; d = 2 gets a
#    little further, and its curve looks like that of a slow run. By its shape alone, nobody can tell it from a rate
#    that is too low or a batch that is too noisy.
# 2. Its loss falls to nearly 0: the answer is in the input. A curve that is too good is the same fault in the other
#    direction.
# </details>

# %% [markdown] id="play-answers" lang="es" of="936567cea694"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. Bajan todas. Desde d = 3 no llegan más allá de lo que permiten las frecuencias de los tokens sueltos; d = 2
#    llega un poco más lejos, y su curva parece la de un run lento. Solo por su forma, nadie la distingue de un
#    learning rate demasiado bajo o de un batch con demasiado ruido.
# 2. Su loss baja casi a 0: la respuesta está en la entrada. Una curva demasiado buena es el mismo fallo en la otra
#    dirección.
# </details>

# %% [markdown] id="fix" lang="en"
# ## 5 · Fix
#
# ### Exercise 1 · A bug in code that looks right
#
# > Difficulty ●●○○○ · Importance ●●●●● · 12 minutes
#
# `model(input_ids, labels)` is like a model of Hugging Face: it returns the mean loss, **shifts the labels itself**
# (position t is scored against `labels[:, t + 1]`), and leaves out labels of −100. This is the code that trained
# it:
#
# ```python
# def training_loss(model, tokens, pad):
#     inputs, targets = tokens[:, :-1], tokens[:, 1:]
#     return model(inputs, targets)
# ```
#
# Repair it. `tokens` is (B, T + 1), so it holds T targets: the token after each of the first T. All of them should
# count, except those that are `pad`. Do not change `tokens` itself.
#
# <details><summary>Hint</summary>
#
# How many times should the targets be shifted in all, and who does it? And which label does the model leave out?
# </details>

# %% [markdown] id="fix" lang="es" of="a478be2a1163"
# ## 5 · Arregla
#
# ### Ejercicio 1 · Un error en código que parece correcto
#
# > Dificultad ●●○○○ · Importancia ●●●●● · 12 minutos
#
# `model(input_ids, labels)` es como el de Hugging Face: devuelve el loss medio, **corre los labels por su cuenta**
# (la posición t se evalúa con `labels[:, t + 1]`) y deja fuera los labels que valen −100. Este es el código que lo
# entrenaba:
#
# ```python
# def training_loss(model, tokens, pad):
#     inputs, targets = tokens[:, :-1], tokens[:, 1:]
#     return model(inputs, targets)
# ```
#
# Arréglalo. `tokens` es (B, T + 1), así que contiene T targets: el token que sigue a cada uno de los primeros T.
# Deben contar todos, salvo los que son `pad`. No modifiques `tokens`.
#
# <details><summary>Pista</summary>
#
# ¿Cuántas veces hay que correr los targets en total, y quién lo hace? ¿Y qué label deja fuera el modelo?
# </details>


# %% solution="training-loss"
def training_loss(model, tokens, pad):
    ### BEGIN SOLUTION
    return model(tokens, tokens.masked_fill(tokens == pad, -100))
    ### END SOLUTION


# %% check="training-loss/next-token" points=2
check("training-loss/next-token", training_loss)

# %% check="training-loss/every-target" points=1
check("training-loss/every-target", training_loss)

# %% check="training-loss/padding" points=1
check("training-loss/padding", training_loss)

# %% [markdown] id="task-noise" lang="en"
# ### Exercise 2 · Is the batch too small?
#
# > Difficulty ●●●●○ · Importance ●●●●○ · 20 minutes
#
# The report said that a batch of 8 gives noisy gradients. That can be measured. Write `noise_scale(gradients,
# tokens)`: `gradients` is (k, d), the gradients of k micro-batches at the *same* weights, each the mean over
# `tokens` tokens. Return $B_{simple} = tr\,\Sigma / |G|^2$, a number of tokens (McCandlish et al., 2018): in a
# batch of about that many tokens, noise and signal are equally strong.
#
# * For each coordinate, take the variance between the micro-batches (divide by k − 1). Let s be the sum of these
#   variances. Then $tr\,\Sigma = s \cdot tokens$: a mean over n tokens has 1/n of the variance of one.
# * The squared norm of the *mean* gradient is too large, because it holds noise as well: s/k of it. So $|G|^2 =
#   |\bar g|^2 - s/k$.
# * If $|G|^2$ is not above 0, no signal can be seen: return `math.inf`.
#
# <details><summary>Hint</summary>
#
# `gradients.var(dim=0)` has one variance for each coordinate, already divided by k − 1.
# </details>

# %% [markdown] id="task-noise" lang="es" of="bdad893c8e77"
# ### Ejercicio 2 · ¿Es demasiado pequeño el batch?
#
# > Dificultad ●●●●○ · Importancia ●●●●○ · 20 minutos
#
# El informe decía que un batch de 8 da gradientes con ruido. Eso se puede medir. Escribe `noise_scale(gradients,
# tokens)`: `gradients` es (k, d), los gradientes de k micro-batches con los *mismos* pesos, cada uno la media sobre
# `tokens` tokens. Devuelve $B_{simple} = tr\,\Sigma / |G|^2$, un número de tokens (McCandlish et al., 2018): en un
# batch de más o menos esa cantidad de tokens, el ruido y la señal tienen la misma fuerza.
#
# * Para cada coordenada, toma la varianza entre los micro-batches (divide entre k − 1). Sea s la suma de esas
#   varianzas. Entonces $tr\,\Sigma = s \cdot tokens$: una media sobre n tokens tiene 1/n de la varianza de uno.
# * El cuadrado de la norma del gradiente *medio* es demasiado grande, porque también contiene ruido: s/k. Por eso
#   $|G|^2 = |\bar g|^2 - s/k$.
# * Si $|G|^2$ no es mayor que 0, no se ve ninguna señal: devuelve `math.inf`.
#
# <details><summary>Pista</summary>
#
# `gradients.var(dim=0)` tiene una varianza por coordenada, ya dividida entre k − 1.
# </details>


# %% solution="noise-scale"
def noise_scale(gradients, tokens):
    ### BEGIN SOLUTION
    k = len(gradients)
    s = gradients.var(dim=0).sum()
    signal = gradients.mean(dim=0).square().sum() - s / k
    return (s * tokens / signal).item() if signal > 0 else math.inf
    ### END SOLUTION


# %% check="noise-scale/no-noise" points=1
check("noise-scale/no-noise", noise_scale)

# %% check="noise-scale/value" points=2
check("noise-scale/value", noise_scale)

# %% check="noise-scale/no-signal" points=1
check("noise-scale/no-signal", noise_scale)

# %% [markdown] id="task-verdict" lang="en"
# ### Exercise 3 · A table of hypotheses
#
# > Difficulty ●●○○○ · Importance ●●●●● · 10 minutes
#
# Write `verdict(ill, tried, right, margin)`. Each of the first three is a pair: the loss before the first update,
# and the loss at the end. Return
#
# * `"cures"` if **both** losses of the tried run differ from those of the right run by less than `margin`, up or
#   down;
# * otherwise `"helps"` if its last loss is more than `margin` below the last loss of the ill run;
# * otherwise `"nothing"`.

# %% [markdown] id="task-verdict" lang="es" of="898326ae7de7"
# ### Ejercicio 3 · Una tabla de hipótesis
#
# > Dificultad ●●○○○ · Importancia ●●●●● · 10 minutos
#
# Escribe `verdict(ill, tried, right, margin)`. Los tres primeros son pares: el loss antes de la primera
# actualización y el loss al final. Devuelve
#
# * `"cures"` si **los dos** valores del run probado difieren de los del run correcto en menos de `margin`, hacia
#   arriba o hacia abajo;
# * si no, `"helps"` si su último loss está más de `margin` por debajo del último loss del run enfermo;
# * si no, `"nothing"`.


# %% solution="verdict"
def verdict(ill, tried, right, margin):
    ### BEGIN SOLUTION
    if abs(tried[0] - right[0]) < margin and abs(tried[1] - right[1]) < margin:
        return "cures"
    return "helps" if ill[1] - tried[1] > margin else "nothing"
    ### END SOLUTION


# %% check="verdict/cures" points=1
check("verdict/cures", verdict)

# %% check="verdict/helps" points=1
check("verdict/helps", verdict)

# %% check="verdict/nothing" points=1
check("verdict/nothing", verdict)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# A model with the habit of that library, and your function. Does the fine-tuning begin where the pretraining ended?

# %% [markdown] id="verify" lang="es" of="be5a228190b5"
# ## 6 · Comprueba
#
# Un modelo con la costumbre de aquella biblioteca, y tu función. ¿Empieza el fine-tuning donde terminó el
# preentrenamiento?


# %% id="verify-loss" compare=true
class LikeTheLibrary(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, labels):
        logits = self.model(input_ids)[:, :-1]
        return F.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)


library = LikeTheLibrary(keep.model)
rows = spans[:, :64]
with torch.no_grad():
    mine = training_loss(library, rows, pad=-1).item()
    published = library(rows[:, :-1], rows[:, 1:]).item()
for name, value in {"published": published, "yours": mine}.items():
    print(f"{t(name):16}{t('starts-well') if value < start + 1 else t('starts-badly')}")

# %% [markdown] id="verify-table" lang="en"
# The verdict on each hypothesis, by your function. Then the noise scale, before training and after, from 16
# micro-batches of 8 rows each.

# %% [markdown] id="verify-table" lang="es" of="3f82c0c9fefd"
# El veredicto sobre cada hipótesis, según tu función. Después, la escala del ruido, antes y después de entrenar,
# con 16 micro-batches de 8 filas cada uno.


# %% id="verdicts"
def pair(run):
    return run.metrics[0]["loss"], last_loss(run)


for name, run in tried.items():
    print(f"{t(name):30}{t('v-' + verdict(pair(broken), pair(run), pair(tried['right']), 0.1))}")


def measured_noise(model, count=16):
    gradients = []
    for micro in range(count):
        batch = right.get_batch(data.train, config, 0, micro)
        model.zero_grad()
        right.loss(model(batch.inputs), batch.targets, batch.mask).backward()
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    return noise_scale(torch.stack(gradients), config.batch_size * config.context)


torch.manual_seed(0)
newborn = right.build_model(config)
Recipe(config).init_weights(newborn, config)
noise = {"newborn": measured_noise(newborn), "trained": measured_noise(keep.model)}
for name, value in noise.items():
    print(f"{t(name):30}{value:,.0f} {t('tokens')}")

# %% [markdown] id="noise-figure-text" lang="en"
# ### A figure from a paper, in miniature: the noise scale grows
#
# Is a batch too small? That depends on when you ask. McCandlish et al. (2018) followed the noise scale through whole
# trainings, and found that it grows while the loss falls. Here it is at seven moments of our pretraining, each from
# 64 micro-batches; the dotted line marks the 512 tokens of a step. **When would a larger batch have been wasted, and
# when not?**

# %% [markdown] id="noise-figure-text" lang="es" of="bba77d88540c"
# ### Una figura de un artículo, en pequeño: la escala del ruido crece
#
# ¿Un batch es demasiado pequeño? Depende de cuándo lo preguntes. McCandlish et al. (2018) siguieron la escala del
# ruido durante entrenamientos enteros y encontraron que crece mientras el loss baja. Aquí está en siete momentos de
# nuestro preentrenamiento, cada uno con 64 micro-batches; la línea punteada marca los 512 tokens de un paso.
# **¿Cuándo se habría desperdiciado un batch más grande y cuándo no?**

# %% id="noise-figure"
step_tokens = config.batch_size * config.context
scales = {step: measured_noise(model, 64) for step, model in keep.at.items()}
figure = Figure(figsize=(6, 2.4), layout="constrained")
axes = figure.subplots()
axes.plot(list(scales), list(scales.values()), marker="o", color="#0072b2")
axes.axhline(step_tokens, color="#d55e00", linestyle=":")
axes.set(yscale="log", xlabel=t("step"), ylabel=t("noise-in-tokens"))
Picture().show(figure, t("noise-alt"))

# %% id="noise-told" compare=true
for step in (10, 80):
    print(f"{t('step')} {step:3}: {t('enough') if scales[step] < step_tokens else t('too-small')}")

# %% [markdown] id="noise-said" lang="en"
# A new model starts with a gradient that is small beside its noise. Then come the steps in which it learns how
# frequent each token is: every batch says the same, so a few hundred tokens are enough. What comes later differs
# from text to text, and thousands of tokens would still tell more than 512. So “the batch is too small” is true of
# the end of this run, was false near its start, and explains a plateau at neither.

# %% [markdown] id="noise-said" lang="es" of="5c1d7a7d8c30"
# Un modelo nuevo empieza con un gradiente pequeño al lado de su ruido. Después vienen los pasos en que aprende qué
# tan frecuente es cada token: todos los batches dicen lo mismo, así que bastan unos cientos de tokens. Lo que viene
# luego cambia de un texto a otro, y miles de tokens todavía dirían más que 512. Así que «el batch es demasiado
# pequeño» es cierto al final de este run, era falso cerca del comienzo y no explica una meseta en ninguno de los
# dos momentos.

# %% [markdown] id="rewalk-text" lang="en"
# And question 1.4 once more, to all seven runs:

# %% [markdown] id="rewalk-text" lang="es" of="059dcffdaa44"
# Y otra vez la pregunta 1.4, a los siete runs:

# %% id="rewalk" compare=true
for name, run in tried.items():
    walk = diagnosis.walk(diagnosis.evidence_of(run.path), asked)
    print(f"{t(name):30}{walk.leaf or t('no-fault')}")

# %% [markdown] id="helps-is-not-cures" lang="en"
# The counter-example of this lesson: **a remedy that helps, and is wrong**. The higher rate lowers the final loss
# of the broken run. And compare the two noise scales with the 512 tokens of a step: the batch *is* on the small
# side, so a larger one would be worth its price. The report could find evidence for each of its causes, because a
# batch that is too small and a target that is wrong can both be there. But nothing on its list moves the first
# column.
#
# Three claims of the report can be checked without a run. “Each head sees only 2 examples”: heads divide the
# channels, never the batch. “256 tokens instead of 64” in an update: by its own settings it was 8 × 256 = 2,048
# tokens before, and 32 × 128 = 4,096 afterwards. And the schedule: by the report's own figure the rate at step 2000
# was 1.55e-5, on its way down from 2e-5. A falling rate would be a strange cause of an explosion.
#
# **What stays unknown.** At step 2000 the training *and* the validation loss read 9.58 and 9.62, close to where the
# run began, and at step 2500 they were back. Two evaluations 500 steps apart do not show an exploding gradient; a
# model that had been reloaded for that evaluation would look the same. Nobody can tell from what was published.

# %% [markdown] id="helps-is-not-cures" lang="es" of="30b6ef6f0d69"
# El contraejemplo de esta lección: **un remedio que ayuda y está equivocado**. El learning rate más alto baja el
# loss final del run roto. Y compara las dos escalas del ruido con los 512 tokens de un paso: el batch *sí* es más
# bien pequeño, así que uno más grande valdría la pena. El informe pudo encontrar pruebas de cada una de sus causas,
# porque un batch demasiado pequeño y un target equivocado pueden darse a la vez. Pero nada de su lista mueve la
# primera columna.
#
# Tres afirmaciones del informe se pueden comprobar sin entrenar. «Cada cabeza ve solo 2 ejemplos»: las cabezas
# dividen los canales, nunca el batch. «256 tokens en lugar de 64» por actualización: según sus propios ajustes,
# eran 8 × 256 = 2,048 tokens antes y 32 × 128 = 4,096 después. Y el schedule: según el propio informe, el learning
# rate del paso 2000 era 1.55e-5 y venía bajando desde 2e-5. Un learning rate que baja sería una causa rara de una
# explosión.
#
# **Lo que no se sabe.** En el paso 2000, el loss de entrenamiento *y* el de validación marcaron 9.58 y 9.62, cerca
# de donde empezó el run, y en el paso 2500 ya habían vuelto. Dos evaluaciones separadas por 500 pasos no muestran
# un gradiente que explota; un modelo cargado de nuevo para esa evaluación se vería igual. Con lo que se publicó,
# nadie lo puede saber.

# %% [markdown] id="explain" lang="en"
# ## 7 · Explain
#
# A colleague fine-tunes a pretrained model with a vocabulary of 32,000. She writes: “Step 0: loss 9.1. Step 3000:
# 6.2 and flat. I will try a larger batch.”
#
# Answer in three to six sentences. (1) What does step 0 already tell you, and why can no batch size explain it? (2)
# Which measurement, without any training, decides? What would it show? (3) The larger batch lowers the loss to 6.0.
# What follows from that? (One point each.)

# %% [markdown] id="explain" lang="es" of="893f2910941e"
# ## 7 · Explica
#
# Una colega hace fine-tuning de un modelo preentrenado con un vocabulario de 32,000. Escribe: «Paso 0: loss 9.1.
# Paso 3000: 6.2, y plano. Voy a probar con un batch más grande».
#
# Responde en tres a seis oraciones. (1) ¿Qué te dice ya el paso 0, y por qué ningún tamaño de batch lo puede
# explicar? (2) ¿Qué medida, sin entrenar, lo decide? ¿Qué mostraría? (3) El batch más grande baja el loss a 6.0.
# ¿Qué se deduce de eso? (Un punto por cada parte).

# %% [markdown] answer="review-a-plateau" points=3 lang="en"
# (1) Chance is ln 32,000 = 10.4, and a pretrained model should begin at 3 or 4. At 9.1 it is being scored on
# something that it was not taught. Step 0 comes before the first update, so nothing that acts through updates
# can be its cause. (2) Score the pretrained logits against t, t + 1 and t + 2. The lowest loss shows what it
# was taught, t + 1; if t + 2 gives about 9.1, the targets are shifted twice. (3) Nothing about the cause. A
# larger batch lowers the loss of nearly any run; a cure has to bring step 0 down as well.
#
# ---
# **Rubric.** One point each. (1) Compares with chance or with a usual start, and says that no update has
# happened yet. (2) Losses by offset (or decoding a batch and reading inputs beside targets), with the result
# that would convict. (3) Helping is not curing; names what a cure would have to show.

# %% [markdown] answer="review-a-plateau" points=3 lang="es" of="bf739b8b6149"
# (1) El azar es ln 32,000 = 10.4, y un modelo preentrenado debería empezar en 3 o 4. Con 9.1 lo están
# evaluando en algo que no le enseñaron. El paso 0 es anterior a la primera actualización, así que nada que
# actúe a través de las actualizaciones puede ser su causa. (2) Evaluar los logits preentrenados frente a t,
# t + 1 y t + 2. El loss más bajo muestra lo que le enseñaron, t + 1; si t + 2 da cerca de 9.1, los targets se
# corrieron dos veces. (3) Nada sobre la causa. Un batch más grande baja el loss de casi cualquier run; una
# cura tiene que bajar también el paso 0.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) Compara con el azar o con un inicio normal, y dice que todavía no
# hubo ninguna actualización. (2) Loss según el desplazamiento (o decodificar un batch y leer las entradas junto
# a los targets), con el resultado que lo probaría. (3) Ayudar no es curar; nombra lo que una cura tendría que
# mostrar.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# | symptom | measure | threshold | first action |
# |---|---|---|---|
# | a pretrained model begins near ln V | loss at t, t + 1, t + 2, before any step | lowest at t + 1 | shift the targets once: `target-shift` |
# | a curve too good to be true | the same | lowest at t + 0 | take the answer out of the input |
# | “the batch is too noisy” | B_simple from micro-batches, three times | far above the tokens of a step | then, and only then, a larger batch |
# | a remedy helps | first and last loss against those of the *right* run | both close | otherwise keep looking |

# %% [markdown] id="card" lang="es" of="bb5ad75d4a5f"
# ## 8 · Una tarjeta para guardar
#
# | síntoma | medida | umbral | primera acción |
# |---|---|---|---|
# | un modelo preentrenado empieza cerca de ln V | loss en t, t + 1, t + 2, antes de cualquier paso | el más bajo, en t + 1 | corre los targets una sola vez: `target-shift` |
# | una curva demasiado buena | lo mismo | el más bajo, en t + 0 | saca la respuesta de la entrada |
# | «el batch tiene demasiado ruido» | B_simple con micro-batches, tres veces | muy por encima de los tokens de un paso | entonces, y solo entonces, un batch más grande |
# | un remedio ayuda | primer y último loss frente a los del run *correcto* | los dos, cerca | si no, sigue buscando |

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# A few lines for any model that returns logits (B, T, V). They need no training and no labels, only text that the
# model should know. First a table of three tokens that always follow one another, which nobody trained; then the
# GPT.

# %% [markdown] id="own-run" lang="es" of="e931f45fbe96"
# ## 9 · En tu propio run
#
# Unas pocas líneas para cualquier modelo que devuelva logits (B, T, V). No necesitan entrenar ni labels, solo texto que
# el modelo debería conocer. Primero, una tabla de tres tokens que siempre se siguen en el mismo orden, que nadie
# entrenó; después, el GPT.


# %% id="own-loop" compare=true
@torch.no_grad()
def taught_offset(model, tokens, most=4):
    logits = model(tokens)[:, :-most]  # (B, T - most, V)
    losses = []
    for offset in range(most):
        targets = tokens[:, offset : offset + logits.shape[1]]
        losses.append(F.cross_entropy(logits.flatten(0, 1), targets.flatten()).item())
    return losses.index(min(losses))


bigram = nn.Embedding(3, 3)
bigram.weight.data = torch.tensor([[0.0, 9.0, 0.0], [0.0, 0.0, 9.0], [9.0, 0.0, 0.0]])
print(taught_offset(bigram, torch.arange(30).remainder(3)[None]), taught_offset(keep.model, rows))

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# * The losses quoted here: the report, its repair, and what the repaired run did, in
#   `docs/loss_plateau_analysis.md`, `docs/IMPLEMENTATION_SUMMARY.md` and `docs/training_optimization_plan.md` of
#   [gness1804/build_llm_karpathy](https://github.com/gness1804/build_llm_karpathy).
# * McCandlish et al., [An Empirical Model of Large-Batch Training](https://arxiv.org/abs/1812.06162), 2018:
#   the noise scale, and how it grows.
# * [“Clarify that causal LM labels are shifted internally”](https://github.com/huggingface/transformers/pull/44642),
#   Hugging Face transformers, 2026.
# * [The same fault inside the library](https://github.com/huggingface/transformers/pull/46898): Florence-2
#   shifted its labels, and then called a loss that shifts them again.
#
# **A true story.** The author of this run found the cause himself. The log of the plateau is of 22 November 2025.
# On the 24th, at 16:01, he committed with the message “After 5,000 steps, still gibberish”. At 17:40 came one changed
# argument, `labels=idx` in place of `labels=targets`, under the title “fixed bug that was causing Double offset for
# training”
# ([4a17e64](https://github.com/gness1804/build_llm_karpathy/commit/4a17e647b8d75b4770b20d21e4c0aac7b4c5971f)). At
# 21:22, after some more tweaks: “Finally generating coherent English text and loss around 3”
# ([73eb55f](https://github.com/gness1804/build_llm_karpathy/commit/73eb55f223862eef1a41ead019c2199e109b8c4d)). The
# report with its three settings stayed in the repository as it was. And he is not alone. A pull request of 2026
# wants the documentation to say that the labels are shifted inside the model, because this “has tripped up a lot of
# users”. In the same year the fault was found in models of the library itself: Moonshine, CohereASR, Florence-2. It
# is not a beginner's mistake.
#
# **A hard bonus task.** Estimate B_simple from the numbers that any loop with accumulation has: the mean of the
# squared norms of the micro-batch gradients, and the squared norm of their sum. No gradient may be kept.
#
# <details><summary>Hint</summary>
#
# Squared norms of means are ‖G‖² plus a part of tr Σ. How large is that part for one micro-batch, and for the mean
# of k of them?
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# def b_simple(mean_square, square_of_sum, k, tokens):
#     square_of_mean = square_of_sum / k**2
#     signal = (k * square_of_mean - mean_square) / (k - 1)
#     trace = (mean_square - square_of_mean) / (1 / tokens - 1 / (k * tokens))
#     return trace / signal
# ```
#
# `tokens` are those of one micro-batch. Average `signal` and `trace` over many steps before you divide: from one
# step, `signal` may come out negative.
# </details>

# %% [markdown] id="sources" lang="es" of="17ade131ac61"
# ## 10 · De dónde viene esto
#
# * Las cifras que se citan aquí: el informe, su reparación y lo que hizo el run reparado, en
#   `docs/loss_plateau_analysis.md`, `docs/IMPLEMENTATION_SUMMARY.md` y `docs/training_optimization_plan.md` de
#   [gness1804/build_llm_karpathy](https://github.com/gness1804/build_llm_karpathy).
# * McCandlish et al., 2018, [arXiv 1812.06162](https://arxiv.org/abs/1812.06162): la escala del ruido y cómo crece.
# * [El cambio 44642 de transformers](https://github.com/huggingface/transformers/pull/44642), de Hugging
#   Face, 2026: aclara que los labels se corren dentro del modelo.
# * [El mismo fallo dentro de la biblioteca](https://github.com/huggingface/transformers/pull/46898): Florence-2
#   corría sus labels y después llamaba a un loss que los corre otra vez.
#
# **Una historia real.** El autor de este run encontró la causa por su cuenta. El log de la meseta es del 22 de
# noviembre de 2025. El día 24, a las 16:01, guardó un cambio con las palabras «después de 5,000 pasos, todavía puro
# galimatías». A las 17:40 llegó un solo argumento cambiado, `labels=idx` en lugar de `labels=targets`, con el título
# «arreglado el error que causaba un desplazamiento doble al entrenar»
# ([4a17e64](https://github.com/gness1804/build_llm_karpathy/commit/4a17e647b8d75b4770b20d21e4c0aac7b4c5971f)). A las
# 21:22, tras algunos retoques más: «por fin genera texto coherente en inglés, y el loss anda por 3»
# ([73eb55f](https://github.com/gness1804/build_llm_karpathy/commit/73eb55f223862eef1a41ead019c2199e109b8c4d)). El
# informe con sus tres ajustes se quedó en el repositorio tal como estaba. Y el autor no es el único. Un cambio
# propuesto en 2026 quiere que la documentación diga que los labels se corren dentro del modelo, porque esto ya
# confundió a muchos usuarios. El mismo año apareció el fallo en modelos de la propia biblioteca: `Moonshine`,
# `CohereASR`, `Florence2`. No es un error de principiantes.
#
# **Un reto extra, difícil.** Estima B_simple con los números que tiene cualquier bucle que acumula: la media
# de los cuadrados de las normas de los gradientes de los micro-batches y el cuadrado de la norma de su suma. No se
# puede guardar ningún gradiente.
#
# <details><summary>Pista</summary>
#
# El cuadrado de la norma de una media es ‖G‖² más una parte de tr Σ. ¿Qué tan grande es esa parte para un
# micro-batch, y para la media de k de ellos?
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# def b_simple(mean_square, square_of_sum, k, tokens):
#     square_of_mean = square_of_sum / k**2
#     signal = (k * square_of_mean - mean_square) / (k - 1)
#     trace = (mean_square - square_of_mean) / (1 / tokens - 1 / (k * tokens))
#     return trace / signal
# ```
#
# `tokens` son los de un micro-batch. Promedia `signal` y `trace` sobre muchos pasos antes de dividir: con un solo
# paso, `signal` puede salir negativo.
# </details>
