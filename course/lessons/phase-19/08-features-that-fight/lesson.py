"""Lesson 19-08: many features at once, one that hurts, and writes that no optimizer knows of."""

# %% [markdown] id="why" lang="en"
# Somebody built a hybrid: a GPT with spiking units, a state-space block, STDP, metaplasticity and tasks in
# sequence. Gradients became infinite. The published report blamed the loss scaler and the new features, all
# together: a “perfect storm”. In the source, the state-space block was never built and STDP never ran with mixed
# precision: half of the suspects were not in the model.
#
# Here the suspects are really there. Afterwards you can
#
# * find with a ladder the feature that breaks a run, and say why adding one feature at a time is not the same as
#   trying each feature alone;
# * name every tensor that somebody other than the optimizer has written to;
# * keep a first task while a second is learnt, and say what that costs.
#
# Run the cells in order with **Shift + Enter**.

# %% [markdown] id="why" lang="es" of="698c53865733"
# Alguien construyó un híbrido: un GPT con unidades de spikes, un bloque de espacio de estados, STDP,
# metaplasticidad y tareas en secuencia. Los gradientes se volvieron infinitos. El informe publicado culpó a la
# escala del loss y a las piezas nuevas, todas juntas: una «tormenta perfecta». En el código, el bloque de espacio
# de estados nunca se construía y STDP nunca se ejecutaba con precisión mixta: la mitad de los sospechosos no estaba
# en el modelo.
#
# Aquí los sospechosos sí están. Al terminar sabrás
#
# * encontrar con una escalera la pieza que rompe un run, y explicar por qué agregar de una en una no es lo mismo que
#   probar cada una sola;
# * nombrar cada tensor en el que escribió alguien que no es el optimizador;
# * conservar una primera tarea mientras se aprende la segunda, y decir cuánto cuesta.
#
# Ejecuta las celdas en orden con **Shift + Enter**.

# %% id="setup" setup=true
import copy
import zlib
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

lesson("19-08")
runs = Path("experiments") / "19-08"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9

# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# Everything at once: spiking units, a state space beside the attention, STDP, and two texts, conjugations first and
# Python from step 60 on. Below the curve the cell prints the validation loss of the *first* text.

# %% [markdown] id="meet" lang="es" of="76e05f04e447"
# ## 1 · Un run que se porta mal
#
# Todo a la vez: unidades de spikes, un espacio de estados junto a la atención, STDP y dos textos, primero las
# conjugaciones y, desde el paso 60, Python. Debajo de la curva, la celda imprime el loss de validación del *primer*
# texto.

# %% id="all-at-once"
base = Config(
    steps=120,
    context=16,
    batch_size=8,
    n_layer=1,
    schedule="constant",
    warmup_steps=0,
    lr_max=5e-3,
    eval_every=15,
    eval_batches=4,
)
rungs = [
    ("base", {}),
    ("spiking", {"activation": "spiking"}),
    ("state-space", {"mixer": "two_streams"}),
    ("stdp", {"plasticity": "pair"}),
    ("tasks", {"tasks": "conjugations,python"}),
]
done = {}


def trained(settings, callbacks=(), name=None):
    key = name or "-".join(str(value).replace(",", "-") for value in settings.values()) or "base"
    if key not in done:
        recipe = Recipe(base.replace(**settings))
        done[key] = train(recipe, runs / key, callbacks=list(callbacks), overwrite=True)
    return done[key]


def first_text(run):
    return run.column("tasks.conjugations" if run.config.tasks else "val_loss")[1]


def forgotten(run):
    losses = first_text(run)
    return float(losses[-1] - losses.min())


everything = {}
for _name, added in rungs:
    everything |= added
broken = trained(everything, [LivePlot()])
print(t("first-text"), [round(float(loss), 1) for loss in first_text(broken)])

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# The training loss jumps and comes down again; the loss of the first text rises and stays up. Now climb a ladder of
# five rungs, each with one feature more: (1) base, (2) spiking units, (3) state space, (4) STDP, (5) two tasks. Say
# that a run breaks if the loss of the first text ends half a nat or more above its best. **On which rung does it
# break first?** And **how many nats are lost there?**

# %% [markdown] id="predict" lang="es" of="b7f7513fd00d"
# ## 2 · Predice
#
# El loss de entrenamiento salta y vuelve a bajar; el del primer texto sube y ya no baja. Ahora sube por una
# escalera de cinco peldaños, cada uno con una pieza más: (1) base, (2) unidades de spikes, (3) espacio de estados,
# (4) STDP, (5) dos tareas. Digamos que un run se rompe si el loss del primer texto termina medio nat o más por
# encima de su mejor valor. **¿En qué peldaño se rompe primero?** ¿Y **cuántos nats se pierden ahí?**

