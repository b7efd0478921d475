"""Lesson 18-04: are losses moving? Slopes, gaps, and a validation loss that can be believed."""

# %% [markdown] id="why" lang="en"
# Two curves decide what people do with a run: training loss and validation loss. One must fall, the other
# must follow. Both can be read wrongly. A flat curve may mean a learning rate that is too low, or one that is
# too high. And a validation loss is an exam: if the questions were handed out before, everybody passes.
#
# Here you break runs in five ways, and cure one in a way that cures nothing. Afterwards you can
#
# * say whether a noisy loss falls, stays flat or rises, with a number;
# * tell overfitting from a leak, and a model that learns nothing from one that learns only how frequent
#   each word is;
# * split a text so that validation asks something new, and show that it does.
#
# Run the cells in order with **Shift + Enter**. Everything trains on your own machine, in seconds.

# %% [markdown] id="why" lang="es" of="2c451463ac9c"
# Dos curvas deciden lo que se hace con un run: el loss de entrenamiento y el de validación. Uno tiene que
# bajar y el otro tiene que seguirlo. Los dos se pueden leer mal. Una curva plana puede venir de un learning
# rate (tasa de aprendizaje) muy bajo, o de uno muy alto. Y un loss de validación es un examen: si las
# preguntas circularon antes, todo el mundo aprueba.
#
# Aquí vas a romper runs de cinco maneras, y a curar uno de una manera que no cura nada. Al terminar sabrás
#
# * decir si un loss ruidoso baja, se queda igual o sube, con un número;
# * distinguir el sobreajuste de una fuga de datos, y un modelo que no aprende nada de otro que solo aprende
#   qué tan frecuente es cada palabra;
# * dividir un texto de modo que la validación pregunte algo nuevo, y demostrar que lo hace.
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

from course.notebook import check, lesson, t
from course.picture import Picture
from course.predictions import compare, predict
from course.widgets import Slider, playground
from minigpt import Config, Recipe, diagnosis, train
from minigpt.data.batches import evaluation_batches
from minigpt.data.corpus import load_corpus
from minigpt.diagnosis.report import seen, show
from minigpt.diagnosis.trees.configuration.losses import LOSS_QUESTIONS, STEP_QUESTIONS
from minigpt.faults import FAULTS
from minigpt.runs import checkpoint

lesson("18-04")
runs = Path("experiments") / "18-04"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9


def walk_section_4(run):
    return diagnosis.walk(diagnosis.evidence_of(run.path), (*STEP_QUESTIONS, *LOSS_QUESTIONS))


def item_of(line):
    return " | ".join(sorted(line.split(" / ")))


# %% [markdown] id="meet" lang="en"
# ## 1 · A cure
#
# Somebody has little text: 150 sentences with their translations. Each pair is written twice, once in each
# direction, so that the model learns to translate both ways. The last 30 pairs, in both directions, are
# kept for validation.

# %% [markdown] id="meet" lang="es" of="b0554da1ba21"
# ## 1 · Una cura
#
# Alguien tiene poco texto: 150 oraciones con su traducción. Cada par está escrito dos veces, una en cada
# dirección, para que el modelo aprenda a traducir en los dos sentidos. Los últimos 30 pares, en ambas
# direcciones, se guardan para validación.

# %% id="little-text" compare=true
config = Config(steps=250, warmup_steps=25, lr_max=6e-3, batch_size=16, context=32, eval_every=25)
recipe = Recipe(config)
corpus = recipe.load_data(config)
pairs = [line.split(" / ") for line in load_corpus().train.splitlines()[:300]]


def both_ways(some_pairs):
    return [line for one, other in some_pairs for line in (f"{one} / {other}", f"{other} / {one}")]


lines = both_ways(pairs[:150])
print(*lines[:4], sep="\n")
print(f"\n{t('lines')} {len(lines)}")


# %% id="train-first" folded=true
def tokens_of(some_lines):
    return torch.tensor(corpus.tokenizer.encode("\n".join(some_lines) + "\n"))


def train_on(train_lines, validation_lines, name):
    train_lines = random.Random(0).sample(train_lines, len(train_lines))
    sides = {"train": tokens_of(train_lines), "validation": tokens_of(validation_lines)}
    data = dataclasses.replace(corpus, **sides)
    return train(dataclasses.replace(recipe, load_data=lambda config: data), runs / name, overwrite=True)


def both_curves(axes, run):
    axes.plot([record["loss"] for record in run.metrics], color="#0072b2", linewidth=1)
    looks = [(r["step"], r["val_loss"]) for r in run.metrics if "val_loss" in r]
    axes.plot(*zip(*looks, strict=True), "o-", color="#d55e00", markersize=3)
    axes.axhline(math.log(config.vocab_size), color="black", linestyle="--", linewidth=1)
    axes.set_xlabel(t("step"))
    axes.tick_params(labelsize=8)


def show_runs(some_runs, alt):
    figure = Figure(figsize=(3.4 * len(some_runs), 2.5), layout="constrained")
    panels = figure.subplots(1, len(some_runs), sharey=True, squeeze=False)[0]
    for axes, (title, run) in zip(panels, some_runs.items(), strict=True):
        both_curves(axes, run)
        axes.set_title(title, fontsize=9)
    names = (t("training"), t("validation"), f"ln V = {math.log(config.vocab_size):.2f}")
    panels[0].set_ylabel(t("loss"))
    panels[0].legend(panels[0].lines, names, fontsize=8, loc=(0.5, 0.55))
    Picture().show(figure, alt)


first = train_on(lines[:240], lines[240:], "first")
show_runs({t("first"): first}, t("curves-alt"))

# %% id="walk-first"
show(walk_section_4(first), Console(width=88))

# %% [markdown] id="colleague" lang="en"
# Plain overfitting: the model learns its 240 lines by heart, and validation stays behind. A colleague has a
# remedy: *“Your validation set is just unlucky. All those lines came last. Put everything in one pile,
# shuffle, and take a fifth of the lines at random.”* Random is always good, so:

