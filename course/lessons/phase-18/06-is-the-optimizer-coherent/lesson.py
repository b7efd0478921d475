"""Lesson 18-06: does the optimizer do what its name says? Five faults that a loss curve does not show."""

# %% [markdown] id="why" lang="en"
# Some faults announce themselves. The five in this lesson do not: the loss falls to a believable value. One
# of them even makes it fall *faster*.
#
# All five live in the few lines between `backward()` and the new weights. Everybody copies those lines and
# nobody measures them, yet they can be measured exactly: no statistics, no second run, a handful of numbers.
# Afterwards you can
#
# * put an optimizer on a test bench and read off whether it remembers, and whether it corrects its start;
# * prove that k micro-batches give the gradient of the one big batch, also when their masks differ;
# * write parameter groups, Adam's update and gradient accumulation yourself, and train with them.
#
# Run the cells in order with **Shift + Enter**.

# %% [markdown] id="why" lang="es" of="b721bb000a9c"
# Hay fallos que se anuncian. Los cinco de esta lección no: el loss baja hasta un valor creíble. Uno de ellos
# incluso hace que baje *más rápido*.
#
# Los cinco viven en las pocas líneas que van de `backward()` a los pesos nuevos. Todo el mundo copia esas
# líneas y nadie las mide, aunque se pueden medir con exactitud: sin estadística, sin un segundo run, con un
# puñado de números. Al terminar sabrás
#
# * poner un optimizador en un banco de pruebas y leer si recuerda y si corrige su arranque;
# * demostrar que k micro-batches dan el gradiente del batch grande, también cuando sus máscaras difieren;
# * escribir tú los grupos de parámetros, la actualización de Adam y la acumulación de gradientes, y entrenar
#   con ellos.
#
# Ejecuta las celdas en orden con **Shift + Enter**.

# %% id="setup" setup=true
import dataclasses
import math
import random
import textwrap
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console

from course.live_plot import LivePlot
from course.notebook import check, lesson, t
from course.picture import Picture
from course.predictions import compare, predict
from course.widgets import Slider, playground
from minigpt import Config, Recipe, diagnosis, train
from minigpt.data.batches import get_batch
from minigpt.diagnosis.report import seen, show
from minigpt.diagnosis.trees.configuration.optimizer import OPTIMIZER_QUESTIONS
from minigpt.faults import FAULTS
from minigpt.training.precision import build_precision

lesson("18-06")
runs = Path("experiments") / "18-06"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9


def walk_section_6(run):
    return diagnosis.walk(diagnosis.evidence_of(run.path), OPTIMIZER_QUESTIONS)


# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# A batch of 32 sentences does not fit into somebody's memory. So they cut it into k = 4 micro-batches of 8,
# call `backward()` on each, and step once: `.grad` adds up by itself. That is *gradient accumulation*, and
# done right it gives exactly the gradient of the big batch.
#
# Each micro-batch's loss is a **mean**. Four means added up are four times the mean of the whole, so
# somewhere a division by k is needed. Here somebody forgot it.

# %% [markdown] id="meet" lang="es" of="6d98188f8450"
# ## 1 · Un run que se porta mal
#
# A alguien no le cabe en memoria un batch de 32 oraciones. Así que lo parte en k = 4 micro-batches de 8,
# llama a `backward()` con cada uno y da un solo paso: `.grad` suma por su cuenta. Eso es *acumular
# gradientes*, y bien hecho da exactamente el gradiente del batch grande.
#
# El loss de cada micro-batch es una **media**. Cuatro medias sumadas son cuatro veces la media del conjunto,
# así que en algún lugar hace falta dividir entre k. Aquí alguien lo olvidó.

# %% id="facts" compare=true
config = Config(
    steps=60, warmup_steps=6, lr_max=3e-3, batch_size=8, accumulation=4, eval_every=0, eval_batches=4
)
recipe = Recipe(config)
forgotten_recipe = recipe.with_fault("accumulation-sum")

for name in ("batch_size", "accumulation", "clip_norm", "beta1", "beta2", "weight_decay"):
    print(f"{name:14} {getattr(config, name)}")

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# Two questions. At step 0, the gradient norm of the run without the division, divided by that of the right
# one: **how large is this ratio?** And after 60 steps: **by how much is its loss higher**, in nats? (Negative
# if you think that it is lower.) Note `clip_norm` above: a gradient longer than that is shortened to it.

# %% [markdown] id="predict" lang="es" of="f9f0388b0797"
# ## 2 · Predice
#
# Dos preguntas. En el paso 0, la norma del gradiente del run sin la división, dividida entre la del correcto:
# **¿cuánto vale ese cociente?** Y después de 60 pasos: **¿cuánto más alto está su loss**, en nats? (Negativo
# si crees que está más bajo.) Fíjate arriba en `clip_norm`: un gradiente más largo que eso se acorta a esa
# medida.

