"""Lesson 18-02: is the schedule applying? Six broken schedules, told apart by the rate of every group."""

# %% [markdown] id="why" lang="en"
# Which learning rate did your run use?
#
# The config has an answer, but that is only a wish. Between that number and the weights stand a scheduler,
# the unit it counts in, and a list of parameter groups. Each of them can change the rate, and none of them
# complains. The loss falls anyway, only not as far as it could, and nobody knows what it could have done.
#
# Here you break the schedule of a real run and find the place where it shows. Afterwards you can
#
# * compare the rate that the optimizer used with the rate that you asked for, step by step and group by
#   group;
# * tell six broken schedules apart by their shape, where the loss tells you almost nothing;
# * write a warm-up with a cosine and an audit of every group, and work out why a published run learnt at a
#   rate 1,818 times below the one in its config.
#
# Run the cells in order with **Shift + Enter**. Everything trains on your own machine, in seconds.

# %% [markdown] id="why" lang="es" of="0fe61ebc0bee"
# ¿Qué learning rate (tasa de aprendizaje) usó tu run?
#
# La configuración tiene una respuesta, y es solo un deseo. Entre ese número y los pesos hay un scheduler, la
# unidad en la que cuenta y una lista de grupos de parámetros. Cualquiera de ellos puede cambiar el valor, y
# ninguno avisa. El loss baja de todos modos, solo que no tanto como podría, y nadie sabe hasta dónde
# habría llegado.
#
# Aquí vas a romper el schedule de un run de verdad y a encontrar el lugar donde se nota. Al terminar sabrás
#
# * comparar el learning rate que usó el optimizador con el que pediste, paso a paso y grupo por grupo;
# * distinguir seis schedules rotos por su forma, cuando el loss no te dice casi nada;
# * escribir un warm-up con coseno y una auditoría de todos los grupos, y calcular por qué un run publicado
#   aprendió con un learning rate 1,818 veces menor que el de su configuración.
#
# Ejecuta las celdas en orden con **Shift + Enter**. Todo se entrena en tu propia máquina, en segundos.

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
from course.widgets import Choice, Slider, playground
from minigpt import Config, Recipe, diagnosis, train
from minigpt.diagnosis.report import seen, show
from minigpt.diagnosis.trees.configuration.schedule import SCHEDULE_QUESTIONS
from minigpt.faults import FAULTS

lesson("18-02")
runs = Path("experiments") / "18-02"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9


def walk_section_2(run):
    return diagnosis.walk(diagnosis.evidence_of(run.path), SCHEDULE_QUESTIONS)


def rates_of(run):
    records = run.metrics
    return {group: [record["lr"][group] for record in records] for group in records[0]["lr"]}


# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# It is the small GPT of lesson 18-01, with one thing added. This machine has room for 8 sequences at a time,
# and the run wants 32. So the gradients of four portions are added up, and then the optimizer moves once. A
# portion is a *micro-batch*; a move of the optimizer is a *step*. Keep the two words apart: this lesson is
# about what happens when somebody does not.
#
# The learning rate should rise over the first 15 steps, which is the warm-up, and then fall along half a
# cosine until the last step.

# %% [markdown] id="meet" lang="es" of="5f2496957360"
# ## 1 · Un run que se porta mal
#
# Es el pequeño GPT de la lección 18-01, con una novedad. En esta máquina caben 8 secuencias a la vez, y el
# run quiere 32. Por eso se suman los gradientes de cuatro porciones y después el optimizador se mueve una
# vez. Una porción es un *micro-batch*; un movimiento del optimizador es un *paso*. No confundas las dos
# palabras: esta lección trata de lo que pasa cuando alguien las confunde.
#
# El learning rate debe subir durante los primeros 15 pasos, que son el warm-up, y después bajar por medio
# coseno hasta el último paso.

# %% id="facts" compare=true
config = Config(
    steps=60,
    warmup_steps=15,
    lr_max=3e-3,
    lr_min=3e-4,
    batch_size=8,
    accumulation=4,
    eval_every=0,
)
recipe = Recipe(config)
data = recipe.load_data(config)
V = config.vocab_size
for name in ("batch_size", "accumulation", "steps", "warmup_steps", "lr_max", "lr_min"):
    print(f"{name:14} {getattr(config, name)}")

# %% [markdown] id="colleague" lang="en"
# A scheduler has to be told two lengths: how long the warm-up is, and how long the run. Somebody takes them
# from where everybody takes them, `len(loader)`. But a loader hands out micro-batches.

# %% [markdown] id="colleague" lang="es" of="ea7c07ef2653"
# A un scheduler hay que decirle dos duraciones: la del warm-up y la del run. Alguien las toma de donde las
# toma todo el mundo, `len(loader)`. Pero un loader entrega micro-batches.

# %% id="break-it" compare=true
for name in ("warmup_steps", "steps"):
    length = getattr(config, name)
    print(f"{name:14} {length:4} {t('steps')} = {config.accumulation * length:4} {t('micro-batches')}")

broken_recipe = recipe.with_fault("schedule-step-unit")

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# So the scheduler of the broken run believes that the warm-up lasts 60 and the run 240. It is called once per
# step, and there are 60 steps.
#
# **What is the learning rate of the broken run** at step 14, where the warm-up should end at 0.003, and at
# step 59, the last, where it should be 0.0003? And **how far behind** the healthy run is its loss, in nats,
# half-way and at the end? Put a number in place of each `...`. Nobody grades it.

# %% [markdown] id="predict" lang="es" of="51e812cb111a"
# ## 2 · Predice
#
# Así que el scheduler del run roto cree que el warm-up dura 60 y el run, 240. Se le llama una vez por paso, y
# hay 60 pasos.
#
# **¿Cuánto vale el learning rate del run roto** en el paso 14, donde el warm-up debería terminar en 0.003, y
# en el paso 59, el último, donde debería valer 0.0003? ¿Y **cuánto se atrasa** su loss respecto al run sano,
# en nats, a la mitad y al final? Escribe un número en lugar de cada `...`. Nadie lo califica.

