"""Lesson 18-07: what a resumed run forgets, and a checkpoint that forgets nothing."""

# %% [markdown] id="why" lang="en"
# Sooner or later your training run gets killed: a power cut, a time limit on the cluster, a laptop that
# somebody closed. You saved a checkpoint, you load it, the loss keeps falling. All good?
#
# Most code for resuming is wrong, and it almost never says so. It loads the weights and loses something else:
# the optimizer's memory, the place in the schedule, the random numbers that came next. The run continues as
# *another run*, and every later comparison is a comparison with the wrong run.
#
# Here you kill runs and resume them badly, see which omissions show in a curve and which show nowhere, and
# then write a checkpoint that passes the only test that counts: **the resumed run equals the uninterrupted
# one, bit for bit.** Afterwards you can
#
# * list everything that a training loop remembers from one step to the next;
# * tell from two lines of a log which part of it was lost;
# * write a checkpoint that loses nothing, in a file that no kill can tear.
#
# Run the cells in order with **Shift + Enter**.

# %% [markdown] id="why" lang="es" of="c19317fdc8a5"
# Tarde o temprano algo interrumpe tu entrenamiento: un corte de luz, un límite de tiempo en el clúster,
# alguien que cerró el portátil. Guardaste un checkpoint, lo cargas, el loss sigue bajando. ¿Todo bien?
#
# Casi todo el código para reanudar está mal, y casi nunca lo dice. Carga los pesos y pierde otra cosa: la
# memoria del optimizador, el lugar en el schedule, los números aleatorios que tocaban. El run sigue como
# *otro run*, y toda comparación posterior es con el run equivocado.
#
# Aquí vas a matar runs y reanudarlos mal, ver qué olvidos se notan en una curva y cuáles no se notan en
# ninguna parte, y después escribir un checkpoint que pasa la única prueba que cuenta: **el run reanudado es
# igual al que nadie interrumpió, bit por bit.** Al terminar sabrás
#
# * enumerar todo lo que un bucle de entrenamiento recuerda de un paso al siguiente;
# * decir, con dos líneas de un log, qué parte se perdió;
# * escribir un checkpoint que no pierde nada, en un archivo que ninguna interrupción deja a medias.
#
# Ejecuta las celdas en orden con **Shift + Enter**.

# %% id="setup" setup=true
import copy
import dataclasses
import functools
import hashlib
import io
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure

from course.live_plot import LivePlot
from course.notebook import check, lesson, t
from course.picture import Picture
from course.predictions import compare, predict
from course.widgets import Choice, Slider, playground
from minigpt import Config, Recipe, diagnosis, resume, train
from minigpt.data.batches import windows
from minigpt.model.gpt import parameter_count
from minigpt.runs import checkpoint as minigpt_checkpoint
from minigpt.runs.run import Run
from minigpt.training.schedule import lr_at

lesson("18-07")
runs = Path("experiments") / "18-07"
runs.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9

# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# To see what a loop remembers, you need a loop that hides nothing. This is a plain PyTorch one, as in a
# hundred tutorials, around a small mini-GPT: AdamW, warm-up and cosine by a `LambdaLR`, dropout, batches
# drawn by a generator, and logits in half precision, so that a `GradScaler` has work to do. (The scale starts
# far too high on purpose: watch it find its level.)

# %% [markdown] id="meet" lang="es" of="cf6e3f03f827"
# ## 1 · Un run que se porta mal
#
# Para ver lo que recuerda un bucle necesitas uno que no esconda nada. Este es de PyTorch puro, como el de
# cientos de tutoriales, alrededor de un mini-GPT pequeño: AdamW, warm-up y coseno con `LambdaLR`, dropout,
# batches que salen de un generador aleatorio, y logits en media precisión, para que un `GradScaler` tenga
# trabajo. (La escala empieza demasiado alta a propósito: mira cómo encuentra su nivel).

# %% id="facts" compare=true
config = Config(
    n_layer=2, n_embd=64, context=32, batch_size=16, dropout=0.1, steps=120, warmup_steps=12, lr_max=6e-3
)
recipe = Recipe(config)
data = recipe.load_data(config)
print(t("parameters"), f"{parameter_count(recipe.build_model(config)):,}")
print(t("text"), *data.tokenizer.decode(data.train[:60]).splitlines()[:2], sep="\n    ")


# %% id="the-loop"
@dataclasses.dataclass
class Training:
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LambdaLR
    scaler: torch.amp.GradScaler
    generator: torch.Generator
    step: int = 0


def begin(seed=0):
    torch.manual_seed(seed)
    model = recipe.build_model(config)
    recipe.init_weights(model, config)
    optimizer = recipe.build_optimizer(model, config)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_at(step, config) / config.lr_max)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**27, growth_interval=25)
    return Training(model, optimizer, scheduler, scaler, torch.Generator().manual_seed(seed))


def one_step(training):
    at = torch.randint(len(data.train) - config.context, (config.batch_size,), generator=training.generator)
    batch = windows(data.train, at, config.context)
    logits = training.model(batch.inputs).half()
    loss = recipe.loss(logits.float(), batch.targets, batch.mask)
    training.scaler.scale(loss).backward()
    training.scaler.unscale_(training.optimizer)
    norm = torch.nn.utils.clip_grad_norm_(training.model.parameters(), config.clip_norm)
    training.scaler.step(training.optimizer)
    training.scaler.update()
    training.optimizer.zero_grad()
    training.scheduler.step()
    training.step += 1
    return {"loss": loss.item(), "grad_norm": norm.item()}


# %% [markdown] id="log" lang="en"
# And a few lines around it that write a log: besides the loss, the learning rate, the loss scale, and how far
# the weights moved in the step, in units of the learning rate. (Gaps or a red line in the gradient norm are
# steps that overflowed, which the scaler skipped.)

# %% [markdown] id="log" lang="es" of="f34412f94440"
# Y unas líneas alrededor que escriben un log: además del loss, el learning rate (tasa de aprendizaje), la
# escala del loss y cuánto se movieron los pesos en el paso, en unidades del learning rate. (Los huecos o una
# línea roja en la norma del gradiente son pasos que se desbordaron y que el scaler se saltó).


# %% id="advance"
def advance(training, steps, plot=None):
    records = []
    for _ in range(steps):
        step, lr, scale = training.step, training.optimizer.param_groups[0]["lr"], training.scaler.get_scale()
        weight = training.model.h[0].mlp.c_fc.weight
        before = weight.detach().clone()
        record = {"step": step, "lr": lr, "scale": scale} | one_step(training)
        record["update"] = (weight.detach() - before).abs().mean().item() / lr
        records.append(record)
        if plot:
            plot.update(**record)
    return records


KILL = 60
with LivePlot(steps=config.steps, vocab_size=config.vocab_size) as plot:
    whole = begin()
    log = advance(whole, KILL, plot)
    torch.save(whole.model.state_dict(), runs / "weights.pt")
    log += advance(whole, config.steps - KILL, plot)

