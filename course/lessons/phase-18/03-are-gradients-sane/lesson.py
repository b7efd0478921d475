"""Lesson 18-03: are gradients sane? What their norm shows, what clipping hides, and which batch it was."""

# %% [markdown] id="why" lang="en"
# Between `backward()` and `step()` a whole batch becomes one arrow: which way each weight should go, and how
# strongly. Its length is the *gradient norm*, one number per step, and every loop that clips has it already.
# Read well, it tells you about parameters that do not learn, gradients that nobody cleared, and the one batch
# in a thousand that was garbage. Read badly, it is a flat line that reassures everybody.
#
# Here you break a real run in four ways that its loss hardly shows. Afterwards you can
#
# * say what clipping does to a step and what it cannot do, and why with AdamW it does so little;
# * find the batch behind a spike, by its number;
# * write clipping by the global norm, and a training step in the right order, and show that they are right.
#
# Run the cells in order with **Shift + Enter**. Everything trains on your own machine, in seconds.

# %% [markdown] id="why" lang="es" of="871cf41c0266"
# Entre `backward()` y `step()`, un batch entero se convierte en una flecha: hacia dónde debe ir cada peso, y
# con cuánta fuerza. Su longitud es la *norma del gradiente*: un número por paso, y todo bucle que hace
# clipping ya lo tiene. Bien leído, te habla de parámetros que no aprenden, de gradientes que nadie limpió y
# del único batch entre mil que era basura. Mal leído, es una línea plana que tranquiliza a todo el mundo.
#
# Aquí vas a romper un run de verdad de cuatro maneras que su loss apenas muestra. Al terminar sabrás
#
# * decir qué le hace el clipping a un paso, qué no puede hacer y por qué con AdamW hace tan poco;
# * encontrar el batch que está detrás de un pico, por su número;
# * escribir el clipping por la norma global y un paso de entrenamiento en el orden correcto, y demostrar que
#   están bien.
#
# Ejecuta las celdas en orden con **Shift + Enter**. Todo se entrena en tu propia máquina, en segundos.

# %% id="setup" setup=true
import dataclasses
import math
import random
import textwrap
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from rich.console import Console

from course.live_plot import LivePlot
from course.notebook import check, lesson, t
from course.picture import Picture
from course.predictions import compare, predict
from course.widgets import Choice, Slider, playground
from minigpt import Config, Recipe, diagnosis, train
from minigpt.data.batches import Batch
from minigpt.diagnosis.report import seen, show
from minigpt.diagnosis.trees.configuration.gradients import GRADIENT_QUESTIONS
from minigpt.faults import FAULTS

lesson("18-03")
runs = Path("experiments") / "18-03"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9


def loss_of(model, batch):
    inputs, targets = batch[:2]
    return F.cross_entropy(model(inputs).flatten(0, -2), targets.flatten())


def walk_section_3(run):
    return diagnosis.walk(diagnosis.evidence_of(run.path), GRADIENT_QUESTIONS)


def norms_of(run):
    return [record["grad_norm"] for record in run.metrics]


def last_loss(run):
    return np.mean([record["loss"] for record in run.metrics[-10:]])


def clipped_share(run):
    return np.mean([record["clipped"] for record in run.metrics])


# %% [markdown] id="meet" lang="en"
# ## 1 · A limit on every step
#
# This run is healthy. Its config says `clip_norm=1.0`: when the gradient is longer than 1, it is shortened
# to 1 before the optimizer sees it. The log keeps the length from *before*.

# %% [markdown] id="meet" lang="es" of="9ebf1bd525b6"
# ## 1 · Un límite para cada paso
#
# Este run está sano. Su configuración dice `clip_norm=1.0`: cuando el gradiente mide más de 1, se acorta a 1
# antes de que el optimizador lo vea. El log guarda la longitud de *antes*.

# %% id="train-healthy"
config = Config(steps=120, warmup_steps=10, lr_max=3e-3, lr_min=3e-4, batch_size=16, eval_every=0)
recipe = Recipe(config)
data = recipe.load_data(config)
healthy = train(recipe, runs / "healthy", callbacks=[LivePlot()], overwrite=True)

# %% id="healthy-figures"
print(f"{t('usual'):34} {np.median(norms_of(healthy)):.2f}")
print(f"{t('clipped'):34} {clipped_share(healthy):.0%}")
print(f"{t('last-loss'):34} {last_loss(healthy):.2f}")

# %% [markdown] id="colleague" lang="en"
# Then somebody copies a config from another project. There the limit was 0.02, fifty times less. No error,
# no warning; and nobody looks, because nobody plots the share of clipped steps.

# %% [markdown] id="colleague" lang="es" of="333e119e93bb"
# Entonces alguien copia la configuración de otro proyecto. Allí el límite era 0.02, cincuenta veces menos.
# Ni un error, ni una advertencia; y nadie mira, porque nadie grafica la proporción de pasos recortados.

# %% id="break-it"
always_recipe = recipe.with_fault("always-clipping")

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# Two numbers, before anything is drawn. **What share of the steps will be clipped** (from 0 to 1)? And
# **what loss will the run end at**, given where you have just seen the healthy one end? Put a number in
# place of each `...`. Nobody grades it; a wrong guess that you wrote down teaches more than a right one
# that you read.

# %% [markdown] id="predict" lang="es" of="8130bea42290"
# ## 2 · Predice
#
# Dos números, antes de dibujar nada. **¿Qué parte de los pasos se recortará** (de 0 a 1)? ¿Y **en qué loss
# terminará el run**, si el sano termina donde acabas de ver? Escribe un número en lugar de cada `...`.
# Nadie lo califica; una respuesta equivocada que anotaste enseña más que una correcta que leíste.