# %% id="my-prediction"
predict("rates", at_step_14=..., at_step_59=..., behind_half_way=..., behind_at_the_end=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it
#
# The healthy run first. Then the broken one, with the healthy run in grey behind it.

# %% [markdown] id="break" lang="es" of="d37940e11da0"
# ## 3 · Rómpelo
#
# Primero, el run sano. Después el roto, con el sano en gris al fondo.

# %% id="train-healthy"
healthy = train(recipe, runs / "healthy", callbacks=[LivePlot()], overwrite=True)

# %% id="train-broken"
broken = train(
    broken_recipe,
    runs / "broken",
    callbacks=[LivePlot(before=healthy.metrics)],
    overwrite=True,
)


# %% id="compare-prediction"
def loss_around(run, step):
    records = run.metrics[max(step - 5, 0) : step + 5]
    return sum(record["loss"] for record in records) / len(records)


def behind(run, step):
    return round(loss_around(run, step) - loss_around(healthy, step), 2)


broken_rates = rates_of(broken)["decay"]
compare(
    "rates",
    at_step_14=broken_rates[14],
    at_step_59=broken_rates[59],
    behind_half_way=behind(broken, 30),
    behind_at_the_end=behind(broken, 59),
)

# %% [markdown] id="the-end-deceives" lang="en"
# Read the last two lines once more. Half-way the broken run is far behind; at the end you would hardly see it.
# Most people compare two runs by their last loss, and they would see nothing wrong here.
#
# And yet everything they conclude is about another run. They believe that they tried a warm-up of 15 steps
# and a cosine down to 0.0003. In fact they tried one long ramp that stops at its top.
#
# ## 4 · Inspect
#
# ### What was asked for, and what was done
#
# The config says what was asked for. The rates that were used are in `metrics.jsonl`: the trainer writes down
# the rate of **every parameter group at every step**, read from the optimizer itself.

# %% [markdown] id="the-end-deceives" lang="es" of="ecaf3adb2f72"
# Lee otra vez las dos últimas líneas. A la mitad, el run roto va muy atrasado; al final casi no se nota. Casi
# todo el mundo compara dos runs por su último loss, y aquí no vería nada malo.
#
# Sin embargo, todo lo que concluyan será sobre otro run. Creen que probaron un warm-up de 15 pasos y un
# coseno que baja hasta 0.0003. En realidad probaron una sola rampa larga que se corta en lo más alto.
#
# ## 4 · Inspecciona
#
# ### Lo que se pidió y lo que se hizo
#
# La configuración dice lo que se pidió. Los que se usaron están en `metrics.jsonl`: el trainer anota el
# learning rate de **cada grupo de parámetros en cada paso**, leído del propio optimizador.

# %% id="one-line-of-the-log" compare=true
print(broken.metrics[14]["lr"])

# %% [markdown] id="two-groups" lang="en"
# Two groups here, because weight decay is for matrices (`decay`) and not for the gains of the norms (`no_decay`). In
# your own loop the same list is one line: `[group["lr"] for group in optimizer.param_groups]`. Not
# `scheduler.get_last_lr()[0]`: that is the first group alone.
#
# Now plot one over the other: dashed, the rate asked for; in colour, the rate of each group.

# %% [markdown] id="two-groups" lang="es" of="05c4bebf08ea"
# Aquí hay dos grupos, porque el weight decay es para las matrices (`decay`) y no para las ganancias de las
# capas de normalización (`no_decay`). En tu propio bucle, la misma lista es una línea: `[group["lr"] for
# group in optimizer.param_groups]`. No `scheduler.get_last_lr()[0]`: eso es solo el primer grupo.
#
# Ahora pon lo uno encima de lo otro: a trazos, el learning rate que se pidió; en color, el de cada grupo.

# %% id="asked-and-done" folded=true
STYLES = {
    "decay": {"color": "#0072b2", "linewidth": 5, "alpha": 0.4},
    "no_decay": {"color": "#d55e00", "linewidth": 1.5},
}


def draw_rates(axes, run, asked):
    for group, rates in rates_of(run).items():
        axes.plot(rates, label=group, **STYLES[group])
    axes.plot(asked, color="black", linestyle="--", linewidth=1, label=t("asked-for"))
    axes.set_ylim(-0.0002, 0.0034)
    axes.set_xlabel(t("step"))
    axes.ticklabel_format(axis="y", scilimits=(-3, -3))


asked = rates_of(healthy)["decay"]
figure = Figure(figsize=(7.2, 2.5), layout="constrained")
for axes, (name, run) in zip(
    figure.subplots(1, 2), {"healthy": healthy, "broken": broken}.items(), strict=True
):
    draw_rates(axes, run, asked)
    axes.set_title(t(name), fontsize=10)
axes.legend(fontsize=8)
Picture().show(figure, t("asked-and-done-alt"))

# %% [markdown] id="by-hand" lang="en"
# The right shape, on an axis stretched by four. That is the signature of a schedule that counts micro-batches.
#
# ### Walk the tree by hand
#
# Section 2 of the stability check begins with two questions that you can answer by hand. The first compares
# all rates with what was asked for; if they differ, the *way* they differ names the leaf.
#
# | question | evidence | healthy | broken |
# |---|---|---|---|
# | **2.1** Is the learning rate the one asked for? | every group at every step | equal | 0 throughout → `base-lr-zero` · constant → `scheduler-never-stepped` · right shape on a stretched axis → `schedule-step-unit` · jumps → `lr-discontinuous` · right shape times a constant, in a group → `lr-group-scale` |
# | **2.2** Does the warm-up end at the top? | rate at step 0; rate at step W − 1 ÷ lr_max | above 0; at least 0.95 | otherwise → `warmup-off-by-one` |
#
# W is the number of warm-up steps. Find the row and the column for both runs.

# %% [markdown] id="by-hand" lang="es" of="d8026f9425a8"
# La forma correcta, en un eje estirado por cuatro. Es la firma de un schedule que cuenta micro-batches.
#
# ### Recorre el árbol a mano
#
# La sección 2 de la revisión de estabilidad empieza con dos preguntas que puedes responder a mano. La primera compara
# todos los valores con lo que se pidió; si difieren, la *manera* en que difieren le da nombre a la hoja.
#
# | pregunta | evidencia | sano | roto |
# |---|---|---|---|
# | **2.1** ¿Es el learning rate el que se pidió? | cada grupo en cada paso | iguales | 0 siempre → `base-lr-zero` · constante → `scheduler-never-stepped` · la forma correcta en un eje estirado → `schedule-step-unit` · saltos → `lr-discontinuous` · la forma correcta multiplicada por una constante, en un grupo → `lr-group-scale` |
# | **2.2** ¿Termina el warm-up en lo más alto? | valor en el paso 0; valor en el paso W − 1 ÷ lr_max | más de 0; al menos 0.95 | si no → `warmup-off-by-one` |
#
# W es el número de pasos del warm-up. Busca la fila y la columna de los dos runs.

# %% id="four-steps" compare=true
print(f"{t('step'):>8}" + "".join(f"{step:>10}" for step in (0, 14, 30, 59)))
for name, run in {"healthy": healthy, "broken": broken}.items():
    rates = rates_of(run)["decay"]
    print(f"{t(name):>8}" + "".join(f"{rates[step]:10.5f}" for step in (0, 14, 30, 59)))

# %% [markdown] id="walker" lang="en"
# And this is what `minigpt check` says about the broken run.

# %% [markdown] id="walker" lang="es" of="3193037807d6"
# Y esto es lo que dice `minigpt check` del run roto.

# %% id="walk-broken"
show(walk_section_2(broken), Console(width=88))

# %% [markdown] id="play" lang="en"
# ### What is a warm-up for? Turn the knobs
#
# A one-layer GPT, trained again for 60 steps each time you move something, in less than a second. On the left
# is the rate it uses, on the right its loss. In grey, the run with the starting values. A model that knows
# only how frequent each token is reaches the dotted line: a run that gets stuck there has learnt nothing
# about the order of words.
#
# Four things to find:
#
# 1. Bring lr_max down to about 0.001 and move the warm-up from 1 to 60. How much does it matter?
# 2. Now lr_max = 0.03, and the warm-up from 1 to 60 again.
# 3. Put the warm-up back to 15. Which lr_max gives the lowest loss? What do the highest do?
# 4. With a warm-up of 15 and lr_max = 0.03, let the schedule count in micro-batches, four of them in a step.
#    That is a fault. What does the loss say?

# %% [markdown] id="play" lang="es" of="80304e7aeb20"
# ### ¿Para qué sirve un warm-up? Gira las perillas
#
# Un GPT de una capa, que se entrena de nuevo durante 60 pasos cada vez que mueves algo; tarda menos de un
# segundo. A la izquierda está el learning rate que usa; a la derecha, su loss. En gris, el run de los valores
# iniciales. Un modelo que solo sabe qué tan frecuente es cada token llega a la línea de puntos: un
# run que se atasca ahí no ha aprendido nada sobre el orden de las palabras.
#
# Cuatro cosas por descubrir:
#
# 1. Baja lr_max hasta cerca de 0.001 y mueve el warm-up de 1 a 60. ¿Cuánto importa?
# 2. Ahora lr_max = 0.03, y otra vez el warm-up de 1 a 60.
# 3. Vuelve a poner el warm-up en 15. ¿Con qué lr_max queda más bajo el loss? ¿Qué hacen los más altos?
# 4. Con un warm-up de 15 y lr_max = 0.03, deja que el schedule cuente en micro-batches, cuatro por paso. Eso
#    es un fallo. ¿Qué dice el loss?

# %% id="small-run"
small = config.replace(n_layer=1, n_head=2, n_embd=32, context=32, batch_size=32, accumulation=1)
counts = torch.bincount(data.train, minlength=V).double()
only_frequencies = -(counts / counts.sum() * (counts / counts.sum()).clamp(min=1e-12).log()).sum().item()
already_trained = {}


def small_run(warmup, lr_max, unit):
    if (warmup, lr_max, unit) in already_trained:
        return already_trained[warmup, lr_max, unit]
    asked = small.replace(warmup_steps=warmup, lr_max=lr_max, lr_min=lr_max / 10)
    used = asked.replace(warmup_steps=unit * warmup, steps=unit * small.steps)
    rates = [recipe.lr_at(step, used) for step in range(small.steps)]
    torch.manual_seed(small.seed)
    model = recipe.build_model(small)
    recipe.init_weights(model, small)
    optimizer = recipe.build_optimizer(model, small)
    losses = []
    for step, rate in enumerate(rates):
        batch = recipe.get_batch(data.train, small, step)
        loss = recipe.loss(model(batch.inputs), batch.targets, batch.mask)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), small.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    already_trained[warmup, lr_max, unit] = rates, losses
    return rates, losses