# %% [markdown] id="the-kill" lang="en"
# That is the run that nobody killed: the reference. After step 59 it wrote its weights to disk, as most
# people's code does: `torch.save(model.state_dict(), ...)`.
#
# Now suppose that the power failed at that moment. Everything in memory is gone. A new process builds
# the model, loads the weights, and trains the 60 steps that are left. In grey, the run that was never killed.

# %% [markdown] id="the-kill" lang="es" of="1c621f0ce6ba"
# Ese es el run que nadie mató: la referencia. Después del paso 59 escribió sus pesos en el disco, como hace el
# código de casi todo el mundo: `torch.save(model.state_dict(), ...)`.
#
# Ahora supón que justo entonces se fue la luz. Lo que había en memoria desapareció. Un proceso
# nuevo construye el modelo, carga los pesos y entrena los 60 pasos que faltan. En gris, el run que nadie mató.

# %% id="resume-badly"
with LivePlot(steps=config.steps, vocab_size=config.vocab_size, before=log) as plot:
    naive = begin(seed=1)
    naive.model.load_state_dict(torch.load(runs / "weights.pt", weights_only=True))
    naive.step = KILL
    naive_log = advance(naive, config.steps - KILL, plot)

# %% [markdown] id="not-so-bad" lang="en"
# It resumes near where it was and keeps falling. No error was raised. But it is no longer the grey run: it
# stumbles, and later it may even do better, because it got a second warm-up that nobody planned. In real life
# there is no grey curve. Who would notice?
#
# ## 2 · Predict
#
# The weights came back. Four things did not: the **optimizer** (Adam's two moments of every weight, and its
# step count), the **schedule** (its position), the **scaler** (the loss scale that it found) and the **random
# state** (which batch comes next, and which dropout mask).
#
# Suppose only *one* of the four is lost and all the rest is saved and loaded well. **How far above the grey
# curve will the loss rise at most, in nats?** One guess for each. And one more number: Adam without moments
# makes its very first update. **How large is it, as a multiple of the learning rate?**

# %% [markdown] id="not-so-bad" lang="es" of="33e290cf889a"
# Se reanuda cerca de donde estaba y sigue bajando. No hubo ningún error. Pero ya no es el run gris: tropieza,
# y más tarde hasta puede ir mejor, porque tuvo un segundo warm-up que nadie planeó. En la vida real no hay
# curva gris. ¿Quién se daría cuenta?
#
# ## 2 · Predice
#
# Los pesos volvieron. Cuatro cosas no: el **optimizador** (los dos momentos de Adam de cada peso y su cuenta
# de pasos), el **schedule** (en qué punto va), el **scaler** (la escala del loss que había encontrado) y el
# **estado aleatorio** (qué batch toca y qué máscara de dropout).
#
# Supón que se pierde *una sola* de las cuatro y que todo lo demás se guarda y se carga bien. **¿Cuánto subirá
# el loss por encima de la curva gris, como máximo, en nats?** Una apuesta para cada una. Y un número más: Adam,
# sin momentos, hace su primera actualización. **¿Cuánto mide, en múltiplos del learning rate?**