# %% id="my-prediction"
predict("always", clipped=..., final=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it
#
# In grey, the healthy run.

# %% [markdown] id="break" lang="es" of="58201b268e87"
# ## 3 · Rómpelo
#
# En gris, el run sano.

# %% id="train-always"
always = train(
    always_recipe,
    runs / "always",
    callbacks=[LivePlot(before=healthy.metrics)],
    overwrite=True,
)

# %% id="compare-prediction"
compare("always", clipped=float(clipped_share(always)), final=float(last_loss(always)))
print(f"\n{t('healthy')}: {clipped_share(healthy):.2f}, {last_loss(healthy):.3f}")

# %% [markdown] id="surprise" lang="en"
# Every single step was cut to a small part of its length, and the loss did not notice. Most people guess
# that it learns fifty times more slowly. With plain gradient descent it would. The optimizer here is AdamW,
# and AdamW divides each gradient by the usual size of those before it: shrink them *all*, and the shrinking
# cancels.
#
# So a healthy loss does not show that the limit is sane. Something else is lost. Clipping is there
# to treat the exceptional step differently, and a limit that every step exceeds treats them all alike: one
# with much to say and one with little count the same. It also hides other faults. A gradient k times
# too large, because nobody divides by k or nobody clears it, arrives no longer than a healthy one.

# %% [markdown] id="surprise" lang="es" of="ba1860a2ce53"
# Cada paso, sin excepción, se quedó en una pequeña parte de su longitud, y el loss ni se enteró. Casi todo
# el mundo apuesta a que aprenderá cincuenta veces más despacio. Con el descenso de gradiente simple así
# sería. Pero aquí el optimizador es AdamW, que divide cada gradiente entre el tamaño habitual de los
# anteriores: si los encoges *todos*, el encogimiento se cancela.
#
# O sea que un loss sano no demuestra que el límite sea sensato. Se pierde otra cosa. El clipping
# está para tratar distinto al paso excepcional, y un límite que todos los pasos superan los trata a todos
# igual: el que tiene mucho que decir y el que tiene poco cuentan lo mismo. Además encubre otros fallos. Un
# gradiente k veces más grande de lo debido, porque nadie divide entre k o nadie lo limpia, llega igual
# de largo que uno sano.

# %% [markdown] id="play" lang="en"
# ## 4 · Inspect
#
# ### Turn the knob
#
# Each time you move a control, a tiny model is trained from scratch: 70 real steps. Gradients above the
# dashed line, the limit, are clipped. At step 40 the loader hands over a damaged batch: some of its 16 rows
# are empty, nothing but token number 0, as after a read that failed. In grey, the same run without limit and
# without damage.
#
# Drag a slider, or click it and use the arrow keys. Four things to find:
#
# 1. AdamW, no damaged row. Move the limit from end to end. Which curves follow it, and which do not?
# 2. The same with SGD. What other setting does the limit remind you of?
# 3. SGD, 16 damaged rows, the limit at 100. What does the loss do *after* step 40? And with a limit of 1?
# 4. AdamW, 16 damaged rows. Compare limit 100 and limit 1, not at step 41 but at the end. Where did the bad
#    batch go?

# %% [markdown] id="play" lang="es" of="3b0193ed76dd"
# ## 4 · Inspecciona
#
# ### Gira la perilla
#
# Cada vez que mueves un control se entrena desde cero un modelo diminuto: 70 pasos de verdad. Los gradientes
# por encima de la línea discontinua, el límite, se recortan. En el paso 40 el loader entrega un batch dañado:
# algunas de sus 16 filas están vacías, puro token número 0, como después de una lectura fallida. En gris, el
# mismo run sin límite y sin daño.
#
# Arrastra un control, o haz clic en él y usa las flechas del teclado. Cuatro cosas por descubrir:
#
# 1. AdamW, ninguna fila dañada. Mueve el límite de un extremo al otro. ¿Qué curvas lo siguen y cuáles no?
# 2. Lo mismo con SGD. ¿A qué otro ajuste te recuerda el límite?
# 3. SGD, 16 filas dañadas, el límite en 100. ¿Qué hace el loss *después* del paso 40? ¿Y con un límite de 1?
# 4. AdamW, 16 filas dañadas. Compara el límite 100 con el límite 1, no en el paso 41, sino al final. ¿A
#    dónde fue a parar el batch malo?

# %% id="short-run"
tiny = Recipe(Config(n_layer=1, n_head=2, n_embd=32, context=32, batch_size=16, steps=70))
optimizers = {
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.005, betas=(0.9, 0.99)),
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.5),
}


@cache
def short_run(limit, optimizer_name, rows):
    torch.manual_seed(0)
    model = tiny.build_model(tiny.config)
    tiny.init_weights(model, tiny.config)
    optimizer = optimizers[optimizer_name](model.parameters())
    losses, norms = [], []
    for step in range(tiny.config.steps):
        inputs, targets, _ = (part.clone() for part in tiny.get_batch(data.train, tiny.config, step))
        if step == 40:
            inputs[:rows], targets[:rows] = 0, 0
        optimizer.zero_grad()
        loss = loss_of(model, (inputs, targets))
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), limit).item())
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses), np.array(norms)


# %% id="playground" folded=true
def draw(figure, optimizer, limit, rows):
    losses, norms = short_run(limit, optimizer, rows)
    calm_losses, calm_norms = short_run(math.inf, optimizer, 0)
    left, right = figure.subplots(1, 2)
    steps, above = np.arange(len(norms)), norms > limit
    left.plot(calm_norms, color="0.65", linewidth=1)
    left.plot(norms, color="#0072b2", linewidth=1)
    left.plot(steps[above], norms[above], "o", color="#d55e00", markersize=4)
    left.axhline(limit, color="black", linestyle="--", linewidth=1)
    left.set(yscale="log", ylim=(0.006, 200), xlabel=t("step"))
    left.set_title(f"{t('gradient')} · {t('clipped')}: {above.mean():.0%}", fontsize=9)
    right.plot(calm_losses, color="0.65", linewidth=1)
    right.plot(losses, color="#0072b2")
    right.set(ylim=(3.5, 10.5), xlabel=t("step"))
    right.set_title(f"{t('loss')} · {t('at-the-end')}: {losses[-8:].mean():.2f}", fontsize=9)
    for axes in (left, right):
        axes.axvline(40, color="0.85", linewidth=1, zorder=0)


playground(
    draw,
    optimizer=Choice(t("optimizer"), {name: name for name in optimizers}),
    limit=Slider(t("limit"), 0.01, 100.0, 1.0, log=True),
    rows=Slider(t("damaged-rows"), 0, 16, 16),
)

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. The clipped share goes from all to nothing. The loss stays where it is: AdamW divides by the usual size.
# 2. The learning rate. A step of SGD is as long as rate × gradient, so where every step is clipped, rate ×
#    limit is its length. At 0.01 the run has hardly left chance after 70 steps. And without any limit it is
#    worse than with 1: early on, a few large steps throw it off course.
# 3. (The point at step 40 is the loss on the damaged batch itself. Look at what follows.) Without a limit that
#    bites, one batch out of 70 throws the model far above chance, and it takes a dozen steps to come back.
#    With a limit of 1 the batch is as visible in the norms as before, and the step after it is nearly an
#    ordinary one: it was pushed no further than anybody pushes it.
# 4. The loss at step 41 is nearly the same with and without clipping, because Adam bounds the step by itself.
#    But without clipping the huge gradient enters Adam's memory of usual sizes (β₂), and for dozens of
#    steps all others look small beside it: the run slows down, and ends higher. No jump, no spike, just
#    lost time.
#
# **The reason to clip, then,** is not that every step should be short. It is that a rare step should not be
# longer than the others by as much as its gradient is. So a sane limit lies a little above the usual norm:
# few steps touch it, and the damaged batch does.
# </details>

