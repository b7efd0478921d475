"""Lesson 18-01: did the run start? Six broken starts, told apart before the first update."""

# %% [markdown] id="why" lang="en"
# Your loss is going down. Is the run healthy?
#
# At step 0 the model has learnt nothing, so you can work out what the log must say *before you look at it*.
# No other moment of a run is so cheap to check: one batch, one line of the log. And many a run that somebody
# gives up on in the fourth hour was already broken on that line.
#
# Here you break a real mini-GPT, watch it train, and read the evidence yourself. Afterwards you can
#
# * say what the first loss must be, and how far off is too far;
# * tell six broken starts apart: from two numbers where they are enough, with one more measurement where they
#   are not;
# * write an initialisation and a masked loss that start right, and prove it with a run.
#
# Run the cells in order with **Shift + Enter**. Everything trains on your own machine, in seconds; no GPU is
# needed.

# %% [markdown] id="why" lang="es" of="2e7d8f7b2dd4"
# Tu loss está bajando. ¿Está sano el run?
#
# En el paso 0 el modelo no ha aprendido nada, así que puedes calcular lo que debe decir el log *antes de
# mirarlo*. No hay otro momento del run que sea tan barato de revisar: un batch, una línea del log. Y más de
# un run que alguien abandona a la cuarta hora ya estaba roto en esa línea.
#
# Aquí vas a romper un mini-GPT de verdad, verlo entrenar y leer tú la evidencia. Al terminar sabrás
#
# * decir cuánto debe valer el primer loss, y cuánta diferencia es demasiada;
# * distinguir seis malos arranques: con dos números cuando bastan, y con una medida más cuando no;
# * escribir una inicialización y un loss con máscara que arrancan bien, y demostrarlo con un run.
#
# Ejecuta las celdas en orden con **Shift + Enter**. Todo se entrena en tu propia máquina, en segundos; no
# hace falta GPU.

# %% id="setup" setup=true
import dataclasses
import math
import random
import textwrap
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
from course.widgets import Slider, playground
from minigpt import Config, Recipe, diagnosis, train
from minigpt.diagnosis.report import seen, show
from minigpt.diagnosis.trees.configuration.start import START_QUESTIONS
from minigpt.faults import FAULTS
from minigpt.model.gpt import parameter_count

lesson("18-01")
runs = Path("experiments") / "18-01"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9


def walk_section_1(run):
    return diagnosis.walk(diagnosis.evidence_of(run.path), START_QUESTIONS)


# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# The model is a two-layer GPT that learns to conjugate: each line of its text is a sentence in Spanish and
# the same one in English. These are the facts you need.

# %% [markdown] id="meet" lang="es" of="b405384b64f7"
# ## 1 · Un run que se porta mal
#
# El modelo es un GPT de dos capas que aprende a conjugar: cada línea de su texto es una oración en español y
# la misma en inglés. Estos son los datos que necesitas.

# %% id="facts" compare=true
config = Config(steps=80, warmup_steps=20, lr_max=3e-3, eval_every=0)
recipe = Recipe(config)
data = recipe.load_data(config)
V = config.vocab_size

print(t("vocabulary"), V)
print(t("parameters"), f"{parameter_count(recipe.build_model(config)):,}")
print(t("tokens-a-step"), f"{config.batch_size * config.context:,}")
print(t("text"), *data.tokenizer.decode(data.train[:100]).splitlines()[:3], sep="\n    ")

# %% [markdown] id="colleague" lang="en"
# Then somebody “improves” the initialisation: every weight matrix is now initialised with a standard
# deviation 100 times too large. Nothing complains. No error, no warning, no NaN; the program runs to its end.
#
# A training run here is a `Recipe`: a config and the few functions that the loop is made of. A fault replaces
# one of those functions. This one replaces `init_weights`.

# %% [markdown] id="colleague" lang="es" of="68f4bdfa6c7c"
# Entonces alguien «mejora» la inicialización: ahora cada matriz de pesos empieza con una desviación estándar 100
# veces mayor de la debida. Nada avisa. Ni un error, ni una advertencia, ni un NaN; el programa llega hasta el final.
#
# Aquí un entrenamiento es una `Recipe`: una configuración y las pocas funciones que componen el bucle. Un
# fallo reemplaza una de esas funciones. Este reemplaza `init_weights`.

# %% id="break-it"
broken_recipe = recipe.with_fault("init-scale")

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# Before anything is drawn: **what will the loss be at step 0**, before the first update? Once for the healthy
# run, once for the broken one. Put a number in place of each `...` and run the cell. Nobody grades it, and a
# wrong guess that you wrote down will teach you more than a right one that you read.
#
# A nudge for the first number: a model that knows nothing has no reason to prefer any of its V tokens.

# %% [markdown] id="predict" lang="es" of="ccc2550d0deb"
# ## 2 · Predice
#
# Antes de dibujar nada: **¿cuánto valdrá el loss en el paso 0**, antes de la primera actualización? Una vez
# para el run sano y otra para el roto. Escribe un número en lugar de cada `...` y ejecuta la celda. Nadie lo
# califica, y una respuesta equivocada que anotaste te enseñará más que una correcta que leíste.
#
# Una pista para el primer número: un modelo que no sabe nada no tiene por qué preferir ninguno de sus V
# tokens.