# %% id="my-prediction"
predict("losses", optimizer=..., schedule=..., scaler=..., randomness=...)
predict("size", update=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it
#
# First, one dictionary with everything that this loop remembers after step 59. Then it is loaded into a
# training that began with another seed, again and again, each time with one thing left out.

# %% [markdown] id="break" lang="es" of="00e3c7d73dbb"
# ## 3 · Rómpelo
#
# Primero, un diccionario con todo lo que recuerda este bucle después del paso 59. Después se carga una y otra
# vez en un entrenamiento que empezó con otra semilla, cada vez sin una de esas cosas.


# %% id="memory"
LOSSES = ("optimizer", "schedule", "scaler", "randomness")


def gaps(records):
    pairs = zip(records, log[-len(records) :], strict=True)
    return [record["loss"] - other["loss"] for record, other in pairs]


def everything(training):
    return copy.deepcopy(
        {
            "step": training.step,
            "model": training.model.state_dict(),
            "optimizer": training.optimizer.state_dict(),
            "schedule": training.scheduler.state_dict(),
            "scaler": training.scaler.state_dict(),
            "randomness": (training.generator.get_state(), torch.get_rng_state()),
        }
    )


def resume_without(lost, memory, seed=1):
    training, memory = begin(seed), copy.deepcopy(memory)
    training.step = memory["step"]
    training.model.load_state_dict(memory["model"])
    if "optimizer" not in lost:
        training.optimizer.load_state_dict(memory["optimizer"])
    if "schedule" not in lost:
        training.scheduler.load_state_dict(memory["schedule"])
    for group, rate in zip(training.optimizer.param_groups, training.scheduler.get_last_lr(), strict=True):
        group["lr"] = rate
    if "scaler" not in lost:
        training.scaler.load_state_dict(memory["scaler"])
    if "randomness" not in lost:
        training.generator.set_state(memory["randomness"][0])
        torch.set_rng_state(memory["randomness"][1])
    return training


# %% id="break-four" compare=true
again = begin()
advance(again, KILL)
memory = everything(again)
resumed = {lost: advance(resume_without((lost,), memory), config.steps - KILL) for lost in LOSSES}

bumps = {lost: float(f"{max(gaps(records)):.1g}") for lost, records in resumed.items()}
compare("losses", **bumps)
compare("size", update=round(resumed["optimizer"][0]["update"], 2))

# %% id="four-curves" folded=true
figure = Figure(figsize=(9.2, 3.6), layout="constrained")
rows = figure.subplots(2, 4, sharex=True, sharey="row")
for column, (lost, records) in enumerate(resumed.items()):
    steps = [record["step"] for record in records]
    top, bottom = rows[0][column], rows[1][column]
    top.plot(
        [record["step"] for record in log], [record["loss"] for record in log], color="0.65", linewidth=1
    )
    top.plot(steps, [record["loss"] for record in records], color="#0072b2", linewidth=1.2)
    top.axvline(KILL, color="black", linestyle=":", linewidth=1)
    top.set_title(f"{t('lost')}: {t(lost)}", fontsize=9)
    top.set_ylim(3, 5)
    bottom.plot(steps, [max(abs(gap), 1e-8) for gap in gaps(records)], color="#d55e00", linewidth=1.2)
    bottom.set(yscale="log", ylim=(1e-5, 10), xlabel=t("step"), xlim=(30, config.steps))
rows[0][0].set_ylabel(t("loss"))
rows[1][0].set_ylabel(t("gap"), fontsize=8)
Picture().show(figure, t("losses-alt"))

# %% [markdown] id="inspect" lang="en"
# ## 4 · Inspect
#
# Above, the losses; below, how far each lies from the run that was never killed, on a logarithmic axis.
# Above, some omissions are plain to see and some are not. Below, **all four are another run from the first
# steps on**, and none ever comes back: training amplifies every difference.
#
# So do not trust the curve. Two lines of the log tell you more: the last step before the kill, and the first
# one after it.

# %% [markdown] id="inspect" lang="es" of="73bfb38dd020"
# ## 4 · Inspecciona
#
# Arriba, los losses; abajo, a qué distancia queda cada uno del run que nadie mató, en un eje logarítmico.
# Arriba, unos olvidos saltan a la vista y otros no. Abajo, **los cuatro son otro run desde los
# primeros pasos**, y ninguno vuelve: el entrenamiento amplifica cualquier diferencia.
#
# Así que de la curva no hay que fiarse. Dos líneas del log dicen más: el último paso antes de la interrupción y
# el primero después.

# %% id="two-lines" compare=true
columns = {"loss": ".3f", "lr": ".5f", "scale": ",.0f", "update": ".2f"}
print(f"{t('lost'):24}" + "".join(f"{name:>14}" for name in columns))
lines = {t("before-kill"): log[KILL - 1], t("nothing"): log[KILL]}
for label, record in (lines | {t(lost): records[0] for lost, records in resumed.items()}).items():
    print(f"{label:24}" + "".join(f"{record[name]:>14{form}}" for name, form in columns.items()))

# %% [markdown] id="two-lines-read" lang="en"
# Read it column by column.
#
# * **The optimizer** shows in `update`. Adam moves a weight by m̂/√v̂ times the learning rate. Deep in a run
#   the gradients of a weight point this way and that, so m̂, their mean, is much smaller than √v̂, their
#   usual size. Without a memory there is only one gradient g: m̂ = g, √v̂ = |g|, and the quotient is ±1.
#   *Every* weight moves by the whole learning rate, in a direction that one batch decided. Hence the stumble.
# * **The schedule** shows in `lr`: it is not what the schedule asks for at this step.
# * **The scaler** shows in `scale`: it starts again where scalers start, overflows, and the first steps are
#   skipped. Their batches are lost.
# * **The random state** shows nowhere. Every column looks right, but the batch belongs to a later or an
#   earlier step, and the dropout mask to none. Only a comparison with the uninterrupted run tells.
#
# Here is the first of these again, step by step. (Where it dips to 0, the scaler skipped a step in either run.)

# %% [markdown] id="two-lines-read" lang="es" of="5c8da7398ff0"
# Léelo columna por columna.
#
# * **El optimizador** se nota en `update`. Adam mueve un peso m̂/√v̂ veces el learning rate. A mitad de un run,
#   los gradientes de un peso apuntan aquí y allá, así que m̂, su media, es mucho menor que √v̂, su tamaño
#   habitual. Sin memoria hay un solo gradiente g: m̂ = g, √v̂ = |g|, y el cociente es ±1. *Todos* los pesos se
#   mueven el learning rate entero, hacia donde decidió un solo batch. De ahí el tropiezo.
# * **El schedule** se nota en `lr`: no es lo que pide el schedule en este paso.
# * **El scaler** se nota en `scale`: vuelve a empezar donde empiezan los scalers, se desborda, y los primeros
#   pasos se saltan. Sus batches se pierden.
# * **El estado aleatorio** no se nota en ninguna parte. Todas las columnas se ven bien, pero el batch es de
#   un paso posterior o anterior, y la máscara de dropout, de ninguno. Solo lo dice una comparación con el run
#   que nadie interrumpió.
#
# Aquí está otra vez el primero, paso a paso. (Donde cae a 0, el scaler se saltó un paso en uno u otro run).

# %% id="updates" folded=true
figure = Figure(figsize=(6.4, 2.4), layout="constrained")
axes = figure.subplots()
axes.plot([record["step"] for record in log], [record["update"] for record in log], color="0.6", linewidth=1)
records = resumed["optimizer"]
axes.plot([record["step"] for record in records], [record["update"] for record in records], color="#0072b2")
axes.axvline(KILL, color="black", linestyle=":", linewidth=1)
axes.set(xlabel=t("step"), ylabel="|Δw| ÷ LR", xlim=(30, 100), ylim=(0, 1.1), title=t("updates-alt"))
axes.title.set_fontsize(9)
Picture().show(figure, t("updates-alt"))

# %% [markdown] id="tree" lang="en"
# ### Does the tree see it?
#
# Two of the four, in mini-GPT runs that record everything the stability check asks for: one restarts its
# schedule at step 40, and one loses Adam's moments there. A third loses them at *every* step, because
# somebody put the resume code into the training loop.

# %% [markdown] id="tree" lang="es" of="6d5a3ef3df77"
# ### ¿Lo ve el árbol?
#
# Dos de los cuatro, en runs de mini-GPT que registran todo lo que pide la revisión de estabilidad: uno
# reinicia su schedule en el paso 40 y otro pierde ahí los momentos de Adam. Un tercero los pierde en *cada*
# paso, porque alguien metió el código para reanudar dentro del bucle.

# %% id="walk" compare=true
short = Recipe(config.replace(n_layer=1, steps=80, warmup_steps=8, eval_every=0))


def anew(step, config):
    return lr_at(step if step < 40 else step - 40, config)


def forgets_once(optimizer, precision, lr):
    if any(state["step"] == 40 for state in optimizer.state.values()):
        optimizer.state.clear()
    short.step(optimizer, precision, lr)


patients = {
    "schedule": dataclasses.replace(short, lr_at=anew),
    "optimizer": dataclasses.replace(short, step=forgets_once),
    "lost-optimizer-state": short.with_fault("lost-optimizer-state"),
}
for name, patient in patients.items():
    run = train(patient, runs / f"walk-{name}", overwrite=True)
    walk = diagnosis.check(run.path)
    print(f"{t(name) if name in LOSSES else name:22} {t('leaf')}: {walk.leaf or t('healthy')}")

# %% [markdown] id="tree-read" lang="en"
# The tree catches the schedule, because it compares every learning rate with the one asked for. It catches
# the optimizer that forgets at every step, because the check rehearses a few steps before the run begins. It
# judges the one that forgot **once, at a resume**, to be healthy: by then the rehearsal was long over. And it
# has no way to see the random state. Resuming needs a test of its own, and you are going to write it.
#
# ### Kill it wherever you like
#
# Choose when the run is killed and what is lost; the rest of the run is trained on the spot, in about a
# second. On the left is the loss, in the middle its distance from the run that was never killed, on the right
# the loss scale. Drag the slider, or click it and use the arrow keys. Things to find:
#
# 1. Lose the **optimizer**, and move the kill from early to late. When does it hurt more?
# 2. Lose the **schedule** at step 60. Does the run end above or below the grey curve? Is that good news?
# 3. Lose the **scaler**. How many steps does the scale take to find its level again?
# 4. Lose the **random state**. Is there any moment at which the left picture gives it away?
# 5. Lose **nothing**. Where is the orange curve?

# %% [markdown] id="tree-read" lang="es" of="c2f16eb751bf"
# El árbol atrapa el schedule, porque compara cada learning rate con el que se pidió. Atrapa al optimizador
# que olvida en cada paso, porque la revisión ensaya unos pasos antes de que empiece el run. Al que olvidó
# **una sola vez, al reanudar**, lo da por sano: para entonces el ensayo ya había terminado. Y el estado
# aleatorio no tiene cómo verlo. Reanudar necesita su propia prueba, y la vas a escribir tú.
#
# ### Mátalo cuando quieras
#
# Elige cuándo se interrumpe el run y qué se pierde; el resto se entrena ahí mismo, en cosa de un segundo. A
# la izquierda está el loss; en el centro, su distancia al run que nadie mató; a la derecha, la escala del
# loss. Arrastra el control, o haz clic en él y usa las flechas del teclado. Cosas por descubrir:
#
# 1. Pierde el **optimizador** y cambia el momento de la interrupción, de temprano a tarde. ¿Cuándo duele más?
# 2. Pierde el **schedule** en el paso 60. ¿El run termina por encima o por debajo de la curva gris? ¿Es una
#    buena noticia?
# 3. Pierde el **scaler**. ¿Cuántos pasos tarda la escala en volver a su nivel?
# 4. Pierde el **estado aleatorio**. ¿Hay algún momento en que lo delate el dibujo de la izquierda?
# 5. No pierdas **nada**. ¿Dónde está la curva naranja?

# %% id="playground" folded=true
album = {}
again = begin()
for at in range(0, config.steps, 5):
    album[at] = everything(again)
    advance(again, 5)


@functools.cache
def killed_and_resumed(step, lost):
    return advance(resume_without(lost, album[step]), config.steps - step)


def draw(figure, step, lost):
    records = killed_and_resumed(step, lost)
    steps, whole_steps = ([record["step"] for record in each] for each in (records, log))
    left, middle, right = figure.subplots(1, 3)
    left.set_ylim(3, 6.5)
    middle.set(yscale="log", ylim=(5e-9, 10))
    right.set_yscale("log", base=2)
    for axes, name in ((left, "loss"), (right, "scale")):
        axes.plot(whole_steps, [record[name] for record in log], color="0.65", linewidth=1)
        axes.plot(steps, [record[name] for record in records], color="#0072b2", linewidth=1.2)
    middle.plot(steps, [max(abs(gap), 1e-8) for gap in gaps(records)], color="#d55e00", linewidth=1.2)
    for axes, name in ((left, "loss"), (middle, "gap"), (right, "scale")):
        axes.axvline(step, color="black", linestyle=":", linewidth=1)
        axes.set(xlim=(0, config.steps), xlabel=t("step"), title=t(name))
        axes.title.set_fontsize(9)


choices = {t(lost): (lost,) for lost in LOSSES} | {t("everything-else"): LOSSES, t("nothing"): ()}
playground(
    draw,
    size=(9.2, 2.6),
    step=Slider(t("kill-at"), 5, config.steps - 5, KILL, step=5),
    lost=Choice(t("lost"), choices),
)

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. Soon after warm-up, where the learning rate is highest: the size of the first update *is* the learning
#    rate. At step 15 it costs about a nat. Near the end the rate is low, and you would never notice.
# 2. Below. The rate that should have decayed warms up again, and such a short run still had things to learn.
#    It is not good news: it is a different experiment from the one you asked for, and you would not know.
# 3. About three: each overflow halves the scale, and each costs a batch.
# 4. No. Other batches have other losses, now above, now below, as ever. The middle picture shows it from
#    the very first step.
# 5. Flat at the bottom: the distance is exactly 0. You are going to build exactly that.
# </details>

# %% [markdown] id="play-answers" lang="es" of="cbf2c1ed60cc"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. Poco después del warm-up, donde el learning rate es más alto: el tamaño de la primera actualización *es* el
#    learning rate. En el paso 15 cuesta cerca de un nat. Cerca del final es bajo y no lo notarías nunca.
# 2. Por debajo. El learning rate que debía decaer vuelve a subir, y a un run tan corto aún le quedaba por
#    aprender. No es una buena noticia: es otro experimento, no el que pediste, y no te enterarías.
# 3. Unos tres: cada overflow parte la escala por la mitad, y cada uno cuesta un batch.
# 4. No. Otros batches tienen otros losses, unas veces más altos y otras más bajos, como siempre. El dibujo
#    del centro lo muestra desde el primer paso.
# 5. Plana, abajo del todo: la distancia es exactamente 0. Justo eso vas a construir.
# </details>

# %% [markdown] id="fix" lang="en"
# ## 5 · Fix
#
# Three exercises. Each check below an exercise is one small question; a failing one tells you what it thinks
# went wrong. Stuck? Open a hint. There is no penalty.
#
# ### Exercise 1 · What was lost?
#
# > Difficulty ●●○○○ · Importance ●●●●○ · 10 minutes
#
# Somebody sends you two lines of a log: the last step before a kill and the first one after the resume, deep in
# a run. Write `resume_audit(last, first, asked)`. `last` and `first` are dictionaries with `step`, `lr`, `scale`
# and `update` as in the table above; `asked` is the learning rate that the schedule asks for at `first["step"]`.
# Return a list of what was lost: any of `"optimizer"`, `"schedule"`, `"scaler"`, or an empty list.
#
# Beware of false alarms: schedules move, and a scaler may double or halve its scale in any one step.
#
# <details><summary>Hint 1: the optimizer</summary>
#
# Without moments every coordinate moves by the whole learning rate, so `update` is very nearly 1. In the middle
# of a run it is a fraction of that.
# </details>
# <details><summary>Hint 2: the scaler</summary>
#
# Look at the quotient of the two scales. Between ½ and 2 it proves nothing.
# </details>

# %% [markdown] id="fix" lang="es" of="a786095dbbc1"
# ## 5 · Arregla
#
# Tres ejercicios. Cada comprobación es una pregunta pequeña; la que falla te dice qué cree que salió mal. ¿Te
# atascaste? Abre una pista. No cuesta puntos.
#
# ### Ejercicio 1 · ¿Qué se perdió?
#
# > Dificultad ●●○○○ · Importancia ●●●●○ · 10 minutos
#
# Alguien te manda dos líneas de un log: el último paso antes de una interrupción y el primero después de reanudar, a
# mitad de un run. Escribe `resume_audit(last, first, asked)`. `last` y `first` son diccionarios con `step`,
# `lr`, `scale` y `update`, como en la tabla de arriba; `asked` es el learning rate que pide el schedule en
# `first["step"]`. Devuelve una lista de lo que se perdió: `"optimizer"`, `"schedule"`, `"scaler"`, los que sean,
# o una lista vacía.
#
# Ojo con las falsas alarmas: los schedules se mueven, y un scaler puede duplicar su escala o partirla por la
# mitad en cualquier paso.
#
# <details><summary>Pista 1: el optimizador</summary>
#
# Sin momentos, cada coordenada se mueve el learning rate entero, así que `update` vale casi 1. A mitad de un
# run es una fracción de eso.
# </details>
# <details><summary>Pista 2: el scaler</summary>
#
# Mira el cociente de las dos escalas. Entre ½ y 2 no demuestra nada.
# </details>


# %% solution="resume-audit"
def resume_audit(last, first, asked):
    ### BEGIN SOLUTION
    lost = []
    if first["update"] > 0.9:
        lost.append("optimizer")
    if not math.isclose(first["lr"], asked, rel_tol=1e-3):
        lost.append("schedule")
    if not 0.5 <= first["scale"] / last["scale"] <= 2.0:
        lost.append("scaler")
    return lost
    ### END SOLUTION


# %% check="resume-audit/nothing" points=1
check("resume-audit/nothing", resume_audit)

# %% check="resume-audit/optimizer" points=1
check("resume-audit/optimizer", resume_audit)

# %% check="resume-audit/schedule" points=1
check("resume-audit/schedule", resume_audit)

# %% check="resume-audit/scaler" points=1
check("resume-audit/scaler", resume_audit)

# %% check="resume-audit/several" points=1
check("resume-audit/several", resume_audit)

# %% [markdown] id="task-checkpoint" lang="en"
# ### Exercise 2 · A checkpoint that forgets nothing
#
# > Difficulty ●●●○○ · Importance ●●●●● · 20 minutes
#
# Write the class `Checkpoint`, without a constructor, with two methods:
#
# * `save(self, training, path)` writes everything that `training` remembers to `path`;
# * `load(self, training, path)` brings it back into *another* `training`, freshly built with another seed.
#
# `training` is a `Training` as above: `model`, `optimizer`, `scheduler`, `scaler`, `generator`, `step`. In the
# checks it is a smaller one, its model has a BatchNorm, and the file is carried to another folder before it is
# loaded, as on another machine. Two things draw random numbers here: `training.generator` draws the batches,
# and dropout draws from torch's global generator.
#
# <details><summary>Hint 1: how to write and read</summary>
#
# `torch.save(anything, path)` and `torch.load(path)`. Numbers, tensors, lists and dictionaries of them are
# allowed; that is all a `state_dict()` holds.
# </details>
# <details><summary>Hint 2: who has a state_dict?</summary>
#
# Model, optimizer, scheduler and scaler: `x.state_dict()` gives it, `x.load_state_dict(state)` takes it back.
# </details>
# <details><summary>Hint 3: and the random numbers?</summary>
#
# `training.generator.get_state()` and `.set_state(state)`; for the global one `torch.get_rng_state()` and
# `torch.set_rng_state(state)`. A seed says where a generator began, not where it is now.
# </details>

# %% [markdown] id="task-checkpoint" lang="es" of="9b18114d862a"
# ### Ejercicio 2 · Un checkpoint que no olvida nada
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 20 minutos
#
# Escribe la clase `Checkpoint`, sin constructor, con dos métodos:
#
# * `save(self, training, path)` escribe en `path` todo lo que recuerda `training`;
# * `load(self, training, path)` lo vuelve a poner en *otro* `training`, recién construido con otra semilla.
#
# `training` es un `Training` como el de arriba: `model`, `optimizer`, `scheduler`, `scaler`, `generator`,
# `step`. En las comprobaciones es uno más pequeño, su modelo tiene un BatchNorm, y el archivo se lleva a otra
# carpeta antes de cargarlo, como a otra máquina. Aquí hay dos fuentes de números aleatorios: `training.generator`
# elige los batches, y el dropout usa el generador global de torch.
#
# <details><summary>Pista 1: cómo escribir y leer</summary>
#
# `torch.save(cualquier_cosa, path)` y `torch.load(path)`. Se permiten números, tensores, y listas y
# diccionarios de ellos; un `state_dict()` no contiene otra cosa.
# </details>
# <details><summary>Pista 2: ¿quién tiene un state_dict?</summary>
#
# El modelo, el optimizador, el scheduler y el scaler: `x.state_dict()` lo da y `x.load_state_dict(state)` lo
# recibe.
# </details>
# <details><summary>Pista 3: ¿y los números aleatorios?</summary>
#
# `training.generator.get_state()` y `.set_state(state)`; para el global, `torch.get_rng_state()` y
# `torch.set_rng_state(state)`. Una semilla dice dónde empezó un generador, no dónde va.
# </details>


# %% solution="checkpoint"
class Checkpoint:
    def save(self, training, path):
        ### BEGIN SOLUTION
        torch.save(
            {
                "step": training.step,
                "model": training.model.state_dict(),
                "optimizer": training.optimizer.state_dict(),
                "scheduler": training.scheduler.state_dict(),
                "scaler": training.scaler.state_dict(),
                "batches": training.generator.get_state(),
                "dropout": torch.get_rng_state(),
            },
            path,
        )
        ### END SOLUTION

    def load(self, training, path):
        ### BEGIN SOLUTION
        saved = torch.load(path, weights_only=True)
        training.step = saved["step"]
        for name in ("model", "optimizer", "scheduler", "scaler"):
            getattr(training, name).load_state_dict(saved[name])
        training.generator.set_state(saved["batches"])
        torch.set_rng_state(saved["dropout"])
        ### END SOLUTION


# %% check="checkpoint/weights" points=1
check("checkpoint/weights", Checkpoint)

# %% check="checkpoint/optimizer" points=1
check("checkpoint/optimizer", Checkpoint)

# %% check="checkpoint/position" points=1
check("checkpoint/position", Checkpoint)

# %% check="checkpoint/randomness" points=1
check("checkpoint/randomness", Checkpoint)

# %% check="checkpoint/identical" points=2
check("checkpoint/identical", Checkpoint)

# %% [markdown] id="task-file" lang="en"
# ### Exercise 3 · A file that no kill can tear
#
# > Difficulty ●●●●○ · Importance ●●●●● · 20 minutes
#
# A kill does not wait for you to finish writing. If it comes in the middle of `torch.save`, half a file is
# left where your only good checkpoint was. And disks and networks flip a bit now and then: `torch.load` reads
# such a file without complaint, and some weight is now another number.
#
# Write the class `SafeFile`:
#
# * `SafeFile(path)` remembers a path;
# * `write(self, data)` puts the bytes `data` there. Killed at *any* moment, it leaves the old content whole or
#   the new one whole, never anything else;
# * `read(self)` returns the bytes. If the file is missing, cut short, or if one single bit is not as it was, it
#   raises an exception of your choice.
#
# The checks really do stop `write` in the middle, in turn each time it opens, renames or removes a file.
#
# <details><summary>Hint 1: all or nothing</summary>
#
# A file system does one thing all at once: `os.replace(new, path)` renames a finished file over an old one.
# Before it, the old file is there; after it, the new one. So write elsewhere first, in the same folder.
# </details>
# <details><summary>Hint 2: noticing a changed bit</summary>
#
# `hashlib.sha256(data).digest()` is 32 bytes that change if anything in `data` does. Put them into the *same*
# file, in front of the data: a second file would need a second rename, and a kill fits between two renames.
# </details>
# <details><summary>Hint 3: is it on the disk?</summary>
#
# `file.write` only hands the bytes to the operating system. Against a power cut, `file.flush()` and
# `os.fsync(file.fileno())` before the rename. No check can cut your power, so here we take your word for it.
# </details>

# %% [markdown] id="task-file" lang="es" of="2375baa2f85d"
# ### Ejercicio 3 · Un archivo que ninguna interrupción deja a medias
#
# > Dificultad ●●●●○ · Importancia ●●●●● · 20 minutos
#
# Una interrupción no espera a que termines de escribir. Si llega en medio de `torch.save`, donde estaba tu único
# checkpoint bueno queda medio archivo. Y los discos y las redes cambian un bit de vez en cuando: `torch.load`
# lee ese archivo sin avisar, y algún peso ya es otro número.
#
# Escribe la clase `SafeFile`:
#
# * `SafeFile(path)` recuerda una ruta;
# * `write(self, data)` deja ahí los bytes `data`. Si muere, en *cualquier* momento, deja entero el contenido
#   viejo o entero el nuevo, nunca otra cosa;
# * `read(self)` devuelve los bytes. Si el archivo no existe, si está cortado o si un solo bit no es el que era,
#   lanza la excepción que tú elijas.
#
# Las comprobaciones detienen de verdad a `write` por el camino: cada vez que abre, renombra o borra un archivo,
# una tras otra.
#
# <details><summary>Pista 1: todo o nada</summary>
#
# El sistema de archivos hace una sola cosa de golpe: `os.replace(nuevo, path)` pone un archivo terminado en
# el lugar de uno viejo. Antes está el viejo; después, el nuevo. Así que escribe primero en otro nombre, en la
# misma carpeta.
# </details>
# <details><summary>Pista 2: notar un bit cambiado</summary>
#
# `hashlib.sha256(data).digest()` son 32 bytes que cambian si cambia algo en `data`. Ponlos en el *mismo*
# archivo, delante de los datos: un segundo archivo necesitaría un segundo cambio de nombre, y entre los dos
# cabe una interrupción.
# </details>
# <details><summary>Pista 3: ¿está en el disco?</summary>
#
# `file.write` solo entrega los bytes al sistema operativo. Contra un corte de luz, `file.flush()` y
# `os.fsync(file.fileno())` antes de renombrar. Ninguna comprobación puede cortarte la luz, así que en esto
# confiamos en tu palabra.
# </details>


# %% solution="safe-file"
class SafeFile:
    def __init__(self, path):
        self.path = Path(path)

    def write(self, data):
        ### BEGIN SOLUTION
        temporary = self.path.with_name(f".new-{self.path.name}")
        with open(temporary, "wb") as file:
            file.write(hashlib.sha256(data).digest() + data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)
        ### END SOLUTION

    def read(self):
        ### BEGIN SOLUTION
        content = self.path.read_bytes()
        digest, data = content[:32], content[32:]
        if hashlib.sha256(data).digest() != digest:
            raise ValueError(f"{self.path.name}: damaged")
        return data
        ### END SOLUTION


# %% check="safe-file/round-trip" points=1
check("safe-file/round-trip", SafeFile)

# %% check="safe-file/kill" points=2
check("safe-file/kill", SafeFile)

# %% check="safe-file/torn" points=1
check("safe-file/torn", SafeFile)

# %% check="safe-file/changed" points=1
check("safe-file/changed", SafeFile)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# Now put your two classes together and kill the run from the beginning once more. `torch.save` also writes into
# memory (`io.BytesIO`), and those bytes go into your `SafeFile`.

# %% [markdown] id="verify" lang="es" of="459a95fb6c86"
# ## 6 · Comprueba
#
# Ahora une tus dos clases y mata otra vez el run del principio. `torch.save` también escribe en la memoria
# (`io.BytesIO`), y esos bytes van a tu `SafeFile`.

# %% id="resume-well"
victim = begin()
advance(victim, KILL)
buffer = io.BytesIO()
Checkpoint().save(victim, buffer)
SafeFile(runs / "checkpoint.bin").write(buffer.getvalue())
del victim, buffer

with LivePlot(steps=config.steps, vocab_size=config.vocab_size, before=log) as plot:
    survivor = begin(seed=1)
    Checkpoint().load(survivor, io.BytesIO(SafeFile(runs / "checkpoint.bin").read()))
    survivor_log = advance(survivor, config.steps - KILL, plot)


# %% [markdown] id="the-only-test" lang="en"
# The curves look the same. By now you know how little that says. So run the only test that counts, beside the
# naive resume from the beginning, and your own audit on both:

# %% [markdown] id="the-only-test" lang="es" of="b9439308d291"
# Las curvas se ven iguales. Ya sabes lo poco que dice eso. Así que haz la única prueba que cuenta, junto a la
# reanudación ingenua del principio, y aplica tu propia auditoría a las dos:


# %% id="bit-for-bit" compare=true
def largest_difference(one, other):
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


for name, training, records in (("everything-else", naive, naive_log), ("nothing", survivor, survivor_log)):
    print(f"{t('lost')}: {t(name)}")
    print("   ", t("difference"), f"{largest_difference(training, whole):.1g}")
    print("   ", "resume_audit", resume_audit(log[KILL - 1], records[0], log[KILL]["lr"]))
print()
print(t("identical"), [r["loss"] for r in survivor_log] == [r["loss"] for r in log[KILL:]])

# %% [markdown] id="for-real" lang="en"
# The difference of the second is exactly 0. And look at the first again: it lost *three* things that an
# audit can see, and yours names two. The scaler began too high, so the very first step overflowed and was
# skipped: no weight moved, `update` is 0, and the lost optimizer hides behind the lost scaler. One fault can
# cover another. That is why you repair first and then look again.
#
# ### Kill a real one
#
# So far the kills were gentle. Now a mini-GPT trains in a process of its own, and gets SIGKILL, the signal
# that nobody can catch, somewhere in the middle. Then it is resumed, and its final state is compared with
# that of an uninterrupted run.

# %% [markdown] id="for-real" lang="es" of="2c3b01985c48"
# La diferencia del segundo es exactamente 0. Y mira otra vez el primero: perdió *tres* cosas que una auditoría
# puede ver, y la tuya nombra dos. El scaler empezó demasiado alto, así que el primer paso se desbordó y se saltó:
# ningún peso se movió, `update` vale 0, y el optimizador perdido se esconde detrás del scaler perdido. Un fallo
# puede tapar a otro. Por eso primero se repara y después se vuelve a mirar.
#
# ### Mata a uno de verdad
#
# Hasta aquí las interrupciones fueron amables. Ahora un mini-GPT entrena en un proceso aparte y recibe
# SIGKILL, la señal que nadie puede atrapar, en algún punto del camino. Después se reanuda, y su estado final
# se compara con el de un run sin interrupción.

# %% id="sigkill"
long = config.replace(n_layer=1, n_embd=32, steps=400, warmup_steps=40, eval_every=0, checkpoint_every=25)
killed, peaceful = runs / "killed", runs / "peaceful"
for folder in (killed, peaceful):
    if folder.exists():
        shutil.rmtree(folder)
(runs / "config.yaml").write_text(json.dumps(long.to_dict()), encoding="utf-8")
command = [
    sys.executable,
    "-m",
    "minigpt",
    "train",
    "--run-dir",
    str(killed),
    "--config",
    str(runs / "config.yaml"),
]
process = subprocess.Popen(
    command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
)
metrics = killed / "metrics.jsonl"
while process.poll() is None and not (metrics.exists() and metrics.read_bytes().count(b"\n") > 160):
    time.sleep(0.01)
process.kill()
process.wait()

newest, _ = minigpt_checkpoint.latest(killed / "checkpoints")
print(t("killed", step=Run(killed).metrics[-1]["step"], checkpoint=newest.name))

# %% id="resume-for-real" compare=true
resume(killed).run()
train(Recipe(long), peaceful)
finals = [minigpt_checkpoint.find(folder / "checkpoints")[-1] for folder in (killed, peaceful)]
for name in minigpt_checkpoint.FILES:
    one, other = ((final / name).read_bytes() for final in finals)
    print(f"{name:24} {len(one) / 1000:>8,.1f} kB   {t('identical')}: {one == other}")

# %% [markdown] id="no-randomness" lang="en"
# Bit for bit, and the log lines that it had written after its last checkpoint were thrown away and written
# again. Now look inside one of mini-GPT's checkpoints:

# %% [markdown] id="no-randomness" lang="es" of="af0e05a68d81"
# Bit por bit, y las líneas del log que había escrito después de su último checkpoint se descartaron y se
# escribieron de nuevo. Ahora mira dentro de un checkpoint de mini-GPT:

# %% id="what-is-in-it" compare=true
print(t("files"), *sorted(path.name for path in finals[0].iterdir()))
print(t("keys"), *json.loads((finals[0] / "state.json").read_text()))

# %% [markdown] id="counter" lang="en"
# No random state, and no schedule. It is not forgotten: **there is nothing to forget.** In mini-GPT the batch
# and the dropout mask of a step are functions of (seed, step), and the learning rate is a function of the
# step. There is no hidden generator that advances; if you know the step, you know what comes next. The best
# state to save is the state that you do not have.
#
# The price: now everything depends on one number. Lose the step counter, and schedule, batches and dropout
# all start again at once. So it had better be right. Suppose somebody edits it:

# %% [markdown] id="counter" lang="es" of="decf9f9481bd"
# Ni estado aleatorio ni schedule. No se olvidaron: **no hay nada que olvidar.** En mini-GPT, el batch y la
# máscara de dropout de un paso son funciones de (semilla, paso), y el learning rate es función del paso. No
# hay ningún generador escondido que avance; si conoces el paso, sabes lo que toca. El mejor estado que
# guardar es el que no tienes.
#
# El precio: ahora todo depende de un solo número. Si se pierde la cuenta de pasos, el schedule, los batches y
# el dropout vuelven a empezar a la vez. Más vale que sea correcta. Supón que alguien la edita:

# %% id="edited" compare=true
state = finals[0] / "state.json"
original = state.read_text(encoding="utf-8")
state.write_text(original.replace('"step": 400', '"step": 300'), encoding="utf-8")
try:
    minigpt_checkpoint.verify(finals[0])
except minigpt_checkpoint.CheckpointError as error:
    print(error)
finally:
    state.write_text(original, encoding="utf-8")

# %% [markdown] id="explain" lang="en"
# ## 7 · Explain
#
# A colleague shows you a plot: *“I killed my run and resumed it, and the loss continues without a bump, right
# on top of the old curve. My checkpoints are complete.”*
#
# Answer in three to six sentences, in the cell below: what may still be missing even though the curve looks
# like that, and why it does not show; what test would settle it; and why even a complete checkpoint can be
# worthless if it was written straight over the old one. (Three points, one for each.)

# %% [markdown] id="explain" lang="es" of="ae2a0d5fd3d2"
# ## 7 · Explica
#
# Un colega te muestra una gráfica: *«Maté mi run, lo reanudé, y el loss sigue sin un solo bache, encima de la
# curva vieja. Mis checkpoints están completos».*
#
# Responde en tres a seis oraciones, en la celda de abajo: qué puede faltar todavía aunque la curva se vea así, y
# por qué no se nota; qué prueba lo decidiría; y por qué hasta un checkpoint completo puede no servir de nada si
# se escribió directamente encima del anterior. (Tres puntos, uno por cada parte.)

# %% [markdown] answer="explain-to-a-colleague" points=3 lang="en"
# The state of the random generators may be missing: the run then sees other batches and other dropout masks
# than it would have, and a loss on other batches looks as noisy as ever. A lost scaler, or an optimizer lost
# where the learning rate is small, hardly shows either. To settle it, train one run without a break and one
# with a kill and a resume in the middle, on the same machine, and compare weights or losses bit for bit: any
# difference at all means that something was lost. And if the new checkpoint is written over the old one, a
# kill during the writing leaves neither; it must be written under another name, checked by a hash, and
# renamed when it is complete.
#
# ---
# **Rubric.** One point each. (1) Names something that leaves no visible mark (the random state above all;
# also the scaler, or moments at a low learning rate) and says why: the curve is noisy anyway, other batches
# have other losses. (2) Compares with an uninterrupted run bit for bit, weights or every loss. “Looks closer
# at the curve” earns nothing. (3) A kill in the middle of writing destroys old and new; write elsewhere, then
# rename. A hash alone is half a point: it notices the damage and does not prevent it.

# %% [markdown] answer="explain-to-a-colleague" points=3 lang="es" of="882300fcad4d"
# Puede faltar el estado de los generadores de números aleatorios: entonces el run ve otros batches y otras
# máscaras de dropout que los que le tocaban, y un loss sobre otros batches se ve igual de ruidoso que
# siempre. Un scaler perdido, o un optimizador perdido cuando el learning rate es bajo, tampoco se notan casi.
# Para decidirlo hay que entrenar un run sin interrupción y otro con un SIGKILL y una reanudación en medio, en
# la misma máquina, y comparar los pesos o los losses bit por bit: cualquier diferencia significa que algo se
# perdió. Y si el checkpoint nuevo se escribe encima del viejo, una interrupción durante la escritura no deja
# ninguno de los dos; hay que escribirlo con otro nombre, acompañarlo de un hash y renombrarlo cuando esté
# completo.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) Nombra algo que no deja marca visible (sobre todo el estado aleatorio;
# también el scaler, o los momentos con un learning rate bajo) y dice por qué: la curva es ruidosa de todos modos,
# otros batches tienen otros losses. (2) Compara bit por bit con un run sin interrupción, los pesos o todos los
# losses. «Mirar la curva con más cuidado» no da puntos. (3) Una interrupción a mitad de la escritura destruye lo
# viejo y lo nuevo; escribir en otro lado y renombrar. Un hash solo es medio punto: nota el daño, no lo evita.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# Before you trust a resume: one run without interruption, one killed in the middle, compared bit for bit.
#
# | lost on resume | symptom | threshold | first action |
# |---|---|---|---|
# | optimizer | the loss stumbles, worst at a high learning rate | mean update ÷ LR above 0.9 in the first step; a few tenths is usual | save and load `optimizer.state_dict()`; check its step count |
# | schedule | a learning rate that nobody asked for | LR off the one asked for by more than 0.1 % → `lr-discontinuous` in the tree | `scheduler.state_dict()`, or make the rate a function of the step |
# | scaler | the first steps are skipped | scale moves by more than a factor of 2 in one step | `scaler.state_dict()` |
# | random state | nothing to see | any difference from the uninterrupted run | save every generator's state, or make it depend on (seed, step) |
# | the file | an error at best, wrong weights without a warning at worst | hash differs | write elsewhere, fsync, rename; refuse what does not match its hash |
#
# The next lesson, 18-08, gives you six runs and tells you nothing about them.

# %% [markdown] id="card" lang="es" of="00479cf85ed3"
# ## 8 · Una tarjeta para guardar
#
# Antes de fiarte de una reanudación: un run sin interrupción, otro interrumpido a la mitad, comparados bit
# por bit.
#
# | se perdió al reanudar | síntoma | umbral | primera acción |
# |---|---|---|---|
# | optimizador | el loss tropieza, más con un learning rate alto | actualización media ÷ LR mayor que 0.9 en el primer paso; lo habitual son unas décimas | guarda y carga `optimizer.state_dict()`; revisa su cuenta de pasos |
# | schedule | un learning rate que nadie pidió | el LR se aparta más del 0.1 % del pedido → `lr-discontinuous` en el árbol | `scheduler.state_dict()`, o haz que el learning rate sea función del paso |
# | scaler | los primeros pasos se saltan | la escala se mueve más de un factor 2 en un paso | `scaler.state_dict()` |
# | estado aleatorio | no se ve nada | cualquier diferencia con el run sin interrupción | guarda el estado de cada generador, o haz que dependa de (semilla, paso) |
# | el archivo | en el mejor caso un error, en el peor unos pesos incorrectos sin aviso | el hash no coincide | escribe en otro lado, fsync, renombra; rechaza lo que no coincida con su hash |
#
# La próxima lección, 18-08, te da seis runs y no te cuenta nada de ellos.

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# Your `Checkpoint` asks for six things, and nearly every loop has them. Here is another one: a small network with
# dropout, SGD with momentum, and a schedule with stairs. It is killed after 10 of its 20 steps and resumed in a new
# object that was built with another seed. The test is the same as ever: bit for bit.

# %% [markdown] id="own-run" lang="es" of="21ac6913f46d"
# ## 9 · En tu propio run
#
# Tu `Checkpoint` pide seis cosas, y casi cualquier bucle las tiene. Aquí hay otro: una red pequeña con dropout, SGD
# con momentum y un schedule en escalones. Se interrumpe a los 10 de sus 20 pasos y se reanuda en un objeto nuevo,
# construido con otra semilla. La prueba es la de siempre: bit por bit.


# %% id="another-loop" compare=true
class Other:
    def __init__(self, seed):
        torch.manual_seed(seed)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(8, 16), torch.nn.Dropout(0.2), torch.nn.Linear(16, 1)
        )
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.02, momentum=0.9)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, step_size=5)
        self.scaler = torch.amp.GradScaler("cpu", enabled=False)
        self.generator, self.step = torch.Generator().manual_seed(seed), 0

    def train(self, steps):
        for _ in range(steps):
            inputs = torch.randn(16, 8, generator=self.generator)
            self.optimizer.zero_grad()
            (self.model(inputs) - inputs.sum(1, keepdim=True)).square().mean().backward()
            self.optimizer.step()
            self.scheduler.step()
            self.step += 1
        return torch.cat([weight.detach().flatten() for weight in self.model.parameters()])