# %% [markdown] id="play-answers" lang="es" of="144cc11e54c8"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. La parte recortada va de todo a nada. El loss se queda donde está: AdamW divide entre el tamaño
#    habitual.
# 2. Al learning rate (tasa de aprendizaje). Un paso de SGD mide learning rate × gradiente, así que, donde
#    todos los pasos se recortan, mide learning rate × límite. Con 0.01 el run apenas ha salido del azar
#    después de 70 pasos. Y sin ningún límite le va peor que con 1: al principio, unos pocos pasos grandes
#    lo sacan de su camino.
# 3. (El punto del paso 40 es el loss del propio batch dañado. Mira lo que viene después.) Sin un límite que
#    actúe, un batch de los 70 lanza el modelo muy por encima del azar, y tarda una docena de pasos en
#    volver. Con un límite de 1, el batch se ve igual de claro en las normas, pero el paso siguiente es casi
#    uno cualquiera: el batch no lo empujó más que los demás.
# 4. El loss del paso 41 es casi el mismo con clipping y sin él, porque Adam acota el paso por su cuenta.
#    Pero sin clipping el gradiente enorme entra en la memoria que Adam tiene de los tamaños habituales
#    (β₂), y durante decenas de pasos todos los demás parecen pequeños a su lado: el run se frena y termina
#    más arriba. Ni un salto, ni un pico; solo tiempo perdido.
#
# **Entonces, la razón del clipping** no es que todos los pasos deban ser cortos. Es que un paso raro no
# debe ser más largo que los demás en la misma medida en que lo es su gradiente. Por eso un límite sensato
# queda un poco por encima de la norma habitual: pocos pasos lo tocan, y el batch dañado, sí.
# </details>

# %% [markdown] id="patients" lang="en"
# ### Four patients
#
# Four runs of 120 steps with one fault each; you know one of them. The letters are shuffled.

# %% [markdown] id="patients" lang="es" of="582369f98be0"
# ### Cuatro pacientes
#
# Cuatro runs de 120 pasos con un fallo cada uno; a uno ya lo conoces. Las letras están barajadas.

# %% id="ward"
suspects = ["always-clipping", "frozen-parameters", "gradient-spikes", "missing-zero-grad"]
for name in suspects:
    print(textwrap.fill(f"{name:18} {FAULTS[name].text('breaks')}", 88, subsequent_indent=" " * 19))

patients = dict(zip("ABCD", random.Random(5).sample(suspects, 4), strict=True))
ward = {t("healthy"): healthy}
for letter, fault in patients.items():
    sick = recipe.with_fault(fault)
    ward[letter] = always if fault == "always-clipping" else train(sick, runs / letter, overwrite=True)

columns = ("last-loss", "usual", "largest", "clipped")
print("\n" + " " * 8 + "".join(f"{t(column):>20}" for column in columns))
for name, run in ward.items():
    norms = norms_of(run)
    figures = last_loss(run), np.median(norms), max(norms) / np.median(norms)
    print(f"{name:8}" + "".join(f"{x:20.2f}" for x in figures) + f"{clipped_share(run):20.0%}")

# %% [markdown] id="two-more" lang="en"
# Look at the losses first. Two of the four are as good as the healthy run, or nearly so. And a bad loss does
# not say why it is bad. The trainer took two more measurements before the first update: on a copy of the
# model it takes a step and checks whether any gradient is left, and it lists the parameters that do not
# learn.

# %% [markdown] id="two-more" lang="es" of="bfbf7fbdb00b"
# Mira primero los losses. Dos de los cuatro son tan buenos como el run sano, o casi. Y un loss malo no dice
# por qué es malo. El trainer tomó dos medidas más antes de la primera actualización: en una copia del modelo
# da un paso y comprueba si queda algún gradiente, y hace la lista de los parámetros que no aprenden.

# %% id="two-measurements" compare=true
print(" " * 8 + f"{t('carried'):>24}{t('frozen'):>24}")
for name, run in ward.items():
    rehearsal = next(probe for probe in run.probes if probe["kind"] == "rehearsal")
    print(f"{name:8}{rehearsal['carried_gradient']:24.2f}{len(rehearsal['frozen']):24}")

# %% [markdown] id="diagnose" lang="en"
# Decide: put a name from the list in place of each `...`, in quotes.

# %% [markdown] id="diagnose" lang="es" of="d5c39fb40b48"
# Decídete: escribe un nombre de la lista en lugar de cada `...`, entre comillas.

# %% id="my-diagnosis"
predict("diagnosis", A=..., B=..., C=..., D=...)

# %% [markdown] id="walker" lang="en"
# And the tree, by section 3 of `minigpt check`. It sees the evidence, never the list of faults.

# %% [markdown] id="walker" lang="es" of="36da9ad168f3"
# Y ahora el árbol, con la sección 3 de `minigpt check`. Ve la evidencia, nunca la lista de fallos.

# %% id="name-the-faults" compare=true
walks = {letter: walk_section_3(ward[letter]) for letter in patients}
compare("diagnosis", **{letter: walk.leaf for letter, walk in walks.items()})

# %% id="what-it-saw"
for letter, walk in walks.items():
    print(textwrap.fill(f"{letter}  {walk.end.question}  {seen(walk.end)}", 88, subsequent_indent=" " * 8))

# %% [markdown] id="lessons-of-the-ward" lang="en"
# Three things to take away.
#
# * **A norm inside the band proves little.** The frozen model has a calm, small norm: a parameter that does
#   not learn has no gradient to count. Ask which parameters learn.
# * **A share of clipped steps near 100 % is a symptom with several causes.** The limit may be too low, or
#   the gradient too large. The tree asks for the cause first: is any gradient left after a step?
# * **Spikes can be invisible in the loss.** That is clipping at work, and a reason to count them: each is a
#   step in a direction that one bad batch chose.

# %% [markdown] id="lessons-of-the-ward" lang="es" of="2c39ccf1de94"
# Tres cosas para llevarte.
#
# * **Una norma dentro de la banda demuestra poco.** El modelo congelado tiene una norma pequeña y
#   tranquila: un parámetro que no aprende no tiene gradiente que contar. Pregunta qué parámetros aprenden.
# * **Que se recorte casi el 100 % de los pasos es un síntoma con varias causas.** Puede que el límite sea muy
#   bajo o que el gradiente sea muy grande. El árbol pregunta primero por la causa: ¿queda algún gradiente
#   después de un paso?
# * **Los picos pueden ser invisibles en el loss.** Es el clipping haciendo su trabajo, y una razón para
#   contarlos: cada uno es un paso en la dirección que eligió un batch malo.

# %% [markdown] id="updates-why" lang="en"
# ### Update ÷ weight, layer by layer
#
# The gradient norm is one number for the whole model. What a step does to a layer is better seen in the length of its
# update ÷ the length of its weights, as a power of ten: −3 means that a step moves the layer by a thousandth of
# itself. The healthy run and the frozen one, sixty steps of each, measured after every step:

# %% [markdown] id="updates-why" lang="es" of="1a2e2e8965ee"
# ### Actualización ÷ peso, capa por capa
#
# La norma del gradiente es un número para todo el modelo. Lo que un paso le hace a una capa se ve mejor en la
# longitud de su actualización ÷ la de sus pesos, como potencia de diez: −3 quiere decir que un paso mueve la capa una
# milésima de sí misma. El run sano y el congelado, sesenta pasos de cada uno, medidos después de cada paso:


# %% id="update-sizes"
class UpdateSizes:
    def __init__(self):
        self.before, self.ratios = {}, {}

    def on_step(self, trainer, record):
        layers = {}
        for name, weight in trainer.model.named_parameters():
            layer = ".".join(name.split(".")[:2]) if name.startswith("h.") else name.split(".")[0]
            layers.setdefault(layer, []).append(weight.detach().flatten().clone())
        now = {layer: torch.cat(weights) for layer, weights in layers.items()}
        for layer, old in self.before.items():
            self.ratios.setdefault(layer, []).append(float((now[layer] - old).norm() / old.norm()))
        self.before = now


sizes = {}
for name in ("healthy", "frozen-parameters"):
    watched = Recipe(config.replace(steps=60))
    watched = watched if name == "healthy" else watched.with_fault(name)
    sizes[name] = UpdateSizes()
    train(watched, runs / f"updates-{name}", callbacks=[sizes[name]], overwrite=True)

# %% id="update-picture" folded=true
figure = Figure(figsize=(7.2, 2.9), layout="constrained")
for axes, (name, seen_sizes) in zip(figure.subplots(1, 2, sharey=True), sizes.items(), strict=True):
    for place, (layer, ratios) in enumerate(seen_sizes.ratios.items()):
        colour = matplotlib.colormaps["viridis"](place / len(seen_sizes.ratios))
        axes.plot([math.log10(ratio) if ratio else -math.inf for ratio in ratios], color=colour, label=layer)
    axes.axhline(-3, color="black", linestyle="--", linewidth=0.8)
    axes.set(title=name, xlabel=t("step"), ylim=(-5.2, -0.8))
    axes.legend(fontsize=7, ncols=2)
figure.axes[0].set_ylabel(t("update-by-weight"))
Picture().show(figure, t("update-by-weight-alt"))

# %% id="update-table"
for name, seen_sizes in sizes.items():
    print(f"\n{name}")
    for layer, ratios in seen_sizes.ratios.items():
        usual = float(np.median(ratios[20:]))
        print(f"  {layer:6} {math.log10(usual):6.1f}" if usual else f"  {layer:6}      –")

# %% [markdown] id="updates-said" lang="en"
# The table gives the usual value from step 20 on. In the healthy run all layers move, and they follow the learning
# rate: up while it warms up, then down. In the other one the blocks have no line at all. Their update is 0, whose
# logarithm is no number, and the lines of the rest look the same as before.
#
# The dashed line at −3 is a rule of thumb for long runs. Ours is short and its rate is high, so it lies above.
# Compare layers with each other, and a run with a healthy one of its kind: a layer that is ten times faster or slower
# than its neighbours needs a reason.

# %% [markdown] id="updates-said" lang="es" of="23a66fbfb2e6"
# La tabla da el valor habitual a partir del paso 20. En el run sano se mueven todas las capas y siguen al learning
# rate: suben durante el warm-up y después bajan. En el otro, los bloques no tienen ninguna línea. Su actualización es
# 0, cuyo logaritmo no es un número, y las líneas de las demás capas se ven igual que antes.
#
# La línea discontinua en −3 es una regla práctica para runs largos. El nuestro es corto y su learning rate es alto,
# así que queda por encima. Compara las capas entre sí, y un run con uno sano de su tipo: una capa diez veces más
# rápida o más lenta que sus vecinas necesita una razón.

# %% [markdown] id="fix" lang="en"
# ## 5 · Fix
#
# Three exercises. Each check below them is one small question, from coarse to fine; a failing one tells you
# what it thinks went wrong. No penalty for trying, none for opening a hint.
#
# ### Exercise 1 · Clip by the global norm
#
# > Difficulty ●●○○○ · Importance ●●●●● · 15 minutes
#
# **1a.** Write `global_norm(tensors)`: the length of all gradients laid end to end as one long vector, that
# is, the square root of the sum of the squares of every element of every tensor. `tensors` is a list of
# tensors of any shape. A parameter that took no part in the loss has no gradient: skip every `None`. The norm
# of an empty list is 0. Return a number, or a tensor with one element.
#
# <details><summary>Hint</summary>
#
# Norms do not add: two sides of 3 and 4 make a diagonal of 5, not 7. Add *squares*, over everything, and
# take the root once, at the end.
# </details>

# %% [markdown] id="fix" lang="es" of="51a1798bda0e"
# ## 5 · Arregla
#
# Tres ejercicios. Cada comprobación es una pregunta pequeña, de lo grueso a lo fino; la que falla te dice
# qué cree que salió mal. Ni probar ni abrir una pista cuesta puntos.
#
# ### Ejercicio 1 · Recorta por la norma global
#
# > Dificultad ●●○○○ · Importancia ●●●●● · 15 minutos
#
# **1a.** Escribe `global_norm(tensors)`: la longitud de todos los gradientes puestos uno tras otro como un
# solo vector largo, es decir, la raíz cuadrada de la suma de los cuadrados de todos los elementos de todos
# los tensores. `tensors` es una lista de tensores de cualquier forma. Un parámetro que no participó en el
# loss no tiene gradiente: sáltate cada `None`. La norma de una lista vacía es 0. Devuelve un número, o un
# tensor con un solo elemento.
#
# <details><summary>Pista</summary>
#
# Las normas no se suman: dos lados de 3 y 4 dan una diagonal de 5, no de 7. Suma *cuadrados*, de todo, y
# saca la raíz una sola vez, al final.
# </details>


# %% solution="global-norm"
def global_norm(tensors):
    ### BEGIN SOLUTION
    squares = [tensor.square().sum().item() for tensor in tensors if tensor is not None]
    return math.sqrt(sum(squares))
    ### END SOLUTION


# %% check="global-norm/one" points=1
check("global-norm/one", global_norm)

# %% check="global-norm/many" points=2
check("global-norm/many", global_norm)

# %% check="global-norm/missing" points=1
check("global-norm/missing", global_norm)

# %% [markdown] id="task-clip" lang="en"
# **1b.** Write `clip_gradients(parameters, max_norm)`. It changes the gradients (`parameter.grad`) in place:
#
# * when their global norm is above `max_norm`, *all* of them shrink by the same factor, so that the global
#   norm is `max_norm` and the direction stays;
# * when it is not, they stay exactly as they are; gradients that are 0 stay 0;
# * it returns the global norm **before** clipping. That is the number to log: after clipping there is
#   nothing left to see.
#
# `parameters` may be a list or `model.parameters()`, and some may have no gradient. To divide by
# `norm + 1e-6`, as PyTorch does, is fine. Write the clipping yourself, then compare with
# `torch.nn.utils.clip_grad_norm_` if you like.
#
# <details><summary>Hint 1: it works on a list and not on a model</summary>
#
# `model.parameters()` can be gone through only once. Make a list of it first.
# </details>
# <details><summary>Hint 2: one factor for all</summary>
#
# `factor = min(1, max_norm / (norm + 1e-6))` is right in all three cases. `grad.mul_(factor)` changes it in
# place; `grad = grad * factor` only gives the old name to a new tensor.
# </details>