# %% id="playground" folded=true
START = (15, 0.003, 1)


def draw(figure, warmup, lr_max, unit):
    left, right = figure.subplots(1, 2)
    for values, colour in ((START, "0.6"), ((warmup, lr_max, unit), "#0072b2")):
        rates, losses = small_run(*values)
        left.plot(rates, color=colour, linewidth=1.3)
        right.plot(losses, color=colour, linewidth=1.3)
    left.axvline(warmup - 1, color="0.75", linewidth=1)
    left.set(title=t("learning-rate"), xlabel=t("step"), yscale="log", ylim=(1e-5, 0.2))
    right.axhline(math.log(V), color="black", linestyle="--", linewidth=1)
    right.axhline(only_frequencies, color="black", linestyle=":", linewidth=1)
    right.text(small.steps, math.log(V) + 0.05, "ln V", ha="right")
    right.text(0, only_frequencies - 0.05, t("only-frequencies"), va="top")
    right.set(title=t("end-loss", loss=f"{sum(losses[-5:]) / 5:.2f}"), xlabel=t("step"), ylim=(2.9, 6.6))
    for axes in (left, right):
        axes.title.set_fontsize(10)


playground(
    draw,
    warmup=Slider(t("warm-up"), 1, 60, START[0]),
    lr_max=Slider("lr_max", 0.0003, 0.1, START[1], log=True),
    unit=Choice(t("counted-in"), {t("steps"): 1, t("micro-batches"): 4}),
)

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. Hardly. The steps are so small that it does not matter how carefully the first ones are taken.
# 2. A great deal, more than a nat. With a short warm-up the rate throws the model onto the dotted line at the
#    start, and it spends the rest of the run getting away from it. A long warm-up lets the weights find
#    a sensible region first, where the same rate does no harm. The stability check knows such a start by name,
#    `warmup-missing`, and needs both for it: no ramp, and first losses that rise above chance.
# 3. Around 0.01. At 0.1 the run sits on the dotted line: it has learnt the frequencies and nothing else. A
#    rate that is too high need not look like an explosion; here it looks like a plateau.
# 4. It gets **better**, by about a nat: the stretched axis turns 15 steps of warm-up into 60. The fault hides
#    a rate that is too high. Somebody who trusts the loss writes into the paper that 0.03 with a short warm-up
#    is fine, and anybody who repeats it with a correct schedule fails.
#
# Neither a good loss nor a bad one tells you whether the schedule applies. Only the rates tell.
# </details>

# %% [markdown] id="play-answers" lang="es" of="d1a94330c0cb"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. Casi nada. Los pasos son tan pequeños que da igual con cuánto cuidado se den los primeros.
# 2. Muchísimo: más de un nat. Con un warm-up corto, el learning rate lanza al modelo a la línea de puntos
#    desde el principio, y el modelo se pasa el resto del run intentando salir de ahí. Un warm-up largo deja
#    que los pesos encuentren antes una región razonable, donde ese mismo valor no hace daño. La revisión de
#    estabilidad le da un nombre a ese comienzo, `warmup-missing`, y exige las dos cosas: que falte la rampa y
#    que los primeros losses suban por encima del azar.
# 3. Cerca de 0.01. Con 0.1, el run se queda en la línea de puntos: aprendió las frecuencias y nada más.
#    Un learning rate demasiado alto no siempre parece una explosión; aquí parece una meseta.
# 4. **Mejora**, alrededor de un nat: el eje estirado convierte 15 pasos de warm-up en 60. El fallo esconde un
#    learning rate demasiado alto. Quien se fía del loss escribe en su artículo que 0.03 con un warm-up corto
#    está bien, y quien lo repite con un schedule correcto fracasa.
#
# Ni un buen loss ni uno malo te dicen si el schedule se está aplicando. Eso solo lo dicen los valores.
# </details>

# %% [markdown] id="patients" lang="en"
# ### Six patients
#
# Six short runs with one fault each, and a healthy one. The letters are shuffled. These are the faults:

# %% [markdown] id="patients" lang="es" of="fd87b11d4ad7"
# ### Seis pacientes
#
# Seis runs cortos con un fallo cada uno, y uno sano. Las letras están barajadas. Estos son los fallos:

# %% id="suspects"
suspects = [
    "base-lr-zero",
    "lr-discontinuous",
    "lr-group-scale",
    "schedule-step-unit",
    "scheduler-never-stepped",
    "warmup-off-by-one",
]
for name in suspects:
    print(textwrap.fill(f"{name:24} {FAULTS[name].text('breaks')}", 88, subsequent_indent=" " * 25))

# %% id="ward"
brief = Recipe(config.replace(steps=32, warmup_steps=8, batch_size=4, eval_batches=1))
patients = dict(zip("ABCDEF", random.Random(18).sample(suspects, 6), strict=True))
sick = {letter: brief.with_fault(fault) for letter, fault in patients.items()}
charts = {}

print(f"{'':8} {t('first-loss'):>18} {t('last-loss'):>18}")
for name, ward_recipe in {t("healthy"): brief, **sick}.items():
    charts[name] = run = train(ward_recipe, runs / f"ward-{len(charts)}", overwrite=True)
    print(f"{name:8} {run.metrics[0]['loss']:18.2f} {loss_around(run, 31):18.2f}")
reference = charts.pop(t("healthy"))

# %% [markdown] id="ward-by-loss" lang="en"
# One has learnt nothing at all: that one you can name from its loss. Another has learnt hardly anything, and
# there are several ways to get there. And the best of the seven is not the healthy one. So do not look at the loss.
# Look at the rates.

# %% [markdown] id="ward-by-loss" lang="es" of="42bb596d0875"
# Uno no aprendió absolutamente nada: a ese lo puedes nombrar por su loss. Otro no aprendió casi nada, y a eso
# se llega por varios caminos. Y el mejor de los siete no es el sano. Así que no mires el loss. Mira los
# valores del learning rate.

