"""Lesson 19-09: when does overfitting begin, and for whom? One average, two opposite stories."""

# %% [markdown] id="why" lang="en"
# The validation loss falls, stops, and rises. Everybody knows what to do: stop at the lowest point. This
# lesson asks two questions before you do.
#
# **When** did it begin? A rise of 0.03 may be noise, or it may be beyond doubt. **For whom?** A validation loss is
# an average over many things. Some of them the model can learn from its text, and some it cannot.
#
# Afterwards you can
#
# * tell a rise from noise with a standard error that fits the question;
# * split a validation loss into classes, here regular and irregular verbs, and see what the average hid;
# * keep the best weights of a run, which most people get wrong at first, for a reason that is hard to see.
#
# Run the cells in order with **Shift + Enter**. Everything trains on your own machine, in seconds.

# %% [markdown] id="why" lang="es" of="e37d161bb5c7"
# El loss de validación baja, se detiene y sube. Todo el mundo sabe qué hacer: parar en el punto más bajo. Esta
# lección hace dos preguntas antes.
#
# **¿Cuándo** empezó? Una subida de 0.03 puede ser ruido, o puede estar fuera de duda. **¿Para quién?** Un loss de
# validación es un promedio de muchas cosas. Algunas el modelo las puede aprender de su texto; otras, no.
#
# Al terminar sabrás
#
# * distinguir una subida del ruido con un error estándar que corresponda a la pregunta;
# * dividir un loss de validación por clases, aquí verbos regulares e irregulares, y ver qué escondía el
#   promedio;
# * conservar los mejores pesos de un run, algo que casi todos hacen mal la primera vez por una razón difícil de
#   ver.
#
# Ejecuta las celdas en orden con **Shift + Enter**. Todo se entrena en tu propia máquina, en segundos.

# %% id="setup" setup=true
import copy
import dataclasses
import math
import random
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
from minigpt.data.corpus import table_cells
from minigpt.data.corpus.grammar import items, pairs
from minigpt.data.corpus.lexicon import verbs
from minigpt.diagnosis.report import show
from minigpt.diagnosis.trees.dynamics.drift import DRIFT_QUESTIONS
from minigpt.training.sampling import Sampler

lesson("19-09")
runs = Path("experiments") / "19-09"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9

# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# Somebody teaches the small GPT to conjugate. The text is 300 lines about twenty verbs: *yo trabajo / I work*.
# Twelve of the verbs are regular in English and eight are not.
#
# There are two exams. The first is the usual one: 600 other lines about the same verbs. The second is smaller and
# sharper. For fourteen verbs, the past tense was taken out of the training text altogether. The model knows these
# verbs, and it has seen the past of six others. Now it is asked for *I played* and *I went*.

# %% [markdown] id="meet" lang="es" of="4b16e08c52b9"
# ## 1 · Un run que se porta mal
#
# Alguien le enseña a conjugar al pequeño GPT. El texto son 300 líneas sobre veinte verbos: *yo trabajo / I
# work*. En inglés, doce de esos verbos son regulares y ocho no.
#
# Hay dos exámenes. El primero es el de siempre: otras 600 líneas sobre los mismos verbos. El segundo es más pequeño y
# más preciso. Del texto de entrenamiento se sacó por completo el pasado de catorce verbos. El modelo conoce esos
# verbos y ha visto el pasado de otros seis. Ahora se le pide *I played* y *I went*.

# %% id="two-exams" compare=true
config = Config(
    steps=400, warmup_steps=20, lr_max=5e-3, lr_min=1e-3, context=48, eval_every=25, eval_batches=4
)
recipe = Recipe(config)
corpus = recipe.load_data(config)
HELD = "play talk watch finish look like walk study have go see write come eat".split()
lexicon = verbs()
base = {name: verb.base for name, verb in lexicon.items() if verb.in_table}


def is_held(item):
    return item.surface == "past" and base[item.verb] in HELD


rng = random.Random(0)
others = [item for item in items() if item.verb in base and not is_held(item) and pairs(item)]
rng.shuffle(others)
train_lines = [str(rng.choice(pairs(item))) for item in others[:300]]
exam_lines = [str(rng.choice(pairs(item))) for item in others[300:900]]
exam_cells = [cell for cell in table_cells() if cell.surface == "past" and cell.verb in HELD]
form_verbs = [cell.verb for cell in exam_cells]
classes = {cell.verb: cell.verb_class for cell in exam_cells}
print(*train_lines[:3], "", sep="\n")
for name in ("regular", "irregular"):
    names = [verb for verb in classes if classes[verb] == name]
    print(f"{t(name)}: {len(names)}", *names)
print(f"\n{t('forms')}: {len(exam_cells)}   {exam_cells[0]}")

# %% id="measure" folded=true
encode, newline = corpus.tokenizer.encode, corpus.tokenizer.newline


def exam_of(texts, starts):
    rows = [[newline, *encode(text + "\n")] for text in texts]
    tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    asked = torch.zeros(tokens.shape, dtype=torch.bool)
    for number, (row, start) in enumerate(zip(rows, starts, strict=True)):
        tokens[number, : len(row)] = torch.tensor(row)
        asked[number, start : len(row)] = True
    return tokens, asked[:, 1:]


@torch.no_grad()
def measure(model, exam):
    parts = []
    for tokens, asked in zip(exam[0].split(200), exam[1].split(200), strict=True):
        logits, targets = model(tokens[:, :-1]), tokens[:, 1:]
        each = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
        right = logits.argmax(-1) == targets
        parts.append(torch.stack([(each * asked).sum(1), (right & asked).sum(1)]))
    return torch.cat(parts, dim=1).double().numpy()


line_exam = exam_of(exam_lines, [1] * len(exam_lines))
form_starts = [1 + len(encode(f"{cell.spanish} / {cell.english.split()[0]}")) for cell in exam_cells]
form_exam = exam_of(map(str, exam_cells), form_starts)
form_exam[1][torch.arange(len(exam_cells)), form_exam[1].int().argmax(1) + form_exam[1].sum(1) - 1] = False
guessing = math.log(config.vocab_size) * form_exam[1].sum(1).double().mean().item()


class Exams:
    def __init__(self, both=True):
        self.steps, self.lines, self.forms, self.right, self.both = [], [], [], [], both

    def on_record(self, trainer, record):
        if (record["step"] + 1) % config.eval_every == 0:
            self.steps.append(record["step"] + 1)
            self.forms.append(measure(trainer.model, form_exam)[0])
            if self.both:
                losses, right = measure(trainer.model, line_exam)
                counts = line_exam[1].sum(1).numpy()
                self.lines.append(losses / counts)
                self.right.append(right.sum() / counts.sum())