# %% [markdown] id="colleague" lang="es" of="6b5309d57a4e"
# Sobreajuste, sin duda: el modelo se aprende sus 240 líneas de memoria y la validación se queda atrás. Un
# colega tiene el remedio: *«Lo que pasa es que tu validación tuvo mala suerte. Todas esas líneas estaban al
# final. Júntalo todo, baraja y saca al azar una quinta parte de las líneas».* Elegir al azar siempre es
# bueno, así que:

# %% id="train-reshuffled"
shuffled = random.Random(0).sample(lines, len(lines))
cured = train_on(shuffled[60:], shuffled[:60], "cured")
show_runs({t("first"): first, t("reshuffled"): cured}, t("curves-alt"))

# %% id="walk-reshuffled"
show(walk_section_4(cured), Console(width=88))

# %% [markdown] id="predict" lang="en"
# The same text, the same model, the same number of steps. Validation now follows training much more
# closely, the tree lets the run pass, with a warning, and no line is on both sides.
#
# ## 2 · Predict
#
# There are 150 more pairs, in both directions, which neither run has ever seen. **What loss will each of
# the two models have on them?** The right picture ends near 2, the left one near 3. Put a number in place
# of each `...`; nobody grades it.

# %% [markdown] id="predict" lang="es" of="d0d7aea41405"
# El mismo texto, el mismo modelo, el mismo número de pasos. Ahora la validación sigue al entrenamiento
# mucho más de cerca, el árbol deja pasar el run, con una advertencia, y ninguna línea está en los dos lados.
#
# ## 2 · Predice
#
# Hay otros 150 pares, en ambas direcciones, que ninguno de los dos runs ha visto nunca. **¿Qué loss tendrá
# en ellos cada uno de los dos modelos?** El dibujo de la derecha termina cerca de 2; el de la izquierda,
# cerca de 3. Escribe un número en lugar de cada `...`; nadie lo califica.

# %% id="my-prediction"
predict("exam", first=..., reshuffled=...)

# %% [markdown] id="break" lang="en"
# ## 3 · The exam

# %% [markdown] id="break" lang="es" of="00b86c66d041"
# ## 3 · El examen

# %% id="the-exam"
unseen = tokens_of(both_ways(pairs[150:]))


@torch.no_grad()
def loss_on(run, tokens):
    model = recipe.build_model(run.config)
    newest, _ = checkpoint.latest(run.path / "checkpoints")
    checkpoint.load_weights(newest, model)
    batches = evaluation_batches(tokens, run.config)
    return np.mean([recipe.loss(model(batch.inputs), batch.targets, batch.mask).item() for batch in batches])


exam = {"first": float(loss_on(first, unseen)), "reshuffled": float(loss_on(cured, unseen))}
compare("exam", **exam)

# %% [markdown] id="surprise" lang="en"
# Both know equally little. Nothing was cured; the exam got easier. When the lines were shuffled, “I work / yo
# trabajo” went one way and “yo trabajo / I work” the other. No line is on both sides, and yet most of the
# answers had been seen, written the other way round. That is a *leak*, and this is its signature: a good
# validation loss that nobody has earned.
#
# The two lines are one **item**. A split that keeps items whole asks something new; a split by line asks for
# text that was learnt by heart.

# %% [markdown] id="surprise" lang="es" of="f0172c6f8326"
# Los dos saben lo mismo, que es poco. No se curó nada; el examen se volvió más fácil. Al barajar las líneas,
# «I work / yo trabajo» se fue para un lado y «yo trabajo / I work» para el otro. Ninguna línea está en los
# dos lados y, sin embargo, la mayoría de las respuestas ya se habían visto, escritas al revés. Eso es una
# *fuga de datos*, y así se reconoce: un loss de validación bueno sin que nadie se lo haya ganado.
#
# Las dos líneas son un mismo **ítem**. Una división que no parte los ítems pregunta algo nuevo; una división
# por líneas pregunta lo que se aprendió de memoria.

# %% [markdown] id="play" lang="en"
# ## 4 · Inspect
#
# ### Turn the knob
#
# First the training loss alone. Each time you move the learning rate, a tiny model is trained for 100 real
# steps. On the left is its loss: thin as it is logged, thick after smoothing by an exponential moving
# average, which at each step keeps a share β of its value and takes 1 − β of the new loss. On the right, the
# final losses of runs with different rates. The dashed line is ln V; the dotted one is the entropy of single
# tokens, the loss of a model that knows only how frequent each one is.
#
# Drag a slider, or click it and use the arrow keys. Four things to find:
#
# 1. Leave the rate and move β from 0 to 0.99. What do you gain, and what do you pay?
# 2. From which rate upwards can you *see* that the run learns? Read the slope in the title at 1e-6 and 1e-5.
# 3. Find the best rate, then the two rates, one far too low and one far too high, that end at a loss of
#    about 5.
# 4. Go to the far right. At which rates does the loss fall and then stop? At what value?

# %% [markdown] id="play" lang="es" of="ef4a8224f67f"
# ## 4 · Inspecciona
#
# ### Gira la perilla
#
# Primero, solo el loss de entrenamiento. Cada vez que mueves el learning rate se entrena un modelo diminuto,
# 100 pasos de verdad. A la izquierda está su loss: fino como queda en el log, y grueso después de suavizarlo
# con una media móvil exponencial, que en cada paso conserva una parte β de su valor y toma 1 − β del loss
# nuevo. A la derecha, el loss final de runs con distintos learning rates. La línea discontinua es ln V; la
# punteada, la entropía de los tokens sueltos, el loss de un modelo que solo sabe qué tan frecuente es cada
# uno.
#
# Arrastra un control, o haz clic en él y usa las flechas del teclado. Cuatro cosas por descubrir:
#
# 1. Sin tocar el learning rate, mueve β de 0 a 0.99. ¿Qué ganas y qué pagas?
# 2. ¿Desde qué learning rate se *ve* que el run aprende? Lee la pendiente del título con 1e-6 y con 1e-5.
# 3. Busca el mejor learning rate, y después los dos, uno muy bajo y otro muy alto, que terminan en un loss
#    de cerca de 5.
# 4. Ve al extremo derecho. ¿Con qué learning rates baja el loss y luego se detiene? ¿En qué valor?

# %% id="short-run"
tiny = Recipe(Config(n_layer=1, n_head=2, n_embd=32, context=32, batch_size=16, steps=100))


