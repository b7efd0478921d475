"""Lesson 19-04: attention logits that grow, a burst of the rate, and two remedies that cure less than they promise."""

# %% [markdown] id="why" lang="en"
# The learning rate is too high. The attention logits, the scores q·k/√d before the softmax, grow until each query
# looks at one token alone. The best-known remedy is QK-norm, which normalises queries and keys. Another is z-loss,
# which keeps the output logits small. Here you measure what each of them cures, and what it does not. Afterwards
# you can
#
# * say in one number how much a result depends on the learning rate;
# * normalise queries and keys over the right axis, and notice when the axis is wrong;
# * watch the entropy of attention, head by head.
#
# Run the cells in order with **Shift + Enter**.

# %% [markdown] id="why" lang="es" of="60ef3709249a"
# El learning rate (tasa de aprendizaje) es demasiado alto. Los logits de atención, las puntuaciones q·k/√d de antes
# del softmax, crecen hasta que cada query mira un solo token. El remedio más conocido es QK-norm, que normaliza las
# queries y las keys. Otro es el z-loss, que mantiene pequeños los logits de salida. Aquí vas a medir qué cura cada
# uno y qué no. Al terminar sabrás
#
# * resumir en un número cuánto depende un resultado del learning rate;
# * normalizar queries y keys sobre el eje correcto, y darte cuenta de cuándo el eje está mal;
# * vigilar la entropía de la atención, cabeza por cabeza.
#
# Ejecuta las celdas en orden con **Shift + Enter**.

# %% id="setup" setup=true
import math
from pathlib import Path

import matplotlib
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
from minigpt.diagnosis.trees.dynamics.drift import DRIFT_QUESTIONS
from minigpt.diagnosis.trees.dynamics.spikes import SPIKE_QUESTIONS
from minigpt.training.instruments.attention import attention
from minigpt.training.instruments.units import units

lesson("19-04")
runs = Path("experiments") / "19-04"
torch.set_num_threads(1)
matplotlib.rcParams["font.size"] = 9


def last_loss(run, count=10):
    return sum(record["loss"] for record in run.metrics[-count:]) / count


# %% [markdown] id="meet" lang="en"
# ## 1 · A run that misbehaves
#
# A small GPT with two layers, 100 steps, and a learning rate of 0.1. The best rate is near 0.003.
#
# The cell below prints two figures to measure a loss against. ln V is the loss of a model that knows nothing. The
# *single-token entropy* is the loss of one that knows how often each token occurs and looks at no context.

# %% [markdown] id="meet" lang="es" of="31f32e90f2b3"
# ## 1 · Un run que se porta mal
#
# Un GPT pequeño de dos capas, 100 pasos y un learning rate de 0.1. El mejor valor está cerca de 0.003.
#
# La celda de abajo imprime dos cifras con las que comparar un loss. ln V es el loss de un modelo que no sabe nada.
# La *entropía de los tokens sueltos* es el de uno que sabe con qué frecuencia aparece cada token y no mira el
# contexto.

# %% id="facts" compare=true
config = Config(
    steps=100,
    n_layer=2,
    n_head=2,
    n_embd=32,
    context=32,
    batch_size=16,
    warmup_steps=5,
    lr_max=1e-2,
    lr_min=1e-3,
    eval_every=0,
    eval_batches=1,
)
data = Recipe(config).load_data(config)
share = torch.bincount(data.train.long(), minlength=config.vocab_size).double() / len(data.train)
single = -torch.special.xlogy(share, share).sum().item()
print(f"ln {config.vocab_size} = {math.log(config.vocab_size):.2f}   {t('single')}: {single:.1f}")

# %% [markdown] id="predict" lang="en"
# ## 2 · Predict
#
# A healthy run of this size has attention logits below 20. **How large is the largest after 100 steps at 0.1, and
# how high is the loss?** And with QK-norm, at the same rate: **how large, and how high?**

# %% [markdown] id="predict" lang="es" of="01b2f717a2c0"
# ## 2 · Predice
#
# Un run sano de este tamaño tiene logits de atención menores que 20. **¿Cuánto vale el mayor después de 100 pasos
# con 0.1, y en cuánto queda el loss?** Y con QK-norm y el mismo learning rate: **¿cuánto vale y en cuánto queda?**

# %% id="my-prediction"
predict("divergence", logit=..., loss=..., logit_normed=..., loss_normed=...)

# %% [markdown] id="break" lang="en"
# ## 3 · Break it

# %% [markdown] id="break" lang="es" of="a3e5f61bd7ca"
# ## 3 · Rómpelo


# %% id="train-hot"
class Keep:
    def on_record(self, trainer, record):
        self.model = trainer.model


models, done = {}, {}
inputs = Recipe(config).get_batch(data.train, config, 0, 0).inputs


def tried(name, recipe, *callbacks):
    keep = Keep()
    done[name] = train(recipe, runs / name, callbacks=[keep, *callbacks], overwrite=True)
    models[name] = keep.model
    return done[name]