# %% id="my-prediction"
predict("missing-k", ratio=..., higher=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it
#
# The right run first, then the one without the division, with the right one in grey behind it. Both see the
# same sentences in the same order.

# %% [markdown] id="break" lang="es" of="f47d044a0f1d"
# ## 3 · Rómpelo
#
# Primero, el run correcto; después, el que olvidó dividir, con el correcto en gris al fondo. Los dos ven las
# mismas oraciones en el mismo orden.

# %% id="train-right"
right = train(recipe, runs / "right", callbacks=[LivePlot()], overwrite=True)

# %% id="train-forgotten"
forgotten = train(
    forgotten_recipe, runs / "forgotten", callbacks=[LivePlot(before=right.metrics)], overwrite=True
)


# %% id="compare-prediction" compare=true
def last_loss(run):
    return sum(record["loss"] for record in run.metrics[-10:]) / 10


compare(
    "missing-k",
    ratio=forgotten.metrics[0]["grad_norm"] / right.metrics[0]["grad_norm"],
    higher=round(last_loss(forgotten) - last_loss(right), 2),
)
print()
for name, run in {"right": right, "forgotten": forgotten}.items():
    clipped = sum(record["clipped"] for record in run.metrics)
    print(t("clipped-steps", run=t(name), clipped=clipped, steps=config.steps))

# %% [markdown] id="better" lang="en"
# The first answer is k. The second surprises nearly everybody: the broken run is **a little better**. Would
# you have looked for a bug in it?
#
# Two things hide the mistake. *Clipping* shortens each of its gradients to 1, and *Adam* divides each step by
# the size of the gradients that it has seen, so that a constant factor cancels. This remains: 4g cut to
# length 1 points the same way as g cut to length ¼. If that is so, the broken run must be a right run with
# another `clip_norm`. Check it:

# %% [markdown] id="better" lang="es" of="6afa61e8b130"
# La primera respuesta es k. La segunda sorprende a casi todo el mundo: el run roto va **un poco mejor**.
# ¿Habrías buscado ahí un error?
#
# Dos cosas lo esconden. El *clipping* acorta a 1 cada uno de sus gradientes, y *Adam* divide cada paso entre
# el tamaño de los gradientes que ha visto, así que un factor constante se cancela. Queda esto: 4g recortado a
# longitud 1 apunta en la misma dirección que g recortado a longitud ¼. Si es así, el run roto tiene que ser
# un run correcto con otro `clip_norm`. Compruébalo:

# %% id="same-run" compare=true
tight = train(Recipe(config.replace(clip_norm=1.0 / 4)), runs / "tight", overwrite=True)


def furthest(run, other):
    pairs = zip(run.metrics, other.metrics, strict=True)
    return max(abs(one["loss"] - two["loss"]) for one, two in pairs)


print(t("furthest-apart"))
for name, run in {"forgotten": forgotten, "tight": tight}.items():
    for other_name, other in {"right": right, "forgotten": forgotten}.items():
        if run is not other:
            print(f"  {furthest(run, other):.3f}  {t(name)} – {t(other_name)}")

# %% [markdown] id="same-run-said" lang="en"
# To three decimals, in every step: the same run. So this bug is a setting that nobody chose: the manifest
# says `clip_norm` 1.0, but the limit in effect is 1/k. In these few steps a tight limit happens to help. It
# is still a bug: the day you change k, because you got a bigger machine, the run changes; with SGD in place
# of Adam its steps are k times too long; and every threshold that you know about gradient norms is off by k.
# You should *choose* the limit.
#
# ## 4 · Inspect
#
# ### One question, asked directly
#
# Do not ask the curve. Ask the gradient: take one batch, compute its gradient whole, then in two halves, and
# divide the norms. That is question 6.3 of the stability check, once with equal masks and once with unequal
# ones. The trainer did it before the first step, on a copy.

# %% [markdown] id="same-run-said" lang="es" of="aafae78f51f6"
# Con tres decimales, y en todos los pasos: es el mismo run. Este fallo es, entonces, un ajuste que nadie
# eligió: el manifest dice `clip_norm` 1.0, pero el límite efectivo es 1/k. En estos pocos pasos da la
# casualidad de que un límite estrecho ayuda. Sigue siendo un fallo: el día que cambies k, porque conseguiste
# una máquina más grande, el run cambia; con SGD en lugar de Adam, sus pasos son k veces más largos; y todo
# umbral que conozcas sobre normas del gradiente está corrido en un factor k. El límite lo tienes que *elegir*
# tú.
#
# ## 4 · Inspecciona
#
# ### Una pregunta, hecha directamente
#
# No le preguntes a la curva. Pregúntale al gradiente: toma un batch, calcula su gradiente entero, luego en
# dos mitades, y divide las normas. Es la pregunta 6.3 de la revisión de estabilidad, una vez con máscaras
# iguales y otra con desiguales. El trainer lo hizo antes del primer paso, en una copia.

# %% id="walk-forgotten"
show(walk_section_6(forgotten), Console(width=88))

# %% [markdown] id="play" lang="en"
# ### Where does the missing /k go? Turn the knobs
#
# A real model and real micro-batches, one step, no training. On the left is the gradient norm against k, with
# and without the division. In the middle, the same after clipping, as the optimizer gets it. On the right,
# how much longer the first update becomes when the division is missing, for plain SGD and for AdamW.
#
# 1. Leave the clip limit at 1 and go from k = 1 to k = 16. What does the gradient norm do *with* the
#    division?
# 2. From which k on is the run without the division clipped, and what is left to see in the middle picture?
# 3. Raise the limit until nothing is clipped. Which optimizer notices the missing division, and by how much?
# 4. Lower the limit to 0.1. Which of the two lines in the middle is the broken one?

# %% [markdown] id="play" lang="es" of="ca239d9c6dbf"
# ### ¿Adónde va a parar el /k que falta? Gira las perillas
#
# Un modelo real y micro-batches reales, un paso, nada de entrenamiento. A la izquierda está la norma del
# gradiente frente a k, con la división y sin ella. En el centro, lo mismo después del clipping, tal como lo
# recibe el optimizador. A la derecha, cuánto se alarga la primera actualización cuando falta la división, con
# SGD simple y con AdamW.
#
# 1. Deja el límite en 1 y ve de k = 1 a k = 16. ¿Qué hace la norma del gradiente *con* la división?
# 2. ¿Desde qué k se recorta el run sin división, y qué se puede ver entonces en el dibujo del centro?
# 3. Sube el límite hasta que no se recorte nada. ¿Qué optimizador nota la división que falta, y cuánto?
# 4. Baja el límite a 0.1. ¿Cuál de las dos líneas del centro es la rota?

# %% id="sixteen-micro-batches"
MOST = 16
torch.manual_seed(config.seed)
model = recipe.build_model(config)
recipe.init_weights(model, config)
tokens = recipe.load_data(config).train
added = []  # (16, P)
for micro in range(MOST):
    batch = get_batch(tokens, config, step=0, micro=micro)
    recipe.loss(model(batch.inputs), batch.targets, batch.mask).backward()
    added.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
norms = np.array([vector.norm().item() for vector in added])

# %% id="playground" folded=true
ks = np.arange(1, MOST + 1)
BLUE, ORANGE = "#0072b2", "#d55e00"


def adam_length(gradient):
    weight = torch.nn.Parameter(torch.zeros_like(gradient))
    weight.grad = gradient
    torch.optim.AdamW([weight], lr=1.0, weight_decay=0.0).step()
    return weight.detach().norm().item()


def draw(figure, k, limit):
    left, middle, right_axes = figure.subplots(1, 3, width_ratios=(1, 1, 0.7))
    cut = {}
    for name, values, colour in (("divided", norms / ks, BLUE), ("not-divided", norms, ORANGE)):
        kept = np.minimum(values, limit)
        cut[name] = kept[k - 1] / values[k - 1] * added[k - 1] * (1 / k if name == "divided" else 1)
        for axes, line in ((left, values), (middle, kept)):
            axes.plot(ks, line, color=colour, linewidth=1, label=t(name))
            axes.plot(k, line[k - 1], "o", color=colour, markersize=7 if colour == BLUE else 5)
    for axes, title in ((left, "norm"), (middle, "norm-after")):
        axes.axhline(limit, color="black", linestyle="--", linewidth=1)
        axes.set(xlabel="k", yscale="log", ylim=(0.05, 20), title=t(title))
        axes.set_yticks([0.1, 1, 10], labels=["0.1", "1", "10"])
        axes.set_xticks([1, 4, 8, 12, 16])
        axes.minorticks_off()
    left.legend(fontsize=8, loc="lower right")
    longer = {
        "SGD": (cut["not-divided"].norm() / cut["divided"].norm()).item(),
        "AdamW": adam_length(cut["not-divided"]) / adam_length(cut["divided"]),
    }
    bars = right_axes.bar(longer.keys(), longer.values(), color=["0.5", "0.3"])
    right_axes.bar_label(bars, fmt="×%.2f")
    right_axes.set(ylim=(0, 1.2 * MOST), yticks=[0, 1, 4, 8, 12, 16], title=t("longer"))
    for axes in (left, middle, right_axes):
        axes.title.set_fontsize(10)


playground(
    draw,
    size=(9.2, 2.7),
    k=Slider("k", 1, MOST, 4),
    limit=Slider(t("limit"), 0.1, 100.0, 1.0, log=True),
)

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. It falls a little and settles. A mean over more sentences has less noise, so it is a little shorter. It
#    never grows, and that is the sign to remember. *A gradient norm that grows with k is not divided by k.*
# 2. From k = 2. After clipping it is exactly 1, whatever k is: the log of a clipped gradient shows nothing.
#    That is why a trainer must record the norm *before* clipping.
# 3. SGD takes a step k times too long. AdamW takes the same step as before: in its first update every
#    coordinate moves by the learning rate, whatever the size of its gradient.
# 4. You cannot tell. Both are clipped to 0.1 and point the same way.
# </details>

# %% [markdown] id="play-answers" lang="es" of="35a44c779028"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. Baja un poco y se estabiliza. Una media sobre más oraciones tiene menos ruido, así que es algo más corta.
#    Nunca crece, y esa es la señal para recordar: *si la norma del gradiente crece con k, nadie la dividió
#    entre k.*
# 2. Desde k = 2. Después del clipping vale exactamente 1, sea cual sea k: un log del gradiente recortado no
#    muestra nada. Por eso un trainer debe anotar la norma *antes* del clipping.
# 3. SGD da un paso k veces más largo. AdamW da el mismo paso que antes: en su primera actualización cada
#    coordenada se mueve lo que vale el learning rate (tasa de aprendizaje), tenga el tamaño que tenga su
#    gradiente.
# 4. No se puede saber. Las dos están recortadas a 0.1 y apuntan al mismo lado.
# </details>

# %% [markdown] id="bench" lang="en"
# ### A test bench for optimizers
#
# Adam keeps two running means for each weight, both from 0:
#
# $$m \leftarrow \beta_1 m + (1-\beta_1)\,g \qquad v \leftarrow \beta_2 v + (1-\beta_2)\,g^2$$
#
# and moves the weight by $-\,\text{lr}\cdot\hat{m}/(\sqrt{\hat{v}}+\epsilon)$, where
# $\hat{m}=m/(1-\beta_1^t)$ and $\hat{v}=v/(1-\beta_2^t)$ correct for the start from 0. The step is counted as
# t = 1, 2, 3, …
#
# You do not need a training run to see whether an optimizer does that. Take a model with one weight, give it
# gradients of your own, and write down how far it moves, in learning rates. Two sequences are enough:
#
# * **steady**: 1, 1, 1, 1, 1. Both means are 1 after correction, so every move must be exactly 1.
# * **to and fro**: 1, −1, 1, −1, 1. The mean is nearly 0, so an optimizer with a memory hardly moves.
#
# **What will an optimizer do if it is rebuilt before every step**, and so has no memory? Predict the last
# move of each sequence.

# %% [markdown] id="bench" lang="es" of="d4b061f089b0"
# ### Un banco de pruebas para optimizadores
#
# Adam lleva dos medias móviles por cada peso, las dos desde 0:
#
# $$m \leftarrow \beta_1 m + (1-\beta_1)\,g \qquad v \leftarrow \beta_2 v + (1-\beta_2)\,g^2$$
#
# y mueve el peso $-\,\text{lr}\cdot\hat{m}/(\sqrt{\hat{v}}+\epsilon)$, donde $\hat{m}=m/(1-\beta_1^t)$ y
# $\hat{v}=v/(1-\beta_2^t)$ compensan el comienzo en 0. El paso se cuenta t = 1, 2, 3, …
#
# Para ver si un optimizador hace eso no te hace falta entrenar. Toma un modelo de un solo peso, dale
# gradientes tuyos y anota cuánto se mueve, medido en learning rates. Bastan dos secuencias:
#
# * **constante**: 1, 1, 1, 1, 1. Las dos medias valen 1 una vez corregidas, así que cada movimiento debe ser
#   exactamente 1.
# * **vaivén**: 1, −1, 1, −1, 1. La media es casi 0, así que un optimizador con memoria apenas se mueve.
#
# **¿Qué hará un optimizador que se reconstruye antes de cada paso**, y por tanto no tiene memoria? Predice el
# último movimiento de cada secuencia.

# %% id="my-second-prediction"
predict("no-memory", steady=..., to_and_fro=...)

# %% id="test-bench" compare=true
STEADY, TO_AND_FRO, RATE = (1, 1, 1, 1, 1), (1, -1, 1, -1, 1), 0.001


def moves_of(some_recipe, gradients):
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    optimizer = some_recipe.build_optimizer(layer, some_recipe.config)
    precision = build_precision(some_recipe.config, "cpu")
    moves = []
    for gradient in gradients:
        before = layer.weight.item()
        layer.weight.grad = torch.full_like(layer.weight, gradient)
        some_recipe.step(optimizer, precision, RATE)
        moves.append((before - layer.weight.item()) / RATE)
    return moves


def bench(name, some_recipe):
    both = (moves_of(some_recipe, program) for program in (STEADY, TO_AND_FRO))
    print(f"{name:10}" + "   |  ".join(" ".join(f"{move:5.2f}" for move in moves) for moves in both))


print(f"{'':10}{t('steady'):32}   {t('to_and_fro')}")
bench(t("right"), recipe)
forgetful = recipe.with_fault("lost-optimizer-state")
bench(t("forgetful"), forgetful)
print()
compare(
    "no-memory",
    steady=round(moves_of(forgetful, STEADY)[-1], 2),
    to_and_fro=round(moves_of(forgetful, TO_AND_FRO)[-1], 2),
)

# %% [markdown] id="bench-said" lang="en"
# On the steady sequence the forgetful optimizer is perfect. Only the second one finds it: it runs to
# and fro with every gradient, as if each step were the first. *One experiment that passes shows one thing.*
#
# ### Five patients
#
# Five runs, and this time the sentences have different lengths: each micro-batch holds texts of one length,
# so that between 4 and 64 targets count per row. Four of the runs have one fault each, and **one is
# healthy**. The letters are shuffled. These are the four:

# %% [markdown] id="bench-said" lang="es" of="cbabd8279bef"
# En la secuencia constante, el optimizador olvidadizo es perfecto. Solo lo descubre la segunda: va y
# viene con cada gradiente, como si cada paso fuera el primero. *Un experimento que sale bien demuestra una
# sola cosa.*
#
# ### Cinco pacientes
#
# Cinco runs, y esta vez las oraciones tienen distinto largo: cada micro-batch lleva textos de un mismo largo,
# así que por fila cuentan entre 4 y 64 targets. Cuatro runs tienen un fallo cada uno y **uno está sano**. Las
# letras están barajadas. Estos son los cuatro fallos:

# %% id="suspects"
suspects = ["accumulation-token-weighting", "decay-groups", "lost-optimizer-state", "no-bias-correction"]
for name in suspects:
    print(f"{name:30} {FAULTS[name].text('breaks')}")

# %% id="ward"
LENGTHS = (64, 16, 8, 4)


def texts_of_one_length(tokens, config, step, micro=0, *place):
    batch = get_batch(tokens, config, step, micro, *place)
    counts = torch.arange(config.context) < LENGTHS[(step + micro) % len(LENGTHS)]
    return batch._replace(mask=counts.expand_as(batch.mask))


ward = dataclasses.replace(
    Recipe(config.replace(steps=40, warmup_steps=0, batch_size=4)), get_batch=texts_of_one_length
)
patients = dict(zip("ABCDE", random.Random(12).sample([*suspects, "healthy"], 5), strict=True))
sick = {letter: ward if name == "healthy" else ward.with_fault(name) for letter, name in patients.items()}
charts = {letter: train(each, runs / f"ward-{letter}", overwrite=True) for letter, each in sick.items()}

print(f"{'':4} {t('first-loss'):>20} {t('last-loss'):>20}")
for letter, run in charts.items():
    print(f"{letter:4} {run.metrics[0]['loss']:20.3f} {last_loss(run):20.2f}")

# %% id="curves" folded=true
figure = Figure(figsize=(9.2, 1.9), layout="constrained")
for axes, (letter, run) in zip(figure.subplots(1, 5, sharey=True), charts.items(), strict=True):
    for other in charts.values():
        axes.plot([record["loss"] for record in other.metrics], color="0.8", linewidth=0.8)
    axes.plot([record["loss"] for record in run.metrics], color=BLUE)
    axes.set_title(letter, fontsize=10, weight="bold")
    axes.set_xlabel(t("step"), fontsize=8)
    axes.tick_params(labelsize=7)
figure.axes[0].set_ylabel(t("loss"), fontsize=8)
Picture().show(figure, t("curves-alt"))

# %% [markdown] id="curves-said" lang="en"
# Five plausible curves. Some jump, as healthy runs without warm-up do; some end a little lower than others.
# Which of them would you call healthy? The curves cannot tell. So take the patients to the bench, count the
# tensors that decay, and compare gradients:

# %% [markdown] id="curves-said" lang="es" of="e58ded465883"
# Cinco curvas verosímiles. Alguna da un salto, como lo dan los runs sanos sin warm-up; unas terminan algo más
# abajo que otras. ¿A cuál llamarías sana? Las curvas no lo dicen. Así que lleva a los pacientes al banco de
# pruebas, cuenta los tensores que decaen y compara gradientes:

# %% id="measurements" compare=true
print(f"{'':10}{t('steady'):32}   {t('to_and_fro')}")
for letter, each in sick.items():
    bench(letter, each)

print(f"\n{'':10}{t('decaying-vectors'):>24}{t('equal-masks'):>24}{t('unequal-masks'):>24}")
for letter, run in charts.items():
    rehearsal = next(probe for probe in run.probes if probe["kind"] == "rehearsal")
    ratio = rehearsal["accumulation_ratio"]
    vectors = len(rehearsal["decaying"]["vectors"])
    print(f"{letter:10}{vectors:24}{ratio['equal']:24.3f}{ratio['unequal']:24.3f}")

# %% [markdown] id="diagnose" lang="en"
# One hint. Without any correction the first move is $(1-\beta_1)/\sqrt{1-\beta_2}$ learning rates:

# %% [markdown] id="diagnose" lang="es" of="f8b9638830bf"
# Una pista. Sin corrección alguna, el primer movimiento vale $(1-\beta_1)/\sqrt{1-\beta_2}$ learning rates:

# %% id="by-chance" compare=true
for beta2 in (0.999, 0.99, 0.95):
    print(f"beta2 = {beta2}:   {(1 - config.beta1) / math.sqrt(1 - beta2):.2f}")

# %% [markdown] id="commit" lang="en"
# With our beta2 it is right by chance. Look further than the first move, and decide: put a name from the list
# above in place of each `...`, in quotes, or `"healthy"`.

# %% [markdown] id="commit" lang="es" of="4ba86d4c38fa"
# Con nuestro beta2 sale bien por casualidad. Mira más allá del primer movimiento y decídete: escribe un
# nombre de la lista de arriba en lugar de cada `...`, entre comillas, o `"healthy"` (sano).

# %% id="my-diagnosis"
predict("diagnosis", A=..., B=..., C=..., D=..., E=...)

# %% id="name-the-faults" compare=true
walks = {letter: walk_section_6(run) for letter, run in charts.items()}
compare("diagnosis", **{letter: walk.leaf or "healthy" for letter, walk in walks.items()})
print()
for letter, walk in walks.items():
    line = f"{walk.end.question}: {seen(walk.end)}" if walk.end else t("nothing-found")
    print(textwrap.fill(f"{letter} {line}", 92, subsequent_indent="  "))

# %% [markdown] id="fix" lang="en"
# Each fault had its own experiment, and no experiment found two. That is how you can be certain without a
# second run. Now look back at the losses of the five: is the lowest one the healthy run's?
#
# ## 5 · Fix
#
# Three exercises: the three parts that those faults had broken.
#
# ### Exercise 1 · What decays, and what does not
#
# > Difficulty ●●○○○ · Importance ●●●●○ · 10 minutes
#
# Weight decay pulls a weight towards 0. That is good for a matrix. But the gain of a norm belongs near 1 and
# a bias belongs wherever the data put it; both have fewer than two dimensions.
#
# Write `parameter_groups(model, weight_decay)`. It returns the argument of an optimizer: a list of dicts with
# the keys `"params"` (a list of tensors) and `"weight_decay"`.
#
# * Tensors with two or more dimensions decay by `weight_decay`, all others by 0.
# * Every parameter that learns is in exactly one group. A frozen parameter (`requires_grad` is False) is in
#   none.
# * The model in the checks has parameters that you have never seen, and its head shares its matrix with the
#   embedding: one tensor with two names.
#
# <details><summary>Hint 1: which rule</summary>
#
# `parameter.ndim`. A list of names works until somebody adds a layer.
# </details>
# <details><summary>Hint 2: the tied head</summary>
#
# `model.parameters()` gives each tensor once, however many names it has. Walking through
# `model.modules()` does not.
# </details>

# %% [markdown] id="fix" lang="es" of="13cece4318aa"
# Cada fallo tenía su propio experimento, y ningún experimento encontró dos. Así es como se puede estar seguro
# sin un segundo run. Y ahora vuelve a mirar los losses de los cinco: ¿es el más bajo el del sano?
#
# ## 5 · Arregla
#
# Tres ejercicios: las tres piezas que esos fallos habían roto.
#
# ### Ejercicio 1 · Qué decae y qué no
#
# > Dificultad ●●○○○ · Importancia ●●●●○ · 10 minutos
#
# El weight decay tira de cada peso hacia 0. A una matriz le conviene. Pero la ganancia de una capa de
# normalización debe quedar cerca de 1, y un bias, donde lo pongan los datos; los dos tienen menos de dos
# dimensiones.
#
# Escribe `parameter_groups(model, weight_decay)`. Devuelve el argumento de un optimizador: una lista de
# diccionarios con las claves `"params"` (una lista de tensores) y `"weight_decay"`.
#
# * Los tensores de dos o más dimensiones decaen con `weight_decay`; todos los demás, con 0.
# * Cada parámetro que aprende está en un solo grupo. Un parámetro congelado (`requires_grad` es False) no
#   está en ninguno.
# * El modelo de las comprobaciones tiene parámetros que nunca has visto, y su cabeza comparte la matriz con
#   el embedding: un solo tensor con dos nombres.
#
# <details><summary>Pista 1: qué regla</summary>
#
# `parameter.ndim`. Una lista de nombres funciona hasta que alguien agrega una capa.
# </details>
# <details><summary>Pista 2: la cabeza atada</summary>
#
# `model.parameters()` da cada tensor una sola vez, tenga los nombres que tenga. Recorrer `model.modules()`,
# no.
# </details>


# %% solution="parameter-groups"
def parameter_groups(model, weight_decay):
    ### BEGIN SOLUTION
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in learning if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0},
    ]
    ### END SOLUTION