# %% id="my-prediction"
predict("first-loss", healthy=..., broken=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it
#
# The healthy run first. Then the broken one, with the healthy run in grey behind it. The dashed line is ln V.

# %% [markdown] id="break" lang="es" of="b5eafc437dbb"
# ## 3 · Rómpelo
#
# Primero, el run sano. Después el roto, con el sano en gris al fondo. La línea discontinua es ln V.

# %% id="train-healthy"
healthy = train(recipe, runs / "healthy", callbacks=[LivePlot()], overwrite=True)

# %% id="train-broken"
in_grey = LivePlot(before=healthy.metrics)
broken = train(broken_recipe, runs / "broken", callbacks=[in_grey], overwrite=True)

# %% [markdown] id="your-guess" lang="en"
# Now compare with what you wrote down. If the second number surprised you, good: by the end of the next
# section it will not.

# %% [markdown] id="your-guess" lang="es" of="a5cd1be80ae9"
# Ahora compara con lo que anotaste. Si el segundo número te sorprendió, muy bien: al final de la próxima
# sección ya no te sorprenderá.

# %% id="compare-prediction" compare=true
compare("first-loss", healthy=healthy.metrics[0]["loss"], broken=broken.metrics[0]["loss"])

# %% [markdown] id="the-shape-deceives" lang="en"
# Look at the broken curve once more. It falls, and smoothly. Judged by its shape alone it is a fine run. So
# ask when each run first knew more than nothing, that is, when its loss first fell below ln V:

# %% [markdown] id="the-shape-deceives" lang="es" of="5513f20e9ece"
# Mira otra vez la curva rota. Baja, y sin sobresaltos. Si la juzgas solo por su forma, es un buen run.
# Pregúntate entonces cuándo supo cada run algo más que nada, es decir, cuándo bajó su loss de ln V por
# primera vez:

# %% id="first-below-chance" compare=true
for name, run in {"healthy": healthy, "broken": broken}.items():
    below = [record["step"] for record in run.metrics if record["loss"] < math.log(V)]
    answer = t("below-chance", step=below[0]) if below else t("never-below", steps=config.steps)
    print(f"{t(name):8} {answer}")

# %% [markdown] id="inspect" lang="en"
# All that time went into unlearning a bad start. That is why you judge the *start*, where you know the
# answer, before you judge the shape.
#
# ## 4 · Inspect
#
# ### What was asked for
#
# Every run leaves a `manifest.json`: what was asked of it. Open it first in anybody's run.

# %% [markdown] id="inspect" lang="es" of="0ff17b6378ee"
# Todo ese tiempo se fue en desaprender un mal comienzo. Por eso se juzga primero el *arranque*, donde conoces
# la respuesta, y después la forma.
#
# ## 4 · Inspecciona
#
# ### Lo que se pidió
#
# Cada run deja un `manifest.json`: lo que se le pidió. Es lo primero que se abre en el run de cualquiera.

# %% id="manifest" compare=true
for name in ("seed", "parameters", "starts_from"):
    print(f"{name:12} {broken.manifest[name]}")
for name in ("vocab_size", "n_layer", "batch_size", "init_std", "lr_max"):
    print(f"{name:12} {broken.manifest['config'][name]}")

# %% [markdown] id="asked-and-done" lang="en"
# `init_std` says 0.02, which is right. And yet the weights are wrong: a config records what was *asked for*;
# only a measurement says what *happened*. The trainer took one before the first update, and kept it in
# `probes.jsonl`:

# %% [markdown] id="asked-and-done" lang="es" of="644abe109c5b"
# `init_std` dice 0.02, y eso está bien. Sin embargo, los pesos están mal: una configuración registra lo que
# se *pidió*; solo una medida dice lo que *pasó*. El trainer hizo una antes de la primera actualización y la
# guardó en `probes.jsonl`:

# %% id="measured-weights" compare=true
print(f"{'std':>40}   {t('asked-for')}")
for name, weight in list(broken.probes[0]["weights"].items())[:6]:
    print(f"{name:30} {weight['std']:9.3f}   {weight['expected_std']:.3f}")

# %% [markdown] id="by-hand" lang="en"
# ### Walk the tree by hand
#
# The *stability check* is a list of questions in order of how cheap they are. You walk it from the top and
# stop at the first failing answer: that leaf is the one to fix. Its section 1 asks whether the run started at
# all. The first two questions need only the first line of the log, with Δ = loss₀ − ln V and ‖g‖ the gradient
# norm before clipping.
#
# | question | healthy | odd | broken |
# |---|:-:|:-:|:-:|
# | **1.1** Did it start at chance? Δ | −0.5 to 0.5 | 0.5 to 1.76 | above 1.76, or below −0.5 |
# | **1.2** Is the first gradient of a sane size? ‖g‖ | 0.1 to 10 | 10 to 100, or 0.001 to 0.1 | above 100, or below 0.001 |
#
# Find the row and the column for both runs.

# %% [markdown] id="by-hand" lang="es" of="6c7af3696a17"
# ### Recorre el árbol a mano
#
# La *revisión de estabilidad* es una lista de preguntas, de la más barata a la más cara. La recorres desde
# arriba y te detienes en la primera respuesta que falla: esa hoja es lo que hay que arreglar. Su sección 1
# pregunta si el run arrancó. Las dos primeras preguntas solo necesitan la primera línea del log, con Δ =
# loss₀ − ln V y ‖g‖, la norma del gradiente antes del clipping.
#
# | pregunta | sano | raro | roto |
# |---|:-:|:-:|:-:|
# | **1.1** ¿Arrancó al nivel del azar (ln V)? Δ | de −0.5 a 0.5 | de 0.5 a 1.76 | más de 1.76, o menos de −0.5 |
# | **1.2** ¿Tiene el primer gradiente un tamaño razonable? ‖g‖ | de 0.1 a 10 | de 10 a 100, o de 0.001 a 0.1 | más de 100, o menos de 0.001 |
#
# Busca la fila y la columna de los dos runs.

# %% id="first-lines" compare=true
print(f"ln {V} = {math.log(V):.2f}\n")
print(f"{'':8} {'loss₀':>8} {'Δ':>8} {'‖g‖':>8}")
for name, run in {"healthy": healthy, "broken": broken}.items():
    first = run.metrics[0]
    delta = first["loss"] - math.log(V)
    norm = float(f"{first['grad_norm']:.1g}")
    print(f"{t(name):8} {first['loss']:8.2f} {delta:+8.2f} {norm:8g}")

# %% [markdown] id="walker" lang="en"
# You have just done by hand what `minigpt check` does. This is its report on the broken run; it stops at the
# first failing answer, as you did. (In a new cell: `!minigpt check experiments/18-01/broken`.)

# %% [markdown] id="walker" lang="es" of="5320a4958940"
# Acabas de hacer a mano lo que hace `minigpt check`. Este es su informe del run roto; se detiene en la
# primera respuesta que falla, igual que tú. (En una celda nueva: `!minigpt check experiments/18-01/broken`.)

# %% id="walk-broken"
show(walk_section_1(broken), Console(width=88))

# %% [markdown] id="play" lang="en"
# ### Why do large weights cost so much? Turn the knob
#
# A real model, a real batch, no training: each time you move a slider, the weights are initialised again and
# the batch goes through once. On the left, the model's prediction after one piece of text: all 512 tokens,
# from the likeliest to the least likely. A model that knows nothing should be flat, every token at 1/V. In
# the middle and on the right, the two numbers that the tree reads; the green bands are healthy, and the grey
# line shows the model without a head bias.
#
# Drag a slider, or click it and use the arrow keys. (The code that draws is folded: click on its dots to read
# it.) Four things to find:
#
# 1. Leave the bias at 0 and scale the weights from ×1 to ×100. Which notices first, the loss or the gradient
#    norm?
# 2. Find a factor at which the loss is broken while the gradient norm is still healthy.
# 3. Put the factor back to ×1 and move only the bias. What does the gradient norm say?
# 4. Scale the weights down to ×0.1. Can any question of section 1 notice?

# %% [markdown] id="play" lang="es" of="5b3afa22e52f"
# ### ¿Por qué salen tan caros los pesos demasiado grandes? Gira la perilla
#
# Un modelo real, un batch real, nada de entrenamiento: cada vez que mueves un control se inicializan los
# pesos de nuevo y el batch pasa una vez. A la izquierda, la predicción del modelo después de un trozo de
# texto: los 512 tokens, del más probable al menos probable. Un modelo que no sabe nada debería ser plano, con
# cada token en 1/V. En el centro y a la derecha, los dos números que lee el árbol; las bandas verdes son lo
# sano, y la línea gris es el modelo sin bias en la cabeza.
#
# Arrastra un control, o haz clic en él y usa las flechas del teclado. (El código que dibuja está plegado: haz
# clic en los puntos para leerlo.) Cuatro cosas por descubrir:
#
# 1. Deja el bias en 0 y agranda los pesos de ×1 a ×100. ¿Quién lo nota primero, el loss o la norma del
#    gradiente?
# 2. Busca un factor con el que el loss esté roto y la norma del gradiente siga sana.
# 3. Vuelve a poner el factor en ×1 y mueve solo el bias. ¿Qué dice la norma del gradiente?
# 4. Baja el factor a ×0.1. ¿Puede notarlo alguna pregunta de la sección 1?

# %% id="one-start"
small = config.replace(batch_size=8)
batch = recipe.get_batch(data.train, small, step=0)


def start(width, bias):
    torch.manual_seed(config.seed)
    faulty = recipe.with_fault("init-scale", width).with_fault("head-bias", bias)
    model = faulty.build_model(config)
    faulty.init_weights(model, config)
    logits = model(batch.inputs)
    loss = faulty.loss(logits, batch.targets, batch.mask)
    loss.backward()
    norm = torch.nn.utils.get_total_norm(p.grad for p in model.parameters())
    return loss.item(), norm.item(), logits.detach()


widths = np.logspace(-1, 2, 31)
curve = [start(width, 0.0)[:2] for width in widths]

# %% id="playground" folded=true
text_before = data.tokenizer.decode(batch.inputs[0, :24]).replace("\n", " ⏎ ")
grid = {"left": 0.05, "right": 0.99, "bottom": 0.18, "top": 0.9, "wspace": 0.2}
powers = [0.1, 1, 10, 100]


def draw(figure, width, bias):
    loss, norm, logits = start(width, bias)
    chance = math.log(V)
    figure.set_layout_engine("none")
    left, middle, right = figure.subplots(1, 3, gridspec_kw=grid)

    probability, token = logits[0, 23].softmax(-1).sort(descending=True)
    top = data.tokenizer.decode([token[0]]).replace("\n", "⏎")
    left.plot(probability, color="#0072b2")
    left.axhline(1 / V, color="black", linestyle="--", linewidth=1)
    left.text(V, 1.5 / V, "1/V", ha="right")
    left.text(0.97, 0.91, f"{top!r}  {probability[0]:.1%}", ha="right", transform=left.transAxes)
    left.set(title=t("predicted"), xlabel=t("tokens-sorted"), yscale="log", ylim=(1e-7, 2))
    left.set_yticks([1e-6, 1e-4, 1e-2, 1])

    middle.axhspan(chance - 0.5, chance + 0.5, color="#009e73", alpha=0.18)
    middle.axhline(chance, color="black", linestyle="--", linewidth=1)
    middle.text(0.1, chance * 1.12, f"ln V = {chance:.2f}")
    middle.set(title=f"{t('loss')}: {loss:.3g}", yscale="log", ylim=(5, 70))
    middle.set_yticks([6, 10, 20, 50], labels=["6", "10", "20", "50"])

    right.axhspan(0.1, 10, color="#009e73", alpha=0.18)
    right.set(title=f"{t('gradient')}: {norm:.3g}", yscale="log", ylim=(0.05, 300))
    right.set_yticks([*powers], labels=["0.1", "1", "10", "100"])

    for axes, column, value in ((middle, 0, loss), (right, 1, norm)):
        axes.plot(widths, [point[column] for point in curve], color="0.6", linewidth=1)
        axes.plot(width, value, "o", color="#d55e00", markersize=8)
        axes.set(xlabel=t("width"), xscale="log")
        axes.set_xticks(powers, labels=["×0.1", "×1", "×10", "×100"])
    for axes in (left, middle, right):
        axes.minorticks_off()
        axes.title.set_fontsize(10)


print(t("after-the-text", text=text_before[-40:]))
playground(
    draw,
    size=(9.2, 2.8),
    width=Slider(t("width"), 0.1, 100.0, 1.0, log=True),
    bias=Slider(t("bias"), 0.0, 5.0, 0.0),
)

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. The loss. It leaves its band a little above ×6, the gradient norm only near ×30.
# 2. Around ×20. The loss is far out of its band, and the gradient norm has not noticed. One number is not
#    enough.
# 3. Nothing. The gradient norm stays in its band while the loss climbs. The weights are right; the head is
#    opinionated.
# 4. No. Flat predictions are right for a model that knows nothing, so both numbers look healthy. You have to
#    measure the weights themselves (section 5 of the tree does). No single question sees everything; that is
#    why the tree has many.
#
# **The reason.** The last norm brings the residual stream to the same size whatever the weights are, and the
# head multiplies it by its own weights. So logits grow with the head's weights: their standard deviation σ
# goes from about 0.16 at ×1 to about 16 at ×100. Softmax turns such a spread into near certainty about one
# random token, and the loss charges for certainty about the wrong token by the distance between logits. For
# normally distributed logits it is about ln V + σ²/2 as long as σ is small: σ = 1 costs 0.5, the edge of the
# healthy band.
# </details>

# %% [markdown] id="play-answers" lang="es" of="a997f58cdf43"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. El loss. Sale de su banda un poco después de ×6; la norma del gradiente, apenas cerca de ×30.
# 2. Alrededor de ×20. El loss está muy fuera de su banda y la norma del gradiente no se ha enterado. Un solo
#    número no basta.
# 3. Nada. La norma del gradiente sigue en su banda mientras el loss sube. Los pesos están bien; la que tiene
#    prejuicios es la cabeza.
# 4. No. Para un modelo que no sabe nada, una predicción plana es lo correcto, así que los dos números parecen
#    sanos. Hay que medir los pesos mismos (lo hace la sección 5 del árbol). Ninguna pregunta lo ve todo;
#    por eso el árbol tiene muchas.
#
# **La razón.** La última capa de normalización deja el flujo residual siempre del mismo tamaño, sean como sean los
# pesos, y la cabeza lo multiplica por los suyos. Por eso los logits crecen con los pesos de la cabeza: su desviación
# estándar σ pasa de cerca de 0.16 con ×1 a cerca de 16 con ×100. Softmax convierte esas diferencias en una certeza
# casi total sobre un token al azar, y el loss cobra la certeza equivocada según la distancia entre los logits. Con
# logits de distribución normal vale cerca de ln V + σ²/2 mientras σ sea pequeña: σ = 1 cuesta 0.5, el borde de la
# banda sana.
# </details>

# %% [markdown] id="patients" lang="en"
# ### Six patients
#
# Weights that are too large are one way to start badly. Here are six runs with one fault each, trained for a
# few steps, and a healthy one to compare with. The letters are shuffled. These are the six faults:

# %% [markdown] id="patients" lang="es" of="51eb9ae3383e"
# ### Seis pacientes
#
# Los pesos demasiado grandes son una manera de arrancar mal. Aquí tienes seis runs con un fallo cada uno, entrenados
# unos pocos pasos, y uno sano para comparar. Las letras están barajadas. Estos son los seis fallos:

# %% id="suspects"
suspects = [
    "degenerate-data",
    "head-bias",
    "init-scale",
    "loss-mask-empty",
    "loss-reduction",
    "not-untrained",
]
for name in suspects:
    print(f"{name:16} {FAULTS[name].text('breaks')}")

# %% id="ward"
patients = dict(zip("ABCDEF", random.Random(64).sample(suspects, 6), strict=True))
severity = {"not-untrained": 40}
brief = Recipe(config.replace(steps=20, warmup_steps=4, batch_size=16, eval_batches=1))
sick = {letter: brief.with_fault(fault, severity.get(fault)) for letter, fault in patients.items()}
charts = {}

print(f"{'':8} {'loss₀':>10} {'Δ':>10} {'‖g‖':>10}")
for name, ward_recipe in {t("healthy"): brief, **sick}.items():
    charts[name] = train(ward_recipe, runs / f"ward-{len(charts)}", overwrite=True)
    first = charts[name].metrics[0]
    delta = first["loss"] - math.log(V)
    print(f"{name:8} {first['loss']:10.2f} {delta:+10.2f} {first['grad_norm']:10.2f}")
reference = charts.pop(t("healthy"))

# %% [markdown] id="window" lang="en"
# The same numbers as a picture: the healthy window, and the runs outside it. Try to name each of the six
# before you read on. You have two numbers for each of them.

# %% [markdown] id="window" lang="es" of="2bf4f460fd02"
# Los mismos números en un dibujo: la ventana sana, y los runs que están fuera. Intenta ponerle nombre a cada
# uno de los seis antes de seguir leyendo. Tienes dos números de cada uno.

# %% id="window-of-health" folded=true
chance = math.log(V)
figure = Figure(figsize=(5.6, 2.8), layout="constrained")
axes = figure.subplots()
axes.fill_between((chance - 0.5, chance + 0.5), 0.1, 10, color="#009e73", alpha=0.3, linewidth=0)
axes.axvline(chance, color="black", linestyle="--", linewidth=1)
axes.text(chance * 1.12, 2000, f"ln V = {chance:.2f}")
axes.text(chance * 1.12, 0.13, t("healthy-window"), color="#00664b")
circle = {"boxstyle": "circle", "facecolor": "white", "edgecolor": "#d55e00"}
for letter, run in charts.items():
    first = run.metrics[0]
    point = (first["loss"], first["grad_norm"])
    axes.annotate(letter, point, ha="center", va="center", weight="bold", bbox=circle)
axes.set_xscale("symlog", linthresh=10)
axes.set_yscale("symlog", linthresh=0.1)
axes.set(xlim=(-1, 50_000), ylim=(-0.06, 20_000), xlabel=t("loss-0"), ylabel=t("gradient"))
Picture().show(figure, t("window-alt"))

# %% [markdown] id="inside" lang="en"
# One of them stands **inside the window**. Its first loss is at chance, its first gradient has a healthy
# size, and it is broken all the same. And of those above chance: is it the weights, the head, or the loss
# itself? Two numbers cannot tell. So look again: at the first steps (a healthy run in grey, the dashed
# line is ln V), and at four measurements that each cost one forward pass.

# %% [markdown] id="inside" lang="es" of="81d9f78786e4"
# Uno de ellos está **dentro de la ventana**. Su primer loss está al nivel del azar, su primer gradiente tiene un
# tamaño sano y, aun así, está roto. Y los que están por encima del azar: ¿son los pesos, la cabeza o el loss
# mismo? Dos números no bastan. Así que mira otra vez: los primeros pasos (en gris, un run sano; la línea
# discontinua es ln V), y cuatro medidas que cuestan una pasada hacia delante cada una.

# %% id="first-steps" folded=true
figure = Figure(figsize=(9.2, 1.9), layout="constrained")
for axes, (letter, run) in zip(figure.subplots(1, 6), charts.items(), strict=True):
    axes.axhline(chance, color="black", linestyle="--", linewidth=1)
    axes.plot([record["loss"] for record in reference.metrics], color="0.6", linewidth=1)
    axes.plot([record["loss"] for record in run.metrics], color="#0072b2")
    axes.set_title(letter, fontsize=10, weight="bold")
    axes.set_xlabel(t("step"), fontsize=8)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.tick_params(labelsize=7)
Picture().show(figure, t("first-steps-alt"))

# %% id="four-measurements" compare=true
columns = ("duplicate_batch_ratio", "head_bias_max", "unmasked_share", "distinct_targets")
print(f"{'':8}" + "".join(f"{t(column):>22}" for column in columns))
for letter, run in charts.items():
    probe = run.probes[0]
    print(f"{letter:8}" + "".join(f"{probe[column]:22.4g}" for column in columns))

# %% [markdown] id="diagnose" lang="en"
# Now decide. Put a name from the list above in place of each `...`, in quotes, such as
# `A="head-bias"`.

# %% [markdown] id="diagnose" lang="es" of="d14458e6417a"
# Ahora decídete. Escribe un nombre de la lista de arriba en lugar de cada `...`, entre comillas: por
# ejemplo, `A="head-bias"`.

# %% id="my-diagnosis"
predict("diagnosis", A=..., B=..., C=..., D=..., E=..., F=...)

# %% [markdown] id="walker-names" lang="en"
# And the walker. It looks at the evidence, never at the list of faults.

# %% [markdown] id="walker-names" lang="es" of="f853f6e6fd68"
# Y ahora el árbol. Solo mira la evidencia, nunca la lista de fallos.

# %% id="name-the-faults" compare=true
walks = {letter: walk_section_1(run) for letter, run in charts.items()}
compare("diagnosis", **{letter: walk.leaf for letter, walk in walks.items()})
print()
for letter, walk in walks.items():
    print(textwrap.fill(f"{letter}  {walk.end.question}  {seen(walk.end)}", 88, subsequent_indent=" " * 8))

# %% [markdown] id="lessons-of-the-ward" lang="en"
# Three things to take away.
#
# * **Too good is also broken.** A fresh model cannot start far below chance. One that does has seen the data
#   before: find the line that loads weights.
# * **A loss of exactly 0 is not a triumph.** It says that no target counts.
# * **At chance does not mean healthy.** When every target is the same token, the first loss is still ln V:
#   the model does not know which token it is, yet. Question 1.6 of the tree catches it at step 0; the curve
#   needs a few steps to look too good to be true.

# %% [markdown] id="lessons-of-the-ward" lang="es" of="0a74631523e6"
# Tres cosas para llevarte.
#
# * **Demasiado bueno también es roto.** Un modelo nuevo no puede arrancar muy por debajo del azar. Si lo
#   hace, ya vio los datos: busca la línea que carga pesos.
# * **Un loss de exactamente 0 no es un triunfo.** Dice que ningún target cuenta.
# * **Estar al nivel del azar no es estar sano.** Cuando todos los targets son el mismo token, el primer loss sigue
#   siendo ln V: el modelo todavía no sabe cuál es. La pregunta 1.6 del árbol lo descubre en el paso 0; la
#   curva necesita unos pasos para verse demasiado buena para ser verdad.

# %% [markdown] id="fix" lang="en"
# ## 5 · Fix
#
# Three exercises. Each check below an exercise is one small question, from coarse to fine; a failing one
# tells you what it thinks went wrong. Stuck? Open a hint. There is no penalty.
#
# ### Exercise 1 · The ruler
#
# > Difficulty ●○○○○ · Importance ●●●●● · 10 minutes
#
# **1a.** Write `expected_loss(vocab_size)`: the cross-entropy, in nats, of a model that gives each of
# `vocab_size` tokens the same probability. PyTorch's cross-entropy is in nats too.
#
# <details><summary>Hint</summary>
#
# The loss of one target is minus the natural logarithm of the probability that the model gave it. Which
# probability is that here?
# </details>

# %% [markdown] id="fix" lang="es" of="b6ec69c02a30"
# ## 5 · Arregla
#
# Tres ejercicios. Debajo de cada uno hay comprobaciones: preguntas pequeñas, de lo grueso a lo fino. La que
# falla te dice qué cree que salió mal. ¿Te atascaste? Abre una pista. No cuesta puntos.
#
# ### Ejercicio 1 · La regla de medir
#
# > Dificultad ●○○○○ · Importancia ●●●●● · 10 minutos
#
# **1a.** Escribe `expected_loss(vocab_size)`: la entropía cruzada, en nats, de un modelo que da la misma
# probabilidad a cada uno de los `vocab_size` tokens. La entropía cruzada de PyTorch también está en nats.
#
# <details><summary>Pista</summary>
#
# El loss de un target es el logaritmo natural, con el signo cambiado, de la probabilidad que el modelo le
# dio. ¿Cuál es aquí esa probabilidad?
# </details>


# %% solution="expected-loss"
def expected_loss(vocab_size):
    ### BEGIN SOLUTION
    return math.log(vocab_size)
    ### END SOLUTION


# %% check="expected-loss/course" points=1
check("expected-loss/course", expected_loss)

# %% check="expected-loss/any" points=1
check("expected-loss/any", expected_loss)

# %% check="expected-loss/one" points=1
check("expected-loss/one", expected_loss)

# %% [markdown] id="task-verdict" lang="en"
# **1b.** Write `start_verdict(loss, vocab_size)`: question 1.1 as code. With Δ = `loss` − ln V it returns one
# of five words.
#
# | Δ | returns |
# |---|---|
# | −0.5 ≤ Δ ≤ 0.5 | `"pass"` |
# | 0.5 < Δ ≤ 1.76 | `"warn"` |
# | Δ > 1.76 | `"too-high"` |
# | Δ < −0.5 | `"too-low"` |
# | the loss is NaN | `"unknown"` |
#
# <details><summary>Hint</summary>
#
# Every comparison with NaN is false: `nan > 1` and `nan <= 1` both are. So a chain of `if`s lets it fall
# through to whatever stands last. Ask about NaN first, with `math.isnan`.
# </details>

# %% [markdown] id="task-verdict" lang="es" of="a17747e5a76e"
# **1b.** Escribe `start_verdict(loss, vocab_size)`: la pregunta 1.1 hecha código. Con Δ = `loss` − ln V,
# devuelve una de cinco palabras.
#
# | Δ | devuelve |
# |---|---|
# | −0.5 ≤ Δ ≤ 0.5 | `"pass"` |
# | 0.5 < Δ ≤ 1.76 | `"warn"` |
# | Δ > 1.76 | `"too-high"` |
# | Δ < −0.5 | `"too-low"` |
# | el loss es NaN | `"unknown"` |
#
# <details><summary>Pista</summary>
#
# Toda comparación con NaN es falsa: lo son tanto `nan > 1` como `nan <= 1`. Por eso, en una cadena de `if`,
# el NaN cae hasta lo que esté al final. Pregunta primero por NaN, con `math.isnan`.
# </details>


# %% solution="start-verdict"
def start_verdict(loss, vocab_size):
    ### BEGIN SOLUTION
    delta = loss - expected_loss(vocab_size)
    if math.isnan(delta):
        return "unknown"
    if delta < -0.5:
        return "too-low"
    if delta <= 0.5:
        return "pass"
    return "warn" if delta <= 1.76 else "too-high"
    ### END SOLUTION


# %% check="start-verdict/healthy" points=1
check("start-verdict/healthy", start_verdict)

# %% check="start-verdict/high" points=1
check("start-verdict/high", start_verdict)

# %% check="start-verdict/low" points=1
check("start-verdict/low", start_verdict)

# %% check="start-verdict/nan" points=1
check("start-verdict/nan", start_verdict)

# %% [markdown] id="task-init" lang="en"
# ### Exercise 2 · An initialisation by role
#
# > Difficulty ●●●○○ · Importance ●●●●● · 15 minutes
#
# What if you write no initialisation at all and leave the model as PyTorch made it?

# %% [markdown] id="task-init" lang="es" of="608df4400a4c"
# ### Ejercicio 2 · Una inicialización según el papel
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 15 minutos
#
# ¿Y si no escribes ninguna inicialización y dejas el modelo como lo hizo PyTorch?

# %% id="left-alone"
torch.manual_seed(config.seed)
model = recipe.build_model(config.replace(bias=True))
for name, parameter in list(model.named_parameters())[:14]:
    mean, std = parameter.mean().item(), parameter.std().item()
    print(f"{name:22} {tuple(parameter.shape)!s:10}   mean {mean:6.3f}   std {std:.3f}")
print("…")
print("loss₀", f"{recipe.loss(model(batch.inputs), batch.targets, batch.mask).item():.1f}")

# %% [markdown] id="task-init-2" lang="en"
# Far above chance. Nobody made a mistake: PyTorch draws an embedding with a standard deviation of 1, and here
# the embedding is the head as well (`lm_head.weight` *is* `wte.weight`, one tensor with two names). A GPT
# needs its own initialisation, by the role that each parameter plays:
#
# | role | parameters | start |
# |---|---|---|
# | embeddings and linear layers | `wte`, `wpe`, `c_attn`, `c_fc` | normal, mean 0, standard deviation 0.02 |
# | projections into the residual stream | every `c_proj.weight` | normal, mean 0, standard deviation 0.02/√(2L) |
# | gains of the norms | `ln_1.weight`, `ln_2.weight`, `ln_f.weight` | 1 |
# | biases | every name that ends in `bias`, also `lm_head.bias` where there is one | 0 |
#
# L is `config.n_layer`. Each block adds to the residual stream twice, once from attention and once from the
# MLP, so 2L independent contributions add up. Variances add, so each is initialised with a standard deviation
# √(2L) times smaller.
#
# Write `init_weights(model, config)`. It changes the parameters in place. In the checks it gets a model in
# which *every* parameter holds a wrong value, and which may have any number of layers.
#
# <details><summary>Hint 1: how to go through the model</summary>
#
# `for name, parameter in model.named_parameters():` gives you everything you need: the name tells the role,
# and `parameter.ndim` is 2 for a matrix and 1 for a gain or a bias.
# </details>
# <details><summary>Hint 2: how to change a parameter in place</summary>
#
# `torch.nn.init` has `normal_`, `ones_` and `zeros_`. The underscore means “in place”. To assign by hand,
# work under `torch.no_grad()` and use `parameter.copy_(…)`; `parameter = …` only renames.
# </details>
# <details><summary>Hint 3: in which order to ask</summary>
#
# Ask about the special cases first: does the name end in `bias`? Does it have one dimension? Does it end in
# `c_proj.weight`? What is left is an ordinary matrix.
# </details>

# %% [markdown] id="task-init-2" lang="es" of="28e2b48af631"
# Muy por encima del azar. Nadie se equivocó: PyTorch inicializa un embedding con desviación estándar 1, y aquí el
# embedding es también la cabeza (`lm_head.weight` *es* `wte.weight`: un tensor con dos nombres). Un GPT
# necesita su propia inicialización, según el papel de cada parámetro:
#
# | papel | parámetros | comienzo |
# |---|---|---|
# | embeddings y capas lineales | `wte`, `wpe`, `c_attn`, `c_fc` | normal, media 0, desviación estándar 0.02 |
# | proyecciones al flujo residual | todos los `c_proj.weight` | normal, media 0, desviación estándar 0.02/√(2L) |
# | ganancias de las capas de normalización | `ln_1.weight`, `ln_2.weight`, `ln_f.weight` | 1 |
# | biases | lo que termina en `bias`, también `lm_head.bias` si existe | 0 |
#
# L es `config.n_layer`. Cada bloque suma dos veces al flujo residual, una desde la atención y otra desde el
# MLP, así que se suman 2L contribuciones independientes. Las varianzas se suman; por eso cada una se
# inicializa con una desviación estándar √(2L) veces menor.
#
# Escribe `init_weights(model, config)`. Cambia los parámetros del modelo sin crear otros. En las
# comprobaciones recibe un modelo en el que *todos* los parámetros tienen un valor equivocado, y que puede
# tener cualquier número de capas.
#
# <details><summary>Pista 1: cómo recorrer el modelo</summary>
#
# `for name, parameter in model.named_parameters():` te da todo lo que necesitas: el nombre dice el papel, y
# `parameter.ndim` vale 2 en una matriz y 1 en una ganancia o un bias.
# </details>
# <details><summary>Pista 2: cómo cambiar un parámetro sin crear otro</summary>
#
# `torch.nn.init` tiene `normal_`, `ones_` y `zeros_`. El guion bajo significa que cambian el tensor que
# reciben. Para asignar a mano, trabaja dentro de `torch.no_grad()` y usa `parameter.copy_(…)`; `parameter =
# …` solo cambia el nombre.
# </details>
# <details><summary>Pista 3: en qué orden preguntar</summary>
#
# Pregunta primero por los casos especiales: ¿el nombre termina en `bias`? ¿Tiene una sola dimensión? ¿Termina
# en `c_proj.weight`? Lo que queda es una matriz común.
# </details>


# %% solution="init-weights"
def init_weights(model, config):
    ### BEGIN SOLUTION
    residual_std = 0.02 / math.sqrt(2 * config.n_layer)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.zeros_(parameter)
        elif parameter.ndim == 1:
            torch.nn.init.ones_(parameter)
        elif name.endswith("c_proj.weight"):
            torch.nn.init.normal_(parameter, std=residual_std)
        else:
            torch.nn.init.normal_(parameter, std=0.02)
    ### END SOLUTION


# %% check="init-weights/matrices" points=2
check("init-weights/matrices", init_weights)

# %% check="init-weights/residual" points=2
check("init-weights/residual", init_weights)

# %% check="init-weights/gains" points=1
check("init-weights/gains", init_weights)

# %% check="init-weights/biases" points=1
check("init-weights/biases", init_weights)

# %% [markdown] id="task-mask" lang="en"
# ### Exercise 3 · A mean over what counts
#
# > Difficulty ●●●○○ · Importance ●●●●○ · 15 minutes
#
# Sentences differ in length, so batches get padding, and padding must not be learnt. The loss is the mean
# over the targets that count: not the sum (you have met that patient), not the mean over every position, and
# not NaN when a batch happens to hold nothing but padding.
#
# Write `masked_mean(losses, mask)`. `losses` is a float tensor (B, T) with the loss of each position; `mask`
# is a boolean tensor (B, T), true where the target counts. It returns a tensor of one number:
#
# * the mean of the losses where the mask is true; every *target* counts the same, however long its sentence
#   is;
# * 0 when the mask is true at no position, and `backward()` must still work;
# * whatever hides behind the mask, even `inf` or NaN, changes nothing. (But a NaN at a target that counts has
#   to show: that is news, not noise.)
#
# <details><summary>Hint 1: dividing by zero</summary>
#
# Sum and count separately. `mask.sum().clamp(min=1)` is never 0, and the sum over nothing is 0 already.
# </details>
# <details><summary>Hint 2: why not multiply by the mask?</summary>
#
# `0 * inf` is NaN, and `0 * nan` too. *Choose* instead of multiplying: `torch.where(mask, …, …)` or
# `losses[mask]`.
# </details>
# <details><summary>Hint 3: “does not require grad”</summary>
#
# A 0 that you make up yourself has no connection to `losses`, so there is nothing to differentiate. If no
# target counts, let the 0 come out of the same calculation.
# </details>

# %% [markdown] id="task-mask" lang="es" of="1fbf78231964"
# ### Ejercicio 3 · Una media sobre lo que cuenta
#
# > Dificultad ●●●○○ · Importancia ●●●●○ · 15 minutos
#
# Las oraciones tienen distinto largo, así que los batches llevan padding, y el padding no se debe aprender.
# El loss es la media sobre los targets que cuentan: no la suma (ya viste a ese paciente), no la media sobre
# todas las posiciones, y tampoco NaN cuando a un batch le toca solo padding.
#
# Escribe `masked_mean(losses, mask)`. `losses` es un tensor (B, T) de números reales con el loss de cada
# posición; `mask` es un tensor booleano (B, T), verdadero donde el target cuenta. Devuelve un tensor con un
# solo número:
#
# * la media de los losses donde la máscara es verdadera; todos los *targets* cuentan lo mismo, sea cual sea
#   el largo de su oración;
# * 0 cuando la máscara no es verdadera en ninguna parte, y `backward()` tiene que seguir funcionando;
# * lo que se esconda detrás de la máscara, aunque sea `inf` o NaN, no cambia nada. (Pero un NaN en un target
#   que sí cuenta se tiene que ver: es una noticia, no ruido.)
#
# <details><summary>Pista 1: dividir entre cero</summary>
#
# Suma y cuenta por separado. `mask.sum().clamp(min=1)` nunca vale 0, y la suma sobre nada ya es 0.
# </details>
# <details><summary>Pista 2: ¿por qué no multiplicar por la máscara?</summary>
#
# `0 * inf` es NaN, y `0 * nan` también. En lugar de multiplicar, *elige*: `torch.where(mask, …, …)` o
# `losses[mask]`.
# </details>
# <details><summary>Pista 3: “does not require grad”</summary>
#
# Un 0 que inventas tú no tiene conexión con `losses`, así que no hay nada que derivar. Si ningún target
# cuenta, deja que el 0 salga del mismo cálculo.
# </details>


# %% solution="masked-mean"
def masked_mean(losses, mask):
    ### BEGIN SOLUTION
    kept = torch.where(mask, losses, 0.0)
    return kept.sum() / mask.sum().clamp(min=1)
    ### END SOLUTION


# %% check="masked-mean/full" points=1
check("masked-mean/full", masked_mean)

# %% check="masked-mean/padding" points=2
check("masked-mean/padding", masked_mean)

# %% check="masked-mean/empty" points=1
check("masked-mean/empty", masked_mean)

# %% check="masked-mean/leak" points=1
check("masked-mean/leak", masked_mean)

# %% check="masked-mean/gradient" points=1
check("masked-mean/gradient", masked_mean)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# A fix is a claim; a run is the proof. Replace the broken recipe's functions with your own, train again, and
# walk the tree again. In grey, the broken run from before.

# %% [markdown] id="verify" lang="es" of="3d0a87bb8514"
# ## 6 · Comprueba
#
# Un arreglo es una afirmación; la prueba es un run. Reemplaza las funciones de la receta rota por las tuyas,
# entrena de nuevo y recorre otra vez el árbol. En gris, el run roto de antes.


# %% id="my-loss"
def my_loss(logits, targets, mask):
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return masked_mean(losses.view_as(targets), mask)


mine = {"init_weights": init_weights, "loss": my_loss, "faults": ()}
repaired_recipe = dataclasses.replace(broken_recipe, **mine)

# %% id="train-repaired"
repaired = train(
    repaired_recipe, runs / "repaired", callbacks=[LivePlot(before=broken.metrics)], overwrite=True
)

# %% id="your-ruler" compare=true
for name, run in {"broken": broken, "repaired": repaired, "healthy": healthy}.items():
    loss = run.metrics[0]["loss"]
    print(f"{t(name):10} {loss:8.2f}   {start_verdict(loss, V)}")

# %% id="walk-repaired"
show(walk_section_1(repaired), Console(width=88))

# %% [markdown] id="treat-the-ward" lang="en"
# Green to the last question of section 1, in your own code. Now put the same two functions into each of the
# six patients. **How many will they cure?** Write your guess down first.

# %% [markdown] id="treat-the-ward" lang="es" of="0d43c7dca7a4"
# Verde hasta la última pregunta de la sección 1, y con tu propio código. Ahora pon esas dos funciones en cada
# uno de los seis pacientes. **¿A cuántos van a curar?** Anota primero tu respuesta.

# %% id="my-second-prediction"
predict("cures", cured=...)

# %% id="cures" compare=true
first_step = brief.config.replace(steps=1, warmup_steps=1)
cured = 0
print(f"{'':4} {t('before'):18} {t('after')}")
for letter, sick_recipe in sick.items():
    treated = dataclasses.replace(sick_recipe, config=first_step, **mine)
    run = train(treated, runs / f"treated-{letter}", overwrite=True)
    leaf = walk_section_1(run).leaf
    cured += leaf is None
    print(f"{letter:4} {walks[letter].leaf:18} {leaf or t('healthy')}")
print()
compare("cures", cured=cured)

# %% [markdown] id="two-remain" lang="en"
# Two remain, and they have something in common: nothing is wrong with their model or their loss. Their
# **batches** are broken, and no initialisation fixes a batch. Your `masked_mean` keeps one of them from
# turning into NaN, as a guard should; but a guard is not a cure, and the tree keeps reporting the fault until
# somebody fixes the loader. That is why the first action for these two is to decode one batch and read it:

# %% [markdown] id="two-remain" lang="es" of="37729c2256fe"
# Quedan dos, y tienen algo en común: ni su modelo ni su loss tienen nada malo. Los rotos son sus **batches**,
# y ninguna inicialización arregla un batch. Tu `masked_mean` evita que uno de ellos se convierta en NaN, que
# para eso está una protección; pero una protección no es una cura, y el árbol seguirá señalando el fallo
# hasta que alguien arregle el loader. Por eso, con estos dos, lo primero es decodificar un batch y leerlo:

# %% id="read-a-batch" compare=true
for letter, sick_recipe in sick.items():
    if sick_recipe.get_batch is not recipe.get_batch:
        ill = sick_recipe.get_batch(data.train, brief.config, step=0)
        print(letter, t("targets"), repr(data.tokenizer.decode(ill.targets[0, :16])))
        print(" ", t("counted"), ill.mask.sum().item(), "/", ill.mask.numel())

# %% [markdown] id="explain" lang="en"
# ## 7 · Explain
#
# A colleague looks at the curve of the broken run and says: *“It has fallen a long way. It is learning. Let
# it run overnight.”*
#
# Answer in three to six sentences, in the cell below: what the first loss says about what this model was
# predicting, and why; why a falling curve does not show that a run is healthy; and what you would look at
# before you spend a night on it. (Three points, one for each.)

# %% [markdown] id="explain" lang="es" of="eae98679e0a1"
# ## 7 · Explica
#
# Un colega mira la curva del run roto y dice: *«Ha bajado muchísimo. Está aprendiendo. Déjalo correr toda la
# noche».*
#
# Responde en tres a seis oraciones, en la celda de abajo: qué dice el primer loss sobre lo que este modelo
# predecía, y por qué; por qué una curva que baja no demuestra que un run esté sano; y qué mirarías antes de
# gastar una noche en él. (Tres puntos, uno por cada parte.)

# %% [markdown] answer="explain-to-a-colleague" points=3 lang="en"
# The run started far above ln V, so before any training the model was almost certain of wrong tokens; a model
# that knows nothing should spread its probability evenly. The weights were initialised with a standard
# deviation 100 times too large, so the logits are too large as well, and softmax turns their spread into
# certainty. The fall shows only that training is taking back a certainty it should never have had: after all
# those steps the loss is still above chance, where the healthy run was before its first update. I would
# compare the loss of step 0 with ln V, look at the first gradient norm, and measure the standard deviation of
# the weights against what the config asks for; that costs one batch.
#
# ---
# **Rubric.** One point each. (1) The model was confident and wrong before training, because the weights, and
# so the logits, are far too large. “The loss is too high” alone earns nothing. (2) A falling loss says
# nothing about the level: compares with ln V or with the healthy run, or says that it is unlearning the
# initialisation. (3) Names a measurement at step 0 that decides: loss against ln V, gradient norm, or
# measured against intended standard deviation. “Lower the learning rate” or “train longer” does not count.

# %% [markdown] answer="explain-to-a-colleague" points=3 lang="es" of="ba0b3adeb2d3"
# El run empezó muy por encima de ln V: antes de entrenar, el modelo estaba casi seguro de tokens equivocados; un
# modelo que no sabe nada debería repartir su probabilidad por igual. Los pesos se inicializaron con una desviación
# estándar 100 veces mayor de la debida, así que los logits también, y softmax convierte esas diferencias en certeza.
# La bajada solo muestra que el entrenamiento está retirando una certeza que nunca debió existir: después de todos
# esos pasos el loss sigue por encima del azar, donde el run sano estaba antes de su primera actualización. Yo
# compararía el loss del paso 0 con ln V, miraría la primera norma del gradiente y mediría la desviación estándar de
# los pesos frente a la que pide la configuración; cuesta un batch.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) El modelo estaba seguro y equivocado antes de entrenar, porque los
# pesos, y con ellos los logits, son demasiado grandes. «El loss es muy alto» por sí solo no da puntos.
# (2) Que baje no dice nada del nivel: compara con ln V o con el run sano, o dice que está desaprendiendo la
# inicialización. (3) Nombra una medida en el paso 0 que decide: el loss frente a ln V, la norma del
# gradiente, o la desviación estándar medida frente a la pedida. «Bajar el learning rate» o «entrenar más» no
# cuenta.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# Before you look at any curve: the loss of step 0 against ln V, and the first gradient norm.
#
# | leaf | symptom at the start | threshold | first action |
# |---|---|---|---|
# | `init-scale` | loss far above chance, no head bias | Δ > 1.76, or ‖g‖ > 100 | measure each weight's std against the one its role asks for |
# | `head-bias` | loss above chance, weights right | Δ > 0.5 and a head bias that is not 0 | drop the bias, or start it at 0 |
# | `loss-reduction` | loss in the thousands, grows with the batch | feeding the batch twice gives more than 1.5 times the loss | divide by the number of targets that count |
# | `not-untrained` | too good for a fresh model | Δ < −0.5 and no checkpoint in the manifest | find the line that loads weights |
# | `target-shift` | looks normal; a loaded checkpoint starts near chance | at least 90 % of targets are another token than the next; from a checkpoint, loss₀ ≥ 0.7 ln V | shift in one place: the loader or the loss |
# | `future-leak` | looks normal at first, then too good | any gradient from logits to later tokens | put the causal mask back |
# | `degenerate-data` | at chance, then almost 0 in a few steps | the same token in every target | decode one batch and read it |
# | `loss-mask-empty` | loss and gradient exactly 0 | no target counts, ‖g‖ < 0.001 | check which way round the mask is |
#
# One leaf at a time: fix it, run again, walk again from the top. The next lesson, 18-02, asks whether the
# learning rate does what you think it does.

# %% [markdown] id="card" lang="es" of="a4346fff21ea"
# ## 8 · Una tarjeta para guardar
#
# Antes de mirar cualquier curva: el loss del paso 0 frente a ln V, y la primera norma del gradiente.
#
# | hoja | síntoma al arrancar | umbral | primera acción |
# |---|---|---|---|
# | `init-scale` | loss muy por encima del azar, sin bias en la cabeza | Δ > 1.76, o ‖g‖ > 100 | mide la desviación estándar de cada peso frente a la que pide su papel |
# | `head-bias` | loss por encima del azar con los pesos bien | Δ > 0.5 y un bias de la cabeza que no es 0 | quita el bias o haz que empiece en 0 |
# | `loss-reduction` | loss de miles, que crece con el batch | dar el batch dos veces multiplica el loss por más de 1.5 | divide entre el número de targets que cuentan |
# | `not-untrained` | demasiado bueno para un modelo nuevo | Δ < −0.5 y ningún checkpoint en el manifest | busca la línea que carga pesos |
# | `target-shift` | parece normal; un checkpoint cargado empieza cerca del azar | al menos el 90 % de los targets es otro token que el siguiente; desde un checkpoint, loss₀ ≥ 0.7 ln V | desplaza en un solo lugar: el loader o el loss |
# | `future-leak` | parece normal al principio, luego demasiado bueno | cualquier gradiente de los logits hacia tokens posteriores | vuelve a poner la máscara causal |
# | `degenerate-data` | al nivel del azar, y casi 0 en pocos pasos | el mismo token en todos los targets | decodifica un batch y léelo |
# | `loss-mask-empty` | loss y gradiente exactamente 0 | ningún target cuenta, ‖g‖ < 0.001 | revisa el sentido de la máscara |
#
# Una hoja a la vez: arréglala, entrena de nuevo y recorre el árbol desde el principio. La próxima lección,
# 18-02, pregunta si el learning rate (tasa de aprendizaje) hace lo que tú crees que hace.

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# `start_verdict` needs a loss and the number of classes, so it judges any classifier, not only a model of text. Here
# it judges one of pictures, with 100 classes: as PyTorch makes it, then with head weights that are a hundred
# times too large, then with the *sum* of the losses. That takes one batch, before the first step.

# %% [markdown] id="own-run" lang="es" of="5f196abda68f"
# ## 9 · En tu propio run
#
# `start_verdict` necesita un loss y el número de clases, así que juzga cualquier clasificador y no solo un modelo de
# texto. Aquí juzga uno de imágenes, con 100 clases: primero como lo crea PyTorch, después con los pesos de la
# cabeza cien veces más grandes, y al final con la *suma* de los losses. Basta un batch, antes del primer paso.

# %% id="another-loop" compare=true
torch.manual_seed(0)
pictures, labels = torch.randn(64, 3, 8, 8), torch.randint(0, 100, (64,))
for times, reduction in ((1, "mean"), (100, "mean"), (1, "sum")):
    head = torch.nn.Linear(64, 100)
    head.weight.data *= times
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 64), torch.nn.ReLU(), head)
    first = F.cross_entropy(net(pictures), labels, reduction=reduction).item()
    print(f"{t('head-weights')} × {times:<5}{reduction:6}{start_verdict(first, 100)}")

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# **A true story.** In 2014 the authors of VGG knew that a bad initialisation can stall a deep network. So they
# trained the shallowest of theirs first, and began the deeper ones with some of its layers. After they had handed in
# the paper they found that none of this is needed: the random initialisation that Glorot and Bengio had published
# four years before is enough. The sentence that says so is still in [section 3.1](https://arxiv.org/abs/1409.1556).
#
# * That initialisation: [Glorot and Bengio, 2010](https://proceedings.mlr.press/v9/glorot10a.html); for ReLU: He et
#   al., 2015, [1502.01852](https://arxiv.org/abs/1502.01852).
# * “Verify loss @ init”: Karpathy's [recipe](https://karpathy.github.io/2019/04/25/recipe/).
# * Deep networks without any normalisation, by initialisation alone: Zhang et al., 2019,
#   [1901.09321](https://arxiv.org/abs/1901.09321).
#
# **A hard bonus task.** Karpathy also advises to initialise the bias of the last layer well. Which bias makes the
# first loss as small as it can be without a look at the input, and how small is that? Why does the tree call the same
# thing `head-bias`?
#
# <details><summary>Hint</summary>
#
# The best guess without an input is how often each token occurs. Softmax turns logarithms of probabilities back into probabilities.
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# often = torch.bincount(targets, minlength=V) + 1.0
# bias = (often / often.sum()).log()
# print(torch.nn.functional.cross_entropy(bias.expand(len(targets), V), targets))
# ```
#
# The first loss is the entropy of single tokens, about 5.1 here in place of ln 512 = 6.24. The tree cannot know that you meant it, so say it in the manifest, or expect question 1.1 to object.
# </details>

