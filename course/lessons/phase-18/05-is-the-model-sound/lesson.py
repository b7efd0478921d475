"""Lesson 18-05: is the model sound? What can be known of it before the first step: weights, stream, causality."""

# %% [markdown] id="why" lang="en"
# So far you have judged runs by what they *did*: first loss, learning rate, gradients, curves. Now look at
# the model itself, before it does anything. Three examinations, a few forward passes each, tell you
#
# * whether every weight starts with the standard deviation that its role asks for, and centred;
# * whether every block contributes something, and none drowns out the rest;
# * whether a prediction can see the token that it is supposed to predict.
#
# A model that fails one of them may still train. The first patient trains better than any run you have seen.
#
# Run the cells in order with **Shift + Enter**.

# %% [markdown] id="why" lang="es" of="8c81217a1219"
# Hasta ahora has juzgado los runs por lo que *hicieron*: el primer loss, el learning rate (tasa de
# aprendizaje), los gradientes, las curvas. Ahora mira el modelo mismo, antes de que haga nada. Tres exámenes,
# de unas pocas pasadas hacia delante cada uno, te dicen
#
# * si cada peso empieza con la desviación estándar que pide su papel, y centrado;
# * si cada bloque aporta algo, y ninguno tapa a los demás;
# * si una predicción puede ver el token que debería predecir.
#
# Un modelo que no aprueba uno de ellos puede entrenar de todos modos. El primer paciente entrena mejor que
# cualquier run que hayas visto.
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
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from rich.console import Console

from course.live_plot import LivePlot
from course.notebook import check, lesson, t
from course.picture import Picture
from course.predictions import compare, predict
from course.widgets import Choice, Slider, playground
from minigpt import Config, Recipe, diagnosis, train
from minigpt.data.batches import get_batch
from minigpt.diagnosis.report import seen, show
from minigpt.faults import FAULTS
from minigpt.training.sampling import Sampler

lesson("18-05")
runs = Path("experiments") / "18-05"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9
ASKED = [question for question in diagnosis.QUESTIONS if question.id in ("1.5", "5.1", "5.2")]


def walk_the_model(run):
    return diagnosis.walk(diagnosis.evidence_of(run.path), ASKED)


def fresh_model(some_recipe):
    torch.manual_seed(some_recipe.config.seed)
    model = some_recipe.build_model(some_recipe.config)
    some_recipe.init_weights(model, some_recipe.config)
    return model


# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# “Why may a token only look back?” somebody asks. “With the whole sentence in view, attention has more to
# work with.” And they remove the causal mask. One word changes: `is_causal=False`.

# %% [markdown] id="meet" lang="es" of="40aa0919c38e"
# ## 1 · Un run que se porta mal
#
# «¿Por qué un token solo puede mirar hacia atrás?», pregunta alguien. «Con toda la oración a la vista, la
# atención tiene más en qué apoyarse». Y quita la máscara causal. Cambia una sola palabra: `is_causal=False`.

# %% id="facts" compare=true
config = Config(
    steps=150,
    warmup_steps=10,
    lr_max=1e-2,
    context=32,
    positions="rotary",
    batch_size=16,
    eval_every=0,
    eval_batches=4,
)
recipe = Recipe(config)
open_recipe = recipe.with_fault("future-leak")
data = recipe.load_data(config)

for name in ("n_layer", "n_embd", "context", "steps"):
    print(f"{name:10} {getattr(config, name)}")

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# The right run will end near a loss of 2.4, and so will its validation loss; for comparison, counting 5-grams
# gets to 1.4. **Where will the run without a mask end, in training and in validation?** The validation text
# is a different text, never trained on.

# %% [markdown] id="predict" lang="es" of="95b8d77742e0"
# ## 2 · Predice
#
# El run correcto terminará cerca de un loss de 2.4, y su loss de validación también; para comparar, contar
# 5-gramas llega a 1.4. **¿Dónde terminará el run sin máscara, en entrenamiento y en validación?** El texto de
# validación es otro, con el que nunca se entrena.