# %% check="parameter-groups/complete" points=1
check("parameter-groups/complete", parameter_groups)

# %% check="parameter-groups/once" points=1
check("parameter-groups/once", parameter_groups)

# %% check="parameter-groups/frozen" points=1
check("parameter-groups/frozen", parameter_groups)

# %% check="parameter-groups/matrices" points=1
check("parameter-groups/matrices", parameter_groups)

# %% check="parameter-groups/vectors" points=2
check("parameter-groups/vectors", parameter_groups)

# %% [markdown] id="task-adam" lang="en"
# ### Exercise 2 · Adam, from its moments
#
# > Difficulty ●●●○○ · Importance ●●●●● · 15 minutes
#
# Write `adam_update(grad, m, v, t, lr, beta1, beta2, eps)`. `grad`, `m` and `v` are tensors of one shape, `t`
# counts the steps from 1. It returns three tensors: the **update** (what will be subtracted from the weight),
# the new **m** and the new **v**. The formulas are in section 4. Leave weight decay out.
#
# <details><summary>Hint 1: in which order</summary>
#
# Both moments take in this step's gradient first. Then they are corrected, but only for the update: the
# moments that you return are not corrected.
# </details>
# <details><summary>Hint 2: epsilon</summary>
#
# $\sqrt{\hat{v}}+\epsilon$ and $\sqrt{\hat{v}+\epsilon}$ are far apart when the gradients are small: with
# $\hat{v}=0$ one is 0.00000001, the other 0.0001.
# </details>