# %% [markdown] id="task-clip" lang="es" of="ea660f8a1bb7"
# **1b.** Escribe `clip_gradients(parameters, max_norm)`. Cambia los gradientes (`parameter.grad`) mismos,
# sin crear otros:
#
# * si su norma global pasa de `max_norm`, *todos* se encogen por el mismo factor, de modo que la norma
#   global valga `max_norm` y la dirección no cambie;
# * si no pasa, se quedan exactamente como están; los gradientes que valen 0 siguen en 0;
# * devuelve la norma global de **antes** del clipping. Ese es el número que va al log: después del clipping
#   ya no hay nada que ver.
#
# `parameters` puede ser una lista o `model.parameters()`, y algunos pueden no tener gradiente. Dividir entre
# `norm + 1e-6`, como hace PyTorch, está bien. Escribe tú el clipping y compáralo después, si quieres, con
# `torch.nn.utils.clip_grad_norm_`.
#
# <details><summary>Pista 1: funciona con una lista y no con un modelo</summary>
#
# `model.parameters()` solo se puede recorrer una vez. Conviértelo primero en una lista.
# </details>
# <details><summary>Pista 2: un factor para todos</summary>
#
# `factor = min(1, max_norm / (norm + 1e-6))` sirve en los tres casos. `grad.mul_(factor)` cambia el tensor
# mismo; `grad = grad * factor` solo le da un nombre viejo a un tensor nuevo.
# </details>


# %% solution="clip-gradients"
def clip_gradients(parameters, max_norm):
    ### BEGIN SOLUTION
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = global_norm(gradients)
    factor = min(1.0, max_norm / (norm + 1e-6))
    for gradient in gradients:
        gradient.mul_(factor)
    return norm
    ### END SOLUTION


# %% check="clip-gradients/long" points=2
check("clip-gradients/long", clip_gradients)

# %% check="clip-gradients/short" points=1
check("clip-gradients/short", clip_gradients)

# %% check="clip-gradients/zero" points=1
check("clip-gradients/zero", clip_gradients)

# %% check="clip-gradients/generator" points=1
check("clip-gradients/generator", clip_gradients)

# %% check="clip-gradients/returns" points=1
check("clip-gradients/returns", clip_gradients)

# %% [markdown] id="task-spikes" lang="en"
# ### Exercise 2 · Which batch was it?
#
# > Difficulty ●●●○○ · Importance ●●●●○ · 15 minutes
#
# “There was a spike” helps nobody. “Step 60” does: here, as in any loop worth trusting, the batch follows
# from the step, so the step names the batch. Write `find_spikes(norms, factor=5.0, window=20)`. `norms` is
# a list of gradient norms before clipping, one per step from step 0. It returns the list of the steps that
# are spikes:
#
# * a norm more than `factor` times the **usual** norm is a spike. The usual norm is the median, or the mean, of
#   the last `window` **ordinary** norms before it. A spike is not ordinary, nor is a NaN or an infinity:
#   leave them out, however many come in a row;
# * a run has its own level, and it drifts: 3 may be healthy at step 5 and a spike at step 500. So neither a
#   fixed limit nor the average of the whole run works;
# * one spike must not hide the next: 300 among the last twenty norms pulls their mean up to 15 and more;
# * NaN and infinity are always spikes, and must not spoil what comes after;
# * with fewer than 5 ordinary norms before it, a finite norm is not judged.
#
# <details><summary>Hint 1: a shape to start from</summary>
#
# Go through the norms with `enumerate`, and keep a list `usual` of the ordinary ones so far. Compare each
# norm with `np.median(usual[-window:])`; append it to `usual` only if it is ordinary.
# </details>
# <details><summary>Hint 2: NaN</summary>
#
# `nan > 5` is false, so a NaN slips through any comparison, and one NaN in a list makes its mean and median
# NaN. Ask `math.isfinite` first.
# </details>

# %% [markdown] id="task-spikes" lang="es" of="aa67e386a20c"
# ### Ejercicio 2 · ¿Qué batch fue?
#
# > Dificultad ●●●○○ · Importancia ●●●●○ · 15 minutos
#
# «Hubo un pico» no le sirve a nadie. «El paso 60», sí: aquí, como en todo bucle digno de confianza, el batch depende
# solo del paso, así que el paso le pone nombre al batch. Escribe `find_spikes(norms, factor=5.0, window=20)`. `norms`
# es una lista con la norma del gradiente antes del clipping, una por paso desde el paso 0. Devuelve la lista de los
# pasos que son picos:
#
# * es un pico la norma que supera `factor` veces la norma **habitual**. La norma habitual sale de las últimas
#   `window` normas **normales** anteriores: es su mediana o su media. Un pico no es normal, ni lo son un NaN
#   o un infinito: déjalos fuera, por muchos que vengan seguidos;
# * cada run tiene su nivel, y se mueve: un 3 puede ser sano en el paso 5 y un pico en el paso 500. Por eso
#   no sirven ni un límite fijo ni el promedio de todo el run;
# * un pico no debe esconder al siguiente: un 300 entre las últimas veinte normas les sube la media a 15 o
#   más;
# * NaN e infinito siempre son picos, y no deben estropear lo que viene después;
# * con menos de 5 normas normales anteriores, una norma finita no se juzga.
#
# <details><summary>Pista 1: por dónde empezar</summary>
#
# Recorre las normas con `enumerate` y guarda en una lista `usual` las normales que ya viste. Compara cada
# norma con `np.median(usual[-window:])`; agrégala a `usual` solo si es normal.
# </details>
# <details><summary>Pista 2: NaN</summary>
#
# `nan > 5` es falso, así que un NaN se cuela por cualquier comparación, y un solo NaN en una lista vuelve
# NaN su media y su mediana. Pregunta primero `math.isfinite`.
# </details>


# %% solution="find-spikes"
def find_spikes(norms, factor=5.0, window=20):
    ### BEGIN SOLUTION
    usual, spikes = [], []
    for step, norm in enumerate(norms):
        recent = usual[-window:]
        if not math.isfinite(norm) or (len(recent) >= 5 and norm > factor * np.median(recent)):
            spikes.append(step)
        else:
            usual.append(norm)
    return spikes
    ### END SOLUTION


# %% check="find-spikes/one" points=1
check("find-spikes/one", find_spikes)

# %% check="find-spikes/calm" points=1
check("find-spikes/calm", find_spikes)

# %% check="find-spikes/behind" points=2
check("find-spikes/behind", find_spikes)

# %% check="find-spikes/nan" points=1
check("find-spikes/nan", find_spikes)