@cache
def short_run(rate):
    torch.manual_seed(0)
    model = tiny.build_model(tiny.config)
    tiny.init_weights(model, tiny.config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.99))
    losses = []
    for step in range(tiny.config.steps):
        batch = tiny.get_batch(corpus.train, tiny.config, step)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch.inputs).flatten(0, 1), batch.targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


counts = torch.bincount(corpus.train).double()
shares = counts[counts > 0] / counts.sum()
single_tokens = -(shares * shares.log()).sum().item()
rates = np.logspace(-6, 1, 15)
ends = [short_run(rate)[-10:].mean() for rate in rates]


# %% id="playground" folded=true
def draw(figure, rate, beta):
    losses = short_run(rate)
    powers = beta ** np.arange(len(losses))
    smoothed = np.convolve(losses, powers)[: len(losses)] / np.cumsum(powers)
    change = (smoothed[-1] - smoothed[49]) * 2
    left, right = figure.subplots(1, 2)
    left.plot(losses, color="#0072b2", linewidth=0.8, alpha=0.6)
    left.plot(smoothed, color="#0072b2", linewidth=2)
    left.set(ylim=(2.5, 8), xlabel=t("step"))
    left.set_title(f"{t('loss')} · {t('slope')}: {change:+.3f}", fontsize=9)
    right.plot(rates, np.minimum(ends, 7.9), color="0.6", linewidth=1)
    right.plot(rate, min(losses[-10:].mean(), 7.9), "o", color="#d55e00", markersize=8)
    right.set(xscale="log", ylim=(2.5, 8), xlabel=t("rate"))
    right.set_title(f"{t('at-the-end')}: {losses[-10:].mean():.2f}", fontsize=9)
    for axes in (left, right):
        axes.axhline(math.log(config.vocab_size), color="black", linestyle="--", linewidth=1)
        axes.axhline(single_tokens, color="black", linestyle=":", linewidth=1)


playground(
    draw,
    rate=Slider(t("rate"), 1e-6, 10.0, 0.01, log=True),
    beta=Slider("β", 0.0, 0.99, 0.9),
)

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. The curve gets calmer and later. A mean of about 1/(1 − β) steps lags behind by as many: at 0.99 it still
#    shows the loss of a hundred steps ago. So compare smoothed values at two distant steps, and never trust
#    the first few.
# 2. By eye from about 1e-4. At 1e-5 the eye sees a flat line, and the slope is already clearly negative, many
#    times the 0.001 per 100 steps that the tree asks for. At 1e-6 it is about as large as the noise. A slope
#    shows what the eye cannot see, as long as the noise is smaller still.
# 3. The best is near 0.01. At 0.0007 or so and at 0.1 the runs end near 5. The last loss alone does not say
#    “too high” or “too low”; the shape does: one is still on its way, the other fell fast and stopped.
# 4. From about 0.2 to 0.5, just above the dotted line. The updates are so large that only the crudest
#    knowledge survives: how frequent each token is. A plateau at that height always means that the tokens
#    before a token are of no use to the model. Runs with broken targets end there, too. Beyond 1 the curve
#    leaves the picture at the top; a falling slope there only says that it has been higher still.
# </details>

# %% [markdown] id="play-answers" lang="es" of="084e90f8cfdc"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. La curva se vuelve más tranquila y llega más tarde. Una media de unos 1/(1 − β) pasos se retrasa otros
#    tantos: con 0.99 todavía muestra el loss de hace cien pasos. Por eso se comparan valores
#    suavizados de dos pasos lejanos, y no se cree en los primeros.
# 2. A ojo, desde cerca de 1e-4. Con 1e-5 el ojo ve una línea plana, y la pendiente ya es claramente negativa,
#    muchas veces el 0.001 por cada 100 pasos que pide el árbol. Con 1e-6 es más o menos como el ruido. Una
#    pendiente muestra lo que el ojo no ve, siempre que el ruido sea todavía menor.
# 3. El mejor está cerca de 0.01. Con 0.0007, más o menos, y con 0.1 los runs terminan cerca de 5. El último
#    loss no dice por sí solo «muy alto» o «muy bajo»; la forma, sí: uno sigue en camino, el otro bajó
#    rápido y se detuvo.
# 4. De cerca de 0.2 a 0.5, justo por encima de la línea punteada. Las actualizaciones son tan grandes que
#    solo sobrevive lo más burdo: qué tan frecuente es cada token. Una meseta a esa altura siempre significa
#    que los tokens anteriores no le sirven de nada al modelo. Ahí terminan también los runs con targets
#    rotos. Más allá de 1, la curva se sale del dibujo por arriba; ahí, una pendiente negativa solo dice que
#    antes estuvo todavía más alto.
# </details>

# %% [markdown] id="patients" lang="en"
# ### Six patients
#
# Now both curves. Six runs of a small model, on the whole corpus this time: five with one fault each, and a
# healthy one. The letters are shuffled. These are the faults:

# %% [markdown] id="patients" lang="es" of="9f36d4ad3272"
# ### Seis pacientes
#
# Ahora las dos curvas. Seis runs de un modelo pequeño, esta vez con el corpus entero: cinco con un fallo
# cada uno, y uno sano. Las letras están barajadas. Estos son los fallos:

# %% id="suspects"
suspects = ["data-leak", "diverging", "lr-too-low", "overfitting", "shuffled-targets"]
for name in suspects:
    print(textwrap.fill(f"{name:18} {FAULTS[name].text('breaks')}", 88, subsequent_indent=" " * 19))

# %% id="ward" folded=true
ward_config = tiny.config.replace(steps=220, warmup_steps=20, eval_every=20, eval_batches=4)
ward = {}
for letter, fault in zip("ABCDEF", random.Random(11).sample([*suspects, "healthy"], 6), strict=True):
    patient = Recipe(ward_config)
    if fault != "healthy":
        patient = patient.with_fault(fault)
    ward[letter] = train(patient, runs / f"ward-{letter}", overwrite=True)

figure = Figure(figsize=(9, 4), layout="constrained")
for axes, (letter, run) in zip(figure.subplots(2, 3, sharex=True).flat, ward.items(), strict=True):
    both_curves(axes, run)
    axes.axhline(single_tokens, color="black", linestyle=":", linewidth=1)
    axes.set(ylim=(0, 10), ylabel=t("loss"))
    axes.set_title(letter, fontsize=10, weight="bold", loc="left")
    axes.label_outer()