def at_rate(rate, **changed):
    return Recipe(config.replace(lr_max=rate, lr_min=rate / 10, **changed))


def words(name):
    kind, more = name.rsplit("-", 1)
    return f"{t(kind)}, {t(more) if more in ('plain', 'normed') else more}"


hot = tried("plain-0.1", at_rate(0.1), LivePlot())
normed = tried("normed-0.1", at_rate(0.1, qk_norm=True), LivePlot(before=hot.metrics))
logit = {name: max(attention(models[name], inputs)["max_logit"]) for name in models}
compare(
    "divergence",
    logit=round(logit["plain-0.1"]),
    loss=round(last_loss(hot), 1),
    logit_normed=round(logit["normed-0.1"]),
    loss_normed=round(last_loss(normed), 1),
)

# %% [markdown] id="sweep-text" lang="en"
# ## 4 · Inspect
#
# ### The sweep
#
# Wortsman et al. train every model at learning rates from 3e-4 to 3e-1, with and without QK-norm, and draw the
# final loss against the rate. Do the same, small. `entropy` is that of the attention: 1 means that a query looks at
# all visible tokens alike, 0 that it looks at one alone. In the picture below the table, the dashed line is ln V,
# the grey one the single-token entropy, and the dotted one a logit of 1,000.

# %% [markdown] id="sweep-text" lang="es" of="dfcb81949108"
# ## 4 · Inspecciona
#
# ### El barrido
#
# Wortsman et al. entrenan cada modelo con learning rates de 3e-4 a 3e-1, con QK-norm y sin él, y dibujan el loss
# final frente al learning rate. Haz lo mismo, en pequeño. `entropía` es la de la atención: con 1, una query mira
# por igual todos los tokens visibles; con 0, uno solo. En el dibujo que sigue a la tabla, la línea discontinua es
# ln V, la gris es la entropía de los tokens sueltos y la punteada, un logit de 1,000.

# %% id="sweep"
rates = (3e-4, 3e-3, 3e-2, 1e-1, 3e-1)
print(f"{'':28}{t('loss'):>10}{t('logit'):>16}{t('entropy'):>12}")
for kind, on in {"plain": False, "normed": True}.items():
    for rate in rates:
        name = f"{kind}-{rate}"
        if name not in done:
            tried(name, at_rate(rate, qk_norm=on))
        seen = attention(models[name], inputs)
        print(
            f"{words(name):28}{last_loss(done[name]):10.2f}{max(seen['max_logit']):16.1f}{min(seen['entropy']):12.3f}"
        )

# %% id="draw-sweep" folded=true
figure = Figure(figsize=(7.2, 2.6), layout="constrained")
left, right = figure.subplots(1, 2)
for kind, colour in {"plain": "#d55e00", "normed": "#0072b2"}.items():
    names = [f"{kind}-{rate}" for rate in rates]
    left.plot(rates, [last_loss(done[name]) for name in names], "o-", color=colour, label=t(kind))
    right.plot(
        rates, [max(attention(models[name], inputs)["max_logit"]) for name in names], "o-", color=colour
    )
left.axhline(single, color="0.6", linewidth=1)
left.axhline(math.log(config.vocab_size), color="black", linestyle="--", linewidth=1)
left.set(xscale="log", xlabel=t("rate"), ylabel=t("loss"))
left.legend(fontsize=8)
right.axhline(1000, color="black", linestyle=":", linewidth=1)
right.set(xscale="log", yscale="log", xlabel=t("rate"), ylabel=t("logit"))
Picture().show(figure, t("sweep-alt"))

# %% id="who-learns" compare=true
for kind in ("plain", "normed"):
    for rate in (3e-3, 1e-1):
        name = f"{kind}-{rate}"
        large = max(attention(models[name], inputs)["max_logit"]) > 100
        learns = last_loss(done[name]) < single - 0.2
        print(
            f"{words(name):28}{t('large') if large else t('small'):28}{t('learns') if learns else t('stuck')}"
        )

# %% [markdown] id="burst-text" lang="en"
# At 0.1 QK-norm does what it promises: the logits stay small. And yet the loss stays where it was, at the
# single-token entropy. Here the large logits were a *sign* of a rate that is too high, and not what kept the model
# from learning.
#
# ### A burst of the rate, and z-loss
#
# The fault `rate-burst` multiplies the rate by 30 for five steps in the middle of the run. Does QK-norm undo it?
# z-loss adds `z_loss` · (log Z)² to the loss, where Z is the sum in the denominator of the output softmax. What
# does it do at a rate of 0.3?