# %% [markdown] id="task-adam" lang="es" of="4887411e9121"
# ### Ejercicio 2 · Adam, desde sus momentos
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 15 minutos
#
# Escribe `adam_update(grad, m, v, t, lr, beta1, beta2, eps)`. `grad`, `m` y `v` son tensores de la misma
# forma; `t` cuenta los pasos desde 1. Devuelve tres tensores: la **actualización** (lo que se restará del
# peso), el nuevo **m** y el nuevo **v**. Las fórmulas están en la sección 4. Deja fuera el weight decay.
#
# <details><summary>Pista 1: en qué orden</summary>
#
# Primero los dos momentos incorporan el gradiente de este paso. Después se corrigen, pero solo para la
# actualización: los momentos que devuelves van sin corregir.
# </details>
# <details><summary>Pista 2: épsilon</summary>
#
# $\sqrt{\hat{v}}+\epsilon$ y $\sqrt{\hat{v}+\epsilon}$ se parecen poco cuando los gradientes son pequeños:
# con $\hat{v}=0$, una vale 0.00000001 y la otra 0.0001.
# </details>


# %% solution="adam-update"
def adam_update(grad, m, v, t, lr, beta1, beta2, eps):
    ### BEGIN SOLUTION
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return lr * m_hat / (v_hat.sqrt() + eps), m, v
    ### END SOLUTION