def tokens_of(lines):
    return torch.tensor(encode("\n".join(lines) + "\n"))


def train_on(lines, name, settings=config, both=True, **options):
    data = dataclasses.replace(corpus, train=tokens_of(lines), validation=tokens_of(exam_lines))
    exams = Exams(both)
    own = dataclasses.replace(Recipe(settings), load_data=lambda config: data)
    callbacks = [exams, LivePlot(**options)]
    return train(own, runs / name, callbacks=callbacks, overwrite=True), exams


# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# The model will learn its 300 lines by heart, so at some step the loss on the 600 others is lowest. Call that step
# *the bottom*. Now take the past forms that the model never saw. From step 50 to the bottom, **by how much does
# their loss change**: that of the regular ones (*played*), and that of the irregular ones (*went*)? In nats for a
# whole form, negative if it falls. Put a number in place of each `...`; nobody grades it.

# %% [markdown] id="predict" lang="es" of="0e188418dd3c"
# ## 2 · Predice
#
# El modelo se aprenderá de memoria sus 300 líneas, así que en algún paso el loss de las otras 600 será el más bajo.
# A ese paso llámalo *el fondo*. Ahora toma las formas de pasado que el modelo nunca vio. Del paso 50 al fondo,
# **¿cuánto cambia su loss**: el de las regulares (*played*) y el de las irregulares (*went*)? En nats por forma
# entera, negativo si baja. Escribe un número en lugar de cada `...`; nadie lo califica.