# %% [markdown] id="burst-text" lang="es" of="ee40cfbaa5f1"
# Con 0.1, QK-norm hace lo que promete: los logits se quedan pequeños. Y aun así el loss se queda donde estaba, en
# la entropía de los tokens sueltos. Aquí los logits grandes eran una *señal* de un learning rate demasiado alto, no
# lo que impedía aprender.
#
# ### Un salto del learning rate, y el z-loss
#
# El fallo `rate-burst` multiplica el learning rate por 30 durante cinco pasos a mitad del run. ¿Lo deshace QK-norm?
# El z-loss le suma al loss `z_loss` · (log Z)², donde Z es la suma del denominador del softmax de salida. ¿Qué hace
# con un learning rate de 0.3?

# %% id="burst"
for name, on in {"burst-plain": False, "burst-normed": True}.items():
    calm = Recipe(config.replace(qk_norm=on))
    tried(name.replace("burst", "calm"), calm)
    tried(name, calm.with_fault("rate-burst"))
for weight in (1e-4, 1e-2):
    tried(f"z-loss-{weight}", at_rate(0.3, z_loss=weight))
for name in (
    "calm-plain",
    "burst-plain",
    "calm-normed",
    "burst-normed",
    "plain-0.3",
    "z-loss-0.0001",
    "z-loss-0.01",
):
    largest = max(attention(models[name], inputs)["max_logit"])
    print(f"{words(name):28}{last_loss(done[name]):8.2f}{largest:10.0f}")

# %% id="z-loss-cures" compare=true
for name in ("plain-0.3", "z-loss-0.0001", "z-loss-0.01"):
    print(f"{words(name):28}{t('learns') if last_loss(done[name]) < single - 0.2 else t('stuck')}")

# %% [markdown] id="units-text" lang="en"
# Two counter-examples. QK-norm bounds the attention logits, but a burst moves *all* the weights, and they have to
# come back. z-loss restrains the *output* logits, and at 0.3 the run goes wrong elsewhere, so z-loss cures nothing.
# Both results are those of one seed and 100 steps of a very small model. What z-loss does at a healthy
# rate is another question: try `at_rate(0.01, z_loss=1e-4)` with three seeds.
#
# ### What such a rate leaves behind
#
# The feed-forward layers suffer too. Call a hidden unit *inactive* if on every row of `inputs` its output stays below
# a thousandth of the largest output of its layer. Here is the share of such units in each of the two layers.

# %% [markdown] id="units-text" lang="es" of="23ebe8ab7f39"
# Dos contraejemplos. QK-norm limita los logits de atención, pero un salto mueve *todos* los pesos, y tienen que
# volver. El z-loss frena los logits *de salida*, y con 0.3 el run se estropea en otra parte, así que el z-loss no
# cura nada. Los dos resultados son de una sola semilla y de 100 pasos de un modelo muy pequeño. Qué hace el z-loss
# con un learning rate sano es otra pregunta: prueba `at_rate(0.01, z_loss=1e-4)` con tres semillas.
#
# ### Lo que deja un learning rate así
#
# Las capas feed-forward también sufren. Llamemos *inactiva* a una unidad oculta cuya salida queda, en todas las filas
# de `inputs`, por debajo de una milésima de la salida más grande de su capa. Esta es la proporción de esas unidades
# en cada una de las dos capas.

# %% id="inactive-units"
for name in ("calm-plain", "plain-0.1", "plain-0.3"):
    print(f"{words(name):28}", *(f"{share:6.0%}" for share in units(models[name], inputs)["inactive"]))

# %% [markdown] id="walk-text" lang="en"
# ### Ask the stability check
#
# Question 8.1 asks whether the rate leapt and the loss with it; question 9.1 asks about the attention logits. Put
# both to the run with the burst and to the one at 0.3. Then to the runs at 0.1, and to the one that nobody broke.
# Which of the five will be found at fault?

# %% [markdown] id="walk-text" lang="es" of="fb9fbf20b6ee"
# ### Pregúntale a la revisión de estabilidad
#
# La 8.1 pregunta si saltó el learning rate, y el loss con él; la 9.1, por los logits de atención. Hazles las
# dos al run del salto y al de 0.3. Después, a los de 0.1 y al que nadie rompió. ¿En cuáles de los cinco encontrarán
# un fallo?

# %% id="walk"
asked = [question for question in (*SPIKE_QUESTIONS, *DRIFT_QUESTIONS) if question.id in ("8.1", "9.1")]
walks = {
    name: diagnosis.walk(diagnosis.evidence_of(done[name].path), asked)
    for name in ("burst-plain", "plain-0.3", "plain-0.1", "normed-0.1", "calm-plain")
}
for name in ("burst-plain", "plain-0.3"):
    show(walks[name], Console(width=88))

# %% id="walk-leaves" compare=true
for name, walk in walks.items():
    print(f"{words(name):28}{walk.leaf or t('no-fault')}")

# %% [markdown] id="walk-said" lang="en"
# With the burst the walk ends at the cause: the log has the rate, and the leap came before anything else. At 0.3
# there is no leap, and the logits are what it finds. And at 0.1 it finds **no fault**, with QK-norm or without, in
# two models that learn nothing from the context. A check answers the questions that it asks, and no others. Whether
# the model learns, only the loss can tell you.