unstopped, stopped = Other(0).train(20), Other(0)
stopped.train(10)
Checkpoint().save(stopped, runs / "other.pt")
continued = Other(1)
Checkpoint().load(continued, runs / "other.pt")
print(f"{t('identical')}: {t('yes' if torch.equal(unstopped, continued.train(10)) else 'no')}")

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# **A true story.** In May 2021 Hugging Face's `Trainer` [learnt to save its random
# state](https://github.com/huggingface/transformers/pull/11582), so that a resumed run equals an uninterrupted one;
# until then it did not. A year later somebody who saves once per epoch [wrote a test that
# failed](https://github.com/huggingface/transformers/issues/17032): the state was saved, and at the end of an epoch
# it was not loaded. In September 2026 a user of another library found that after each resume [the shuffled order of
# the first epoch](https://github.com/huggingface/accelerate/pull/4232) comes again. In all three cases the loss
# looked as it should.
#
# * What PyTorch promises, and what it does not: [Reproducibility](https://docs.pytorch.org/docs/stable/notes/randomness.html).
# * A loader that can say where it is, asked for in April 2020: [#36650](https://github.com/pytorch/pytorch/issues/36650).
# * Why write, fsync, rename: Pillai et al., 2014, [All File Systems Are Not Created
#   Equal](https://www.usenix.org/conference/osdi14/technical-sessions/presentation/pillai).
#
# **A hard bonus task.** The best state is one that nobody has to save. Write `rows_of(step, n, batch, seed)`: the
# rows of a batch as a function of the step alone, such that every epoch is a new shuffle and shows every row once.
# Then resuming needs the step and nothing else.
#
# <details><summary>Hint</summary>
#
# `divmod` turns a step into an epoch and a place in it. A generator of its own, seeded by seed and epoch, makes the same shuffle every time.
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# def rows_of(step, n, batch, seed):
#     epoch, place = divmod(step, n // batch)
#     order = torch.randperm(n, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))
#     return order[place * batch : (place + 1) * batch]
# ```
#
# It shuffles again for each batch; keep the order of the current epoch if n is large. If n is no multiple of `batch`, each epoch leaves out other rows.
# </details>