# %% id="ward-rates" folded=true
asked_of_the_ward = rates_of(reference)["decay"]
figure = Figure(figsize=(9.2, 4.2), layout="constrained")
for axes, (letter, run) in zip(figure.subplots(2, 3).flat, charts.items(), strict=True):
    draw_rates(axes, run, asked_of_the_ward)
    axes.set_title(letter, fontsize=11, weight="bold")
axes.legend(fontsize=7)
Picture().show(figure, t("ward-alt"))

# %% [markdown] id="diagnose" lang="en"
# Six shapes, six names. Put a name from the list in place of each `...`, in quotes. One of them needs a close
# look at its first step:

# %% [markdown] id="diagnose" lang="es" of="ed33739afbee"
# Seis formas, seis nombres. Escribe un nombre de la lista en lugar de cada `...`, entre comillas. Con uno de
# ellos hay que mirar muy de cerca el primer paso:

# %% id="first-three-steps" compare=true
for letter, run in charts.items():
    print(letter, *(f"{rate:.6f}" for rate in rates_of(run)["decay"][:3]), sep="   ")

# %% id="my-diagnosis"
predict("diagnosis", A=..., B=..., C=..., D=..., E=..., F=...)

# %% id="name-the-faults" compare=true
walks = {letter: walk_section_2(run) for letter, run in charts.items()}
compare("diagnosis", **{letter: walk.leaf for letter, walk in walks.items()})

# %% id="what-was-seen"
for letter, walk in walks.items():
    print(textwrap.fill(f"{letter}  {walk.end.question}  {seen(walk.end)}", 88, subsequent_indent=" " * 8))

# %% [markdown] id="lessons-of-the-ward" lang="en"
# Three things to take away.
#
# * **A rate is a number that you can check exactly.** It is not a statistic: each rate either is the one you
#   asked for or is not. There is no threshold to tune, and no reference run is needed.
# * **Look at every group.** One patient is right in one group and ten times too low in the other. If you log
#   only one of them, you see either a healthy run or one that is broken everywhere.
# * **One step late is not nothing.** At step 0 of that run the weights did not move: a batch was paid for and
#   thrown away. And where the warm-up should have arrived, it is still one step short.

# %% [markdown] id="lessons-of-the-ward" lang="es" of="4d35dd743234"
# Tres cosas para llevarte.
#
# * **Un learning rate es un número que se puede comprobar con exactitud.** No es estadística: cada valor es el
#   que pediste o no lo es. No hay que ajustar ningún umbral ni hace falta un run de referencia.
# * **Mira todos los grupos.** Un paciente está bien en un grupo y diez veces por debajo en el otro. Si
#   registras solo uno de los dos, ves un run sano o uno roto por completo.
# * **Un paso tarde no es poca cosa.** En el paso 0 de ese run los pesos no se movieron: se pagó un batch y se
#   tiró a la basura. Y donde el warm-up ya debería haber llegado, todavía le falta un paso.

# %% [markdown] id="fix" lang="en"
# ## 5 · Fix
#
# Two exercises. Each check below an exercise is one small question, from coarse to fine; a failing one tells
# you what it thinks went wrong. Stuck? Open a hint. There is no penalty.
#
# ### Exercise 1 · The schedule
#
# > Difficulty ●●○○○ · Importance ●●●●● · 12 minutes
#
# Write `lr_at(step, config)`: the learning rate of step `step`. Steps count from 0. With W =
# `config.warmup_steps` and N = `config.steps`:
#
# * **Warm-up.** A straight line over the steps 0 to W − 1. Step 0 already learns: its rate is lr_max/W. Step
#   W − 1 is the top: its rate is lr_max, exactly.
# * **Cosine.** Half a cosine from that top down to lr_min, which it reaches exactly at the last step, N − 1. With p
#   running from 0 at step W − 1 to 1 at step N − 1, the rate is lr_min + ½ (lr_max − lr_min)(1 + cos πp).
# * **Edges.** W may be 0: then step 0 is the top. W may be N: then there is only warm-up. A run that
#   continues after step N − 1 stays at lr_min; a cosine left alone would climb again.
#
# Respected code draws that line in other ways. nanoGPT takes (t + 1)/(W + 1), so the top comes one step later. The
# assignment of Stanford's course CS336 takes t/W, so step 0 learns nothing. Each is right in its own code. Here it is
# (t + 1)/W: no step is wasted, and the last step of the warm-up has exactly the rate that the manifest promises, so
# that a check can ask for it.
#
# <details><summary>Hint 1: the warm-up</summary>
#
# Step t is the (t + 1)-th step. How much of the way up is it after t + 1 of W steps?
# </details>
# <details><summary>Hint 2: p</summary>
#
# The share of a distance covered is (where I am − start) ÷ (end − start). The start is W − 1, the end is N −
# 1.
# </details>
# <details><summary>Hint 3: the edges</summary>
#
# With W = 0 there is no step −1 to start from: `max(W - 1, 0)`. And `min(p, 1)` keeps the cosine from
# climbing.
# </details>

# %% [markdown] id="fix" lang="es" of="cad3cd8b7c13"
# ## 5 · Arregla
#
# Dos ejercicios. Debajo de cada uno hay comprobaciones: preguntas pequeñas, de lo grueso a lo fino. La que
# falla te dice qué cree que salió mal. ¿Te atascaste? Abre una pista. No cuesta puntos.
#
# ### Ejercicio 1 · El schedule
#
# > Dificultad ●●○○○ · Importancia ●●●●● · 12 minutos
#
# Escribe `lr_at(step, config)`: el learning rate del paso `step`. Los pasos se cuentan desde 0. Con W =
# `config.warmup_steps` y N = `config.steps`:
#
# * **Warm-up.** Una línea recta del paso 0 al paso W − 1. El paso 0 ya aprende: le toca lr_max/W. El paso
#   W − 1 es lo más alto: le toca exactamente lr_max.
# * **Coseno.** Medio coseno desde ahí hasta lr_min, al que llega exactamente en el último paso, N − 1. Si p va
#   de 0 en el paso W − 1 a 1 en el paso N − 1, el valor es lr_min + ½ (lr_max − lr_min)(1 + cos πp).
# * **Casos límite.** W puede ser 0: entonces el paso 0 es lo más alto. W puede ser N: entonces solo hay warm-up. Un
#   run que sigue después del paso N − 1 se queda en lr_min; un coseno sin control volvería a subir.
#
# Hay código respetado que traza esa recta de otra manera. nanoGPT usa (t + 1)/(W + 1), y así llega a lo más alto un
# paso más tarde. La tarea del curso CS336 de Stanford usa t/W, y así el paso 0 no aprende nada. Cada una es correcta en
# su propio código. Aquí es (t + 1)/W: no se pierde ningún paso, y el último paso del warm-up tiene exactamente el
# learning rate que promete el manifest, así que una comprobación puede pedirlo.
#
# <details><summary>Pista 1: el warm-up</summary>
#
# El paso t es el paso número t + 1. ¿Qué parte de la subida lleva después de t + 1 de W pasos?
# </details>
# <details><summary>Pista 2: p</summary>
#
# La parte recorrida de un camino es (donde estoy − inicio) ÷ (final − inicio). El inicio es W − 1; el final,
# N − 1.
# </details>
# <details><summary>Pista 3: los casos límite</summary>
#
# Con W = 0 no hay un paso −1 desde donde empezar: `max(W - 1, 0)`. Y `min(p, 1)` evita que el coseno vuelva a
# subir.
# </details>


# %% solution="lr-schedule"
def lr_at(step, config):
    ### BEGIN SOLUTION
    if step < config.warmup_steps:
        return config.lr_max * (step + 1) / config.warmup_steps
    top = max(config.warmup_steps - 1, 0)
    p = min((step - top) / max(config.steps - 1 - top, 1), 1)
    return config.lr_min + 0.5 * (config.lr_max - config.lr_min) * (1 + math.cos(math.pi * p))
    ### END SOLUTION