# %% [markdown] id="walk-said" lang="es" of="2777300f8eed"
# En el run del salto, el recorrido termina en la causa: el log guarda el learning rate, y el salto vino antes que
# todo lo demás. Con 0.3 no hay salto, y lo que encuentra son los logits. Y con 0.1 **no encuentra ningún fallo**,
# ni con QK-norm ni sin él, en dos modelos que no aprenden nada del contexto. Una revisión contesta las preguntas
# que hace, y ninguna otra. Si el modelo aprende, solo te lo dice el loss.

# %% [markdown] id="play-text" lang="en"
# Now to the inactive units of the last table. Such a unit adds nothing, and the weights on both sides of it get
# hardly any gradient. GELU has a slope almost everywhere, even if a tiny one, so a unit can come back; a ReLU that
# gives 0 on every row gets no gradient at all. Question 9.5 of the stability check warns when half of a layer is
# inactive: leaf `dead-units`. It is a trace, not a cause: look for what came before it, here the rate.
#
# ### Turn the knob: the size of the logits
#
# One query and eight tokens. The logits are multiplied by 2 to the power of s. From which s on does the query see
# one token alone? How much gradient still gets through the softmax?

# %% [markdown] id="play-text" lang="es" of="41ae5b92e10b"
# Y ahora, las unidades inactivas de la última tabla. Una unidad así no aporta nada, y a los pesos que tiene a ambos
# lados casi no les llega gradiente. GELU tiene pendiente casi en todas partes, aunque sea minúscula, así que una
# unidad puede volver; una ReLU que da 0 en todas las filas no recibe ningún gradiente. La pregunta 9.5 de la revisión
# de estabilidad advierte cuando la mitad de una capa está inactiva: hoja `dead-units`. Es una huella, no una causa:
# busca qué vino antes; aquí, el learning rate.
#
# ### Gira la perilla: el tamaño de los logits
#
# Una query y ocho tokens. Los logits se multiplican por 2 elevado a s. ¿Desde qué s ve la query un solo token?
# ¿Cuánto gradiente pasa todavía por el softmax?


# %% id="playground" folded=true
def draw(figure, s):
    weights = (2.0**s * torch.linspace(-1, 1, 8)).softmax(0)
    entropy = -torch.special.xlogy(weights, weights).sum().item() / math.log(8)
    slope = (weights * (1 - weights)).max().item()
    axes = figure.subplots()
    axes.bar(range(8), weights.tolist(), color="#0072b2")
    axes.set(ylim=(0, 1), title=f"{t('entropy')} {entropy:.2f}   {t('slope')} {slope:.2g}")


playground(draw, s=Slider("s", 0, 7, 0))

# %% [markdown] id="play-answers" lang="en"
# <details><summary>What you should have found</summary>
#
# At s = 3 about nine tenths of the weight are on one token; from 4 on it is nearly all. Meanwhile the slope falls
# towards 0: queries and keys get hardly any gradient, and cannot find their way back.
# </details>

# %% [markdown] id="play-answers" lang="es" of="97dfeef4bc7d"
# <details><summary>Lo que deberías haber encontrado</summary>
#
# Con s = 3, unas nueve décimas del peso están en un solo token; desde 4, casi todo. A la vez, la pendiente baja
# hacia 0: las queries y las keys casi no reciben gradiente y no encuentran el camino de vuelta.
# </details>

# %% [markdown] id="fix" lang="en"
# ## 5 · Fix
#
# ### Exercise 1 · LR sensitivity
#
# > Difficulty ●●○○○ · Importance ●●●●○ · 10 minutes
#
# How flat is the curve that you drew? Write `lr_sensitivity(losses, start)`: `losses` are the final losses of a
# sweep, one for each rate, and `start` is the loss before training. No run counts as worse than its start: a loss
# above `start` counts as `start`, and so does one that diverged to NaN or infinity. Return the mean of these capped
# losses, minus the lowest of them.
#
# <details><summary>Hint</summary>
#
# First make the list of the capped losses, and take the mean and the lowest of that list. `min(math.nan, start)`
# is NaN, so ask `math.isfinite` first.
# </details>

# %% [markdown] id="fix" lang="es" of="88c50e57e50a"
# ## 5 · Arregla
#
# ### Ejercicio 1 · La sensibilidad al learning rate
#
# > Dificultad ●●○○○ · Importancia ●●●●○ · 10 minutos
#
# ¿Qué tan plana es la curva que dibujaste? Escribe `lr_sensitivity(losses, start)`: `losses` son los losses finales
# de un barrido, uno por cada learning rate, y `start` es el loss antes de entrenar. Ningún run cuenta como peor que su
# comienzo: un loss mayor que `start` cuenta como `start`, y uno que divergió a NaN o a infinito también. Devuelve la
# media de los losses así corregidos, menos el más bajo de ellos.
#
# <details><summary>Pista</summary>
#
# Haz primero la lista de los losses ya corregidos, y saca de ella la media y el más bajo. `min(math.nan, start)`
# es NaN, así que pregunta antes por `math.isfinite`.
# </details>