# %% check="adam-update/moments" points=2
check("adam-update/moments", adam_update)

# %% check="adam-update/first" points=1
check("adam-update/first", adam_update)

# %% check="adam-update/later" points=2
check("adam-update/later", adam_update)

# %% check="adam-update/epsilon" points=1
check("adam-update/epsilon", adam_update)

# %% [markdown] id="task-accumulate" lang="en"
# ### Exercise 3 · Accumulation that equals the big batch
#
# > Difficulty ●●●○○ · Importance ●●●●● · 15 minutes
#
# Write `accumulate(model, loss, batches)`. `batches` is a list of micro-batches with `inputs`, `targets` and
# `mask`, each (B, T); `loss(model(batch.inputs), batch.targets, batch.mask)` is the **mean** over the targets
# of that micro-batch whose mask is true (0 where there is none). Afterwards
#
# * `.grad` holds the gradient of the mean over *all* the targets that count, as if the micro-batches had been
#   one batch: every target counts the same, in whichever micro-batch it is;
# * the function returns the value of that mean, as a number or tensor;
# * no more than one micro-batch was in memory at any time, which is the whole point.
#
# <details><summary>Hint 1: is 1/k enough?</summary>
#
# Let one micro-batch have 192 targets and the next 12. At 1/k each, a target of the second counts 16 times as
# much. What weight should each micro-batch get?
# </details>
# <details><summary>Hint 2: one in memory</summary>
#
# `backward()` frees the memory of the forward pass. Call it before the next forward pass. You can count the
# targets from the masks beforehand, without the model.
# </details>