# %% check="lr-schedule/first-step" points=1
check("lr-schedule/first-step", lr_at)

# %% check="lr-schedule/warm-up" points=1
check("lr-schedule/warm-up", lr_at)

# %% check="lr-schedule/cosine" points=2
check("lr-schedule/cosine", lr_at)

# %% check="lr-schedule/last-step" points=1
check("lr-schedule/last-step", lr_at)

# %% check="lr-schedule/edges" points=1
check("lr-schedule/edges", lr_at)

# %% [markdown] id="task-one-group" lang="en"
# ### Exercise 2 · The audit
#
# > Difficulty ●●●○○ · Importance ●●●●● · 20 minutes
#
# **2a. One group.** Write `rate_fault(realised, asked)`. Both are numpy arrays with one rate for each step:
# what a group had, and what was asked for. It returns one word:
#
# | realised is… | returns |
# |---|---|
# | what was asked for, to within 0.1 % (a log may be rounded) | `"pass"` |
# | 0 at every step | `"base-lr-zero"` |
# | the same at every step, and not 0 | `"scheduler-never-stepped"` |
# | 0 at step 0, and above 0 afterwards | `"warmup-off-by-one"` |
# | what was asked for times one constant, to within 0.1 % | `"lr-group-scale"` |
# | jumps: between two neighbouring steps it changes more than three times as much as `asked` ever does | `"lr-discontinuous"` |
# | anything else, also where a rate is NaN | `"unknown"` |
#
# `asked` is never 0 and never constant here.
#
# <details><summary>Hint 1: in which order to ask?</summary>
#
# What was asked for is also what was asked for *times 1*. And 0 throughout is constant as well, and it starts
# at 0. Ask about the special case before the general one; the order of the table works.
# </details>
# <details><summary>Hint 2: numpy</summary>
#
# `np.allclose(a, b, rtol=1e-3, atol=0)` compares with a margin of 0.1 %. Give atol=0: its default, 10⁻⁸, is
# as large as some of the rates that you want to tell apart. `np.ptp(x)` is the largest minus the smallest;
# `np.diff(x)` are the changes from step to step.
# </details>

# %% [markdown] id="task-one-group" lang="es" of="cbdc81586339"
# ### Ejercicio 2 · La auditoría
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 20 minutos
#
# **2a. Un grupo.** Escribe `rate_fault(realised, asked)`. Los dos son arrays de numpy con un learning rate por
# paso: los que tuvo un grupo y los que se pidieron. Devuelve una palabra:
#
# | realised es… | devuelve |
# |---|---|
# | lo que se pidió, con un margen del 0.1 % (un log puede estar redondeado) | `"pass"` |
# | 0 en todos los pasos | `"base-lr-zero"` |
# | lo mismo en todos los pasos, y no 0 | `"scheduler-never-stepped"` |
# | 0 en el paso 0, y mayor que 0 después | `"warmup-off-by-one"` |
# | lo que se pidió multiplicado por una constante, con un margen del 0.1 % | `"lr-group-scale"` |
# | con saltos: entre dos pasos vecinos cambia más del triple de lo que llega a cambiar `asked` | `"lr-discontinuous"` |
# | cualquier otra cosa, también si algún valor es NaN | `"unknown"` |
#
# Aquí `asked` nunca es 0 ni constante.
#
# <details><summary>Pista 1: ¿en qué orden preguntar?</summary>
#
# Lo que se pidió también es lo que se pidió *multiplicado por 1*. Y 0 en todos los pasos también es constante,
# y también empieza en 0. Pregunta por el caso especial antes que por el general; el orden de la tabla sirve.
# </details>
# <details><summary>Pista 2: numpy</summary>
#
# `np.allclose(a, b, rtol=1e-3, atol=0)` compara con un margen del 0.1 %. Pon atol=0: su valor por defecto,
# 10⁻⁸, es tan grande como algunos de los valores que quieres distinguir. `np.ptp(x)` es el mayor menos el
# menor; `np.diff(x)` son los cambios de un paso al siguiente.
# </details>


# %% solution="rate-fault"
def rate_fault(realised, asked):
    ### BEGIN SOLUTION
    if np.allclose(realised, asked, rtol=1e-3, atol=0):
        return "pass"
    if (realised == 0).all():
        return "base-lr-zero"
    if np.ptp(realised) == 0:
        return "scheduler-never-stepped"
    if realised[0] == 0 and (realised[1:] > 0).all():
        return "warmup-off-by-one"
    ratio = realised / asked
    if np.ptp(ratio) < 1e-3 * ratio[0]:
        return "lr-group-scale"
    leaps = np.abs(np.diff(realised)).max() > 3 * np.abs(np.diff(asked)).max()
    return "lr-discontinuous" if leaps else "unknown"
    ### END SOLUTION


# %% check="rate-fault/equal" points=1
check("rate-fault/equal", rate_fault)

# %% check="rate-fault/flat" points=1
check("rate-fault/flat", rate_fault)

# %% check="rate-fault/scaled" points=1
check("rate-fault/scaled", rate_fault)

# %% check="rate-fault/late" points=1
check("rate-fault/late", rate_fault)

# %% check="rate-fault/leaps" points=1
check("rate-fault/leaps", rate_fault)

# %% [markdown] id="task-audit" lang="en"
# **2b. The whole run.** Write `audit(rates, config, schedule)`:
#
# * `rates`: a dict, group name → list of the rates that the group had, one for each step. A run that was
#   stopped early has fewer than `config.steps`.
# * `schedule`: a function like your `lr_at`; `schedule(step, config)` is the rate asked for.
# * It returns a dict, group name → word, with **every** group in it.
#
# The words are those of `rate_fault`, and one more: `"schedule-step-unit"`, when a schedule that counts
# micro-batches explains the rates of the group, alone or times one constant. You know that schedule: it is the
# same function for a config whose `steps` and `warmup_steps` are `config.accumulation` times as long. Two
# rules tell the ambiguous cases apart:
#
# * **One group that passes proves the schedule right.** All groups share one schedule, so then nobody has
#   counted micro-batches, and whatever is wrong with another group is its own.
# * Without accumulation a micro-batch *is* a step, and nothing can be stretched.
#
# <details><summary>Hint 1: why is that ambiguous?</summary>
#
# Stop a run in the middle of its warm-up: a warm-up stretched by four is a line with a quarter of the slope.
# So is a group with a multiplier of ¼. From one group alone nobody can tell.
# </details>
# <details><summary>Hint 2: two rounds</summary>
#
# First `rate_fault` for every group against what was asked for. If one says `"pass"`, you are done. If not,
# `rate_fault` again against the stretched schedule: which two words mean that it explains the rates?
# </details>
# <details><summary>Hint 3: the longer config</summary>
#
# `config.replace(steps=…, warmup_steps=…)` gives a copy with those settings changed.
# </details>