# %% solution="lr-sensitivity"
def lr_sensitivity(losses, start):
    ### BEGIN SOLUTION
    capped = [min(loss, start) if math.isfinite(loss) else start for loss in losses]
    return sum(capped) / len(capped) - min(capped)
    ### END SOLUTION


# %% check="lr-sensitivity/value" points=1
check("lr-sensitivity/value", lr_sensitivity)

# %% check="lr-sensitivity/capped" points=1
check("lr-sensitivity/capped", lr_sensitivity)

# %% check="lr-sensitivity/diverged" points=1
check("lr-sensitivity/diverged", lr_sensitivity)

# %% [markdown] id="task-qk" lang="en"
# ### Exercise 2 · A bug in code that looks right
#
# > Difficulty ●●●○○ · Importance ●●●●● · 15 minutes
#
# This code is meant to normalise queries and keys, (B, H, T, d), so that each has a root mean square of 1. It
# trains, and its loss is suspiciously good.
#
# ```python
# def normalised_scores(q, k):
#     q = q / q.square().mean(dim=2, keepdim=True).sqrt()
#     k = k / k.square().mean(dim=2, keepdim=True).sqrt()
#     return (q @ k.mT) * q.shape[-1] ** -0.5
# ```
#
# Repair it: each query and each key of each head is normalised by itself. Then no score is above √d. Add 1e-6 to
# the mean of the squares, so that a vector of zeros gives scores of 0.
#
# <details><summary>Hint</summary>
#
# Over which axis does `dim=2` average? What does a query then know of the tokens that come after it?
# </details>

# %% [markdown] id="task-qk" lang="es" of="1872be8b7efc"
# ### Ejercicio 2 · Un error en código que parece correcto
#
# > Dificultad ●●●○○ · Importancia ●●●●● · 15 minutos
#
# Este código debería normalizar queries y keys, (B, H, T, d), para que cada una tenga 1 como raíz de la media de
# sus cuadrados. Entrena, y su loss es sospechosamente bueno.
#
# ```python
# def normalised_scores(q, k):
#     q = q / q.square().mean(dim=2, keepdim=True).sqrt()
#     k = k / k.square().mean(dim=2, keepdim=True).sqrt()
#     return (q @ k.mT) * q.shape[-1] ** -0.5
# ```
#
# Arréglalo: cada query y cada key de cada cabeza se normaliza por su cuenta. Entonces ninguna puntuación pasa de
# √d. Suma 1e-6 a la media de los cuadrados, para que un vector de ceros dé puntuaciones de 0.
#
# <details><summary>Pista</summary>
#
# ¿Sobre qué eje promedia `dim=2`? ¿Qué sabe entonces una query de los tokens que vienen después?
# </details>


# %% solution="normalised-scores"
def normalised_scores(q, k):
    ### BEGIN SOLUTION
    q = q / (q.square().mean(dim=3, keepdim=True) + 1e-6).sqrt()
    k = k / (k.square().mean(dim=3, keepdim=True) + 1e-6).sqrt()
    return q @ k.mT / math.sqrt(q.shape[-1])
    ### END SOLUTION


# %% check="normalised-scores/bound" points=1
check("normalised-scores/bound", normalised_scores)

# %% check="normalised-scores/value" points=2
check("normalised-scores/value", normalised_scores)

# %% check="normalised-scores/zeros" points=1
check("normalised-scores/zeros", normalised_scores)

# %% [markdown] id="task-entropy" lang="en"
# ### Exercise 3 · An entropy tracker
#
# > Difficulty ●●●○○ · Importance ●●●●○ · 15 minutes
#
# Write `attention_entropy(weights)`: `weights` is (B, H, T, T), causal, and each row adds up to 1. Return a tensor
# (H,): the entropy of each row, −Σ w ln w, divided by the ln of how many tokens it can see, averaged over the batch
# and over the rows of each head. Leave out row 0: it sees itself alone, and ln 1 = 0. A weight of 0 adds 0.
#
# <details><summary>Hint</summary>
#
# Row t sees t + 1 tokens. `torch.special.xlogy(w, w)` is w ln w, and 0 where w is 0.
# </details>

# %% [markdown] id="task-entropy" lang="es" of="0a95ee046d7c"
# ### Ejercicio 3 · Un medidor de entropía
#
# > Dificultad ●●●○○ · Importancia ●●●●○ · 15 minutos
#
# Escribe `attention_entropy(weights)`: `weights` es (B, H, T, T), causal, y cada fila suma 1. Devuelve un tensor
# (H,): la entropía de cada fila, −Σ w ln w, dividida entre el ln del número de tokens que puede ver, promediada
# sobre el batch y sobre las filas de cada cabeza. Deja fuera la fila 0: solo se ve a sí misma, y ln 1 = 0. Un peso
# de 0 suma 0.
#
# <details><summary>Pista</summary>
#
# La fila t ve t + 1 tokens. `torch.special.xlogy(w, w)` es w ln w, y 0 donde w es 0.
# </details>