# %% id="my-prediction"
predict("forms", regular=..., irregular=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it

# %% [markdown] id="break" lang="es" of="a3e5f61bd7ca"
# ## 3 · Rómpelo

# %% id="train-first"
first, exams = train_on(train_lines, "first")

# %% id="draw-validation" folded=true
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
lines = np.array(exams.lines)
bottom = int(lines.mean(1).argmin())


def training_at(run, steps):
    losses = [record["loss"] for record in run.metrics]
    return np.array([np.mean(losses[step - config.eval_every : step]) for step in steps])


training = training_at(first, exams.steps)
figure = Figure(figsize=(6, 2.6), layout="constrained")
axes = figure.subplots()
axes.plot(exams.steps, training, color=BLUE, label=t("training"))
axes.plot(exams.steps, lines.mean(1), "o-", color=ORANGE, markersize=3, label=t("validation"))
axes.axvline(exams.steps[bottom], color="black", linestyle=":", linewidth=1)
axes.set(xlabel=t("step"), ylabel=t("loss"), ylim=(0, 3))
axes.legend(fontsize=8)
Picture().show(figure, t("validation-alt"))

# %% id="walk-first"
onset_question = [question for question in DRIFT_QUESTIONS if "overfit-onset" in question.leaves]
show(diagnosis.walk(diagnosis.evidence_of(first.path), onset_question), Console(width=88))

# %% [markdown] id="stop" lang="en"
# Question 9.3 of the stability check names it. (It has only the log: one mean per evaluation, over four random
# batches and not over all 600 lines, with steps that count from 0. So its best step is another, and it estimates the
# noise from the curve itself. You will do better.) This is a picture from the textbook, and the textbook has a
# cure, *early stopping*: take the weights of the bottom, at the dotted line. Up to there, it says, the model was
# getting better at what it had not seen. Was it?

# %% [markdown] id="stop" lang="es" of="4cff21217169"
# La pregunta 9.3 de la revisión de estabilidad le pone nombre. (Solo tiene el log: una media por evaluación, sobre
# cuatro batches al azar y no sobre las 600 líneas, con pasos que cuentan desde 0. Por eso su mejor paso es otro, y
# estima el ruido a partir de la propia curva. Tú lo harás mejor.) Es una gráfica de manual, y el manual tiene una
# cura, el *early stopping* o parar a tiempo: quédate con los pesos del fondo, donde está la línea de puntos. Hasta
# ahí, dice, el modelo mejoraba en lo que no había visto. ¿Es verdad?

# %% id="compare-prediction"
forms = np.array(exams.forms)


def class_curve(some_forms, name):
    means = [
        some_forms[:, [verb == one for verb in form_verbs]].mean(1) for one in classes if classes[one] == name
    ]
    return np.mean(means, axis=0)


at_50 = exams.steps.index(50)
curves = {name: class_curve(forms, name) for name in ("regular", "irregular")}
compare("forms", **{name: round(float(c[bottom] - c[at_50]), 1) for name, c in curves.items()})

# %% [markdown] id="two-stories" lang="en"
# While the loss on the 600 lines was still falling, the irregular forms had been getting worse from the start, by
# several nats a form. Early stopping keeps a model that is *more wrong* about *went* than it was at step 50.
#
# ## 4 · Inspect
#
# ### For whom?

# %% [markdown] id="two-stories" lang="es" of="11163ed09995"
# Mientras el loss de las 600 líneas todavía bajaba, las formas irregulares empeoraban desde el comienzo, varios
# nats por forma. El early stopping se queda con un modelo que se equivoca *más* con *went* que en el paso 50.
#
# ## 4 · Inspecciona
#
# ### ¿Para quién?

# %% id="draw-classes" folded=true
COLOURS = {"regular": GREEN, "irregular": ORANGE}


def draw_classes(axes, steps, some_curves, style="o-"):
    for name, curve in some_curves.items():
        axes.plot(steps, curve, style, color=COLOURS[name], markersize=3, label=t(name))
    axes.axhline(guessing, color="black", linestyle="--", linewidth=1)
    axes.set(xlabel=t("step"), ylim=(0, 27))


figure = Figure(figsize=(6, 2.6), layout="constrained")
axes = figure.subplots()
draw_classes(axes, exams.steps, curves)
axes.plot(exams.steps, np.mean([*curves.values()], axis=0), color="0.4", linewidth=1, label=t("average"))
axes.axvline(exams.steps[bottom], color="black", linestyle=":", linewidth=1)
axes.set_ylabel(t("nats-a-form"))
axes.legend(fontsize=8, ncols=3, loc="upper left")
Picture().show(figure, t("classes-alt"))

# %% id="what-it-writes"
asked_for = [cell for cell in exam_cells if cell.person == "3sg"]
beginnings = [f"{cell.spanish} / {cell.english.split()[0]}" for cell in asked_for]
for cell, answer in zip(asked_for, Sampler.load(first.path).lines(beginnings), strict=True):
    print(f"{cell.spanish:20} {cell.english:14} {' '.join(answer.split(' / ')[-1].split()[:4])}")

# %% [markdown] id="why-two" lang="en"
# The dashed line is a guess: every token equally likely. The irregular forms end far *above* it. *went* is nowhere
# in the text, so the more certain the model becomes of what it has seen, the more certain it becomes that *went* is
# wrong. A regular form is different: *has played* is in the text, and other verbs show that the past looks like
# that.
#
# So “it overfits” was really two statements. For the regular verbs the question is *when*. For the irregular ones
# no step is good, because what they need is not in the text. The average of both, in grey, goes down a little and
# ends about where it began; it describes neither.
#
# ### When?
#
# Back to the 600 lines. The loss at the bottom and the loss some steps later are two means over the same lines, and
# the lines differ a lot: some are easy, some hard. Does a difference of a few hundredths mean anything, then? That
# depends on the standard error that you compare it with. The table below has two ways to get one:
#
# * *two samples*: each mean has its own standard error, and the two are added in quadrature;
# * *paired*: the change of each line, and the standard error of the mean change.

# %% [markdown] id="why-two" lang="es" of="0c526f5b6a8f"
# La línea discontinua es el loss de quien responde al azar: todos los tokens igual de probables. Las formas
# irregulares terminan muy *por encima*. *went* no está en ninguna parte del texto, así que cuanto más seguro está el
# modelo de lo que ha visto, más seguro está de que *went* no puede ser. Con una forma regular es distinto: *has
# played* está en el texto, y otros verbos muestran que el pasado se ve así.
#
# «Está sobreajustado» eran, entonces, dos afirmaciones. Para los verbos regulares la pregunta es *cuándo*. Para los
# irregulares no hay ningún paso bueno, porque lo que necesitan no está en el texto. El promedio de ambos, en gris,
# baja un poco y termina más o menos donde empezó; no describe a ninguno de los dos.
#
# ### ¿Cuándo?
#
# Volvamos a las 600 líneas. El loss en el fondo y el loss unos pasos después son dos medias sobre las mismas
# líneas, y las líneas son muy distintas entre sí: unas fáciles, otras difíciles. ¿Significa algo, entonces, una
# diferencia de unas centésimas? Depende del error estándar con el que la compares. En la tabla de abajo hay dos
# maneras de obtenerlo:
#
# * *dos muestras*: cada media tiene su propio error estándar, y los dos se suman en cuadratura;
# * *por pares*: el cambio de cada línea, y el error estándar del cambio medio.

# %% id="two-errors"
print(f"{t('step'):>6}{t('change'):>12}{t('two-samples'):>20}{t('paired'):>20}")
for place in range(bottom + 1, len(lines)):
    change, n = lines[place] - lines[bottom], lines.shape[1]
    apart = math.sqrt((lines[place].var(ddof=1) + lines[bottom].var(ddof=1)) / n)
    together = change.std(ddof=1) / math.sqrt(n)
    ratios = change.mean() / apart, change.mean() / together
    print(f"{exams.steps[place]:6}{change.mean():+12.3f}{ratios[0]:20.1f}{ratios[1]:20.1f}")

# %% [markdown] id="paired-said" lang="en"
# The two right-hand columns are the change divided by its error. The losses are the same, and so is the change; but
# one column says “noise” for a long time, while the other is certain at once. How much the lines differ from one
# another has nothing to do with the question. A hard line is hard at both steps, and in the paired change that
# cancels.
#
# ### Turn the knobs
#
# This is the run from above; nothing is trained. The picture shows the exam of past forms with another mix of
# verbs: you choose which share of the exam is irregular. The dot is the lowest point, where early stopping would
# stop.
#
# 1. Move the share from 0 to 1. At which step does early stopping stop at each end?
# 2. Find the share at which the average ends where it began. What would you have concluded from that curve alone?
# 3. Nothing about the *model* changed while you moved the slider. What did?

# %% [markdown] id="paired-said" lang="es" of="dab0b1211558"
# Las dos columnas de la derecha son el cambio dividido entre su error. Los losses son los mismos, y el cambio
# también; pero una columna dice «ruido» durante mucho tiempo, mientras la otra está segura desde el comienzo.
# Cuánto se diferencian las líneas entre sí no tiene nada que ver con la pregunta. Una línea difícil es difícil en
# los dos pasos, y en el cambio por pares eso se cancela.
#
# ### Gira las perillas
#
# Es el run de arriba; no se entrena nada. El dibujo muestra el examen de las formas de pasado con otra proporción
# de verbos: tú eliges qué parte del examen es irregular. El punto es el valor más bajo, donde pararía el early
# stopping.
#
# 1. Mueve la parte de 0 a 1. ¿En qué paso se detiene el early stopping en cada extremo?
# 2. Busca la parte con la que el promedio termina donde empezó. ¿Qué habrías concluido solo de esa curva?
# 3. Mientras movías el control, nada cambió en el *modelo*. ¿Qué cambió?


# %% id="playground" folded=true
def draw(figure, share):
    axes = figure.subplots()
    draw_classes(axes, exams.steps, curves, "-")
    mix = (1 - share) * curves["regular"] + share * curves["irregular"]
    axes.plot(exams.steps, mix, color="black", linewidth=2, label=t("average"))
    lowest = int(mix.argmin())
    axes.plot(exams.steps[lowest], mix[lowest], "o", color="black", markersize=9)
    axes.set_ylabel(t("nats-a-form"))
    axes.set_title(t("stops-at", step=exams.steps[lowest]), fontsize=10)
    axes.legend(fontsize=8, ncols=3, loc="upper left")


playground(draw, size=(6, 2.8), share=Slider(t("share"), 0.0, 1.0, 0.4))

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. With regular verbs alone it stops somewhere in the middle or late, wherever the green curve happens to be
#    lowest. With irregular ones alone it stops within the first 50 steps, when the model knows nothing yet.
# 2. Somewhere around 0.4. “It got better, and from the middle on it lost everything again.” In truth these are two
#    stories: the regular forms keep most of what they have gained, and the irregular ones were lost from the start.
# 3. The exam. The bottom of a validation curve is a property of the model *and of the mix that you ask for*. If
#    your validation set has more rare names, more code or more Spanish than what you will use the model for, its
#    bottom is not your bottom.
# </details>

# %% [markdown] id="play-answers" lang="es" of="3f51f2f83da1"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. Solo con verbos regulares se detiene hacia la mitad o más tarde, donde la curva verde resulte ser más
#    baja. Solo con irregulares se detiene en los primeros 50 pasos, cuando el modelo todavía no sabe nada.
# 2. Cerca de 0.4. «Mejoró, y desde la mitad lo perdió todo otra vez». En realidad son dos historias: las formas
#    regulares conservan casi todo lo que ganaron, y las irregulares no tenían remedio desde el comienzo.
# 3. El examen. El fondo de una curva de validación depende del modelo *y de la proporción de lo que
#    preguntas*. Si tu validación tiene más nombres raros, más código o más español que aquello para lo que
#    usarás el modelo, su fondo no es tu fondo.
# </details>

# %% [markdown] id="fix" lang="en"
# ## 5 · Fix
#
# Three exercises. Each check below them is one small question, from coarse to fine; a failing one tells you
# what it thinks went wrong. No penalty for trying, none for opening a hint.
#
# ### Exercise 1 · Regular against irregular
#
# > Difficulty ●●○○○ · Importance ●●●●○ · 10 minutes
#
# Write `by_class(values, verbs, classes)`. `values` is an array with one number per form: its loss, or how much its
# loss changed. `verbs` is a list with the verb of each form: `"go"` is in it three times, for *I went*, *you went*,
# *he went*. `classes` is a dict from verb to class. Return a dict from class to a pair `(mean, standard_error)`,
# for the classes whose verbs are in the exam:
#
# * every **verb** counts once, however many of its forms are in the exam: first the mean of each verb, then
#   the mean of those;
# * the standard error is that of the verbs' means: their standard deviation (with n − 1) divided by √n, for n
#   verbs. Three forms of *go* are one piece of knowledge, not three;
# * a class with a single verb says nothing about other verbs: its error is `math.inf`.
#
# <details><summary>Hint</summary>
#
# Collect the values of each verb in a dict of lists. `np.std(means, ddof=1)` divides by n − 1.
# </details>

# %% [markdown] id="fix" lang="es" of="46fb69e75d57"
# ## 5 · Arregla
#
# Tres ejercicios. Cada comprobación es una pregunta pequeña, de lo grueso a lo fino; la que falla te dice
# qué cree que salió mal. Ni probar ni abrir una pista cuesta puntos.
#
# ### Ejercicio 1 · Regulares contra irregulares
#
# > Dificultad ●●○○○ · Importancia ●●●●○ · 10 minutos
#
# Escribe `by_class(values, verbs, classes)`. `values` es un array con un número por forma: su loss, o cuánto cambió
# su loss. `verbs` es una lista con el verbo de cada forma: `"go"` está tres veces, por *I went*, *you went* y *he
# went*. `classes` es un diccionario de verbo a clase. Devuelve un diccionario de clase a un par `(mean,
# standard_error)`, para las clases que tienen verbos en el examen:
#
# * cada **verbo** cuenta una vez, sin importar cuántas de sus formas haya en el examen: primero la media de
#   cada verbo y después la media de esas medias;
# * el error estándar es el de las medias de los verbos: su desviación estándar (con n − 1) dividida entre √n,
#   si hay n verbos. Tres formas de *go* son un solo conocimiento, no tres;
# * una clase con un solo verbo no dice nada de otros verbos: su error es `math.inf`.
#
# <details><summary>Pista</summary>
#
# Junta los valores de cada verbo en un diccionario de listas. `np.std(means, ddof=1)` divide entre n − 1.
# </details>


# %% solution="by-class"
def by_class(values, verbs, classes):
    ### BEGIN SOLUTION
    per_verb = {}
    for value, verb in zip(values, verbs, strict=True):
        per_verb.setdefault(verb, []).append(float(value))
    found = {}
    for name in sorted({classes[verb] for verb in per_verb}):
        means = [np.mean(per_verb[verb]) for verb in per_verb if classes[verb] == name]
        n = len(means)
        error = np.std(means, ddof=1) / math.sqrt(n) if n > 1 else math.inf
        found[name] = (np.mean(means), error)
    return found
    ### END SOLUTION


# %% check="by-class/mean" points=1
check("by-class/mean", by_class)

# %% check="by-class/weight" points=1
check("by-class/weight", by_class)

# %% check="by-class/error" points=1
check("by-class/error", by_class)

# %% check="by-class/single" points=1
check("by-class/single", by_class)

# %% [markdown] id="task-onset" lang="en"
# ### Exercise 2 · When it began
#
# > Difficulty ●●●○○ · Importance ●●●●● · 15 minutes
#
# Write `onset(training, validation, errors=3.0)`. `training[e]` is the training loss at evaluation e.
# `validation` is an array: `validation[e, i]` is the loss of exam item i at evaluation e. Return the number
# of the first evaluation at which overfitting is certain, or `None` if there is none. It is certain at
# evaluation e if
#
# * the mean loss has risen since the **lowest evaluation so far** by more than `errors` standard errors of
#   the *paired* change (n − 1, divided by √n);
# * and the training loss has fallen since that lowest evaluation. If it has not, the run has another illness.
#
# A detector runs while you train, so at evaluation e it knows only the evaluations up to e. It must not look ahead
# to a lower one that is still to come.
#
# <details><summary>Hint 1: paired</summary>
#
# `change = validation[now] - validation[best]` is an array with one change per item. Everything else is about
# this array.
# </details>
# <details><summary>Hint 2: the lowest so far</summary>
#
# Go through the evaluations in order and keep the number of the lowest one. Where the mean change is below 0,
# you have a new lowest one, and no rise to test.
# </details>

# %% [markdown] id="task-onset" lang="es" of="b900b07ed463"
# ### Ejercicio 2 · Cuándo empezó
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 15 minutos
#
# Escribe `onset(training, validation, errors=3.0)`. `training[e]` es el loss de entrenamiento en la evaluación
# e. `validation` es un array: `validation[e, i]` es el loss del ítem i del examen en la evaluación e. Devuelve
# el número de la primera evaluación en la que el sobreajuste es seguro, o `None` si no hay ninguna. Es seguro
# en la evaluación e si
#
# * el loss medio ha subido desde la **evaluación más baja hasta ese momento** más de `errors` errores estándar
#   del cambio *por pares* (n − 1, dividido entre √n);
# * y el loss de entrenamiento ha bajado desde esa evaluación más baja. Si no ha bajado, el run tiene otra
#   enfermedad.
#
# Un detector trabaja mientras entrenas, así que en la evaluación e solo conoce las evaluaciones hasta e. No puede
# mirar hacia delante, a una más baja que todavía está por venir.
#
# <details><summary>Pista 1: por pares</summary>
#
# `change = validation[now] - validation[best]` es un array con un cambio por ítem. Todo lo demás sale de ese
# array.
# </details>
# <details><summary>Pista 2: la más baja hasta el momento</summary>
#
# Recorre las evaluaciones en orden y guarda el número de la más baja. Donde el cambio medio es menor que 0,
# tienes una nueva más baja, y ninguna subida que examinar.
# </details>


# %% solution="onset"
def onset(training, validation, errors=3.0):
    ### BEGIN SOLUTION
    best = 0
    for now in range(1, len(validation)):
        change = validation[now] - validation[best]
        if change.mean() < 0:
            best = now
            continue
        error = change.std(ddof=1) / math.sqrt(len(change))
        if change.mean() > errors * error and training[now] < training[best]:
            return now
    return None
    ### END SOLUTION


# %% check="onset/finds" points=1
check("onset/finds", onset)

# %% check="onset/noise" points=2
check("onset/noise", onset)

# %% check="onset/training" points=1
check("onset/training", onset)

# %% check="onset/past" points=1
check("onset/past", onset)

# %% [markdown] id="task-keep-best" lang="en"
# ### Exercise 3 · A bug in code that looks right
#
# > Difficulty ●●○○○ · Importance ●●●●● · 10 minutes
#
# You have decided to keep the best weights. The cell below this text is what many repositories have. It runs,
# it returns the right loss, and the model that it leaves is the wrong one.
#
# Write a correct `keep_best(model, train_step, evaluate, steps)`. `train_step(model)` changes the weights; after
# each of the `steps` training steps, `evaluate(model)` returns the loss and changes nothing. Afterwards
#
# * the model has the weights of its lowest loss, the first of them if several are equal; a loss that is NaN is
#   never the lowest. If there was no lowest loss, it has the weights that it began with;
# * each evaluation ran in evaluation mode (no dropout), each training step in training mode, and the model is
#   left in training mode;
# * the function returns the lowest loss, or `math.inf` if there was none.
#
# <details><summary>Hint: print it</summary>
#
# Before and after `train_step`, print one number of `weights`. What is a state dict a dict *of*?
# </details>

# %% [markdown] id="task-keep-best" lang="es" of="4ed62d0d7024"
# ### Ejercicio 3 · Un error en código que parece correcto
#
# > Dificultad ●●○○○ · Importancia ●●●●● · 10 minutos
#
# Decidiste conservar los mejores pesos. La celda debajo de este texto es lo que tienen muchos repositorios.
# Se ejecuta sin error, devuelve el loss correcto, y el modelo que deja es el equivocado.
#
# Escribe un `keep_best(model, train_step, evaluate, steps)` correcto. `train_step(model)` cambia los pesos; después
# de cada uno de los `steps` pasos de entrenamiento, `evaluate(model)` devuelve el loss y no cambia nada. Al
# terminar,
#
# * el modelo tiene los pesos de su loss más bajo, el primero si hay varios iguales; un loss que es NaN nunca es el
#   más bajo. Si no hubo ninguno, tiene los pesos con los que empezó;
# * cada evaluación se hizo en modo de evaluación (sin dropout), cada paso de entrenamiento en modo de
#   entrenamiento, y el modelo queda en modo de entrenamiento;
# * la función devuelve el loss más bajo, o `math.inf` si no hubo ninguno.
#
# <details><summary>Pista: imprímelo</summary>
#
# Antes y después de `train_step`, imprime un número de `weights`. ¿*De qué* es diccionario lo que devuelve
# `state_dict()`?
# </details>


# %% id="looks-right"
def looks_right(model, train_step, evaluate, steps):
    best, weights = math.inf, model.state_dict()
    for _ in range(steps):
        train_step(model)
        loss = evaluate(model)
        if loss < best:
            best, weights = loss, model.state_dict()
    model.load_state_dict(weights)
    return best


# %% solution="keep-best"
def keep_best(model, train_step, evaluate, steps):
    ### BEGIN SOLUTION
    best, weights = math.inf, copy.deepcopy(model.state_dict())
    for _ in range(steps):
        train_step(model)
        model.eval()
        loss = evaluate(model)
        model.train()
        if loss < best:
            best, weights = loss, copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return best
    ### END SOLUTION


# %% check="keep-best/weights" points=1
check("keep-best/weights", keep_best)

# %% check="keep-best/loss" points=1
check("keep-best/loss", keep_best)

# %% check="keep-best/mode" points=1
check("keep-best/mode", keep_best)

# %% check="keep-best/edges" points=1
check("keep-best/edges", keep_best)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# Your first two functions on the run from above. Your detector looks at the 600 lines: at which step does it ring?
# And by how much had the loss of each class of past forms changed by then, since step 50?

# %% [markdown] id="verify" lang="es" of="8a27c1bce415"
# ## 6 · Comprueba
#
# Tus dos primeras funciones con el run de arriba. Tu detector mira las 600 líneas: ¿en qué paso suena? ¿Y cuánto
# había cambiado para entonces, desde el paso 50, el loss de cada clase de formas de pasado?

# %% id="my-onset"
rings = onset(training, lines)
print(t("rings-at", step="–" if rings is None else exams.steps[rings]))
change = forms[-1 if rings is None else rings] - forms[at_50]
for name, (mean, error) in by_class(change, form_verbs, classes).items():
    print(f"{t(name):12}{mean:+8.1f} ± {error:.1f}")

# %% [markdown] id="data" lang="en"
# Early stopping cannot help the irregular verbs: no step is good for them. What is missing is *information*. So add
# some: the past of those six verbs in the first person, *yo fui / I went*, and nothing else. From here on the exam
# asks only for the other two persons, in both runs.

# %% [markdown] id="data" lang="es" of="c0fa3852c6b4"
# El early stopping no puede ayudar a los verbos irregulares: ningún paso es bueno para ellos. Lo que falta es
# *información*. Agrégala: el pasado de esos seis verbos en primera persona, *yo fui / I went*, y nada más. Desde
# aquí, el examen solo pregunta por las otras dos personas, en los dos runs.

# %% id="train-repaired"
told = [
    str(pair)
    for item in items()
    if item.verb in base and is_held(item) and not lexicon[item.verb].regular
    if item.person == "1sg" and item.form == "affirmative"
    for pair in rng.sample(pairs(item), min(6, len(pairs(item))))
]
more_lines = rng.sample(train_lines + told, len(train_lines) + len(told))
repaired, repaired_exams = train_on(more_lines, "repaired", both=False, before=first.metrics)

# %% id="draw-repaired" folded=true
other_persons = np.array([cell.person != "1sg" for cell in exam_cells])


def curves_of_others(some_exams):
    some_forms = np.where(other_persons, np.array(some_exams.forms), np.nan)
    found = {}
    for name in curves:
        means = [
            np.nanmean(some_forms[:, [verb == one for verb in form_verbs]], axis=1)
            for one in classes
            if classes[one] == name
        ]
        found[name] = np.mean(means, axis=0)
    return found


figure = Figure(figsize=(8, 2.6), layout="constrained")
both = {"before": exams, "after": repaired_exams}
for axes, (title, some_exams) in zip(figure.subplots(1, 2, sharey=True), both.items(), strict=True):
    draw_classes(axes, some_exams.steps, curves_of_others(some_exams))
    axes.set_title(t(title), fontsize=10)
figure.axes[0].set_ylabel(t("nats-a-form"))
figure.axes[0].legend(fontsize=8, loc="lower left")
Picture().show(figure, t("repaired-alt"))

# %% [markdown] id="data-said" lang="en"
# A few lines changed what 400 steps could not. The optimizer, the learning rate and the number of steps were the
# same. *Before you stop a run earlier, ask the loss of which class is rising, and whether your text could teach
# that class.*
#
# ### A counter-example: the bell rings, and the model gets better
#
# The detector is certain that the loss on the 600 lines rises. Does that mean that the model gives worse answers?
# Count how many tokens it gets right, at the bottom and at the end.

# %% [markdown] id="data-said" lang="es" of="f970a8610e97"
# Unas pocas líneas cambiaron lo que 400 pasos no pudieron. El optimizador, el learning rate y el número de pasos
# eran los mismos. *Antes de parar un run más temprano, pregunta de qué clase sube el loss, y si tu texto podría
# enseñar esa clase.*
#
# ### Un contraejemplo: suena la alarma, y el modelo mejora
#
# El detector está seguro de que el loss de las 600 líneas sube. ¿Quiere decir que el modelo responde peor?
# Cuenta cuántos tokens acierta, en el fondo y al final.

# %% id="loss-and-right"
print(f"{'':12}{t('loss'):>10}{t('right-tokens'):>24}")
for name, place in (("bottom", bottom), ("end", -1)):
    print(f"{t(name):12}{lines[place].mean():10.3f}{exams.right[place]:24.1%}")

# %% [markdown] id="figure-text" lang="en"
# **A figure from a paper, in miniature.** Guo et al. (2017, figure 3) plotted the loss and the error of a network
# with 110 layers that learns to recognise images. For a large part of the run the loss on the test images rises, and
# in the same part the error *falls*, from 29 % to 27 %. Here are the same two curves for the run above: the loss on
# the 600 lines, and the share of their tokens that the model gets wrong. The grey band runs, as in the paper, from
# the lowest loss to the fewest errors.

# %% [markdown] id="figure-text" lang="es" of="52c42a14ab22"
# **Una figura de un artículo, en pequeño.** Guo et al. (2017, figura 3) dibujaron el loss y el error de una red de
# 110 capas que aprende a reconocer imágenes. Durante buena parte del run el loss en las imágenes de prueba sube, y en
# esa misma parte el error *baja*, de 29 % a 27 %. Aquí están las mismas dos curvas para el run de arriba: el loss en
# las 600 líneas y la parte de sus tokens en que el modelo se equivoca. La banda gris va, como en el artículo, desde
# el loss más bajo hasta el menor número de errores.

# %% id="draw-loss-and-error" folded=true
wrong = 1 - np.array(exams.right)
fewest = int(wrong.argmin())
figure = Figure(figsize=(6, 2.6), layout="constrained")
axes = figure.subplots()
beside = axes.twinx()
axes.plot(exams.steps, lines.mean(1), "o-", color=ORANGE, markersize=3)
beside.plot(exams.steps, 100 * wrong, "s-", color=BLUE, markersize=3)
axes.axvspan(exams.steps[bottom], exams.steps[fewest], color="0.9")
axes.set(xlabel=t("step"), xlim=(140, 410), ylim=(1.45, 1.75))
axes.set_ylabel(t("loss"), color=ORANGE)
beside.set(ylim=(31, 43))
beside.set_ylabel(t("wrong-tokens"), color=BLUE)
Picture().show(figure, t("loss-and-error-alt"))

# %% id="loss-and-error" compare=true
print(f"{t('fewest-later')}: {t(str(fewest > bottom))}")
print(f"{t('fewer-at-the-end')}: {t(str(bool(wrong[-1] < wrong[bottom])))}")

# %% [markdown] id="overconfident" lang="en"
# As in the paper: the loss gets worse and the answers do not. Where the model is wrong it has become *surer* of itself.
# The loss punishes that without limit; a count of right answers does not see it. So decide first what you use the
# model for. If you need its probabilities, stop at the bottom. If you need its answers, evaluate its answers.
#
# What stays unknown: this standard error covers only the noise of the exam, that is, which lines we happened to
# ask. Another seed would move the bottom, and no error bar of a single run says by how much.

# %% [markdown] id="overconfident" lang="es" of="4c6df4e5c2c5"
# Como en el artículo: el loss empeora y las respuestas no. Donde se equivoca, el modelo está más *seguro* de sí
# mismo. El loss castiga eso sin límite; contar aciertos no lo ve. Así que decide primero para qué usas el modelo. Si
# necesitas sus probabilidades, detente en el fondo. Si necesitas sus respuestas, evalúa sus respuestas.
#
# Lo que no se sabe: este error estándar solo abarca el ruido del examen, es decir, qué líneas nos tocó preguntar.
# Otra semilla movería el fondo, y ninguna barra de error de un solo run dice cuánto.

# %% [markdown] id="explain" lang="en"
# ## 7 · Explain
#
# A team trains a model on English and a little Spanish. A single validation set contains both, half and half. Its
# loss is lowest at step 8,000 and 0.02 higher at step 10,000. They write: *“Overfitting begins at 8,000. We ship
# those weights. 0.02 is within the error of either mean, but better safe than sorry.”*
#
# Answer in three to six sentences: why “within the error of either mean” is the wrong comparison, and which
# one is right; what the average may be hiding, and which figures you would ask for; and one result under which
# stopping earlier would *not* be the cure, with what would be. (Three points, one for each.)

# %% [markdown] id="explain" lang="es" of="d7c41e59d38d"
# ## 7 · Explica
#
# Un equipo entrena un modelo con inglés y un poco de español. Un solo conjunto de validación contiene los dos, mitad
# y mitad. Su loss llega al mínimo en el paso 8,000, y en el paso 10,000 es 0.02 más alto. Escriben: *«El
# sobreajuste empieza en 8,000. Publicamos esos pesos. 0.02 está dentro del error de cada media, pero más vale
# prevenir».*
#
# Responde en tres a seis oraciones: por qué «dentro del error de cada media» es la comparación equivocada, y
# cuál es la correcta; qué puede estar escondiendo el promedio, y qué cifras pedirías; y un resultado con el que
# parar antes *no* sería la cura, y cuál lo sería. (Tres puntos, uno por cada parte.)

# %% [markdown] answer="explain-the-average" points=3 lang="en"
# Both means are over the same texts, so what the texts differ by cancels: the standard error of the paired
# change, text by text, is the one to compare 0.02 with, and it is often ten times smaller. Counted by
# document, since pieces of one document go together. The average may hide that English still improves while
# Spanish has been getting worse for thousands of steps, or the other way round; I would ask for the loss of
# each language at every evaluation, each with its paired error. If Spanish rises and English falls, no single
# step is right for both: the Spanish text is too little and is learnt by heart, and the cure is more Spanish
# (or repeating it less), not weights from an earlier step.
#
# ---
# **Rubric.** One point each. (1) Paired change over the same items, with its own standard error. “More
# validation data” alone does not count. (2) Loss by language, with errors, and that the two may move in
# opposite directions; “plot more curves” without saying which does not count. (3) A result by class in which
# one class needs information or data that is missing, and that cure. Also right: the loss rises while the
# answers get better, so evaluate answers.

# %% [markdown] answer="explain-the-average" points=3 lang="es" of="63cd73574107"
# Las dos medias son sobre los mismos textos, así que lo que los textos se diferencian entre sí se cancela: hay
# que comparar 0.02 con el error estándar del cambio por pares, texto por texto, que suele ser diez veces
# menor. Contado por documento, porque los trozos de un documento van juntos. El promedio puede esconder que el
# inglés todavía mejora mientras el español lleva miles de pasos empeorando, o al revés; pediría el loss de cada
# idioma en cada evaluación, cada uno con su error por pares. Si el español sube y el inglés baja, no hay un
# paso bueno para los dos: el texto en español es muy poco y se aprende de memoria, y la cura es más español (o
# repetirlo menos), no los pesos de un paso anterior.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) El cambio por pares sobre los mismos ítems, con su propio error
# estándar. «Más datos de validación» por sí solo no cuenta. (2) El loss por idioma, con errores, y que los dos
# pueden moverse en sentidos opuestos; «dibujar más curvas» sin decir cuáles no cuenta. (3) Un resultado por
# clase en el que a una clase le falta información o datos, y esa cura. También es correcto: el loss sube
# mientras las respuestas mejoran, así que hay que evaluar respuestas.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# | leaf | symptom | threshold | first action |
# |---|---|---|---|
# | `overfit-onset` | training falls, validation has passed its minimum | up by more than 3 standard errors of the paired change | split the rise by class before you stop anything |
#
# Then, by class. *All classes rise*: more text, a smaller model, dropout, or stop at the bottom. *One class
# rises*: can your text teach it at all? If not, add what is missing. *The loss rises and the answers do not
# get worse*: the model is too sure of itself; decide what you need. And whatever you keep, keep a **copy**.
#
# The last lesson, 19-10, is the capstone: six runs, drawn for you, and nobody says what is wrong with them.

# %% [markdown] id="card" lang="es" of="f0f03f7d5f3c"
# ## 8 · Una tarjeta para guardar
#
# | hoja | síntoma | umbral | primera acción |
# |---|---|---|---|
# | `overfit-onset` | el entrenamiento baja, la validación ya pasó su mínimo | sube más de 3 errores estándar del cambio por pares | divide la subida por clases antes de parar nada |
#
# Después, por clases. *Suben todas*: más texto, un modelo más pequeño, dropout, o parar en el fondo. *Sube
# una*: ¿puede tu texto enseñarla? Si no, agrega lo que falta. *El loss sube y las respuestas no empeoran*: el
# modelo está demasiado seguro de sí mismo; decide qué necesitas. Y conserves lo que conserves, conserva una
# **copia**.
#
# La última lección, la 19-10, es el proyecto final: seis runs, elegidos para ti, y nadie dice qué tienen.

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
# A few lines for any loop. All they need is a loss **per item**, not per batch: `reduction="none"`, a mean over each
# row, and the same items in the same order every time. Here the loop is not ours: a small classifier with plain
# SGD, and two classes of questions, one with an answer in the data and one whose labels are noise.

# %% [markdown] id="own-run" lang="es" of="aade8d3fa611"
# ## 9 · En tu propio run
# Unas pocas líneas para cualquier bucle. Solo necesitan un loss **por ítem**, no por batch: `reduction="none"`, una
# media sobre cada fila, y los mismos ítems en el mismo orden cada vez. Aquí el bucle no es nuestro: un clasificador
# pequeño con SGD simple, y dos clases de preguntas: una cuya respuesta está en los datos y otra cuyas etiquetas son
# ruido.

# %% id="foreign-loop" compare=true
generator = torch.Generator().manual_seed(0)
words = torch.randn(240, 30, generator=generator)
labels = (words[:, 0] > 0).long()
labels[1::2] = torch.randint(0, 2, (120,), generator=generator)
kinds = ["clear", "noise"] * 60
net = torch.nn.Sequential(torch.nn.Linear(31, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
net.load_state_dict({n: torch.randn(p.shape, generator=generator) / 5 for n, p in net.state_dict().items()})
words = torch.cat([words, torch.tensor([0.0, 1.0]).repeat(120)[:, None]], dim=1)
sgd = torch.optim.SGD(net.parameters(), lr=0.5)
train_history, item_history = [], []
for step in range(300):
    loss = F.cross_entropy(net(words[:120]), labels[:120])
    sgd.zero_grad()
    loss.backward()
    sgd.step()
    if step % 10 == 0:
        with torch.no_grad():
            each = F.cross_entropy(net(words[120:]), labels[120:], reduction="none")
        train_history.append(loss.item())
        item_history.append(each.double().numpy())
item_history = np.array(item_history)
rang = onset(train_history, item_history)
change = item_history[-1] - item_history[0]
names = [str(item) for item in range(120)]
by_kind = by_class(change, names, dict(zip(names, kinds, strict=True)))
print(f"{t('rang')}: {t(str(rang is not None))}")
for kind, (mean, error) in by_kind.items():
    print(f"{t(kind)}: {t('rises' if mean > 3 * error else 'no-rise')}")

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# * Rumelhart & McClelland (1986), [On learning the past tenses of English
#   verbs](https://stanford.edu/~jlmcc/papers/PDP/Chapter18.pdf): the network that began the quarrel about
#   *goed* and *went*.
# * Prechelt (1998), [Early stopping, but when?](https://doi.org/10.1007/3-540-49430-8_3): in 1,296 runs, slower
#   criteria gained about 4 % and took about four times as long.
# * Miller (2024), [Adding error bars to evals](https://arxiv.org/abs/2411.00640): paired differences, and clustered
#   errors that can be more than three times the naive ones.
# * Guo et al. (2017), [On calibration of modern neural networks](https://arxiv.org/abs/1706.04599): the figure that
#   is drawn again above, and a cure for models that are too sure of themselves.
#
# **A true story.** The network of 1986 first got *went* right, then said *goed*, then *went* again, as children do,
# and the curve of its irregular verbs made it famous. Critics asked where the dip in that curve came from. In 1995
# Gary Marcus compared a successor, by Plunkett and Marchman, with the records of a child called Adam. The likeness,
# he wrote, was exaggerated, among other things by unexplained changes in how the graphs were plotted; and in the
# simulation the dip came only after an abrupt change in the training ([Cognition 56,
# 271–279](https://doi.org/10.1016/0010-0277(94)00656-6)). A curve by class is evidence. What gave it its shape is
# another question, and the training text has to answer it.
#
# **A hard bonus task.** Does the exam of past forms ring? Give your `onset` the irregular forms of the first run in
# two ways: a column for each of the 18 forms, and a column for the mean of each of the 6 verbs. Which answer would
# you believe? Then ask how much depends on the verbs that happened to be in the exam: let it decide for every choice
# of two, three, … six of them. It rings *less* often the more verbs it gets. Why?
#
# <details><summary>Hint</summary>
#
# The error is estimated from the items themselves. How well is it known if there are two?
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# from itertools import combinations
#
# names = [verb for verb in classes if classes[verb] == "irregular"]
# columns = {name: [verb == name for verb in form_verbs] for name in names}
# by_form = np.concatenate([forms[:, columns[name]] for name in names], axis=1)
# by_verb = np.array([forms[:, columns[name]].mean(1) for name in names]).T
# print(onset(training, by_form), onset(training, by_verb))
# for k in range(2, 7):
#     rang = [onset(training, by_verb[:, some]) is not None for some in combinations(range(6), k)]
#     print(k, sum(rang), len(rang))
# ```
#
# By form it rings at evaluation 7, after 200 steps; by verb it never rings. The three forms of a verb rise and fall
# together, so 18 columns are not 18 pieces of evidence, and the error by form is too small. By verb the loss rises by
# several nats for five of the six, but that of `had` falls, so the error of the mean is large.
#
# Of the choices of 2, 3, 4, 5 and 6 verbs, 10 of 15 ring, 11 of 20, 5 of 15, 2 of 6, and not the whole. With two verbs
# the error comes from a single difference. Where that is small by chance, three errors are nothing: for two items,
# chance alone exceeds +3 errors about one time in ten, and this detector asks fifteen times. Three standard
# errors are a high bar only where there are many independent items, as in the 600 lines.
# </details>

# %% [markdown] id="sources" lang="es" of="9b7acbd7c8ae"
# ## 10 · De dónde viene esto
#
# * [Rumelhart y McClelland (1986)](https://stanford.edu/~jlmcc/papers/PDP/Chapter18.pdf): la red que empezó la
#   disputa sobre *goed* y *went*.
# * [Prechelt (1998)](https://doi.org/10.1007/3-540-49430-8_3): cuándo parar, medido en 1,296 runs. Los criterios
#   más lentos ganaron cerca de un 4 % y tardaron unas cuatro veces más.
# * [Miller (2024)](https://arxiv.org/abs/2411.00640): barras de error para evaluaciones. Diferencias por pares, y
#   errores agrupados que pueden ser más del triple de los ingenuos.
# * [Guo et al. (2017)](https://arxiv.org/abs/1706.04599): la calibración de las redes modernas; la figura que arriba
#   se dibuja otra vez, y una cura para modelos demasiado seguros de sí mismos.
#
# **Una historia real.** La red de 1986 primero acertaba con *went*, después dijo *goed* y después otra vez *went*,
# como los niños, y la curva de sus verbos irregulares la hizo famosa. Los críticos preguntaron de dónde salía la
# caída de esa curva. En 1995, Gary Marcus comparó una sucesora, de Plunkett y Marchman, con los registros de un
# niño llamado Adam. El parecido, escribió, estaba exagerado, entre otras cosas por cambios sin explicar en la
# manera de dibujar las gráficas; y en la simulación la caída solo aparecía tras un cambio brusco en el
# entrenamiento ([Marcus, 1995](https://doi.org/10.1016/0010-0277(94)00656-6)). Una curva por clases es evidencia.
# Qué le dio esa forma es otra pregunta, y la tiene que responder el texto de entrenamiento.
#
# **Un reto extra, difícil.** ¿Suena el examen de las formas de pasado? Dale a tu `onset` las formas irregulares
# del primer run de dos maneras: una columna por cada una de las 18 formas, y una columna con la media de cada uno de
# los 6 verbos. ¿Qué respuesta te creerías? Después pregunta cuánto depende de los verbos que tocaron en el examen:
# que decida con cada grupo de dos, tres, … seis de ellos. Suena *menos* cuantos más verbos recibe. ¿Por qué?
#
# <details><summary>Pista</summary>
#
# El error se estima con los propios ítems. ¿Qué tan bien se conoce si hay dos?
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# from itertools import combinations
#
# names = [verb for verb in classes if classes[verb] == "irregular"]
# columns = {name: [verb == name for verb in form_verbs] for name in names}
# by_form = np.concatenate([forms[:, columns[name]] for name in names], axis=1)
# by_verb = np.array([forms[:, columns[name]].mean(1) for name in names]).T
# print(onset(training, by_form), onset(training, by_verb))
# for k in range(2, 7):
#     rang = [onset(training, by_verb[:, some]) is not None for some in combinations(range(6), k)]
#     print(k, sum(rang), len(rang))
# ```
#
# Por formas suena en la evaluación 7, después de 200 pasos; por verbos no suena nunca. Las tres formas de un verbo
# suben y bajan juntas, así que 18 columnas no son 18 pruebas, y el error por formas es demasiado pequeño. Por verbos,
# el loss de cinco de los seis sube varios nats, pero el de `had` baja, así que el error de la media es grande.
#
# De los grupos de 2, 3, 4, 5 y 6 verbos suenan 10 de 15, 11 de 20, 5 de 15, 2 de 6, y no el grupo entero. Con dos
# verbos, el error sale de una sola diferencia. Si por casualidad es pequeña, tres errores no son nada: con dos ítems,
# el puro azar pasa de +3 errores más o menos una vez de cada diez, y este detector pregunta quince
# veces. Tres errores estándar son una exigencia alta solo si hay muchos ítems independientes, como en las 600 líneas.
# </details>