Picture().show(figure, t("ward-alt"))

# %% [markdown] id="two-measurements" lang="en"
# Blue is training, orange validation; dashed is chance, dotted the entropy of single tokens. Four of the
# six can be named from their curves. Two look alike, and both look fine. So look at two figures that no
# curve shows: what share of the targets is really the token that comes next in the text, and what share of
# the validation lines stands in the training text.

# %% [markdown] id="two-measurements" lang="es" of="0f4f3176d51b"
# Azul es entrenamiento; naranja, validación; la discontinua es el azar, y la punteada, la entropía de los
# tokens sueltos. A cuatro de los seis se les puede poner nombre por sus curvas. Dos se parecen, y los dos
# se ven bien. Así que mira dos cifras que ninguna curva muestra: qué parte de los targets es de verdad el
# token que sigue en el texto, y qué parte de las líneas de validación está en el texto de entrenamiento.

# %% id="what-no-curve-shows" compare=true
print(f"{'':4}{t('next-token'):>34}{t('shared-lines'):>34}")
for letter, run in ward.items():
    start = run.probes[0]
    print(f"{letter:4}{start['target_offset_share']['1']:34.0%}{start['shared_lines']:34.0%}")

# %% [markdown] id="diagnose" lang="en"
# Decide: put a name from the list, or `"healthy"`, in place of each `...`.

# %% [markdown] id="diagnose" lang="es" of="230695c89d67"
# Decídete: escribe un nombre de la lista, o `"healthy"` (sano), en lugar de cada `...`.

# %% id="my-diagnosis"
predict("diagnosis", A=..., B=..., C=..., D=..., E=..., F=...)

# %% id="name-the-faults" compare=true
walks = {letter: walk_section_4(run) for letter, run in ward.items()}
compare("diagnosis", **{letter: walk.leaf or "healthy" for letter, walk in walks.items()})

# %% id="what-it-saw"
for letter, walk in walks.items():
    if walk.end:
        print(
            textwrap.fill(f"{letter}  {walk.end.question}  {seen(walk.end)}", 88, subsequent_indent=" " * 8)
        )

# %% [markdown] id="lessons-of-the-ward" lang="en"
# Three things to take away.
#
# * **A leak looks healthy.** On a large text, where nothing is learnt by heart yet, not even the gap gives it
#   away. You have to compare the texts.
# * **Flat is not one diagnosis but several.** Flat at ln V: nothing moves. Flat at the entropy of single
#   tokens: it learns, but only frequencies, so look at the targets before you look at the learning rate.
# * **The tree compares whole lines, and pieces of about 50 characters.** That found the copied validation
#   text here. It did not find the translated text of section 1, where the copied pieces are shorter. You will
#   write that detector.

# %% [markdown] id="lessons-of-the-ward" lang="es" of="49741766a0aa"
# Tres cosas para llevarte.
#
# * **Una fuga parece salud.** Con un texto grande, cuando el modelo todavía no se aprendió nada de memoria,
#   ni siquiera la delata la distancia entre las curvas. Hay que comparar los textos.
# * **«Plano» no es un diagnóstico, sino varios.** Plano en ln V: nada se mueve. Plano en la entropía de los
#   tokens sueltos: aprende, pero solo frecuencias; mira los targets antes de mirar el learning rate.
# * **El árbol compara líneas enteras, y trozos de unos 50 caracteres.** Así encontró aquí el texto de
#   validación copiado. No encontró el texto al revés de la sección 1, donde lo copiado es más corto. Ese
#   detector te toca escribirlo a ti.

# %% [markdown] id="fix" lang="en"
# ## 5 · Fix
#
# Three exercises. Each check below them is one small question, from coarse to fine; a failing one tells you
# what it thinks went wrong. No penalty for trying, none for opening a hint.
#
# ### Exercise 1 · Does it fall?
#
# > Difficulty ●●○○○ · Importance ●●●●○ · 15 minutes
#
# **1a.** Write `smooth(losses, beta)`: the exponential moving average of a list of losses, as a list (or
# array) of the same length. At each step the mean keeps a share `beta` of itself and takes `1 - beta` of
# the new loss. How does it begin? You decide; two ways are right:
#
# * it starts *at the first loss*;
# * it starts at 0, and you divide the values that you return by `1 - beta ** (step + 1)`, as Adam does with
#   its means.
#
# Starting at 0 without the correction is wrong: every run would seem to begin well.
#
# <details><summary>Hint</summary>
#
# `mean = beta * mean + (1 - beta) * loss`, once per step, and append the mean *after* it has taken the loss.
# A curve that never changes must stay as it is.
# </details>

# %% [markdown] id="fix" lang="es" of="5b536827cf28"
# ## 5 · Arregla
#
# Tres ejercicios. Cada comprobación es una pregunta pequeña, de lo grueso a lo fino; la que falla te dice
# qué cree que salió mal. Ni probar ni abrir una pista cuesta puntos.
#
# ### Ejercicio 1 · ¿Baja?
#
# > Dificultad ●●○○○ · Importancia ●●●●○ · 15 minutos
#
# **1a.** Escribe `smooth(losses, beta)`: la media móvil exponencial de una lista de losses, como lista (o
# array) del mismo largo. En cada paso la media conserva una parte `beta` de sí misma y toma `1 - beta` del
# loss nuevo. ¿Cómo empieza? Decides tú; hay dos maneras correctas:
#
# * empieza *en el primer loss*;
# * empieza en 0, y los valores que devuelves se dividen entre `1 - beta ** (step + 1)`, como hace Adam con
#   sus medias.
#
# Empezar en 0 sin la corrección está mal: todos los runs parecerían empezar bien.
#
# <details><summary>Pista</summary>
#
# `mean = beta * mean + (1 - beta) * loss`, una vez por paso, y agrega la media *después* de que haya tomado
# el loss. Una curva que nunca cambia debe quedarse como está.
# </details>


# %% solution="smooth"
def smooth(losses, beta):
    ### BEGIN SOLUTION
    mean, means = losses[0], []
    for loss in losses:
        mean = beta * mean + (1 - beta) * loss
        means.append(mean)
    return means
    ### END SOLUTION