# %% [markdown] id="task-step" lang="en"
# ### Exercise 3 · The loop that looks right
#
# > Difficulty ●●●○○ · Importance ●●●●● · 10 minutes
#
# A batch too large for the memory is cut into *micro-batches*: their gradients add up, and one step uses the
# sum. Below is somebody's version. No line is missing; the run trains, the loss falls, the code has passed
# review. Read it before you continue. (`loss_of(model, batch)` is the mean cross-entropy of a batch, from the
# setup cell.)

# %% [markdown] id="task-step" lang="es" of="abeee6c52d39"
# ### Ejercicio 3 · El bucle que parece correcto
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 10 minutos
#
# Un batch que no cabe en la memoria se corta en *micro-batches*: sus gradientes se suman y un solo paso usa
# la suma. Abajo está la versión de alguien. No falta ninguna línea; el run entrena, el loss baja y el código
# pasó la revisión. Léelo antes de seguir. (`loss_of(model, batch)` es la entropía cruzada media de un batch;
# está en la celda de preparación.)


# %% id="suspicious"
def suspicious_step(model, optimizer, batches, max_norm):
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(model, batch) / len(batches)
        loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return norm


# %% [markdown] id="whole-and-pieces" lang="en"
# You can test a loop without training: the same 32 sequences, once as one batch and once in four pieces,
# must give the same gradient. The learning rate is 0 here, so nothing moves.

# %% [markdown] id="whole-and-pieces" lang="es" of="5b8a2f2fc6d5"
# Un bucle se puede probar sin entrenar: las mismas 32 secuencias, una vez como un solo batch y otra en cuatro trozos,
# deben dar el mismo gradiente. Aquí el learning rate es 0, así que nada se mueve.

# %% id="examine" compare=true
whole = recipe.get_batch(data.train, config.replace(batch_size=32), step=0)
quarters = [Batch(*part) for part in zip(*(tensor.split(8) for tensor in whole), strict=True)]


def examine(training_step):
    torch.manual_seed(config.seed)
    model = recipe.build_model(config)
    recipe.init_weights(model, config)
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    for key, pieces in {"one-batch": [whole], "four-pieces": quarters, "once-more": quarters}.items():
        print(f"{t(key):28} {float(training_step(model, still, pieces, 1.0)):.4f}")


examine(suspicious_step)

# %% [markdown] id="task-step-2" lang="en"
# In four pieces the norm is different. Which gradient reached the optimizer?
#
# Write `training_step(model, optimizer, batches, max_norm)`, one whole step in the right order:
#
# * the gradient is that of the mean over all `batches` (they are of equal size), with nothing left from the
#   step before;
# * it is clipped to a global norm of `max_norm`, once, when it is complete;
# * then, and only then, the optimizer steps, once;
# * it returns the norm before clipping.
#
# You may use your own `clip_gradients` or PyTorch's.
#
# <details><summary>Hint 1: what zero_grad() forgets</summary>
#
# It forgets everything since its last call. Inside the loop, that is the micro-batch before this one.
# </details>
# <details><summary>Hint 2: the order</summary>
#
# Clear, add up all micro-batches, clip, step. Clearing may also come last, after the step; never between
# `backward()` and `step()`.
# </details>

# %% [markdown] id="task-step-2" lang="es" of="29b5246ead47"
# En cuatro trozos la norma es otra. ¿Qué gradiente le llegó al optimizador?
#
# Escribe `training_step(model, optimizer, batches, max_norm)`, un paso completo en el orden correcto:
#
# * el gradiente es el de la media sobre todos los `batches` (son de igual tamaño), sin nada que quede del
#   paso anterior;
# * se recorta a una norma global de `max_norm`, una sola vez, cuando está completo;
# * entonces, y solo entonces, el optimizador da un paso, uno solo;
# * devuelve la norma de antes del clipping.
#
# Puedes usar tu propio `clip_gradients` o el de PyTorch.
#
# <details><summary>Pista 1: qué olvida zero_grad()</summary>
#
# Olvida todo lo que se acumuló desde su última llamada. Dentro del bucle, eso es el micro-batch anterior.
# </details>
# <details><summary>Pista 2: el orden</summary>
#
# Limpia, suma todos los micro-batches, recorta, da el paso. También puedes limpiar al final, después del
# paso; nunca entre `backward()` y `step()`.
# </details>


# %% solution="training-step"
def training_step(model, optimizer, batches, max_norm):
    ### BEGIN SOLUTION
    optimizer.zero_grad()
    for batch in batches:
        loss = loss_of(model, batch) / len(batches)
        loss.backward()
    norm = clip_gradients(model.parameters(), max_norm)
    optimizer.step()
    return norm
    ### END SOLUTION


# %% check="training-step/mean" points=2
check("training-step/mean", training_step)

# %% check="training-step/fresh" points=1
check("training-step/fresh", training_step)

# %% check="training-step/clipped" points=2
check("training-step/clipped", training_step)

# %% check="training-step/returns" points=1
check("training-step/returns", training_step)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# Three functions are three claims; runs are the proof. First the loop. Your `training_step` takes the same
# test as before: one batch and four pieces must now agree, and so must a second, identical call.

# %% [markdown] id="verify" lang="es" of="6a6e04472f3e"
# ## 6 · Comprueba
#
# Tres funciones son tres afirmaciones; la prueba son los runs. Primero, el bucle. Tu `training_step` hace la
# misma prueba de antes: un batch y cuatro trozos ahora deben coincidir, y también una segunda llamada
# idéntica.

# %% id="examine-mine" compare=true
examine(training_step)

# %% [markdown] id="one-bad-batch" lang="en"
# Now a run with a single damaged batch, somewhere. The trainer clips with your `clip_gradients`.

# %% [markdown] id="one-bad-batch" lang="es" of="66d9d61d0693"
# Ahora un run con un solo batch dañado, en alguna parte. El trainer recorta con tu `clip_gradients`.


# %% id="train-damaged"
def my_clip(model, optimizer, precision, max_norm):
    precision.scaler.unscale_(optimizer)
    return float(clip_gradients(model.parameters(), max_norm))


def one_failed_read(tokens, config, step, *place):
    batch = recipe.get_batch(tokens, config, step, *place)
    if step != 50 + config.seed % 50:
        return batch
    return batch._replace(inputs=torch.zeros_like(batch.inputs), targets=torch.zeros_like(batch.targets))


damaged_recipe = dataclasses.replace(
    recipe, config=config.replace(seed=1234), get_batch=one_failed_read, clip=my_clip
)
damaged = train(damaged_recipe, runs / "damaged", callbacks=[LivePlot()], overwrite=True)

# %% id="walk-damaged"
show(walk_section_3(damaged), Console(width=88))

# %% [markdown] id="too-small-for-the-tree" lang="en"
# The tree finds nothing: its limit for a spike is a norm of 100, chosen to suit runs that it knows nothing
# about. Yours knows what is usual *here*. Let it name the step, and get that step's batch back. Batches are a
# function of seed and step, so it is the very same one.