# %% [markdown] id="task-accumulate" lang="es" of="1f89b18daebd"
# ### Ejercicio 3 · Acumular como si fuera el batch grande
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 15 minutos
#
# Escribe `accumulate(model, loss, batches)`. `batches` es una lista de micro-batches con `inputs`, `targets`
# y `mask`, de forma (B, T); `loss(model(batch.inputs), batch.targets, batch.mask)` es la **media** sobre los
# targets de ese micro-batch cuya máscara es verdadera (0 si no hay ninguno). Al terminar,
#
# * `.grad` tiene el gradiente de la media sobre *todos* los targets que cuentan, como si los micro-batches
#   hubieran sido un solo batch: todos los targets cuentan lo mismo, estén en el micro-batch que estén;
# * la función devuelve el valor de esa media, como número o como tensor;
# * en ningún momento hubo más de un micro-batch en memoria, que de eso se trata.
#
# <details><summary>Pista 1: ¿basta con 1/k?</summary>
#
# Supón que un micro-batch tiene 192 targets y el siguiente 12. Con 1/k cada uno, un target del segundo cuenta
# 16 veces más. ¿Con qué peso hay que ponderar cada micro-batch?
# </details>
# <details><summary>Pista 2: uno en memoria</summary>
#
# `backward()` libera la memoria de la pasada hacia delante. Llámalo antes de la siguiente. Puedes contar los
# targets de antemano con las máscaras, sin el modelo.
# </details>


# %% solution="accumulate"
def accumulate(model, loss, batches):
    ### BEGIN SOLUTION
    counts = [int(batch.mask.sum()) for batch in batches]
    value = 0.0
    for batch, count in zip(batches, counts, strict=True):
        part = loss(model(batch.inputs), batch.targets, batch.mask) * count / max(sum(counts), 1)
        part.backward()
        value += part.item()
    return value
    ### END SOLUTION


# %% check="accumulate/equal" points=1
check("accumulate/equal", accumulate)

# %% check="accumulate/unequal" points=2
check("accumulate/unequal", accumulate)

# %% check="accumulate/loss" points=1
check("accumulate/loss", accumulate)

# %% check="accumulate/memory" points=1
check("accumulate/memory", accumulate)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# Build an optimizer around your two functions. The class below does the bookkeeping; every number in it is
# yours. First on the bench, beside PyTorch's own:

# %% [markdown] id="verify" lang="es" of="f5872b82813d"
# ## 6 · Comprueba
#
# Construye un optimizador alrededor de tus dos funciones. La clase de abajo lleva la contabilidad; los
# números son todos tuyos. Primero en el banco de pruebas, junto al de PyTorch:


# %% id="my-optimizer" compare=true
class MyAdamW(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    zeros = torch.zeros_like(weight)
                    state |= {"step": torch.tensor(0.0), "exp_avg": zeros, "exp_avg_sq": zeros.clone()}
                state["step"] += 1
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                moments = state["exp_avg"], state["exp_avg_sq"]
                settings = group["lr"], *group["betas"], group["eps"]
                update, state["exp_avg"], state["exp_avg_sq"] = adam_update(
                    weight.grad, *moments, int(state["step"]), *settings
                )
                weight.sub_(update)


def build_my_optimizer(model, config):
    groups = parameter_groups(model, config.weight_decay)
    names = [{"name": f"group {number}"} | group for number, group in enumerate(groups)]
    defaults = {"lr": config.lr_max, "betas": (config.beta1, config.beta2), "eps": config.eps}
    return MyAdamW(names, defaults | {"weight_decay": 0.0})


def my_accumulate(model, loss, batches, precision, world):
    return float(accumulate(model, loss, batches))


mine = {"build_optimizer": build_my_optimizer, "accumulate": my_accumulate, "faults": ()}
print(f"{'':10}{t('steady'):32}   {t('to_and_fro')}")
bench("PyTorch", recipe)
bench(t("yours"), dataclasses.replace(recipe, **mine))

# %% [markdown] id="three-at-once" lang="en"
# Now the hardest patient: one run with **three** faults at once. Everything decays, nothing is corrected, and
# every micro-batch has the same weight. Your parts go into its recipe. In grey, the broken run.

# %% [markdown] id="three-at-once" lang="es" of="8bed47007c3c"
# Y ahora el caso más difícil: un run con **tres** fallos a la vez. Todo decae, nada se corrige y todos los
# micro-batches tienen el mismo peso. Tus piezas entran en su receta. En gris, el run roto.

# %% id="train-three"
triple = (
    ward.with_fault("accumulation-token-weighting")
    .with_fault("decay-groups")
    .with_fault("no-bias-correction")
)
broken = train(triple, runs / "three-faults", overwrite=True)
repaired = train(
    dataclasses.replace(triple, **mine),
    runs / "repaired",
    callbacks=[LivePlot(before=broken.metrics)],
    overwrite=True,
)

# %% id="healthy-to-the-digit" compare=true
healthy = charts[next(letter for letter, name in patients.items() if name == "healthy")]
print(f"{'':12}{t('from-healthy'):>24}   {t('leaf')}")
for name, run in {"broken": broken, "repaired": repaired}.items():
    leaf = walk_section_6(run).leaf or "–"
    print(f"{t(name):12}{furthest(run, healthy):24.3f}   {leaf}")

# %% [markdown] id="verified" lang="en"
# The tree names one leaf of the broken run, the first; once that is fixed, it would name the next. Yours
# equals the healthy run in every step of its loss, to the digits shown. Not “a similar curve”: the same run.
# That is a standard worth keeping for these parts, because they are arithmetic, and arithmetic can be
# *equal*.

# %% [markdown] id="verified" lang="es" of="2427f3aac753"
# Del run roto, el árbol nombra una hoja, la primera; una vez arreglada, nombraría la siguiente. El tuyo
# coincide con el sano en el loss de cada paso, en todas las cifras que se muestran. No «una curva parecida»:
# el mismo run. Es una exigencia que vale la pena mantener con estas piezas, porque son aritmética, y la
# aritmética puede ser *igual*.

# %% id="walk-repaired"
show(walk_section_6(repaired), Console(width=88))

# %% [markdown] id="explain" lang="en"
# ## 7 · Explain
#
# A colleague asks you to review this trainer. Sentences differ in length. “The loss falls nicely”, she says.
#
# ```python
#  1  for epoch in range(10):
#  2      optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.1)
#  3      for i, batch in enumerate(loader):
#  4          logits = model(batch.inputs)
#  5          loss = masked_mean_cross_entropy(logits, batch.targets, batch.mask)
#  6          loss.backward()
#  7          if (i + 1) % 8 == 0:
#  8              torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#  9              optimizer.step()
# 10              optimizer.zero_grad()
# ```
#
# Name **three** faults of this lesson with their lines. For **one** of them, say which measurement proves it
# without a second training run, and what number it gives. And say why she could not see that one in her
# curve. (One point each: the faults, the measurement, the reason.)

# %% [markdown] id="explain" lang="es" of="4e99c0b91961"
# ## 7 · Explica
#
# Una colega te pide que revises este trainer. Las oraciones tienen distinto largo. «El loss baja muy bien»,
# dice.
#
# ```python
#  1  for epoch in range(10):
#  2      optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.1)
#  3      for i, batch in enumerate(loader):
#  4          logits = model(batch.inputs)
#  5          loss = masked_mean_cross_entropy(logits, batch.targets, batch.mask)
#  6          loss.backward()
#  7          if (i + 1) % 8 == 0:
#  8              torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#  9              optimizer.step()
# 10              optimizer.zero_grad()
# ```
#
# Nombra **tres** fallos de esta lección con sus líneas. De **uno** de ellos di qué medida lo demuestra sin
# otro entrenamiento, y qué número da. Y di por qué ella no podía ver ese fallo en su curva. (Un punto por
# cada parte: los fallos, la medida, la razón.)

# %% [markdown] answer="review-a-trainer" points=3 lang="en"
# Line 2 rebuilds the optimizer in every epoch, so the moments and the step count start from zero ten times.
# The same line puts all parameters into one group, so gains and biases decay too. Line 6 adds up eight means
# and nothing divides them; and since sentences differ in length, dividing by 8 would not be enough either:
# each micro-batch should be weighted by its targets. For the missing division: compute the gradient of one
# batch whole and in two halves, by these lines, and divide the norms. The ratio is 2 (with eight
# micro-batches 8), and should be 1. It cannot be seen in the curve, because clipping cuts every gradient to 1
# and Adam cancels a constant factor.
#
# ---
# **Rubric.** One point each. (1) Three of these four, with lines: optimizer rebuilt (2), one decay group (2),
# not divided by k (6), micro-batches weighted alike although masks differ (5–6). Micro-batches left over at
# the end of an epoch also count as one. Two faults: half a point. (2) An experiment that decides without a
# curve, and its number: ratio of gradients 8 (or 2 with two halves) for 1; step counter back at 0, or moves
# of ±1 under alternating gradients; gains found in a group with weight_decay 0.1. (3) A mechanism for the
# same fault: clipping and Adam's scale invariance; moments recover within some steps; the gains drift
# slowly. “The fault is small” alone does not count.

# %% [markdown] answer="review-a-trainer" points=3 lang="es" of="7620275227aa"
# La línea 2 reconstruye el optimizador en cada época, así que los momentos y la cuenta de pasos empiezan de
# cero diez veces. La misma línea pone todos los parámetros en un solo grupo, de modo que también decaen
# ganancias y biases. La línea 6 suma ocho medias y nadie las divide; y como las oraciones tienen distinto
# largo, tampoco bastaría con dividir entre 8: hay que ponderar cada micro-batch según sus targets. Para la
# división que falta: calcular con estas líneas el gradiente de un batch entero y en dos mitades, y dividir
# las normas. El cociente es 2 (con ocho micro-batches, 8) y debería ser 1. En la curva no se ve, porque el
# clipping recorta a 1 todos los gradientes y Adam cancela un factor constante.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) Tres de estos cuatro, con sus líneas: optimizador reconstruido
# (2), un solo grupo de decaimiento (2), sin dividir entre k (6), micro-batches con el mismo peso aunque
# difieran las máscaras (5–6). También cuenta como uno que queden micro-batches al final de la época. Dos
# fallos: medio punto. (2) Un experimento que decide sin curva, y su número: cociente de gradientes 8 (o 2 con
# dos mitades) en lugar de 1; contador de pasos otra vez en 0, o movimientos de ±1 con gradientes alternos;
# ganancias en un grupo con weight_decay 0.1. (3) Un mecanismo para ese mismo fallo: el clipping y que Adam no
# distingue escalas; los momentos se recuperan en unos pasos; las ganancias se mueven despacio. «El fallo es
# pequeño» por sí solo no cuenta.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# Four experiments on a copy, before the first step. Each gives a number that is right or wrong.
#
# | leaf | experiment | right | broken | first action |
# |---|---|:-:|:-:|---|
# | `decay-groups` | count the tensors below two dimensions in a group that decays | 0 | more | two groups, by `ndim` |
# | `lost-optimizer-state` | the optimizer's own step count; moves under gradients 1, −1, 1, … | all steps; near 0 | 1; ±1 | build the optimizer once, outside every loop |
# | `no-bias-correction` | moves ÷ lr under a steady gradient | 1, 1, 1, … | growing, here to 1.85 at move 5 | divide by 1 − βᵗ, t from 1 |
# | `accumulation-sum` | ‖gradient of k pieces‖ ÷ ‖gradient of the whole‖ | 1 | k | weight each piece by its share of the targets |
# | `accumulation-token-weighting` | the same with unequal masks | 1 | anything else | the same |
#
# And in the log: the gradient norm *before* clipping must not grow with k. The next lesson, 18-07, kills a
# run and asks whether the same optimizer comes back.

# %% [markdown] id="card" lang="es" of="2d35021c75d5"
# ## 8 · Una tarjeta para guardar
#
# Cuatro experimentos en una copia, antes del primer paso. Cada uno da un número que está bien o está mal.
#
# | hoja | experimento | bien | roto | primera acción |
# |---|---|:-:|:-:|---|
# | `decay-groups` | contar los tensores de menos de dos dimensiones en un grupo que decae | 0 | más | dos grupos, según `ndim` |
# | `lost-optimizer-state` | la cuenta de pasos del propio optimizador; movimientos con gradientes 1, −1, 1, … | todos los pasos; casi 0 | 1; ±1 | crea el optimizador una vez, fuera de todo bucle |
# | `no-bias-correction` | movimientos ÷ lr con un gradiente constante | 1, 1, 1, … | creciente, aquí hasta 1.85 en el quinto | divide entre 1 − βᵗ, con t desde 1 |
# | `accumulation-sum` | ‖gradiente de k trozos‖ ÷ ‖gradiente del conjunto‖ | 1 | k | pondera cada trozo por su parte de los targets |
# | `accumulation-token-weighting` | lo mismo con máscaras desiguales | 1 | otro valor | lo mismo |
#
# Y en el log: la norma del gradiente *antes* del clipping no debe crecer con k. La próxima lección, 18-07,
# mata un run y pregunta si vuelve el mismo optimizador.

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# `parameter_groups` asks for the number of dimensions and not for names, so it works on a network that it has never
# seen, such as this one for pictures. How many tensors decay when the optimizer is given all of them as one group? How
# many of those have fewer than two dimensions? And with your groups?

# %% [markdown] id="own-run" lang="es" of="baf915593a47"
# ## 9 · En tu propio run
#
# `parameter_groups` se fija en el número de dimensiones y no en los nombres, así que sirve para una red que nunca ha
# visto, como esta de imágenes. ¿Cuántos tensores decaen cuando el optimizador los recibe todos en un solo grupo?
# ¿Cuántos de ellos tienen menos de dos dimensiones? ¿Y con tus grupos?

# %% id="another-loop" compare=true
net = torch.nn.Sequential(
    torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(144, 10)
)
for name, groups in {"one-group": net.parameters(), "your-groups": parameter_groups(net, 0.1)}.items():
    adamw = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.1)
    decaying = [w for group in adamw.param_groups if group["weight_decay"] for w in group["params"]]
    small = sum(w.ndim < 2 for w in decaying)
    print(f"{t(name):14}{t('that-decay')}: {len(decaying)}   {t('below-two')}: {small}")

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# **A true story.** Fine-tuning BERT on little data was known to fail now and then, with nothing changed but the seed.
# In 2020 two groups asked why. [One](https://arxiv.org/abs/2006.05987) found that the optimizer that came with BERT
# leaves out Adam's bias correction, that this makes fine-tuning unstable, and that the usual recipes stop too early.
# [The other](https://arxiv.org/abs/2006.04884) showed that the two common explanations, forgetting and too little
# data, do not hold: training itself goes wrong, and gradients vanish. With β₂ = 0.999 an uncorrected first move is
# 0.1 ÷ √0.001, about three times too large, just where a pre-trained model can be spoilt.
#
# * Adam: Kingma and Ba, 2014, [1412.6980](https://arxiv.org/abs/1412.6980), section 3 for the correction.
# * Weight decay that is no L2 penalty: Loshchilov and Hutter, 2017, [1711.05101](https://arxiv.org/abs/1711.05101).
# * The missing weight of each piece, in a library that many use: [Fixing Gradient
#   Accumulation](https://huggingface.co/blog/gradient_accumulation), 2024.
#
# **A hard bonus task.** Why is it called Adam**W**? Two sets of weights start at 1. One gets gradients of standard
# deviation 100, the other of 0.01, all around 0. Predict where each is after 500 steps with `weight_decay=0.1` and a
# rate of 0.001, for `Adam` and for `AdamW`. Then run it.
#
# <details><summary>Hint</summary>
#
# Adam divides whatever is in its gradient by the size of that gradient. `Adam` puts the decay into the gradient, `AdamW` beside it.
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# for kind in (torch.optim.Adam, torch.optim.AdamW):
#     torch.manual_seed(0)
#     loud, quiet = (torch.ones(1000, requires_grad=True) for _ in range(2))
#     tried = kind([loud, quiet], lr=1e-3, weight_decay=0.1)
#     for _ in range(500):
#         loud.grad, quiet.grad = 100 * torch.randn(1000), 0.01 * torch.randn(1000)
#         tried.step()
#     print(kind.__name__, loud.mean().item(), quiet.mean().item())
# ```
#
# `Adam`: 1.00 and 0.56. Under loud gradients the decay drowns, under quiet ones it is nearly all there is. `AdamW`: 0.95 and 0.95, which is (1 − 0.0001)⁵⁰⁰.
# </details>