# %% check="smooth/constant" points=1
check("smooth/constant", smooth)

# %% check="smooth/jump" points=1
check("smooth/jump", smooth)

# %% check="smooth/past" points=1
check("smooth/past", smooth)

# %% [markdown] id="task-slope" lang="en"
# **1b.** Write `slope(losses, beta=0.98, early=50, later=200)`: how much the *smoothed* loss changes
# between the steps `early` and `later`, in nats per 100 steps. Negative when the loss falls. A run that has
# no step `later` yet gets `math.nan`: unknown is an honest answer. (Steps count from 0. You may use your
# `smooth`.)
#
# <details><summary>Hint</summary>
#
# Change divided by the number of steps between the two, times 100. A list of 200 losses ends at step 199.
# </details>

# %% [markdown] id="task-slope" lang="es" of="cbaecaeee5fc"
# **1b.** Escribe `slope(losses, beta=0.98, early=50, later=200)`: cuánto cambia el loss *suavizado* entre
# los pasos `early` y `later`, en nats por cada 100 pasos. Negativo cuando el loss baja. Un run que todavía
# no tiene el paso `later` recibe `math.nan`: «no se sabe» es una respuesta honesta. (Los pasos se cuentan
# desde 0. Puedes usar tu `smooth`.)
#
# <details><summary>Pista</summary>
#
# El cambio dividido entre el número de pasos que hay de uno a otro, por 100. Una lista de 200 losses
# termina en el paso 199.
# </details>


# %% solution="slope"
def slope(losses, beta=0.98, early=50, later=200):
    ### BEGIN SOLUTION
    if later >= len(losses):
        return math.nan
    means = smooth(losses, beta)
    return (means[later] - means[early]) / (later - early) * 100
    ### END SOLUTION


# %% check="slope/line" points=1
check("slope/line", slope)

# %% check="slope/noise" points=1
check("slope/noise", slope)

# %% check="slope/short" points=1
check("slope/short", slope)

# %% [markdown] id="task-split" lang="en"
# ### Exercise 2 · A split that asks something new
#
# > Difficulty ●●○○○ · Importance ●●●●● · 10 minutes
#
# Write `split_by_item(items, share)`. `items` is a list of strings: the item that each line belongs to, in
# the order of the lines. It returns two lists of *line numbers* (from 0), training and validation:
#
# * every line is on exactly one side;
# * all lines of an item are on the same side;
# * validation holds about a `share` of the lines; with few items, at least one item on each side;
# * the same input gives the same split, every time: a validation set that changes from run to run makes no
#   comparison possible.
#
# <details><summary>Hint 1: what to shuffle</summary>
#
# The items, not the lines: `sorted(set(items))`, shuffled, and the first few are held back. (Without
# `sorted`, a set of strings has another order in every Python process.)
# </details>
# <details><summary>Hint 2: the same every time</summary>
#
# A generator of your own with a fixed seed: `random.Random(0).shuffle(names)`. Or rank the items by a hash
# of their text (`hashlib`; Python's own `hash` changes from process to process).
# </details>

# %% [markdown] id="task-split" lang="es" of="68c72c762231"
# ### Ejercicio 2 · Una división que pregunta algo nuevo
#
# > Dificultad ●●○○○ · Importancia ●●●●● · 10 minutos
#
# Escribe `split_by_item(items, share)`. `items` es una lista de cadenas: el ítem al que pertenece cada
# línea, en el orden de las líneas. Devuelve dos listas de *números de línea* (desde 0), entrenamiento y
# validación:
#
# * cada línea está en un lado, y solo en uno;
# * todas las líneas de un ítem están en el mismo lado;
# * la validación tiene más o menos una parte `share` de las líneas; con pocos ítems, al menos uno en cada
#   lado;
# * la misma entrada da siempre la misma división: con una validación que cambia de un run a otro no se
#   compara nada.
#
# <details><summary>Pista 1: qué barajar</summary>
#
# Los ítems, no las líneas: `sorted(set(items))`, barajado, y los primeros se apartan. (Sin `sorted`, un set
# de cadenas tiene otro orden en cada proceso de Python.)
# </details>
# <details><summary>Pista 2: siempre igual</summary>
#
# Un generador propio con semilla fija: `random.Random(0).shuffle(names)`. O bien ordena los ítems por un
# hash de su texto (`hashlib`; el `hash` de Python cambia de un proceso a otro).
# </details>


# %% solution="split-by-item"
def split_by_item(items, share):
    ### BEGIN SOLUTION
    names = sorted(set(items))
    random.Random(0).shuffle(names)
    held_back = set(names[: max(1, round(share * len(names)))])
    validation = [line for line, item in enumerate(items) if item in held_back]
    training = [line for line, item in enumerate(items) if item not in held_back]
    return training, validation
    ### END SOLUTION


# %% check="split-by-item/every-line" points=1
check("split-by-item/every-line", split_by_item)

# %% check="split-by-item/apart" points=2
check("split-by-item/apart", split_by_item)

# %% check="split-by-item/size" points=1
check("split-by-item/size", split_by_item)

# %% check="split-by-item/repeatable" points=1
check("split-by-item/repeatable", split_by_item)

# %% [markdown] id="task-overlap" lang="en"
# ### Exercise 3 · Has it been asked before?
#
# > Difficulty ●●●○○ · Importance ●●●●○ · 15 minutes
#
# Nobody hands you the items of a text from the internet. But you can compare pieces: an *n-gram* is n tokens
# in a row. Benchmarks of large models are checked this way: how many questions share a long n-gram with the
# training text?
#
# Write `ngram_overlap(train, validation, n)`. Both are lists of lines, each line a list of token ids. It
# returns the share of the validation lines, from 0 to 1, that contain at least one n-gram that also occurs
# in a training line.
#
# * An n-gram is n tokens *in this order*, and it lies within one line: the end of a line and the beginning
#   of the next make no n-gram.
# * A validation line of fewer than n tokens says nothing: do not count it. If no line is left, the
#   share is 0.
#
# <details><summary>Hint 1: lists cannot be in a set</summary>
#
# Tuples can: `tuple(line[start : start + n])`. Collect those of all training lines in one set; then a
# question costs a look-up, not a search.
# </details>
# <details><summary>Hint 2: the last one</summary>
#
# A line of 10 tokens has 6 n-grams of 5: the starts are `range(len(line) - n + 1)`.
# </details>