# %% [markdown] id="too-small-for-the-tree" lang="es" of="5e00bb0bc142"
# El árbol no encuentra nada: para él un pico empieza en una norma de 100, un límite pensado para runs de
# los que no sabe nada. El tuyo sabe qué es lo habitual *aquí*. Deja que nombre el paso y recupera el batch
# de ese paso. Los batches son función de la semilla y del paso, así que es exactamente el mismo.

# %% id="name-the-batch" compare=true
for step in find_spikes(norms_of(damaged)):
    batch = damaged_recipe.get_batch(data.train, damaged_recipe.config, int(step))
    print(t("step"), int(step))
    print(t("reads"), repr(data.tokenizer.decode(batch.inputs[0, :12])))

# %% [markdown] id="mend" lang="en"
# A batch of nothing. The cure is in the loader: a read that fails must be reported, not filled with zeros.
# With that fixed, the same run again; in grey, the one with the damaged batch.

# %% [markdown] id="mend" lang="es" of="9005a76c0e88"
# Un batch lleno de nada. La cura está en el loader: si una lectura falla, se avisa; no se rellena con
# ceros. Con eso arreglado, el mismo run otra vez; en gris, el del batch dañado.

# %% id="train-repaired"
repaired_recipe = dataclasses.replace(damaged_recipe, get_batch=recipe.get_batch)
repaired = train(
    repaired_recipe, runs / "repaired", callbacks=[LivePlot(before=damaged.metrics)], overwrite=True
)

# %% id="before-and-after"
for name, run in {"damaged": damaged, "repaired": repaired}.items():
    spikes = len(find_spikes(norms_of(run)))
    print(f"{t(name):10} {t('spikes')} {spikes}   {t('last-loss')} {last_loss(run):.2f}")

# %% [markdown] id="what-clipping-did" lang="en"
# The final loss is nearly the same with and without the bad batch: clipping did its work. That is good for
# the run, but it lulls you, because one high point in a loss curve is soon smoothed away. If reads fail once
# in 120 steps, they fail a thousand times in a long run, and each time a part of your data is missing.
# Clipping is a seat belt; `find_spikes` is the report of the accident.

# %% [markdown] id="what-clipping-did" lang="es" of="75f3b5a612c6"
# El loss final es casi el mismo con el batch malo y sin él: el clipping hizo su trabajo. Eso es bueno para el
# run, pero te hace bajar la guardia, porque un solo punto alto en una curva de loss pronto queda suavizado.
# Si las lecturas fallan una vez cada 120 pasos, en un run largo fallan mil veces, y cada vez falta una parte
# de tus datos. El clipping es el cinturón de seguridad; `find_spikes` es el informe del accidente.

# %% [markdown] id="explain" lang="en"
# ## 7 · Explain
#
# A colleague shows you a plot: *“Look how stable. The gradient norm is exactly 1.00 at every step. And
# since we clip, a bad batch cannot hurt us anyway.”*
#
# Answer in three to six sentences, in the cell below: what a norm of exactly 1.00 at every step tells you,
# and what it does not; what clipping changes in the step of a bad batch, and what it does not change; and
# what you would log and look at instead. (Three points, one for each.)

# %% [markdown] id="explain" lang="es" of="be0c1221097a"
# ## 7 · Explica
#
# Un colega te muestra una gráfica: *«Mira qué estable. La norma del gradiente es exactamente 1.00 en todos
# los pasos. Y como hacemos clipping, un batch malo de todos modos no nos puede hacer daño».*
#
# Responde en tres a seis oraciones, en la celda de abajo: qué te dice una norma de exactamente 1.00 en
# todos los pasos, y qué no; qué cambia el clipping en el paso de un batch malo, y qué no cambia; y qué
# registrarías y mirarías en su lugar. (Tres puntos, uno por cada parte.)

# %% [markdown] answer="explain-the-flat-line" points=3 lang="en"
# Gradients never have the same length at every step, so 1.00 is the limit and not a measurement: the norm is
# logged after clipping, and every step exceeds the limit. The line would be just as flat with a damaged
# batch, a gradient that is never cleared or a sum that nobody divides. Clipping shortens the step of a bad
# batch to that of any other; its direction stays wrong, the step is still taken, and momentum keeps it going
# for a while. I would log the norm before clipping and the share of clipped steps, compare each norm with the
# usual one of the steps before it, and for every spike take the step's batch and read it.
#
# ---
# **Rubric.** One point each. (1) 1.00 is the clipping limit, measured after clipping, so it holds no
# information about the gradients (or: every step is clipped). “Too stable to be true” alone earns nothing.
# (2) Clipping bounds the length and leaves the direction, so the bad batch still moves the weights (or: it
# hides the batch from the loss). (3) Names a measurement that decides: norm before clipping, clipped share,
# or spikes traced to their step and batch. “Lower the limit” or “lower the learning rate” does not count.

# %% [markdown] answer="explain-the-flat-line" points=3 lang="es" of="d9798f4ad346"
# Los gradientes nunca miden lo mismo en todos los pasos, así que 1.00 es el límite y no una medida: la
# norma se registra después del clipping, y todos los pasos superan el límite. La línea sería igual de plana
# con un batch dañado, con un gradiente que nadie limpia o con una suma que nadie divide. El clipping acorta
# el paso de un batch malo hasta el de cualquier otro; su dirección sigue equivocada, el paso se da de todos
# modos y el momentum lo arrastra un rato. Yo registraría la norma de antes del clipping y la parte de pasos
# recortados, compararía cada norma con la habitual de los pasos anteriores y, en cada pico, recuperaría el
# batch de ese paso para leerlo.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) 1.00 es el límite del clipping, medido después de recortar, así
# que no dice nada de los gradientes (o: todos los pasos se recortan). «Demasiado estable para ser verdad»
# por sí solo no da puntos. (2) El clipping acota la longitud y deja la dirección, así que el batch malo
# mueve los pesos de todos modos (o: esconde el batch a quien mira el loss). (3) Nombra una medida que
# decide: la norma de antes del clipping, la parte recortada, o los picos con su paso y su batch. «Bajar el
# límite» o «bajar el learning rate» no cuenta.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# At every step: the gradient norm *before* clipping, and whether it was clipped.
#
# | leaf | symptom | threshold | first action |
# |---|---|---|---|
# | `always-clipping` | the loss may look fine; norms are one thing, the limit another | usual norm above 5; or over 90 % of steps clipped and the usual norm over 6 times the limit | look for a cause of large gradients; then set the limit a little above the usual norm |
# | `missing-zero-grad` | loss too high, norms too large, nearly every step clipped | any gradient left after a step | clear once per step: not before `step()`, not between micro-batches |
# | `frozen-parameters` | loss stops early; norms small and calm | any parameter frozen that nobody declared; usual norm below 0.01 | list the parameters that do not require a gradient |
# | `gradient-spikes` | norms calm, and now and then far off; the loss may hide it | more than 3 norms above 100 in 200 steps | name the steps, decode their batches |
# | one bad batch | a norm many times the usual one | 5 × the median of the 20 before it | the same: step → batch → read it |
#
# One leaf at a time: fix it, run again, walk again from the top. The next lesson, 18-04, asks whether the
# losses move, and whether the validation loss can be believed.