# %% [markdown] id="task-audit" lang="es" of="6b079cfb00a4"
# **2b. El run entero.** Escribe `audit(rates, config, schedule)`:
#
# * `rates`: un dict, nombre del grupo → lista de los valores que tuvo el grupo, uno por paso. Un run que se
#   detuvo antes tiene menos de `config.steps`.
# * `schedule`: una función como tu `lr_at`; `schedule(step, config)` es el valor que se pidió.
# * Devuelve un dict, nombre del grupo → palabra, con **todos** los grupos.
#
# Las palabras son las de `rate_fault` y una más: `"schedule-step-unit"`, cuando un schedule que cuenta
# micro-batches explica los valores del grupo, tal cual o multiplicado por una constante. Ese schedule ya lo
# conoces: es la misma función con una configuración cuyos `steps` y `warmup_steps` son `config.accumulation`
# veces más largos. Dos reglas distinguen los casos ambiguos:
#
# * **Un grupo que pasa demuestra que el schedule está bien.** Todos los grupos comparten un solo schedule, así
#   que nadie contó micro-batches, y lo que le pase a otro grupo es cosa de ese grupo.
# * Sin acumulación, un micro-batch *es* un paso, y nada puede estar estirado.
#
# <details><summary>Pista 1: ¿por qué es ambiguo?</summary>
#
# Detén un run a la mitad del warm-up: un warm-up estirado por cuatro es una recta con la cuarta parte de la
# pendiente. Un grupo con un multiplicador de ¼, también. Con un solo grupo nadie puede distinguirlos.
# </details>
# <details><summary>Pista 2: dos vueltas</summary>
#
# Primero, `rate_fault` de cada grupo frente a lo que se pidió. Si alguno dice `"pass"`, ya terminaste. Si no,
# otra vez `rate_fault`, frente al schedule estirado: ¿qué dos palabras significan que explica los valores?
# </details>
# <details><summary>Pista 3: la configuración más larga</summary>
#
# `config.replace(steps=…, warmup_steps=…)` da una copia con esos valores cambiados.
# </details>


# %% solution="audit"
def audit(rates, config, schedule):
    ### BEGIN SOLUTION
    k = config.accumulation
    stretched = config.replace(steps=k * config.steps, warmup_steps=k * config.warmup_steps)

    def against(settings):
        return {
            group: rate_fault(np.array(values), np.array([schedule(t, settings) for t in range(len(values))]))
            for group, values in rates.items()
        }

    found = against(config)
    if k == 1 or "pass" in found.values():
        return found
    explained = {g: word in ("pass", "lr-group-scale") for g, word in against(stretched).items()}
    return {g: "schedule-step-unit" if explained[g] else word for g, word in found.items()}
    ### END SOLUTION


# %% check="audit/every-group" points=1
check("audit/every-group", audit)

# %% check="audit/micro-batches" points=2
check("audit/micro-batches", audit)

# %% check="audit/one-group-right" points=1
check("audit/one-group-right", audit)

# %% check="audit/two-faults" points=1
check("audit/two-faults", audit)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# Replace the broken recipe's schedule with yours. Train, and walk the tree again. In grey, the broken run from
# before.

# %% [markdown] id="verify" lang="es" of="fa52e217a0d5"
# ## 6 · Comprueba
#
# Reemplaza el schedule de la receta rota por el tuyo. Entrena y recorre otra vez el árbol. En gris, el
# run roto de antes.

# %% id="train-repaired"
repaired_recipe = dataclasses.replace(broken_recipe, lr_at=lr_at, faults=())
repaired = train(
    repaired_recipe, runs / "repaired", callbacks=[LivePlot(before=broken.metrics)], overwrite=True
)

# %% id="before-and-after" folded=true
figure = Figure(figsize=(7.2, 2.5), layout="constrained")
for axes, (name, run) in zip(
    figure.subplots(1, 2), {"broken": broken, "repaired": repaired}.items(), strict=True
):
    draw_rates(axes, run, asked)
    axes.set_title(t(name), fontsize=10)
axes.legend(fontsize=8)
Picture().show(figure, t("before-after-alt"))

# %% id="walk-repaired"
show(walk_section_2(repaired), Console(width=88))

# %% [markdown] id="treat-the-ward" lang="en"
# Now put your schedule into each of the six patients. **How many will it cure?** Write your guess down first.
# Your audit and the tree both judge the result.

# %% [markdown] id="treat-the-ward" lang="es" of="701b548d44c3"
# Ahora pon tu schedule en cada uno de los seis pacientes. **¿A cuántos va a curar?** Anota primero tu
# respuesta. El resultado lo juzgan tu auditoría y el árbol.

# %% id="my-second-prediction"
predict("cures", cured=...)

# %% id="cures" compare=true
cured = 0
print(f"{'':4}{t('before'):26}{t('after'):20}{t('your-audit')}")
for letter, sick_recipe in sick.items():
    treated = dataclasses.replace(sick_recipe, lr_at=lr_at)
    run = train(treated, runs / f"treated-{letter}", overwrite=True)
    leaf = walk_section_2(run).leaf
    cured += leaf is None
    found = audit(rates_of(run), treated.config, lr_at)
    print(f"{letter:4}{walks[letter].leaf:26}{leaf or t('healthy'):20}{found}")
print()
compare("cures", cured=cured)

# %% [markdown] id="one-remains" lang="en"
# One remains, and your audit says in which group. Nothing is wrong with its schedule: somebody gave the group
# a multiplier when the optimizer was built. Remove it there or, if it is intended, write it into the config,
# where everybody can read it (`lr_multipliers`).
#
# ### Two faults at once
#
# Faults like company. Here is a run that counts in micro-batches **and** has a slow group. The tree names one
# leaf at a time: fix it, train again, walk again.

# %% [markdown] id="one-remains" lang="es" of="69f20d8a2108"
# Queda uno, y tu auditoría dice en qué grupo. A su schedule no le pasa nada: alguien le puso un multiplicador
# al grupo al construir el optimizador. De ahí hay que quitarlo o, si se puso a propósito, escribirlo en la
# configuración, donde todos lo puedan leer (`lr_multipliers`).
#
# ### Dos fallos a la vez
#
# A los fallos les gusta la compañía. Este run cuenta en micro-batches **y** tiene un grupo lento. El árbol
# nombra una hoja a la vez: arréglala, entrena de nuevo, recorre de nuevo.

# %% id="two-faults" compare=true
both = brief.with_fault("schedule-step-unit").with_fault("lr-group-scale")
first_cure = dataclasses.replace(both, lr_at=lr_at)
second_cure = dataclasses.replace(first_cure, build_optimizer=recipe.build_optimizer)
for number, attempt in enumerate((both, first_cure, second_cure)):
    run = train(attempt, runs / f"both-{number}", overwrite=True)
    print(f"{walk_section_2(run).leaf or t('healthy'):20}{audit(rates_of(run), attempt.config, lr_at)}")

# %% [markdown] id="true-story" lang="en"
# ## 7 · Explain: 1,818 times too small
#
# This happened. Somebody trained a GPT with a vocabulary of 32,000 and lr_max = 5e-5. After 1,405 iterations
# the loss had gone from 10.374 to 10.283, and the screen showed a learning rate of 2.75e-08. They published a
# guide: the rate was 1,818 times too small; the reasons are a long warm-up and cautious group multipliers.
# Four facts can be read in the code:
#
# * an epoch has 42,496 micro-batches, 20 epochs were planned, and the warm-up was 10 % of that;
# * gradients were accumulated over 3 micro-batches, and the scheduler was called once for the three; an
#   “iteration” on the screen is a micro-batch;
# * the groups had multipliers of 0.1, 0.5 and 1;
# * the screen showed the first group, the one with 0.1.
#
# Work it out before you run the cell: which of the factors that make up 1,818 are faults?