# %% [markdown] id="sources" lang="es" of="4dd2eddae7d2"
# ## 10 · De dónde viene esto
#
# **Una historia real.** En mayo de 2021, `Trainer` de Hugging Face [aprendió a guardar su estado
# aleatorio](https://github.com/huggingface/transformers/pull/11582), para que un run reanudado fuera igual a uno sin
# interrupción; hasta entonces no lo era. Un año después, alguien que guardaba una vez por época [escribió una prueba
# que fallaba](https://github.com/huggingface/transformers/issues/17032): el estado se guardaba, pero al final de una
# época no se cargaba. En septiembre de 2026, un usuario de otra biblioteca descubrió que después de cada reanudación
# vuelve [el orden barajado de la primera época](https://github.com/huggingface/accelerate/pull/4232). En los tres
# casos, el loss se veía como debía.
#
# * Lo que PyTorch promete y lo que no: [sus notas sobre reproducibilidad](https://docs.pytorch.org/docs/stable/notes/randomness.html).
# * Un loader que sepa decir dónde va, pedido en abril de 2020: [#36650](https://github.com/pytorch/pytorch/issues/36650).
# * Por qué escribir, fsync y renombrar: Pillai et al., 2014, [un estudio de sistemas de
#   archivos](https://www.usenix.org/conference/osdi14/technical-sessions/presentation/pillai).
#
# **Un reto extra, difícil.** El mejor estado es el que nadie tiene que guardar. Escribe `rows_of(step, n, batch,
# seed)`: las filas de un batch solo en función del paso, de modo que cada época tenga un orden nuevo y muestre cada
# fila una vez. Entonces, para reanudar, basta con el paso.
#
# <details><summary>Pista</summary>
#
# `divmod` convierte un paso en una época y un lugar dentro de ella. Un generador propio, con una semilla hecha de la semilla y la época, baraja siempre igual.
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# def rows_of(step, n, batch, seed):
#     epoch, place = divmod(step, n // batch)
#     order = torch.randperm(n, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))
#     return order[place * batch : (place + 1) * batch]
# ```
#
# Baraja otra vez en cada batch; guarda el orden de la época actual si n es grande. Si n no es múltiplo de `batch`, cada época deja fuera otras filas.
# </details>