# %% [markdown] id="task-overlap" lang="es" of="fc6b76b2d650"
# ### Ejercicio 3 · ¿Ya se había preguntado?
#
# > Dificultad ●●●○○ · Importancia ●●●●○ · 15 minutos
#
# Nadie te entrega los ítems de un texto de internet. Pero sí puedes comparar trozos: un *n-grama* son n
# tokens seguidos. Así se revisan los exámenes de los modelos grandes: ¿cuántas preguntas comparten un n-grama
# largo con el texto de entrenamiento?
#
# Escribe `ngram_overlap(train, validation, n)`. Los dos son listas de líneas, y cada línea es una lista de
# ids de tokens. Devuelve qué parte de las líneas de validación, de 0 a 1, contiene al menos un n-grama que
# también aparece en una línea de entrenamiento.
#
# * Un n-grama son n tokens *en ese orden*, y está dentro de una sola línea: el final de una línea y el
#   comienzo de la siguiente no forman un n-grama.
# * Una línea de validación con menos de n tokens no dice nada: no la cuentes. Si no queda ninguna línea, la
#   parte es 0.
#
# <details><summary>Pista 1: una lista no cabe en un set</summary>
#
# Una tupla, sí: `tuple(line[start : start + n])`. Junta las de todas las líneas de entrenamiento en un solo
# set; así cada pregunta es una consulta y no una búsqueda.
# </details>
# <details><summary>Pista 2: el último</summary>
#
# Una línea de 10 tokens tiene 6 n-gramas de 5: los comienzos son `range(len(line) - n + 1)`.
# </details>


# %% solution="ngram-overlap"
def ngram_overlap(train, validation, n):
    ### BEGIN SOLUTION
    def ngrams(line):
        return {tuple(line[start : start + n]) for start in range(len(line) - n + 1)}

    known = set()
    for line in train:
        known |= ngrams(line)
    long_enough = [line for line in validation if len(line) >= n]
    asked_before = sum(bool(ngrams(line) & known) for line in long_enough)
    return asked_before / max(len(long_enough), 1)
    ### END SOLUTION


# %% check="ngram-overlap/copied" points=1
check("ngram-overlap/copied", ngram_overlap)

# %% check="ngram-overlap/pieces" points=1
check("ngram-overlap/pieces", ngram_overlap)

# %% check="ngram-overlap/order" points=1
check("ngram-overlap/order", ngram_overlap)

# %% check="ngram-overlap/borders" points=1
check("ngram-overlap/borders", ngram_overlap)

# %% check="ngram-overlap/short" points=1
check("ngram-overlap/short", ngram_overlap)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# First your slope, on the six patients. The tree asks for a fall of 0.001 per 100 steps and calls a rise of
# more than 0.05 diverging. Which of the six does the slope catch, and which does it let through?

# %% [markdown] id="verify" lang="es" of="4ad1be5961c4"
# ## 6 · Comprueba
#
# Primero tu pendiente, con los seis pacientes. El árbol pide que baje 0.001 por cada 100 pasos, y a una
# subida de más de 0.05 la llama divergencia. ¿A cuáles de los seis atrapa la pendiente y a cuáles deja
# pasar?

# %% id="my-slopes"
for letter, run in ward.items():
    per_100 = float(slope([record["loss"] for record in run.metrics]))
    print(f"{letter}  {per_100:+9.4f}  {walks[letter].leaf or 'healthy'}")

# %% [markdown] id="split-again" lang="en"
# A slope catches a loss that does not move. For the rest you need a validation set that is worth something.
# So take the shuffled pile of section 1 and split it again, this time with your function. In the left picture
# the split by line, in the right one yours.

# %% [markdown] id="split-again" lang="es" of="d2aafaabd3dd"
# Una pendiente atrapa un loss que no se mueve. Para lo demás hace falta una validación que valga algo. Toma
# entonces la pila barajada de la sección 1 y divídela otra vez, ahora con tu función. En el dibujo de la
# izquierda, la división por líneas; en el de la derecha, la tuya.

# %% id="train-mine"
sides = split_by_item([item_of(line) for line in shuffled], 0.2)
my_train, my_validation = ([shuffled[int(line)] for line in side] for side in sides)
mine = train_on(my_train, my_validation, "mine")
show_runs({t("reshuffled"): cured, t("mine"): mine}, t("curves-alt"))

# %% id="three-numbers"
print(f"{'':26}{t('training'):>16}{t('validation'):>16}{t('unseen'):>16}")
for name, run in {"first": first, "reshuffled": cured, "mine": mine}.items():
    training = np.mean([record["loss"] for record in run.metrics[-10:]])
    figures = training, run.metrics[-1]["val_loss"], loss_on(run, unseen)
    print(f"{t(name):26}" + "".join(f"{figure:16.2f}" for figure in figures))

# %% id="walk-mine"
show(walk_section_4(mine), Console(width=88))

# %% [markdown] id="honest" lang="en"
# The validation loss is worse, and it is the better one: it nearly agrees with the unseen text.
# Overfitting is back in the open, where something can be done about it: more text, a smaller model,
# dropout, or stopping early.
#
# And would your detector have warned the colleague? The share of the validation lines that have an n-gram
# in common with training, for both splits:

# %% [markdown] id="honest" lang="es" of="5351bc953f72"
# El loss de validación es peor, y es el mejor de los dos: casi coincide con el del texto que nadie ha visto.
# El sobreajuste vuelve a estar a la vista, donde se puede hacer algo con él: más texto, un modelo más
# pequeño, dropout o parar a tiempo.
#
# ¿Y tu detector le habría avisado al colega? La parte de las líneas de validación que tienen un n-grama en
# común con el entrenamiento, con las dos divisiones:

# %% id="my-overlap"
encode = corpus.tokenizer.encode
splits = {"reshuffled": (shuffled[60:], shuffled[:60]), "mine": (my_train, my_validation)}
print(f"{'':26}" + "".join(f"{f'n = {n}':>10}" for n in (4, 6, 9, 12, 15)))
for name, texts in splits.items():
    sides = [[encode(line) for line in side] for side in texts]
    shares = [float(ngram_overlap(*sides, n)) for n in (4, 6, 9, 12, 15)]
    print(f"{t(name):26}" + "".join(f"{share:10.0%}" for share in shares))

# %% [markdown] id="which-n" lang="en"
# Short pieces are shared by any two texts in a language (“I am going to”), so a small n cries wolf. Long ones
# are shared only by texts that have been copied, so too large an n misses a copy with a word changed. In
# between, the two splits are far apart. To decide how much overlap is too much, compare with a split that you
# know to be clean.

# %% [markdown] id="which-n" lang="es" of="ec80bdb68595"
# Los trozos cortos los comparten dos textos cualesquiera de un idioma («voy a»), así que un n pequeño da
# falsas alarmas. Los largos solo los comparten los textos copiados, así que con un n muy grande se escapa una
# copia a la que le cambiaron una palabra. Entre los dos extremos, las dos divisiones están muy lejos una de
# la otra. Para decidir cuánta coincidencia es demasiada, compara con una división que sabes que está limpia.

# %% [markdown] id="explain" lang="en"
# ## 7 · Explain
#
# The colleague is not convinced: *“My split is random, so it is fair. Not one line is on both sides, I have
# checked. And validation follows training now, so the overfitting is gone.”*
#
# Answer in three to six sentences, in the cell below: what his validation loss measures, and why it follows
# training; why his check of the lines could not see it, and what would have; and how you would split, and
# what you would then say about the overfitting. (Three points, one for each.)

# %% [markdown] id="explain" lang="es" of="1edce943d87a"
# ## 7 · Explica
#
# El colega no está convencido: *«Mi división es al azar, así que es justa. Ni una sola línea está en los dos
# lados; lo revisé. Y ahora la validación sigue al entrenamiento, así que el sobreajuste desapareció».*
#
# Responde en tres a seis oraciones, en la celda de abajo: qué mide su loss de validación, y por qué sigue
# al otro; por qué su revisión de las líneas no podía verlo, y qué sí lo habría visto; y cómo dividirías
# tú, y qué dirías entonces del sobreajuste. (Tres puntos, uno por cada parte.)

# %% [markdown] answer="explain-the-leak" points=3 lang="en"
# His validation lines are for the most part the other direction of training lines, so the loss on them
# measures how well the model remembers what it has learnt by heart, and follows training for that reason.
# No line is identical, because the two directions are different lines; comparing items, or n-grams of ten
# tokens or so, finds the shared halves. I would split by item, so that both directions of a pair lie on one
# side, and keep that split fixed. Then validation agrees with text that nobody has seen, and the gap is as
# wide as before: the model still overfits, we had only stopped looking.
#
# ---
# **Rubric.** One point each. (1) His validation asks for memorised content (the same pairs in the other
# direction), so it does not measure how the model does on new text. “There is a leak” alone earns nothing.
# (2) Whole lines differ although the content is shared; items or n-grams show it. (3) Split by item (or by
# pair, by document), and the overfitting is still there: it was hidden, not cured. “Use cross-validation”
# or “shuffle again” does not count.

# %% [markdown] answer="explain-the-leak" points=3 lang="es" of="2bb075b6964c"
# Sus líneas de validación son, casi todas, la otra dirección de líneas de entrenamiento, así que el loss en
# ellas mide qué tan bien recuerda el modelo lo que se aprendió de memoria, y por eso sigue al de
# entrenamiento. Ninguna línea es idéntica, porque las dos direcciones son líneas distintas; comparar ítems,
# o n-gramas de unos diez tokens, descubre las mitades compartidas. Yo dividiría por ítem, de modo que las
# dos direcciones de un par queden en el mismo lado, y dejaría fija esa división. Entonces la validación
# coincide con un texto que nadie ha visto, y la distancia es tan grande como antes: el modelo sigue
# sobreajustado; solo habíamos dejado de mirar.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) Su validación pregunta lo memorizado (los mismos pares en la
# otra dirección), así que no mide cómo le va al modelo con texto nuevo. «Hay una fuga» por sí solo no da
# puntos. (2) Las líneas enteras son distintas aunque compartan contenido; los ítems o los n-gramas lo
# muestran. (3) Dividir por ítem (o por par, o por documento), y el sobreajuste sigue ahí: estaba
# escondido, no curado. «Usar validación cruzada» o «barajar otra vez» no cuenta.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# The slope of the smoothed loss; the gap to validation; and what the two texts have in common.
#
# | leaf | symptom | threshold | first action |
# |---|---|---|---|
# | `diverging` | the loss rises | smoothed loss up by more than 0.05 per 100 steps; or the first update goes uphill | look at the sign and the rate of the update |
# | `lr-too-low` | flat at ln V, healthy gradients | falls by less than 0.001 per 100 steps, or by less than 1 % since its start | compare the rate in the log with the one you meant |
# | `overfitting` | training falls, validation stays flat or rises | validation − training > 1.0 within the first 500 steps | more text, a smaller model, dropout, stop early |
# | `data-leak` | looks healthy, or validation is better than training | more than 10 % of the validation lines stand in training; or validation − training < −0.3 and more than 10 % of its pieces of 50 characters do | split by item; compare n-grams |
# | `shuffled-targets` | falls to the entropy of single tokens and stays | validation ≥ 0.95 of that entropy, under half of the targets are the next token | decode one batch, inputs and targets |
#
# One leaf at a time: fix it, run again, walk again from the top. The next lesson, 18-05, asks whether the
# model itself is sound.