# %% id="my-prediction"
predict("ladder", rung=..., forgotten=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it
#
# Each rung adds one feature to all those before it.

# %% [markdown] id="break" lang="es" of="1345c96c7101"
# ## 3 · Rómpelo
#
# Cada peldaño agrega una pieza a todas las anteriores.

# %% id="the-ladder"
settings, lost = {}, []
for name, added in rungs:
    settings = settings | added
    run = trained(settings)
    lost.append(forgotten(run))
    norm = max(record["grad_norm"] for record in run.metrics)
    print(f"{t('r-' + name):24}{t('loss')} {first_text(run)[-1]:.2f}   max ‖g‖ {norm:.1f}")
compare(
    "ladder", rung=1 + next(n for n, value in enumerate(lost) if value >= 0.5), forgotten=round(lost[-1], 1)
)

# %% id="who-broke" compare=true
for (name, _), value in zip(rungs, lost, strict=True):
    print(f"{t('r-' + name):24}{t('breaks') if value >= 0.5 else t('holds')}")

# %% [markdown] id="suspects" lang="en"
# Nothing exploded. The exotic features hold, and the most ordinary one breaks the run: a second text. No gradient
# norm shows it (the largest is even that of the base), and neither does the training loss. Only somebody who still
# measures the first text can see it.
#
# ## 4 · Inspect
#
# ### STDP: look at who writes, not at the loss
#
# STDP strengthens a weight whose input fires just before its output. It writes the weights itself, between two
# steps; the optimizer's moments know nothing of it. Does it help? Three seeds, 60 steps, without and with it:

# %% [markdown] id="suspects" lang="es" of="2f4562bc4148"
# Nada explotó. Las piezas exóticas aguantan, y la que rompe el run es la más común: un segundo texto. Ninguna norma
# del gradiente lo muestra (la más grande es incluso la de la base), y el loss de entrenamiento tampoco. Solo lo ve
# quien sigue midiendo el primer texto.
#
# ## 4 · Inspecciona
#
# ### STDP: mira quién escribe, no el loss
#
# STDP refuerza un peso cuya entrada dispara justo antes que su salida. Escribe los pesos por su cuenta, entre
# dos pasos; los momentos del optimizador no se enteran. ¿Ayuda? Tres semillas, 60 pasos, sin STDP y con STDP:

# %% id="stdp-seeds"
for seed in range(3):
    row = ""
    for name, rule in {"alone": "none", "with-stdp": "pair"}.items():
        run = trained({"activation": "spiking", "plasticity": rule, "seed": seed, "steps": 60})
        row += f"{t(name):>18} {first_text(run)[-1]:.2f}"
    print(seed, row)

# %% [markdown] id="undeclared" lang="en"
# The seeds differ more than the two columns do. A local rule that neither helps nor harms is the worst case for a
# diagnosis by the loss: there is nothing to see. Now the same rule *undeclared*, in a loop whose author forgot that
# it is there. The course's own instrument takes a checksum of every tensor after an update and another before the
# next.

# %% [markdown] id="undeclared" lang="es" of="4341f6f920b7"
# Las semillas difieren más que las dos columnas. Una regla local que no ayuda ni hace daño es el peor caso para
# un diagnóstico por el loss: no hay nada que ver. Ahora la misma regla *sin declarar*, en un bucle cuyo autor
# olvidó que está ahí. El instrumento del curso toma una suma de control de cada tensor después de una
# actualización y otra antes de la siguiente.

# %% id="undeclared-stdp" compare=true
secret = Recipe(base.replace(steps=30, activation="spiking", instruments_every=10)).with_fault(
    "undeclared-stdp"
)
secret_run = train(secret, runs / "secret", overwrite=True)
seen = {
    name for probe in secret_run.probes if probe["kind"] == "ownership" for name in probe.get("changed", ())
}
print(t("written"), *sorted(seen))

# %% [markdown] id="walk-text" lang="en"
# Question 11.1 of the stability check reads these checksums:

# %% [markdown] id="walk-text" lang="es" of="110c16b7fdbc"
# La pregunta 11.1 de la revisión de estabilidad lee esas sumas:


# %% id="walk"
def walked(run, number):
    asked = [question for question in diagnosis.QUESTIONS if question.id == number]
    return diagnosis.walk(diagnosis.evidence_of(run.path), asked)


show(walked(secret_run, "11.1"), Console(width=88))

# %% [markdown] id="left-out" lang="en"
# ### Two suspects that the ladder left out
#
# A **liquid** unit computes from each token how fast to follow it: now quickly, now slowly. **Metaplasticity** gives
# STDP a rate for every weight: the more a weight has been moved, the less it moves. Try each of them away from the
# crowd:

# %% [markdown] id="left-out" lang="es" of="103c842e47c9"
# ### Dos sospechosos que la escalera dejó fuera
#
# Una unidad **líquida** calcula con cada token qué tan rápido lo sigue: a veces deprisa, a veces despacio. La
# **metaplasticidad** le da a STDP una velocidad por cada peso: cuanto más se ha movido un peso, menos se mueve.
# Pruébalas lejos de las demás:

# %% id="liquid-and-meta"
left_out = {
    "liquid": {"activation": "liquid", "steps": 60},
    "with-stdp": {"activation": "spiking", "plasticity": "pair", "seed": 0, "steps": 60},
    "with-meta": {"activation": "spiking", "plasticity": "pair", "meta_plasticity": True, "steps": 60},
}
for name, settings in left_out.items():
    run = trained(settings)
    moved = run.metrics[-1].get("plasticity", {}).get("change")
    told = "" if moved is None else f"   {t('moved')} {moved:.1e}"
    print(f"{t(name):24}{t('loss')} {first_text(run)[-1]:.2f}{told}")

# %% id="left-out-told" compare=true
for name, settings in left_out.items():
    print(f"{t(name):24}{t('breaks') if forgotten(trained(settings)) >= 0.5 else t('holds')}")

# %% [markdown] id="where-it-hurts" lang="en"
# Neither breaks anything. With metaplasticity STDP moves the weights less, as it should. The sound of a name is not
# evidence.
#
# ### The same write, harmful here and harmless there
#
# Rules of this kind are often followed by a clamp to [0, 1]. Put one such clamp after every step, in one run on the
# embeddings, in another on the first matrix of the MLP. Which one costs more?

# %% [markdown] id="where-it-hurts" lang="es" of="51b402cd3ada"
# Ninguna rompe nada. Con la metaplasticidad, STDP mueve menos los pesos, como debe ser. Que un nombre suene
# sospechoso no prueba nada.
#
# ### La misma escritura: aquí hace daño, allá no
#
# Después de una regla así suele venir un clamp a [0, 1]. Pon uno después de cada paso: en un run, en los
# embeddings; en otro, en la primera matriz del MLP. ¿Cuál cuesta más?


# %% id="clamps"
class Clamp:
    def __init__(self, part):
        self.part = part

    @torch.no_grad()
    def on_record(self, trainer, record):
        for name, weight in trainer.model.named_parameters():
            if self.part in name:
                weight.clamp_(0, 1)


healthy = first_text(trained({}))
cost = {}
for part in ("wte", "c_fc"):
    losses = first_text(trained({"steps": 60}, [Clamp(part)], f"clamp-{part}"))
    cost[part] = losses[-1] - healthy[len(losses) - 1]
for part, more in cost.items():
    print(f"{t('v-' + part):30}{more:+.2f}")

# %% id="clamps-told" compare=true
for part, more in cost.items():
    print(f"{t('v-' + part):30}{t('harmful') if more > 0.25 else t('harmless')}")

# %% [markdown] id="two-cures" lang="en"
# An embedding with no negative coordinate has lost most of its directions. A matrix between two others has
# neighbours that make up for it. So “it did no harm when I tried it” holds only for the place where it was tried.
# The evidence is the checksum.
#
# ### The second task: two cures
#
# **Replay** takes some rows of each batch from the first text. **EWC** (elastic weight consolidation) pulls each
# weight back to where the first task left it; the more that task depended on a weight, the stronger the pull.

# %% [markdown] id="two-cures" lang="es" of="23f8c64d0415"
# Un embedding sin coordenadas negativas perdió casi todas sus direcciones. Una matriz entre otras dos tiene
# vecinas que lo compensan. Así que «no hizo daño cuando lo probé» habla solo del lugar donde se probó. La prueba
# es la suma de control.
#
# ### La segunda tarea: dos curas
#
# El **repaso** (replay) toma algunas filas de cada batch del primer texto. **EWC** (consolidación elástica de
# pesos) tira de cada peso hacia donde lo dejó la primera tarea, con más fuerza cuanto más dependía de él esa tarea.

# %% id="cures"
two = {"tasks": "conjugations,python"}
cures = {
    "nothing": trained(two),
    "replay": trained(two | {"replay": 0.25}),
    "ewc-strong": trained(two | {"ewc": 1e6}),
}


def second_text(run):
    return run.column("tasks.python")[1]


for name, run in cures.items():
    print(
        f"{t(name):20}{t('forgotten')} {forgotten(run):.2f}   {t('second-text')} {second_text(run)[-1]:.2f}"
    )

# %% id="cures-told" compare=true
free = second_text(cures["nothing"])[-1]
for name in ("nothing", "replay", "ewc-strong"):
    run = cures[name]
    first = t("kept") if forgotten(run) < 0.5 else t("lost")
    print(f"{t(name):20}{first:28}{t('paid') if second_text(run)[-1] > free + 0.5 else t('learnt')}")

# %% [markdown] id="figure-text" lang="en"
# ### A figure from a paper, in miniature: what each cure keeps
#
# The authors of EWC drew the curves of each task, one below the other (Kirkpatrick et al., 2017, figure 2A). With
# plain training the first task is lost as soon as the second begins. With EWC it is kept, and the second is learnt.
# And a pull of the same strength on *every* weight keeps much of the first and cannot learn the second properly.
# Theirs were images of digits with the pixels in another order for each task. Here are our two texts, with replay
# and with EWC at two strengths. The dotted line is where the second text begins.

# %% [markdown] id="figure-text" lang="es" of="ac7d9095a531"
# ### Una figura de un artículo, en pequeño: qué conserva cada cura
#
# Los autores de EWC dibujaron las curvas de cada tarea, una debajo de otra (Kirkpatrick et al., 2017, figura 2A). Con
# un entrenamiento común, la primera tarea se pierde en cuanto empieza la segunda. Con EWC se conserva, y la segunda
# se aprende. Y un tirón igual de fuerte en *todos* los pesos conserva buena parte de la primera y no puede aprender
# bien la segunda. Las suyas eran imágenes de dígitos, con los píxeles en otro orden en cada tarea. Aquí están
# nuestros dos textos, con repaso y con EWC de dos fuerzas. La línea punteada es donde empieza el segundo texto.

# %% id="draw-cures"
mild = trained(two | {"ewc": 1e4})
ends = second_text(mild)[-1]
print(f"{t('ewc-mild'):20}{t('forgotten')} {forgotten(mild):.2f}   {t('second-text')} {ends:.2f}")
figure = Figure(figsize=(7.6, 2.6), layout="constrained")
colours = {"nothing": "0.6", "replay": "#009e73", "ewc-mild": "#0072b2", "ewc-strong": "#d55e00"}
halves = {"first-text": first_text, "second-text": second_text}
for axes, (title, losses) in zip(figure.subplots(1, 2, sharey=True), halves.items(), strict=True):
    for name, colour in colours.items():
        run = mild if name == "ewc-mild" else cures[name]
        axes.plot(run.column("tasks.python")[0], losses(run), color=colour, label=t(name))
    axes.axvline(base.steps // 2, color="black", linestyle=":", linewidth=1)
    axes.set(xlabel=t("step"), title=t(title), ylim=(3.5, 6.6))
figure.axes[0].set_ylabel(t("loss"))
figure.axes[1].legend(fontsize=8, loc="lower left")
Picture().show(figure, t("cures-alt"))

# %% [markdown] id="figure-said" lang="en"
# The grey curve does what the paper’s did. EWC does worse than there: at 10⁴ it gives up a little of each text, and at
# 10⁶ it does what the paper's equal pull on all weights did. We also tried 10³ and 10⁵, and none of the four is as
# good as replay on *both* texts. This picture cannot say whether that is because our second text has other words,
# where theirs had the same digits.

# %% [markdown] id="figure-said" lang="es" of="c1f59e84c51f"
# La curva gris hace lo mismo que la del artículo. A EWC le va peor que allá: con 10⁴ cede un poco de cada texto, y
# con 10⁶ hace lo que en el artículo hizo el tirón igual en todos los pesos. También probamos 10³ y 10⁵, y ninguna de
# las cuatro fuerzas es tan buena como el repaso en *los dos* textos. Esta figura no puede decir si se debe a que
# nuestro segundo texto tiene otras palabras y el de ellos los mismos dígitos.

# %% [markdown] id="rewalk-text" lang="en"
# And question 9.4, which asks whether earlier tasks are kept:

# %% [markdown] id="rewalk-text" lang="es" of="761c6de1c9df"
# Y la pregunta 9.4: ¿se conservan las tareas anteriores?

# %% id="rewalk" compare=true
for name, run in cures.items():
    print(f"{t(name):20}{walked(run, '9.4').leaf or t('no-fault')}")

# %% [markdown] id="turn-the-knob" lang="en"
# The counter-example of this lesson: the strong EWC has the best figure for forgetting in the table, and it is the
# worst run. It kept the first task by not learning the second. Question 9.4 finds no fault in it, since forgetting
# is all that it asks about. **A cure for forgetting is judged by two numbers.**
#
# ### Turn the knob: how much replay?
#
# The knob is the number of rows of the first text among the 8 of a batch. In grey, none.
#
# 1. Move it from 0 to 1. What does one row change?
# 2. And from 2 to 4? What does it cost the second text?

# %% [markdown] id="turn-the-knob" lang="es" of="0df41b23e3de"
# El contraejemplo de esta lección: la EWC fuerte tiene la mejor cifra de olvido de la tabla, y es el peor run.
# Conservó la primera tarea a fuerza de no aprender la segunda. La pregunta 9.4 no le encuentra ningún fallo, porque
# solo pregunta por el olvido. **Una cura del olvido se juzga con dos números.**
#
# ### Gira la perilla: ¿cuánto repaso?
#
# La perilla es el número de filas del primer texto entre las 8 de un batch. En gris, ninguna.
#
# 1. Muévela de 0 a 1. ¿Qué cambia una sola fila?
# 2. ¿Y de 2 a 4? ¿Cuánto le cuesta al segundo texto?


# %% id="playground" folded=true
def draw(figure, rows):
    run = trained(two | ({"replay": rows / 8} if rows else {}))
    for place, (name, losses) in enumerate({"first-text": first_text, "second-text": second_text}.items()):
        axes = figure.add_subplot(1, 2, place + 1)
        steps = run.column("tasks.conjugations")[0]
        axes.plot(steps, losses(cures["nothing"]), color="0.6")
        axes.plot(steps, losses(run), color="#0072b2")
        axes.axvline(base.steps // 2, color="black", linestyle=":", linewidth=1)
        axes.set(xlabel=t("step"), ylabel=t("loss"), title=t(name), ylim=(3.5, 7))


playground(draw, rows=Slider(t("replayed"), 0, 4, 2))

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. One row in eight saves most of what was lost: the rise at the dotted line is a fraction of the grey one.
# 2. The first text gains a little, and the second begins later: it has only half of the rows. Replay has a
#    price as well, but a small one.
# </details>

# %% [markdown] id="play-answers" lang="es" of="0ceb49d515ca"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. Una fila de cada ocho salva casi todo lo que se perdía: la subida en la línea punteada es una fracción de la
#    gris.
# 2. El primer texto gana un poco y el segundo arranca más tarde: solo tiene la mitad de las filas. El repaso
#    también tiene un precio, pero pequeño.
# </details>

# %% [markdown] id="fix" lang="en"
# ## 5 · Fix
#
# ### Exercise 1 · The ladder
#
# > Difficulty ●●○○○ · Importance ●●●●● · 10 minutes
#
# Write `climb(rungs, train, healthy)`. `rungs` is a list of `(name, added)`, where `added` is a dict of settings;
# the base adds `{}`. On each rung switch on what it adds **on top of all the rungs before** (if two set the same
# thing, the later one decides). Then get the run, `train(settings)`, and ask `healthy(run)`. Stop after the first
# rung that is not healthy. Return a list with `(name, True)` or `(name, False)` for each rung that you trained.

# %% [markdown] id="fix" lang="es" of="1bcc523cb9a9"
# ## 5 · Arregla
#
# ### Ejercicio 1 · La escalera
#
# > Dificultad ●●○○○ · Importancia ●●●●● · 10 minutos
#
# Escribe `climb(rungs, train, healthy)`. `rungs` es una lista de `(name, added)`, donde `added` es un diccionario
# de ajustes; la base agrega `{}`. En cada peldaño, enciende lo que agrega **encima de todos los anteriores** (si
# dos fijan lo mismo, decide el posterior). Después obtén el run, `train(settings)`, y pregunta `healthy(run)`.
# Detente después del primer peldaño que no esté sano. Devuelve una lista con `(name, True)` o `(name, False)` por
# cada peldaño que entrenaste.


# %% solution="climb"
def climb(rungs, train, healthy):
    ### BEGIN SOLUTION
    settings, climbed = {}, []
    for name, added in rungs:
        settings = settings | added
        ok = healthy(train(settings))
        climbed.append((name, ok))
        if not ok:
            break
    return climbed
    ### END SOLUTION


# %% check="climb/stops" points=1
check("climb/stops", climb)

# %% check="climb/holds" points=1
check("climb/holds", climb)

# %% check="climb/adds" points=1
check("climb/adds", climb)

# %% check="climb/overrides" points=1
check("climb/overrides", climb)

# %% [markdown] id="task-audit" lang="en"
# ### Exercise 2 · A bug in code that looks right
#
# > Difficulty ●●●○○ · Importance ●●●●● · 15 minutes
#
# `steps` is a list of pairs of functions `(update, between)`. `update(model)` is what the optimizer does.
# `between(model)` is everything that happens until the next update. This code should name the tensors that were
# written to in between, except those that are `declared` (a list of names). It has never named a single one.
#
# ```python
# def audit(model, steps, declared):
#     found = []
#     for update, between in steps:
#         update(model)
#         noted = dict(model.named_parameters())
#         between(model)
#         found.append([name for name, weight in model.named_parameters()
#                       if name not in declared and not torch.equal(weight, noted[name])])
#     return found
# ```
#
# Repair it, so that it keeps one number per tensor. Every change counts: of a single bit, of a sign, of two rows
# that change places. Return one list of names for each step.
#
# <details><summary>Hint</summary>
#
# `zlib.crc32(weight.detach().numpy().tobytes())` is one number, made of all bytes *in their order*.
# </details>

# %% [markdown] id="task-audit" lang="es" of="8a4fcf00ab80"
# ### Ejercicio 2 · Un error en código que parece correcto
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 15 minutos
#
# `steps` es una lista de pares de funciones `(update, between)`. `update(model)` es lo que hace el optimizador.
# `between(model)` es todo lo que ocurre hasta la siguiente actualización. Este código debería nombrar los tensores
# en los que se escribió en medio, salvo los que están en `declared` (una lista de nombres). Nunca ha nombrado
# ninguno.
#
# ```python
# def audit(model, steps, declared):
#     found = []
#     for update, between in steps:
#         update(model)
#         noted = dict(model.named_parameters())
#         between(model)
#         found.append([name for name, weight in model.named_parameters()
#                       if name not in declared and not torch.equal(weight, noted[name])])
#     return found
# ```
#
# Arréglalo para que guarde un número por tensor. Cuenta cualquier cambio: de un bit, de un signo, de dos filas
# que cambian de lugar. Devuelve una lista de nombres por paso.
#
# <details><summary>Pista</summary>
#
# `zlib.crc32(weight.detach().numpy().tobytes())` es un número hecho con todos los bytes *en su orden*.
# </details>


# %% solution="audit"
def audit(model, steps, declared):
    ### BEGIN SOLUTION
    def sums():
        return {
            name: zlib.crc32(weight.detach().numpy().tobytes()) for name, weight in model.named_parameters()
        }

    written = []
    for optimize, others in steps:
        optimize(model)
        noted = sums()
        others(model)
        written.append([name for name, now in sums().items() if now != noted[name] and name not in declared])
    return written
    ### END SOLUTION


# %% check="audit/named" points=2
check("audit/named", audit)

# %% check="audit/any-change" points=1
check("audit/any-change", audit)

# %% check="audit/declared" points=1
check("audit/declared", audit)

# %% [markdown] id="task-replay" lang="en"
# ### Exercise 3 · A batch that remembers
#
# > Difficulty ●●●○○ · Importance ●●●●○ · 12 minutes
#
# Write `replay_batch(first, second, share, size, seed, step)`. `first` (N, T) and `second` (M, T) are the rows
# of the two tasks. Return a batch (size, T) in which `round(share * size)` rows come from `first` and the rest
# from `second`, drawn at random from all of them. The same seed and step must always give the same batch, or no
# run can be resumed; another step or another seed must give another.

# %% [markdown] id="task-replay" lang="es" of="a75722a977ce"
# ### Ejercicio 3 · Un batch que recuerda
#
# > Dificultad ●●●○○ · Importancia ●●●●○ · 12 minutos
#
# Escribe `replay_batch(first, second, share, size, seed, step)`. `first` (N, T) y `second` (M, T) son las filas
# de las dos tareas. Devuelve un batch (size, T) en el que `round(share * size)` filas vienen de `first` y el
# resto de `second`, elegidas al azar entre todas. La misma semilla y el mismo paso deben dar siempre el mismo
# batch, o ningún run se podrá reanudar; otro paso u otra semilla deben dar otro.


# %% solution="replay-batch"
def replay_batch(first, second, share, size, seed, step):
    ### BEGIN SOLUTION
    generator = np.random.default_rng((seed, step))
    old = round(share * size)
    earlier = first[generator.integers(len(first), size=old)]
    return torch.cat([earlier, second[generator.integers(len(second), size=size - old)]])
    ### END SOLUTION


# %% check="replay-batch/share" points=1
check("replay-batch/share", replay_batch)

# %% check="replay-batch/again" points=1
check("replay-batch/again", replay_batch)

# %% check="replay-batch/apart" points=2
check("replay-batch/apart", replay_batch)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# Your ladder on the real runs. Then a second one, with replay switched on together with the second task.

# %% [markdown] id="verify" lang="es" of="26972db47ef8"
# ## 6 · Comprueba
#
# Tu escalera con los runs reales. Después otra, con el repaso encendido junto con la segunda tarea.


# %% id="verify-climb" compare=true
def remembers(run):
    return forgotten(run) < 0.5


with_replay = [rungs[0], ("replay", two | {"replay": 0.25})]
for ladder in (rungs, with_replay):
    for name, ok in climb(ladder, trained, remembers):
        label = t(name) if name == "replay" else t("r-" + name)
        print(f"{label:24}{t('holds') if ok else t('breaks')}")
    print()

# %% [markdown] id="verify-audit" lang="en"
# Your audit on a GPT that AdamW trains. First with a clamp on the embeddings that nobody mentioned, then with the
# same clamp declared.

# %% [markdown] id="verify-audit" lang="es" of="48a01d382da0"
# Tu auditoría con un GPT que entrena AdamW. Primero con un clamp en los embeddings que nadie mencionó; después, con
# el mismo clamp declarado.

# %% id="verify-clamp" compare=true
recipe = Recipe(base.replace(**two))
data = recipe.load_data(recipe.config)
first_rows, second_rows = (task.train.unfold(0, base.context + 1, 1) for task in data.tasks)


def newborn():
    torch.manual_seed(0)
    model = Recipe(base).build_model(base)
    Recipe(base).init_weights(model, base)
    return model, Recipe(base).build_optimizer(model, base)


def loss_on(model, rows):
    return F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())


def learn(model, optimizer, rows):
    loss_on(model, rows).backward()
    optimizer.step()
    optimizer.zero_grad()


def clamp(model):
    model.get_parameter("wte.weight").data.clamp_(-0.02, 0.02)


model, optimizer = newborn()
step = (lambda model: learn(model, optimizer, first_rows[:8]), clamp)
print(t("written"), *(names or [t("nobody")] for names in audit(model, [step, step], [])))
print(t("written"), *(names or [t("nobody")] for names in audit(model, [step, step], ["wte.weight"])))

# %% [markdown] id="verify-replay" lang="en"
# Your batches in a loop written by hand: 60 steps on the first text, 60 on the second.

# %% [markdown] id="verify-replay" lang="es" of="16b5842dacfc"
# Tus batches en un bucle escrito a mano: 60 pasos con el primer texto y 60 con el segundo.

# %% id="verify-loop" compare=true
held_out = data.tasks[0].validation.unfold(0, base.context + 1, 1)[::16][:128]


@torch.no_grad()
def examined(model):
    loss = loss_on(model.eval(), held_out).item()
    model.train()
    return loss


taught = newborn()
for number in range(60):
    learn(*taught, replay_batch(first_rows, second_rows, 1.0, 8, 0, number))
for name, share in {"nothing": 0.0, "replay": 0.25}.items():
    model, optimizer = copy.deepcopy(taught)
    for number in range(60, 120):
        learn(model, optimizer, replay_batch(first_rows, second_rows, share, 8, 0, number))
    worse = examined(model) - examined(taught[0])
    print(f"{t(name):24}{t('kept') if worse < 0.8 else t('lost')}")

# %% [markdown] id="limits" lang="en"
# **What a ladder cannot tell.** It names the rung that breaks, and the feature may be innocent: perhaps it only
# fights with one below, and another order would accuse another feature. To convict it, try it once alone on the
# base, and then on top again, leaving out each of the others in turn.
#
# **What a checksum cannot tell.** The course's own instrument adds up the bits of a tensor, because that is fast on
# a GPU. Two rows that change places leave the sum as it is, so it would miss what your audit finds. And a write
# that is undone before the next update leaves no trace for either of them.

# %% [markdown] id="limits" lang="es" of="00e298738055"
# **Lo que una escalera no puede decir.** Nombra el peldaño que se rompe, y la pieza puede ser inocente: quizá se
# pelea con una de abajo, y otro orden acusaría a otra. Para condenarla, pruébala una vez sola sobre la base, y
# después otra vez arriba, quitando las demás de una en una.
#
# **Lo que una suma de control no puede decir.** El instrumento del curso suma los bits de un tensor, porque
# eso es rápido en una GPU. Dos filas que cambian de lugar dejan igual la suma: se le escaparía lo que tu
# auditoría encuentra. Y una escritura que se deshace antes de la siguiente actualización no deja huella en ninguno de
# los dos.

# %% [markdown] id="explain" lang="en"
# ## 7 · Explain
#
# A colleague switched on spiking units, STDP and a second task in one commit. The loss on the first task went from
# 4.5 to 6.3. He says: “STDP is the newest, so it is STDP. I switched it off and took EWC with λ = 10⁶: now the
# first task stays at 4.6.”
#
# Answer in three to six sentences. (1) How would you find the guilty feature, and why not by trying each one
# alone? (2) How do you find out whether STDP still writes somewhere, and why is the loss no evidence? (3) What
# has to be shown besides the 4.6? (One point each.)

# %% [markdown] id="explain" lang="es" of="5fd161b34ceb"
# ## 7 · Explica
#
# Un colega encendió unidades de spikes, STDP y una segunda tarea en un mismo cambio. El loss de la primera tarea
# pasó de 4.5 a 6.3. Dice: «STDP es lo más nuevo, así que es STDP. Lo apagué y puse EWC con λ = 10⁶: ahora la
# primera tarea se queda en 4.6».
#
# Responde en tres a seis oraciones. (1) ¿Cómo encontrarías la pieza culpable, y por qué no basta con probar cada
# una sola? (2) ¿Cómo averiguas si STDP todavía escribe en algún lugar, y por qué el loss no es una prueba? (3)
# ¿Qué hay que mostrar además del 4.6? (Un punto por cada parte).

# %% [markdown] answer="review-features" points=3 lang="en"
# (1) Start at a base that is known to be healthy, add one feature a rung on top of the others, and stop at the
# first that breaks. Alone, two features that only fight in company would both look innocent. (2) A checksum of
# every tensor after an update and before the next names whoever was written to. A local rule can write at every
# step and leave the loss where it is, or do harm in another place than the one that was tried. (3) The second
# task's loss, beside that of a run without EWC: so strong a pull keeps the first task by not learning the
# second. And two things were changed at once, so nothing has been shown about STDP.
#
# ---
# **Rubric.** One point each. (1) One feature at a time, cumulative, from a healthy base; interactions. (2) An
# exact comparison of weights between two updates; the loss can stay the same. (3) The loss of the second task
# (that two changes at once convict nobody is a bonus, not a condition).

# %% [markdown] answer="review-features" points=3 lang="es" of="7132fa6f4983"
# (1) Partir de una base sana, agregar una pieza por peldaño encima de las otras y detenerse en el primero que
# se rompe. Solas, dos piezas que se pelean únicamente en compañía parecerían inocentes. (2) Una suma de
# control de cada tensor, después de una actualización y antes de la siguiente, nombra los tensores
# escritos. Una regla local puede escribir en cada paso sin mover el loss, o hacer daño en otro lugar que el que
# se probó. (3) El loss de la segunda tarea, junto al de un run sin EWC: una fuerza así conserva la primera tarea
# a fuerza de no aprender la segunda. Además se cambiaron dos cosas a la vez, así que no se mostró nada sobre
# STDP.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) Una pieza a la vez, acumuladas, desde una base sana; interacciones.
# (2) Una comparación exacta de los pesos entre dos actualizaciones; el loss puede quedarse igual. (3) El loss de
# la segunda tarea (que dos cambios a la vez no condenan a nadie es un extra, no una condición).

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# | symptom | measure | threshold | first action |
# |---|---|---|---|
# | broken, with many features on | a ladder, one feature more on each rung | the first rung that breaks | that feature alone, then its pairs |
# | “something else writes the weights” | checksums between two updates | any difference | declare it, or make it a gradient: `writes-outside-optimizer` |
# | a new task, an old one gets worse | old task's loss − its best | > 0.5 nats | replay a quarter: `forgetting` |
# | a cure for forgetting | the losses of both tasks | the second as without the cure | lower λ, or replay |

# %% [markdown] id="card" lang="es" of="066e090aef07"
# ## 8 · Una tarjeta para guardar
#
# | síntoma | medida | umbral | primera acción |
# |---|---|---|---|
# | roto, con muchas piezas encendidas | una escalera, una pieza más por peldaño | el primer peldaño que se rompe | esa pieza sola, después sus parejas |
# | «otra cosa escribe en los pesos» | sumas de control entre dos actualizaciones | cualquier diferencia | decláralo o conviértelo en un gradiente: `writes-outside-optimizer` |
# | una tarea nueva, y una anterior empeora | loss de la anterior − su mejor valor | > 0.5 nats | repasa un cuarto: `forgetting` |
# | una cura del olvido | el loss de las dos tareas | la segunda, como sin la cura | baja λ, o usa el repaso |

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# A few lines for any loop with a torch optimizer. You call it once, after the optimizer is made; nothing else changes.

# %% [markdown] id="own-run" lang="es" of="e4e4b79bacf1"
# ## 9 · En tu propio run
#
# Unas pocas líneas para cualquier bucle con un optimizador de torch. Se llama una sola vez, después de crear el
# optimizador; lo demás queda igual.


# %% id="own-loop" compare=true
def watch_writes(model, optimizer, report, declared=()):
    def sums():
        weights = ((name, weight.detach().cpu()) for name, weight in model.named_parameters())
        return {name: zlib.crc32(w.reshape(-1).view(torch.uint8).numpy().tobytes()) for name, w in weights}

    def compare_with_noted(*_):
        now = sums() if noted else {}
        report([name for name in now if name not in declared and now[name] != noted[name]])

    noted = {}
    optimizer.register_step_pre_hook(compare_with_noted)
    optimizer.register_step_post_hook(lambda *_: noted.update(sums()))


tiny = nn.Linear(3, 2).bfloat16()
sgd = torch.optim.SGD(tiny.parameters(), lr=0.1)
watch_writes(tiny, sgd, print)
for number in range(4):
    tiny(torch.ones(1, 3, dtype=torch.bfloat16)).sum().backward()
    sgd.step()
    if number == 1:
        tiny.bias.data += 1

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# * Kirkpatrick et al., 2017, [arXiv 1612.00796](https://arxiv.org/abs/1612.00796): elastic weight
#   consolidation, and the figure that is drawn again above.
# * Rolnick et al., 2019, [arXiv 1811.11682](https://arxiv.org/abs/1811.11682): replay for continual learning.
# * Bi & Poo, 1998, [Journal of Neuroscience 18(24)](https://doi.org/10.1523/JNEUROSCI.18-24-10464.1998): the
#   timing of spikes decides whether a synapse grows.
# * The
#   [report](https://github.com/iShield-corp/current-liquid-neural-network/blob/7d69eac1701ca3ad8caf374f360fee325bfbc75b/TRAINING_STABILITY_FIXES.md)
#   behind this lesson; what was true of it: `docs/seeds.md`, 001. The whole ladder, with all its rungs, is `minigpt
#   ladder seed-001`.
#
# **A true story.** With its fixes the report came with a [quick
# start](https://github.com/iShield-corp/current-liquid-neural-network/blob/7d69eac1701ca3ad8caf374f360fee325bfbc75b/QUICK_START_FIXES.md):
# run a single epoch, about 30 minutes, and the loss will go “from ~12.0 to <10.0”. In the
# [source](https://github.com/iShield-corp/current-liquid-neural-network/blob/main/src/core/main.py) of the project,
# as we read it, the learning rate is multiplied by `epoch / self.warmup_epochs`, and the schedule moves once an
# epoch. In the first epoch that factor is 0. So in the very test that was to prove the repair, no weight could move:
# nothing could be learnt, and nothing could be proved. The loss of 12.06 that the report had set out to cure is close
# to ln 200,019 = 12.21: chance.
#
# **A hard bonus task.** A ladder of n features names one rung. Find the smallest *set* of features that breaks the
# run, with as few runs as you can: begin with everything switched on, and leave out halves.
#
# <details><summary>Hint</summary>
#
# If it still breaks without one of the parts, forget that part. If leaving out any of them makes it healthy, make
# the parts smaller.
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# def smallest(features, breaks):
#     parts = 2
#     while len(features) > 1:
#         size = -(-len(features) // parts)
#         for at in range(0, len(features), size):
#             rest = features[:at] + features[at + size :]
#             if rest and breaks(rest):
#                 features, parts = rest, max(parts - 1, 2)
#                 break
#         else:
#             if size == 1:
#                 break
#             parts = min(2 * parts, len(features))
#     return features
# ```
#
# No single feature can be left out of what it returns. For two guilty ones among eight it trains about 14 runs. The
# idea has a name, *delta debugging* (Zeller, 1999).
# </details>

# %% [markdown] id="sources" lang="es" of="34bda3b53a24"
# ## 10 · De dónde viene esto
#
# * Kirkpatrick et al., 2017, [arXiv 1612.00796](https://arxiv.org/abs/1612.00796): EWC, y la figura que
#   arriba se dibuja otra vez.
# * Rolnick et al., 2019, [arXiv 1811.11682](https://arxiv.org/abs/1811.11682): el repaso en el aprendizaje
#   continuo.
# * Bi y Poo, 1998, [`Journal of Neuroscience` 18(24)](https://doi.org/10.1523/JNEUROSCI.18-24-10464.1998): el momento
#   de los disparos decide si una sinapsis crece.
# * El
#   [informe](https://github.com/iShield-corp/current-liquid-neural-network/blob/7d69eac1701ca3ad8caf374f360fee325bfbc75b/TRAINING_STABILITY_FIXES.md)
#   que dio pie a esta lección; lo que había de cierto en él: `docs/seeds.es.md`, 001. La escalera completa, con todos
#   sus peldaños, es `minigpt ladder seed-001`.
#
# **Una historia real.** Con sus arreglos, el informe traía una [guía
# rápida](https://github.com/iShield-corp/current-liquid-neural-network/blob/7d69eac1701ca3ad8caf374f360fee325bfbc75b/QUICK_START_FIXES.md):
# ejecuta una sola época, unos 30 minutos, y el loss bajará de cerca de 12.0 a menos de 10.0. En el
# [código](https://github.com/iShield-corp/current-liquid-neural-network/blob/main/src/core/main.py) del proyecto, tal
# como lo leímos, el learning rate (tasa de aprendizaje) se multiplica por `epoch / self.warmup_epochs`, y el schedule
# avanza una vez por época. En la primera época, ese factor es 0. Así que, justo en la prueba que debía demostrar la
# reparación, ningún peso podía moverse: nada se podía aprender, y nada se podía demostrar. El loss de 12.06 que el
# informe quería curar está cerca de ln 200,019 = 12.21: el azar.
#
# **Un reto extra, difícil.** Una escalera de n piezas nombra un peldaño. Encuentra el *conjunto* más pequeño
# de piezas que rompe el run, con la menor cantidad de runs que puedas: empieza con todo encendido y quita mitades.
#
# <details><summary>Pista</summary>
#
# Si se sigue rompiendo sin una de las partes, olvídate de esa parte. Si al quitar cualquiera de ellas queda sano,
# haz las partes más pequeñas.
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# def smallest(features, breaks):
#     parts = 2
#     while len(features) > 1:
#         size = -(-len(features) // parts)
#         for at in range(0, len(features), size):
#             rest = features[:at] + features[at + size :]
#             if rest and breaks(rest):
#                 features, parts = rest, max(parts - 1, 2)
#                 break
#         else:
#             if size == 1:
#                 break
#             parts = min(2 * parts, len(features))
#     return features
# ```
#
# De lo que devuelve no se puede quitar ninguna pieza. Con dos culpables entre ocho entrena unos 14 runs. La idea
# tiene nombre: *delta debugging* (Zeller, 1999).
# </details>