# %% [markdown] id="true-story" lang="es" of="13f8de7e78d0"
# ## 7 · Explica: 1,818 veces más pequeño
#
# Esto pasó de verdad. Alguien entrenó un GPT con un vocabulario de 32,000 tokens y lr_max = 5e-5. Al cabo de
# 1,405 «iterations», el loss había pasado de 10.374 a 10.283, y la pantalla mostraba un learning rate de
# 2.75e-08. Publicaron una guía: el valor era 1,818 veces más pequeño de lo debido; las razones, un warm-up
# largo y unos multiplicadores de grupo demasiado prudentes. En el código constan cuatro hechos:
#
# * una época tiene 42,496 micro-batches, se planearon 20 épocas y el warm-up era el 10 % de todo eso;
# * los gradientes se acumulaban sobre 3 micro-batches y al scheduler se le llamaba una vez por cada tres; lo
#   que la pantalla llama «iteration» es un micro-batch;
# * los grupos tenían multiplicadores de 0.1, 0.5 y 1;
# * la pantalla mostraba el primer grupo, el de 0.1.
#
# Calcúlalo antes de ejecutar la celda: de los factores que forman ese 1,818, ¿cuáles son fallos?

# %% id="arithmetic" compare=true
print(f"ln 32000 = {math.log(32_000):.3f}")
step = 1405 // 3
warmup = 42_496 * 20 // 10
shown = step / warmup * 5e-5 * 0.1
print(f"{t('step')} {step}: {step} / {warmup:,} × 5e-5 × 0.1 = {shown:.3e}")

warmup_in_steps = warmup / 3
asked_there = step / warmup_in_steps * 5e-5
print(f"{t('asked-for')}: {step} / {warmup_in_steps:,.0f} × 5e-5 = {asked_there:.3e}")
print(f"5e-5 / 2.75e-8 = {5e-5 / 2.75e-8:,.0f}")
print(f"{warmup / warmup_in_steps:.0f} × {1 / 0.1:.0f} × {5e-5 / asked_there:.1f} = {5e-5 / shown:,.0f}")

# %% [markdown] id="the-cure" lang="en"
# Three factors. Counting in micro-batches costs 3. The multiplier of the group on the screen costs 10. The
# rest, about 60, is not a fault: at step 468 of a warm-up of 28,331 steps the rate is meant to be small.
# (The 1,818 comes from the rounded figure on the screen.)
#
# The guide's cure was: lr_max four times higher, 2e-4, a warm-up of 5 %, and 10 epochs in place of 20. The
# same screen would then have shown:

# %% [markdown] id="the-cure" lang="es" of="41bb18a481e0"
# Tres factores. Contar en micro-batches cuesta 3. El multiplicador del grupo que sale en pantalla cuesta 10.
# El resto, cerca de 60, no es ningún fallo: en el paso 468 de un warm-up de 28,331 pasos el valor *debe* ser
# pequeño. (El 1,818 sale de la cifra redondeada de la pantalla).
#
# La cura de la guía fue: un lr_max cuatro veces mayor, 2e-4, un warm-up del 5 % y 10 épocas en lugar de 20.
# La misma pantalla habría mostrado entonces:

# %% id="cured-arithmetic" compare=true
warmup = 42_496 * 10 // 20
shown_after = step / warmup * 2e-4 * 0.1
asked_after = step / (warmup / 3) * 2e-4
print(f"{t('on-the-screen')}: {shown_after:.3e}   ({shown_after / shown:.0f} ×)")
print(f"{t('asked-for')}: {asked_after:.3e}   ({asked_after / shown_after:.0f} ×)")

# %% [markdown] id="explain" lang="en"
# A colleague reads the guide and says: *“The rate on the screen is sixteen times higher now. Problem solved.”*
#
# Answer in three to six sentences, in the cell below: which factors between the rate on the screen and the
# rate asked for are faults, and what the cure has done to them; what the cure has done to the groups that were
# not on the screen; and what you would log and compare, and at which step, before you believe anybody's
# learning rate. (Three points, one for each.)

# %% [markdown] id="explain" lang="es" of="a070f17d6b7e"
# Un colega lee la guía y dice: *«Ahora el learning rate de la pantalla es dieciséis veces mayor. Problema
# resuelto».*
#
# Responde en tres a seis oraciones, en la celda de abajo: qué factores entre el valor de la pantalla y el que
# se pidió son fallos, y qué les hizo la cura; qué les hizo la cura a los grupos que no salían en pantalla; y
# qué registrarías y compararías, y en qué paso, antes de creer en el learning rate de nadie. (Tres puntos,
# uno por cada parte).

# %% [markdown] answer="explain-to-a-colleague" points=3 lang="en"
# Two factors are faults: 3, because the warm-up was counted in micro-batches while the scheduler moved once
# for three of them, and 10, the multiplier of the first group; together 30. The cure has fixed neither: the
# rate on the screen is still 30 times below the one asked for. The cure has only asked for more. The groups
# with a multiplier of 1 never lacked a factor of 10, and the cure made their rate sixteen times higher as
# well, so they may now be far too fast. I would log the rate of every group at every step and compare it with
# lr_at computed by hand: at step 0 (lr_max/W), at step W − 1 (lr_max) and at the last step (lr_min), with W
# and N in optimizer steps.
#
# ---
# **Rubric.** One point each. (1) Names both faults, the unit (3) and the group multiplier (10), and says that
# the factor of 30 is still there. Naming the long warm-up as a fault does not count: it was asked for. (2) Says
# that the other groups were raised just as much though they were only 3 or 6 times too low, so that they may
# be too fast; “some groups are different” is not enough. (3) Every group, realised against asked for, at a step
# where the answer is known (0, W − 1 or the last), counted in optimizer steps. “Watch the loss” or “use an LR
# finder” does not count.

# %% [markdown] answer="explain-to-a-colleague" points=3 lang="es" of="6ba8453b9952"
# Hay dos factores que son fallos: 3, porque el warm-up se contó en micro-batches mientras el scheduler
# avanzaba una vez por cada tres, y 10, el multiplicador del primer grupo; juntos, 30. La cura no arregló
# ninguno: el valor de la pantalla sigue 30 veces por debajo del que se pidió; solo se pidió más. A los grupos
# con multiplicador 1 nunca les faltó un factor de 10, y la cura también les subió el learning rate dieciséis
# veces, así que ahora pueden ir demasiado rápido. Yo registraría el learning rate de cada grupo en cada paso y
# lo compararía con lr_at calculado a mano: en el paso 0 (lr_max/W), en el paso W − 1 (lr_max) y en el último
# (lr_min), con W y N en pasos del optimizador.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) Nombra los dos fallos, la unidad (3) y el multiplicador del grupo
# (10), y dice que el factor de 30 sigue ahí. Decir que el warm-up largo es un fallo no cuenta: eso se pidió.
# (2) Dice que los otros grupos subieron lo mismo aunque solo estaban 3 o 6 veces por debajo, de modo que
# pueden ir demasiado rápido; «algunos grupos son distintos» no basta. (3) Todos los grupos, lo realizado
# frente a lo pedido, en un paso donde se conoce la respuesta (0, W − 1 o el último), contado en pasos del
# optimizador. «Vigilar el loss» o «usar un LR finder» no cuenta.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# Before you believe a learning rate: every group, at step 0, at step W − 1 and at the last step, against what
# was asked for.
#
# | leaf | what the rates look like | threshold | first action |
# |---|---|---|---|
# | `base-lr-zero` | 0 throughout, loss stays at ln V | every rate is 0 | build the optimizer with lr = lr_max |
# | `scheduler-never-stepped` | flat | constant where a curve was asked for | call the schedule once per step; build it once, outside the loop |
# | `schedule-step-unit` | right shape, stretched axis (or squeezed: called at every micro-batch) | equals the schedule of a run k times as long | divide every length by `accumulation` |
# | `lr-discontinuous` | stairs | a jump of more than 3 times the schedule's largest | use the schedule that the config names |
# | `lr-group-scale` | right shape, one group too low or too high | a constant factor other than 1 | remove the multiplier, or declare it |
# | `warmup-off-by-one` | 0 at step 0, top missed | rate at step W − 1 under 0.95 lr_max, or 0 at step 0 | (t + 1)/W in place of t/W |
#
# One leaf at a time: fix it, run again, walk again. The next lesson, 18-03, asks whether the gradients are
# sane.