# %% [markdown] id="sources" lang="es" of="e22b8fc5b005"
# ## 10 · De dónde viene esto
#
# **Una historia real.** Se sabía que el fine-tuning de BERT con pocos datos fracasaba de vez en cuando, sin cambiar
# nada más que la semilla. En 2020, dos grupos se preguntaron por qué. [Uno](https://arxiv.org/abs/2006.05987)
# encontró que el optimizador que venía con BERT omite la corrección de bias de Adam, que eso vuelve inestable el
# fine-tuning y que las recetas habituales paran demasiado pronto. [El otro](https://arxiv.org/abs/2006.04884) mostró
# que las dos explicaciones comunes, el olvido y la falta de datos, no se sostienen: lo que falla es la propia
# optimización. Con β₂ = 0.999, un primer movimiento sin corregir vale 0.1 ÷ √0.001, unas tres veces más de lo debido,
# justo donde se puede estropear un modelo preentrenado.
#
# * Adam: Kingma y Ba, 2014, [1412.6980](https://arxiv.org/abs/1412.6980); la corrección está en la sección 3.
# * Un weight decay que no es una penalización L2: Loshchilov y Hutter, 2017, [1711.05101](https://arxiv.org/abs/1711.05101).
# * El peso que le faltaba a cada trozo, en una biblioteca que usa mucha gente: [su propio
#   relato](https://huggingface.co/blog/gradient_accumulation), 2024.
#
# **Un reto extra, difícil.** ¿Por qué se llama Adam**W**? Dos grupos de pesos empiezan en 1. Uno recibe gradientes
# con desviación estándar 100 y el otro de 0.01, todos alrededor de 0. Predice dónde está cada uno después de 500
# pasos con `weight_decay=0.1` y un learning rate de 0.001, con `Adam` y con `AdamW`. Después ejecútalo.
#
# <details><summary>Pista</summary>
#
# Adam divide lo que haya en su gradiente entre el tamaño de ese gradiente. `Adam` pone el decay dentro del gradiente; `AdamW`, al lado.
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# for kind in (torch.optim.Adam, torch.optim.AdamW):
#     torch.manual_seed(0)
#     loud, quiet = (torch.ones(1000, requires_grad=True) for _ in range(2))
#     tried = kind([loud, quiet], lr=1e-3, weight_decay=0.1)
#     for _ in range(500):
#         loud.grad, quiet.grad = 100 * torch.randn(1000), 0.01 * torch.randn(1000)
#         tried.step()
#     print(kind.__name__, loud.mean().item(), quiet.mean().item())
# ```
#
# `Adam`: 1.00 y 0.56. Con gradientes grandes el decay se pierde; con gradientes pequeños es casi lo único que hay. `AdamW`: 0.95 y 0.95, que es (1 − 0.0001)⁵⁰⁰.
# </details>