# %% solution="attention-entropy"
def attention_entropy(weights):
    ### BEGIN SOLUTION
    entropy = -torch.special.xlogy(weights, weights).sum(dim=3)
    visible = torch.arange(1, weights.shape[2] + 1)
    return (entropy[:, :, 1:] / visible[1:].log()).mean(dim=(0, 2))
    ### END SOLUTION


# %% check="attention-entropy/uniform" points=1
check("attention-entropy/uniform", attention_entropy)

# %% check="attention-entropy/one-token" points=1
check("attention-entropy/one-token", attention_entropy)

# %% check="attention-entropy/heads" points=2
check("attention-entropy/heads", attention_entropy)

# %% [markdown] id="verify" lang="en"
# ## 6 · Verify
#
# The sweep in one number for each design, and your other two functions on scores that are 100 times too large.

# %% [markdown] id="verify" lang="es" of="20e33344cae7"
# ## 6 · Comprueba
#
# El barrido en un número por cada diseño, y tus otras dos funciones con puntuaciones 100 veces más grandes de lo
# debido.

# %% id="verify-sweep"
for kind in ("plain", "normed"):
    found = [last_loss(done[f"{kind}-{rate}"]) for rate in rates]
    print(f"{t(kind):18}{lr_sensitivity(found, math.log(config.vocab_size)):8.2f}")

# %% id="verify-scores" compare=true
torch.manual_seed(0)
q, k = 10 * torch.randn(2, 1, 2, 16, 8).double()
hidden = torch.ones(16, 16, dtype=torch.bool).triu(1)
for name, scores in {"plain": q @ k.mT / math.sqrt(8), "normed": normalised_scores(q, k)}.items():
    entropy = attention_entropy(scores.masked_fill(hidden, -math.inf).softmax(-1)).mean().item()
    print(f"{t(name):18}{t('collapsed') if entropy < 0.2 else t('open')}")

# %% [markdown] id="explain" lang="en"
# In the paper QK-norm lowers the sensitivity, with longer runs and larger models. Here the two numbers hardly
# differ. A remedy works where its cause is at work. One sweep of your own says more about your run than the good
# name of the remedy does.
#
# ## 7 · Explain
#
# A colleague writes: “The largest attention logit jumped from 9 to 2,000 at step 8,000, and the loss from 2.6 to 5.
# I will resume from step 9,000 with QK-norm and a z-loss.”
#
# Answer in three to six sentences. (1) What would you look at before you name a cause? (2) Why do the two
# remedies not undo the damage? (3) What would you do? (One point each.)

# %% [markdown] id="explain" lang="es" of="108b5bccaf9e"
# En el artículo, QK-norm baja la sensibilidad, con runs más largos y modelos más grandes. Aquí los dos números casi
# no se diferencian. Un remedio sirve donde actúa su causa. Un barrido propio dice más sobre tu run que la buena
# fama del remedio.
#
# ## 7 · Explica
#
# Una colega escribe: «El mayor logit de atención saltó de 9 a 2,000 en el paso 8,000, y el loss, de 2.6 a 5. Voy a
# reanudar desde el paso 9,000 con QK-norm y un z-loss».
#
# Responde en entre tres y seis oraciones. (1) ¿Qué mirarías antes de nombrar una causa? (2) ¿Por qué los dos remedios
# no deshacen el daño? (3) ¿Qué harías? (Un punto por cada parte).

# %% [markdown] answer="review-a-jump" points=3 lang="en"
# (1) The learning rate around step 8,000 and the order of events: did the rate jump before the logits? (2)
# QK-norm bounds the attention logits, but a burst moved all the weights; z-loss acts on the output logits.
# (3) Go back to a checkpoint before step 8,000, repair the rate, and use QK-norm in the next run from the
# start if the logits grow slowly.
#
# ---
# **Rubric.** One point each. (1) The rate, and which came first. (2) Other weights have moved as well; z-loss
# acts elsewhere. (3) Back to before the jump, with the cause removed.

# %% [markdown] answer="review-a-jump" points=3 lang="es" of="3ad008ef9ba7"
# (1) El learning rate cerca del paso 8,000 y el orden en que ocurrió todo: ¿saltó antes que los logits? (2) QK-norm
# limita los logits de atención, pero un salto movió todos los pesos; el z-loss actúa sobre los logits de salida.
# (3) Volver a un checkpoint anterior al paso 8,000, arreglar el learning rate y, si los logits crecen poco a poco,
# usar QK-norm en el próximo run desde el principio.
#
# ---
# **Rúbrica.** Un punto por cada parte. (1) El learning rate, y qué ocurrió primero. (2) También se movieron
# otros pesos; el z-loss actúa en otro lugar. (3) Volver a antes del salto, sin la causa.