# %% [markdown] id="card" lang="es" of="f9627fb11f13"
# ## 8 · Una tarjeta para guardar
#
# Antes de creer en un learning rate: todos los grupos, en el paso 0, en el paso W − 1 y en el último, frente a
# lo que se pidió.
#
# | hoja | cómo se ven los valores | umbral | primera acción |
# |---|---|---|---|
# | `base-lr-zero` | 0 siempre; el loss se queda en ln V | todos los valores son 0 | crea el optimizador con lr = lr_max |
# | `scheduler-never-stepped` | planos | constantes donde se pidió una curva | llama al schedule una vez por paso; créalo una sola vez, fuera del bucle |
# | `schedule-step-unit` | la forma correcta en un eje estirado (o encogido: se le llama en cada micro-batch) | son los del schedule de un run k veces más largo | divide todas las duraciones entre `accumulation` |
# | `lr-discontinuous` | escalones | un salto de más de 3 veces el mayor del schedule | usa el schedule que nombra la configuración |
# | `lr-group-scale` | la forma correcta, con un grupo por debajo o por encima | un factor constante distinto de 1 | quita el multiplicador o decláralo |
# | `warmup-off-by-one` | 0 en el paso 0; no llegan a lo más alto | menos de 0.95 lr_max en el paso W − 1, o 0 en el paso 0 | (t + 1)/W en lugar de t/W |
#
# Una hoja a la vez: arréglala, entrena de nuevo y recorre el árbol desde el principio. La próxima lección,
# 18-03, pregunta si los gradientes son razonables.

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# Any loop with a torch optimizer tells its rates: read `optimizer.param_groups` at every step, **before** the
# scheduler moves on. Here it is somebody else's network, with two groups. In the first loop the head learns at twice
# the rate, and nobody asked for that. In the second the line `scheduler.step()` is missing as well.

# %% [markdown] id="own-run" lang="es" of="4f2411b5010d"
# ## 9 · En tu propio run
#
# En cualquier bucle con un optimizador de torch puedes ver el learning rate: lee `optimizer.param_groups` en cada
# paso, **antes** de que avance el scheduler. Aquí es una red ajena, con dos grupos. En el primer bucle la cabeza
# aprende con el doble de learning rate, y nadie lo pidió. En el segundo falta, además, la línea `scheduler.step()`.

# %% id="another-loop" compare=true
net = torch.nn.ModuleDict({"body": torch.nn.Linear(8, 8), "head": torch.nn.Linear(8, 2)})
wanted = 1e-3 * (1 - np.arange(100) / 100)
for forgotten in (False, True):
    groups = [
        {"params": net[name].parameters(), "lr": rate} for name, rate in (("body", 1e-3), ("head", 2e-3))
    ]
    sgd = torch.optim.SGD(groups)
    scheduler = torch.optim.lr_scheduler.LambdaLR(sgd, lambda call: 1 - call / 100)
    history = []
    for _ in range(100):
        history.append([group["lr"] for group in sgd.param_groups])
        sgd.step()
        if not forgotten:
            scheduler.step()
    print({name: rate_fault(had, wanted) for name, had in zip(net, np.array(history).T, strict=True)})

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# **A true story.** In June 2023 runs of Hugging Face's `Trainer` on several GPUs lost their learning rate too early.
# The schedule had been made for the right number of steps; then it was handed to another library, which steps it once
# for each process, because it takes the number of steps to be that of one process. Each of the two was right by
# itself. The [fix](https://github.com/huggingface/transformers/pull/24088) takes two lines. In March 2025 another
# project met the same pair of habits, and its curve shows something stranger: [the rate rises again after it has
# reached 0](https://github.com/ContextualAI/HALOs/pull/33).
#
# * Who steps first, the optimizer or the schedule: [PyTorch changed its mind in 2018](https://github.com/pytorch/pytorch/pull/7889).
# * A cosine has to be as long as the run: Hoffmann et al., 2022, [2203.15556](https://arxiv.org/abs/2203.15556), section 3.1.
# * A schedule that need not know its end: Hägele et al., 2024, [2405.18392](https://arxiv.org/abs/2405.18392).
#
# **A hard bonus task.** With a cosine, a run of 300 steps that you want to extend to 600 has used the wrong rate
# almost from the start. Write `wsd(step, total, warmup, top)`, whose rates for 300 and for 600 steps are equal until
# the shorter run begins to cool down, and prove it.
#
# <details><summary>Hint</summary>
#
# Warm up, stay, and fall only in the last fifth. Which parts depend on `total`?
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# def wsd(step, total, warmup, top, share=0.2):
#     begin = round(total * (1 - share))
#     if step < warmup:
#         return top * (step + 1) / warmup
#     return top * min(1.0, (total - step) / (total - begin))
#
#
# assert all(wsd(t, 300, 30, 1e-3) == wsd(t, 600, 30, 1e-3) for t in range(240))
# ```
#
# Until step 240 the two runs cannot be told apart, so the long one can resume from any checkpoint of the short one.
# </details>

# %% [markdown] id="sources" lang="es" of="c7e551542455"
# ## 10 · De dónde viene esto
#
# **Una historia real.** En junio de 2023, los runs de `Trainer` de Hugging Face en varias GPU perdían su learning
# rate demasiado pronto. El schedule se había creado con el número correcto de pasos; luego pasaba a otra biblioteca,
# que lo avanza una vez por proceso, porque supone que ese número es el de un solo proceso. Cada una tenía razón por
# su lado. El [arreglo](https://github.com/huggingface/transformers/pull/24088) son dos líneas. En marzo de 2025, otro
# proyecto se topó con el mismo par de costumbres, y su curva muestra algo más raro: [el learning rate vuelve a subir
# después de llegar a 0](https://github.com/ContextualAI/HALOs/pull/33).
#
# * Quién avanza primero, el optimizador o el schedule: [PyTorch cambió de opinión en 2018](https://github.com/pytorch/pytorch/pull/7889).
# * Un coseno tiene que durar lo que dura el run: Hoffmann et al., 2022, [2203.15556](https://arxiv.org/abs/2203.15556),
#   sección 3.1.
# * Un schedule que no necesita saber cuándo termina: Hägele et al., 2024, [2405.18392](https://arxiv.org/abs/2405.18392).
#
# **Un reto extra, difícil.** Con un coseno, un run de 300 pasos que quieres alargar a 600 usó un learning rate
# equivocado casi desde el principio. Escribe `wsd(step, total, warmup, top)`: sus valores para 300 y para 600 pasos
# deben ser iguales hasta que el run corto empiece a bajar. Demuéstralo.
#
# <details><summary>Pista</summary>
#
# Sube, quédate arriba y baja solo en el último quinto. ¿Qué partes dependen de `total`?
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# def wsd(step, total, warmup, top, share=0.2):
#     begin = round(total * (1 - share))
#     if step < warmup:
#         return top * (step + 1) / warmup
#     return top * min(1.0, (total - step) / (total - begin))
#
#
# assert all(wsd(t, 300, 30, 1e-3) == wsd(t, 600, 30, 1e-3) for t in range(240))
# ```
#
# Hasta el paso 240 no se pueden distinguir los dos runs, así que el largo puede reanudarse desde cualquier checkpoint del corto.
# </details>