# %% [markdown] id="card" lang="es" of="c101393c0b86"
# ## 8 · Una tarjeta para guardar
#
# La pendiente del loss suavizado; la distancia a la validación; y lo que los dos textos tienen en común.
#
# | hoja | síntoma | umbral | primera acción |
# |---|---|---|---|
# | `diverging` | el loss sube | el loss suavizado sube más de 0.05 por cada 100 pasos; o la primera actualización va cuesta arriba | mira el signo y el tamaño de la actualización |
# | `lr-too-low` | plano en ln V, gradientes sanos | baja menos de 0.001 por cada 100 pasos, o menos del 1 % desde su comienzo | compara el learning rate del log con el que querías |
# | `overfitting` | el entrenamiento baja, la validación se queda o sube | validación − entrenamiento > 1.0 en los primeros 500 pasos | más texto, un modelo más pequeño, dropout, parar a tiempo |
# | `data-leak` | parece sano, o la validación va mejor que el entrenamiento | más del 10 % de las líneas de validación está en el entrenamiento; o validación − entrenamiento < −0.3 y lo está más del 10 % de sus trozos de 50 caracteres | divide por ítem; compara n-gramas |
# | `shuffled-targets` | baja hasta la entropía de los tokens sueltos y ahí se queda | validación ≥ 0.95 de esa entropía, y menos de la mitad de los targets es el token siguiente | decodifica un batch, entradas y targets |
#
# Una hoja a la vez: arréglala, entrena de nuevo y recorre el árbol desde el principio. La próxima lección,
# 18-05, pregunta si el modelo mismo está sano.

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# Splitting by item is not about text alone. Here are 40 machines with ten measurements each. The wear of each machine
# is drawn at random, so no measurement tells anything about a machine that was never seen. A small network learns from
# a part of them, split once by row and once by machine. **Is its validation error below that of somebody who always
# answers with the mean?** (Split by row, nearly every machine is on both sides.)

# %% [markdown] id="own-run" lang="es" of="7994b35bffaa"
# ## 9 · En tu propio run
#
# Dividir por ítem no es solo cosa de textos. Aquí hay 40 máquinas con diez mediciones cada una. El desgaste de cada
# máquina es un número al azar, así que ninguna medición dice nada de una máquina que nunca se vio. Una red pequeña
# aprende de una parte, dividida una vez por fila y otra por máquina. **¿Queda su error de validación por debajo del de
# quien responde siempre la media?** (Si se divide por fila, casi todas las máquinas están en los dos lados.)

# %% id="another-loop" compare=true
torch.manual_seed(0)
measured = torch.randn(40, 8).repeat_interleave(10, 0) + 0.1 * torch.randn(400, 8)
wear = torch.randn(40, 1).repeat_interleave(10, 0)
for name, size in {"by-row": 1, "by-machine": 10}.items():
    known, asked = split_by_item([str(row // size) for row in range(400)], 0.2)
    net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(300):
        adam.zero_grad()
        (net(measured[known]) - wear[known]).square().mean().backward()
        adam.step()
    error = (net(measured[asked]) - wear[asked]).square().mean()
    print(f"{t(name):14}{t('below-the-mean')}: {t('yes' if error < wear[asked].var() else 'no')}")

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# **A true story.** The authors of GPT-3 wanted to remove from its training text whatever stood in their tests. A bug
# in the filter left part of it in, and to train the model again would have cost too much. So they did what you did
# here: they measured the overlap for each test and reported the score on the clean part beside the other. They say so
# in [section 4](https://arxiv.org/abs/2005.14165) of the paper.
#
# * How much of a training text repeats itself, such as one sentence of 61 words that occurs more than 60,000 times:
#   Lee et al., 2021, [2107.06499](https://arxiv.org/abs/2107.06499).
# * Leakage in seventeen fields of science: Kapoor and Narayanan, 2022, [2207.07048](https://arxiv.org/abs/2207.07048).
# * “Become one with the data”: Karpathy's [recipe](https://karpathy.github.io/2019/04/25/recipe/).
#
# **A hard bonus task.** Your overlap detector looks for equal pieces. Write `nearly_seen(train_lines, val_lines)`: it
# finds the validation lines that differ from some training line in **one** word only, and is faster than comparing
# every line with every other.
#
# <details><summary>Hint</summary>
#
# Two lines that differ in one word become equal once that word is taken out of both. Which holes does a line have?
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# def with_a_hole(line):
#     words = line.split()
#     return {" ".join([*words[:place], "_", *words[place + 1 :]]) for place in range(len(words))}
#
# def nearly_seen(train_lines, val_lines):
#     known = set().union(*map(with_a_hole, train_lines))
#     return [line for line in val_lines if with_a_hole(line) & known]
# ```
#
# A line of n words makes n keys, so the time grows with the text and not with its square.
# </details>

# %% [markdown] id="sources" lang="es" of="c58e3cb4ff97"
# ## 10 · De dónde viene esto
#
# **Una historia real.** Los autores de GPT-3 querían quitar del texto de entrenamiento todo lo que estuviera en sus
# pruebas. Por un error, el filtro dejó una parte, y entrenar el modelo de nuevo habría costado demasiado. Entonces
# hicieron lo mismo que tú: midieron la superposición de cada prueba y publicaron el resultado de la parte limpia al
# lado del otro. Lo cuentan en la [sección 4](https://arxiv.org/abs/2005.14165) del artículo.
#
# * Cuánto se repite un texto de entrenamiento, como una oración de 61 palabras que aparece más de 60,000 veces:
#   Lee et al., 2021, [2107.06499](https://arxiv.org/abs/2107.06499).
# * Fugas de datos en diecisiete campos de la ciencia: Kapoor y Narayanan, 2022, [2207.07048](https://arxiv.org/abs/2207.07048).
# * Conocer los datos antes que nada: la [receta](https://karpathy.github.io/2019/04/25/recipe/) de Karpathy.
#
# **Un reto extra, difícil.** Tu detector busca trozos iguales. Escribe `nearly_seen(train_lines, val_lines)`:
# encuentra las líneas de validación que se distinguen de alguna línea de entrenamiento en **una** sola palabra, y es
# más rápida que comparar cada línea con todas las demás.
#
# <details><summary>Pista</summary>
#
# Dos líneas que se distinguen en una palabra quedan iguales si les quitas esa palabra a las dos. ¿Qué huecos tiene una línea?
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# def with_a_hole(line):
#     words = line.split()
#     return {" ".join([*words[:place], "_", *words[place + 1 :]]) for place in range(len(words))}
#
# def nearly_seen(train_lines, val_lines):
#     known = set().union(*map(with_a_hole, train_lines))
#     return [line for line in val_lines if with_a_hole(line) & known]
# ```
#
# Una línea de n palabras da n claves: el tiempo crece con el texto y no con su cuadrado.
# </details>