# %% [markdown] id="card" lang="en"
# ## 8 · A card to keep
#
# | symptom | measure | threshold | first action |
# |---|---|---|---|
# | attention collapses | largest logit; entropy ÷ ln of the visible tokens | > 100 warns; > 1,000 and < 0.05 fails | lower the rate; QK-norm in the next run |
# | the logits jump within five steps | the rate in those steps | it jumped first | go back to before the burst |
# | “this rate is best” | LR sensitivity of a sweep | compare two designs | choose the flatter one |

# %% [markdown] id="card" lang="es" of="83ce924c60a0"
# ## 8 · Una tarjeta para guardar
#
# | síntoma | medida | umbral | primera acción |
# |---|---|---|---|
# | la atención colapsa | mayor logit; entropía ÷ ln de los tokens visibles | > 100 avisa; > 1,000 y < 0.05 falla | baja el learning rate; QK-norm en el próximo run |
# | los logits saltan en cinco pasos | el learning rate de esos pasos | saltó primero | vuelve a antes del salto |
# | «este learning rate es el mejor» | sensibilidad de un barrido | compara dos diseños | elige el más plano |

# %% [markdown] id="own-run" lang="en"
# ## 9 · On your own run
#
# A few lines for any model that calls `scaled_dot_product_attention`. Here it is one with nothing of this course in
# it: a single attention layer, without a mask, learns to write twelve letters backwards. It is trained at two
# rates.
#
# Look at the good run, too: there each query looks at one token alone as well, so its entropy is close to 0. To write
# a letter this model needs one other letter alone, so looking at one token is right here. That is why the leaf
# `attention-logit-growth` asks for both: almost no entropy *and* a logit above 1,000.

# %% [markdown] id="own-run" lang="es" of="3911014c629c"
# ## 9 · En tu propio run
#
# Unas pocas líneas para cualquier modelo que llame a `scaled_dot_product_attention`. Aquí es uno que no tiene nada de
# este curso: una sola capa de atención, sin máscara, aprende a escribir doce letras al revés. Se entrena con dos
# learning rates.
#
# Mira también el run bueno: ahí cada query mira igualmente un solo token, así que su entropía está cerca de 0. Para
# escribir una letra, este modelo necesita una sola de las otras, así que aquí mirar un solo token es lo correcto. Por
# eso la hoja `attention-logit-growth` pide las dos cosas: entropía casi nula *y* un logit mayor que 1,000.


# %% id="own-loop" compare=true
class Backwards(nn.Module):
    def __init__(self):
        super().__init__()
        self.letters, self.places = nn.Embedding(16, 32), nn.Embedding(12, 32)
        self.qkv, self.out = nn.Linear(32, 96), nn.Linear(32, 16)

    def forward(self, text):
        q, k, v = self.qkv(self.letters(text) + self.places.weight).chunk(3, dim=-1)
        return self.out(F.scaled_dot_product_attention(q, k, v))


for rate in (0.01, 0.1):
    torch.manual_seed(0)
    net = Backwards()
    adam = torch.optim.AdamW(net.parameters(), lr=rate)
    for _ in range(120):
        text = torch.randint(0, 16, (32, 12))
        loss = F.cross_entropy(net(text).flatten(0, 1), text.flip(1).flatten())
        adam.zero_grad()
        loss.backward()
        adam.step()
    (largest,), (entropy,) = attention(net, text).values()
    found = (
        t("large") if largest > 1000 else t("small"),
        t("collapsed") if entropy < 0.05 else t("open"),
        t("solved") if loss < 0.1 else t("unsolved"),
    )
    print(f"{rate:5}  {found[0]:32}{found[1]:28}{found[2]}")