# %% [markdown] id="card" lang="es" of="e65558d1ad74"
# ## 8 · Una tarjeta para guardar
#
# En cada paso: la norma del gradiente *antes* del clipping, y si se recortó.
#
# | hoja | síntoma | umbral | primera acción |
# |---|---|---|---|
# | `always-clipping` | el loss puede verse bien; las normas van por un lado y el límite por otro | norma habitual mayor que 5; o más del 90 % de los pasos recortados y una norma habitual de más de 6 veces el límite | busca qué agranda los gradientes; después pon el límite un poco por encima de la norma habitual |
# | `missing-zero-grad` | loss demasiado alto, normas demasiado grandes, casi todos los pasos recortados | cualquier gradiente que quede después de un paso | limpia una vez por paso: ni antes de `step()` ni entre micro-batches |
# | `frozen-parameters` | el loss deja pronto de bajar; normas pequeñas y tranquilas | cualquier parámetro congelado sin que nadie lo haya declarado; norma habitual menor que 0.01 | haz la lista de los parámetros que no piden gradiente |
# | `gradient-spikes` | normas tranquilas que de vez en cuando se disparan; el loss puede esconderlo | más de 3 normas mayores que 100 en 200 pasos | nombra los pasos y decodifica sus batches |
# | un batch malo | una norma muchas veces mayor que la habitual | 5 × la mediana de las 20 anteriores | lo mismo: paso → batch → léelo |
#
# Una hoja a la vez: arréglala, entrena de nuevo y recorre el árbol desde el principio. La próxima lección,
# 18-04, pregunta si los losses se mueven y si se le puede creer al loss de validación.

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# Your functions need nothing of this course. Here a small network learns to add up eight numbers, and at step 41 its
# numbers are a hundred times too large. Clipping and noting the norm is one line of the loop; the detector reads the
# list afterwards.

# %% [markdown] id="own-run" lang="es" of="beb783c4917b"
# ## 9 · En tu propio run
#
# Tus funciones no necesitan nada de este curso. Aquí una red pequeña aprende a sumar ocho números, y en el paso 41 los
# números llegan cien veces más grandes. Recortar y anotar la norma es una sola línea del bucle; el detector lee la
# lista después.

# %% id="another-loop" compare=true
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
adam, lengths = torch.optim.Adam(net.parameters(), lr=1e-2), []
for step in range(60):
    numbers = torch.randn(32, 8) * (100 if step == 41 else 1)
    adam.zero_grad()
    (net(numbers) - numbers.sum(1, keepdim=True)).square().mean().backward()
    lengths.append(float(clip_gradients(list(net.parameters()), 1.0)))
    adam.step()
print(f"{t('spikes-at')}: {find_spikes(lengths)}")

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# **A true story.** The paper on DQN says that it helped “to clip the error term from the update” to the range from −1
# to 1. That can be read in two ways: clip the loss, or clip the factor in its gradient. The first sounds more
# natural, and where the loss is clipped its gradient is **zero**: the examples with the largest errors teach nothing.
# A popular implementation did just that. OpenAI tells it in [2017](https://openai.com/index/openai-baselines-dqn/),
# with the remedy of this lesson: look whether the gradients are as you expect.
#
# * Clipping by the global norm: Pascanu et al., 2012, [1211.5063](https://arxiv.org/abs/1211.5063).
# * What PyTorch does: [clip_grad_norm_](https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html).
# * Gradients of single rows, for the task below: [a tutorial of
#   PyTorch](https://docs.pytorch.org/tutorials/intermediate/per_sample_grads.html).
#
# **A hard bonus task.** A spike names its batch. Which **row** of the batch was it? Compute the gradient norm of each
# row by itself, without a loop over rows, for a small network `net`, inputs `xs` and classes `ys`.
#
# <details><summary>Hint</summary>
#
# `torch.func.grad` differentiates a function of the weights, and `vmap` maps it over rows.
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# from torch.func import functional_call, grad, vmap
#
# def loss_of_row(weights, x, y):
#     return F.cross_entropy(functional_call(net, weights, (x[None],)), y[None])
#
# weights = {name: weight.detach() for name, weight in net.named_parameters()}
# per_row = vmap(grad(loss_of_row), in_dims=(None, 0, 0))(weights, xs, ys)
# norms = sum(each.flatten(1).square().sum(dim=1) for each in per_row.values()).sqrt()
# print(norms.argmax(), norms.max() / norms.median())
# ```
#
# If one row is 50 times too large, it stands out at once, though the norm of the batch only looks somewhat high.
# </details>

# %% [markdown] id="sources" lang="es" of="4451bc964caf"
# ## 10 · De dónde viene esto
#
# **Una historia real.** El artículo sobre DQN dice que ayudó recortar el término de error de la actualización entre
# −1 y 1. Eso se puede leer de dos maneras: recortar el loss o recortar el factor que aparece en su gradiente. La
# primera suena más natural, y donde el loss está recortado su gradiente es **cero**: los ejemplos con los errores más
# grandes no enseñan nada. Una implementación muy usada hacía justo eso. OpenAI lo cuenta en
# [2017](https://openai.com/index/openai-baselines-dqn/), con el remedio de esta lección: mira si los gradientes son
# como esperas.
#
# * Recortar por la norma global: Pascanu et al., 2012, [1211.5063](https://arxiv.org/abs/1211.5063).
# * Lo que hace PyTorch: [clip_grad_norm_](https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html).
# * Gradientes de filas sueltas, para el reto de abajo: [un tutorial de
#   PyTorch](https://docs.pytorch.org/tutorials/intermediate/per_sample_grads.html).
#
# **Un reto extra, difícil.** Un pico señala su batch. ¿Qué **fila** del batch fue? Calcula la norma del gradiente de
# cada fila por separado, sin un bucle sobre las filas, para una red pequeña `net`, entradas `xs` y clases `ys`.
#
# <details><summary>Pista</summary>
#
# `torch.func.grad` deriva una función de los pesos, y `vmap` la aplica a cada fila.
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# from torch.func import functional_call, grad, vmap
#
# def loss_of_row(weights, x, y):
#     return F.cross_entropy(functional_call(net, weights, (x[None],)), y[None])
#
# weights = {name: weight.detach() for name, weight in net.named_parameters()}
# per_row = vmap(grad(loss_of_row), in_dims=(None, 0, 0))(weights, xs, ys)
# norms = sum(each.flatten(1).square().sum(dim=1) for each in per_row.values()).sqrt()
# print(norms.argmax(), norms.max() / norms.median())
# ```
#
# Si una fila es 50 veces demasiado grande, salta a la vista, aunque la norma del batch solo parezca algo alta.
# </details>