# %% id="my-prediction"
predict("no-mask", training=..., validation=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it
#
# The right run first; then the one without a mask, with the right one in grey behind it. Same text, same
# order.

# %% [markdown] id="break" lang="es" of="ffc8a1ddcebd"
# ## 3 · Rómpelo
#
# Primero, el run correcto; después, el que no tiene máscara, con el correcto en gris al fondo. El mismo
# texto, en el mismo orden.

# %% id="train-right"
right = train(recipe, runs / "right", callbacks=[LivePlot()], overwrite=True)

# %% id="train-open"
opened = train(open_recipe, runs / "open", callbacks=[LivePlot(before=right.metrics)], overwrite=True)

# %% id="compare-prediction" compare=true
end = sum(record["loss"] for record in opened.metrics[-10:]) / 10
compare("no-mask", training=round(end, 1), validation=round(opened.metrics[-1]["val_loss"], 1))
baselines = next(probe for probe in opened.probes if probe["kind"] == "baselines")
print()
print(f"{t('right')}: {right.metrics[-1]['val_loss']:.1f}")
print(f"{t('ngram')}: {baselines['ngram_loss']:.1f}")

# %% [markdown] id="too-good" lang="en"
# A tenth of the right run's loss, far below what counting can reach, and the validation loss agrees: no
# overfitting anywhere. Somebody will celebrate. Now let both write three lines:

# %% [markdown] id="too-good" lang="es" of="37ab898c422c"
# Una décima parte del loss del run correcto, muy por debajo de lo que se alcanza contando, y el loss de
# validación está de acuerdo: no hay sobreajuste por ningún lado. Alguien lo celebrará. Ahora deja que los dos
# escriban tres líneas:

# %% id="samples"
for name, run in {"right": right, "open": opened}.items():
    print(f"{t(name)}:")
    for line in Sampler.load(run.path).lines([""] * 3, max_new_tokens=32, temperature=0.5):
        print("   ", line[:80])

# %% [markdown] id="why-nonsense" lang="en"
# The right one has learnt something like Spanish and something like English. The other has learnt to *copy
# the answer*: the target of each place is the next token, and the next token is in plain view. When it
# writes, there is no next token yet to copy. Validation cannot warn you: there, too, the answer is in the
# input.
#
# ## 4 · Inspect
#
# ### Who reads whom
#
# You do not need a curve to see it. Take one batch, and ask of each prediction how much it depends on each
# input: the gradient of the logits at place t with respect to the embedding at place s. Dark is a lot, white
# is exactly nothing. The first two models have not taken a step yet. Where does the trained one look?

# %% [markdown] id="why-nonsense" lang="es" of="060443294d34"
# El correcto aprendió algo parecido al español y algo parecido al inglés. El otro aprendió a *copiar la
# respuesta*: el target de cada lugar es el token siguiente, y el token siguiente está a la vista. Cuando
# escribe, todavía no hay token siguiente que copiar. La validación no puede avisar: también ahí la respuesta
# está en la entrada.
#
# ## 4 · Inspecciona
#
# ### Quién lee a quién
#
# Para verlo no necesitas ninguna curva. Toma un batch y pregunta cuánto depende cada predicción de cada
# entrada: el gradiente de los logits en el lugar t respecto del embedding en el lugar s. Oscuro es mucho;
# blanco es exactamente nada. Los dos primeros modelos no han dado ni un paso. ¿Adónde mira el entrenado?

# %% id="who-reads-whom" folded=true
PLACES = 14
sentence = get_batch(data.train, config, step=0).inputs[:1, :PLACES]


def dependence(model):
    caught = []
    handle = model.wte.register_forward_hook(
        lambda module, inputs, output: caught.append(output.detach().requires_grad_()) or caught[0]
    )
    logits = model.eval()(sentence)
    handle.remove()
    mixture = torch.linspace(-1, 1, logits.shape[-1])
    rows = [
        torch.autograd.grad((logits[0, place] * mixture).sum(), caught[0], retain_graph=True)[0][0].norm(
            dim=-1
        )
        for place in range(PLACES)
    ]
    return torch.stack(rows)


figure = Figure(figsize=(9.2, 3.1), layout="constrained")
words = [data.tokenizer.decode([token]).replace("\n", "⏎") for token in sentence[0].tolist()]
models = {
    "right": fresh_model(recipe),
    "open": fresh_model(open_recipe),
    "open-trained": Sampler.load(opened.path).model,
}
for axes, (name, some_model) in zip(figure.subplots(1, 3), models.items(), strict=True):
    share = dependence(some_model)
    share = (share / share.amax(1, keepdim=True)).numpy()
    axes.imshow(np.ma.masked_equal(share, 0), cmap="Blues", norm=LogNorm(1e-3, 1))
    axes.plot([-0.5, PLACES - 0.5], [-0.5, PLACES - 0.5], color="#d55e00", linewidth=1)
    axes.set_xticks(range(PLACES), labels=words, rotation=90, fontsize=7)
    axes.set_yticks(range(PLACES), labels=words, fontsize=7)
    axes.set(title=t(name), xlabel=t("input"))
    axes.title.set_fontsize(10)
figure.axes[0].set_ylabel(t("prediction"))
Picture().show(figure, t("reads-alt"))

# %% [markdown] id="walker" lang="en"
# A causal model has nothing right of the diagonal. The model without a mask has something there from the
# start, and training turns it into a dark stripe beside the diagonal: each place reads its right neighbour,
# which is its target. The stability check asks about this at step 0, as question 1.5, and saves you 150
# steps, or 150,000:

# %% [markdown] id="walker" lang="es" of="a2fa4fda9156"
# Un modelo causal no tiene nada a la derecha de la diagonal. El modelo sin máscara tiene algo ahí desde el
# principio, y el entrenamiento lo convierte en una franja oscura junto a la diagonal: cada lugar lee a su
# vecino de la derecha, que es su target. La revisión de estabilidad lo pregunta en el paso 0, con la pregunta
# 1.5, y te ahorra 150 pasos, o 150,000:

# %% id="walk-open"
show(walk_the_model(opened), Console(width=88))

# %% [markdown] id="play" lang="en"
# ### What flows through a deep model? Turn the knobs
#
# Each block reads the residual stream, and adds to it. So ask each block two things: how large is the stream
# after it (the root mean square of its elements), and **how much did it add, relative to its input**? On the
# right is the size of its gradient. Real models, one real batch, no training; in grey, pre-norm with the
# usual standard deviation.
#
# The forms: *pre-norm* normalises the input of each sublayer, and projections into the stream start with a
# standard deviation √(2L) times smaller; *unscaled* leaves that factor out; *post-norm* normalises the
# residual sum after each sublayer; *no norm* does neither.
#
# 1. Pre-norm, std 0.02: go from 2 to 24 layers. What happens to the size after the last block? And
#    *unscaled*?
# 2. *No norm*, std 0.02. The stream does not grow at all: it looks calmer than the healthy one. Which picture
#    shows that something is wrong?
# 3. Stay with *no norm*, 24 layers, and raise std to 0.2. What happens to the first block's gradient?
# 4. *Post-norm*, std 0.02: how much do the blocks after the first one add? At which std do they add about as
#    much as healthy ones do?

# %% [markdown] id="play" lang="es" of="e2e7ce464afc"
# ### ¿Qué fluye por un modelo profundo? Gira las perillas
#
# Cada bloque lee el flujo residual y le suma algo. Así que pregunta dos cosas a cada bloque: qué tamaño tiene
# el flujo después de él (la raíz de la media de los cuadrados de sus elementos) y **cuánto le sumó, en
# relación con su entrada**. A la derecha está el tamaño de su gradiente. Modelos reales, un batch real, nada
# de entrenamiento; en gris, pre-norm con la desviación estándar habitual.
#
# Las formas: *pre-norm* normaliza la entrada de cada subcapa, y las proyecciones al flujo empiezan con una
# desviación estándar √(2L) veces menor; *sin escalar* omite ese factor; *post-norm* normaliza la suma
# residual después de cada subcapa; *sin normalización* no hace ninguna de las dos cosas.
#
# 1. Pre-norm, std 0.02: ve de 2 a 24 capas. ¿Qué pasa con el tamaño después del último bloque? ¿Y *sin
#    escalar*?
# 2. *Sin normalización*, std 0.02. El flujo no crece nada: parece más tranquilo que el sano. ¿Qué dibujo
#    muestra que algo anda mal?
# 3. Sigue *sin normalización*, con 24 capas, y sube std a 0.2. ¿Qué le pasa al gradiente del primer bloque?
# 4. *Post-norm*, std 0.02: ¿cuánto suman los bloques que siguen al primero? ¿Con qué std suman más o menos lo
#    que suman los sanos?

# %% id="playground" folded=true
BLUE, GREY = "#0072b2", "0.6"
FORMS = {
    "pre-norm": {},
    "unscaled": {"fault": "residual-scale"},
    "post-norm": {"norm_position": "post"},
    "no-norm": {"fault": "missing-norm"},
}


def through_the_blocks(form, layers, std):
    settings = dict(FORMS[form])
    fault = settings.pop("fault", None)
    deep = Recipe(Config(n_layer=layers, init_std=std, context=32, batch_size=2, **settings))
    deep = deep.with_fault(fault) if fault else deep
    model, rows = fresh_model(deep), []
    for block in model.h:
        block.register_forward_hook(
            lambda block, inputs, output: rows.append(
                (
                    output.square().mean().sqrt().item(),
                    ((output - inputs[0]).norm() / inputs[0].norm()).item(),
                )
            )
        )
    some_batch = get_batch(data.train, deep.config, step=0)
    deep.loss(model(some_batch.inputs), some_batch.targets, some_batch.mask).backward()
    gradients = [math.hypot(*(p.grad.norm().item() for p in block.parameters())) for block in model.h]
    return [size for size, _ in rows], [write for _, write in rows], gradients


def draw(figure, form, layers, std):
    usual, found = through_the_blocks("pre-norm", layers, 0.02), through_the_blocks(form, layers, std)
    places = range(1, layers + 1)
    names, limits = ("stream-size", "block-adds", "block-gradient"), ((1e-3, 1e2), (1e-4, 1e3), (1e-3, 1e6))
    for axes, name, grey, line, limit in zip(figure.subplots(1, 3), names, usual, found, limits, strict=True):
        axes.plot(places, grey, color=GREY, linewidth=1)
        axes.plot(places, line, color=BLUE, marker="o", markersize=3)
        axes.set(yscale="log", ylim=limit, xlabel=t("block"))
        ends = t("ends", first=f"{line[0]:.3g}", last=f"{line[-1]:.3g}")
        axes.set_title(f"{t(name)}\n{ends}", fontsize=9)
        axes.minorticks_off()


playground(
    draw,
    size=(9.2, 2.8),
    form=Choice(t("form"), {t(form): form for form in FORMS}),
    layers=Slider(t("layers"), 2, 24, 8),
    std=Slider(t("std"), 0.005, 0.2, 0.02, log=True),
)

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# 1. Nothing: it stays near 0.035, whatever the depth. That is the purpose of the √(2L). The variances of 2L
#    writes add up, and each is 2L times smaller. Unscaled, the stream grows with depth, to about 0.16 at 24
#    layers.
# 2. The middle one. A block adds less than a hundredth of its input: it is *silent*. It reads a stream of
#    size 0.03 instead of a normalised one of size 1. The gradient shows it too: it is thirty times smaller
#    than the grey one.
# 3. It is in the tens of thousands (the exact figure is chaotic), thousands of times the last block's.
#    Without norms each block multiplies, and products explode. The same missing norm goes unnoticed at one
#    standard deviation and explodes at another; growth alone does not find it.
# 4. About 0.4 % at 24 layers and 0.7 % at 8. A post-norm stream has size 1, and weights of 0.02 add next to
#    nothing to it. Near 0.1 they add as much as healthy ones.
# </details>

# %% [markdown] id="play-answers" lang="es" of="f0c60549282d"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# 1. Nada: se queda cerca de 0.035, sea cual sea la profundidad. Para eso está la √(2L). Se suman las
#    varianzas de 2L aportes, y cada una es 2L veces menor. Sin escalar, el flujo crece con la profundidad,
#    hasta cerca de 0.16 con 24 capas.
# 2. El del centro. Un bloque suma menos de una centésima de su entrada: está *callado*. Lee un flujo de
#    tamaño 0.03 en lugar de uno normalizado, de tamaño 1. El gradiente también lo muestra: es treinta veces
#    menor que el gris.
# 3. Vale decenas de miles (la cifra exacta es caótica), miles de veces más que el del último bloque. Sin capas de
#    normalización, cada bloque multiplica, y los productos explotan. La misma capa que falta pasa inadvertida con
#    unos pesos y explota con otros; el crecimiento por sí solo no la descubre.
# 4. Cerca del 0.4 % con 24 capas y del 0.7 % con 8. Un flujo post-norm tiene tamaño 1, y unos pesos de 0.02
#    no le suman casi nada. Cerca de 0.1 suman tanto como los sanos.
# </details>

# %% [markdown] id="patients" lang="en"
# ### Five patients, eight layers deep
#
# Four have one fault each, one is healthy, the letters are shuffled. These are the four:

# %% [markdown] id="patients" lang="es" of="6e956f052fb8"
# ### Cinco pacientes, de ocho capas
#
# Cuatro tienen un fallo cada uno, uno está sano y las letras están barajadas. Estos son los cuatro fallos:

# %% id="suspects"
suspects = ["future-leak", "missing-norm", "residual-scale", "weight-mean"]
for name in suspects:
    print(f"{name:16} {FAULTS[name].text('breaks')}")

# %% id="ward" compare=true
deep_recipe = Recipe(
    Config(n_layer=8, steps=40, warmup_steps=10, lr_max=1e-3, batch_size=8, eval_every=0, eval_batches=2)
)
patients = dict(zip("ABCDE", random.Random(1).sample([*suspects, "healthy"], 5), strict=True))
sick = {
    letter: deep_recipe if name == "healthy" else deep_recipe.with_fault(name)
    for letter, name in patients.items()
}
charts = {letter: train(each, runs / f"ward-{letter}", overwrite=True) for letter, each in sick.items()}

print(f"{'':4} {t('last-loss'):>20}")
for letter, run in charts.items():
    print(f"{letter:4} {np.mean([record['loss'] for record in run.metrics[-5:]]):20.1f}")

# %% id="curves" folded=true
figure = Figure(figsize=(9.2, 1.9), layout="constrained")
for axes, (letter, run) in zip(figure.subplots(1, 5, sharey=True), charts.items(), strict=True):
    for other in charts.values():
        axes.plot([record["loss"] for record in other.metrics], color="0.8", linewidth=0.8)
    axes.plot([record["loss"] for record in run.metrics], color=BLUE)
    axes.axhline(baselines["unigram_entropy"], color="black", linestyle="--", linewidth=1)
    axes.set_title(letter, fontsize=10, weight="bold")
    axes.set_xlabel(t("step"), fontsize=8)
    axes.tick_params(labelsize=7)
figure.axes[0].set_ylabel(t("loss"), fontsize=8)
Picture().show(figure, t("curves-alt"))

# %% [markdown] id="curves-said" lang="en"
# The dashed line is the entropy of single tokens, the loss of a model that knows how often each token occurs
# and nothing else. One patient stays on it, as if it had no blocks at all. The other four look alike. So
# examine the models, each at its step 0:

# %% [markdown] id="curves-said" lang="es" of="94e4fd9177ae"
# La línea discontinua es la entropía de los tokens sueltos, el loss de un modelo que sabe qué tan frecuente
# es cada token y nada más. Un paciente se queda pegado a ella, como si no tuviera bloques. Los otros cuatro
# se parecen. Así que examina los modelos, cada uno en su paso 0:

# %% id="measurements" compare=true
columns = ("widest", "furthest-mean", "stream-growth", "follows", "future")
print(f"{'':3}" + "".join(f"{t(column):>17}" for column in columns))
for letter, run in charts.items():
    start = run.probes[0]
    stream = next(probe for probe in run.probes if probe["kind"] == "activations")["rms"]
    weights = start["weights"].values()
    values = (
        max(weight["std"] / weight["expected_std"] for weight in weights),
        max(abs(weight["mean"]) / weight["std"] * math.sqrt(weight["size"]) for weight in weights),
        stream[-1] / stream[0],
        max(start["stream_exponents"].values()),
        start["future_gradient"],
    )
    print(f"{letter:3}" + "".join(f"{value:17.1f}" for value in values))

# %% [markdown] id="columns" lang="en"
# The columns: the largest standard deviation of a weight ÷ the one that its role asks for; the mean furthest
# from 0, in standard errors (σ/√n, so up to about 4 is chance); stream after the last block ÷ before the
# first; how far the input of a sublayer follows the size of the stream (0 behind a norm, 1 or more without);
# the largest gradient from the future.
#
# Decide: put a name in place of each `...`, in quotes, or `"healthy"`.

# %% [markdown] id="columns" lang="es" of="06b7f1a763ac"
# Las columnas: la mayor desviación estándar de un peso ÷ la que pide su papel; la media más alejada de 0, en
# errores estándar (σ/√n, así que hasta cerca de 4 es azar); flujo después del último bloque ÷ antes del
# primero; cuánto sigue la entrada de una subcapa al tamaño del flujo (0 detrás de una capa de normalización,
# 1 o más sin ella); el mayor gradiente que llega del futuro.
#
# Decídete: escribe un nombre en lugar de cada `...`, entre comillas, o `"healthy"` (sano).

# %% id="my-diagnosis"
predict("diagnosis", A=..., B=..., C=..., D=..., E=...)

# %% id="name-the-faults" compare=true
walks = {letter: walk_the_model(run) for letter, run in charts.items()}
compare("diagnosis", **{letter: walk.leaf or "healthy" for letter, walk in walks.items()})
print()
for letter, walk in walks.items():
    line = f"{walk.end.question}: {seen(walk.end)}" if walk.end else t("nothing-found")
    print(textwrap.fill(f"{letter} {line}", 92, subsequent_indent="  "))

# %% [markdown] id="histogram-why" lang="en"
# ### What a histogram shows, and what it does not
#
# Many people look at histograms of activations first. Here are those of the stream, after the first, the fourth and
# the last block of each patient at step 0. The axis is the size of a value as a power of ten: −2 is 0.01.

# %% [markdown] id="histogram-why" lang="es" of="53d4fbcacba5"
# ### Qué muestra un histograma y qué no
#
# Mucha gente mira primero los histogramas de las activaciones. Estos son los del flujo, después del primer bloque,
# del cuarto y del último de cada paciente en el paso 0. El eje es el tamaño de un valor como potencia de diez: −2 es
# 0.01.


# %% id="streams"
def stream_of(some_recipe):
    model = fresh_model(some_recipe)
    kept = {}
    for place in (0, 3, 7):
        part = model.get_submodule(f"h.{place}")
        part.register_forward_hook(lambda part, given, out, place=place: kept.update({place: out.detach()}))
    model(get_batch(data.train, some_recipe.config, step=0).inputs)
    return kept


streams = {letter: stream_of(each) for letter, each in sick.items()}

# %% id="histograms" folded=true
figure = Figure(figsize=(9.2, 2.1), layout="constrained")
for axes, (letter, kept) in zip(figure.subplots(1, 5, sharey=True), streams.items(), strict=True):
    for place, shade in zip(kept, ("0.75", "0.45", BLUE), strict=True):
        values = kept[place].abs().flatten().clamp(min=3e-4).log10().numpy()
        axes.hist(
            values,
            bins=np.linspace(-3.5, 0, 43),
            histtype="step",
            density=True,
            color=shade,
            label=str(place),
        )
    axes.set_title(letter, fontsize=10, weight="bold")
    axes.set_xlabel(t("log-activation"), fontsize=8)
    axes.tick_params(labelsize=7)
figure.axes[0].legend(title=t("block"), fontsize=7, title_fontsize=7)
figure.axes[0].set_ylabel(t("density"), fontsize=8)
Picture().show(figure, t("histogram-alt"))

# %% [markdown] id="histogram-said" lang="en"
# Two patients stand out. In A the three curves lie on each other: eight blocks, and the stream comes out as it went
# in. In E it moves to the right with each block, as in a model whose blocks write too much. B, C and D look alike,
# and only one of them is healthy: a mean that is not 0 is lost in such a picture, and no histogram knows who may look
# at whom. It is a good instrument for sizes, and for nothing else.

# %% [markdown] id="histogram-said" lang="es" of="004ff188855b"
# Dos pacientes llaman la atención. En A, las tres curvas están una sobre otra: ocho bloques, y el flujo sale como
# entró. En E se mueve a la derecha con cada bloque, como en un modelo cuyos bloques escriben demasiado. B, C y D se
# parecen, y solo uno de ellos está sano: una media que no es 0 se pierde en una gráfica así, y ningún histograma sabe
# quién puede mirar a quién. Es un buen instrumento para los tamaños y para nada más.

# %% [markdown] id="fix" lang="en"
# Note that the stream of the run without norms does not grow: a rule of thumb (“activations explode”) would
# have passed it.
#
# ## 5 · Fix
#
# Three examinations, written by you. Together they are a test that you can run on any model before you spend
# a night on it.
#
# ### Exercise 1 · Weights against their role
#
# > Difficulty ●●●○○ · Importance ●●●●○ · 15 minutes
#
# Write `audit_weights(model, config)`. It looks at every parameter with two or more dimensions (no others)
# and returns a dict of those that are off, from name to one word:
#
# * `"scale"`: its standard deviation is not between 0.8 and 1.25 times what its role asks for. That is
#   `config.init_std`, and for a `c_proj.weight` `config.init_std`/√(2L) with L = `config.n_layer`.
# * `"mean"`: the scale is right, but the mean is further from 0 than five standard errors, 5σ/√n, with σ its
#   standard deviation and n the number of its elements.
#
# A healthy model gives an empty dict.
#
# <details><summary>Hint 1: why not one limit for all means?</summary>
#
# The mean of n draws varies by σ/√n. For an 8 × 8 matrix with σ = 0.02 that is 0.0025, and nothing to worry
# about; for one of 512 × 64 it is 0.0001, and 0.0025 would be 23 of them.
# </details>
# <details><summary>Hint 2: what you need</summary>
#
# `model.named_parameters()`, `.ndim`, `.std()`, `.mean()`, `.numel()`.
# </details>

# %% [markdown] id="fix" lang="es" of="229c1c6641b3"
# Fíjate en que el flujo del run sin capas de normalización no crece: una regla general («las activaciones explotan») lo
# habría dejado pasar.
#
# ## 5 · Arregla
#
# Tres exámenes, escritos por ti. Juntos son una prueba que puedes hacer a cualquier modelo antes de gastar en
# él una noche.
#
# ### Ejercicio 1 · Los pesos frente a su papel
#
# > Dificultad ●●●○○ · Importancia ●●●●○ · 15 minutos
#
# Escribe `audit_weights(model, config)`. Mira cada parámetro de dos o más dimensiones (ningún otro) y
# devuelve un diccionario con los que están mal, del nombre a una palabra:
#
# * `"scale"`: su desviación estándar no está entre 0.8 y 1.25 veces la que pide su papel. Esa es
#   `config.init_std` y, para un `c_proj.weight`, `config.init_std`/√(2L), con L = `config.n_layer`.
# * `"mean"`: la escala está bien, pero la media se aleja de 0 más de cinco errores estándar, 5σ/√n, donde σ
#   es su desviación estándar y n el número de sus elementos.
#
# Un modelo sano da un diccionario vacío.
#
# <details><summary>Pista 1: ¿por qué no un solo límite para todas las medias?</summary>
#
# La media de n valores al azar varía en σ/√n. En una matriz de 8 × 8 con σ = 0.02 son 0.0025, y no hay de qué
# preocuparse; en una de 512 × 64 son 0.0001, y 0.0025 serían 23 de ellos.
# </details>
# <details><summary>Pista 2: lo que necesitas</summary>
#
# `model.named_parameters()`, `.ndim`, `.std()`, `.mean()`, `.numel()`.
# </details>


# %% solution="audit-weights"
def audit_weights(model, config):
    ### BEGIN SOLUTION
    off = {}
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            continue
        residual = name.endswith("c_proj.weight")
        asked = config.init_std / (math.sqrt(2 * config.n_layer) if residual else 1)
        if not 0.8 <= weight.std() / asked <= 1.25:
            off[name] = "scale"
        elif weight.mean().abs() > 5 * weight.std() / math.sqrt(weight.numel()):
            off[name] = "mean"
    return off
    ### END SOLUTION


# %% check="audit-weights/healthy" points=1
check("audit-weights/healthy", audit_weights)

# %% check="audit-weights/scale" points=1
check("audit-weights/scale", audit_weights)

# %% check="audit-weights/residual" points=2
check("audit-weights/residual", audit_weights)

# %% check="audit-weights/mean" points=2
check("audit-weights/mean", audit_weights)

# %% [markdown] id="task-stream" lang="en"
# ### Exercise 2 · The stream, block by block
#
# > Difficulty ●●●○○ · Importance ●●●●○ · 15 minutes
#
# Write `audit_stream(model, tokens)`. `tokens` is (B, T); the blocks are `model.h`, and each takes the stream
# (B, T, C) as its first argument and returns it with something added. Return a list with one pair per block,
# `(size, write)`:
#
# * **size**: the root mean square of all elements of the stream *after* the block;
# * **write**: the root mean square of what the block *added* ÷ that of its input.
#
# Leave no trace: no hook stays behind, no parameter gets a gradient. The model may come in training mode with
# dropout; measure without dropout, and return it in the mode in which it came.
#
# <details><summary>Hint 1: hooks</summary>
#
# `handle = block.register_forward_hook(look)` makes PyTorch call `look(block, inputs, output)` after the
# block; `inputs[0]` is the block's input. `handle.remove()` ends that.
# </details>
# <details><summary>Hint 2: without a trace</summary>
#
# Note `model.training`, call `model.eval()`, run the model under `torch.no_grad()`, then `model.train(...)`
# with the mode that you noted.
# </details>

# %% [markdown] id="task-stream" lang="es" of="72d71cc41a54"
# ### Ejercicio 2 · El flujo, bloque por bloque
#
# > Dificultad ●●●○○ · Importancia ●●●●○ · 15 minutos
#
# Escribe `audit_stream(model, tokens)`. `tokens` es de forma (B, T); los bloques son `model.h`, y cada uno
# recibe el flujo (B, T, C) como primer argumento y lo devuelve con algo sumado. Devuelve una lista con un par
# por bloque, `(size, write)`:
#
# * **size**: la raíz de la media de los cuadrados de todos los elementos del flujo *después* del bloque;
# * **write**: la raíz de la media de los cuadrados de lo que el bloque *sumó* ÷ la de su entrada.
#
# No dejes rastro: no queda ningún hook, ningún parámetro recibe gradiente. El modelo puede llegar en modo de
# entrenamiento y con dropout; mide sin dropout y devuélvelo en el modo en que llegó.
#
# <details><summary>Pista 1: hooks</summary>
#
# Con `handle = block.register_forward_hook(look)`, PyTorch llama a `look(block, inputs, output)` después del
# bloque; `inputs[0]` es la entrada del bloque. `handle.remove()` lo termina.
# </details>
# <details><summary>Pista 2: sin rastro</summary>
#
# Anota `model.training`, llama a `model.eval()`, pasa el modelo bajo `torch.no_grad()` y después
# `model.train(...)` con el modo que anotaste.
# </details>


# %% solution="audit-stream"
def audit_stream(model, tokens):
    ### BEGIN SOLUTION
    pairs = []

    def rms(x):
        return x.square().mean().sqrt().item()

    def look(block, inputs, output):
        pairs.append((rms(output), rms(output - inputs[0]) / rms(inputs[0])))

    handles = [block.register_forward_hook(look) for block in model.h]
    was_training = model.training
    with torch.no_grad():
        model.eval()(tokens)
    model.train(was_training)
    for handle in handles:
        handle.remove()
    return pairs
    ### END SOLUTION


# %% check="audit-stream/sizes" points=1
check("audit-stream/sizes", audit_stream)

# %% check="audit-stream/writes" points=2
check("audit-stream/writes", audit_stream)

# %% check="audit-stream/dropout" points=1
check("audit-stream/dropout", audit_stream)

# %% check="audit-stream/clean" points=1
check("audit-stream/clean", audit_stream)

# %% [markdown] id="task-ahead" lang="en"
# ### Exercise 3 · Does it look ahead?
#
# > Difficulty ●●●●○ · Importance ●●●●● · 20 minutes
#
# Write `looks_ahead(model, tokens)`. It returns `True` if the logits at any place depend on a *later* token,
# else `False`. The model gives logits (B, T, V) for tokens (B, T); its embedding is `model.wte`, with
# `model.wte.num_embeddings` tokens.
#
# There are two good ways, and either will do:
#
# * **by experiment**: swap a later token for another one, and see whether earlier logits change;
# * **by gradient**: as in the picture above.
#
# The checks know leaks of every kind: a model that sees everything, one in which a single place sees only its
# neighbour, one whose leak is a thousandth of the rest. A place may always depend on its *own* token. And
# leave no trace: weights, gradients and mode stay as they were.
#
# <details><summary>Hint 1: which token to swap</summary>
#
# Each place in turn. `(token + 1) % V` is certainly another token, a random one may be the same.
# </details>
# <details><summary>Hint 2: false alarms</summary>
#
# With dropout two passes differ by themselves: `model.eval()`. And the logits *at* the swapped place may
# change; only those before it must not.
# </details>
# <details><summary>Hint 3: by gradient</summary>
#
# `torch.autograd.grad(outputs, inputs)` returns a gradient and writes none into `.grad`. A forward hook on
# `model.wte` that returns `output.detach().requires_grad_()` gives you the embeddings.
# </details>

# %% [markdown] id="task-ahead" lang="es" of="15750f75cf87"
# ### Ejercicio 3 · ¿Mira hacia delante?
#
# > Dificultad ●●●●○ · Importancia ●●●●● · 20 minutos
#
# Escribe `looks_ahead(model, tokens)`. Devuelve `True` si los logits de algún lugar dependen de un token
# *posterior*, y si no, `False`. El modelo da logits (B, T, V) para tokens (B, T); su embedding es
# `model.wte`, con `model.wte.num_embeddings` tokens.
#
# Hay dos buenos caminos, y sirve cualquiera:
#
# * **con un experimento**: cambia un token posterior por otro y mira si cambian los logits anteriores;
# * **con el gradiente**: como en el dibujo de arriba.
#
# Las comprobaciones conocen fugas de todo tipo: un modelo que lo ve todo, otro en el que un solo lugar ve
# solo a su vecino, otro cuya fuga es una milésima del resto. Un lugar siempre puede depender de su *propio*
# token. Y no dejes rastro: pesos, gradientes y modo quedan como estaban.
#
# <details><summary>Pista 1: qué token cambiar</summary>
#
# Cada lugar, uno tras otro. `(token + 1) % V` es con seguridad otro token; uno al azar puede ser el mismo.
# </details>
# <details><summary>Pista 2: falsas alarmas</summary>
#
# Con dropout, dos pasadas difieren por sí solas: `model.eval()`. Y los logits *en* el lugar cambiado pueden
# cambiar; los que no deben cambiar son los anteriores.
# </details>
# <details><summary>Pista 3: con el gradiente</summary>
#
# `torch.autograd.grad(outputs, inputs)` devuelve un gradiente y no escribe ninguno en `.grad`. Un forward
# hook en `model.wte` que devuelva `output.detach().requires_grad_()` te da los embeddings.
# </details>


# %% solution="looks-ahead"
def looks_ahead(model, tokens):
    ### BEGIN SOLUTION
    was_training, leak = model.training, False
    with torch.no_grad():
        logits = model.eval()(tokens)
        for place in range(1, tokens.shape[1]):
            other = tokens.clone()
            other[:, place] = (other[:, place] + 1) % model.wte.num_embeddings
            change = (model(other) - logits)[:, :place].abs().max()
            leak = leak or change.item() > 1e-6
    model.train(was_training)
    return leak
    ### END SOLUTION


# %% check="looks-ahead/open" points=1
check("looks-ahead/open", looks_ahead)

# %% check="looks-ahead/causal" points=1
check("looks-ahead/causal", looks_ahead)

# %% check="looks-ahead/narrow" points=2
check("looks-ahead/narrow", looks_ahead)

# %% check="looks-ahead/weak" points=1
check("looks-ahead/weak", looks_ahead)

# %% check="looks-ahead/tidy" points=1
check("looks-ahead/tidy", looks_ahead)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# Run your three examinations on all five patients, and on a sixth one, F. Nothing is broken there: somebody
# *asked* for post-norm (`norm_position="post"`), as in the first Transformers. A block counts as silent when
# it writes less than 2 % of its input.

# %% [markdown] id="verify" lang="es" of="d2145cdf85a8"
# ## 6 · Comprueba
#
# Aplica tus tres exámenes a los cinco pacientes y a un sexto, F. Ahí no hay nada roto: alguien *pidió*
# post-norm (`norm_position="post"`), como en los primeros Transformers. Un bloque cuenta como callado cuando
# escribe menos del 2 % de su entrada.


# %% id="examination" compare=true
def examine(some_recipe):
    model = fresh_model(some_recipe)
    tokens = get_batch(data.train, some_recipe.config, step=0).inputs[:2, :16]
    words = list(audit_weights(model, some_recipe.config).values())
    quietest = min(write for size, write in audit_stream(model, tokens))
    return {
        "off-scale": words.count("scale"),
        "off-mean": words.count("mean"),
        "quietest": round(100 * float(quietest), 1),
        "ahead": bool(looks_ahead(model, tokens)),
    }


def findings(exam):
    names = [name for name in ("off-scale", "off-mean", "ahead") if exam[name]]
    return names + (["quiet"] if exam["quietest"] < 2 else [])


post_recipe = Recipe(deep_recipe.config.replace(norm_position="post"))
exams = {letter: examine(each) for letter, each in (sick | {"F": post_recipe}).items()}

print(f"{'':4}" + "".join(f"{t(column):>20}" for column in ("off-scale", "off-mean", "quietest", "ahead")))
for letter, exam in exams.items():
    said = (exam["off-scale"], exam["off-mean"], f"{exam['quietest']} %", t("yes" if exam["ahead"] else "no"))
    print(f"{letter:4}" + "".join(f"{value!s:>20}" for value in said))

# %% [markdown] id="cure" lang="en"
# Each finding points to the faulty part of the recipe. Replace that part alone, and walk the tree
# again at step 0:

# %% [markdown] id="cure" lang="es" of="0a1680311f63"
# Cada hallazgo señala la pieza rota de la receta. Cambia solo esa pieza y recorre otra vez el árbol en el
# paso 0:

# %% id="cures" compare=true
PART = {
    "off-scale": "init_weights",
    "off-mean": "init_weights",
    "quiet": "build_model",
    "ahead": "build_model",
}
first_step = deep_recipe.config.replace(steps=1, warmup_steps=1)
print(f"{'':4}{t('before'):18}{t('replaced'):18}{t('after')}")
for letter, sick_recipe in sick.items():
    parts = {PART[name]: getattr(Recipe(), PART[name]) for name in findings(exams[letter])}
    treated = dataclasses.replace(sick_recipe, config=first_step, faults=(), **parts)
    leaf = walk_the_model(train(treated, runs / f"treated-{letter}", overwrite=True)).leaf
    before = walks[letter].leaf or t("healthy")
    print(f"{letter:4}{before:18}{' '.join(parts) or '–':18}{leaf or t('healthy')}")

# %% [markdown] id="sixth" lang="en"
# And F? The tree finds nothing, because every norm is where it was asked for. But your examination does:
# after the first block each one writes less than a hundredth of the stream, exactly like the blocks without
# norms. Post-norm keeps the stream at size 1, and GPT-2's standard deviation of 0.02 is made for a stream
# about thirty times smaller. If that is the cause, **larger weights must cure it**. A hypothesis that can
# fail is worth a run; in grey, F as it was asked for:

# %% [markdown] id="sixth" lang="es" of="b19f2bac0a7b"
# ¿Y F? El árbol no encuentra nada, porque cada capa de normalización está donde se pidió. Pero tu examen sí: después
# del primer bloque, cada uno escribe menos de una centésima del flujo, igual que los bloques sin capas de
# normalización. Post-norm mantiene el flujo en tamaño 1, y la desviación estándar de 0.02 de GPT-2 está hecha para un
# flujo unas treinta veces menor. Si esa es la causa, **unos pesos más grandes tienen que curarlo**. Una hipótesis que
# puede fallar merece un run; en gris, F como se pidió:

# %% id="train-post"
post = train(post_recipe, runs / "post", overwrite=True)
wide_recipe = Recipe(post_recipe.config.replace(init_std=0.1))
wide = train(wide_recipe, runs / "post-wide", callbacks=[LivePlot(before=post.metrics)], overwrite=True)

# %% id="post-cured" compare=true
print(f"{'':22}{t('quietest'):>20}{t('last-loss'):>20}")
for name, some_recipe, run in (("post", post_recipe, post), ("post-wide", wide_recipe, wide)):
    quietest = f"{examine(some_recipe)['quietest']} %"
    loss = np.mean([record["loss"] for record in run.metrics[-5:]])
    print(f"{t(name):22}{quietest:>20}{loss:20.1f}")
print(f"{t('unigram'):42}{baselines['unigram_entropy']:20.1f}")

# %% [markdown] id="cured" lang="en"
# It comes off the plateau. Post-norm is not a fault; post-norm with the standard deviation of pre-norm is. An
# examination told you what the tree could not, because you understood what it measures.
#
# ## 7 · Explain
#
# A colleague writes: *“Validation loss 0.2 after 150 steps, training loss the same, so it cannot be
# overfitting. We are far below the n-gram baseline. I think we should publish.”*
#
# Answer in three to six sentences: why the validation loss gives no warning; why the model writes nonsense
# all the same; and which measurement on one batch, before the first step, settles the matter, with what
# number. (Three points, one for each.)

# %% [markdown] id="cured" lang="es" of="d5dd747a1bfb"
# Sale de la meseta. Post-norm no es un fallo; post-norm con la desviación estándar de pre-norm, sí. Un examen te dijo
# lo que el árbol no podía, porque entendiste qué mide.
#
# ## 7 · Explica
#
# Un colega escribe: *«Loss de validación 0.2 después de 150 pasos, el de entrenamiento igual, así que no
# puede ser sobreajuste. Estamos muy por debajo de los n-gramas. Creo que deberíamos publicarlo».*
#
# Responde en tres a seis oraciones: por qué el loss de validación no avisa; por qué el modelo escribe
# disparates a pesar de ello; y qué medida sobre un batch, antes del primer paso, zanja la cuestión, y con qué
# número. (Tres puntos, uno por cada parte.)

# %% [markdown] answer="answer-a-colleague" points=3 lang="en"
# The model has no causal mask, so each prediction sees the token it has to predict. In the validation text
# that token stands in the input just as in training, so both losses measure copying, not predicting. When the
# model writes, the next token does not exist yet: there is nothing to copy, and it has never learnt anything
# else. I would take one batch at step 0 and compute the gradient of the logits at a place with respect to the
# embeddings of later places (or swap a later token and compare the earlier logits): in a causal model it
# is exactly 0, here it is not.
#
# ---
# **Rubric.** One point each. (1) The answer is in the input in validation too; “validation is leaked from
# training” or “overfitting” does not count. (2) At generation time there is no next token to copy; it learnt
# to copy instead of to predict. (3) Gradient from the future, or swapping a later token, with the number:
# exactly 0 when healthy (or: no change). “Look at samples” alone earns half a point, for it needs a trained
# model.

# %% [markdown] answer="answer-a-colleague" points=3 lang="es" of="78cdf6d29738"
# El modelo no tiene máscara causal, así que cada predicción ve el token que debe predecir. En el texto de
# validación ese token está en la entrada igual que en el de entrenamiento, de modo que los dos losses miden
# copiar, no predecir. Cuando el modelo escribe, el token siguiente todavía no existe: no hay nada que copiar,
# y nunca aprendió otra cosa. Yo tomaría un batch en el paso 0 y calcularía el gradiente de los logits de un
# lugar respecto de los embeddings de lugares posteriores (o cambiaría un token posterior y compararía los
# logits anteriores): en un modelo causal es exactamente 0; aquí no.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) También en validación la respuesta está en la entrada; «la
# validación salió del entrenamiento» o «es sobreajuste» no cuentan. (2) Al generar no hay token siguiente que
# copiar; aprendió a copiar en vez de a predecir. (3) El gradiente que llega del futuro, o cambiar un token
# posterior, con el número: exactamente 0 si está sano (o: ningún cambio). Solo «mirar muestras» da medio
# punto, porque necesita un modelo entrenado.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# Three examinations of a fresh model, one batch each.
#
# | leaf | symptom | examination | right | first action |
# |---|---|---|:-:|---|
# | `future-leak` | too good, in validation too; samples are nonsense | gradient of logits at t to inputs after t | exactly 0 | pass `is_causal=True` |
# | `init-scale` | far above chance, or it hardly learns | std ÷ the std its role asks for | 0.5 to 2; broken at 10 or 0.1 | initialise by role (18-01) |
# | `residual-scale` | harmless with two layers, not with forty | the same, for every `c_proj` | 1, not √(2L) | divide by √(2L) |
# | `weight-mean` | a little worse, nobody knows why | mean ÷ (σ/√n) | at most 5 | initialise around 0; look for a `uniform_(0, …)` |
# | `missing-norm` | stuck at the entropy of single tokens, or exploding | the input of a sublayer when the stream is made larger | unchanged | put `ln_1` and `ln_2` back |
#
# And one question that the tree does not ask: a block that writes less than 1 or 2 % of the stream is silent,
# whatever the reason. The next lesson, 18-06, asks about the rest of the machine: is the *optimizer*
# coherent?

# %% [markdown] id="card" lang="es" of="63cdb04fa886"
# ## 8 · Una tarjeta para guardar
#
# Tres exámenes de un modelo nuevo, con un batch cada uno.
#
# | hoja | síntoma | examen | bien | primera acción |
# |---|---|---|:-:|---|
# | `future-leak` | demasiado bueno, también en validación; las muestras son disparates | gradiente de los logits en t hacia las entradas posteriores a t | exactamente 0 | pasa `is_causal=True` |
# | `init-scale` | muy por encima del azar, o apenas aprende | desviación estándar ÷ la que pide su papel | de 0.5 a 2; roto con 10 o 0.1 | inicializa según el papel (18-01) |
# | `residual-scale` | inofensivo con dos capas, no con cuarenta | lo mismo, en cada `c_proj` | 1, no √(2L) | divide entre √(2L) |
# | `weight-mean` | un poco peor, y nadie sabe por qué | media ÷ (σ/√n) | como mucho 5 | inicializa alrededor de 0; busca un `uniform_(0, …)` |
# | `missing-norm` | atascado en la entropía de los tokens sueltos, o explota | la entrada de una subcapa cuando se agranda el flujo | no cambia | vuelve a poner `ln_1` y `ln_2` |
#
# Y una pregunta que el árbol no hace: un bloque que escribe menos del 1 o el 2 % del flujo está callado, sea
# cual sea la razón. La próxima lección, 18-06, pregunta por el resto de la máquina: ¿es coherente el
# *optimizador*?

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# `looks_ahead` asks a model for logits and for an embedding called `wte`, and for nothing else of this course. Here it
# examines a recurrent network that reads letters: once in one direction, and once with `bidirectional=True`, a single
# word that shows every letter its future.

# %% [markdown] id="own-run" lang="es" of="5dc020bdc402"
# ## 9 · En tu propio run
#
# `looks_ahead` le pide a un modelo los logits y un embedding que se llame `wte`, y nada más de este curso. Aquí examina
# una red recurrente que lee letras: una vez en un solo sentido, y otra con `bidirectional=True`, una sola palabra que
# le muestra a cada letra su futuro.


# %% id="another-loop" compare=true
class Reader(torch.nn.Module):
    def __init__(self, both_ways):
        super().__init__()
        self.wte = torch.nn.Embedding(26, 16)
        self.memory = torch.nn.GRU(16, 16, batch_first=True, bidirectional=both_ways)
        self.head = torch.nn.Linear(32 if both_ways else 16, 26)

    def forward(self, letters):
        return self.head(self.memory(self.wte(letters))[0])


torch.manual_seed(0)
for both_ways in (False, True):
    seen_ahead = looks_ahead(Reader(both_ways), torch.randint(0, 26, (2, 12)))
    print(f"bidirectional={both_ways!s:7}{t('sees-later')}: {t('yes' if seen_ahead else 'no')}")

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# **A true story.** GPT-NeoX-20B, with twenty billion parameters, is not the model that its authors meant to build.
# Attention and feed-forward part of a block were to read the same normalised stream; through an oversight each got a
# normalisation layer of its own. They noticed when the run was too far along to start again, found in small
# experiments that it made no difference, and [wrote it down](https://arxiv.org/abs/2204.06745), with both formulas,
# in section 2. A loss curve did not tell them, and could not.
#
# * Where the normalisation stands, and what that does to gradients: Xiong et al., 2020,
#   [2002.04745](https://arxiv.org/abs/2002.04745).
# * 1/√(2L), in one line of code: [nanoGPT](https://github.com/karpathy/nanoGPT/blob/master/model.py).
# * Causal convolutions that were not causal, among the bugs that six of ten programs had: [OpenAI, 2017](https://openai.com/index/openai-baselines-dqn/).
#
# **A hard bonus task.** `looks_ahead` says that a model sees the future. Write `first_leak(net, tokens, t)`, which
# says **where**: the first module whose output before position t changes when only the tokens from t on do.
#
# <details><summary>Hint</summary>
#
# Run twice, with a hook on every module, and turn the tokens from t on around the second time. A module inside another finishes first.
# </details>
#
# <details><summary>Show one solution</summary>
#
# ```python
# def first_leak(net, tokens, t):
#     turned = tokens.clone()
#     turned[:, t:] = tokens[:, t:].flip(1)
#     runs = []
#     for ids in (tokens, turned):
#         runs.append({})
#         hooks = [
#             part.register_forward_hook(lambda part, given, out, name=name: runs[-1].update({name: out}))
#             for name, part in net.named_modules() if name
#         ]
#         with torch.inference_mode():
#             net(ids)
#         for hook in hooks:
#             hook.remove()
#     for name, out in runs[0].items():
#         if torch.is_tensor(out) and out.dim() == 3 and not torch.allclose(out[:, :t], runs[1][name][:, :t], atol=1e-6):
#             return name
# ```
#
# With `future-leak` it names `h.0.attn.c_proj`, the first module after the attention that has lost its mask; of a sound model it returns None.
# </details>

# %% [markdown] id="sources" lang="es" of="5f70514cc454"
# ## 10 · De dónde viene esto
#
# **Una historia real.** GPT-NeoX-20B, con veinte mil millones de parámetros, no es el modelo que sus autores querían
# construir. La atención y la parte feed-forward de un bloque debían leer el mismo flujo normalizado; por un descuido,
# cada una recibió su propia capa de normalización. Lo notaron cuando el run ya iba demasiado avanzado para empezar de
# nuevo, comprobaron en experimentos pequeños que no cambiaba nada y [lo dejaron
# escrito](https://arxiv.org/abs/2204.06745), con las dos fórmulas, en la sección 2. La curva del loss no se lo dijo,
# ni podía.
#
# * Dónde va la normalización y qué les hace a los gradientes: Xiong et al., 2020,
#   [2002.04745](https://arxiv.org/abs/2002.04745).
# * 1/√(2L), en una línea de código: [nanoGPT](https://github.com/karpathy/nanoGPT/blob/master/model.py).
# * Convoluciones causales que no lo eran, entre los errores que tenían seis de diez programas: [OpenAI, 2017](https://openai.com/index/openai-baselines-dqn/).
#
# **Un reto extra, difícil.** `looks_ahead` dice que un modelo ve el futuro. Escribe `first_leak(net, tokens, t)`, que
# dice **dónde**: el primer módulo cuya salida antes de la posición t cambia cuando solo cambian los tokens de t en
# adelante.
#
# <details><summary>Pista</summary>
#
# Ejecútalo dos veces, con un hook en cada módulo, y la segunda vez invierte los tokens de t en adelante. Un módulo que está dentro de otro termina antes.
# </details>
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# def first_leak(net, tokens, t):
#     turned = tokens.clone()
#     turned[:, t:] = tokens[:, t:].flip(1)
#     runs = []
#     for ids in (tokens, turned):
#         runs.append({})
#         hooks = [
#             part.register_forward_hook(lambda part, given, out, name=name: runs[-1].update({name: out}))
#             for name, part in net.named_modules() if name
#         ]
#         with torch.inference_mode():
#             net(ids)
#         for hook in hooks:
#             hook.remove()
#     for name, out in runs[0].items():
#         if torch.is_tensor(out) and out.dim() == 3 and not torch.allclose(out[:, :t], runs[1][name][:, :t], atol=1e-6):
#             return name
# ```
#
# Con `future-leak` nombra `h.0.attn.c_proj`, el primer módulo después de la atención que perdió su máscara; de un modelo sano devuelve None.
# </details>