# %% [markdown] id="sources" lang="en"
# ## 10 · Where this comes from
#
# * Wortsman et al., [Small-scale proxies for large-scale Transformer training
#   instabilities](https://arxiv.org/abs/2309.14322), 2023: LR sensitivity, rates from 3e-4 to 3e-1, QK-norm, and a
#   z-loss of 1e-4.
# * Zhai et al., [Stabilizing Transformer Training by Preventing Attention Entropy
#   Collapse](https://arxiv.org/abs/2303.06296), 2023.
#
# **A true story.** For about 70,000 steps Marin 32B trained as expected, with a z-loss of 1e-4. There were some
# spikes of the loss, and clipping the updates mostly held them back. At step 80,000 spikes came that no clipping
# held. The team rebuilt the optimizer's state from a good checkpoint: calm for a few thousand steps, then spikes
# again. They tried two other optimizers from step 77,096, before those spikes: progress, then spikes again. Then
# they moved the weights of step 80,000 into an architecture with QK-norm and warmed up again over 1,000 steps. The
# loss rose once, and after that the spikes were largely gone. So there the remedy did cure, and in the middle of a
# run. What stays unknown, and they say so: whether the old model could have been saved, and why others have trained
# larger ones without QK-norm ([retrospective](https://marin.readthedocs.io/en/latest/reports/marin-32b-retro/)).
#
# **A hard bonus task.** Repeat the sweep with `n_embd=64`, `batch_size=32` and 300 steps. Does QK-norm help now?
# (About a minute of computing.) At which rates, and what would you write to somebody who quotes this lesson against
# it?
#
# <details><summary>Show one solution</summary>
#
# ```python
# big = config.replace(n_embd=64, batch_size=32, steps=300)
# for on in (False, True):
#     found = []
#     for rate in rates:
#         recipe = Recipe(big.replace(lr_max=rate, lr_min=rate / 10, qk_norm=on))
#         found.append(last_loss(train(recipe, runs / f"big-{on}-{rate}", overwrite=True)))
#     print(on, [round(loss, 2) for loss in found])
#     print(f"{lr_sensitivity(found, math.log(big.vocab_size)):.2f}")
# ```
#
# It does. Without it the five losses are 4.39, 2.20, 3.64, 4.91 and 4.85, with it 4.36, 2.12, 2.95, 3.23 and 2.71.
# The sensitivity falls from 1.80 to 0.96, as in the paper. At the best rate and below, little changes. At 0.03 the
# plain model falls behind, and from 0.1 on it gets stuck, with a largest logit of 700 and more, and the normed one
# learns: its largest logit stays below 30. So the lesson's result holds for 100 steps and a width of 32, and for
# nothing else. (And this one holds for one seed.)
# </details>

# %% [markdown] id="sources" lang="es" of="1699eacac235"
# ## 10 · De dónde viene esto
#
# * Wortsman et al., 2023, [arXiv 2309.14322](https://arxiv.org/abs/2309.14322): la sensibilidad al learning rate,
#   valores de 3e-4 a 3e-1, QK-norm y un z-loss de 1e-4.
# * Zhai et al., 2023, [arXiv 2303.06296](https://arxiv.org/abs/2303.06296): el colapso de la entropía de la atención.
#
# **Una historia real.** Durante unos 70,000 pasos, Marin 32B se entrenó como se esperaba, con un z-loss de 1e-4.
# Hubo algunos picos del loss, y recortar las actualizaciones los contuvo casi siempre. En el paso 80,000 llegaron
# picos que ningún recorte contenía. El equipo reconstruyó el estado del optimizador a partir de un buen checkpoint:
# unos miles de pasos de calma y otra vez picos. Probaron otros dos optimizadores desde el paso 77,096, anterior a
# esos picos: avances y otra vez picos. Entonces pasaron los pesos del paso 80,000 a una arquitectura con QK-norm e
# hicieron otro warm-up de 1,000 pasos. El loss subió una vez, y desde ahí los picos casi desaparecieron. Allí,
# entonces, el remedio sí curó, y a mitad del run. Lo que no se sabe, y ellos lo dicen: si el modelo anterior se
# podía salvar, y por qué otros entrenaron modelos más grandes sin QK-norm
# ([retrospectiva](https://marin.readthedocs.io/en/latest/reports/marin-32b-retro/)).
#
# **Un reto extra, difícil.** Repite el barrido con `n_embd=64`, `batch_size=32` y 300 pasos. ¿Ayuda ahora
# QK-norm? (Más o menos un minuto de cómputo). ¿Con qué learning rates? ¿Y qué le responderías a quien cite esta
# lección en su contra?
#
# <details><summary>Mostrar una solución</summary>
#
# ```python
# big = config.replace(n_embd=64, batch_size=32, steps=300)
# for on in (False, True):
#     found = []
#     for rate in rates:
#         recipe = Recipe(big.replace(lr_max=rate, lr_min=rate / 10, qk_norm=on))
#         found.append(last_loss(train(recipe, runs / f"big-{on}-{rate}", overwrite=True)))
#     print(on, [round(loss, 2) for loss in found])
#     print(f"{lr_sensitivity(found, math.log(big.vocab_size)):.2f}")
# ```
#
# Sí ayuda. Sin QK-norm los cinco losses son 4.39, 2.20, 3.64, 4.91 y 4.85; con él, 4.36, 2.12, 2.95, 3.23 y 2.71. La
# sensibilidad baja de 1.80 a 0.96, como en el artículo. Con el mejor learning rate, y con los menores, cambia poco.
# Con 0.03 el modelo sin QK-norm se queda atrás, y desde 0.1 se estanca, con un logit máximo de 700 o más, y el otro
# aprende: su logit máximo no pasa de 30. Así que el resultado de la lección vale para 100 pasos y un ancho de 32, y
# para nada más. (Y este vale para una sola semilla).
# </details>