# %% [markdown] id="sources" lang="es" of="a87c37dbb506"
# ## 10 · De dónde viene esto
#
# **Una historia real.** En 2014, los autores de VGG sabían que una mala inicialización puede dejar estancada una red
# profunda. Por eso entrenaron primero la menos profunda de las suyas y empezaron las demás con algunas de sus capas.
# Después de enviar el artículo descubrieron que no hacía falta: basta la inicialización aleatoria que Glorot y Bengio
# habían publicado cuatro años antes. La oración que lo dice sigue en la [sección 3.1](https://arxiv.org/abs/1409.1556).
#
# * Esa inicialización: [Glorot y Bengio, 2010](https://proceedings.mlr.press/v9/glorot10a.html); para ReLU: He et al.,
#   2015, [1502.01852](https://arxiv.org/abs/1502.01852).
# * Comprobar el loss antes de entrenar: la [receta](https://karpathy.github.io/2019/04/25/recipe/) de Karpathy.
# * Redes profundas sin ninguna normalización, solo con la inicialización: Zhang et al., 2019,
#   [1901.09321](https://arxiv.org/abs/1901.09321).
#
# **Un reto extra, difícil.** Karpathy también aconseja inicializar bien el bias de la última capa. ¿Qué bias hace que
# el primer loss sea lo más pequeño posible sin mirar la entrada, y cuánto vale? ¿Por qué el árbol llama `head-bias` a
# lo mismo?
#
# <details><summary>Pista</summary>
#
# Lo mejor que se puede adivinar sin entrada es la frecuencia de cada token. Softmax convierte logaritmos de probabilidades otra vez en probabilidades.
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# often = torch.bincount(targets, minlength=V) + 1.0
# bias = (often / often.sum()).log()
# print(torch.nn.functional.cross_entropy(bias.expand(len(targets), V), targets))
# ```
#
# El primer loss es la entropía de los tokens sueltos: aquí cerca de 5.1, en lugar de ln 512 = 6.24. El árbol no puede saber que lo hiciste a propósito: dilo en el manifest o cuenta con que la pregunta 1.1 proteste.
# </details>
